"""The book's delta tabulated once per step, and its inverse: cost per path does not grow with the book.

Two tables per step. By price: D and dD/dx on a uniform grid of log spot x, cubic between nodes; any book.
By right-hand side: D on a uniform grid of y = x + c D, one look-up instead of a search; steps whose map
rises well clear of a fold. At the close every settling strike is two equal nodes, so that its atom is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.sim.clearing import cubic, hermite, root_in_cell
from gammawall.sim.exact import Positions, book_delta, closing_positions, settled_delta
from gammawall.sim.schedule import Schedule
from gammawall.sim.types import SimConfig

__all__ = ["HedgeTable", "build_table", "sharpest_spread"]

_SPACING = 0.25
"""Node spacing in units of σ√τ of the sharpest expiry of the run at the last step before it settles: the
cubic's error is then below (1/4)⁴/384 × 1.38 ≈ 1.4e-5 of that expiry's delta."""
_FAR_SPACING = 0.1
"""The same for expiries beyond the run, which are tabulated on a coarser grid of their own."""
_TIME_NODES = 13
"""Instants at which far expiries are evaluated; between them a polynomial in variance time."""
_FAR_SHARE = 0.2
"""An expiry is far when at least this share of its variance is left at the close."""
_LEAST_CLIMB = 0.5
"""The inverse is used where dM/dx = 1 + g is at least this at every node. Towards a fold dx/dy grows without
bound and a cubic in y loses the price: by 4e-4 of the node spacing at 0.3, by a whole spacing at 0.02."""
_LEAD_IN = 0.8 ** np.arange(1, 33)
"""Shares of the last step left at the instants between it and the close, when the map folds at the close. The
path then decides which branch it settles on: a fold narrows as √τ, and is crossed the later the more rarely
one looks. Pin probability of a short wall (−20,000 contracts, 1 bp per USD bn, ±5 points): .0109 where the
ratio tends to 1, .0112 at 0.9, .0116 at 0.8, .0124 at 0.5; .017 with one-minute steps and no lead-in."""
_CLUSTER = np.linspace(-7.0, 7.0, 57)
"""Extra nodes around a settling strike, in units of its own σ√τ."""
_SPAN = 8.0
"""Half range of the fundamental log price in standard deviations; beyond it lies 1e-15 of the paths."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class HedgeTable:
    """Everything a step needs to know about the book. D in index units, prices in log spot.

    Rows k = 0 … N−2 of the per-step arrays belong to instants 1 … N−1; the close has its own arrays.
    """

    impact: Any
    """c = λ S_ref fraction, log price per index unit of delta"""
    start_delta: Any
    """D(0, S₀)"""
    start_feedback: Any
    """g(0, S₀)"""
    nodes: Any
    """[G]"""
    delta: Any
    """[N−1, G]"""
    slope: Any
    """dD/dx, [N−1, G]"""
    increasing: Any
    """whether the map rises well clear of a fold everywhere, so that `inverse` serves, [N−1]"""
    y_first: Any
    y_width: Any
    inverse: Any
    """cubic of D in each cell of y, [N−1, B, 4]; meaningful where `increasing`"""
    close_left: Any
    """share of the last step left at each of the L instants of the lead-in, [L]"""
    close_nodes: Any
    """[L + 1, H]: the lead-in, then the settlement itself"""
    close_delta: Any
    close_slope: Any
    close_increasing: Any


