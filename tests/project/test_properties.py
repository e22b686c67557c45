"""Every public name is known to a test; properties of public functions that no other file states."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from gammawall import scenarios, sim, surfaces

TESTS = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parents[1].rglob("test_*.py"))


@pytest.mark.parametrize("layer", [surfaces, sim, scenarios], ids=lambda layer: layer.__name__)
def test_every_public_name_is_known_to_a_test(layer):
    """Named in a test; or a protocol; or a type that a public function or another public type hands out."""
    public = {name: getattr(layer, name) for name in layer.__all__}
    handed: set[str] = set()
    for thing in public.values():
        if inspect.isfunction(thing):
            handed |= set(re.findall(r"\w+", str(thing.__annotations__.get("return"))))
        elif inspect.isclass(thing):
            handed |= set(re.findall(r"\w+", " ".join(map(str, inspect.get_annotations(thing).values()))))
    lacking = [
        name
        for name, thing in public.items()
        if not re.search(rf"\b{name}\b", TESTS.replace(f'"{name}"', ""))
        and not getattr(thing, "_is_protocol", False)
        and not (inspect.isclass(thing) and name in handed)
    ]
    assert lacking == []


price = st.floats(10.0, 1e5)
ratio = st.floats(0.7, 1.4)
years, vol = st.floats(1e-3, 3.0), st.floats(0.03, 1.5)
rate = st.floats(-0.05, 0.2)


@settings(deadline=None, max_examples=60)
@given(forward=price, moneyness=ratio, years=years, vol=vol, is_call=st.booleans())
def test_without_a_rate_there_is_no_discounting(forward, moneyness, years, vol, is_call):
    point = (forward, forward * moneyness, years, vol)
    given_zero = surfaces.black_price(*point, 0.0, is_call=is_call)
    assert surfaces.black_price(*point, is_call=is_call) == given_zero
    assert surfaces.black_greeks(*point, is_call=is_call).price == given_zero
    assert surfaces.bachelier_price(*point[:3], vol * forward, is_call=is_call) == surfaces.bachelier_price(
        *point[:3], vol * forward, 0.0, is_call=is_call
    )


@jax.jit
def _dual_vega(forward: Any, strike: Any, years: Any, vol: Any, rate: Any) -> Any:
    """∂²V/∂K∂σ of a call, by two rounds of automatic differentiation."""
    slope = jax.grad(lambda k, v: surfaces.black_price(forward, k, years, v, rate))
    return jax.grad(slope, argnums=1)(strike, vol)


@settings(deadline=None, max_examples=40)
@given(forward=price, moneyness=ratio, years=years, vol=vol, rate=rate)
def test_the_slope_in_the_strike_differentiates_in_vol(forward, moneyness, years, vol, rate):
    """∂²V/∂K∂σ = e^{−rT} φ(d₂) d₁/σ, which no greek of the list holds."""
    strike, s = forward * moneyness, vol * np.sqrt(years)
    d1 = -np.log(moneyness) / s + 0.5 * s
    expected = np.exp(-rate * years) * norm.pdf(d1 - s) * d1 / vol
    with jax.enable_x64(True):
        found = float(_dual_vega(forward, strike, years, vol, rate))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(g=st.floats(-0.9, 50.0), vol=st.floats(0.01, 1.0))
def test_full_hedging_divides_vol_by_one_plus_feedback(g, vol):
    assert sim.theory.effective_vol(vol, g) * (1.0 + g) == pytest.approx(vol)


@settings(deadline=None, max_examples=40)
@given(strike=st.floats(0.5, 2.0), years=years, vol=vol, is_call=st.booleans())
def test_spot_greeks_do_not_depend_on_the_unit_of_the_index(strike, years, vol, is_call):
    """Index and strike in other units: the price scales along, delta stays, gamma shrinks."""
    one, ten = (
        surfaces.spot_greeks(100.0 * k, 100.0 * k * strike, years, vol, 0.03, 0.01, is_call=is_call)
        for k in (1.0, 16.0)
    )
    for name, power in (("price", 1), ("delta", 0), ("gamma", -1)):
        np.testing.assert_allclose(
            getattr(ten, name), 16.0**power * getattr(one, name), rtol=1e-12, atol=1e-300, err_msg=name
        )


def test_an_impact_below_zero_is_reported_but_not_simulated():
    """Found by a record whose gamma widens moves: the command asked for a simulation that cannot be."""
    from gammawall.scenarios.calibration.fit import ImpactFit
    from gammawall.scenarios.calibration.record import simulated_vols

    numbers: dict[str, Any] = dict.fromkeys((field.name for field in dataclasses.fields(ImpactFit)), -5.0)
    fit = ImpactFit(**numbers)
    assert simulated_vols(fit, np.array([1.0])) == []


def test_beyond_the_table_the_hedge_is_held_at_its_edge():
    """D is cubic inside the grid of y and constant outside, where every step counts as capped."""
    from gammawall.sim.book.interpolation import hermite
    from gammawall.sim.step.clearing import CAPPED, STABLE, inverse_lookup

    with jax.enable_x64(True):
        ends, slopes = np.array([1.0, 2.0, 4.0]), np.array([0.5, 1.5, 2.5])
        cells = hermite(ends[:-1], ends[1:], slopes[:-1], slopes[1:])
        y = np.array([-7.0, 0.0, 1.0, 2.0, 9.0])
        x, held, _, status = inverse_lookup(jax.numpy.asarray(y), 0.0, 1.0, cells, 0.1)
    np.testing.assert_allclose(held, [1.0, 1.0, 2.0, 4.0, 4.0], rtol=1e-14)
    np.testing.assert_allclose(x, y - 0.1 * np.asarray(held), rtol=1e-14)
    assert list(np.asarray(status)) == [CAPPED, STABLE, STABLE, STABLE, CAPPED]


@pytest.mark.parametrize(("start", "target", "expected"), [(-1e-9, 0.55, 0.5), (1.0 + 1e-9, 0.55, 0.5)])
def test_a_price_a_rounding_outside_the_nodes_comes_back(start, target, expected):
    """M(x) = x + 0.1 x on four nodes of [0, 1]; by hand M(½) = .55."""
    from gammawall.sim.step.clearing import STABLE, first_root

    with jax.enable_x64(True):
        nodes = np.linspace(0.0, 1.0, 4)
        points = jax.numpy.asarray([target]), jax.numpy.asarray([start])
        x, held, feedback, status = first_root(*points, jax.numpy.asarray(nodes), nodes, np.ones(4), 0.1)
    assert (float(x[0]), float(held[0]), float(feedback[0])) == pytest.approx((expected, expected, 0.1))
    assert int(status[0]) == STABLE


def test_a_price_a_rounding_below_the_nodes_takes_the_first_branch():
    """M goes flat from node to node through 0, 2, −1, 12, 13. Of three roots of M = ½ the lowest counts:
    2 (3u² − 2u³) = ½ at u = ½ − sin(π/18)."""
    from gammawall.sim.step.clearing import STABLE, first_root

    nodes, level = np.arange(5.0), np.array([0.0, 2.0, -1.0, 12.0, 13.0])
    with jax.enable_x64(True):
        points = (jax.numpy.asarray([0.5]), jax.numpy.asarray([-1e-9]), jax.numpy.asarray(nodes))
        x, held, _, status = first_root(*points, level - nodes, -np.ones(5), 1.0)
    root = 0.5 - np.sin(np.pi / 18.0)
    assert (float(x[0]), float(held[0])) == pytest.approx((root, 0.5 - root), abs=1e-9)
    assert int(status[0]) == STABLE


@pytest.mark.parametrize(("is_call", "forward", "strike", "slopes"), [
    (True, 7000.0, 0.0, (1.0, -1.0)), (False, 7000.0, 0.0, (0.0, 0.0)), (False, 0.0, 7000.0, (-1.0, 1.0)),
])  # fmt: skip
def test_a_price_of_zero_has_derivatives(is_call, forward, strike, slopes):
    """First and second, of a strike of zero, and of a forward of zero inside a transformation."""
    price = lambda f, k: surfaces.black_price(f, k, 1.0, 0.2, is_call=is_call)  # noqa: E731
    with jax.enable_x64(True):
        first = jax.grad(price, argnums=(0, 1))(forward, strike)
        second = jax.hessian(price, argnums=(0, 1))(forward, strike)
    assert tuple(map(float, first)) == slopes
    assert float(np.abs(np.array(second)).max()) == 0.0


@pytest.mark.parametrize(("years", "vol"), [(1.0, 1.0), (4.0, 0.0), (0.0, 4.0)])
def test_the_least_time_and_vol_count_as_none(years, vol):
    """tiny^¼ of either is nothing left, a hundredth more is something."""
    least = np.finfo(float).tiny ** 0.25
    found = surfaces.black_greeks(7000.0, 7000.0, years or least, vol or least)
    assert (found.gamma == 0.0) == (years * vol == 0.0)
    more = surfaces.black_greeks(7000.0, 7000.0, years or 1.01 * least, vol or 1.01 * least)
    assert 0.0 < more.gamma < np.inf


@settings(deadline=None, max_examples=40)
@given(x=st.floats(-3.0, 0.0), s=st.floats(0.05, 6.0))
def test_a_normalised_price_and_its_distance_to_the_bound_add_up(x, s):
    """b + c = e^{x/2}, on both sides of where the tails cross."""
    from gammawall.surfaces.pricing.normalised import normalised_black_pair

    with jax.enable_x64(True):
        b, c = normalised_black_pair(jax.numpy.asarray(x), jax.numpy.asarray(s))
    assert float(b) + float(c) == pytest.approx(np.exp(0.5 * x), rel=1e-13)
