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

from gammawall.sim.book.interpolation import cubic, hermite, lagrange_matrix, refine, root_in_cell
from gammawall.sim.book.positions import Positions, book_delta, positions_within, settled_delta
from gammawall.sim.sampling.schedule import Schedule
from gammawall.sim.types import SimConfig
from gammawall.surfaces.arrays import Array
from gammawall.surfaces.precision import top_level

__all__ = [
    "LEAST_CLIMB",
    "LOOK_UP",
    "SEARCH",
    "SETTLE",
    "HedgeTable",
    "build_table",
    "far_positions",
    "sharpest_total_vol",
    "still_potential",
]

_SPACING = 0.25
"""Node spacing in units of σ√τ of the sharpest expiry of the run at the last step before it settles: the
cubic's error is then below (1/4)⁴/384 × 1.38 ≈ 1.4e-5 of that expiry's delta."""
_FAR_SPACING = 0.1
"""The same for expiries beyond the run, which are tabulated on a coarser grid of their own."""
_TIME_NODES = 13
"""Instants at which far expiries are evaluated; between them a polynomial in variance time."""
_FAR_SHARE = 0.2
"""An expiry is far when at least this share of its variance is left at the close."""
LEAST_CLIMB = 0.5
"""The inverse is used where dM/dx = 1 + g is at least this at every node. Towards a fold dx/dy grows without
bound and a cubic in y loses the price: by 4e-4 of the node spacing at 0.3, by a whole spacing at 0.02."""
_LEAD_IN_SHARES = 0.8 ** np.arange(1, 33)
"""Shares of the last step left at the instants between it and the close, when the map folds at the close. The
path then decides which branch it settles on: a fold narrows as √τ, and is crossed the later the more rarely
one looks. Pin probability of a short wall (−20,000 contracts, 1 bp per USD bn, ±5 points): .0109 where the
ratio tends to 1, .0112 at 0.9, .0116 at 0.8, .0124 at 0.5; .017 with one-minute steps and no lead-in."""
_CLUSTER = np.linspace(-7.0, 7.0, 57)
"""Extra nodes around a settling strike, in units of its own σ√τ."""


Pair = tuple[np.ndarray, np.ndarray]
"""D and dD/dx on the same nodes"""

