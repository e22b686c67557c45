"""How far the tables are from the book itself: the error that every run reports."""

from __future__ import annotations

import jax
import numpy as np

from gammawall.sim.book.interpolation import hermite
from gammawall.sim.book.positions import Positions, book_delta, positions_within
from gammawall.sim.book.table import LEAST_CLIMB, LOOK_UP, SEARCH, SETTLE, HedgeTable
from gammawall.sim.sampling.schedule import Schedule
from gammawall.surfaces.arrays import Array

__all__ = ["table_error"]


def table_error(table: HedgeTable, positions: Positions, schedule: Schedule, spot: float) -> float:
    """Largest price error of the tables between their nodes, index points, against summing every contract.

    Looks at instants spread over the run, at those just before, at and after each settlement and each change
    from inverse to search, and at the first and last instant of each lead-in. A price near a
    fold is as uncertain as the fold; which side of it a path falls on is not counted.
    """
    worst, c = 0.0, float(table.impact)
    for k in _instants_to_check(table, positions, schedule.steps):
        if table.kind[k - 1] == LOOK_UP:
            worst = max(worst, _inverse_error(table, positions, k))
        elif table.kind[k - 1] == SEARCH:
            row = (table.nodes, table.delta[k - 1], table.slope[k - 1])
            worst = max(worst, _search_error(row, positions, k, c))
    for k in np.flatnonzero(table.kind == SETTLE) + 1:
        arrays = (table.settle_nodes, table.settle_delta, table.settle_slope)
        rows = list(zip(*(a[table.settlement[k - 1]] for a in arrays), strict=True))
        worst = max(worst, _search_error(rows[-1], positions, int(k), c))
        if len(rows) > 1:
            within = positions_within(positions, int(k), np.asarray(table.settle_left))
            for j in (0, len(rows) - 2):
                worst = max(worst, _search_error(rows[j], within, j, c))
    return worst * spot


def _instants_to_check(table: HedgeTable, positions: Positions, steps: int) -> list[int]:
    even = np.linspace(1, steps - 1, 9).astype(int)
    settled = np.flatnonzero(np.diff((positions.variance_left > 0.0).sum(axis=0)))
    changes = np.flatnonzero(np.diff(table.kind)) + 1
    chosen = np.concatenate([even, settled, settled + 1, settled + 2, changes, changes + 1])
    return [int(k) for k in np.unique(chosen) if 0 < k < steps]


_BETWEEN = np.array([0.25, 0.5, 0.75])
"""Where in a cell the error is looked at."""
_MOST_CELLS = 256
"""Cells looked at: this many with the strongest curvature, and as many spread evenly."""


def _cells_to_check(curvature: np.ndarray) -> np.ndarray:
    even = np.linspace(0, curvature.size - 1, min(_MOST_CELLS, curvature.size)).astype(int)
    return np.unique(np.concatenate([even, np.argsort(curvature)[-_MOST_CELLS:]]))


def _inverse_error(table: HedgeTable, positions: Positions, k: int) -> float:
    c, cubics = float(table.impact), np.asarray(table.inverse[k - 1])
    cells = _cells_to_check(np.abs(cubics[:, 2:]).sum(axis=1))
    width = float(table.y_width)
    y = float(table.y_first) + width * (cells[:, None] + _BETWEEN).ravel()
    delta = _evaluate(cubics[cells])
    exact, slope = _exact_delta(positions, y - c * delta, k)
    return _price_error(c * (delta - exact), 1.0 + c * slope, 0.0, width / LEAST_CLIMB)


def _search_error(row: tuple[Array, Array, Array], positions: Positions, k: int, c: float) -> float:
    nodes, d, m = (np.asarray(a) for a in row)
    wide = np.flatnonzero(np.diff(nodes) > 0.0)
    cells = wide[_cells_to_check(np.abs(np.diff(m)[wide]) * np.diff(nodes)[wide])]
    width, after = np.diff(nodes)[cells], cells + 1
    with jax.enable_x64(True):
        cubics = np.asarray(hermite(d[cells], d[after], m[cells] * width, m[after] * width))
    delta = _evaluate(cubics)
    x = (nodes[cells, None] + width[:, None] * _BETWEEN).ravel()
    exact, slope = _exact_delta(positions, x, k)
    bend = c * np.repeat(np.diff(m)[cells] / width, _BETWEEN.size)
    return _price_error(c * (delta - exact), 1.0 + c * slope, bend, np.repeat(width, _BETWEEN.size))


def _evaluate(cubics: np.ndarray) -> np.ndarray:
    powers = _BETWEEN[:, None] ** np.arange(4)
    return (cubics @ powers.T).ravel()


def _exact_delta(positions: Positions, x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    delta, slope = book_delta(positions, x, np.array([k]))
    return delta[0], slope[0]


def _price_error(
    error: np.ndarray, climb: np.ndarray, bend: np.ndarray | float, width: np.ndarray | float
) -> float:
    """Price error where the level M is off by `error`: error/M′ on a slope, √(2 error/|M″|) at a fold.

    Never more than a cell, whose ends are exact.
    """
    error = np.abs(error)
    slowest = np.maximum(np.maximum(np.abs(climb), np.sqrt(0.5 * error * np.abs(bend))), 1e-300)
    return float(np.minimum(error / slowest, width).max(initial=0.0))
