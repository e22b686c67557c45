"""The early-exercise premium of an American put, given its boundary.

    e = ∫₀ʷ [a e^{-at} Φ(−d₋) − b x e^{-bt} Φ(−d₊)] dt,   d± = (ln(x/B(w − t)) + (a − b ± ½) t)/√t

in units of the strike, x = S/K: interest earned on the strike less dividends lost while it is exercised.

Source: Kim (1990), The analytic valuation of American options; as used by Andersen, Lake and Offengenden.
"""

from __future__ import annotations

import jax.numpy as jnp

from gammawall.surfaces.american.boundary import Scaled, cdf, limit_at_expiry
from gammawall.surfaces.american.nodes import angles, interpolation
from gammawall.surfaces.arrays import Array

__all__ = ["premium"]


def premium(points: int, log_spot: Array, put: Scaled, level: Array) -> Array:
    """Premium over the European put, in units of the strike.

    Args:
        points: of the integral.
        log_spot: ln(S/K), (contracts,).
        put: the scale-free puts.
        level: their `log_boundary`.
    """
    a, b, limit = put.rate, put.dividend_yield, limit_at_expiry(put)
    rule = angles(points)
    gap = limit - level
    moved = jnp.asarray(interpolation(level.shape[0], rule.cosine), level.dtype) @ (gap * gap)
    inner = limit - jnp.sqrt(jnp.maximum(moved, 1e-30))
    sine, _, weight = (jnp.asarray(v, level.dtype)[:, None] for v in rule)
    passed = jnp.sqrt(put.variance) * sine
    time = passed * passed
    upper = (log_spot - inner) / passed + (a - b + 0.5) * passed
    interest = a * jnp.exp(-a * time) * cdf(passed - upper)
    dividends = b * jnp.exp(log_spot - b * time) * cdf(-upper)
    return put.variance * jnp.sum((interest - dividends) * weight, 0)
