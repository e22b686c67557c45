from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gammawall.surfaces.vol_surfaces.arbitrage import arbitrage_margins, check_arbitrage
from gammawall.surfaces.vol_surfaces.essvi import EssviSurface, essvi_free, essvi_parameters
from tests.surfaces.vol_surfaces.test_svi import assert_matches_ad

COUNT = 8
YEARS = np.cumsum(np.array([0.0003, 0.003, 0.01, 0.02, 0.1, 0.3, 0.6, 1.5]))


def random_free(count: int, seed: int = 1) -> np.ndarray:
    """Parameters far wilder than any market's; [count, 3, COUNT]."""
    scale, shift = np.array([1.0, 1.5, 2.5]), np.array([-0.5, -4.0, 0.0])
    normal = np.random.default_rng(seed).normal(size=(count, 3, COUNT))
    return normal * scale[None, :, None] + shift[None, :, None]


def surface(seed: int = 1) -> EssviSurface:
    return EssviSurface.from_free(YEARS, 6000.0 * np.exp(0.03 * YEARS), *random_free(1, seed)[0])


def plain_parameters(free: np.ndarray, *, look_ahead: bool) -> np.ndarray:
    """The recursion in NumPy for many surfaces, [count, 3, N], with or without f_{i+1}/p_{i+1}, …"""
    rho, a, c = (1 - 1e-6) * np.tanh(free[:, 0]), np.exp(free[:, 1]), 1.0 / (1.0 + np.exp(-free[:, 2]))
    n = rho.shape[1]
    p = np.ones_like(rho)
    p[:, 1:] = np.maximum((1 + rho[:, :-1]) / (1 + rho[:, 1:]), (1 - rho[:, :-1]) / (1 - rho[:, 1:]))
    theta, psi = np.empty_like(rho), np.empty_like(rho)
    for i in range(n):
        theta[:, i] = a[:, i] + (theta[:, i - 1] * p[:, i] if i else 0.0)
    f = np.minimum(4 / (1 + np.abs(rho)), 2 * np.sqrt(theta / (1 + np.abs(rho))))
    for i in range(n):
        most = f[:, i].copy()
        for j in range(i + 1, n if look_ahead else i):
            most = np.minimum(most, f[:, j] / np.prod(p[:, i + 1 : j + 1], axis=1))
        least = np.zeros_like(most)
        if i:
            least = psi[:, i - 1] * p[:, i]
            most = np.minimum(most, psi[:, i - 1] * theta[:, i] / theta[:, i - 1])
        psi[:, i] = least + c[:, i] * (most - least)
    return np.stack([theta, rho, psi], axis=1)


@jax.jit
@jax.vmap
def worst_margins(columns):
    """Least butterfly, calendar and Lee margins of one surface on a grid out to 50 standard deviations."""
    shape = EssviSurface(YEARS, jnp.ones(COUNT), *columns)
    between = 0.5 * (YEARS[1:] + YEARS[:-1])
    times = jnp.asarray(np.sort(np.concatenate([YEARS, between, [0.3 * YEARS[0], 2.0 * YEARS[-1]]])))
    spread = jnp.sqrt(shape.total_variance(jnp.zeros(times.size), times))
    grid = spread[:, None] * np.sinh(np.linspace(-1.0, 1.0, 41) * np.arcsinh(50.0))
    return jnp.stack([jnp.min(m) for m in arbitrage_margins(shape, grid, times)])


