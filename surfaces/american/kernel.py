"""American options on a continuous yield as jax expressions of one-dimensional arrays.

A call is the put with spot and strike, rate and yield exchanged, C(S, K, r, q) = P(K, S, q, r), so that one
boundary equation serves both.

Source: McDonald and Schroder (1998), A parity result for American options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gammawall.surfaces.american.boundary import Scaled, log_boundary
from gammawall.surfaces.american.nodes import Accuracy
from gammawall.surfaces.american.premium import premium
from gammawall.surfaces.arrays import Array
from gammawall.surfaces.pricing.black import black_price, price_and_greeks
from gammawall.surfaces.pricing.normalised import log_moneyness

__all__ = ["AmericanGreeks", "Contract", "certain_value", "greeks_of", "price_of", "two_boundaries"]

LEAST_TOTAL_VOL = 1e-8
"""σ√T below which the underlying counts as certain: the option is then worth at most 4e-9 of it more"""

_SETTLED_AFTER = 10.0


class Contract(NamedTuple):
    """Options of one broadcast shape."""

    spot: Array
    strike: Array
    years: Array
    vol: Array
    rate: Array
    dividend_yield: Array
    is_call: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class AmericanGreeks:
    """Derivatives of the American price V(S, K, T, σ, r, q) by spot, all of one broadcast shape.

    Where the option should be exercised at once, it is worth its intrinsic value, moves one for one with the
    spot and with nothing else.
    """

    price: Array
    """V, in the units of the spot"""
    delta: Array
    """∂V/∂S"""
    gamma: Array
    """∂²V/∂S²"""
    vega: Array
    """∂V/∂σ, per 1.00 of vol"""
    theta: Array
    """−∂V/∂T per year, at fixed spot"""
    rho: Array
    """∂V/∂r, at fixed spot and yield"""
    early_exercise_premium: Array
    """V less the European price"""
    boundary: Array
    """spot at or below which a put, at or above which a call is exercised today; 0 and inf: never"""


class _Mirrored(NamedTuple):
    """The put that a contract is, and which of the cases it falls into."""

    put: Scaled
    log_spot: Array
    unit: Array
    """its strike"""
    live: Array
    """something is left to happen"""
    bounded: Array
    """live, with one exercise boundary"""
    double: Array
    """live, with two of them: q < r < 0"""


def _mirrored(c: Contract) -> _Mirrored:
    rate = jnp.where(c.is_call, c.dividend_yield, c.rate)
    dividend_yield = jnp.where(c.is_call, c.rate, c.dividend_yield)
    live = c.vol * jnp.sqrt(jnp.maximum(c.years, 0.0)) > LEAST_TOTAL_VOL
    one = (rate > 0.0) | ((rate == 0.0) & (dividend_yield < 0.0))
    bounded = live & one
    # Stand-ins, so that no NaN of a contract that is not asked about enters a gradient.
    per_variance = 1.0 / jnp.where(bounded, c.vol, 1.0) ** 2
    put = Scaled(
        jnp.where(bounded, c.years, 0.04) / per_variance,
        jnp.where(bounded, rate, 1.0) * per_variance,
        jnp.where(bounded, dividend_yield, 0.0) * per_variance,
    )
    log_spot = log_moneyness(c.spot, c.strike) * jnp.where(c.is_call, -1.0, 1.0)
    unit = jnp.where(c.is_call, c.spot, c.strike)
    return _Mirrored(put, log_spot, unit, live, bounded, live & (dividend_yield < rate) & (rate < 0.0))


def _settled(c: Contract) -> Contract:
    """The same options with no more time than matters.

    Where a put's spot drifts up by δ = (r − q)/σ a year beyond the boundary, what happens after the time T
    with δ √T = 10 changes the price by e^{-δ²T/8} of a premium that is itself small, and a boundary that has
    long settled is not a polynomial of few degrees.
    """
    drift = jnp.where(c.is_call, c.dividend_yield - c.rate, c.rate - c.dividend_yield)
    enough = (_SETTLED_AFTER * c.vol / jnp.where(drift > 0.0, drift, 1.0)) ** 2
    enough = jnp.where((drift > 0.0) & (c.vol > 0.0), jax.lax.stop_gradient(enough), jnp.inf)
    return c._replace(years=jnp.where(c.years > enough, enough, c.years))


def two_boundaries(c: Contract) -> Array:
    """Where exercise pays only between two prices: q < r < 0 for a put, r < q < 0 for a call."""
    return _mirrored(c).double


def _intrinsic(c: Contract) -> Array:
    return jnp.maximum(jnp.where(c.is_call, c.spot - c.strike, c.strike - c.spot), 0.0)


def _european(c: Contract) -> Array:
    forward = c.spot * jnp.exp((c.rate - c.dividend_yield) * jnp.maximum(c.years, 0.0))
    return black_price(forward, c.strike, c.years, c.vol, c.rate, is_call=c.is_call)


def certain_value(c: Contract) -> Array:
    """The price without vol, max over t of ω(S e^{-qt} − K e^{-rt}): the path is known.

    It is largest at 0, at T, or where its derivative vanishes, e^{(q−r)t} = qS/(rK).
    """
    sign, years = jnp.where(c.is_call, 1.0, -1.0), jnp.maximum(c.years, 0.0)

    def at(time: Array) -> Array:
        spot = c.spot * jnp.exp(-c.dividend_yield * time)
        return jnp.maximum(sign * (spot - c.strike * jnp.exp(-c.rate * time)), 0.0)

    gap = c.dividend_yield - c.rate
    turns = (c.dividend_yield * c.rate > 0.0) & (gap != 0.0)
    ratio = jnp.where(turns, c.dividend_yield * c.spot / jnp.where(turns, c.rate * c.strike, 1.0), 1.0)
    best = jnp.clip(jnp.log(ratio) / jnp.where(turns, gap, 1.0), 0.0, years)
    return jnp.maximum(jnp.maximum(at(jnp.zeros_like(years)), at(years)), at(jax.lax.stop_gradient(best)))


def price_of(accuracy: Accuracy, c: Contract) -> Array:
    """American prices; NaN where there are `two_boundaries`."""
    certain, full = certain_value(c), _european(c)
    c = _settled(c)
    m = _mirrored(c)
    level = log_boundary(accuracy, m.put)
    held = _european(c) + m.unit * premium(accuracy.premium_points, m.log_spot, m.put, level)
    intrinsic = _intrinsic(c)
    # To the last digits the price held may lie below intrinsic at the boundary itself; a price is never below
    # what a plan fixed today earns.
    exercised = (m.log_spot <= level[0]) | ~(held > intrinsic)
    value = jnp.where(exercised, intrinsic, held)
    value = jnp.where(value >= certain, value, certain)
    value = jnp.where(m.bounded, value, jnp.where(m.double, jnp.nan, full))
    return jnp.where(m.live, value, certain)


def greeks_of(accuracy: Accuracy, c: Contract) -> AmericanGreeks:
    """Price, greeks, premium and boundary; NaN where there are `two_boundaries`."""
    full = _european(c)
    certain, (certain_delta, certain_theta, certain_rho) = _certain_greeks(c)
    lasting, c = c.years > 0.0, _settled(c)
    m = _mirrored(c)
    points = accuracy.premium_points
    level = log_boundary(accuracy, m.put)
    one, zero = jnp.ones_like(m.log_spot), jnp.zeros_like(m.log_spot)

    def slope(x: Array) -> tuple[Array, Array]:
        return jax.jvp(lambda y: premium(points, y, m.put, level), (x,), (one,))

    (value, first), (_, second) = jax.jvp(slope, (m.log_spot,), (one,))
    # The boundary moves with the three numbers of the scale-free put.
    ways = Scaled(*(jnp.stack([one if i == j else zero for i in range(3)]) for j in range(3)))
    by_variance, by_rate, by_yield = jax.vmap(
        lambda way: jax.jvp(
            lambda put: premium(points, m.log_spot, put, log_boundary(accuracy, put)), (m.put,), (way,)
        )[1]
    )(ways)

    years = jnp.maximum(c.years, 0.0)
    carry = jnp.exp((c.rate - c.dividend_yield) * years)
    e = price_and_greeks(carry * c.spot, c.strike, years, c.vol, c.rate, c.is_call)
    vol = jnp.where(m.bounded, c.vol, 1.0)
    # A put's premium is K e(ln S/K), a call's is S e(ln K/S).
    by_spot = jnp.where(c.is_call, value - first, first * c.strike / c.spot)
    by_spot_twice = (second - first) * m.unit / (c.spot * c.spot)
    by_vol = 2.0 * m.unit / vol
    by_vol = by_vol * (by_variance * m.put.variance - by_rate * m.put.rate - by_yield * m.put.dividend_yield)
    by_interest = m.unit * jnp.where(c.is_call, by_yield, by_rate) / vol**2

    intrinsic = _intrinsic(c)
    held = e.price + m.unit * value
    exercised = (m.log_spot <= level[0]) | ~(held > intrinsic)
    sign = jnp.where(c.is_call, 1.0, -1.0)

    def choose(held: Array, exercised_value: Array | float, european: Array, certain: Array | float) -> Array:
        bounded = jnp.where(exercised, exercised_value, held)
        alive = jnp.where(m.bounded, bounded, jnp.where(m.double, jnp.nan, european))
        return jnp.where(m.live, alive, certain)

    price = choose(held, intrinsic, e.price, certain)
    delta = choose(carry * e.delta + by_spot, sign, carry * e.delta, certain_delta)
    gamma = choose(carry * carry * e.gamma + by_spot_twice, 0.0, carry * carry * e.gamma, 0.0)
    # The Black–Scholes equation, which holds wherever the option is held.
    decay = c.rate * price - (c.rate - c.dividend_yield) * c.spot * delta
    decay = decay - 0.5 * (c.vol * c.spot) ** 2 * gamma
    rho = -years * c.strike * e.dual_delta
    never = jnp.where(c.is_call, jnp.inf, 0.0)
    edge = jnp.where(c.is_call, c.strike * jnp.exp(-level[0]), c.strike * jnp.exp(level[0]))
    return AmericanGreeks(
        price=price,
        delta=delta,
        gamma=gamma,
        vega=choose(e.vega + by_vol, 0.0, e.vega, 0.0),
        theta=choose(decay, 0.0, decay, certain_theta),
        rho=choose(rho + by_interest, 0.0, rho, certain_rho),
        early_exercise_premium=price - full,
        boundary=choose(edge, edge, never, jnp.where(lasting, never, c.strike)),
    )


def _certain_greeks(c: Contract) -> tuple[Array, tuple[Array, Array, Array]]:
    """`certain_value`, and its delta, theta and rho."""
    one = jnp.ones_like(c.spot)
    value = certain_value(c)

    def by(name: str) -> Array:
        function = lambda x: certain_value(c._replace(**{name: x}))  # noqa: E731
        return jax.jvp(function, (getattr(c, name),), (one,))[1]

    return value, (by("spot"), -jnp.where(c.years > 0.0, by("years"), 0.0), by("rate"))
