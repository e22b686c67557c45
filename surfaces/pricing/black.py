"""Black-76: price and greeks of options on a forward, to third order.

    V = e^{-rT} [ω F Φ(ω d₁) − ω K Φ(ω d₂)],   d₁,₂ = ln(F/K)/s ± s/2,   s = σ√T,   ω = ±1

Source: Black (1976), The pricing of commodity contracts; the greeks are its derivatives.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gammawall.surfaces.arguments import CALL_FLAG, anything, check_arguments
from gammawall.surfaces.arrays import Array, ArrayLike, Numbers
from gammawall.surfaces.precision import evaluate
from gammawall.surfaces.pricing.normal import INV_SQRT_2PI, SQRT_HALF, norm_pdf
from gammawall.surfaces.pricing.normalised import FARTHEST, log_moneyness, scaled_tails
from gammawall.surfaces.pricing.options import Options, broadcast_options, least_power

__all__ = ["ALLOWED", "Greeks", "black_greeks", "black_price", "price_and_greeks"]

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

    price: Array
    """V, index points"""
    delta: Array
    """∂V/∂F"""
    gamma: Array
    """∂²V/∂F²"""
    vega: Array
    """∂V/∂σ"""
    theta: Array
    """−∂V/∂T"""
    rho: Array
    """∂V/∂r at fixed forward = −T V"""
    vanna: Array
    """∂²V/∂F∂σ"""
    volga: Array
    """∂²V/∂σ²"""
    charm: Array
    """−∂²V/∂F∂T"""
    veta: Array
    """−∂²V/∂σ∂T"""
    dual_delta: Array
    """∂V/∂K"""
    dual_gamma: Array
    """∂²V/∂K²"""
    speed: Array
    """∂³V/∂F³"""
    zomma: Array
    """∂³V/∂F²∂σ"""
    color: Array
    """−∂³V/∂F²∂T"""
    ultima: Array
    """∂³V/∂σ³"""

    def __iter__(self):
        return (getattr(self, f.name) for f in dataclasses.fields(self))


def black_price(
    forward: Numbers,
    strike: Numbers,
    expiry: Numbers,
    vol: Numbers,
    rate: Numbers = 0.0,
    *,
    is_call: Numbers = True,
) -> Array:
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

    Example:
        >>> surfaces.black_price(7000.0, np.array([6950.0, 7000.0, 7050.0]), 1 / 252, 0.12).round(2)
        array([54.84, 21.11,  4.94])
    """
    check_arguments(
        ALLOWED, forward=forward, strike=strike, expiry=expiry, vol=vol, rate=rate, is_call=is_call
    )
    return evaluate(_price_kernel, forward, strike, expiry, vol, rate, is_call)


def black_greeks(
    forward: Numbers,
    strike: Numbers,
    expiry: Numbers,
    vol: Numbers,
    rate: Numbers = 0.0,
    *,
    is_call: Numbers = True,
) -> Greeks:
    """Price and all greeks to third order of one broadcast set of options.

    Arguments, precision and errors as in `black_price`. With no time or no vol left: the intrinsic price,
    delta e^{-rT} ω 1{ω(F−K) > 0} (half at the strike), its dual, and zero for every other greek: nothing
    is left to differentiate, and NaN is never returned.

    Example:
        >>> greeks = surfaces.black_greeks(7000.0, 7000.0, 1 / 252, 0.12)
        >>> print(f"delta {greeks.delta:.4f}, gamma {greeks.gamma:.5f}, vega {greeks.vega / 100:.2f} a point")
        delta 0.5015, gamma 0.00754, vega 1.76 a point
    """
    check_arguments(
        ALLOWED, forward=forward, strike=strike, expiry=expiry, vol=vol, rate=rate, is_call=is_call
    )
    return evaluate(_greeks_kernel, forward, strike, expiry, vol, rate, is_call)


class _Live(NamedTuple):
    """Options, and forward and strike with 1 where they are dead."""

    options: Options
    forward: jax.Array
    strike: jax.Array


def _prepare(
    forward: ArrayLike,
    strike: ArrayLike,
    expiry: ArrayLike,
    vol: ArrayLike,
    rate: ArrayLike,
    is_call: ArrayLike,
) -> _Live:
    options = broadcast_options(forward, strike, expiry, vol, rate, is_call)
    least, one = least_power(options.forward.dtype), jnp.ones_like(options.forward)
    lifted = options._replace(forward=_lifted(options.forward, least), strike=_lifted(options.strike, least))
    live = (jnp.where(lifted.dead, one, value) for value in (lifted.forward, lifted.strike))
    return _Live(lifted, *live)


def _lifted(value: jax.Array, least: float) -> jax.Array:
    """A zero strike has no logarithm: one far below any price stands in for it, with the same derivatives."""
    return value + jax.lax.stop_gradient(jnp.where(value <= 0.0, least - value, 0.0))


def _distances(forward: jax.Array, strike: jax.Array, total_vol: jax.Array) -> tuple[jax.Array, jax.Array]:
    """d₁ and d₂."""
    h, t = log_moneyness(forward, strike) / total_vol, 0.5 * total_vol
    return jnp.clip(h + t, -_FAR, _FAR), jnp.clip(h - t, -_FAR, _FAR)


class _Parts(NamedTuple):
    """What price and greeks are made of."""

    value: Array
    """undiscounted price"""
    first: Array
    """Φ(ω d₁)"""
    second: Array
    """Φ(ω d₂)"""
    density: Array
    """φ(d₁)"""


