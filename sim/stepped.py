"""One step of a market with any mix of policies, impacts and order flow.

    x = x̃ + I(ΔQ₁(x) + ΔQ₂(x) + …)

x̃ is the price before the dealers trade: the last price, the fundamental move, what transient impact gives
back, and the customers' own trades. Groups whose trade depends on x are solved together by the branch rule of
model.md, section 2; those that decide beforehand only shift x̃.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.sim.clearing import STABLE
from gammawall.sim.exact import Positions
from gammawall.sim.hedging import HedgingPolicy, View
from gammawall.sim.impact import Impact
from gammawall.sim.ledger import Ledger, hand_over, open_ledger, post
from gammawall.sim.rows import RAMP
from gammawall.sim.walk import first_balance

__all__ = ["SteppedBook", "SteppedState", "Stepper", "open_stepped", "settle_edges", "stepped"]


_ROUNDING = 1e-12


@dataclass(frozen=True)
class Stepper:
    """The choices of a run that shape its compiled step; no number among them."""

    trades: tuple[Callable[..., Any], ...]
    """rule of each group"""
    solve: bool
    """whether some group's trade depends on the price after it"""
    open: Callable[..., Any]
    relax: Callable[..., Any]
    move: Callable[..., Any]
    after: Callable[..., Any]
    unwind: bool
    """whether hedges of settled contracts are unwound in the market rather than at the settlement price"""

    @classmethod
    def of(cls, groups: tuple[HedgingPolicy, ...], impact: Impact, *, unwind: bool) -> Stepper:
        return cls(
            trades=tuple(g.trade for g in groups),
            solve=any(g.self_consistent for g in groups),
            open=impact.open,
            relax=impact.relax,
            move=impact.move,
            after=impact.after,
            unwind=unwind,
        )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SteppedBook:
    """Arrays of one step."""

    rows: Any
    """TableRows or LineRows"""
    settles: Any
    """whether anything settles at this instant"""
    stride: Any
    strikes: Any
    """log strikes that settle somewhere in the run, ascending, −inf first and inf last, [J + 2]"""
    edges: Any
    """log prices between which no pressure turns where contracts settle, likewise, [E]"""
    low: Any
    high: Any
    groups: Any
    """numbers of each policy"""
    impact: Any
    """numbers of the impact"""
    slope: Any
    """log move per index unit by which the feedback is reported"""
    fee_rate: Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SteppedState:
    """What a path carries besides its price."""

    ledger: Ledger
    impact: Any
    known_delta: Any
    """D at the last price and instant, of the contracts that live on, [P]"""


def _shares(book: SteppedBook, paths: int) -> Any:
    """Hedged share of the book of every group, [groups, P]."""
    return jnp.stack([jnp.full(paths, n.get("fraction", 0.0)) for n in book.groups])


def open_stepped(
    stepper: Stepper, book: SteppedBook, start_delta: Any, spot: Any, paths: int
) -> SteppedState:
    """State at the start: every group holds the hedge of its share."""
    return SteppedState(
        ledger=open_ledger(-_shares(book, paths) * start_delta, spot),
        impact=stepper.open(book.impact, paths),
        known_delta=jnp.zeros(paths) + start_delta,
    )