LOOK_UP, SEARCH, SETTLE = 0, 1, 2
"""How the price of an instant is found: by the inverse table, by search, by search where contracts settle."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class HedgeTable:
    """Everything a step needs to know about the book. D in index units, prices in log spot.

    Row k of the per-step arrays belongs to instant k + 1 and counts the contracts that live beyond it; those
    that settle there are added in the rows of their settlement.
    """

    impact: Array | float
    """c = λ S_ref fraction, log price per index unit of delta"""
    start_delta: Array
    """D(0, S₀)"""
    start_feedback: Array
    """g(0, S₀)"""
    nodes: Array
    """[G]"""
    delta: Array
    """[N, G]"""
    slope: Array
    """dD/dx, [N, G]"""
    kind: Array
    """LOOK_UP where the map rises well clear of a fold everywhere, SEARCH or SETTLE, [N]"""
    settlement: Array
    """row of the settle arrays, 0 where nothing settles, [N]"""
    y_first: Array | float
    y_width: Array | float
    inverse: Array
    """cubic of D in each cell of y, [N, B, 4]; meaningful where `kind` is LOOK_UP"""
    settle_left: Array
    """share of the settling step left at each of the L instants of the lead-in, [L]"""
    settle_nodes: Array
    """[E, L + 1, H]: the lead-in, then the settlement itself"""
    settle_delta: Array
    settle_slope: Array
    close_increasing: Array
    """whether the map at the close is increasing"""


def build_table(
    positions: Positions,
    schedule: Schedule,
    log_spot: float,
    log_range: tuple[float, float],
    impact: float,
    config: SimConfig,
    *,
    any_policy: bool = False,
) -> HedgeTable:
    """Tabulate a book for one run.

    Args:
        positions: the book.
        schedule: the time grid.
        log_spot: x₀.
        log_range: lowest and highest value of X − x₀ that the fundamental log price will take.
        impact: c.
        config: `max_nodes`.
        any_policy: whether the price may also go wherever the fundamental price does.
    """
    steps = np.arange(1, schedule.steps + 1)
    far = far_positions(positions)
    start, start_slope = book_delta(positions, np.array([log_spot]), np.array([0]), settling=False)
    y_low, y_high = log_spot + impact * start[0, 0] + np.array(log_range)
    low, high = _price_range(positions, log_spot, y_low, y_high, impact, schedule.steps)
    if any_policy:
        low, high = min(low, log_spot + log_range[0]), max(high, log_spot + log_range[1])
    near_width, far_width = sharpest_total_vol(positions, far, low, high)
    coarse = _grid(low, high, _FAR_SPACING * far_width, config.max_nodes)
    wanted = min(_SPACING * near_width, _FAR_SPACING * far_width)
    nodes = _grid(low, high, wanted, config.max_nodes)
    delta, slope = book_delta(positions, nodes, steps, ~far, settling=False)
    distant = _far_delta(positions, coarse, schedule, far)
    if far.any():
        for total, addition in zip((delta, slope), refine(coarse, *distant, nodes), strict=True):
            total += addition[1:]
    climb = 1.0 + impact * np.diff(delta, axis=1) / np.diff(nodes)
    rises = (climb >= LEAST_CLIMB).all(axis=1) & (1.0 + impact * slope >= LEAST_CLIMB).all(axis=1)
    if (positions.settlements < schedule.steps).any():
        # Handing over a settled hedge moves y by as much as it was, while the price stays.
        edges = nodes[[0, -1]] + impact * delta[:, [0, -1]]
        y_low, y_high = min(y_low, edges[:, 0].min()), max(y_high, edges[:, 1].max())
    y = _grid(y_low, y_high, wanted, config.max_nodes)
    with jax.enable_x64(True):
        inverse = np.nan_to_num(np.asarray(top_level(_invert)(y, nodes, delta, slope, impact)))
    # The close always has settlement rows, so that books with and without same-day contracts share a shape.
    settling = np.union1d(positions.settlements[positions.settlements > 0], [schedule.steps])
    settled = _settle_rows(positions, nodes, (delta, slope), settling, impact)
    kind = np.where(rises, LOOK_UP, SEARCH)
    kind[settling - 1] = SETTLE
    return HedgeTable(
        impact=np.float64(impact),
        start_delta=start[0, 0],
        start_feedback=impact * start_slope[0, 0],
        nodes=nodes,
        delta=delta,
        slope=slope,
        kind=kind,
        settlement=np.maximum(np.searchsorted(settling, steps), 0) * (kind == SETTLE),
        y_first=np.float64(y[0]),
        y_width=np.float64(y[1] - y[0]),
        inverse=inverse,
        **settled,
    )


def far_positions(positions: Positions) -> np.ndarray:
    """Positions that move slowly all through the run, [P]."""
    return (positions.variance_left[:, -1] >= _FAR_SHARE)[positions.group]


def still_potential(
    table: HedgeTable, positions: Positions, schedule: Schedule
) -> tuple[np.ndarray, np.ndarray]:
    """∫ ∂D/∂x dx at fixed vols on the nodes of a table, and the integrand; [N, G] each.

    Its change from one price to another is what gamma asks of the hedge; what D itself changes beyond that is
    vanna. By the trapezium rule, good to (1/4)²/12 of the sharpest expiry's gamma at its last step.
    """
    far, nodes = far_positions(positions), np.asarray(table.nodes)
    steps = np.arange(1, schedule.steps + 1)
    _, slope = book_delta(positions, nodes, steps, ~far, settling=False, frozen=True)
    if far.any():
        coarse = np.linspace(nodes[0], nodes[-1], 257)
        _, rate = _far_delta(positions, coarse, schedule, far, frozen=True)
        slope += np.stack([np.interp(nodes, coarse, row) for row in rate[1:]])
    rise = 0.5 * (slope[:, 1:] + slope[:, :-1]) * np.diff(nodes)
    return np.concatenate([np.zeros((steps.size, 1)), np.cumsum(rise, axis=1)], axis=1), slope


def sharpest_total_vol(positions: Positions, far: np.ndarray, low: float, high: float) -> tuple[float, float]:
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
    """Uniform nodes: 128, 192, 256, 384, 512 … cells, so that a change of numbers seldom changes a shape,
    which would be compiled anew."""
    wanted = min((high - low) / spacing if spacing > 0.0 else np.inf, 1e9)
    sizes = 64 * np.sort(np.append(2 ** np.arange(1, 25), 3 * 2 ** np.arange(24)))
    cells = min(int(sizes[np.searchsorted(sizes, wanted)]), 64 * max(most // 64, 2))
    return np.linspace(low, high, cells + 1)


def _price_range(
    positions: Positions, log_spot: float, y_low: float, y_high: float, impact: float, last: int
) -> tuple[float, float]:
    """Log prices that the map can reach from the whole range of y, looked for up to six times as far out."""
    probes = np.unique([0, last // 2, max(last - 1, 0), last, *positions.settlements])
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


def _far_delta(
    positions: Positions, coarse: np.ndarray, schedule: Schedule, far: np.ndarray, *, frozen: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """D and dD/dx of far expiries at every instant on the coarse grid, [N + 1, coarse]."""
    last = schedule.steps
    every = np.arange(last + 1)
    if not far.any():
        empty = np.zeros((last + 1, coarse.size))
        return empty, empty
    spent = np.concatenate([[0.0], np.cumsum(schedule.variance)])
    one_session = bool(schedule.instants.normalize().nunique() == 1)
    if last <= _TIME_NODES or not one_session:
        return book_delta(positions, coarse, every, far, frozen=frozen)
    wanted = 0.5 * (1.0 - np.cos(np.pi * np.arange(_TIME_NODES) / (_TIME_NODES - 1)))
    chosen = np.unique(np.searchsorted(spent, wanted * spent[-1] * (1.0 - 1e-12)))
    delta, slope = book_delta(positions, coarse, chosen, far, frozen=frozen)
    weights = lagrange_matrix(spent[chosen] / spent[-1], spent / spent[-1])
    return weights @ delta, weights @ slope


@jax.jit
def _invert(y: Array, nodes: Array, delta: Array, slope: Array, c: Array | float):
    """Cubics of D over cells of y, from the roots of the map at the nodes of y; [N−1, B, 4]."""

    def one(terms: tuple[Array, Array]):
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


def _settle_rows(
    positions: Positions, nodes: np.ndarray, smooth: Pair, settling: np.ndarray, impact: float
) -> dict[str, Any]:
    """The settle arrays of `HedgeTable`: with a lead-in to every settlement if the map folds at any."""
    rows = [_settlement(positions, nodes, smooth[0][[k - 1]], smooth[1][[k - 1]], int(k)) for k in settling]
    rising = [bool((np.diff(x + impact * d) >= 0.0).all()) for x, d, _ in rows]
    left = np.zeros(0) if all(rising) else _LEAD_IN_SHARES
    stacks = [
        [*(_lead_in(positions, nodes, smooth, int(k)) if left.size else ()), row]
        for k, row in zip(settling, rows, strict=True)
    ]
    longest = max(row[0].size for stack in stacks for row in stack)
    x, delta, slope = (
        np.stack([np.stack([_pad(row[i], longest) for row in stack]) for stack in stacks]) for i in range(3)
    )
    return {
        "settle_left": left,
        "settle_nodes": x,
        "settle_delta": delta,
        "settle_slope": slope,
        "close_increasing": rising[-1],
    }


Row = tuple[np.ndarray, np.ndarray, np.ndarray]


def _settlement(
    positions: Positions, nodes: np.ndarray, smooth: np.ndarray, smooth_slope: np.ndarray, step: int
) -> Row:
    """Nodes, D and dD/dx at a settlement, with two equal nodes at every strike that settles there."""
    strikes, jumps = settled_delta(positions, step)
    puts = positions.puts[positions.settles(step)].sum()
    inside = (strikes > nodes[0]) & (strikes < nodes[-1])
    below = jumps[strikes <= nodes[0]].sum()
    strikes, jumps = strikes[inside], jumps[inside]
    x = np.concatenate([nodes, strikes, strikes])
    value, rate = refine(nodes, smooth, smooth_slope, x)
    steps_below = np.concatenate([[0.0], np.cumsum(jumps)])
    passed = np.arange(strikes.size)
    kind = np.concatenate([np.searchsorted(strikes, nodes, side="left"), passed, passed + 1])
    total = value[0] + below - puts + steps_below[kind]
    order = np.lexsort((np.concatenate([np.zeros(nodes.size + strikes.size), np.ones(strikes.size)]), x))
    return x[order], total[order], rate[0][order]


def _lead_in(positions: Positions, nodes: np.ndarray, smooth: Pair, step: int) -> list[Row]:
    """Nodes, D and dD/dx at the instants of the lead-in to a settlement.

    Around every settling strike the nodes are as dense as its own σ√τ demands at that instant; what lives on
    is smooth there and is taken on the straight line in time between the two ends of the step.
    """
    within, instants = positions_within(positions, step, _LEAD_IN_SHARES), np.arange(_LEAD_IN_SHARES.size)
    settling = positions.settles(step)
    rest, rest_slope = _across(positions, nodes, smooth, step, settling)
    inside = settling & (positions.log_strike > nodes[0]) & (positions.log_strike < nodes[-1])
    strikes, which = np.unique(positions.log_strike[inside], return_inverse=True)
    rows = []
    for j in instants:
        total_vol = np.full(strikes.size, np.inf)
        share = within.variance_left[positions.group[inside], j]
        np.minimum.at(total_vol, which.ravel(), positions.total_vol[inside] * np.sqrt(share))
        clusters = (strikes[:, None] + total_vol[:, None] * _CLUSTER).ravel()
        clusters = clusters[(clusters > nodes[0]) & (clusters < nodes[-1])]
        x = np.sort(np.concatenate([nodes, clusters]))
        delta, slope = book_delta(within, x, np.array([j]), settling)
        other, other_slope = refine(nodes, rest[[j]], rest_slope[[j]], x)
        rows.append((x, delta[0] + other[0], slope[0] + other_slope[0]))
    return rows


def _across(
    positions: Positions, nodes: np.ndarray, smooth: Pair, step: int, settling: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """D and dD/dx of what lives beyond a settlement at the instants of its lead-in, [L, G] each."""
    end, end_slope = smooth[0][step - 1], smooth[1][step - 1]
    if step > 1:
        # The row before also holds the settling contracts.
        held, held_slope = book_delta(positions, nodes, np.array([step - 1]), settling)
        begin, begin_slope = smooth[0][step - 2] - held[0], smooth[1][step - 2] - held_slope[0]
    else:
        (begin,), (begin_slope,) = book_delta(positions, nodes, np.array([0]), ~settling, settling=False)
    left = _LEAD_IN_SHARES[:, None]
    return end + left * (begin - end), end_slope + left * (begin_slope - end_slope)


def _pad(values: np.ndarray, size: int) -> np.ndarray:
    """Repeat the last entry up to a common size; equal nodes are harmless."""
    return np.concatenate([values, np.full(size - values.size, values[-1])])