@jax.custom_jvp
def _parts(forward: jax.Array, strike: jax.Array, total_vol: jax.Array, sign: jax.Array) -> _Parts:
    """Undiscounted price, both probabilities and the density, from one exp and one pair of erfcx.

    On the out-of-the-money side, with E the scaled tails of |d|, value = ½ F e^{-d₁²/2} [E₁ − E₂], free of
    the cancellation of F Φ(d₁) − K Φ(d₂); F e^{-d₁²/2} = K e^{-d₂²/2}.
    """
    below = forward <= strike
    h = jnp.clip(log_moneyness(forward, strike) / total_vol, -FARTHEST, FARTHEST)
    t = jnp.minimum(0.5 * total_vol, FARTHEST)
    weight = jnp.exp(-0.5 * (h + t) * (h + t))
    near, difference, crossed = scaled_tails(SQRT_HALF * jnp.abs(h), SQRT_HALF * t)
    half = 0.5 * forward * weight
    # Where the tails cross, the small one is what is missing to the bound.
    missing = jnp.minimum(forward, strike) - half * (2.0 * near - difference)
    value = jnp.where(crossed, missing, half * difference)
    value = jnp.maximum(sign * (forward - strike), 0.0) + value
    over_first, over_second = 0.5 * weight, half / strike
    inner = jnp.where(below, over_first, over_second) * near
    inner = jnp.where(crossed, 1.0 - inner, inner)
    outer = jnp.where(below, over_second, over_first) * (near - difference)
    # Below the strike these are the call's probabilities, above it the put's, in the other order.
    first, second = jnp.where(below, inner, outer), jnp.where(below, outer, inner)
    other = (sign > 0.0) != below
    first, second = jnp.where(other, 1.0 - first, first), jnp.where(other, 1.0 - second, second)
    return _Parts(value, first, second, INV_SQRT_2PI * weight)


@_parts.defjvp
def _parts_jvp(primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]) -> tuple[_Parts, _Parts]:
    # In closed form: differentiated piece by piece the price would lose its smoothness at F = K.
    forward, strike, total_vol, sign = primals
    d_forward, d_strike, d_vol, _ = tangents
    parts = _parts(*primals)
    d1, d2 = _distances(forward, strike, total_vol)
    move = (d_forward / forward - d_strike / strike) / total_vol
    turn = d_vol / total_vol
    d_first, d_second = move - d2 * turn, move - d1 * turn
    by_price = sign * (parts.first * d_forward - parts.second * d_strike)
    return parts, _Parts(
        value=by_price + forward * parts.density * d_vol,
        first=sign * parts.density * d_first,
        second=sign * norm_pdf(d2) * d_second,
        density=-d1 * parts.density * d_first,
    )


def _price(options: Options, parts: _Parts) -> jax.Array:
    intrinsic = jnp.maximum(options.sign * (options.forward - options.strike), 0.0)
    return options.discount * jnp.where(options.dead, intrinsic, parts.value)


def _of_live(live: _Live) -> _Parts:
    options, f, k = live
    return _parts(f, k, options.vol * jnp.sqrt(options.years), options.sign)


@jax.jit
def _price_kernel(
    forward: jax.Array,
    strike: jax.Array,
    expiry: jax.Array,
    vol: jax.Array,
    rate: jax.Array,
    is_call: jax.Array,
) -> jax.Array:
    live = _prepare(forward, strike, expiry, vol, rate, is_call)
    return _price(live.options, _of_live(live))


def price_and_greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    expiry: ArrayLike,
    vol: ArrayLike,
    rate: ArrayLike,
    is_call: ArrayLike,
) -> Greeks:
    """The greeks as plain jax expressions, for use inside other kernels; arguments as `black_greeks`."""
    live = _prepare(forward, strike, expiry, vol, rate, is_call)
    options, f, k = live
    t, v, r, sign, discount = options.years, options.vol, options.rate, options.sign, options.discount
    settle = options.settle
    root_t = jnp.sqrt(t)
    s, half_t = v * root_t, 0.5 / t
    parts = _of_live(live)
    d1, d2 = _distances(f, k, s)
    density = discount * parts.density
    price = _price(options, parts)
    delta = sign * discount * parts.first
    gamma = density / (f * s)
    vega = density * f * root_t
    product = d1 * d2
    step = sign * discount * 0.5 * (1.0 + sign * jnp.sign(options.forward - options.strike))

    return Greeks(
        price=price,
        delta=settle(delta, step),
        gamma=settle(gamma),
        vega=settle(vega),
        theta=settle(r * price - 0.5 * vega * v / t),
        rho=settle(-t * price),
        vanna=settle(-density * d2 / v),
        volga=settle(vega * product / v),
        charm=settle(r * delta + density * d2 * half_t),
        veta=settle(vega * (r - (1.0 + product) * half_t)),
        dual_delta=settle(-sign * discount * parts.second, -step),
        dual_gamma=settle(density * f / (k * k * s)),
        speed=settle(-gamma / f * (1.0 + d1 / s)),
        zomma=settle(gamma * (product - 1.0) / v),
        color=settle(gamma * (r + (1.0 - product) * half_t)),
        ultima=settle(vega / v * (product * (product - 1.0) - d1 * d1 - d2 * d2) / v),
    )


_greeks_kernel = jax.jit(price_and_greeks)
