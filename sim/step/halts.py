"""Market-wide halts: trading stops when the index has fallen by 7, 13 or 20 % and resumes after a quarter of
an hour, after the last not at all.

The price stands at the level that stopped it. What the fundamental price does meanwhile, and the pressure
that was left when trading stopped, meet the market when it resumes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.sim.models.protocols import Paths
from gammawall.sim.sampling.schedule import Schedule
from gammawall.surfaces.arrays import Array, Shape

__all__ = ["PER_STEP", "HaltNumbers", "HaltState", "halt_numbers", "halt_step", "open_halts"]

_FALLS = (0.07, 0.13, 0.20)
_MINUTES = 15.0
_ROUNDING = 1e-6
_NO_HALT_MINUTES = 35.0
"""The first two levels stop nothing from 15:25 on."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class HaltNumbers:
    """Where trading stops, for how long, and when."""

    levels: Annotated[Array, Shape("4")]
    """log prices, −inf last"""
    minutes: Annotated[Array, Shape("4")]
    """how long each stops trading"""
    passing: Array
    """trading minutes; per step"""
    active: Array
    """whether the first two levels stop trading; per step"""


PER_STEP = ("passing", "active")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class HaltState:
    """What a path carries, [P] each."""

    left: Paths
    """trading minutes until it resumes"""
    passed: Paths
    """levels that have stopped trading"""
    pending: Paths
    """log move that waits for the market to open"""


def halt_numbers(schedule: Schedule, spot: float) -> HaltNumbers:
    """Those of a run."""
    last = np.array([schedule.minutes[1:][schedule.session == s][-1] for s in schedule.session])
    return HaltNumbers(
        levels=np.append(np.log(spot * (1.0 - np.array(_FALLS))), -np.inf),
        minutes=np.array([_MINUTES, _MINUTES, np.inf, 0.0]),
        passing=np.diff(schedule.minutes),
        active=last - schedule.minutes[1:] > _NO_HALT_MINUTES,
    )


def open_halts(paths: int) -> HaltState:
    """Trading is open."""
    none = jnp.zeros(paths, jnp.int32)
    return HaltState(jnp.zeros(paths), none, jnp.zeros(paths))


def halt_step(
    numbers: HaltNumbers, state: HaltState, x: Paths, waiting: Paths
) -> tuple[HaltState, Paths, Paths]:
    """Stop at a level that the price would fall through.

    Args:
        numbers: of the step.
        state: before the step.
        x: log price that this step would make, [P].
        waiting: log move that waits where trading is halted already, [P].

    Returns:
        The new state, its `pending` only where trading was halted already; whether trading was open in the
        step; and the price, [P].
    """
    was_open = state.left <= 0.0
    # Late in the day only the last level counts.
    at = jnp.where(numbers.active, state.passed, jnp.maximum(state.passed, 2))
    hit = was_open & (x <= numbers.levels[at])
    waits = jnp.maximum(state.left - numbers.passing, 0.0)
    left = jnp.where(hit, numbers.minutes[at], jnp.where(waits < _ROUNDING, 0.0, waits))
    new = HaltState(left, jnp.where(hit, at + 1, state.passed), jnp.where(was_open, 0.0, waiting))
    return new, was_open, jnp.where(hit, numbers.levels[at], x)
