"""A level of all the hedger's vols that moves at random, in part with the index: vanna flow of its own.

    σ_i(t) = σ_i e^{ℓ_t},   dℓ = −κ ℓ dt + ν dB,   d⟨W, B⟩ = ρ dt,   ℓ_0 = 0

W drives the fundamental price. The book's delta is tabulated at a few levels and is a polynomial in ℓ between
them, so that a step costs as many look-ups as there are levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import jax
import numpy as np

from gammawall.sim.sampling.schedule import Schedule
from gammawall.sim.types import check_number
from gammawall.surfaces.arrays import Array, Shape

__all__ = ["LEVEL", "LevelNumbers", "Levels", "StochasticLevel"]

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
        std = self.vol_of_vol * np.sqrt(grown)
        rho = self.correlation
        return LevelNumbers(kept, rho * std, np.sqrt(1.0 - rho * rho) * std)

    def levels(self, schedule: Schedule) -> Levels:
        """The ℓ at which tables are made: Chebyshev points that cover the run, [M]."""
        reach = _REACH * self.vol_of_vol * np.sqrt(float(schedule.variance.sum()))
        count = int(np.clip(np.ceil(np.pi * reach / (2.0 * _GAP)), 4, 24))
        return reach * np.cos(np.pi * (np.arange(count) + 0.5) / count)
