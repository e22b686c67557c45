"""Price levels of a book: where gamma changes sign, where it is concentrated, and how sure that is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd

from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.exposures import Exposures, exposures, gex_at
from gammawall.surfaces.display import Display

__all__ = ["LEAST_SHARE", "Level", "Levels", "levels"]

LEAST_SHARE = 1e-3
"""Share of a book's gross gamma below which a strike is no wall. On real index chains walls have 0.3 % and
more; where a convention leaves a side empty the best of what is left has less than 0.01 %."""

_ROUNDING = 1e-12
_NOTHING = 1e-12


@dataclass(frozen=True)
class Level:
    """One strike that stands out."""

    strike: float
    gex_usd_per_1pct: float
    """its net GEX"""
    runner_up: float | None
    """the next best strike on the same side, None when there is no other"""
    confidence: float
    """1 − |GEX of the runner-up| / |GEX|: 0 is a tie, 1 stands alone"""


@dataclass(frozen=True, repr=False)
class Levels(Display):
    """Levels of a book at its own spot. None means that there is no such level, never zero."""

    zero_gamma: tuple[float, ...]
    """every spot at which the repriced GEX changes sign, ascending"""
    call_wall: Level | None
    """strike at or above spot with the most positive net GEX"""
    put_wall: Level | None
    """strike at or below spot with the most negative net GEX"""
    abs_gamma: Level | None
    """strike with the largest gamma of calls and puts together, whatever their sign"""
    max_pain: float | None
    """strike at which the contracts of the nearest expiry would pay least"""
    exposures: Exposures = field(compare=False)
    """what they were read from"""
    missing: dict[str, str] = field(default_factory=dict)
    """why a wall or the peak is None, by its name"""

    def summary(self) -> list[tuple[str, str]]:
        zeros = ", ".join(f"{z:,.1f}" for z in self.zero_gamma)
        return [("spot", f"{self.exposures.spot:,.2f}"), ("zero gamma", zeros or "none")] + [
            (name.replace("_", " "), "none" if value is None else f"{value:,g}")
            for name, value in self._strikes().items()
        ]

    def _strikes(self) -> dict[str, float | None]:
        found = {name: getattr(self, name) for name in ("call_wall", "put_wall", "abs_gamma")}
        strikes = {name: None if level is None else level.strike for name, level in found.items()}
        return strikes | {"max_pain": self.max_pain}

    def frame(self) -> pd.DataFrame:
        """One row per level, every zero of gamma its own: ``points``, and of walls ``gex_usd_per_1pct``,
        ``runner_up`` and ``confidence``; NaN where there is none."""
        rows = [("zero_gamma", z) for z in self.zero_gamma] + list(self._strikes().items())
        points = pd.DataFrame(rows, columns=["level", "points"]).set_index("level").astype(float)
        for column in ("gex_usd_per_1pct", "runner_up", "confidence"):
            points[column] = [float(_or_nan(getattr(getattr(self, n), column, None))) for n in points.index]
        return points


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def levels(book: Book, *, exposed: Exposures | None = None) -> Levels:
    """Zero gamma, walls, peak gamma and maximum pain.

    Zero gamma is found by repricing the whole book over spot (sticky strike), between ±12 % unless `exposed`
    brings another range; each crossing is then solved to 1e-6 points. Net GEX of a strike sums calls and puts
    of all expiries; a strike with less than `LEAST_SHARE` of the book's gross gamma is no wall.

    Args:
        book: dealers' positions.
        exposed: the book's exposures, if at hand.

    Example:
        >>> found = surfaces.levels(surfaces.dealer_book(chain))
        >>> print(found.call_wall.strike, found.abs_gamma.strike, found.max_pain)
        7000.0 7000.0 6950.0
    """
    exposed = exposed or exposures(book)
    table = exposed.by_strike
    strike, net = table.index.to_numpy(float), table["gex_usd_per_1pct"].to_numpy(float)
    # Position by position: long and short contracts of one strike are both gamma that is there.
    size = np.abs(exposed.by_position["gex_usd_per_1pct"].to_numpy(float))
    gross = np.bincount(np.unique(book.strike, return_inverse=True)[1], weights=size)
    scores = {
        "call_wall": np.where(strike >= book.spot, net, 0.0),
        "put_wall": np.where(strike <= book.spot, -net, 0.0),
        "abs_gamma": gross,
    }
    missing = {name: _lack(name, strike, score, gross.sum()) for name, score in scores.items()}
    missing = {name: reason for name, reason in missing.items() if reason}
    found = {n: None if n in missing else _largest(strike, score, net) for n, score in scores.items()}
    return Levels(
        zero_gamma=_crossings(book, exposed),
        **found,
        max_pain=_max_pain(book),
        exposures=exposed,
        missing=missing,
    )


def _lack(name: str, strike: np.ndarray, score: np.ndarray, gross: float) -> str:
    """Why there is no such level; empty where there is one."""
    best = int(np.argmax(score))
    if score[best] <= 0.0:
        return {
            "call_wall": "no strike at or above spot has positive net gamma",
            "put_wall": "no strike at or below spot has negative net gamma",
            "abs_gamma": "no strike has any gamma",
        }[name]
    if name != "abs_gamma" and score[best] < LEAST_SHARE * gross:
        return (
            f"the largest on its side is the strike {strike[best]:g}, with {score[best] / gross:.1g} of the "
            f"book's gamma: less than {LEAST_SHARE:.1%}"
        )
    return ""


def _crossings(book: Book, exposed: Exposures) -> tuple[float, ...]:
    from scipy.optimize import brentq

    profile = exposed.profile.sort_index()
    spots, gex = profile.index.to_numpy(float), profile["gex_usd_per_1pct"].to_numpy(float)
    if spots.size < 2:
        return ()
    # In the last minutes gamma is narrower than the grid: its peaks join it.
    narrow = book.total_vol < 2.0 * np.diff(np.log(spots)).max()
    peaks = np.unique((book.strike / book.carry)[narrow])
    peaks = peaks[(peaks > spots[0]) & (peaks < spots[-1])]
    if peaks.size:
        spots, gex = np.append(spots, peaks), np.append(gex, gex_at(book, peaks))
        order = np.argsort(spots, kind="stable")
        spots, gex = spots[order], gex[order]
    # Where longs and shorts cancel to rounding, or nothing is left, the sign means nothing.
    gross = gex_at(dataclasses.replace(book, contracts=np.abs(book.contracts)), spots)
    solid = np.flatnonzero(np.abs(gex) > np.maximum(_ROUNDING * gross, _NOTHING * gross.max()))
    found = []
    for i, j in pairwise(solid):
        if gex[i] * gex[j] < 0.0:
            found.append(brentq(lambda s: float(gex_at(book, s)[0]), spots[i], spots[j], xtol=1e-6))
    return tuple(found)


def _largest(strike: np.ndarray, score: np.ndarray, net: np.ndarray) -> Level:
    order = np.argsort(-score, kind="stable")
    first = order[0]
    second = order[1] if order.size > 1 and score[order[1]] > 0.0 else None
    return Level(
        strike=float(strike[first]),
        gex_usd_per_1pct=float(net[first]),
        runner_up=None if second is None else float(strike[second]),
        confidence=1.0 if second is None else float(1.0 - score[second] / score[first]),
    )


def _max_pain(book: Book) -> float | None:
    """Strike that minimises Σ |n| × intrinsic over the contracts of the first expiry."""
    if not len(book):
        return None
    first = book.select(np.asarray(book.expiry == book.expiry.min()))
    strikes = np.unique(first.strike)
    if not first.contracts.any():
        return None
    sign = np.where(first.is_call, 1.0, -1.0)
    pays = np.maximum(sign * (strikes[:, None] - first.strike), 0.0) @ np.abs(first.contracts)
    return float(strikes[np.argmin(pays)])
