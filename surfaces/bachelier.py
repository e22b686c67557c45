"""Bachelier: price and greeks of options on a forward whose changes are normal.

    V = e^{-rT} [ω (F − K) Φ(ω d) + s φ(d)],   d = (F − K)/s,   s = σ√T in points,   ω = ±1

Source: Bachelier (1900), Théorie de la spéculation; the greeks are its derivatives.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.surfaces.black import Greeks
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.normal import erfcx, norm_cdf, norm_pdf
from gammawall.surfaces.precision import evaluate, is_traced

__all__ = ["bachelier_greeks", "bachelier_price"]

_FAR = 40.0
"""φ(40) is zero in float64."""


def bachelier_price(
    forward: Any, strike: Any, expiry: Any, vol: Any, rate: Any = 0.0, *, is_call: Any = True
) -> Any:
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
    """
    return bachelier_greeks(forward, strike, expiry, vol, rate, is_call=is_call).price


def bachelier_greeks(
    forward: Any, strike: Any, expiry: Any, vol: Any, rate: Any = 0.0, *, is_call: Any = True
) -> Greeks:
    """Price and all greeks to third order; conventions and limits as `gammawall.surfaces.black_greeks`.

    Arguments and errors as `bachelier_price`; vega is per point of vol.
    """
    for name, value in {
        "forward": forward,
        "strike": strike,
        "expiry": expiry,
        "vol": vol,
        "rate": rate,
    }.items():
        if is_traced(value):
            continue
        values = np.asarray(value, float)
        good = np.isfinite(values) & ((values >= 0.0) if name == "vol" else True)
        if not good.all():
            allowed = "finite and zero or positive" if name == "vol" else "finite"
            raise InputError(f"{name} must be {allowed}; got {values[~good].flat[0]:g}")
    return evaluate(_greeks_kernel, forward, strike, expiry, vol, rate, is_call)


def _time_value(distance: Any, s: Any) -> Any:
    """s [φ(|d|) − |d| Φ(−|d|)], written with erfcx so that far strikes lose only d² ε."""
    return s * norm_pdf(distance) * (1.0 - distance * np.sqrt(0.5 * np.pi) * erfcx(distance * np.sqrt(0.5)))


@jax.jit
def _greeks_kernel(forward, strike, expiry, vol, rate, is_call):
    forward, strike, expiry, vol, rate = jnp.broadcast_arrays(
        *map(jnp.asarray, (forward, strike, expiry, vol, rate))
    )
    dtype = jnp.result_type(forward, strike, expiry, vol, rate, float)
    forward, strike, expiry, vol, rate = (v.astype(dtype) for v in (forward, strike, expiry, vol, rate))
    sign = jnp.where(is_call, 1.0, -1.0).astype(dtype)
    years = jnp.maximum(expiry, 0.0)
    smallest = np.sqrt(jnp.finfo(dtype).tiny)
    # Compared so that NaN counts as live and reaches the result.
    dead = (years <= smallest) | (vol <= smallest)
    t, v = jnp.where(dead, 1.0, years), jnp.where(dead, 1.0, vol)
    discount, root_t = jnp.exp(-rate * years), jnp.sqrt(t)
    gap, s = forward - strike, v * root_t
    d = jnp.clip(gap / s, -_FAR, _FAR)
    square, half_t = d * d, 0.5 / t
    density = discount * norm_pdf(d)
    intrinsic = jnp.maximum(sign * gap, 0.0)
    price = discount * (intrinsic + jnp.where(dead, 0.0, _time_value(jnp.abs(d), s)))
    delta, vega, gamma = sign * discount * norm_cdf(sign * d), density * root_t, density / s
    step = sign * discount * 0.5 * (1.0 + sign * jnp.sign(gap))

    def settle(value: Any, expired: Any = 0.0) -> Any:
        return jnp.where(dead, expired, value)

    return Greeks(
        price=price,
        delta=settle(delta, step),
        gamma=settle(gamma),
        vega=settle(vega),
        theta=settle(rate * price - density * v / (2.0 * root_t)),
        rho=settle(-t * price),
        vanna=settle(-density * d / v),
        volga=settle(vega * square / v),
        charm=settle(rate * delta + density * d * half_t),
        veta=settle(vega * (rate - (1.0 + square) * half_t)),
        dual_delta=settle(-delta, -step),
        dual_gamma=settle(gamma),
        speed=settle(-gamma * d / s),
        zomma=settle(gamma * (square - 1.0) / v),
        color=settle(gamma * (rate + (1.0 - square) * half_t)),
        ultima=settle(vega * square * (square - 3.0) / v / v),
    )