def stepped(stepper: Stepper, book: SteppedBook, state: SteppedState, last: Any, increment: Any):
    """Move the price by one step.

    Args:
        stepper: the choices of the run.
        book: the arrays of this step.
        state: before the step.
        last: log price, [P].
        increment: of the fundamental log price, [P].

    Returns:
        The new state, log price [P], feedback [P], status [P], and flows [3, P]: the net trade of all groups,
        and the demand for hedges from moves of the price (gamma) and from the passing of time (charm).
    """
    rows = book.rows
    relaxed, given_back = stepper.relax(book.impact, state.impact)
    price = last + increment + given_back

    def settled(x: Any) -> Any:
        return jax.lax.cond(book.settles, rows.settling, jnp.zeros_like, x)

    def delta(x: Any) -> Any:
        return rows.living(x) + settled(x)

    _, slope = jax.jvp(rows.living, (price,), (jnp.ones_like(price),))
    view = View(delta, lambda x: rows.living(x, 0), state.known_delta, slope * jnp.exp(-price), price)
    groups = list(zip(stepper.trades, book.groups, state.ledger.hedge, strict=True))

    def trades(x: Any) -> Any:
        return jnp.stack([trade(numbers, hedge, view, x) for trade, numbers, hedge in groups])

    def pressure(x: Any) -> Any:
        return price + stepper.move(book.impact, jnp.sum(trades(x), axis=0)) - x

    if stepper.solve:
        x, status = first_balance(pressure, last, _advance(book), book.low, book.high)
    else:
        x, status = price, jnp.full(price.shape, STABLE)
    done = trades(x)
    total = jnp.sum(done, axis=0)
    # The price these trades make is exact without impact; inside a ramp it magnifies the rounding of x.
    made = price + stepper.move(book.impact, total)
    x = jnp.where(jnp.abs(made - x) < _ROUNDING, made, x) if stepper.solve else made
    standing, shares = delta(last), _shares(book, price.shape[0])
    hedged = jnp.sum(shares, axis=0)
    flows = jnp.stack([total, hedged * (standing - delta(x)), hedged * (state.known_delta - standing)])
    handed = shares * settled(x)
    x = jax.lax.cond(book.settles, _at_strike, lambda x, _: x, x, book.strikes)
    ledger = post(state.ledger, done, last, price, x, book.fee_rate)
    if not stepper.unwind:
        ledger = hand_over(ledger, handed, jnp.exp(x))
    living, rate = jax.jvp(rows.living, (x,), (jnp.ones_like(x),))
    feedback = jnp.where(book.settles, 0.0, book.slope * hedged * rate)
    new = SteppedState(ledger, stepper.after(book.impact, relaxed, total), living)
    return new, x, feedback, status, flows


def _advance(book: SteppedBook):
    def advance(x: Any, way: Any) -> Any:
        ahead = x + way * book.stride

        def to_edge() -> Any:
            up = book.edges[jnp.searchsorted(book.edges, x, side="right")]
            down = book.edges[jnp.searchsorted(book.edges, x, side="left") - 1]
            return jnp.where(way > 0.0, jnp.minimum(ahead, up), jnp.maximum(ahead, down))

        return jax.lax.cond(book.settles, to_edge, lambda: ahead)

    return advance


def _at_strike(x: Any, strikes: Any) -> Any:
    """A price inside the ramp of a settled strike is the strike."""
    at = jnp.searchsorted(strikes, x - 0.5 * RAMP)
    nearest = strikes[jnp.minimum(at, strikes.shape[0] - 1)]
    return jnp.where(jnp.abs(nearest - x) <= 0.5 * RAMP, nearest, x)


_TURNS = np.array([-8.0, -6.0, -4.0, -3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0])
"""Where the delta just before settlement bends, in units of its own σ√τ."""


def settle_edges(positions: Positions, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The strikes and edges of `SteppedBook`: of the run [J + 2], and of every step [N, E]."""
    rows = [np.zeros(0)] * steps
    for k in positions.settlements[positions.settlements > 0]:
        chosen = positions.settles(int(k))
        at = positions.log_strike[chosen]
        before = positions.variance_left[positions.group[chosen], k - 1]
        spread = (positions.total_vol[chosen] * np.sqrt(before))[:, None]
        rows[k - 1] = np.unique(
            np.concatenate([at - RAMP / 2, at + RAMP / 2, (at[:, None] + spread * _TURNS).ravel()])
        )
    edges = np.full((steps, 2 + max(row.size for row in rows)), np.inf)
    edges[:, 0] = -np.inf
    for row, own in zip(edges, rows, strict=True):
        row[1 : 1 + own.size] = own
    strikes = np.unique(positions.log_strike[positions.settle_step[positions.group] <= steps])
    return np.concatenate([[-np.inf], strikes, [np.inf]]), edges
