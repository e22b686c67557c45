"""Greeks by spot in the units that vendors and trading screens print."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from gammawall.surfaces.arguments import check_arguments
from gammawall.surfaces.arrays import Array, Numbers
from gammawall.surfaces.precision import evaluate
from gammawall.surfaces.pricing.black import ALLOWED, price_and_greeks
from gammawall.surfaces.units import DAYS_PER_YEAR, ONE_PERCENT, VOL_POINT

__all__ = ["SpotGreeks", "spot_greeks"]

_ALLOWED = ALLOWED | {"spot": ALLOWED["forward"], "dividend_yield": ALLOWED["rate"]}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SpotGreeks:
    """Derivatives of the Black–Scholes–Merton price V(S, K, T, σ, r, q), all of one broadcast shape."""

    price: Array
    """V, index points"""
    delta: Array
    """∂V/∂S, points per point of spot"""
    gamma: Array
    """∂²V/∂S², delta per point of spot"""
    vega_per_vol_point: Array
    """0.01 ∂V/∂σ, points for one vol point (12 % to 13 %)"""
    theta_per_day: Array
    """−∂V/∂T / 365, points as one calendar day passes at fixed spot: negative where the option decays"""
    forward_theta_per_day: Array
    """the same at fixed forward, (rV − σν/2T) / 365: what Cboe's files print as theta"""
    rho_per_pct: Array
    """0.01 ∂V/∂r, points for one percentage point of rate, at fixed spot and dividend yield"""
    dividend_rho_per_pct: Array
    """0.01 ∂V/∂q, points for one percentage point of dividend yield"""
    vanna_per_vol_point: Array
    """0.01 ∂²V/∂S∂σ, delta for one vol point"""
    charm_per_day: Array
    """−∂²V/∂S∂T / 365, delta as one calendar day passes at fixed spot"""


def spot_greeks(
    spot: Numbers,
    strike: Numbers,
    expiry: Numbers,
    vol: Numbers,
    rate: Numbers = 0.0,
    dividend_yield: Numbers = 0.0,
    *,
    is_call: Numbers = True,
) -> SpotGreeks:
    """Price and greeks by spot, per point, vol point, calendar day and percentage point.

    Black-76 with F = S e^{(r−q)T}. With Γ, ν, δ, ϰ for gamma, vega, delta and vanna, and V_K = ∂V/∂K:

        −∂V/∂T = qSδ + rK V_K − σν/2T,   ∂V/∂r = −TK V_K,   ∂V/∂q = −TSδ,
        −∂δ/∂T = qδ − (r−q)SΓ − σϰ/2T

    Args:
        spot: S > 0, index points.
        strike: K ≥ 0, index points.
        expiry: T, years on ACT/365; at or below zero the option has expired.
        vol: σ ≥ 0, annual decimal on the same clock.
        rate: r, continuous per year.
        dividend_yield: q, continuous per year.
        is_call: True for calls; all arguments broadcast.

    Returns:
        `SpotGreeks` in the precision of the inputs (NumPy in, NumPy out). Expired options have their
        intrinsic price and delta, and zero for the rest.

    Raises:
        InputError: a concrete argument is NaN, infinite or out of range, or the shapes do not broadcast.

    Example:
        >>> greeks = surfaces.spot_greeks(100.0, 105.0, 0.25, 0.2, rate=0.04, dividend_yield=0.01)
        >>> print(f"price {greeks.price:.3f}, delta {greeks.delta:.3f}")
        price 2.300, delta 0.357
    """
    arguments = {
        "spot": spot,
        "strike": strike,
        "expiry": expiry,
        "vol": vol,
        "rate": rate,
        "dividend_yield": dividend_yield,
        "is_call": is_call,
    }
    check_arguments(_ALLOWED, **arguments)
    return evaluate(_kernel, *arguments.values())


@jax.jit
def _kernel(
    spot: jax.Array,
    strike: jax.Array,
    expiry: jax.Array,
    vol: jax.Array,
    rate: jax.Array,
    dividend_yield: jax.Array,
    is_call: jax.Array,
):
    years = jnp.maximum(expiry, 0.0)
    growth = rate - dividend_yield
    carry = jnp.exp(growth * years)
    by_forward = price_and_greeks(carry * spot, strike, years, vol, rate, is_call)
    delta, gamma = carry * by_forward.delta, carry**2 * by_forward.gamma
    vega, vanna, by_strike = by_forward.vega, carry * by_forward.vanna, by_forward.dual_delta
    live = years > 0.0
    decay = jnp.where(live, 0.5 * vol / jnp.where(live, years, 1.0), 0.0)
    theta = dividend_yield * spot * delta + rate * strike * by_strike - decay * vega
    charm = dividend_yield * delta - growth * spot * gamma - decay * vanna
    return SpotGreeks(
        price=by_forward.price,
        delta=delta,
        gamma=gamma,
        vega_per_vol_point=VOL_POINT * vega,
        theta_per_day=jnp.where(live, theta, 0.0) / DAYS_PER_YEAR,
        forward_theta_per_day=jnp.where(live, rate * by_forward.price - decay * vega, 0.0) / DAYS_PER_YEAR,
        rho_per_pct=-ONE_PERCENT * years * strike * by_strike,
        dividend_rho_per_pct=-ONE_PERCENT * years * spot * delta,
        vanna_per_vol_point=VOL_POINT * vanna,
        charm_per_day=jnp.where(live, charm, 0.0) / DAYS_PER_YEAR,
    )
