"""The price at which trading stops: the first zero of the buying pressure on the side it pushes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from gammawall.sim.models.protocols import Paths
from gammawall.sim.step.clearing import CAPPED, JUMP, STABLE
from gammawall.surfaces.arrays import Array

__all__ = ["first_balance"]

Walk: TypeAlias = tuple[Array, ...]

_MOST_STEPS = 4096
_NEWTON_STEPS = 8


def first_balance(
    pressure: Callable[[Paths], Paths],
    x: Paths,
    advance: Callable[[Paths, Paths], Paths],
    low: Array | float,
    high: Array | float,
    tolerance: Array | float = 0.0,
) -> tuple[Paths, Paths]:
    """Walk from x to where the pressure has vanished (the branch rule of model.md, section 2).

    Args:
        pressure: of log price [P] → [P]; positive where buyers are left over. Continuous.
        x: where the price stands, [P].
        advance: (price, direction ±1) → the next price to look at on that side. Between two prices looked at
            the pressure must not rise and fall again.
        low, high: the range of prices; a walk that leaves it is capped there.
        tolerance: a path is done after a correction of at most so much.

    Returns:
        The price and the status of each path: stable; jump, where the pressure grew on the way, which is a
        fold of the map; capped. [P] each.
    """
    begin = pressure(x)
    way = jnp.where(begin >= 0.0, 1.0, -1.0)
    # Every quantity is multiplied by the direction, so that pressure starts positive and is to fall to zero.
    begins, none = jnp.abs(begin), jnp.zeros(x.shape, bool)
    start = (x, x, begins, begins, begin == 0.0, none, jnp.zeros((), jnp.int32))

    def unfinished(walk: Walk) -> Array:
        *_, done, _, count = walk
        return ~jnp.all(done) & (count < _MOST_STEPS)

    def onwards(walk: Walk) -> Walk:
        near, far, before, left, done, fold, count = walk
        ahead = jnp.where(done, far, jnp.clip(advance(far, way), low, high))
        value = way * pressure(ahead)
        edge = (ahead <= low) | (ahead >= high)
        fold = fold | (~done & (value > left))
        near, before = jnp.where(done, near, far), jnp.where(done, before, left)
        left = jnp.where(done, left, value)
        return near, ahead, before, left, done | (value <= 0.0) | edge, fold, count + 1

    near, far, before, left, _, fold, _ = jax.lax.while_loop(unfinished, onwards, start)
    capped = left > 0.0
    root = _polish(lambda p: way * pressure(p), near, far, before, left, tolerance)
    status = jnp.where(capped, CAPPED, jnp.where(fold, JUMP, STABLE))
    return jnp.where(capped, far, jnp.where(begin == 0.0, x, root)), status


def _polish(
    pressure: Callable[[Paths], Paths],
    near: Paths,
    far: Paths,
    before: Paths,
    left: Paths,
    tolerance: Array | float,
) -> Paths:
    """Zero between two prices, of positive pressure and not: Newton from the secant's while it stays inside
    the bracket, bisection otherwise."""
    drop = before - left
    guess = jnp.where(drop > 0.0, near + (far - near) * before / jnp.where(drop > 0.0, drop, 1.0), near)

    def unfinished(carry: Walk) -> Array:
        *_, done, count = carry
        return ~jnp.all(done) & (count < _NEWTON_STEPS)

    def step(carry: Walk) -> Walk:
        near, far, guess, done, count = carry
        value, slope = jax.jvp(pressure, (guess,), (jnp.ones_like(guess),))
        near, far = jnp.where(value > 0.0, guess, near), jnp.where(value > 0.0, far, guess)
        newton = guess - value / jnp.where(slope == 0.0, 1.0, slope)
        inside = (newton - near) * (newton - far) <= 0.0
        better = jnp.where(inside & (slope != 0.0), newton, 0.5 * (near + far))
        # A path that is done keeps its price, so that no path depends on the others.
        near_enough = jnp.abs(better - guess) <= tolerance
        return near, far, jnp.where(done, guess, better), done | near_enough, count + 1

    start = (near, far, guess, jnp.zeros(guess.shape, bool), jnp.zeros((), jnp.int32))
    return jax.lax.while_loop(unfinished, step, start)[2]
