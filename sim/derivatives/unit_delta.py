"""The deltas of single contracts, summed against weights: the last link of a derivative in every position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr

from gammawall.sim.book.interpolation import barycentric_weights, lagrange
from gammawall.sim.book.positions import CHUNK, Positions, chunks, merge_lines
from gammawall.sim.book.table import far_positions
from gammawall.sim.derivatives.adjoint import STATISTICS, Adjoint
from gammawall.sim.sampling.schedule import Schedule
from gammawall.surfaces.arrays import Array, Shape
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.pricing.normal import norm_cdf, norm_pdf

__all__ = ["Lines", "contract_weights", "unit_delta"]

_FAR_NODES = 129
"""Far expiries are smooth on the run's prices: their weights are first carried to few Chebyshev points of
price and, within one session, of variance time."""
_TIME_NODES = 13


@dataclass(frozen=True)
class Lines:
    """Where the contracts of a book stand among the merged lines of its positions."""

    line: np.ndarray
    """[N]"""
    put: np.ndarray
    """[N]"""

    @classmethod
    def of(cls, book: Book) -> Lines:
        """Contracts alike in all but call or put and size share a line, as in `prepare_positions`."""
        return cls(merge_lines(book)[1], ~np.asarray(book.is_call, bool))


def unit_delta(positions: Positions, lines: Lines, x: float, step: int, side: str = "right") -> np.ndarray:
    """Delta of one unit of each contract at one log price and step, [N].

    Args:
        positions: with one variance and time left per step.
        lines: of the book.
        x: log price.
        step: instant; contracts that settle there are steps, those settled before are gone.
        side: of a settling strike, "left" or "right".
    """
    last = positions.settle_step[positions.group]
    s, shift, factor = _terms(positions, np.arange(positions.group.size), np.array([step]))
    live = s[0] > 0.0
    safe = np.where(live, s[0], 1.0)
    gap = x + shift[0] - positions.log_strike
    smooth = factor[0] * ndtr(gap / safe + 0.5 * safe)
    crossed = gap >= 0.0 if side == "right" else gap > 0.0
    call = np.where(live, smooth, np.where(step == last, crossed, 0.0))
    put = call - np.where(live, factor[0], np.where(step == last, 1.0, 0.0))
    return np.where(lines.put, put[lines.line], call[lines.line])


def contract_weights(
    found: Adjoint,
    positions: Positions,
    lines: Lines,
    schedule: Schedule,
    nodes: np.ndarray,
    log_spot: float,
) -> np.ndarray:
    """Σ_k w_k (δ_i(0, x_0) − δ_i(k, x_k)) of one unit of each contract, summed over paths, [B, 8, N].

    Args:
        found: weights of a run.
        positions: its book.
        lines: of the book's contracts.
        schedule: its time grid.
        nodes: of its table, [G].
        log_spot: x_0.
    """
    count, batches = positions.group.size, found.count.size
    call, puts = (np.zeros((count, len(STATISTICS), batches)) for _ in range(2))
    far = far_positions(positions)
    for parts, chosen in ((_near(found, nodes), ~far), (_far(found, schedule, nodes), far)):
        if chosen.any():
            _sum_smooth(call, puts, parts, positions, np.flatnonzero(chosen))
    _add_settled(call, puts, found, positions)
    weights = np.where(lines.put[:, None, None], puts[lines.line], call[lines.line])
    start = unit_delta(positions, lines, log_spot, 0)
    return start * found.start[:, :, None] - np.moveaxis(weights, 0, -1).swapaxes(0, 1)


@dataclass(frozen=True)
class _Parts:
    """Weights of D and dD/dx on some rows."""

    steps: np.ndarray
    """[R]"""
    nodes: np.ndarray
    """[G]"""
    weight: np.ndarray
    """[R, 2, G, Q]"""
    into: np.ndarray
    """statistic of each row, or −1 where the columns are statistics × batches, [R]"""


def _near(found: Adjoint, nodes: np.ndarray) -> _Parts:
    slots = np.array(found.outline.slots)
    return _Parts(slots[:, 0], nodes, found.rows, slots[:, 1])


def _far(found: Adjoint, schedule: Schedule, nodes: np.ndarray) -> _Parts:
    slots = np.array(found.outline.slots)
    steps = np.unique(slots[:, 0])
    spent = np.cumsum(schedule.variance)[steps - 1]
    chosen = steps
    if steps.size > _TIME_NODES and schedule.instants.normalize().nunique() == 1:
        wanted = 0.5 * (1.0 - np.cos(np.pi * np.arange(_TIME_NODES) / (_TIME_NODES - 1)))
        at = spent[0] + (spent[-1] - spent[0]) * wanted
        chosen = steps[np.unique(np.abs(spent[:, None] - at).argmin(axis=0))]
    in_time = _shares(np.cumsum(schedule.variance)[chosen - 1], spent)
    middle, half = 0.5 * (nodes[0] + nodes[-1]), 0.5 * (nodes[-1] - nodes[0])
    points = middle - half * np.cos(np.pi * np.arange(_FAR_NODES) / (_FAR_NODES - 1))
    in_price = _shares(points, nodes)
    row = np.searchsorted(steps, slots[:, 0])
    batches = found.count.size
    weight = np.zeros((chosen.size, 2, points.size, len(STATISTICS), batches))
    for slot, (_, j) in enumerate(slots):
        carried = np.einsum("gc,dgb->dcb", in_price, found.rows[slot])
        weight[:, :, :, j] += in_time[row[slot]][:, None, None, None] * carried
    return _Parts(chosen, points, weight.reshape(*weight.shape[:3], -1), np.full(chosen.size, -1))


def _shares(points: np.ndarray, at: np.ndarray) -> Annotated[np.ndarray, Shape("where points")]:
    """Matrix of the polynomial interpolation from points to where values are wanted."""
    if points.size == at.size:
        return np.eye(points.size)
    with jax.enable_x64(True):
        return np.asarray(lagrange(jnp.asarray(points), barycentric_weights(points), jnp.asarray(at))).T


def _sum_smooth(
    call: np.ndarray, puts: np.ndarray, parts: _Parts, positions: Positions, chosen: np.ndarray
) -> None:
    batches = call.shape[2]
    # The weights of D at the nodes of a row add up to those of the paths.
    totals = parts.weight[:, 0].sum(axis=1)
    with jax.enable_x64(True):
        x, weight = jnp.asarray(parts.nodes), jnp.asarray(parts.weight)
    for rows in chunks(positions, chosen, by_group=False):
        s, shift, factor = _terms(positions, rows, parts.steps)
        fill = (0, CHUNK - rows.size)
        wide = [np.pad(a, ((0, 0), fill)) for a in (s, shift, factor)]
        with jax.enable_x64(True):
            sums = _contract(x, weight, np.pad(positions.log_strike[rows], fill), *wide)
        sums = np.asarray(sums)[:, : rows.size]
        under = factor[:, :, None] * totals[:, None, :]
        for target, part in ((call, sums), (puts, sums - under)):
            if parts.into[0] < 0:
                target[rows] += part.sum(axis=0).reshape(rows.size, len(STATISTICS), batches)
            else:
                for j in range(len(STATISTICS)):
                    target[rows, j] += part[parts.into == j].sum(axis=0)


def _terms(positions: Positions, rows: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, ...]:
    """s, shift and factor of some lines, [M, C]; zero from their settlement on."""
    group = positions.group[rows]
    live = steps[:, None] < positions.settle_step[group]
    left = positions.time_left[group][:, steps].T
    s = positions.total_vol[rows] * np.sqrt(positions.variance_left[group][:, steps].T)
    factor = np.where(live, np.exp(positions.log_factor[rows] * left), 0.0)
    return np.where(live, s, 0.0), positions.log_carry[rows] * left, factor


@jax.jit
def _contract(x: Array, weight: Array, log_strike: Array, s: Array, shift: Array, factor: Array):
    """[R, C, Q] from weights [R, 2, G, Q] and the lines' terms [R, C]."""

    def row(terms: tuple[Array, ...]):
        own, s_k, shift_k, factor_k = terms
        safe = jnp.where(s_k > 0.0, s_k, 1.0)[:, None]
        d = (x[None, :] + (shift_k - log_strike)[:, None]) / safe + 0.5 * safe
        return factor_k[:, None] * (norm_cdf(d) @ own[0] + (norm_pdf(d) / safe) @ own[1])

    return jax.lax.map(row, (weight, s, shift, factor))


def _add_settled(call: np.ndarray, puts: np.ndarray, found: Adjoint, positions: Positions) -> None:
    """Contracts at their settlement: 1 on the paths that closed above the strike, less 1 for puts."""
    for e, step in enumerate(found.outline.settles):
        rows = np.flatnonzero(positions.settles(step))
        own = np.moveaxis(found.settled[:, e], 0, -1)
        above = own[:, ::-1].cumsum(axis=1)[:, ::-1]
        below = np.searchsorted(found.strikes[e], positions.log_strike[rows], side="left")
        # A path above strike number `below` has passed at least `below + 1` strikes.
        paid = np.moveaxis(above[:, below + 1], 0, 1)
        call[rows] += paid
        puts[rows] += paid - own.sum(axis=1)
