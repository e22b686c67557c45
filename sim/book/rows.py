"""The book's delta as a function of price inside the step loop: from the table, or contract by contract.

Both give, for one instant, the delta of the contracts that live on and of those that settle there. A settled
strike is a ramp of `RAMP` in log price, which keeps every function continuous; a price inside it stands at
the strike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.sim.book.interpolation import value_at
from gammawall.sim.book.positions import Positions, settled_delta
from gammawall.sim.book.table import HedgeTable
from gammawall.sim.models.protocols import Paths
from gammawall.surfaces.arrays import Array, Shape
from gammawall.surfaces.pricing.normal import norm_cdf

__all__ = [
    "RAMP",
    "LineRows",
    "Rows",
    "TableRows",
    "line_rows",
    "strides",
    "table_rows",
    "vanna_demand",
]

Nodes: TypeAlias = Annotated[Array, Shape("nodes")]
Pair: TypeAlias = tuple[Nodes, Nodes] | Annotated[Array, Shape("2 nodes")]
"""value and slope on the nodes"""

RAMP = 1e-9
"""Width of a settled strike in log price: 7 millionths of an index point at 7,000."""

_STRIDE = 0.25
"""The walk to a balance looks at prices this far apart, in units of the sharpest σ√τ alive."""


def vanna_demand(nodes: Nodes, row: Pair, still: Pair, last: Paths, x: Paths) -> Paths:
    """Hedge asked for by the move of the vols as the price goes from `last` to x: the change of D beyond what
    gamma at fixed vols explains; `row` and `still` are value and slope on the nodes, [2, G]."""

    def change(pair: Pair) -> Paths:
        return value_at(nodes, pair[0], pair[1], x) - value_at(nodes, pair[0], pair[1], last)

    return change(still) - change(row)


def ramp(x: Array, strike: Array) -> Array:
    """0 below the strike, 1 above it, straight across `RAMP`."""
    return jnp.clip((x - strike) / RAMP + 0.5, 0.0, 1.0)


class Rows(Protocol):
    """The book's delta around one step."""

    @property
    def moves(self) -> bool:
        """Whether the hedger's vols move with the price or at random; the same throughout a run."""
        ...

    def living(self, x: Array, now: int = 1) -> Array:
        """D of the contracts that live beyond this instant (now = 1) or the one before (0), [P]."""
        ...

    def settling(self, x: Array) -> Array:
        """D of the contracts that settle at this instant, [P]."""
        ...

    def by_surface(self, last: Array, x: Array) -> Array | float:
        """Hedge asked for because the vols move as the price goes from `last` to x, [P]."""
        ...


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TableRows:
    """Interpolated deltas, for a book of any size."""

    nodes: Array
    """[G]"""
    delta: Array
    """[N + 1, G]; within the loop the two rows of a step, [2, G]"""
    slope: Array
    strikes: Array
    """log strikes that settle, ascending and padded with inf, [N or fewer, J]; one row within the loop"""
    below: Array
    """jumps of D summed over the strikes before each, less all puts, same shape"""
    jump: Array
    still: Array | None = None
    """potential of the gamma flow and its slope, [N, 2, G], where the surface moves; else None"""

    @property
    def moves(self) -> bool:
        return self.still is not None

    def by_surface(self, last: Array, x: Array) -> Array | float:
        if self.still is None:
            return 0.0
        return vanna_demand(self.nodes, (self.delta[1], self.slope[1]), self.still, last, x)

    def living(self, x: Array, now: int = 1) -> Array:
        return value_at(self.nodes, self.delta[now], self.slope[now], x)

    def settling(self, x: Array) -> Array:
        j = jnp.maximum(jnp.searchsorted(self.strikes, x + 0.5 * RAMP, side="right") - 1, 0)
        strike = self.strikes[j]
        passed = jnp.where(jnp.isfinite(strike), ramp(x, jnp.where(jnp.isfinite(strike), strike, 0.0)), 0.0)
        return self.below[j] + self.jump[j] * passed


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LineRows:
    """Every line of the book summed: exact at any distance from settlement, for books of a few strikes.

    D = Σ units·factor·Φ((x + shift − ln K)/s + s/2) − puts·factor
    """

    strikes: Array
    """ln K ascending, [J]"""
    units: Array
    """[J]"""
    puts: Array
    total_vol: Array
    """s, 0 where nothing lives, [N + 1, J]; within the loop the two rows of a step, [2, J]"""
    shift: Array
    factor: Array
    """0 where the line does not live beyond the instant"""
    vol: Array
    """the hedger's, [J]"""
    settles: Array
    """whether the line settles at this instant, [N, J]; one row within the loop"""

    @property
    def moves(self) -> bool:
        return False

    def by_surface(self, last: Array, x: Array) -> float:
        return 0.0

    def living(self, x: Array, now: int = 1, stretch: Array | float = 1.0) -> Array:
        """`stretch` multiplies the hedger's vols, path by path."""
        s, shift, factor = self.total_vol[now], self.shift[now], self.factor[now]
        safe = jnp.where(s > 0.0, s, 1.0)[:, None] * stretch
        d = (x[None, :] + (shift - self.strikes)[:, None]) / safe + 0.5 * safe
        return jnp.sum((self.units[:, None] * norm_cdf(d) - self.puts[:, None]) * factor[:, None], axis=0)

    def settling(self, x: Array) -> Array:
        passed = ramp(x[None, :], self.strikes[:, None])
        return jnp.sum((self.units[:, None] * passed - self.puts[:, None]) * self.settles[:, None], axis=0)


