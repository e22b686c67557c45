"""Implied volatility: the Black-76 vol of a price, with a reason wherever there is none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.surfaces.arguments import CALL_FLAG, check_arguments, check_shapes
from gammawall.surfaces.arrays import Array, Numbers
from gammawall.surfaces.errors import InputError, NumericalError
from gammawall.surfaces.precision import evaluate, is_traced
from gammawall.surfaces.pricing.normal import horner, norm_cdf, norm_pdf, odd_ratio
from gammawall.surfaces.pricing.normalised import log_moneyness, normalised_black_pair, normalised_vega

__all__ = ["ImpliedStatus", "ImpliedVol", "implied_vol"]

_SQRT_2PI = 2.5066282746310002

# The roundings of a price and of its intrinsic part, in units of the machine epsilon.
_ROUNDINGS = 8.0
# Largest relative uncertainty of a vol, from the rounding of its price alone, that still counts as a vol.
_LEAST_PRECISE = 1e-3
# The order of convergence is four: after a step of this relative size the error is rounding alone.
_SETTLED = 1e-4
_MOST_STEPS = 5

# Bachelier: total normal vol over price as a function of moneyness over price on [0, 12] (1.6e-7), and the
# standardised moneyness as a function of sqrt(-ln(price over moneyness)) on [1.57, 27.6] (7e-6); minimax.
_NEAR = (
    (2.5066286688588093, 3.9099288948561863, 1.8000386848580052, 0.2582520878219553, 0.008181055254815767),
    (1.0, 1.0598449864999442, 0.26768681286950213, 0.01401030459978094, 2.71952526377981e-05),
)
_FAR = (
    (-0.4849309400417402, 1.734311371102962, -1.332881591498065, 0.4352915601111865, 0.12079074630424762),
    (1.0, -0.45805992861680794, 0.3120986462573536, 0.08538434622548827),
)
_NEAR_END = 12.0
# sqrt(24 ln(sinh(z)/z)) / (2z) as a function of 2z on [0, 40], minimax (3e-5).
_SKEW = (
    (0.9999686200598301, 0.09439786848055326, 0.015624497723283462, 8.606186901712673e-05),
    (1.0, 0.09432324334968953, 0.019756744058170617, 0.0005460166521567864),
)
# The upper part of the price range, as a fraction of it, where ln(bound - price) is the better objective.
_UPPER = 0.3


class ImpliedStatus(IntEnum):
    """Why an implied vol is what it is. The vol is NaN for every status but ``ok``.

    Checked in the order bad_input, expired, below_intrinsic, above_max, low_vega, not_converged.
    """

    ok = 0
    below_intrinsic = 1
    """The price is under the discounted intrinsic value."""
    above_max = 2
    """The price is at or over its bound: discounted forward for a call, discounted strike for a put."""
    expired = 3
    """The expiry is zero or negative."""
    bad_input = 4
    """NaN or inf, a negative price, or a forward or strike that is not positive."""
    low_vega = 5
    """The price says nothing about vol: exactly its intrinsic value (zero out of the money), or so close to a
    bound that its rounding alone moves the vol by more than 0.1 %."""
    not_converged = 6
    """The iteration has not settled; not known to happen."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ImpliedVol:
    """Implied vols and their reasons, of one shape."""

    vol: Array
    """Annual decimal vol; NaN unless the status is ``ok``."""
    status: Array
    """:class:`ImpliedStatus` as an integer."""


