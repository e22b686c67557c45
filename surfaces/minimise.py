"""A smooth function's minimum by L-BFGS, as a plain jax expression for use inside other kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["minimise"]

_FLAT = 1e-6
"""largest slope at which the search ends"""


def minimise(
    loss: Callable[[jax.Array], jax.Array], start: jax.Array, steps: int
) -> tuple[jax.Array, jax.Array]:
    """Where the search ends, and the largest slope left there.

    Args:
        loss: of a vector, in coordinates in which its Hessian is near the identity.
        start: [N].
        steps: at most.
    """
    import optax  # only here, since it takes longer to import than everything else

    search = optax.scale_by_zoom_linesearch(max_linesearch_steps=20, initial_guess_strategy="one")
    solver = optax.lbfgs(memory_size=10, linesearch=search)
    value_and_grad = optax.value_and_grad_from_state(loss)

    def unfinished(carry: tuple[Any, ...]) -> jax.Array:
        return (carry[2] < steps) & (carry[3] > _FLAT)

    def step(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        u, state, count, _ = carry
        value, slope = value_and_grad(u, state=state)
        updates, state = solver.update(slope, state, u, value=value, grad=slope, value_fn=loss)
        u = optax.apply_updates(u, updates)
        return u, state, count + 1, jnp.max(jnp.abs(optax.tree.get(state, "grad")))

    u, _, _, steepness = jax.lax.while_loop(unfinished, step, (start, solver.init(start), 0, jnp.inf))
    return u, steepness
