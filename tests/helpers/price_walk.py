"""Hedged prices by direct search along the map: NumPy and scipy only, nothing of the simulator."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr


class Option(NamedTuple):
    """One position; `years` is variance time to expiry at the start."""

    contracts: float
    strike: float
    vol: float
    is_call: bool
    years: float


def hedge_delta(x: np.ndarray, options: list[Option], left: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Delta in index units at log prices x, `left` the variance time left of each option.

    At settlement (nothing left) the delta is a step; `side` says on which side of a strike x lies when it is
    exactly there.
    """
    total = np.zeros_like(x)
    for option, years in zip(options, left, strict=True):
        k = np.log(option.strike)
        if years > 0.0:
            s = option.vol * np.sqrt(years)
            call = ndtr((x - k) / s + 0.5 * s)
        else:
            call = np.where(x == k, side > 0, x > k).astype(float)
        total += 100.0 * option.contracts * (call if option.is_call else call - 1.0)
    return total


def walk(options: list[Option], left: np.ndarray, y: np.ndarray, x_start: float, c: float) -> np.ndarray:
    """Log prices at every instant, [K, P]: from the previous price to the first root in the pushed direction.

    Args:
        options: the book.
        left: variance time left of each option at each instant, [K, options]; zero at settlement.
        y: right-hand side of the map, [K, P].
        x_start: log price before the first instant.
        c: λ S_ref.
    """
    x = np.full(y.shape[1], x_start)
    out = np.empty_like(y)
    for row, (years, target) in enumerate(zip(left, y, strict=True)):
        grid, side = _scan_grid(options, years, min(x.min(), target.min()), max(x.max(), target.max()))
        level = grid + c * hedge_delta(grid, options, years, side)
        rises = target > x + c * hedge_delta(x, options, years, np.ones_like(x))
        first, after = np.searchsorted(grid, x, "right"), np.searchsorted(grid, x, "left")
        low, high = x.copy(), x.copy()
        for i in range(x.size):
            if rises[i]:
                j = first[i] + int(np.argmax(level[first[i] :] >= target[i]))
                assert level[j] >= target[i], "no root above on the scan grid"
                low[i], high[i] = max(grid[j - 1], x[i]), grid[j]
            else:
                j = after[i] - 1 - int(np.argmax(level[: after[i]][::-1] <= target[i]))
                assert level[j] <= target[i], "no root below on the scan grid"
                low[i], high[i] = grid[j], min(grid[j + 1], x[i]) if j + 1 >= after[i] else grid[j + 1]
        for _ in range(45):
            middle = 0.5 * (low + high)
            below = middle + c * hedge_delta(middle, options, years, np.ones_like(x)) < target
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        x = out[row] = 0.5 * (low + high)
    return out


def _scan_grid(options: list[Option], years: np.ndarray, low: float, high: float):
    """A dense grid, thirty to the standard deviation around each strike; settled strikes appear twice."""
    parts = [np.linspace(low - 0.06, high + 0.06, 1200)]
    settled = []
    for option, t in zip(options, years, strict=True):
        k = np.log(option.strike)
        if t > 0.0:
            parts.append(k + option.vol * np.sqrt(t) * np.linspace(-8.0, 8.0, 481))
        else:
            settled.append(k)
    smooth = np.setdiff1d(np.concatenate(parts), settled)
    twice = np.unique(settled)
    grid = np.concatenate([smooth, twice, twice])
    side = np.concatenate([np.zeros(smooth.size), -np.ones(twice.size), np.ones(twice.size)])
    order = np.lexsort((side, grid))
    return grid[order], side[order]
