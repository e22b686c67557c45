"""Implied vol of American options on a continuous yield, with a reason wherever there is none."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp

from gammawall.surfaces.american.kernel import Contract, certain_value, price_of, two_boundaries
from gammawall.surfaces.american.nodes import Accuracy, accuracy_named
from gammawall.surfaces.american.price import in_batches, in_float64
from gammawall.surfaces.arguments import CALL_FLAG, check_arguments, check_shapes
from gammawall.surfaces.arrays import Array, ArrayLike
from gammawall.surfaces.pricing.implied import ImpliedStatus, ImpliedVol, implied_vol

__all__ = ["american_implied_vol"]

_NOISE = 1e-11
"""of the put's strike: what the price's own iteration may leave"""
_LEAST_VEGA = 1e-4
"""of the put's strike, per 1.00 of vol: below it that noise would show in the seventh digit of the vol"""
_MOST_TOTAL_VOL = 6.0
_MOST_STEPS = 60
_SETTLED = 1e-11


def american_implied_vol(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    expiry: ArrayLike,
    rate: ArrayLike = 0.0,
    dividend_yield: ArrayLike = 0.0,
    *,
    is_call: ArrayLike = True,
) -> ImpliedVol:
    """The σ with `american_price` = price, by a bracketed secant from the European vol above it.

    The derivative is that of the implicit-function theorem, dσ = (dV − ∂V/∂θ dθ)/(∂V/∂σ).

    Args:
        price: V, in the units of the spot.
        spot, strike, expiry, rate, dividend_yield, is_call: as in `american_price`.

    Returns:
        `ImpliedVol` with a status for every element: ``bad_input``, ``expired``, ``below_intrinsic`` (under
        what the known path without vol earns), ``above_max``, ``low_vega`` (at that bound, where every small
        vol has the same price since the option is exercised at once, or vega under 1e-4 of the strike),
        ``not_converged`` (total vol over 6, or exercise between two prices, which is not solved for).

    Raises:
        InputError: the shapes do not broadcast.

    Example:
        >>> price, spot = np.array([6.09037059, 20.0]), np.array([100.0, 80.0])
        >>> found = surfaces.american_implied_vol(price, spot, 100.0, 1.0, 0.05, is_call=False)
        >>> found.vol.round(6)
        array([0.2, nan])
        >>> [surfaces.ImpliedStatus(s).name for s in found.status]
        ['ok', 'low_vega']
    """
    named = {
        "spot": spot, "strike": strike, "expiry": expiry, "price": price, "rate": rate,
        "dividend_yield": dividend_yield, "is_call": is_call,
    }  # fmt: skip
    check_shapes(**named)
    check_arguments({"is_call": CALL_FLAG}, is_call=is_call)
    return in_float64(_kernel(accuracy_named("high")), *named.values())


@cache
def _kernel(accuracy: Accuracy) -> Callable[..., ImpliedVol]:
    return jax.jit(lambda *columns: in_batches(partial(_implied, accuracy), columns))


def _implied(accuracy: Accuracy, quoted: Contract) -> ImpliedVol:
    """Vols of a batch whose prices stand in the place of the vols."""
    price = quoted.vol
    finite = jnp.isfinite(sum(quoted[:6]))
    bad = ~finite | (price < 0.0) | (quoted.spot <= 0.0) | (quoted.strike <= 0.0)
    expired = quoted.years <= 0.0
    plain = Contract._make([*(jnp.where(bad | expired, 1.0, v) for v in quoted[:6]), quoted.is_call])
    price, years = plain.vol, plain.years
    unit = jnp.where(plain.is_call, plain.spot, plain.strike)
    lowest = certain_value(plain)
    carried = jnp.where(plain.is_call, plain.dividend_yield, plain.rate)
    highest = unit * jnp.exp(jnp.maximum(-carried * years, 0.0))
    below, above = price < lowest - _NOISE * unit, price >= highest
    flat = price <= lowest + _NOISE * unit
    double = two_boundaries(plain._replace(vol=jnp.ones_like(price)))
    solvable = ~(bad | expired | below | above | flat | double)
    stand_in = Contract._make([*(jnp.ones_like(price) for _ in range(6)), plain.is_call])
    stand_in = stand_in._replace(rate=jnp.zeros_like(price), dividend_yield=jnp.zeros_like(price))
    stand_in = stand_in._replace(vol=jnp.full_like(price, 0.38))
    ready = Contract(*(jnp.where(solvable, a, b) for a, b in zip(plain, stand_in, strict=True)))
    vol, slope, moved = _solve(accuracy, ready)
    vague = ~(slope > _LEAST_VEGA * unit)
    status = jnp.full(price.shape, ImpliedStatus.ok, jnp.int32)
    for condition, name in (
        (~(moved <= 1e-8) | double, ImpliedStatus.not_converged),
        (flat | vague, ImpliedStatus.low_vega),
        (above, ImpliedStatus.above_max),
        (below, ImpliedStatus.below_intrinsic),
        (expired, ImpliedStatus.expired),
        (bad, ImpliedStatus.bad_input),
    ):
        status = jnp.where(condition, jnp.int32(name), status)
    status = jnp.where(double & ~(bad | expired | below | above | flat), ImpliedStatus.not_converged, status)
    return ImpliedVol(jnp.where(status == ImpliedStatus.ok, vol, jnp.nan), status.astype(jnp.int32))


