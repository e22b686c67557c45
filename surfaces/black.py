"""Black-76: price and greeks of options on a forward, to third order.

    V = e^{-rT} [ω F Φ(ω d₁) − ω K Φ(ω d₂)],   d₁,₂ = ln(F/K)/s ± s/2,   s = σ√T,   ω = ±1

Source: Black (1976), The pricing of commodity contracts; the greeks are its derivatives.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.surfaces.errors import InputError
from gammawall.surfaces.normal import norm_cdf, norm_pdf
from gammawall.surfaces.normalised import normalised_black
from gammawall.surfaces.precision import evaluate, is_traced

__all__ = ["Greeks", "black_greeks", "black_price", "log_moneyness", "price_and_greeks"]

_FAR = 40.0
"""φ(40) is zero in float64: standardised distances are clipped there so that 0 × ∞ cannot arise."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Greeks:
    """Derivatives of the discounted Black-76 price V(F, K, T, σ, r), all of one broadcast shape.

    Time derivatives are per year and taken *forwards in calendar time* (minus the T-derivative) at fixed
    forward and rate. Vol derivatives are per 1.00 of vol.
    """

    price: Any
    """V, index points"""
    delta: Any
    """∂V/∂F"""
    gamma: Any
    """∂²V/∂F²"""
    vega: Any
    """∂V/∂σ"""
    theta: Any
    """−∂V/∂T"""
    rho: Any
    """∂V/∂r at fixed forward = −T V"""
    vanna: Any
    """∂²V/∂F∂σ"""
    volga: Any
    """∂²V/∂σ²"""
    charm: Any
    """−∂²V/∂F∂T"""
    veta: Any
    """−∂²V/∂σ∂T"""
    dual_delta: Any
    """∂V/∂K"""
    dual_gamma: Any
    """∂²V/∂K²"""
    speed: Any
    """∂³V/∂F³"""
    zomma: Any
    """∂³V/∂F²∂σ"""
    color: Any
    """−∂³V/∂F²∂T"""
    ultima: Any
    """∂³V/∂σ³"""

    def __iter__(self):
        return (getattr(self, f.name) for f in dataclasses.fields(self))


def black_price(
    forward: Any, strike: Any, expiry: Any, vol: Any, rate: Any = 0.0, *, is_call: Any = True
) -> Any:
    """Discounted Black-76 price, index points.

    Args:
        forward: F > 0, index points.
        strike: K ≥ 0, index points.
        expiry: T, years; at or below zero the option has expired.
        vol: σ ≥ 0, annual decimal.
        rate: r, continuous per year.
        is_call: True for calls; all arguments broadcast.

    Returns:
        V, in the precision of the inputs (NumPy in, NumPy out). With no time or no vol left: e^{-rT} × intrinsic.

    Raises:
        InputError: a concrete argument is NaN, infinite or out of range.
    """
    _check(forward=forward, strike=strike, expiry=expiry, vol=vol, rate=rate)
    return evaluate(_price_kernel, forward, strike, expiry, vol, rate, is_call)


def black_greeks(
    forward: Any, strike: Any, expiry: Any, vol: Any, rate: Any = 0.0, *, is_call: Any = True
) -> Greeks:
    """Price and all greeks to third order of one broadcast set of options.

    Arguments, precision and errors as in `black_price`. With no time or no vol left: the intrinsic price,
    delta e^{-rT} ω 1{ω(F−K) > 0} (half at the strike), its dual, and zero for every other greek: nothing
    is left to differentiate, and NaN is never returned.
    """
    _check(forward=forward, strike=strike, expiry=expiry, vol=vol, rate=rate)
    return evaluate(_greeks_kernel, forward, strike, expiry, vol, rate, is_call)


def log_moneyness(forward: Any, strike: Any) -> Any:
    """ln(F/K), accurate where F ≈ K: a rounded quotient near 1 would lose the digits that d₁ needs."""
    near = jnp.abs(forward - strike) < 0.3 * strike
    distance = jnp.where(near, (forward - strike) / strike, 0.0)
    quotient = jnp.where(near, 1.0, forward / strike)
    return jnp.where(near, jnp.log1p(distance), jnp.log(quotient))


