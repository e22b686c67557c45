"""The dealers' books of account: hedge, cash and fees of every group on every path.

Cash is what trades cost at the prices they were made at. Gains are counted a second way, from the moves of
the price: the two must agree, which is the self-financing check that every run reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["Ledger", "hand_over", "open_ledger", "post", "residual"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Ledger:
    """One row per group of dealers; hedge in index units, the rest in USD; [groups, P]."""

    hedge: Any
    cash: Any
    gains: Any
    fees: Any
    traded: Any
    """sum of |trade| × price"""


def open_ledger(hedge: Any, spot: Any) -> Ledger:
    """Books at the start: the hedge is bought at the initial price, without impact or fee."""
    none = jnp.zeros_like(hedge)
    return Ledger(hedge=hedge, cash=-hedge * spot, gains=none, fees=none, traded=none)


def mean_price(before: Any, after: Any) -> Any:
    """Average of eˣ on the straight way between two log prices, at which a trade that moves it is filled."""
    move = after - before
    small = jnp.abs(move) < 1e-5
    safe = jnp.where(small, 1.0, move)
    return jnp.exp(before) * jnp.where(small, 1.0 + 0.5 * move + move * move / 6.0, jnp.expm1(safe) / safe)


def post(ledger: Ledger, trades: Any, last: Any, before: Any, after: Any, fee_rate: Any) -> Ledger:
    """Enter the trades of one step.

    Args:
        ledger: before the step.
        trades: index units, [groups, P].
        last, before, after: log price at the end of the last step, before and after these trades, [P].
        fee_rate: share of the traded value.
    """
    filled, price = mean_price(before, after), jnp.exp(after)
    fee = fee_rate * jnp.abs(trades) * filled
    # Differences of prices, not of values, so that the two accounts share no rounding.
    gain = ledger.hedge * jnp.exp(last) * jnp.expm1(after - last) + trades * (price - filled)
    return Ledger(
        hedge=ledger.hedge + trades,
        cash=ledger.cash - trades * filled - fee,
        gains=ledger.gains + gain,
        fees=ledger.fees + fee,
        traded=ledger.traded + jnp.abs(trades) * filled,
    )


def hand_over(ledger: Ledger, units: Any, price: Any) -> Ledger:
    """Close `units` [groups, P] of the hedge at the settlement price, outside the market and free of fees."""
    return Ledger(
        hedge=ledger.hedge + units,
        cash=ledger.cash - units * price,
        gains=ledger.gains,
        fees=ledger.fees,
        traded=ledger.traded,
    )


def residual(ledger: Ledger, x: Any) -> Any:
    """|cash + hedge value + fees − gains| over what was traded and held, [P]."""
    wealth = ledger.cash + ledger.hedge * jnp.exp(x) + ledger.fees
    scale = ledger.traded + jnp.abs(ledger.hedge) * jnp.exp(x) + 1.0
    return jnp.max(jnp.abs(wealth - ledger.gains) / scale, axis=0)
