"""Dupire's local vol of a vol surface."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from gammawall.surfaces.arrays import Array, Numbers
from gammawall.surfaces.precision import evaluate
from gammawall.surfaces.vol_surfaces.svi import TotalVariance, VolSurface, durrleman

__all__ = ["local_variance", "local_vol"]


def local_variance(surface: VolSurface, k: Numbers, t: Numbers) -> Array:
    """Local variance at log-moneyness k = ln(K/F_T), per year.

    σ²_loc(k, T) = ∂_T w / g, with g Durrleman's function and both from the surface's closed-form derivatives.

    Args:
        surface: see `VolSurface`; its derivatives in time jump at the expiries, and so does local variance.
        k: ln(K/F).
        t: years, above 0; broadcasts with ``k``.

    Returns:
        Annual variance; NaN where the surface has arbitrage (g ≤ 0 or ∂_T w < 0), for there is none.

    Source:
        Gatheral (2006), The Volatility Surface, equation 1.10.
    """
    return evaluate(_kernel, k, *surface.derivatives(k, t))


def local_vol(surface: VolSurface, strike: Numbers, t: Numbers) -> Array:
    """Local vol at an index level and time, annual decimal, √`local_variance`.

    Args:
        surface: see `VolSurface`.
        strike: index level S_t, points, above 0.
        t: years, above 0; broadcasts with ``strike``.

    Returns:
        Annual decimal vol; NaN where the surface has arbitrage.

    Example:
        >>> surface = surfaces.fit_surface(chain).surface
        >>> np.round(surfaces.local_vol(surface, np.array([6950.0, 7000.0, 7050.0]), 0.03), 2)
        array([0.12, 0.12, 0.12])
    """
    k = evaluate(_log_ratio, strike, surface.forward(t))
    return evaluate(_root, local_variance(surface, k, t))


@jax.jit
def _log_ratio(strike: jax.Array, forward: jax.Array) -> jax.Array:
    return jnp.log(strike / forward)


@jax.jit
def _root(variance: jax.Array) -> jax.Array:
    return jnp.sqrt(variance)


@jax.jit
def _kernel(k: jax.Array, value: jax.Array, by_k: jax.Array, by_kk: jax.Array, by_t: jax.Array) -> jax.Array:
    density = durrleman(k, TotalVariance(value, by_k, by_kk, by_t))
    good = (density > 0.0) & (by_t >= 0.0)
    # Double where: a masked point must not send NaN through a gradient.
    return jnp.where(good, by_t / jnp.where(good, density, 1.0), jnp.nan)
