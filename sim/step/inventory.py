"""The same-day options that dealers hold on every path, strike by strike, and what they are worth.

Sums over strikes are taken in float32 of ln(S/S₀), whose rounding, 1e-9, is 1e-5 index points; settlement is
in float64. By parity a put is a call less a future, so that only sums over the puts are kept:

    D = Σ u_j Φ(d_j) − Σ p_j,   d_j = ln(S/K_j)/(σ√τ) + σ√τ/2,   u calls and puts, p the puts among them
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.sim.book.rows import Rows, ramp
from gammawall.sim.models.order_flow import FlowNumbers, Orders
from gammawall.sim.models.protocols import Paths
from gammawall.surfaces.arrays import Array, Shape

__all__ = ["Inventory", "RowsWithInventory", "expire", "open_inventory", "take_orders"]

StrikesPaths = Annotated[Array, Shape("strikes paths")]
Draws = Annotated[Array, Shape("draws paths")]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Inventory:
    """State of every path; index units, signed from the dealers' side."""

    units: StrikesPaths
    """calls and puts of each strike, float32 [J, P]"""
    puts: Paths
    """[P]"""
    puts_strike: Paths
    """Σ puts (K − S₀), [P]"""
    cash: Paths
    """premiums received and payoffs, USD, [P]"""
    push: Paths
    """standardised last return, [P]"""
    beyond: Paths
    """index units of the volume that lay beyond the grid, [P]"""


def open_inventory(numbers: FlowNumbers, paths: int) -> Inventory:
    """No positions."""
    none = jnp.zeros(paths)
    units = jnp.zeros((numbers.log_strikes.shape[0], paths), jnp.float32)
    return Inventory(units, none, none, none, none, none)


def take_orders(
    demand: Callable[..., Orders], numbers: FlowNumbers, held: Inventory, x: Paths, shocks: Draws
) -> tuple[Inventory, Paths]:
    """Customers' orders of one step, which the dealers fill at Black's value.

    Args:
        demand: see `OrderFlow.demand`.
        numbers: of the flow, in this step.
        held: before the step.
        x: log price at which they trade, [P].
        shocks: standard normals, float32 [J + 2, P].

    Returns:
        The new inventory, and the delta of what was opened, index units, [P].
    """
    y = _relative(numbers, x)
    bought, puts, puts_strike, beyond = demand(numbers.for_demand(), held.push, y, shocks)
    d, s = _distance(numbers, y, 0)
    first = _norm_cdf(d)
    second = _norm_cdf(d - s)
    delta = jnp.sum(bought * first, axis=0) - puts
    # S Φ(d) − K Φ(d − s), about S₀ so that float32 keeps the premium.
    offsets, spot = numbers.offsets[:, None], numbers.spot
    rise = jnp.exp(x) - spot
    time_value = spot * jnp.sum(bought * (first - second), axis=0) - jnp.sum(
        bought * offsets * second, axis=0
    )
    premium = time_value + puts_strike + rise * delta
    kept = numbers.carried
    return (
        Inventory(
            units=held.units * kept - bought,
            puts=held.puts * kept - puts,
            puts_strike=held.puts_strike * kept - puts_strike,
            cash=held.cash + premium,
            push=held.push,
            beyond=held.beyond + numbers.volume * beyond,
        ),
        -delta.astype(x.dtype),
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RowsWithInventory:
    """The delta of book and inventory together, as `TableRows` or `LineRows` give the book's."""

    book: Rows
    numbers: FlowNumbers
    held: Inventory

    @property
    def moves(self) -> bool:
        return self.book.moves

    def by_surface(self, last: Paths, x: Paths) -> Paths | float:
        return self.book.by_surface(last, x)

    def living(self, x: Paths, now: int = 1) -> Paths:
        d, _ = _distance(self.numbers, _relative(self.numbers, x), now)
        delta = jnp.sum(self.held.units * _norm_cdf(d), axis=0).astype(x.dtype) - self.held.puts
        return self.book.living(x, now) + jnp.where(self.numbers.total_vol[now] > 0.0, delta, 0.0)

    def settling(self, x: Paths) -> Paths:
        passed = ramp(x, self.numbers.log_strikes[:, None])
        delta = jnp.sum(self.held.units * passed, axis=0) - self.held.puts
        return self.book.settling(x) + jnp.where(self.numbers.closes, delta, 0.0)


def expire(numbers: FlowNumbers, held: Inventory, last: Paths, x: Paths) -> Inventory:
    """Inventory after the step: at the close of a session its payoff is cash; the return is remembered."""

    def payoff() -> Paths:
        rise = jnp.exp(x) - numbers.spot
        strikes = jnp.exp(numbers.log_strikes) - numbers.spot
        calls = jnp.sum(held.units * jnp.maximum(rise - strikes[:, None], 0.0), axis=0)
        return calls - (held.puts * rise - held.puts_strike)

    paid = jax.lax.cond(numbers.closes, payoff, lambda: jnp.zeros_like(x))
    return Inventory(
        held.units, held.puts, held.puts_strike, held.cash + paid,
        (x - last) / numbers.deviation, held.beyond,
    )  # fmt: skip


def _relative(numbers: FlowNumbers, x: Paths) -> Paths:
    return (x - numbers.log_spot).astype(jnp.float32)


def _distance(numbers: FlowNumbers, y: Paths, now: int) -> tuple[StrikesPaths, Array]:
    """d of every strike [J, P], and σ√τ."""
    s = numbers.total_vol[now]
    s = jnp.where(s > 0.0, s, 1.0)
    k = (numbers.log_strikes - numbers.log_spot).astype(jnp.float32)
    return (y - k[:, None]) * (1.0 / s) + 0.5 * s, s


def _norm_cdf(d: Array) -> Array:
    # Rounding relative to 1 and not to the tail is enough in a sum, and halves the cost.
    return 0.5 + 0.5 * jax.lax.erf(d * np.float32(np.sqrt(0.5)))
