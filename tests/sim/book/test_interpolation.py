"""Interpolation of each kind against the polynomials that it must reproduce."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from gammawall.sim.book.interpolation import (
    barycentric_weights,
    hermite,
    lagrange,
    lagrange_matrix,
    refine,
    root_in_cell,
    value_at,
    value_between,
)

NODES = np.linspace(-1.0, 2.0, 13)
AT = np.array([-0.93, -0.2, 0.0, 0.41, 1.99])
CUBIC = np.polynomial.Polynomial([0.3, -1.1, 0.7, 0.4])


@pytest.fixture(autouse=True)
def double() -> object:
    with jax.enable_x64(True):
        yield


def test_a_cubic_is_reproduced_between_even_and_uneven_nodes() -> None:
    uneven = NODES + 0.05 * np.sin(7.0 * NODES)
    for nodes, read in ((NODES, value_at), (uneven, value_between)):
        table = (CUBIC(nodes), CUBIC.deriv()(nodes))
        np.testing.assert_allclose(np.asarray(read(nodes, *table, AT)), CUBIC(AT), rtol=1e-13)
    value, rate = refine(NODES, CUBIC(NODES)[None], CUBIC.deriv()(NODES)[None], AT)
    np.testing.assert_allclose(value[0], CUBIC(AT), rtol=1e-13)
    np.testing.assert_allclose(rate[0], CUBIC.deriv()(AT), rtol=1e-12)


def test_a_table_goes_straight_on_beyond_its_ends() -> None:
    far = np.array([-3.0, 5.0])
    found = np.asarray(value_at(NODES, CUBIC(NODES), CUBIC.deriv()(NODES), far))
    ends = NODES[[0, -1]]
    np.testing.assert_allclose(found, CUBIC(ends) + CUBIC.deriv()(ends) * (far - ends), rtol=1e-13)
    assert np.abs(found - CUBIC(far)).min() > 0.1


@pytest.mark.parametrize("count", [4, 13])
def test_both_polynomials_are_the_one_through_the_points(count: int) -> None:
    points = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    at = np.append(np.linspace(-0.9, 0.9, 7), points[1])
    wanted = np.polynomial.Polynomial(np.arange(1.0, count + 1.0))
    shares = np.asarray(lagrange(points, barycentric_weights(points), at)).T
    np.testing.assert_allclose(shares, lagrange_matrix(points, at), atol=1e-12)
    np.testing.assert_allclose(shares @ wanted(points), wanted(at), rtol=1e-11)
    # One point fewer is not enough for this polynomial.
    fewer = lagrange_matrix(points[:-1], at) @ wanted(points[:-1])
    assert np.abs(fewer - wanted(at)).max() > 0.02


@pytest.mark.parametrize("length", [1e-6, 1.0, 1e6])
def test_weights_of_many_points_neither_overflow_nor_vanish(length: float) -> None:
    points = -0.5 * length * np.cos(np.pi * np.arange(129) / 128)
    at = np.linspace(points[0], points[-1], 1000)[1:-1]
    weights = barycentric_weights(points)
    assert (np.abs(weights) > 0.4).all()
    found = np.asarray(lagrange(points, weights, at)).T @ np.sin(20.0 * points / length)
    np.testing.assert_allclose(found, np.sin(20.0 * at / length), atol=1e-12)


def test_the_root_of_a_cell_clears_it() -> None:
    c, width, left, y = 0.4, 0.25, np.array([1.0, 1.0]), np.array([1.05, 1.3])
    cell = hermite(np.zeros(2), np.full(2, 0.3), np.array([0.1, 0.0]), np.array([0.4, 0.9]))
    u = np.asarray(root_in_cell(y, left, width, cell, c))
    delta = sum(np.asarray(cell)[:, i] * u**i for i in range(4))
    np.testing.assert_allclose(left + width * u + c * delta, y, rtol=1e-13)
    assert ((u > 0.0) & (u < 1.0)).all()
