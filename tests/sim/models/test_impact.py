"""Impacts: closed forms, what a round trip costs, and a function of the user's own."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from gammawall import sim
from gammawall.sim import theory
from gammawall.sim.sampling.schedule import make_schedule
from gammawall.sim.step.accounts import mean_price
from tests.helpers.policy_runs import BP, UNIT, realised_ratio, scale, simulate, steady_book, variance_ratio
from tests.helpers.sim_runs import SPOT, make_book, make_market, same_shape

HALF_LIFE = 390.0 * float(np.log(2.0)) / 5.0
"""ρ T = 5."""


@pytest.mark.parametrize(("sign", "variance", "realised"), [(1.0, 0.7173, 0.4444), (-1.0, 1.4979, 4.0)])
def test_transient_impact(sign: float, variance: float, realised: float) -> None:
    """Section 3.5: (G, λ, κ, ρ) = (±1, .1, .4, 5), within 2 %. Control: all of it permanent."""
    result = simulate(steady_book(0.5 * sign), impact=sim.ObizhaevaWang(0.6, 2.4, HALF_LIFE), steps=390)
    assert variance == pytest.approx(float(theory.transient_variance(sign, 0.1, 0.4, 5.0)), abs=1e-4)
    assert realised == pytest.approx(float(theory.transient_realised_variance(sign, 0.1, 0.4)), abs=1e-4)
    ratio, spread = variance_ratio(result)
    assert ratio == pytest.approx(variance, rel=0.02)
    assert abs(ratio - variance) < 4.0 * spread
    assert realised_ratio(result) == pytest.approx(realised, rel=0.02)
    assert abs(ratio - (1.0 + 0.5 * sign) ** -2) > 20.0 * spread


@pytest.mark.slow
def test_no_transient_part_is_linear_impact() -> None:
    book = same_shape(30_000)
    linear = simulate(book, [sim.Clearing(0.5), sim.Clearing(0.5)])
    transient = simulate(book, impact=sim.ObizhaevaWang(BP, 0.0, 10.0))
    assert np.abs(linear.sample_paths - transient.sample_paths).max() < 1e-6


def test_a_function_of_the_users_own() -> None:
    """The same numbers as the impact it spells out; its slope is what the feedback is reported with."""
    book = same_shape(30_000)
    own = simulate(book, impact=lambda usd_bn, minutes: BP * 1e-4 * usd_bn)
    linear = simulate(book, [sim.Clearing(0.5), sim.Clearing(0.5)])
    assert np.abs(own.sample_paths - linear.sample_paths).max() < 1e-6
    assert own.start_feedback == pytest.approx(linear.start_feedback, rel=1e-9)


@pytest.mark.slow
def test_an_exponent_of_one_is_linear_impact() -> None:
    book = same_shape(30_000)
    power = simulate(book, impact=sim.PowerLaw(BP, 1.0, 7.0))
    linear = simulate(book, [sim.Clearing(0.5), sim.Clearing(0.5)])
    assert np.abs(power.sample_paths - linear.sample_paths).max() < 1e-6


def pinned_near(exponent: float, eta: float) -> float:
    """Probability that charm-only hedging under a power of the flow rate ends on the strike."""
    book = make_book(3.0 * scale() / UNIT / 100.0)
    impact = sim.PowerLaw(BP, exponent, 0.05)
    result = simulate(book, sim.CharmOnly(), impact, steps=60, geometric=eta, keep_paths=0)
    move = np.abs(np.log(result.close / SPOT)) / scale()
    return float((move < 2e-3).mean())


@pytest.mark.slow
def test_pinning_survives_only_above_the_square_root() -> None:
    """Section 3.8: the chance to end within 0.2 % of a standard deviation; without hedging it is .0016."""
    strong, weak = pinned_near(0.75, 0.1), pinned_near(0.4, 0.1)
    assert strong > 0.3
    assert weak < 0.02


@pytest.mark.parametrize(
    "impact", [sim.LinearImpact(BP), sim.ObizhaevaWang(1.0, 2.0, 5.0), sim.PowerLaw(BP, 0.6, 0.1)]
)
def test_a_round_trip_gains_nothing(impact: Any) -> None:
    """Bought and sold again while nothing else moves the price: free if linear, dear if transient."""
    schedule = make_schedule(make_market(), 39)
    numbers = impact.numbers(schedule, SPOT)
    row = {k: v[0] if np.ndim(v) else v for k, v in numbers.items()}
    with jax.enable_x64(True):
        state, x, cost = impact.open(row, 1), np.zeros(1), 0.0
        for trade in (np.array([5e4]), np.array([1e5]), np.array([-1.5e5])):
            state, back = impact.relax(row, state)
            x = x + back
            moved = x + impact.move(row, trade)
            cost += float((trade * mean_price(x, moved))[0])
            state, x = impact.after(row, state, trade), moved
    if isinstance(impact, sim.LinearImpact):
        assert abs(cost) < 1e-9 * 1.5e5
        assert abs(float(x[0])) < 1e-15
    elif isinstance(impact, sim.ObizhaevaWang):
        assert cost > 1.0


def test_the_price_of_a_trade_is_the_mean_on_its_way() -> None:
    """Against quadrature, from moves of 1e-9 to 10 %, both ways."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    for move in (1e-9, -1e-6, 1e-4, -0.01, 0.1):
        exact = float((0.5 * weights * np.exp(8.85 + 0.5 * move * (nodes + 1.0))).sum())
        with jax.enable_x64(True):
            found = float(mean_price(np.array([8.85]), np.array([8.85 + move]))[0])
        assert found == pytest.approx(exact, rel=1e-13)
