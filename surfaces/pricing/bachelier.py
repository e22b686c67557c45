"""Bachelier: price and greeks of options on a forward whose changes are normal.

    V = e^{-rT} [ω (F − K) Φ(ω d) + s φ(d)],   d = (F − K)/s,   s = σ√T in points,   ω = ±1

Source: Bachelier (1900), Théorie de la spéculation; the greeks are its derivatives.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.surfaces.arguments import CALL_FLAG, anything, check_arguments
from gammawall.surfaces.arrays import Array, Numbers
from gammawall.surfaces.precision import evaluate
from gammawall.surfaces.pricing.black import Greeks
from gammawall.surfaces.pricing.normal import erfcx, norm_cdf, norm_pdf
from gammawall.surfaces.pricing.options import Options, broadcast_options

__all__ = ["bachelier_greeks", "bachelier_price"]

_FAR = 40.0
"""φ(40) is zero in float64."""

_ALLOWED = {
    "forward": ("finite", anything),
    "strike": ("finite", anything),
    "expiry": ("finite years, zero or negative once expired", anything),
    "vol": ("finite, index points per √year, zero or positive", lambda v: v >= 0.0),
    "rate": ("finite, continuous per year, such as 0.04", anything),
    "is_call": CALL_FLAG,
}


def bachelier_price(
    forward: Numbers,
    strike: Numbers,
    expiry: Numbers,
    vol: Numbers,
    rate: Numbers = 0.0,
    *,
    is_call: Numbers = True,
) -> Array:
    """Discounted Bachelier price, index points.

    Args:
        forward: F, index points, any sign.
        strike: K, index points, any sign.
        expiry: T, years; at or below zero the option has expired.
        vol: σ ≥ 0, index points per √year.
        rate: r, continuous per year.
        is_call: True for calls; all arguments broadcast.

    Returns:
        V, in the precision of the inputs (NumPy in, NumPy out).

    Raises:
        InputError: a concrete argument is NaN or infinite, or a vol is negative.

    Example:
        >>> strikes = np.array([6950.0, 7000.0, 7050.0])
        >>> surfaces.bachelier_price(7000.0, strikes, 1 / 252, 840.0).round(2)  # vol in points
        array([54.89, 21.11,  4.89])
    """
    check_arguments(
        _ALLOWED, forward=forward, strike=strike, expiry=expiry, vol=vol, rate=rate, is_call=is_call
    )
    return evaluate(_price_kernel, forward, strike, expiry, vol, rate, is_call)


def bachelier_greeks(
    forward: Numbers,
    strike: Numbers,
    expiry: Numbers,
    vol: Numbers,
    rate: Numbers = 0.0,
    *,
    is_call: Numbers = True,
) -> Greeks:
    """Price and all greeks to third order; conventions and limits as `gammawall.surfaces.black_greeks`.

    Arguments and errors as `bachelier_price`; vega is per point of vol.

    Example:
        >>> greeks = surfaces.bachelier_greeks(7000.0, 7000.0, 1 / 252, 840.0)
        >>> print(f"delta {greeks.delta:.4f}, gamma {greeks.gamma:.5f}")
        delta 0.5000, gamma 0.00754
    """
    check_arguments(
        _ALLOWED, forward=forward, strike=strike, expiry=expiry, vol=vol, rate=rate, is_call=is_call
    )
    return evaluate(_greeks_kernel, forward, strike, expiry, vol, rate, is_call)


@jax.custom_jvp
def _undiscounted(gap: jax.Array, s: jax.Array, sign: jax.Array) -> jax.Array:
    """Intrinsic value plus s [φ(|d|) − |d| Φ(−|d|)], with erfcx so that far strikes lose only d² ε."""
    d = jnp.minimum(jnp.abs(gap / s), _FAR)
    time_value = s * norm_pdf(d) * (1.0 - d * np.sqrt(0.5 * np.pi) * erfcx(d * np.sqrt(0.5)))
    return jnp.maximum(sign * gap, 0.0) + time_value


@_undiscounted.defjvp
def _undiscounted_jvp(
    primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]
) -> tuple[jax.Array, jax.Array]:
    # The price is smooth, its two parts are not: differentiated one by one they lose the kink at F = K.
    gap, s, sign = primals
    d = jnp.clip(gap / s, -_FAR, _FAR)
    return _undiscounted(*primals), sign * norm_cdf(sign * d) * tangents[0] + norm_pdf(d) * tangents[1]


def _price(options: Options) -> jax.Array:
    gap = options.forward - options.strike
    intrinsic = jnp.maximum(options.sign * gap, 0.0)
    live = _undiscounted(gap, options.vol * jnp.sqrt(options.years), options.sign)
    return options.discount * jnp.where(options.dead, intrinsic, live)


@jax.jit
def _price_kernel(
    forward: jax.Array,
    strike: jax.Array,
    expiry: jax.Array,
    vol: jax.Array,
    rate: jax.Array,
    is_call: jax.Array,
) -> jax.Array:
    return _price(broadcast_options(forward, strike, expiry, vol, rate, is_call))


@jax.jit
def _greeks_kernel(
    forward: jax.Array,
    strike: jax.Array,
    expiry: jax.Array,
    vol: jax.Array,
    rate: jax.Array,
    is_call: jax.Array,
) -> Greeks:
    options = broadcast_options(forward, strike, expiry, vol, rate, is_call)
    gap, settle = options.forward - options.strike, options.settle
    t, v, r, sign, discount = options.years, options.vol, options.rate, options.sign, options.discount
    root_t = jnp.sqrt(t)
    s = v * root_t
    d = jnp.clip(gap / s, -_FAR, _FAR)
    square, half_t = d * d, 0.5 / t
    density = discount * norm_pdf(d)
    price = _price(options)
    delta, vega, gamma = sign * discount * norm_cdf(sign * d), density * root_t, density / s
    step = sign * discount * 0.5 * (1.0 + sign * jnp.sign(gap))

    return Greeks(
        price=price,
        delta=settle(delta, step),
        gamma=settle(gamma),
        vega=settle(vega),
        theta=settle(r * price - density * v / (2.0 * root_t)),
        rho=settle(-t * price),
        vanna=settle(-density * d / v),
        volga=settle(vega * square / v),
        charm=settle(r * delta + density * d * half_t),
        veta=settle(vega * (r - (1.0 + square) * half_t)),
        dual_delta=settle(-delta, -step),
        dual_gamma=settle(gamma),
        speed=settle(-gamma * d / s),
        zomma=settle(gamma * (square - 1.0) / v),
        color=settle(gamma * (r + (1.0 - square) * half_t)),
        ultima=settle(vega * square * (square - 3.0) / v / v),
    )
