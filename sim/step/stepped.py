"""One step of a market with any mix of policies, impacts and order flow.

    x = x̃ + I(ΔQ₁(x) + ΔQ₂(x) + …)

x̃ is the price before the dealers trade: the last price, the fundamental move, what transient impact gives
back, and the customers' own trades. Groups whose trade depends on x are solved together by the branch rule of
model.md, section 2; those that decide beforehand only shift x̃.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.sim.book.positions import Positions
from gammawall.sim.book.rows import RAMP, LineRows, vanna_demand
from gammawall.sim.models.hedging import HedgingPolicy, Option, View
from gammawall.sim.models.impact import Impact
from gammawall.sim.step.accounts import Ledger, hand_over, open_ledger, post
from gammawall.sim.step.balance import first_balance
from gammawall.sim.step.clearing import CAPPED, STABLE
from gammawall.sim.step.halts import halt_step, open_halts
from gammawall.sim.step.inventory import RowsWithInventory, expire, open_inventory, take_orders

__all__ = [
    "SteppedBook",
    "SteppedState",
    "Stepper",
    "add_edges",
    "followed_flows",
    "open_stepped",
    "settle_edges",
    "stepped",
]


_ROUNDING = 1e-12
_SHORTEST = 1e-12
"""Years that count as none, 30 microseconds."""
_FLOW_TOLERANCE = 1e-8
"""A Newton step of this size, 7e-5 index points, leaves an error of its square over σ√τ: less than the
rounding of the inventory's delta, float32."""


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
    demand: Callable[..., Any] | None = None
    """what customers buy in a step, see `ZeroDteFlow.demand`; None without order flow"""

    @classmethod
    def of(cls, groups: tuple[HedgingPolicy, ...], impact: Impact, demand: Any = None) -> Stepper:
        return cls(
            trades=tuple(g.trade for g in groups),
            solve=any(g.self_consistent for g in groups),
            open=impact.open,
            relax=impact.relax,
            move=impact.move,
            after=impact.after,
            demand=demand,
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
    flow: Any = ()
    """numbers of the order flow"""
    level: Any = ()
    """numbers of the stochastic level of the vols"""
    halts: Any = ()
    """numbers of the market-wide halts"""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SteppedState:
    """What a path carries besides its price."""

    ledger: Ledger
    impact: Any
    known_delta: Any
    """D at the last price and instant, of the contracts that live on, and of those that settled there if
    their hedges are unwound in the market, [P]"""
    inventory: Any = ()
    """what the order flow has left with the dealers"""
    level: Any = ()
    """log level of the vols, [P]"""
    halts: Any = ()


def _shares(book: SteppedBook, paths: int) -> Any:
    """Hedged share of the book of every group, [groups, P]."""
    return jnp.stack([jnp.full(paths, n["fraction"]) for n in book.groups])


def open_stepped(
    stepper: Stepper, book: SteppedBook, start_delta: Any, spot: Any, paths: int
) -> SteppedState:
    """State at the start: every group holds the hedge of its share."""
    return SteppedState(
        ledger=open_ledger(-_shares(book, paths) * start_delta, spot),
        impact=stepper.open(book.impact, paths),
        known_delta=jnp.zeros(paths) + start_delta,
        inventory=open_inventory(book.flow, paths) if stepper.demand else (),
        level=jnp.zeros(paths) if book.level else (),
        halts=open_halts(paths) if book.halts else (),
    )


def stepped(
    stepper: Stepper,
    book: SteppedBook,
    state: SteppedState,
    last: Any,
    increment: Any,
    orders: Any = None,
    push: Any = None,
    *,
    unwind: bool,
):
    """Move the price by one step.

    Customers' orders come first, at the last price. Every group hedges its share of their delta within the
    step, whatever its policy, which then decides on the rest.

    Args:
        stepper: the choices of the run.
        book: the arrays of this step.
        state: before the step.
        last: log price, [P].
        increment: of the fundamental log price, [P].
        orders: standard normals of the order flow, [J + 2, P].
        push: random move of the log level of the vols, [P].
        unwind: whether hedges of settled contracts are unwound in the market rather than at the settlement
            price.

    Returns:
        The new state, log price, feedback, status, [P] each, and of `FLOWS` those that the run has, [P] each.
    """
    options = _options(stepper, book, state, last, orders, push)
    known, shares = state.known_delta + options.opened, _shares(book, last.shape[0])
    relaxed, given_back = stepper.relax(book.impact, state.impact)
    price, waiting = last + increment + given_back, jnp.zeros_like(last)
    if book.halts:
        waiting = state.halts.pending + increment + given_back
        price = jnp.where(state.halts.left <= 0.0, last + waiting, last)
    # Hedges of what settled in the last step, where they are to be unwound in the market.
    held_over = known - options.rows.living(last, 0) if unwind and not book.level else 0.0
    informed = -shares * options.opened
    trades = _trades(stepper, book, options, state.ledger.hedge + informed, informed, held_over, known, price)
    x, status, done, halts = _clear(stepper, book, state.halts, trades, last, price, waiting)
    total, hedged = jnp.sum(done, axis=0), jnp.sum(shares, axis=0)
    demands = _demands(book, options, known, last, x)
    flows = {k: total if k == "net" else hedged * demands[k] for k in followed_flows(stepper, book)}
    left_over = options.settled(x)
    x = jax.lax.cond(book.settles, _at_strike, lambda x, _: x, x, book.strikes)
    ledger = post(state.ledger, done, price, x)
    if not unwind:
        ledger = hand_over(ledger, shares * left_over)
    living, rate = jax.jvp(options.rows.living, (x,), (jnp.ones_like(x),))
    feedback = jnp.where(book.settles, 0.0, book.slope * hedged * rate)
    inventory = options.inventory
    if stepper.demand is not None:
        inventory = expire(book.flow, inventory, last, x)
    moved = stepper.after(book.impact, relaxed, total)
    hedged_delta = living + left_over if unwind else living
    new = SteppedState(ledger, moved, hedged_delta, inventory, options.level, halts)
    return new, x, feedback, status, flows


def followed_flows(stepper: Stepper, book: SteppedBook) -> tuple[str, ...]:
    """Those of `FLOWS` that such a run can have."""
    flow, moves = (
        stepper.demand is not None,
        getattr(book.rows, "still", None) is not None or bool(book.level),
    )
    return ("net", "gamma", "charm", *(("information",) * flow), *(("vanna",) * moves))


class _Options(NamedTuple):
    """What the dealers hold in one step, after the customers' orders and the move of the vols' level."""

    rows: Any
    settles: Any
    inventory: Any
    level: Any
    opened: Any
    """delta of the options newly opened, [P]"""
    by_level: Any
    """hedge asked for by the move of the level, [P]"""

    def settled(self, x: Any) -> Any:
        return jax.lax.cond(self.settles, self.rows.settling, jnp.zeros_like, x)

    def delta(self, x: Any) -> Any:
        return self.rows.living(x) + self.settled(x)


def _options(
    stepper: Stepper, book: SteppedBook, state: SteppedState, last: Any, orders: Any, push: Any
) -> _Options:
    rows, inventory, opened = book.rows, state.inventory, jnp.zeros_like(last)
    level, by_level = state.level, jnp.zeros_like(last)
    if book.level:
        level = book.level["kept"] * level + push
        still = dataclasses.replace(rows, level=jnp.stack([state.level, state.level]))
        rows = dataclasses.replace(rows, level=jnp.stack([state.level, level]))
        by_level = still.living(last) - rows.living(last)
    if stepper.demand is not None:
        taken, opened = take_orders(stepper.demand, book.flow, inventory, last, orders)
        if book.halts:
            trading = state.halts.left <= 0.0
            opened = jnp.where(trading, opened, 0.0)
            taken = jax.tree_util.tree_map(lambda new, old: jnp.where(trading, new, old), taken, inventory)
        inventory = taken
        rows = RowsWithInventory(rows, book.flow, inventory)
    return _Options(rows, book.settles, inventory, level, opened, by_level)


def _trades(
    stepper: Stepper,
    book: SteppedBook,
    options: _Options,
    hedge: Any,
    informed: Any,
    held_over: Any,
    known: Any,
    price: Any,
) -> Callable[[Any], Any]:
    """What every group trades, [groups, P], as a function of the log price after all trades."""
    rows = options.rows

    def before(x: Any) -> Any:
        return rows.living(x, 0) + held_over

    _, slope = jax.jvp(rows.living, (price,), (jnp.ones_like(price),))
    view = View(options.delta, before, known, slope * jnp.exp(-price), price, _option(options))
    groups = list(zip(stepper.trades, book.groups, hedge, strict=True))

    def trades(x: Any) -> Any:
        return informed + jnp.stack([trade(numbers, held, view, x) for trade, numbers, held in groups])

    return trades


def _option(options: _Options) -> Option | None:
    rows = options.rows
    if not isinstance(rows, LineRows):
        return None
    vol = rows.vol[0]
    # Nothing lives beyond the settlement: its discount is none.
    discount = jnp.max(jnp.where(rows.factor[1] > 0.0, rows.factor[1] * jnp.exp(-rows.shift[1]), 0.0))
    years = jnp.maximum((jnp.max(rows.spread[1]) / vol) ** 2, _SHORTEST)
    return Option(lambda x, stretch: rows.living(x, 1, stretch) + options.settled(x), vol, years, discount)


def _clear(
    stepper: Stepper, book: SteppedBook, halts: Any, trades: Callable, last: Any, price: Any, waiting: Any
):
    """Log price after all trades, its status, the trades [groups, P], and the halts."""

    def pressure(x: Any) -> Any:
        return price + stepper.move(book.impact, jnp.sum(trades(x), axis=0)) - x

    tolerance = 0.0 if stepper.demand is None else jnp.where(book.settles, 0.0, _FLOW_TOLERANCE)
    if stepper.solve:
        x, status = first_balance(pressure, last, _advance(book), book.low, book.high, tolerance)
    else:
        x, status = price, jnp.full(price.shape, STABLE)
    was_open = True
    if book.halts:
        halts, was_open, x = halt_step(book.halts, halts, x, waiting)
    done = jnp.where(was_open, trades(x), 0.0)
    total = jnp.sum(done, axis=0)
    # The price these trades make is exact without impact; inside a ramp it magnifies the rounding of x.
    made = price + stepper.move(book.impact, total)
    stopped = ~(jnp.abs(made - x) < _ROUNDING + tolerance) if stepper.solve or book.halts else False
    if book.halts:
        stopped = stopped | ~was_open
        unmet = jnp.where(was_open & (halts.left > 0.0), made - x, halts.pending)
        halts = dataclasses.replace(halts, pending=unmet)
    x = jnp.where(stopped, x, made)
    # A function of the user's may give no number: the path stands still and is counted as capped.
    valid = jnp.isfinite(x) & jnp.isfinite(total)
    x, status = jnp.where(valid, x, last), jnp.where(valid, status, CAPPED)
    return x, status, jnp.where(valid, done, 0.0), halts


def _demands(book: SteppedBook, options: _Options, known: Any, last: Any, x: Any) -> dict[str, Any]:
    """Hedges asked for, by reason, index units, [P] each."""
    standing, by_surface = options.delta(last), 0.0
    if (still := getattr(book.rows, "still", None)) is not None:
        row = (book.rows.delta[1], book.rows.slope[1])
        by_surface = vanna_demand(book.rows.nodes, row, still, last, x)
    # The level moves at the last price, the surface with the price.
    gamma = standing - options.delta(x) - by_surface
    return {
        "gamma": gamma,
        "charm": known - standing - options.by_level,
        "information": -options.opened,
        "vanna": options.by_level + by_surface,
    }


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


def add_edges(
    strikes: np.ndarray, edges: np.ndarray, more: np.ndarray, settles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Strikes and edges with further log strikes, which settle at the steps where `settles`, [N]."""
    ramps = np.where(settles[:, None], np.append(more - RAMP / 2, more + RAMP / 2), np.inf)
    return np.union1d(strikes, more), np.sort(np.concatenate([edges, ramps], axis=1), axis=1)
