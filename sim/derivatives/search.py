"""Searches whose every trial is a simulation: a root with its slope, and a minimum with its gradient."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["descend", "find_root", "within"]

_LONGEST, _SHORTEST = 1.0, 0.05
"""Strides of the walk to a bracket."""
_FLAT = 0.03
"""A descent ends where the gradient is this share of the point: a pathwise gradient is no smoother."""
_BACKTRACKS = 4


def find_root(
    function: Callable[[float], tuple[float, float]],
    u: float,
    bounds: tuple[float, float],
    enough: float,
    left: int,
) -> float:
    """Zero of a function with its slope: downhill to a change of sign, then Newton inside the bracket, with
    bisection where it leaves it. The bound when there is no change of sign before it."""
    f, slope = function(u)
    way, near, far = -np.sign(f * slope) or 1.0, u, None
    sign = np.sign(f)
    while abs(f) > enough and left > 0:
        left -= 1
        newton = u - f / slope if slope else np.nan
        if far is None:
            step = way * (newton - u)
            # Uphill, or without a slope, the walk goes on at its longest stride.
            step = np.clip(step, _SHORTEST, _LONGEST) if step > 0.0 else _LONGEST
            trial = float(np.clip(u + way * step, *bounds))
            if trial == u:
                break
        else:
            inside = min(near, far) < newton < max(near, far)
            trial = float(newton) if inside else 0.5 * (near + far)
            if abs(far - near) < 1e-9:
                break
        u, (f, slope) = trial, function(trial)
        near, far = (u, far) if f * sign > 0.0 else (near, u)
    return u


def within(step: np.ndarray) -> np.ndarray:
    """No step changes a position by more than its size: so far a gradient is not believed."""
    return step / max(1.0, float(np.abs(step).max(initial=0.0)))


def descend(
    objective: Callable[[np.ndarray], tuple[float, np.ndarray]], z: np.ndarray, left: int
) -> np.ndarray:
    """L-BFGS until the gradient has fallen to a share of z; directions by optax, the line search on the host,
    because a trial is a whole simulation."""
    import optax

    solver = optax.lbfgs(learning_rate=1.0, memory_size=10, linesearch=None)
    with jax.enable_x64(True):
        state = solver.init(jnp.asarray(z))
        cost, gradient = objective(z)
        while left > 0 and np.linalg.norm(gradient) > _FLAT * max(np.linalg.norm(z), 1e-9):
            update, state = solver.update(jnp.asarray(gradient), state, jnp.asarray(z))
            step = within(np.asarray(update))
            if gradient @ step >= 0.0:
                # The cost curved downwards on the way here, and the metric of steps says nothing.
                state, step = solver.init(jnp.asarray(z)), within(-gradient)
            for share in 0.3 ** np.arange(min(_BACKTRACKS, left)):
                left -= 1
                trial, slope = objective(z + share * step)
                if trial <= cost + 1e-4 * share * float(gradient @ step):
                    break
            else:
                break
            z, cost, gradient = z + share * step, trial, slope
    return z
