"""A level of all the hedger's vols that moves at random, in part with the index: vanna flow of its own.

    σ_i(t) = σ_i e^{ℓ_t},   dℓ = −κ ℓ dt + ν dB,   d⟨W, B⟩ = ρ dt,   ℓ_0 = 0

W drives the fundamental price. The book's delta is tabulated at a few levels and is a polynomial in ℓ between
them, so that a step costs as many look-ups as there are levels.
"""

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
from gammawall.sim.sampling.schedule import Schedule
from gammawall.sim.types import check_number
from gammawall.surfaces.arrays import Array, Shape

__all__ = ["LEVEL", "LevelRows", "StochasticLevel", "level_rows", "level_values"]

LEVEL = 96
"""Random stream of the level."""

Levels = Annotated[np.ndarray, Shape("levels")]

_REACH = 6.0
"""Levels are tabulated to this many standard deviations; one path in 10⁹ goes further."""
_GAP = 0.12
"""Widest gap between levels in log vol, at the middle: the polynomial is then good to 1e-5 of a delta."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LevelNumbers:
    """How ℓ moves, per step [N]; one step's within the loop."""

    kept: Array
    """share of ℓ that is kept"""
    shared: Array
    """its move per unit of the price's shock, log vol"""
    own: Array
    """its move per unit of its own shock, log vol"""


@dataclass(frozen=True)
class StochasticLevel:
    """See the module's head. A choice for `motion`.

    Args:
        vol_of_vol: ν, per √year of variance time, > 0; 1 moves the level by 6 % in a day.
        mean_reversion: κ per year, ≥ 0.
        correlation: ρ with the fundamental price; negative for an index.
    """

    vol_of_vol: float
    mean_reversion: float = 0.0
    correlation: float = 0.0

    def __post_init__(self) -> None:
        check_number("vol_of_vol", self.vol_of_vol, self.vol_of_vol > 0.0, "positive")
        check_number("mean_reversion", self.mean_reversion, self.mean_reversion >= 0.0, "zero or positive")
        check_number("correlation", self.correlation, abs(self.correlation) <= 1.0, "between -1 and 1")

    def numbers(self, schedule: Schedule) -> LevelNumbers:
        """Of every step, [N]."""
        kept = np.exp(-self.mean_reversion * schedule.variance)
        # ∫ e^{−2κ(dt−s)} ds, and its limit without mean reversion.
        rate = 2.0 * self.mean_reversion
        grown = -np.expm1(-rate * schedule.variance) / rate if rate > 0.0 else schedule.variance
        spread = self.vol_of_vol * np.sqrt(grown)
        rho = self.correlation
        return LevelNumbers(kept, rho * spread, np.sqrt(1.0 - rho * rho) * spread)

    def levels(self, schedule: Schedule) -> Levels:
        """The ℓ at which tables are made: Chebyshev points that cover the run, [M]."""
        reach = _REACH * self.vol_of_vol * np.sqrt(float(schedule.variance.sum()))
        count = int(np.clip(np.ceil(np.pi * reach / (2.0 * _GAP)), 4, 24))
        return reach * np.cos(np.pi * (np.arange(count) + 0.5) / count)


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
