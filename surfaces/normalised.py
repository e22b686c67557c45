"""The out-of-the-money Black price in its two natural variables, free of cancellation."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gammawall.surfaces.normal import (
    ERFCX_SHIFT,
    ERFCX_SPAN,
    ERFCX_START,
    INV_SQRT_2PI,
    SQRT_HALF,
    erfcx_coefficients,
    norm_cdf,
)

__all__ = ["normalised_black", "normalised_black_pair", "normalised_vega"]

_FAR = -60.0  # standard deviations beyond which every price underflows


def normalised_black_pair(x: jax.Array, s: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Normalised price and its distance from the upper bound, each without cancellation.

    b = ½ e^{-(h²+t²)/2} [erfcx(a-u) - erfcx(a+u)],  c = e^{x/2} - b,
    h = x/s, t = s/2, a = -h/√2, u = t/√2.

    With erfcx(z) = v(z) P(z) the difference is 2u v₁v₂ (P₁ - span·v₂ P[t₁,t₂]), P[t₁,t₂] the divided
    difference by Horner's rule: no series is needed for small u. Where a-u is far below zero,
    c = ½ e^{-(h²+t²)/2} [erfcx(u-a) + erfcx(u+a)] is the small one.

    Args:
        x: -|ln(F/K)|, not positive.
        s: total volatility σ√T, positive.

    Returns:
        (b, c), broadcast.
    """
    h, t = jnp.maximum(x / s, _FAR), 0.5 * s
    a, u = -SQRT_HALF * h, SQRT_HALF * t
    scale = 0.5 * jnp.exp(-0.5 * (h * h + t * t))
    bound = jnp.exp(0.5 * x)

    crossed = a - u < ERFCX_START
    z1, z2 = jnp.where(crossed, u - a, a - u), a + u
    v1, v2 = 1.0 / (z1 + ERFCX_SHIFT), 1.0 / (z2 + ERFCX_SHIFT)
    t1, t2 = 1.0 - ERFCX_SPAN * v1, 1.0 - ERFCX_SPAN * v2
    *lower, top = erfcx_coefficients(x.dtype)
    p1, slope = jnp.full_like(t1, top), jnp.zeros_like(t1)
    for c in reversed(lower):
        slope = slope * t2 + p1
        p1 = p1 * t1 + c
    # 2u = z2 - z1 on the side where it is used.
    difference = 2.0 * u * v1 * v2 * (p1 - ERFCX_SPAN * v2 * slope)
    total = v1 * p1 + v2 * (p1 + (t2 - t1) * slope)
    small = scale * jnp.where(crossed, total, difference)
    return jnp.where(crossed, bound - small, small), jnp.where(crossed, small, bound - small)


def normalised_vega(x: jax.Array, s: jax.Array) -> jax.Array:
    """Derivative of the normalised price in total volatility, e^{-(h²+t²)/2}/√(2π)."""
    h, t = jnp.maximum(x / s, _FAR), 0.5 * s
    return INV_SQRT_2PI * jnp.exp(-0.5 * (h * h + t * t))


@jax.custom_jvp
def _normalised_black(x: jax.Array, s: jax.Array) -> jax.Array:
    alive = s > 0
    return jnp.where(alive, normalised_black_pair(x, jnp.where(alive, s, 1.0))[0], 0.0)


@_normalised_black.defjvp
def _normalised_black_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x, s), (dx, ds) = primals, tangents
    alive = s > 0
    s_safe = jnp.where(alive, s, 1.0)
    h, t = jnp.maximum(x / s_safe, _FAR), 0.5 * s_safe
    by_x = 0.5 * (jnp.exp(0.5 * x) * norm_cdf(h + t) + jnp.exp(-0.5 * x) * norm_cdf(h - t))
    by_s = normalised_vega(x, s_safe)
    by_x = jnp.where(alive, by_x, jnp.where(x < 0, 0.0, 0.5))
    by_s = jnp.where(alive, by_s, jnp.where(x < 0, 0.0, INV_SQRT_2PI))
    return _normalised_black(x, s), by_x * dx + by_s * ds


def normalised_black(x: Any, s: Any) -> jax.Array:
    """Out-of-the-money undiscounted Black price over √(FK).

    b(x, s) = e^{x/2} Φ(x/s + s/2) - e^{-x/2} Φ(x/s - s/2)

    Args:
        x: -|ln(F/K)|, not positive.
        s: total volatility σ√T, not negative; the price is zero at zero.

    Returns:
        Array of the broadcast shape; first and higher derivatives are the closed forms.

    Source:
        The normalisation is that of Jäckel (2015), *Let's be rational*.
    """
    dtype = jnp.result_type(float, x, s)
    x, s = jnp.broadcast_arrays(jnp.asarray(x, dtype), jnp.asarray(s, dtype))
    return _normalised_black(x, s)