def implied_vol(
    price: Numbers,
    forward: Numbers,
    strike: Numbers,
    expiry: Numbers,
    rate: Numbers = 0.0,
    *,
    is_call: Numbers = True,
    throw: bool = False,
) -> ImpliedVol:
    """Black-76 implied volatility, the σ with V(F, K, T, σ, r) = price.

    All arguments broadcast. Works under ``jit``, ``vmap`` and ``grad``; derivatives of any order come from
    the implicit-function theorem and not from the iteration, and are zero where the vol is NaN.

    In float64 the relative error is below max(1e-13, 4 ε·price/(σ·vega)), the second being what the rounding
    of the price itself costs; in float32 below max(2e-6, 4 ε·price/(σ·vega)).

    Args:
        price: option price today, in the units of the forward.
        forward: forward price, positive.
        strike: strike, positive.
        expiry: years to expiry.
        rate: continuous discount rate per year, real.
        is_call: True for a call, False for a put.
        throw: raise if any vol is missing; not inside a jax transformation.

    Returns:
        :class:`ImpliedVol` with ``vol`` and ``status``, as NumPy when no input was a jax array.

    Raises:
        InputError: the shapes do not broadcast, or ``throw`` was asked for inside a transformation.
        NumericalError: ``throw`` and some status is not ``ok``.

    Source:
        The normalisation, the three objectives and the Householder step follow Jäckel (2015), *Let's be
        rational*; the start is the Bachelier vol, made lognormal as in Hagan et al. (2002).

    Example:
        >>> found = surfaces.implied_vol(np.array([21.11, 0.0, 9000.0]), 7000.0, 7000.0, 1 / 252)
        >>> found.vol.round(4)
        array([0.12,  nan,  nan])
        >>> [surfaces.ImpliedStatus(s).name for s in found.status]
        ['ok', 'low_vega', 'above_max']
    """
    values = (price, forward, strike, expiry, rate, is_call)
    # Numbers out of range are a matter of the status, element by element.
    check_shapes(price=price, forward=forward, strike=strike, expiry=expiry, rate=rate, is_call=is_call)
    check_arguments({"is_call": CALL_FLAG}, is_call=is_call)
    result = evaluate(_implied_vol, *values)
    if throw:
        _raise_on_failure(result)
    return result


def _raise_on_failure(result: ImpliedVol) -> None:
    if is_traced(result.status):
        raise InputError(
            "implied_vol: throw=True was given inside a jax transformation, where nothing can be raised: "
            "use throw=False and look at .status outside"
        )
    status = np.asarray(result.status)
    counts = {s.name: int(np.sum(status == s)) for s in ImpliedStatus if s is not ImpliedStatus.ok}
    missing = sum(counts.values())
    if missing:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
        raise NumericalError(f"implied_vol: {missing} of {status.size} prices have no vol ({listed})")


@jax.jit
def _implied_vol(
    price: jax.Array,
    forward: jax.Array,
    strike: jax.Array,
    expiry: jax.Array,
    rate: jax.Array,
    is_call: jax.Array,
) -> ImpliedVol:
    dtype = jnp.result_type(float, price, forward, strike, expiry, rate)
    price, forward, strike, expiry, rate = (
        jnp.asarray(v, dtype) for v in (price, forward, strike, expiry, rate)
    )
    price, forward, strike, expiry, rate, sign = jnp.broadcast_arrays(
        price,
        forward,
        strike,
        expiry,
        rate,
        jnp.where(jnp.asarray(is_call).astype(bool), 1.0, -1.0).astype(dtype),
    )
    eps = float(jnp.finfo(dtype).eps)
    finite = jnp.isfinite(price + forward + strike + expiry + rate)
    bad = ~finite | (price < 0) | (forward <= 0) | (strike <= 0)
    expired = expiry <= 0
    years = jnp.where(bad | expired, 1.0, expiry)
    quoted = price * jnp.exp(jnp.where(bad | expired, 0.0, rate) * years)
    bound = jnp.where(sign > 0, forward, strike)
    intrinsic = jnp.maximum(sign * (forward - strike), 0.0)
    time_value = quoted - intrinsic
    rounding = _ROUNDINGS * eps * jnp.maximum(quoted, intrinsic)
    below = time_value < -rounding
    above = quoted >= bound
    smallest = 16.0 * float(jnp.finfo(dtype).tiny) * bound
    flat = time_value <= jnp.where(intrinsic > 0, rounding, smallest)

    solvable = ~(bad | expired | below | above | flat)
    total, last_step, uncertainty = _total_vol(
        jnp.where(solvable, quoted, 0.25),
        jnp.where(solvable, forward, 1.0),
        jnp.where(solvable, strike, 1.0),
        sign,
    )
    vague = uncertainty > _LEAST_PRECISE
    unsettled = ~(last_step <= _SETTLED + _ROUNDINGS * uncertainty)

    status = jnp.full(price.shape, ImpliedStatus.ok, jnp.int32)
    for condition, name in (
        (unsettled, ImpliedStatus.not_converged),
        (flat | vague, ImpliedStatus.low_vega),
        (above, ImpliedStatus.above_max),
        (below, ImpliedStatus.below_intrinsic),
        (expired, ImpliedStatus.expired),
        (bad, ImpliedStatus.bad_input),
    ):
        status = jnp.where(condition, np.int32(name), status)
    return ImpliedVol(jnp.where(status == ImpliedStatus.ok, total / jnp.sqrt(years), jnp.nan), status)