def build_table(
    positions: Positions,
    schedule: Schedule,
    log_spot: float,
    total_vol: float,
    log_drift: float,
    impact: float,
    config: SimConfig,
) -> HedgeTable:
    """Tabulate a book for one run.

    Args:
        positions: the book.
        schedule: the time grid.
        log_spot: x₀.
        total_vol: σ√T of the fundamental price over the run.
        log_drift: drift of the fundamental log price over the run.
        impact: c.
        config: `max_nodes`.
    """
    steps = np.arange(1, schedule.steps)
    far = (positions.variance_left[:, -1] >= _FAR_SHARE)[positions.group]
    start, start_slope = book_delta(positions, np.array([log_spot]), np.array([0]))
    y_low = log_spot + impact * start[0, 0] + min(log_drift, 0.0) - _SPAN * total_vol
    y_high = log_spot + impact * start[0, 0] + max(log_drift, 0.0) + _SPAN * total_vol
    low, high = _price_range(positions, log_spot, y_low, y_high, impact, schedule.steps)
    near_width, far_width = sharpest_spread(positions, far, low, high)
    coarse = _grid(low, high, _FAR_SPACING * far_width, config.max_nodes)
    wanted = min(_SPACING * near_width, _FAR_SPACING * far_width)
    nodes = _grid(low, high, wanted, config.max_nodes)
    delta, slope = book_delta(positions, nodes, steps, ~far)
    far_all = _far_delta(positions, coarse, schedule, far)
    if far.any():
        for total, addition in zip((delta, slope), _refine(coarse, *far_all, nodes), strict=True):
            total += addition[1 : schedule.steps]
    climb = 1.0 + impact * np.diff(delta, axis=1) / np.diff(nodes)
    increasing = (climb >= _LEAST_CLIMB).all(axis=1) & (1.0 + impact * slope >= _LEAST_CLIMB).all(axis=1)
    y = _grid(y_low, y_high, wanted, config.max_nodes)
    with jax.enable_x64(True):
        inverse = (
            np.asarray(_invert(y, nodes, delta, slope, impact))
            if steps.size
            else np.zeros((0, y.size - 1, 4))
        )
    at_close = tuple(a[-1] for a in _refine(coarse, *far_all, nodes))
    close = _settlement(positions, nodes, far, at_close, schedule.steps)
    settles_increasing = bool((np.diff(close[0] + impact * close[1]) >= 0.0).all())
    close_nodes, close_delta, close_slope = (
        close if settles_increasing else _lead_in(positions, nodes, coarse, far, close)
    )
    return HedgeTable(
        impact=np.float64(impact),
        start_delta=start[0, 0],
        start_feedback=impact * start_slope[0, 0],
        nodes=nodes,
        delta=delta,
        slope=slope,
        increasing=increasing,
        y_first=np.float64(y[0]),
        y_width=np.float64(y[1] - y[0]),
        inverse=np.nan_to_num(inverse),
        close_left=np.zeros(0) if settles_increasing else _LEAD_IN,
        close_nodes=np.atleast_2d(close_nodes),
        close_delta=np.atleast_2d(close_delta),
        close_slope=np.atleast_2d(close_slope),
        close_increasing=settles_increasing,
    )


