"""The book where the level of all vols moves at random: tables at a few levels, a polynomial between them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.sim.book.interpolation import barycentric_weights, lagrange, value_at
from gammawall.sim.book.positions import Positions, book_delta
from gammawall.sim.book.rows import TableRows
from gammawall.sim.book.values import BookValues, book_value
from gammawall.sim.models.stochastic_level import Levels, StochasticLevel
from gammawall.sim.sampling.schedule import Schedule
from gammawall.surfaces.arrays import Array, Shape

__all__ = ["LevelRows", "at_level", "level_rows", "level_values"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LevelRows:
    """`TableRows` at several levels; deltas are [2, M, G] within the step loop."""

    base: TableRows
    levels: Annotated[Array, Shape("levels")]
    weights: Annotated[Array, Shape("levels")]
    """barycentric weights of the levels"""
    level: Annotated[Array, Shape("2 paths")] | None = None
    """ℓ at the instant before and now, [2, P]; filled in by the step"""

    @property
    def moves(self) -> bool:
        return True

    def by_surface(self, last: Array, x: Array) -> float:
        # All of it by the move of the level, which is made at the last price.
        return 0.0

    def living(self, x: Array, now: int = 1) -> Array:
        assert self.level is not None
        shares = lagrange(self.levels, self.weights, self.level[now])
        rows = [
            value_at(self.base.nodes, self.base.delta[now, m], self.base.slope[now, m], x)
            for m in range(self.levels.shape[0])
        ]
        return jnp.sum(shares * jnp.stack(rows), axis=0)

    def settling(self, x: Array) -> Array:
        return self.base.settling(x)


def at_level(positions: Positions, level: float) -> Positions:
    """The book with every vol times e^ℓ."""
    factor = float(np.exp(level))
    return dataclasses.replace(positions, total_vol=positions.total_vol * factor, vol=positions.vol * factor)


def level_rows(
    base: TableRows, positions: Positions, schedule: Schedule, motion: StochasticLevel
) -> LevelRows:
    """Tables of a fixed book at every level, deltas [N + 1, M, G]."""
    levels, every, nodes = motion.levels(schedule), np.arange(schedule.steps + 1), np.asarray(base.nodes)
    tables = [book_delta(at_level(positions, level), nodes, every, settling=False) for level in levels]
    return LevelRows(
        base=dataclasses.replace(
            base,
            delta=np.stack([delta for delta, _ in tables], axis=1),
            slope=np.stack([slope for _, slope in tables], axis=1),
        ),
        levels=levels,
        weights=barycentric_weights(levels),
    )


def level_values(values: BookValues, positions: Positions, levels: Levels) -> BookValues:
    """The values of a book with those at the close, and their slopes, at every level, [M, G]."""
    last, nodes = positions.variance_left.shape[1] - 1, np.asarray(values.nodes)
    moved = [at_level(positions, level) for level in levels]
    deltas = [book_delta(p, nodes, np.array([last]), settling=False)[0][0] for p in moved]
    return dataclasses.replace(
        values,
        close=np.stack([book_value(p, nodes, last) for p in moved]),
        close_slope=np.stack(deltas) * np.exp(nodes),
        levels=np.stack([levels, barycentric_weights(levels)]),
    )
