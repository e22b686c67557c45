"""Full repricing of a portfolio: values, greeks, vols in motion, the ladder, and the spline in its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gammawall import sim, surfaces
from gammawall.sim import Portfolio
from gammawall.sim.portfolio.portfolio_risk import _worst_paths
from gammawall.sim.portfolio.repricing import Repricing, stress_ladder
from gammawall.surfaces.clock import VarianceClock
from gammawall.surfaces.errors import InputError
from tests.helpers.portfolio_rows import MIXED, MONTH, table
from tests.helpers.sim_runs import CLOSE, SPOT, make_book, make_market


def test_greeks_are_the_derivatives_of_full_repricing():
    held = Portfolio.from_frame(MIXED)
    here = Repricing(held, make_market(), rate=0.04)
    terms, every = here.terms(here.market.start), np.arange(len(held))
    value = lambda x, t=terms: here.units * here.unit_values(every, np.array([x]), t)[:, 0]  # noqa: E731
    up, mid, down = (value(SPOT + h) for h in (0.5, 0.0, -0.5))
    greeks = here.greeks
    assert greeks.value == pytest.approx(mid, rel=1e-12)
    slope = (value(SPOT + 0.05) - value(SPOT - 0.05)) / 0.1
    assert greeks.delta == pytest.approx(slope, rel=1e-5)
    assert greeks.gamma == pytest.approx((up - 2.0 * mid + down) / 0.25, rel=1e-4, abs=1e-4)
    vols = [here.terms(here.market.start, h) for h in (1e-4, -1e-4)]
    vega = (value(SPOT, vols[0]) - value(SPOT, vols[1])) / 2e-4
    assert greeks.vega == pytest.approx(vega, rel=1e-5, abs=1e-3)
    cross = [value(SPOT + 0.5, t) - value(SPOT - 0.5, t) for t in vols]
    assert greeks.vanna == pytest.approx((cross[0] - cross[1]) / 2e-4, rel=1e-4, abs=0.5)
    # One minute of a day of 390, for what lives on; the whole window is one day's trading time.
    later = here.terms(here.market.start + pd.Timedelta("1min"))
    alive = np.asarray(held.expiry > here.market.close)
    real = 390.0 * (value(SPOT, later) - mid)[alive]
    assert greeks.time[alive] == pytest.approx(real, rel=2e-3)


@pytest.mark.parametrize("motion", [sim.SpotVolBeta(-1.0), sim.StickyMoneyness()])
def test_vols_move_as_the_surface_does(motion: Any):
    rows = table(
        ("put", -5, 6900.0, MONTH, 16.0), ("put", 5, 7000.0, MONTH, 13.0), ("call", 9, 7000.0, CLOSE, 13.0)
    )
    market, smile = make_market(), sim.Smile(np.log([6900.0, 7000.0]), np.array([0.16, 0.13]))
    here = Repricing(Portfolio.from_frame(rows), market, motion=motion)
    s = np.sqrt(float(market.clock.variance_years(market.close, pd.Timestamp(MONTH))))
    price = np.linspace(6800.0, 7200.0, 41)
    factor, _ = motion.factor(*smile, smile, np.log(price / SPOT))
    assert np.ptp(factor) > 0.05
    total = -here.greeks.value.sum() + 900.0 * np.maximum(price - 7000.0, 0.0)
    for i, (units, strike) in enumerate(((-500.0, 6900.0), (500.0, 7000.0))):
        vol = smile[1][i] * factor[i]
        total = total + units * np.asarray(surfaces.black_price(price, strike, 1.0, vol * s, is_call=False))
    assert here.pnl(price[None])[0] == pytest.approx(total, abs=1e-6)
    # Small moves of what lives on are explained by the greeks only if those of vol and vanna take part.
    here = Repricing(
        Portfolio.from_frame(rows[:1]),
        market,
        motion=motion,
        book=make_book([1, 1], [6900.0, 7000.0], vol=[0.16, 0.13], expiry=MONTH),
    )
    near = SPOT - np.linspace(2.0, 30.0, 8)
    found = _worst_paths(here, near[None], here.pnl(near[None])[0], 8)
    missed = found["residual_usd"].abs()
    assert (missed < 0.3 * (found["residual_usd"] + found["vol_usd"]).abs()).all()
    assert found["vanna_usd"].abs().min() > 0.0


def test_the_ladder_reprices_every_combination():
    here = Repricing(Portfolio.from_frame(MIXED), make_market())
    ladder = stress_ladder(here, (-2.0, 0.0, 1.5), (-3.0, 0.0), (here.market.start, here.market.close))
    assert len(ladder) == 12
    cell = ladder[(ladder["time"] == here.market.start) & (ladder["vol_move_points"] == 0.0)]
    assert cell["pnl_usd"].iloc[1] == 0.0
    moved = ladder[(ladder["time"] == here.market.close) & (ladder["vol_move_points"] == -3.0)].iloc[2]
    spot = SPOT * 1.015
    left = np.sqrt(float(here.market.clock.variance_years(here.market.close, pd.Timestamp(MONTH))))
    expected = -150.0 * (spot - SPOT) - 2000.0 * (spot - 7000.0)
    for units, strike, vol, call in ((1000.0, 7050.0, 0.11, True), (2500.0, 6900.0, 0.13, False)):
        expected += units * float(surfaces.black_price(spot, strike, 1.0, vol * left, is_call=call))
    options = ~here.portfolio.is_future
    expected -= here.greeks.value[options].sum()
    assert moved["pnl_usd"] == pytest.approx(expected, rel=1e-9)
    assert moved["spot_points"] == pytest.approx(spot)


def test_a_large_portfolio_s_spline_is_as_good_as_it_says():
    rows = pd.concat([MIXED, table(("call", 40, 7010.0, "2026-01-29T09:30:00", 12.0))])
    here = Repricing(Portfolio.from_frame(rows), make_market(clock=VarianceClock(overnight=0.3)))
    prices = np.sort(np.random.default_rng(1).normal(SPOT, 50.0, (1, 3000)))
    exact, none = here.pnl(prices)
    assert none == 0.0
    found, error = here.pnl(prices, most_values=0.0)
    assert 0.0 < np.abs(found - exact).max() < 2.0 * error < 0.01


def test_forward_and_discount_are_the_dealers_where_they_have_the_expiry():
    book = make_book([1.0], 7000.0, expiry=MONTH, rate=0.05, carry_rate=0.03)
    here = Repricing(Portfolio.from_frame(MIXED), make_market(), rate=0.01, book=book)
    terms = here.terms(here.market.start)
    assert terms.carry[3:] == pytest.approx(book.carry[0])
    assert terms.discount[3:] == pytest.approx(book.discount[0])
    assert terms.discount[1] == pytest.approx(np.exp(-0.01 * 6.5 / 24.0 / 365.0), rel=1e-12)
    later = here.terms(here.market.start + pd.Timedelta("1min"))
    value = lambda t: here.units * here.unit_values(np.arange(5), np.array([SPOT]), t)[:, 0]  # noqa: E731
    assert here.greeks.time[3:] == pytest.approx(390.0 * (value(later) - value(terms))[3:], rel=2e-3)


def test_a_portfolio_comes_back_as_its_table():
    held = Portfolio.from_frame(MIXED)
    again = Portfolio.from_frame(held.frame())
    pd.testing.assert_frame_equal(again.frame(), held.frame())
    assert held.multiplier.tolist() == [50.0, 100.0, 100.0, 100.0, 100.0]
    assert held.label.tolist()[:2] == ["future", "7,000 call 2026-01-28 16:00"]


@pytest.mark.parametrize("wrong", [{"a": 1}, "a.csv", None])
def test_only_tables_are_read(wrong: Any):
    with pytest.raises(InputError, match="must be a DataFrame or a Portfolio"):
        Portfolio.from_frame(wrong)
