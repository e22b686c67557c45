"""The arguments of a price as arrays of one shape, safe where no time or no vol is left."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gammawall.surfaces.arrays import ArrayLike

__all__ = ["Options", "broadcast_options", "least_power"]


class Options(NamedTuple):
    """Options of one shape and dtype, with harmless stand-ins where there is nothing to integrate over."""

    forward: jax.Array
    strike: jax.Array
    years: jax.Array
    """1 where dead"""
    vol: jax.Array
    """1 where dead"""
    rate: jax.Array
    sign: jax.Array
    """+1 for a call, −1 for a put"""
    discount: jax.Array
    dead: jax.Array
    """no time or no vol is left"""

    def settle(self, value: jax.Array, expired: jax.Array | float = 0.0) -> jax.Array:
        """A number of live options, and what it is once an option is dead."""
        return jnp.where(self.dead, expired, value)


def least_power(dtype: jnp.dtype) -> float:
    """tiny^¼: below it some power of time or vol in the greeks would overflow."""
    return float(jnp.finfo(dtype).tiny) ** 0.25


def broadcast_options(
    forward: ArrayLike,
    strike: ArrayLike,
    expiry: ArrayLike,
    vol: ArrayLike,
    rate: ArrayLike,
    is_call: ArrayLike,
) -> Options:
    """The arguments of `black_price`, or of `bachelier_price`, broadcast."""
    numbers = jnp.broadcast_arrays(*map(jnp.asarray, (forward, strike, expiry, vol, rate)))
    dtype = jnp.result_type(*numbers, float)
    f, k, t, v, r = (number.astype(dtype) for number in numbers)
    least = least_power(dtype)
    years = jnp.maximum(t, 0.0)
    # Compared so that NaN counts as live and reaches the result.
    dead = (years <= least) | (v <= least)
    # Double where: the dead branch must not send NaN through a gradient.
    one = jnp.ones_like(years)
    live_years, live_vol = jnp.where(dead, one, years), jnp.where(dead, one, v)
    sign = jnp.where(is_call, 1.0, -1.0).astype(dtype)
    return Options(f, k, live_years, live_vol, r, sign, jnp.exp(-r * years), dead)