def broken(columns: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        margins = np.asarray(worst_margins(jnp.asarray(columns)))
    return ~(margins >= -1e-9).all(axis=1)


@pytest.mark.slow
def test_three_thousand_random_surfaces_have_no_arbitrage_and_need_the_look_ahead():
    free = random_free(3000)
    with jax.enable_x64(True):
        ours = np.stack(jax.vmap(essvi_parameters)(*jnp.asarray(np.moveaxis(free, 1, 0))), axis=1)
    np.testing.assert_allclose(ours, plain_parameters(free, look_ahead=True), rtol=1e-9)
    assert broken(ours).sum() == 0
    assert broken(plain_parameters(free, look_ahead=False)).sum() > 1000


@settings(deadline=None, max_examples=30)
@given(
    free=st.lists(st.floats(-6.0, 6.0), min_size=3 * COUNT, max_size=3 * COUNT),
)
def test_any_numbers_give_a_surface_that_audits_clean(free):
    shape = EssviSurface.from_free(YEARS, np.ones(COUNT), *np.array(free).reshape(3, COUNT))
    report = check_arbitrage(shape)
    assert report.is_free, str(report)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_derivatives_match_autodiff_inside_between_and_beyond_the_expiries(seed):
    assert_matches_ad(surface(seed))


def test_slices_are_the_textbook_formula_and_parameters_are_linear_between():
    shape, k = surface(), np.linspace(-0.4, 0.4, 9)
    theta, rho, psi = (np.asarray(getattr(shape, n)) for n in ("theta", "rho", "psi"))

    def formula(theta, rho, psi):
        phi = psi / theta
        root = np.sqrt((phi * k + rho) ** 2 + 1.0 - rho**2)
        return 0.5 * theta * (1.0 + rho * phi * k + root)

    for i in (0, 4, 7):
        np.testing.assert_allclose(
            shape.total_variance(k, YEARS[i]), formula(theta[i], rho[i], psi[i]), rtol=1e-9
        )
    share = 0.3
    between = (1 - share) * YEARS[4] + share * YEARS[5]
    mixed = [(1 - share) * c[4] + share * c[5] for c in (theta, rho * psi, psi)]
    np.testing.assert_allclose(
        shape.total_variance(k, between), formula(mixed[0], mixed[1] / mixed[2], mixed[2]), rtol=1e-9
    )


def test_extrapolation_keeps_the_wings_and_the_moneys_vol():
    shape = surface()
    last, far = YEARS[-1], 3.0 * YEARS[-1]
    wings = shape.derivatives(np.array([-1e6, 1e6]), np.array([[last], [far]])).by_k
    np.testing.assert_allclose(wings[0], wings[1], rtol=1e-5)
    np.testing.assert_allclose(shape.total_variance(0.0, far) / far, shape.theta[-1] / last, rtol=1e-12)
    early = shape.total_variance(np.array([0.0, 0.005]), 0.25 * YEARS[0]) / (0.25 * YEARS[0])
    np.testing.assert_allclose(early, shape.total_variance(np.array([0.0, 0.01]), YEARS[0]) / YEARS[0])


def test_free_numbers_give_an_admissible_surface_back():
    shape = surface(5)
    columns = [np.asarray(getattr(shape, n)) for n in ("theta", "rho", "psi")]
    with jax.enable_x64(True):
        again = essvi_parameters(*jnp.asarray(essvi_free(*columns, room=1e-9)))
    for got, expected in zip(again, columns, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_free_numbers_of_a_surface_with_arbitrage_are_finite_and_admissible():
    columns = (np.linspace(0.04, 0.01, COUNT), np.linspace(-0.9, 0.9, COUNT), np.full(COUNT, 5.0))
    free = essvi_free(*columns)
    assert np.isfinite(free).all()
    assert check_arbitrage(EssviSurface.from_free(YEARS, np.ones(COUNT), *free)).is_free


def test_a_surface_is_a_pytree_whose_numbers_do_not_recompile():
    shape = surface()
    count = EssviSurface._kernel._cache_size()
    first = shape.total_variance(0.1, 0.2)
    grown = EssviSurface._kernel._cache_size()
    doubled = dataclasses.replace(shape, theta=np.asarray(shape.theta) * 2.0)
    assert doubled.total_variance(0.1, 0.2) > first
    assert EssviSurface._kernel._cache_size() == grown <= count + 1
    with jax.enable_x64(True):
        stacked = jax.tree.map(lambda *v: jnp.stack(v), shape, doubled)
        both = jax.vmap(lambda s: s.total_variance(0.1, 0.2))(stacked)
    np.testing.assert_allclose(both, [first, doubled.total_variance(0.1, 0.2)], rtol=1e-14)


def test_one_expiry_is_enough():
    shape = EssviSurface.from_free([0.1], [100.0], *np.array([[-0.5], [-4.0], [0.0]]))
    assert check_arbitrage(shape).is_free
    assert shape.forward(0.7) == pytest.approx(100.0)
