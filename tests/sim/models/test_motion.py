"""A surface in motion: the delta of a book whose vols move, and the flow that asks for."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from scipy.interpolate import pchip_interpolate
from scipy.optimize import brentq

from gammawall import sim
from gammawall.sim.book.positions import book_delta, prepare_positions
from gammawall.sim.book.rows import vanna_demand
from gammawall.sim.engine.prepare import prepare_run
from gammawall.sim.sampling.schedule import make_schedule
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.pricing.black import black_greeks, black_price
from tests.helpers.policy_runs import BP, UNIT, simulate
from tests.helpers.sim_runs import CLOSE, DAY, SPOT, VOL, make_book, make_market

NEXT = "2026-01-29T16:00:00"
STRIKES = np.array([6930.0, 6970.0, 7000.0, 7040.0, 7090.0])
VOLS = np.array([0.16, 0.14, 0.12, 0.11, 0.115])
CONTRACTS = np.array([4_000.0, -6_000.0, 9_000.0, 7_000.0, 5_000.0])
CALL = np.array([False, True, True, False, True])
X0 = float(np.log(SPOT))


def smile_book(expiry: str = NEXT) -> Any:
    return make_book(CONTRACTS, STRIKES, vol=VOLS, is_call=CALL, expiry=expiry)


def moved_vols(motion: Any, price: float) -> np.ndarray:
    """The rule in its own words, strike by strike."""
    move = float(np.log(price / SPOT))
    if isinstance(motion, sim.SpotVolBeta):
        return VOLS + motion.vol_points_per_pct * move
    if isinstance(motion, sim.StickyMoneyness):
        at = np.clip(np.log(STRIKES / price), *np.log(STRIKES[[0, -1]] / SPOT))
        return pchip_interpolate(np.log(STRIKES / SPOT), VOLS, at)
    return VOLS


def direct_delta(motion: Any, price: float, years: float) -> tuple[float, float]:
    """D by the public greeks, and by a bump the slope of D in log price."""
    unit = 100.0 * CONTRACTS

    def delta(p: float) -> float:
        return float(
            np.sum(unit * black_greeks(p, STRIKES, years, moved_vols(motion, p), is_call=CALL).delta)
        )

    h = 1e-5
    return delta(price), (delta(price * np.exp(h)) - delta(price * np.exp(-h))) / (2.0 * h)


MOTIONS = [sim.SpotVolBeta(-1.5), sim.StickyMoneyness(), sim.StickyStrike()]


@pytest.mark.parametrize("motion", MOTIONS)
def test_the_books_delta_moves_with_its_vols(motion: Any) -> None:
    market = make_market()
    schedule = make_schedule(market, 39)
    positions = prepare_positions(smile_book(), market, schedule, motion)
    for price, step in [(6951.3, 10), (7001.0, 0), (7023.7, 39), (7061.0, 30)]:
        years = 2.0 * DAY - DAY * step / 39.0
        exact, exact_slope = direct_delta(motion, price, years)
        d, slope = book_delta(positions, np.log([price]), np.array([step]))
        _, still = book_delta(positions, np.log([price]), np.array([step]), frozen=True)
        assert d[0, 0] == pytest.approx(exact, abs=1e-9 * np.abs(CONTRACTS).sum() * 100)
        assert slope[0, 0] == pytest.approx(exact_slope, rel=2e-5)
        vols = moved_vols(motion, price)
        gamma = black_greeks(price, STRIKES, years, vols, is_call=CALL).gamma
        assert still[0, 0] == pytest.approx(float(np.sum(100.0 * CONTRACTS * gamma)) * price, rel=1e-9)
        moves = not isinstance(motion, sim.StickyStrike)
        assert (abs(slope[0, 0] / still[0, 0] - 1.0) > 1e-3) == moves


@pytest.mark.slow
def test_no_beta_is_sticky_strike() -> None:
    still = simulate(smile_book())
    moved = simulate(smile_book(), motion=sim.SpotVolBeta(0.0))
    assert np.abs(still.sample_paths - moved.sample_paths).max() < 1e-6
    assert moved["vanna_flow_abs_usd_bn"].value < 2e-3 * moved["gamma_flow_abs_usd_bn"].value
    assert still["vanna_flow_abs_usd_bn"].value == 0.0


@pytest.mark.parametrize("motion", MOTIONS[:2])
def test_the_close_solves_its_equation(motion: Any) -> None:
    """Contracts of the next day: x + c D(T, x) = X_T + c D(0, x₀), each path by a root finder of its own."""
    result = simulate(smile_book(), motion=motion, paths=1024)
    start, _ = direct_delta(motion, SPOT, 2.0 * DAY)
    for fundamental, close in list(zip(result.baseline_close, result.close, strict=True))[:40]:
        level = float(np.log(fundamental)) + UNIT * start
        root = brentq(
            lambda x, y=level: x + UNIT * direct_delta(motion, float(np.exp(x)), DAY)[0] - y,
            X0 - 0.05,
            X0 + 0.05,
            xtol=1e-14,
        )
        assert close == pytest.approx(np.exp(root), abs=2.0 * result.status["table_error_points"] + 1e-6)
    assert result.status["table_error_points"] < 5e-3
    assert np.abs(result.close - simulate(smile_book(), paths=1024).close).max() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("motion", MOTIONS[:2])
def test_both_engines_agree(motion: Any) -> None:
    static = simulate(smile_book(), motion=motion)
    stepped = simulate(smile_book(), [sim.Clearing(0.5), sim.Clearing(0.5)], motion=motion)
    assert np.abs(static.sample_paths - stepped.sample_paths).max() < 2e-3
    for name in ("gamma_flow_abs_usd_bn", "vanna_flow_abs_usd_bn", "charm_flow_abs_usd_bn"):
        assert stepped[name].value == pytest.approx(static[name].value, rel=1e-3), name
        assert static[name].value > 0.01


def test_vanna_flow_is_the_integral_of_vanna() -> None:
    """∫ Σ n m ∂δ/∂σ β dx from 6,960 to 7,030 by quadrature with the public greeks."""
    motion, market = sim.SpotVolBeta(-1.5), make_market()
    case = sim.Experiment(
        smile_book(),
        market,
        sim.GBM(VOL),
        impact=sim.LinearImpact(BP),
        config=sim.SimConfig(paths=1024, steps=39),
        motion=motion,
    )
    run = prepare_run(case)
    k = 20
    rows = run.given.market.rows
    low, high = np.log([6960.0, 7030.0])
    nodes = run.table.nodes
    with jax.enable_x64(True):
        found = float(
            vanna_demand(
                nodes, (rows.delta[k], rows.slope[k]), rows.still[k], np.array([low]), np.array([high])
            )[0]
        )
    at, weights = np.polynomial.legendre.leggauss(60)
    x = 0.5 * (high + low) + 0.5 * (high - low) * at
    years = 2.0 * DAY - DAY * (k + 1) / 39.0
    density = [
        float(
            np.sum(
                100.0 * CONTRACTS * black_greeks(p, STRIKES, years, moved_vols(motion, p), is_call=CALL).vanna
            )
        )
        for p in np.exp(x)
    ]
    exact = 0.5 * (high - low) * float(np.sum(weights * np.array(density))) * motion.vol_points_per_pct
    # The hedge asked for is the opposite of what the delta gains.
    assert found == pytest.approx(-exact, rel=0.01)
    assert abs(exact) > 1e3


@pytest.mark.slow
def test_profit_counts_the_moved_vols() -> None:
    """One step, nobody hedges a book of the next day: its value at the close by the public price."""
    motion = sim.SpotVolBeta(-1.5)
    result = simulate(
        smile_book(), sim.Clearing(0.0), sim.LinearImpact(0.0), motion=motion, steps=1, paths=4096
    )
    value = np.array(
        [
            float(
                np.sum(100.0 * CONTRACTS * black_price(p, STRIKES, DAY, moved_vols(motion, p), is_call=CALL))
            )
            for p in result.close[:400]
        ]
    )
    start = float(np.sum(100.0 * CONTRACTS * black_price(SPOT, STRIKES, 2.0 * DAY, VOLS, is_call=CALL)))
    few = simulate(smile_book(), sim.Clearing(0.0), sim.LinearImpact(0.0), motion=motion, steps=1, paths=400)
    assert few["dealer_pnl_usd_mn"].value * 1e6 == pytest.approx((value - start).mean(), rel=1e-4)


def test_a_beta_without_bound_is_refused() -> None:
    with pytest.raises(InputError, match="vol_points_per_pct"):
        sim.SpotVolBeta(float("nan"))


@pytest.mark.slow
def test_settling_strikes_keep_their_atoms() -> None:
    """At expiry no vol is left to move: the pin mass is that of the fixed surface."""
    book = make_book([20_000.0, 3_000.0], [7000.0, 7050.0], vol=[0.12, 0.14], expiry=CLOSE)
    moved, still = simulate(book, motion=sim.SpotVolBeta(-1.0)), simulate(book)
    assert moved["pin_mass"].value == pytest.approx(still["pin_mass"].value, abs=0.01)
    assert moved["pin_mass"].value > 0.15
