"""Zakamouline's band against a loop over paths in NumPy, and against Whalley and Wilmott's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from gammawall import sim
from gammawall.surfaces.errors import InputError
from tests.helpers.policy_runs import simulate
from tests.helpers.sim_runs import VOL, make_book, make_market

EXPIRY = "2026-02-11T16:00:00"
COST_BP, AVERSION = 5.0, 20.0
POLICY = sim.Zakamouline(COST_BP, AVERSION)
MARKET = make_market(fee_bp=COST_BP)
STEPS = 39


def run(contracts: float, hedging: sim.HedgingPolicy = POLICY, **sizes: float) -> sim.SimResult:
    """A few thousand contracts at one strike, hardly any impact, fees of what the band is made for."""
    book = make_book(contracts, 7030.0, expiry=EXPIRY)
    return simulate(book, hedging, sim.LinearImpact(0.0), market=MARKET, **sizes)


def reference_fees(paths: np.ndarray, contracts: float, days: float) -> np.ndarray:
    """Fees of every path, USD, by the paper's formulas written out; variance time, no interest."""
    units, cost, aversion = 100.0 * contracts, COST_BP * 1e-4, AVERSION / 1e9
    hedge, fees = np.zeros(len(paths)), np.zeros(len(paths))
    for k, spot in enumerate(paths.T):
        years = (days - k / STEPS) / 252.0

        def d1(price: np.ndarray, vol: np.ndarray | float, years: float = years) -> np.ndarray:
            spread = vol * np.sqrt(years)
            return np.log(price / 7030.0) / spread + 0.5 * spread

        if k == 0:
            hedge = -units * norm.cdf(d1(spot, VOL))
            continue
        # Without impact the price before anyone trades is the price after it.
        gamma = units * norm.pdf(d1(spot, VOL)) / (spot * VOL * np.sqrt(years))
        tilt = 4.76 * cost**0.78 / years**0.02 * VOL**-0.25 * (aversion * spot**2 * abs(gamma)) ** 0.15
        vol = VOL * np.sqrt(1.0 - np.sign(contracts) * tilt)
        wide = 1.12 * cost**0.31 * years**0.05 * VOL**-0.25 * np.sqrt(abs(gamma) / aversion)
        wide = wide + cost / (aversion * spot * VOL**2 * years)
        gap = units * norm.cdf(d1(spot, vol)) + hedge
        trade = -np.sign(gap) * np.maximum(abs(gap) - wide, 0.0)
        hedge, fees = hedge + trade, fees + cost * abs(trade) * spot
    return fees


@pytest.mark.parametrize("contracts", [-4000.0, pytest.param(4000.0, marks=pytest.mark.slow)])
def test_fees_equal_a_loop_over_paths(contracts: float) -> None:
    result = run(contracts)
    days = 252.0 * float(MARKET.clock.variance_years(MARKET.start, EXPIRY))
    fees = reference_fees(result.sample_paths, contracts, days).mean() / 1e6
    assert fees > 0.0
    assert result["hedge_fees_usd_mn"].value == pytest.approx(fees, rel=1e-9)
    other = run(contracts, sim.Band(cost_bp=COST_BP, aversion_per_usd_bn=AVERSION))
    assert abs(other["hedge_fees_usd_mn"].value / fees - 1.0) > 0.05


def test_books_of_several_expiries_are_refused() -> None:
    for fields in ({"expiry": [EXPIRY, "2026-02-12T16:00:00"]}, {"expiry": EXPIRY, "vol": [0.12, 0.13]}):
        with pytest.raises(InputError, match="one expiry and one vol"):
            simulate(make_book([4000.0, 10.0], **fields), POLICY)


@pytest.mark.slow
def test_writers_of_options_are_better_off_than_in_whalley_and_wilmotts_band() -> None:
    """The paper's claim: a higher certainty equivalent, here E W − γ Var W/2, held to expiry."""
    cost, aversion = 30.0, 20.0
    market = make_market(close=EXPIRY, fee_bp=cost)
    worth = []
    for policy in (sim.Zakamouline(cost, aversion), sim.Band(cost_bp=cost, aversion_per_usd_bn=aversion)):
        book = make_book(-4000.0, 7000.0, expiry=EXPIRY)
        found = simulate(book, policy, sim.LinearImpact(0.0), market=market, steps=390, paths=16384)
        mean, std = found["dealer_pnl_usd_mn"], found["dealer_pnl_std_usd_mn"]
        error = np.hypot(mean.stderr, aversion / 1e3 * std.value * std.stderr)
        worth.append((mean.value - 0.5 * aversion / 1e3 * std.value**2, error))
    (own, a), (other, b) = worth
    assert own - other > 4.0 * np.hypot(a, b)
