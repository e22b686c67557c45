"""Black-76: price and greeks of options on a forward, to third order.

    V = e^{-rT} [ω F Φ(ω d₁) − ω K Φ(ω d₂)],   d₁,₂ = ln(F/K)/s ± s/2,   s = σ√T,   ω = ±1

Source: Black (1976), The pricing of commodity contracts; the greeks are its derivatives.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gammawall.surfaces.arguments import CALL_FLAG, anything, check_arguments
from gammawall.surfaces.normal import norm_cdf, norm_pdf
from gammawall.surfaces.normalised import normalised_black
from gammawall.surfaces.precision import evaluate

__all__ = ["ALLOWED", "Greeks", "black_greeks", "black_price", "log_moneyness", "price_and_greeks"]

ALLOWED = {
    "forward": ("finite and positive", lambda v: v > 0.0),
    "strike": ("finite and zero or positive", lambda v: v >= 0.0),
    "expiry": ("finite years, zero or negative once expired", anything),
    "vol": ("a finite annual decimal such as 0.12, zero or positive", lambda v: v >= 0.0),
    "rate": ("finite, continuous per year, such as 0.04", anything),
    "is_call": CALL_FLAG,
}

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
        V, in the precision of the inputs (NumPy in, NumPy out). With no time or no vol left: e^{-rT} ×
        intrinsic. For live options ``jax.grad`` of it gives the greeks, to any order and at the strike too.

    Raises:
        InputError: a concrete argument is NaN, infinite or out of range, or the shapes do not broadcast.
    """
    check_arguments(
        ALLOWED, forward=forward, strike=strike, expiry=expiry, vol=vol, rate=rate, is_call=is_call
    )
    return evaluate(_price_kernel, forward, strike, expiry, vol, rate, is_call)


def black_greeks(
    forward: Any, strike: Any, expiry: Any, vol: Any, rate: Any = 0.0, *, is_call: Any = True
) -> Greeks:
    """Price and all greeks to third order of one broadcast set of options.

    Arguments, precision and errors as in `black_price`. With no time or no vol left: the intrinsic price,
    delta e^{-rT} ω 1{ω(F−K) > 0} (half at the strike), its dual, and zero for every other greek: nothing
    is left to differentiate, and NaN is never returned.
    """
    check_arguments(
        ALLOWED, forward=forward, strike=strike, expiry=expiry, vol=vol, rate=rate, is_call=is_call
    )
    return evaluate(_greeks_kernel, forward, strike, expiry, vol, rate, is_call)


def log_moneyness(forward: Any, strike: Any) -> Any:
    """ln(F/K), accurate where F ≈ K: a rounded quotient near 1 would lose the digits that d₁ needs."""
    near = jnp.abs(forward - strike) < 0.3 * strike
    distance = jnp.where(near, (forward - strike) / strike, 0.0)
    quotient = jnp.where(near, 1.0, forward / strike)
    return jnp.where(near, jnp.log1p(distance), jnp.log(quotient))


class _Terms(NamedTuple):
    """Broadcast arguments, with harmless stand-ins where there is nothing to integrate over."""

    forward: jax.Array
    strike: jax.Array
    rate: jax.Array
    sign: jax.Array
    discount: jax.Array
    dead: jax.Array
    """no time or no vol is left"""
    live: tuple[jax.Array, ...]
    """forward, strike, years, vol"""


def _prepare(forward: Any, strike: Any, expiry: Any, vol: Any, rate: Any, is_call: Any) -> _Terms:
    numbers = jnp.broadcast_arrays(*map(jnp.asarray, (forward, strike, expiry, vol, rate)))
    dtype = jnp.result_type(*numbers, float)
    forward, strike, expiry, vol, rate = (v.astype(dtype) for v in numbers)
    tiny = float(jnp.finfo(dtype).tiny)
    forward, strike = _lifted(forward, tiny**0.25), _lifted(strike, tiny**0.25)
    years = jnp.maximum(expiry, 0.0)
    # Below tiny^¼ some power of time or vol in the greeks would overflow. Compared so that NaN counts as live
    # and reaches the result.
    dead = (years <= tiny**0.25) | (vol <= tiny**0.25)
    # Double where: the dead branch must not send NaN through a gradient.
    one = jnp.ones_like(forward)
    live = tuple(jnp.where(dead, one, v) for v in (forward, strike, years, vol))
    sign = jnp.where(is_call, 1.0, -1.0).astype(dtype)
    return _Terms(forward, strike, rate, sign, jnp.exp(-rate * years), dead, live)


def _lifted(value: Any, least: float) -> Any:
    """A zero strike has no logarithm: one far below any price stands in for it, with the same derivatives."""
    return value + jax.lax.stop_gradient(jnp.where(value <= 0.0, least - value, 0.0))


def _distances(forward: Any, strike: Any, total_vol: Any) -> tuple[Any, Any]:
    """d₁ and d₂."""
    h = log_moneyness(forward, strike) / total_vol
    return jnp.clip(h + 0.5 * total_vol, -_FAR, _FAR), jnp.clip(h - 0.5 * total_vol, -_FAR, _FAR)


@jax.custom_jvp
def _undiscounted(forward: Any, strike: Any, total_vol: Any, sign: Any) -> Any:
    """Intrinsic value plus the out-of-the-money part, without the cancellation of F Φ(d₁) − K Φ(d₂)."""
    intrinsic = jnp.maximum(sign * (forward - strike), 0.0)
    x = -jnp.abs(log_moneyness(forward, strike))
    return intrinsic + jnp.sqrt(forward) * jnp.sqrt(strike) * normalised_black(x, total_vol)


@_undiscounted.defjvp
def _undiscounted_jvp(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    # The price is smooth, its two parts are not: differentiated one by one they lose the kink at F = K.
    forward, strike, total_vol, sign = primals
    d1, d2 = _distances(forward, strike, total_vol)
    slope = sign * (norm_cdf(sign * d1) * tangents[0] - norm_cdf(sign * d2) * tangents[1])
    return _undiscounted(*primals), slope + forward * norm_pdf(d1) * tangents[2]


def _price(terms: _Terms) -> Any:
    f, k, t, v = terms.live
    intrinsic = jnp.maximum(terms.sign * (terms.forward - terms.strike), 0.0)
    return terms.discount * jnp.where(terms.dead, intrinsic, _undiscounted(f, k, v * jnp.sqrt(t), terms.sign))


@jax.jit
def _price_kernel(forward, strike, expiry, vol, rate, is_call):
    return _price(_prepare(forward, strike, expiry, vol, rate, is_call))


def price_and_greeks(forward: Any, strike: Any, expiry: Any, vol: Any, rate: Any, is_call: Any) -> Greeks:
    """The greeks as plain jax expressions, for use inside other kernels; arguments as `black_greeks`."""
    terms = _prepare(forward, strike, expiry, vol, rate, is_call)
    rate, sign, discount = terms.rate, terms.sign, terms.discount
    f, k, t, v = terms.live
    root_t = jnp.sqrt(t)
    s = v * root_t
    d1, d2 = _distances(f, k, s)
    density = discount * norm_pdf(d1)
    price = _price(terms)
    delta = sign * discount * norm_cdf(sign * d1)
    gamma = density / (f * s)
    vega = density * f * root_t
    product = d1 * d2
    step = sign * discount * 0.5 * (1.0 + sign * jnp.sign(terms.forward - terms.strike))
    half_t = 0.5 / t

    def settle(value: Any, expired: Any = 0.0) -> Any:
        return jnp.where(terms.dead, expired, value)

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