State = tuple[Array, Array, Array, Array, Array, Array, Array, Array]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _solve(accuracy: Accuracy, quoted: Contract) -> tuple[Array, Array, Array]:
    """Vol, ∂V/∂σ there and the relative size of the last step.

    The price grows with vol and is never below the European one, so that the European vol is not below the
    vol sought: the secant starts there and runs down a convex price; what leaves the bracket is halved.
    """
    price, years = quoted.vol, quoted.years
    forward = quoted.spot * jnp.exp((quoted.rate - quoted.dividend_yield) * years)
    european = implied_vol(price, forward, quoted.strike, years, quoted.rate, is_call=quoted.is_call)
    most = _MOST_TOTAL_VOL / jnp.sqrt(years)
    known = (european.status == ImpliedStatus.ok) & (european.vol < most)
    high = jnp.where(known, european.vol, most)
    miss = lambda vol: price_of(accuracy, quoted._replace(vol=vol)) - price  # noqa: E731

    low, top = jnp.zeros_like(high), 1.0001 * high
    before, now = top, 0.999 * high

    def unsettled(state: State) -> Array:
        return (state[0] < _MOST_STEPS) & jnp.any(state[7] > _SETTLED)

    def step(state: State) -> State:
        count, low, top, before, missed, now, _, size = state
        miss_now = miss(now)
        low, top = jnp.where(miss_now < 0.0, now, low), jnp.where(miss_now < 0.0, top, now)
        rise = (miss_now - missed) / jnp.where(now == before, 1.0, now - before)
        following = now - miss_now / jnp.where(rise > 0.0, rise, 1.0)
        inside = (rise > 0.0) & (following > low) & (following < top)
        following = jnp.where(inside, following, 0.5 * (low + top))
        settled = (size <= _SETTLED) | (miss_now == 0.0)
        following = jnp.where(settled, now, following)
        size = jnp.where(settled, 0.0, jnp.abs(following - now) / now)
        return count + 1, low, top, now, miss_now, following, rise, size

    never, zero = jnp.full_like(now, jnp.inf), jnp.zeros_like(now)
    start = (jnp.asarray(0), low, top, before, miss(before), now, zero, never)
    *_, vol, _, size = jax.lax.while_loop(unsettled, step, start)
    # The slope of the solution, by a difference that the noise of the price does not spoil.
    width = 1e-3 * vol
    slope = (miss(vol + width) - miss(vol - width)) / (2.0 * width)
    return vol, slope, size


@_solve.defjvp
def _solve_jvp(
    accuracy: Accuracy, primals: tuple[Contract], tangents: tuple[Contract]
) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
    (quoted,), (direction,) = primals, tangents
    vol, slope, size = _solve(accuracy, quoted)
    at = quoted._replace(vol=vol)
    value = lambda *numbers: price_of(accuracy, Contract._make([*numbers, quoted.is_call]))  # noqa: E731
    still = [*direction[:3], jnp.zeros_like(vol), *direction[4:6]]
    _, by_rest = jax.jvp(value, tuple(at[:6]), tuple(still))
    only = [jnp.zeros_like(v) for v in at[:6]]
    only[3] = jnp.ones_like(vol)
    _, vega = jax.jvp(value, tuple(at[:6]), tuple(only))
    moved = (direction.vol - by_rest) / jnp.where(vega > 0.0, vega, 1.0)
    return (vol, slope, size), (moved, jnp.zeros_like(vol), jnp.zeros_like(vol))