def table_rows(table: HedgeTable, start: tuple[np.ndarray, np.ndarray], positions: Positions) -> TableRows:
    """The table of a fixed book as rows for the step loop; `start`: D and dD/dx at instant 0 on its nodes."""
    steps = table.delta.shape[0]
    settled = {k: settled_delta(positions, k) for k in positions.settlements if k > 0}
    most = max((strikes.size for strikes, _ in settled.values()), default=1)
    strikes, below, jump = np.full((steps, most), np.inf), np.zeros((steps, most)), np.zeros((steps, most))
    for k, (at, size) in settled.items():
        strikes[k - 1, : at.size], jump[k - 1, : at.size] = at, size
        below[k - 1] = -positions.puts[positions.settles(k)].sum()
        below[k - 1, : at.size] += np.concatenate([[0.0], np.cumsum(size)[:-1]])
    return TableRows(
        nodes=table.nodes,
        delta=np.concatenate([start[0], table.delta]),
        slope=np.concatenate([start[1], table.slope]),
        strikes=strikes,
        below=below,
        jump=jump,
    )


def line_rows(positions: Positions) -> LineRows:
    """The lines of a book as rows for the step loop."""
    order = np.argsort(positions.log_strike, kind="stable")
    group = positions.group[order]
    instants = np.arange(positions.variance_left.shape[1])
    left = positions.time_left[group].T
    lives = instants[:, None] < positions.settle_step[group]
    return LineRows(
        strikes=positions.log_strike[order],
        units=positions.units[order],
        puts=positions.puts[order],
        total_vol=np.where(
            lives, positions.total_vol[order] * np.sqrt(positions.variance_left[group].T), 0.0
        ),
        shift=positions.log_carry[order] * left,
        factor=np.where(lives, np.exp(positions.log_factor[order] * left), 0.0),
        vol=positions.vol[order],
        settles=(instants[1:, None] == positions.settle_step[group]).astype(float),
    )


def strides(positions: Positions, low: float, high: float) -> np.ndarray:
    """How far apart the walk looks at prices in each step, log price, [N]."""
    inside = (positions.log_strike > low) & (positions.log_strike < high) & (positions.units != 0.0)
    left = positions.variance_left[positions.group[inside], 1:]
    total_vol = positions.total_vol[inside, None] * np.sqrt(np.where(left > 0.0, left, np.inf))
    widest = (high - low) / 8.0
    return np.minimum(_STRIDE * total_vol.min(axis=0, initial=np.inf), widest)
