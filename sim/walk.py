"""The price at which trading stops: the first zero of the buying pressure on the side it pushes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gammawall.sim.clearing import CAPPED, JUMP, STABLE

__all__ = ["first_balance"]

_MOST_STEPS = 4096
_NEWTON_STEPS = 8


def first_balance(
    pressure: Callable[[Any], Any], x: Any, advance: Callable[[Any, Any], Any], low: Any, high: Any
) -> tuple[Any, Any]:
    """Walk from x to where the pressure has vanished (the branch rule of model.md, section 2).

    Args:
        pressure: of log price [P] → [P]; positive where buyers are left over. Continuous.
        x: where the price stands, [P].
        advance: (price, direction ±1) → the next price to look at on that side. Between two prices looked at
            the pressure must not rise and fall again.
        low, high: the range of prices; a walk that leaves it is capped there.

    Returns:
        The price and the status of each path: stable; jump, where the pressure grew on the way, which is a
        fold of the map; capped. [P] each.
    """
    begin = pressure(x)
    way = jnp.where(begin >= 0.0, 1.0, -1.0)
    # Every quantity is multiplied by the direction, so that pressure starts positive and is to fall to zero.
    start = (x, x, jnp.abs(begin), begin == 0.0, jnp.zeros(x.shape, bool), jnp.zeros((), jnp.int32))

    def unfinished(walk):
        _, _, _, done, _, count = walk
        return ~jnp.all(done) & (count < _MOST_STEPS)

    def onwards(walk):
        near, far, left, done, fold, count = walk
        ahead = jnp.where(done, far, jnp.clip(advance(far, way), low, high))
        value = way * pressure(ahead)
        edge = (ahead <= low) | (ahead >= high)
        fold = fold | (~done & (value > left))
        near = jnp.where(done, near, far)
        return near, ahead, jnp.where(done, left, value), done | (value <= 0.0) | edge, fold, count + 1

    near, far, left, _, fold, _ = jax.lax.while_loop(unfinished, onwards, start)
    capped = left > 0.0
    root = _polish(lambda p: way * pressure(p), near, far)
    status = jnp.where(capped, CAPPED, jnp.where(fold, JUMP, STABLE))
    return jnp.where(capped, far, jnp.where(begin == 0.0, x, root)), status


def _polish(pressure: Callable[[Any], Any], near: Any, far: Any) -> Any:
    """Zero between two prices: Newton while it stays inside the bracket, bisection otherwise."""

    def value_and_slope(p):
        return jax.jvp(pressure, (p,), (jnp.ones_like(p),))

    def step(_, carry):
        near, far, guess = carry
        value, slope = value_and_slope(guess)
        near, far = jnp.where(value > 0.0, guess, near), jnp.where(value > 0.0, far, guess)
        newton = guess - value / jnp.where(slope == 0.0, 1.0, slope)
        inside = (newton - near) * (newton - far) <= 0.0
        return near, far, jnp.where(inside & (slope != 0.0), newton, 0.5 * (near + far))

    return jax.lax.fori_loop(0, _NEWTON_STEPS, step, (near, far, 0.5 * (near + far)))[2]