@jax.custom_jvp
def _total_vol(
    quoted: jax.Array, forward: jax.Array, strike: jax.Array, sign: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Total vol of an undiscounted price strictly between its bounds.

    Returns:
        (total vol, relative size of the last step, relative change of the vol for one ε of the price).
    """
    unit = jnp.sqrt(forward) * jnp.sqrt(strike)
    low, high = jnp.minimum(forward, strike), jnp.maximum(forward, strike)
    x = log_moneyness(low, high)
    target = _Target(
        x=x,
        moneyness=(high - low) / unit,
        price=(quoted - jnp.maximum(sign * (forward - strike), 0.0)) / unit,
        rest=(jnp.where(sign > 0, forward, strike) - quoted) / unit,
    )
    total, last_step = target.solve()
    eps = float(jnp.finfo(quoted.dtype).eps)
    return total, last_step, eps * quoted / (total * unit * normalised_vega(x, total))


@_total_vol.defjvp
def _total_vol_jvp(primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]) -> Any:
    """ds = (dV - ∂V/∂F dF - ∂V/∂K dK) / (∂V/∂s), the total derivative of V(F, K, s) = quoted."""
    _, forward, strike, sign = primals
    d_quoted, d_forward, d_strike, _ = tangents
    total, last_step, uncertainty = _total_vol(*primals)
    d1 = log_moneyness(forward, strike) / total + 0.5 * total
    by_forward = sign * norm_cdf(sign * d1)
    by_strike = -sign * norm_cdf(sign * (d1 - total))
    d_total = (d_quoted - by_forward * d_forward - by_strike * d_strike) / (forward * norm_pdf(d1))
    return (total, last_step, uncertainty), (d_total, jnp.zeros_like(total), jnp.zeros_like(total))


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: jax.Array) -> jax.Array:
    return horner(coefficients[0], x) / horner(coefficients[1], x)


class _Target:
    """One inversion: the s with b(x, s) = price, for arrays of one shape.

    Three ranges: ``near`` the money, where the price is its own objective; ``far`` from it, 1/ln(b/m); and
    the ``upper`` part of the price range, ln(bound - b).
    """

    def __init__(self, *, x: jax.Array, moneyness: jax.Array, price: jax.Array, rest: jax.Array) -> None:
        """Args: x = -|ln(F/K)|; m = |F - K|/√(FK); the normalised price and its distance to the bound."""
        self.x, self.moneyness, self.price, self.rest = x, moneyness, price, rest
        self.upper = rest < _UPPER * (price + rest)
        self.near = moneyness < _NEAR_END * price
        self.far = ~(self.near | self.upper)
        quotient = price / jnp.where(self.near, 1.0, moneyness)
        self.log_quotient = jnp.log(jnp.where(self.near, 1.0 / _NEAR_END, quotient))

    def solve(self) -> tuple[jax.Array, jax.Array]:
        """Total vol and the relative size of the last step; elements that have settled stay as they are."""

        def unsettled(state: tuple[Any, jax.Array, jax.Array]) -> jax.Array:
            count, _, size = state
            return (count < _MOST_STEPS) & jnp.any(size > _SETTLED)

        def improve(state: tuple[Any, jax.Array, jax.Array]) -> tuple[Any, jax.Array, jax.Array]:
            count, s, size = state
            active = size > _SETTLED
            moved = jnp.maximum(s + self.step(s), 0.5 * s)
            size = jnp.where(active, jnp.abs(moved - s) / moved, size)
            return count + 1, jnp.where(active, moved, s), size

        start = self.start()
        _, total, last_step = jax.lax.while_loop(
            unsettled, improve, (0, start, jnp.full_like(start, jnp.inf))
        )
        return total, last_step

    def start(self) -> jax.Array:
        """First total vol: the Bachelier vol of the price, made lognormal; near the bound, from the bound.

        y = s_N |x|/m is the total vol to leading order in the Bachelier total vol s_N, and the next order is
        s = y (1 + κy²), κ = ln(m/|x|)/x². The series is summed as at the money, where κ = 1/24 and
        s = 2Φ⁻¹(½ + y/√(8π)) exactly: with q = √(24κ), s = 2Φ⁻¹(½ + qy/√(8π))/q.
        """
        has_moneyness = self.moneyness > 0
        scale = jnp.where(has_moneyness, -self.x / jnp.where(has_moneyness, self.moneyness, 1.0), 1.0)
        inverse = jnp.where(self.near, self.moneyness / self.price, 0.0)
        normal_near = self.price * _ratio(_NEAR, inverse)
        normal_far = self.moneyness / _ratio(_FAR, jnp.sqrt(-self.log_quotient))
        q = _ratio(_SKEW, -self.x)
        y = scale * jnp.where(self.near, normal_near, normal_far)
        centre = jnp.minimum(q * y / _SQRT_2PI, 0.99)

        # The same inverse serves near the bound: rest ≈ 2Φ(-t) exp(-x²/(8t²)), one substitution.
        upper, rest = self.upper, self.rest
        w = -jnp.log(jnp.where(upper, rest * (2.0 - rest), (1.0 - centre) * (1.0 + centre)))
        first = jnp.where(upper, 1.0 - rest, centre) * odd_ratio(w)
        shift = jnp.where(upper, jnp.minimum(self.x * self.x / (8.0 * first * first), 0.9 * w), 0.0)
        tail = jnp.minimum(rest * jnp.exp(shift), 0.9)
        second = (1.0 - tail) * odd_ratio(w - shift + 0.5 * (tail - rest))
        return 2.0 * jnp.where(upper, second, first / q)

    def step(self, s: jax.Array) -> jax.Array:
        """Householder's third-order step ν(1 + γν/2)/(1 + ν(γ + δν/6)), ν = -f/f′, γ = f″/f′, δ = f‴/f′."""
        far, upper = self.far, self.upper
        b, c = normalised_black_pair(self.x, s)
        vega = normalised_vega(self.x, s)
        h, t = self.x / s, 0.5 * s
        second = (h * h - t * t) / s  # b″/b′
        third = second * second - (3.0 * h * h + t * t) / (s * s)  # b‴/b′

        # One logarithm serves both objectives that need one.
        log_error = jnp.log(jnp.where(upper, c / self.rest, jnp.where(far, b / self.price, 1.0)))
        log_b = jnp.where(far, self.log_quotient + log_error, -1.0)
        rate = vega / jnp.where(upper, c, b)
        bent = rate * (1.0 + 2.0 / log_b)
        newton_far = -log_error * log_b / self.log_quotient / rate
        delta_far = (
            third - 3.0 * second * bent + 2.0 * rate * rate * (1.0 + 3.0 / log_b * (1.0 + 1.0 / log_b))
        )
        delta_upper = third + 3.0 * second * rate + 2.0 * rate * rate

        newton = jnp.where(upper, log_error / rate, jnp.where(far, newton_far, (self.price - b) / vega))
        gamma = second + jnp.where(upper, rate, jnp.where(far, -bent, 0.0))
        delta = jnp.where(upper, delta_upper, jnp.where(far, delta_far, third))
        return newton * (1.0 + 0.5 * gamma * newton) / (1.0 + newton * (gamma + delta * newton / 6.0))