def _prepare(forward, strike, expiry, vol, rate):
    """Broadcast, and split live options from those with nothing left to integrate over."""
    forward, strike, expiry, vol, rate = jnp.broadcast_arrays(
        *map(jnp.asarray, (forward, strike, expiry, vol, rate))
    )
    dtype = jnp.result_type(forward, strike, expiry, vol, rate, float)
    forward, strike, expiry, vol, rate = (v.astype(dtype) for v in (forward, strike, expiry, vol, rate))
    years = jnp.maximum(expiry, 0.0)
    smallest = np.sqrt(jnp.finfo(dtype).tiny)
    # Compared so that NaN counts as live and reaches the result.
    dead = (years <= smallest) | (vol <= smallest) | (strike <= 0.0) | (forward <= 0.0)
    # Double where: the dead branch must not send NaN through a gradient.
    one = jnp.ones_like(forward)
    live = tuple(jnp.where(dead, one, v) for v in (forward, strike, years, vol))
    return dead, live, forward, strike, jnp.exp(-rate * years), rate


def _price(dead, live, forward, strike, discount, sign):
    f, k, t, v = live
    intrinsic = jnp.maximum(sign * (forward - strike), 0.0)
    # Out-of-the-money part without the cancellation of F Φ(d₁) − K Φ(d₂); parity adds the rest.
    time_value = jnp.sqrt(f) * jnp.sqrt(k) * normalised_black(-jnp.abs(log_moneyness(f, k)), v * jnp.sqrt(t))
    return discount * (intrinsic + jnp.where(dead, 0.0, time_value))


@jax.jit
def _price_kernel(forward, strike, expiry, vol, rate, is_call):
    dead, live, forward, strike, discount, _ = _prepare(forward, strike, expiry, vol, rate)
    sign = jnp.where(is_call, 1.0, -1.0).astype(forward.dtype)
    return _price(dead, live, forward, strike, discount, sign)


def price_and_greeks(forward, strike, expiry, vol, rate, is_call) -> Greeks:
    """The greeks as plain jax expressions, for use inside other kernels; arguments as `black_greeks`."""
    dead, live, forward, strike, discount, rate = _prepare(forward, strike, expiry, vol, rate)
    sign = jnp.where(is_call, 1.0, -1.0).astype(forward.dtype)
    f, k, t, v = live
    root_t = jnp.sqrt(t)
    s = v * root_t
    h = log_moneyness(f, k) / s
    d1 = jnp.clip(h + 0.5 * s, -_FAR, _FAR)
    d2 = jnp.clip(h - 0.5 * s, -_FAR, _FAR)
    density = discount * norm_pdf(d1)
    price = _price(dead, live, forward, strike, discount, sign)
    delta = sign * discount * norm_cdf(sign * d1)
    gamma = density / (f * s)
    vega = density * f * root_t
    product = d1 * d2
    side = jnp.sign(forward - strike)
    step = sign * discount * 0.5 * (1.0 + sign * side)
    half_t = 0.5 / t

    def settle(value, expired=0.0):
        return jnp.where(dead, expired, value)

    return Greeks(
        price=price,
        delta=settle(delta, step),
        gamma=settle(gamma),
        vega=settle(vega),
        theta=settle(rate * price - density * f * v / (2.0 * root_t)),
        rho=settle(-t * price),
        vanna=settle(-density * d2 / v),
        volga=settle(vega * product / v),
        charm=settle(rate * delta + density * d2 * half_t),
        veta=settle(vega * (rate - (1.0 + product) * half_t)),
        dual_delta=settle(-sign * discount * norm_cdf(sign * d2), -step),
        dual_gamma=settle(discount * norm_pdf(d2) / (k * s)),
        speed=settle(-gamma / f * (1.0 + d1 / s)),
        zomma=settle(gamma * (product - 1.0) / v),
        color=settle(gamma * (rate + (1.0 - product) * half_t)),
        ultima=settle(vega / v * (product * (product - 1.0) - d1 * d1 - d2 * d2) / v),
    )


_greeks_kernel = jax.jit(price_and_greeks)


_ALLOWED = {
    "forward": ("positive", lambda v: v > 0.0),
    "strike": ("zero or positive", lambda v: v >= 0.0),
    "expiry": ("years, zero or negative once expired", lambda v: np.ones_like(v, bool)),
    "vol": ("an annual decimal such as 0.12, zero or positive", lambda v: v >= 0.0),
    "rate": ("continuous per year, such as 0.04", lambda v: np.ones_like(v, bool)),
}


def _check(**arguments: Any) -> None:
    """Refuse concrete values outside their range; tracers have no value to look at."""
    for name, value in arguments.items():
        if is_traced(value):
            continue
        try:
            values = np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            raise InputError(f"{name} must be numbers, got {value!r}") from None
        allowed, within = _ALLOWED[name]
        good = np.isfinite(values) & within(values)
        if not good.all():
            bad = values[~good].flat[0]
            count = int((~good).sum())
            raise InputError(
                f"{name} must be finite and {allowed}; got {bad:g}"
                + (f" ({count} such values)" if count > 1 else "")
            )
