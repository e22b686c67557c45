"""Made-up markets for tests: Black quotes as frames, chains and Cboe quote tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtr

from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.read import read_chain
from gammawall.surfaces.chains.readers.occ import format_symbols
from gammawall.surfaces.clock import calendar_years, expiry_instant, to_new_york

AS_OF = "2025-09-04T14:15"
EXPIRIES = (
    ("SPXW", dt.date(2025, 9, 4)),
    ("SPXW", dt.date(2025, 9, 12)),
    ("SPX", dt.date(2025, 9, 19)),
    ("SPXW", dt.date(2025, 9, 19)),
    ("SPX", dt.date(2025, 12, 19)),
    ("SPX", dt.date(2026, 6, 18)),
    ("SPX", dt.date(2027, 12, 17)),
)
HEADER = (
    "Expiration Date,Calls,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest,Strike,"
    "Puts,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest"
)


def black(
    forward: np.ndarray, strike: np.ndarray, deviation: np.ndarray, discount: np.ndarray, is_call: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Black-76 price, forward delta and forward gamma; ``deviation`` is vol × √T."""
    d1 = np.log(forward / strike) / deviation + deviation / 2
    sign = np.where(is_call, 1.0, -1.0)
    price = discount * sign * (forward * ndtr(sign * d1) - strike * ndtr(sign * (d1 - deviation)))
    gamma = discount * np.exp(-(d1**2) / 2) / (np.sqrt(2 * np.pi) * forward * deviation)
    return price, discount * sign * ndtr(sign * d1), gamma


def make_quotes(
    *,
    as_of: str = AS_OF,
    expiries: Sequence[tuple[str, dt.date]] = EXPIRIES,
    spot: float = 6485.0,
    rate: float = 0.0425,
    dividend: float = 0.0125,
    vol: float = 0.15,
    skew: float = -0.4,
    strikes: Sequence[float] | None = None,
    half_spread: float = 0.2,
    seed: int = 7,
) -> pd.DataFrame:
    """Quotes in a chain's columns: smile vol + skew·ln(K/F)·e^(−T), mids on Black exactly, F = S·e^((r−q)T).

    The bid is 0 where the price is below the half spread, as on real tables. Open interest is random, a
    quarter of it zero.
    """
    random = np.random.default_rng(seed)
    parts = []
    for root, date in expiries:
        expiry = expiry_instant(root, date)
        years = calendar_years(as_of, expiry)
        forward, discount = spot * np.exp((rate - dividend) * years), np.exp(-rate * years)
        ladder = _ladder(spot, vol, years) if strikes is None else np.asarray(strikes, float)
        strike, is_call = np.repeat(ladder, 2), np.tile([True, False], ladder.size)
        smile = np.maximum(vol + skew * np.log(strike / forward) * np.exp(-years), 0.05)
        price, delta, gamma = black(forward, strike, smile * np.sqrt(max(years, 1e-8)), discount, is_call)
        size = random.integers(1, 5000, strike.size) * (random.random(strike.size) > 0.25)
        parts.append(
            pd.DataFrame(
                {
                    "root": root,
                    "expiry": expiry,
                    "strike": strike,
                    "is_call": is_call,
                    "bid": np.where(price > half_spread, price - half_spread, 0.0),
                    "ask": price + half_spread,
                    "last": price,
                    "volume": random.integers(0, 500, strike.size).astype(float),
                    "open_interest": size.astype(float),
                    "vendor_vol": smile,
                    "vendor_delta": delta,
                    "vendor_gamma": gamma,
                }
            )
        )
    quotes = pd.concat(parts, ignore_index=True)
    fields = (quotes["root"].to_numpy(object), pd.DatetimeIndex(quotes["expiry"]))
    symbols = format_symbols(*fields, quotes["strike"].to_numpy(), quotes["is_call"].to_numpy())
    quotes.insert(0, "symbol", symbols)
    return quotes


def make_chain(*, spot: float = 6485.0, as_of: str = AS_OF, **market) -> OptionChain:
    """Chain of `make_quotes` with the index quoted at ``spot``."""
    return read_chain(make_quotes(spot=spot, as_of=as_of, **market), spot=spot, as_of=as_of)


def cboe_csv(
    quotes: pd.DataFrame,
    *,
    spot: float | None = 6485.0,
    stamp: str | None = "4 de setembro de 2025 às 14:30 GMT-4",
    first_line: str | None = "",
    header: str = HEADER,
    newline: str = "\n",
) -> str:
    """Quote table as Cboe's page writes it; no preamble at all without a spot, no date without a stamp."""
    lines = [] if first_line is None else [first_line]
    if spot is not None:
        lines.append(f"S&P 500 INDEX,Last: {spot:.4f},Change:  37.3801")
    if stamp is not None:
        text = f"Date: {stamp}"
        lines.append(
            f'"{text}",Bid: 6484.5' if "," in text else f"{text},Bid: 6484.5,Ask: 6486.85,Size: 1*1,Volume: 0"
        )
    lines = [] if spot is None and stamp is None else lines
    lines.append(header)
    calls, puts = (quotes[quotes["is_call"] == kind].reset_index(drop=True) for kind in (True, False))
    for (_, call), (_, put) in zip(calls.iterrows(), puts.iterrows(), strict=True):
        expiry = to_new_york(call["expiry"]).strftime("%a %b %d %Y")
        lines.append(",".join((expiry, *_cells(call), f"{call['strike']:.2f}", *_cells(put))))
    return newline.join(lines) + newline


def _ladder(spot: float, vol: float, years: float) -> np.ndarray:
    reach = max(5.0 * vol * np.sqrt(max(years, 0.0)), 0.01) * spot
    step = 5.0 * max(1.0, np.round(reach / 150.0))
    return np.unique(step * np.round(np.arange(max(spot - reach, 0.2 * spot), spot + reach, step) / step))


def _cells(row: pd.Series) -> tuple[str, ...]:
    numbers = (
        "last",
        None,
        "bid",
        "ask",
        "volume",
        "vendor_vol",
        "vendor_delta",
        "vendor_gamma",
        "open_interest",
    )
    return (row["symbol"], *("0" if name is None else f"{row[name]:.6g}" for name in numbers))