def sharpest_spread(positions: Positions, far: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Smallest σ√τ that the tables must resolve: of near positions before settling, of far ones at the close.

    Positions whose strike lies outside the price range do not count. Infinite where there are none.
    """
    inside = (positions.log_strike > low) & (positions.log_strike < high) & (positions.units != 0.0)
    left = positions.variance_left
    before = np.where(left[:, 1:] > 0.0, left[:, 1:], np.inf).min(axis=1, initial=np.inf)
    near, distant = inside & ~far, inside & far
    widths = []
    for mask, share in ((near, before), (distant, left[:, -1])):
        s = positions.total_vol[mask] * np.sqrt(share[positions.group[mask]])
        widths.append(float(s.min(initial=np.inf)))
    return widths[0], widths[1]


def _grid(low: float, high: float, spacing: float, most: int) -> np.ndarray:
    """Uniform nodes, a multiple of 64 plus one so that few shapes are ever compiled."""
    wanted = (high - low) / spacing if spacing > 0.0 else np.inf
    cells = 64 * int(np.clip(np.ceil(min(wanted, 1e9) / 64.0), 2, max(most // 64, 2)))
    return np.linspace(low, high, cells + 1)


def _price_range(positions, log_spot, y_low, y_high, impact, last) -> tuple[float, float]:
    """Log prices that the map can reach from the whole range of y, looked for up to six times as far out."""
    probes = np.unique([0, last // 2, max(last - 1, 0), last])
    reach = max(y_high - y_low, 1e-6) / 2.0
    offsets = reach * np.linspace(-6.0, 6.0, 385)
    delta, _ = book_delta(positions, log_spot + offsets, probes)
    level = log_spot + offsets + impact * delta
    # The price stops at the first root, which a fold can only bring nearer: the running extremes decide.
    up = (np.maximum.accumulate(level[:, 192:], axis=1) >= y_high).all(axis=0)
    down = (np.minimum.accumulate(level[:, 192::-1], axis=1) <= y_low).all(axis=0)
    high = offsets[192:][np.argmax(up)] if up.any() else offsets[-1]
    low = offsets[192::-1][np.argmax(down)] if down.any() else offsets[0]
    return log_spot + low - 0.05 * reach, log_spot + high + 0.05 * reach


def _far_delta(positions, coarse, schedule: Schedule, far) -> tuple[np.ndarray, np.ndarray]:
    """D and dD/dx of far expiries at every instant on the coarse grid, [N + 1, coarse]."""
    last = schedule.steps
    every = np.arange(last + 1)
    if not far.any():
        empty = np.zeros((last + 1, coarse.size))
        return empty, empty
    spent = np.concatenate([[0.0], np.cumsum(schedule.variance)])
    one_session = bool(schedule.instants.normalize().nunique() == 1)
    if last <= _TIME_NODES or not one_session:
        return book_delta(positions, coarse, every, far)
    wanted = 0.5 * (1.0 - np.cos(np.pi * np.arange(_TIME_NODES) / (_TIME_NODES - 1)))
    chosen = np.unique(np.searchsorted(spent, wanted * spent[-1] * (1.0 - 1e-12)))
    delta, slope = book_delta(positions, coarse, chosen, far)
    weights = _lagrange(spent[chosen] / spent[-1], spent / spent[-1])
    return weights @ delta, weights @ slope


def _lagrange(at: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Matrix of the polynomial interpolation from points `at` to points `where`."""
    weights = np.ones((where.size, at.size))
    for i in range(at.size):
        others = np.delete(at, i)
        weights[:, i] = np.prod((where[:, None] - others) / (at[i] - others), axis=1)
    return weights


def _refine(coarse, delta, slope, nodes) -> tuple[np.ndarray, np.ndarray]:
    """Hermite interpolation of D and dD/dx from the coarse to the fine grid, [M, G]."""
    if coarse.size == nodes.size:
        return delta, slope
    width = coarse[1] - coarse[0]
    position = (nodes - coarse[0]) / width
    cell = np.clip(position.astype(int), 0, coarse.size - 2)
    u = position - cell
    u2, u3 = u * u, u * u * u
    d0, d1, m0, m1 = delta[:, cell], delta[:, cell + 1], slope[:, cell] * width, slope[:, cell + 1] * width
    value = d0 + (3 * u2 - 2 * u3) * (d1 - d0) + (u - 2 * u2 + u3) * m0 + (u3 - u2) * m1
    rate = (6 * u - 6 * u2) * (d1 - d0) + (1 - 4 * u + 3 * u2) * m0 + (3 * u2 - 2 * u) * m1
    return value, rate / width


@jax.jit
def _invert(y, nodes, delta, slope, c):
    """Cubics of D over cells of y, from the roots of the map at the nodes of y; [N−1, B, 4]."""

    def one(terms):
        d, m = terms
        width = nodes[1] - nodes[0]
        coefficients = hermite(d[:-1], d[1:], m[:-1] * width, m[1:] * width)
        cell = jnp.clip(jnp.searchsorted(nodes + c * d, y, side="right") - 1, 0, nodes.shape[0] - 2)
        u = root_in_cell(y, nodes[cell], width, coefficients[cell], c)
        value, rate = cubic(coefficients[cell], u)
        rate = rate / width
        per_y = rate / (1.0 + c * rate) * (y[1] - y[0])
        return hermite(value[:-1], value[1:], per_y[:-1], per_y[1:])

    return jax.lax.map(one, (delta, slope))


def _settlement(
    positions: Positions, nodes, far, far_close, last
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, D and dD/dx at the close, with two equal nodes at every strike that settles there."""
    strikes, jumps = settled_delta(positions)
    settling = positions.settles_at_close
    smooth, smooth_slope = book_delta(positions, nodes, np.array([last]), ~far & ~settling)
    puts = positions.puts[settling].sum()
    inside = (strikes > nodes[0]) & (strikes < nodes[-1])
    below = jumps[strikes <= nodes[0]].sum()
    strikes, jumps = strikes[inside], jumps[inside]
    x = np.concatenate([nodes, strikes, strikes])
    value, rate = _refine(nodes, smooth + far_close[0], smooth_slope + far_close[1], x)
    steps_below = np.concatenate([[0.0], np.cumsum(jumps)])
    passed = np.arange(strikes.size)
    kind = np.concatenate([np.searchsorted(strikes, nodes, side="left"), passed, passed + 1])
    total = value[0] + below - puts + steps_below[kind]
    order = np.lexsort((np.concatenate([np.zeros(nodes.size + strikes.size), np.ones(strikes.size)]), x))
    return x[order], total[order], rate[0][order]


def _lead_in(positions: Positions, nodes, coarse, far, close) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, D and dD/dx at the instants of the lead-in and at the settlement, [L + 1, H].

    Around every settling strike the nodes are as dense as its own σ√τ demands at that instant; all other
    positions are smooth there and come from the grid.
    """
    leading, instants = closing_positions(positions, _LEAD_IN), np.arange(_LEAD_IN.size)
    settling = positions.settles_at_close
    smooth, smooth_slope = book_delta(leading, nodes, instants, ~far & ~settling)
    if far.any():
        chosen = 0.5 * (1.0 - np.cos(np.pi * np.arange(_TIME_NODES) / (_TIME_NODES - 1)))
        few, few_slope = book_delta(closing_positions(positions, chosen), coarse, np.arange(_TIME_NODES), far)
        weights = _lagrange(chosen, _LEAD_IN)
        added, added_slope = _refine(coarse, weights @ few, weights @ few_slope, nodes)
        smooth, smooth_slope = smooth + added, smooth_slope + added_slope
    inside = settling & (positions.log_strike > nodes[0]) & (positions.log_strike < nodes[-1])
    strikes, which = np.unique(positions.log_strike[inside], return_inverse=True)
    rows = []
    for j in instants:
        spread = np.full(strikes.size, np.inf)
        share = leading.variance_left[positions.group[inside], j]
        np.minimum.at(spread, which.ravel(), positions.total_vol[inside] * np.sqrt(share))
        clusters = (strikes[:, None] + spread[:, None] * _CLUSTER).ravel()
        clusters = clusters[(clusters > nodes[0]) & (clusters < nodes[-1])]
        x = np.sort(np.concatenate([nodes, clusters]))
        delta, slope = book_delta(leading, _pad(x, -(-x.size // 512) * 512), np.array([j]), settling)
        rest, rest_slope = _refine(nodes, smooth[[j]], smooth_slope[[j]], x)
        rows.append((x, delta[0, : x.size] + rest[0], slope[0, : x.size] + rest_slope[0]))
    rows.append(close)
    longest = max(row[0].size for row in rows)
    x, delta, slope = (np.stack([_pad(row[i], longest) for row in rows]) for i in range(3))
    return x, delta, slope


def _pad(values: np.ndarray, size: int) -> np.ndarray:
    """Repeat the last entry up to a common size; equal nodes are harmless."""
    return np.concatenate([values, np.full(size - values.size, values[-1])])


def table_error(table: HedgeTable, positions: Positions, schedule: Schedule, spot: float) -> float:
    """Largest price error of the tables between their nodes, index points, against summing every contract.

    Looks at instants spread over the run, at those just before, at and after each settlement and each change
    from inverse to search, at the first and last instant of the lead-in, and at the close. A price near a
    fold is as uncertain as the fold; which side of it a path falls on is not counted.
    """
    worst = 0.0
    for k in _instants_to_check(table, positions, schedule.steps):
        if table.increasing[k - 1]:
            worst = max(worst, _inverse_error(table, positions, k))
        else:
            row = (table.nodes, table.delta[k - 1], table.slope[k - 1])
            worst = max(worst, _search_error(row, positions, k, float(table.impact)))
    rows = list(zip(table.close_nodes, table.close_delta, table.close_slope, strict=True))
    worst = max(worst, _search_error(rows[-1], positions, schedule.steps, float(table.impact)))
    if len(rows) > 1:
        leading = closing_positions(positions, table.close_left)
        for j in (0, len(rows) - 2):
            worst = max(worst, _search_error(rows[j], leading, j, float(table.impact)))
    return worst * spot


def _instants_to_check(table: HedgeTable, positions: Positions, steps: int) -> list[int]:
    spread = np.linspace(1, steps - 1, 9).astype(int)
    settled = np.flatnonzero(np.diff((positions.variance_left > 0.0).sum(axis=0)))
    changes = np.flatnonzero(np.diff(table.increasing.astype(int))) + 1
    chosen = np.concatenate([spread, settled, settled + 1, settled + 2, changes, changes + 1])
    return [int(k) for k in np.unique(chosen) if 0 < k < steps]


_BETWEEN = np.array([0.25, 0.5, 0.75])
"""Where in a cell the error is looked at."""
_MOST_CELLS = 256
"""Cells looked at: this many with the strongest curvature, and as many spread evenly."""


def _cells_to_check(curvature: np.ndarray) -> np.ndarray:
    even = np.linspace(0, curvature.size - 1, min(_MOST_CELLS, curvature.size)).astype(int)
    return np.unique(np.concatenate([even, np.argsort(curvature)[-_MOST_CELLS:]]))


def _inverse_error(table: HedgeTable, positions: Positions, k: int) -> float:
    c, cubics = float(table.impact), table.inverse[k - 1]
    cells = _cells_to_check(np.abs(cubics[:, 2:]).sum(axis=1))
    y = table.y_first + table.y_width * (cells[:, None] + _BETWEEN).ravel()
    delta = _evaluate(cubics[cells])
    exact, slope = _exact_delta(positions, y - c * delta, k)
    return _price_error(c * (delta - exact), 1.0 + c * slope, 0.0, table.y_width / _LEAST_CLIMB)


def _search_error(row, positions: Positions, k: int, c: float) -> float:
    nodes, d, m = row
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
    delta, slope = book_delta(positions, _pad(x, -(-x.size // 512) * 512), np.array([k]))
    return delta[0, : x.size], slope[0, : x.size]


def _price_error(error, climb, bend, width) -> float:
    """Price error where the level M is off by `error`: error/M′ on a slope, √(2 error/|M″|) at a fold.

    Never more than a cell, whose ends are exact.
    """
    error = np.abs(error)
    slowest = np.maximum(np.maximum(np.abs(climb), np.sqrt(0.5 * error * np.abs(bend))), 1e-300)
    return float(np.minimum(error / slowest, width).max(initial=0.0))
