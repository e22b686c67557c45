"""How sure a level is: the same level under resampled open interest."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.exposures import Exposures, position_exposures
from gammawall.surfaces.dealers.levels import LEAST_SHARE
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import ONE_PERCENT

__all__ = ["bootstrap_levels"]

_COLUMNS = ("low_points", "median_points", "high_points", "found", "agreement")
_STEP = 1e-3
"""Spacing of the spots on which zero gamma is looked for, as a share of spot."""


def bootstrap_levels(
    book: Book,
    *,
    draws: int = 400,
    seed: int = 0,
    reach: float = 0.08,
    exposed: Exposures | None = None,
) -> pd.DataFrame:
    """Levels of a book under a Bayesian bootstrap of its positions.

    Each draw multiplies every position by an independent exponential weight of mean one (Rubin 1981, The
    Bayesian bootstrap): what the level would be had each size been known only up to its own order.

    Args:
        book: dealers' positions.
        draws: how many resamples.
        seed: of the weights.
        reach: zero gamma is looked for within ± this share of spot.
        exposed: the book's exposures, if at hand.

    Returns:
        Rows ``zero_gamma`` (the crossing nearest to spot), ``call_wall``, ``put_wall``, ``abs_gamma``;
        columns ``low_points``, ``median_points``, ``high_points`` (5, 50 and 95 % of the draws that have the
        level), ``found`` (share of draws that have it) and ``agreement`` (share of those draws within 0.25 %
        of spot of the median).

    Raises:
        InputError: the book is empty, or draws is not positive.

    Example:
        >>> found = surfaces.bootstrap_levels(surfaces.dealer_book(chain), draws=50)
        >>> float(found.loc["abs_gamma", "median_points"])
        7000.0
    """
    if not len(book) or draws < 1:
        raise InputError(f"a bootstrap needs positions and at least one draw; got {len(book)} and {draws}")
    rng = np.random.default_rng(seed)
    strikes, column = np.unique(book.strike, return_inverse=True)
    positions = position_exposures(book) if exposed is None else exposed.by_position
    gex = positions["gex_usd_per_1pct"].to_numpy(float)
    spots = book.spot * np.arange(1.0 - reach, 1.0 + reach + 0.5 * _STEP, _STEP)
    profile = _gex_of_positions(book, spots)
    rows = []
    for _ in range(draws):
        weight = rng.standard_exponential(len(book))
        net = np.bincount(column, weights=weight * gex, minlength=strikes.size)
        gross = np.bincount(column, weights=weight * np.abs(gex), minlength=strikes.size)
        rows.append(
            (
                _nearest_crossing(spots, weight @ profile, book.spot),
                _best(strikes, np.where(strikes >= book.spot, net, 0.0), LEAST_SHARE * gross.sum()),
                _best(strikes, np.where(strikes <= book.spot, -net, 0.0), LEAST_SHARE * gross.sum()),
                _best(strikes, gross, 0.0),
            )
        )
    names = ("zero_gamma", "call_wall", "put_wall", "abs_gamma")
    table = {
        name: _quantiles(np.array(v), book.spot)
        for name, v in zip(names, zip(*rows, strict=True), strict=True)
    }
    return pd.DataFrame(table).T.rename_axis("level")


def _gex_of_positions(book: Book, spots: np.ndarray) -> np.ndarray:
    """GEX of every position at every spot, [N, G]: 0.01 S² n m D c φ(d₁)/(S s)."""
    s = book.total_vol[:, None]
    d1 = np.log(spots * (book.carry / book.strike)[:, None]) / s + 0.5 * s
    density = np.exp(-0.5 * d1 * d1) / np.sqrt(2.0 * np.pi)
    units = (book.contracts * book.multiplier * book.discount * book.carry)[:, None]
    return ONE_PERCENT * spots * units * density / s


def _nearest_crossing(spots: np.ndarray, gex: np.ndarray, spot: float) -> float:
    at = np.flatnonzero(gex[:-1] * gex[1:] < 0.0)
    if not at.size:
        return np.nan
    crossings = spots[at] - gex[at] * (spots[at + 1] - spots[at]) / (gex[at + 1] - gex[at])
    return float(crossings[np.argmin(np.abs(crossings - spot))])


def _best(strikes: np.ndarray, score: np.ndarray, least: float) -> float:
    best = int(np.argmax(score))
    return float(strikes[best]) if score[best] > 0.0 and score[best] >= least else np.nan


def _quantiles(values: np.ndarray, spot: float) -> dict[str, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return dict.fromkeys(_COLUMNS, np.nan) | {"found": 0.0}
    low, median, high = np.quantile(known, [0.05, 0.5, 0.95], method="nearest")
    near = np.abs(known - median) <= 0.0025 * spot
    row = (low, median, high, known.size / values.size, near.mean())
    return dict(zip(_COLUMNS, map(float, row), strict=True))
