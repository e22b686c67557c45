"""What dealers would have to trade: the book repriced whole over spot, time and vol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from gammawall.surfaces.arrays import Numbers
from gammawall.surfaces.clock import VarianceClock
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.exposures import gex_at, position_exposures
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import ONE_PERCENT, VOL_POINT

__all__ = ["delta_usd", "gex_heatmap", "hedge_ladder"]

_SECONDS_PER_DAY = 86400.0


def gex_heatmap(
    book: Book, spots: Numbers, instants: Sequence[Any], clock: VarianceClock | None = None
) -> pd.DataFrame:
    """GEX over spot and time by full repricing, USD per 1 %; sticky strike.

    Args:
        book: dealers' positions.
        spots: index points, [G].
        instants: times from the book's own on; a contract is gone once it has expired.
        clock: how variance runs off; flat sessions when not given.

    Returns:
        A frame with one row per instant and one column per spot; ``attrs["units"]`` says USD per 1 %.

    Example:
        >>> times = ["2026-01-28T10:00", "2026-01-28T15:00"]
        >>> heat = surfaces.gex_heatmap(book, [6950.0, 7000.0, 7050.0], times)
        >>> (heat / 1e9).round(1).to_numpy()
        array([[ 4.7,  7.7,  4.8],
               [ 1. , 18.8,  1.1]])
    """
    grid = np.asarray(spots, float)
    rows = {}
    for instant in instants:
        left = book.at(instant, clock)
        rows[left.as_of] = gex_at(left, grid) if len(left) else np.zeros(grid.size)
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=pd.Index(grid, name="spot_points"))
    frame.attrs["units"] = "USD per 1 %"
    return frame.rename_axis(index="time")


def delta_usd(book: Book, spot: float, vol_shift: float = 0.0) -> float:
    """USD delta of the options at a spot, every vol shifted by the same amount: S Σ n m D c Φ(±d₁).

    Args:
        book: dealers' positions.
        spot: index points.
        vol_shift: decimal, added to each position's own vol; no vol falls below 0.01 %.
    """
    s = np.maximum(book.vol + vol_shift, 1e-4) * np.sqrt(book.variance_years)
    x = np.log(spot * book.carry / book.strike)
    # Without variance left the option has its step delta.
    d1 = np.where(s > 0.0, x / np.where(s > 0.0, s, 1.0) + 0.5 * s, np.sign(x) * 40.0)
    delta = np.where(book.is_call, ndtr(d1), ndtr(d1) - 1.0) * book.carry * book.discount
    return float(spot * book.multiplier * np.sum(book.contracts * delta))


def hedge_ladder(
    book: Book,
    *,
    spot_moves_pct: Sequence[float] = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0),
    instants: Sequence[Any] | None = None,
    vol_moves_points: Sequence[float] = (-2.0, 0.0, 2.0),
    clock: VarianceClock | None = None,
) -> pd.DataFrame:
    """Hedge trades that each combination of spot, time and vol calls for, and where they come from.

    Dealers trade −(change of the book's index delta) × new spot. The change is explained by the greeks at
    the start: gamma and spot, vanna and vol, charm and time; what they miss is the residual.

    Args:
        book: dealers' positions.
        spot_moves_pct: percent of spot.
        instants: times from the book's own on; the book's own when not given.
        vol_moves_points: vol points added to every vol.
        clock: how variance runs off.

    Returns:
        One row per combination: ``spot_points``, ``time``, ``vol_move_points``, ``trade_usd`` (bought
        positive), its parts ``gamma_usd``, ``vanna_usd``, ``charm_usd`` and ``residual_usd``.

    Raises:
        InputError: the book is empty.

    Example:
        >>> ladder = surfaces.hedge_ladder(book, spot_moves_pct=[-1.0, 1.0], vol_moves_points=[0.0])
        >>> (ladder.groupby("spot_points")["trade_usd"].first() / 1e9).round(1).to_dict()
        {6930.0: 5.7, 7070.0: -5.7}
    """
    if not len(book):
        raise InputError("the book is empty: there is nothing to hedge")
    here = position_exposures(book).sum()
    per_point = here["gex_usd_per_1pct"] / (ONE_PERCENT * book.spot**2)
    start = delta_usd(book, book.spot) / book.spot
    rows = []
    for instant in instants or (book.as_of,):
        left = book.at(instant, clock)
        days = (left.as_of - book.as_of).total_seconds() / _SECONDS_PER_DAY
        for vol_move in vol_moves_points:
            for move in spot_moves_pct:
                spot = book.spot * (1.0 + move * ONE_PERCENT)
                trade = -(delta_usd(left, spot, vol_move * VOL_POINT) / spot - start) * spot
                parts = {
                    "gamma_usd": -per_point * (spot - book.spot) * spot,
                    "vanna_usd": -here["vex_usd_per_vol_point"] / book.spot * vol_move * spot,
                    "charm_usd": -here["cex_usd_per_day"] / book.spot * days * spot,
                }
                rows.append(
                    {
                        "spot_points": spot,
                        "time": left.as_of,
                        "vol_move_points": vol_move,
                        "trade_usd": trade,
                    }
                    | parts
                    | {"residual_usd": trade - sum(parts.values())}
                )
    return pd.DataFrame(rows)
