"""Reference prices of American options, kept in tests/data/american.npz.

``python -m tests.helpers.american_reference`` makes them anew with QuantLib in minutes, by its most exact
engine: tanh-sinh integrals to 1e-11 and 36 collocation points. Its own "high precision" setting has 10 points
and lies up to 1.2e-7 of the spot away from that.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["COLUMNS", "FILE", "contracts", "most_exact", "quantlib_prices"]

FILE = Path(__file__).parents[1] / "data" / "american.npz"
COLUMNS = ("spot", "strike", "expiry", "vol", "rate", "dividend_yield", "is_call")


def contracts(count: int, seed: int) -> dict[str, np.ndarray]:
    """Random contracts: a day to five years, vol 4 to 120 %, rates of both signs, out to 2.5 deviations."""
    rng = np.random.default_rng(seed)
    days = np.round(np.exp(rng.uniform(np.log(1), np.log(365 * 5), count)))
    vol = np.exp(rng.uniform(np.log(0.04), np.log(1.2), count))
    rate, dividend_yield = rng.uniform(-0.04, 0.12, count), rng.uniform(-0.04, 0.12, count)
    kind = rng.integers(0, 6, count)
    dividend_yield = np.where(kind == 0, rate, np.where(kind == 1, 0.0, dividend_yield))
    rate = np.where(kind == 2, 0.0, rate)
    deviations = rng.uniform(-2.5, 2.5, count)
    spot = 100.0 * np.exp(deviations * vol * np.sqrt(days / 365) + 0.02 * rng.standard_normal(count))
    return {
        "spot": spot,
        "strike": np.full(count, 100.0),
        "expiry": days / 365,
        "vol": vol,
        "rate": rate,
        "dividend_yield": dividend_yield,
        "is_call": rng.random(count) < 0.5,
    }


def most_exact(ql: Any) -> Any:
    """The finest iteration scheme whose prices have settled."""
    return ql.QdFpTanhSinhIterationScheme(30, 36, 1e-11)


def quantlib_prices(points: dict[str, np.ndarray], engine: Callable[[Any], Any]) -> np.ndarray:
    """Prices by an engine of QuantLib, one by one; NaN where it refuses, as with two boundaries."""
    ql = import_module("QuantLib")
    today, count = ql.Date(1, 1, 2025), ql.Actual365Fixed()
    ql.Settings.instance().evaluationDate = today
    found = np.full(len(points["spot"]), np.nan)
    for i, row in enumerate(zip(*(points[name].tolist() for name in COLUMNS), strict=True)):
        spot, strike, expiry, vol, rate, dividend_yield, is_call = row
        curve = lambda r: ql.YieldTermStructureHandle(ql.FlatForward(today, r, count))  # noqa: E731
        process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(ql.SimpleQuote(spot)),
            curve(dividend_yield),
            curve(rate),
            ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), vol, count)),
        )
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if is_call else ql.Option.Put, strike)
        option = ql.VanillaOption(payoff, ql.AmericanExercise(today, today + round(expiry * 365)))
        option.setPricingEngine(engine(process))
        try:
            found[i] = option.NPV()
        except RuntimeError:
            continue
    return found


def main() -> None:
    ql = import_module("QuantLib")
    points = contracts(3000, 5)
    scheme = most_exact(ql)
    prices = quantlib_prices(points, lambda process: ql.QdFpAmericanEngine(process, scheme))
    np.savez_compressed(FILE, **points, price=prices)
    print(f"{FILE}: {np.isfinite(prices).sum():,} of {len(prices):,} priced")


if __name__ == "__main__":
    main()
