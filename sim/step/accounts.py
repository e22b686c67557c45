"""The dealers' books of account: hedge and cash of every group on every path.

Cash is what trades cost at the prices they were made at. Gains are counted a second way, from the moves of
the price: the two must agree, which is the self-financing check that every run reports.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import jax
import jax.numpy as jnp

from gammawall.sim.models.protocols import Paths
from gammawall.surfaces.arrays import Array, Shape

__all__ = ["Groups", "Ledger", "hand_over", "mean_price", "open_ledger", "post", "residual"]

Groups: TypeAlias = Annotated[Array, Shape("groups paths")]
"""one number per group of dealers and path"""

_ODD_FACTORIALS = [math.factorial(2 * k + 1) for k in range(9)]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Ledger:
    """One row per group of dealers, [groups, P]; hedge in index units, the rest in USD."""

    hedge: Groups
    cash: Groups
    """without fees, which are a share of what was traded"""
    gains: Groups
    traded: Groups
    """sum of |trade| × price"""
    price: Paths
    """of the index when last entered, [P]"""


def open_ledger(hedge: Groups, spot: Array | float) -> Ledger:
    """Books at the start: the hedge is bought at the initial price, without impact or fee."""
    none = jnp.zeros_like(hedge)
    return Ledger(hedge, cash=-hedge * spot, gains=none, traded=none, price=none[0] + spot)


def mean_price(before: Paths, after: Paths) -> Paths:
    """Average of eˣ on the straight way between two log prices, at which a trade that moves it is filled:
    e^{after} e^{−z} sinh(z)/z with z half the way, by its series: to 1e-16 up to |z| = 1, 1e-12 up to 2."""
    half = 0.5 * (after - before)
    square, ratio = half * half, 0.0
    for factorial in _ODD_FACTORIALS[::-1]:
        ratio = ratio * square + 1.0 / factorial
    # The division keeps XLA from working all of this out anew for each of its users. Two exponentials for the
    # whole account in place of five: 6 ns of a step's 48, CPU time.
    return jnp.exp(after) * ratio / jnp.exp(half)


def post(ledger: Ledger, trades: Groups, before: Paths, after: Paths) -> Ledger:
    """Enter the trades of one step.

    Args:
        ledger: before the step.
        trades: index units, [groups, P].
        before, after: log price before and after these trades, [P].
    """
    filled, price = mean_price(before, after), jnp.exp(after)
    # Differences of prices, not of values, so that the two accounts share no rounding.
    gain = ledger.hedge * (price - ledger.price) + trades * (price - filled)
    return Ledger(
        hedge=ledger.hedge + trades,
        cash=ledger.cash - trades * filled,
        gains=ledger.gains + gain,
        traded=ledger.traded + jnp.abs(trades) * filled,
        price=price,
    )


def hand_over(ledger: Ledger, units: Groups) -> Ledger:
    """Close `units` [groups, P] of the hedge at the price of now, outside the market and free of fees."""
    return dataclasses.replace(ledger, hedge=ledger.hedge + units, cash=ledger.cash - units * ledger.price)


def residual(ledger: Ledger) -> Paths:
    """|cash + hedge value − gains| over what was traded and held, [P]."""
    wealth = ledger.cash + ledger.hedge * ledger.price
    scale = ledger.traded + jnp.abs(ledger.hedge) * ledger.price + 1.0
    return jnp.max(jnp.abs(wealth - ledger.gains) / scale, axis=0)
