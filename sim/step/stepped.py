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
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.sim.book.level_rows import LevelRows
from gammawall.sim.book.positions import Positions
from gammawall.sim.book.rows import RAMP, LineRows, Rows
from gammawall.sim.models.hedging import HedgingPolicy, Option, StatefulPolicy, View
from gammawall.sim.models.impact import Impact
from gammawall.sim.models.order_flow import FlowNumbers, Orders
from gammawall.sim.models.protocols import Numbers, Paths, State
from gammawall.sim.models.stochastic_level import LevelNumbers
from gammawall.sim.step.accounts import Groups, Ledger, hand_over, open_ledger, post
from gammawall.sim.step.balance import first_balance
from gammawall.sim.step.clearing import CAPPED, STABLE
from gammawall.sim.step.halts import HaltNumbers, HaltState, halt_step, open_halts
from gammawall.sim.step.inventory import (
    Draws,
    Inventory,
    RowsWithInventory,
    expire,
    open_inventory,
    take_orders,
)
from gammawall.surfaces.arrays import Array, Shape

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


class Memory(NamedTuple):
    """What makes a policy carry something, see `StatefulPolicy`."""

    open: Callable[..., State]
    after: Callable[..., State]

    @classmethod
    def of(cls, group: HedgingPolicy) -> Memory | None:
        """None for a policy that carries nothing."""
        return cls(group.open, group.after) if isinstance(group, StatefulPolicy) else None


@dataclass(frozen=True)
class Stepper:
    """The choices of a run that shape its compiled step; no number among them."""

    trades: tuple[Callable[..., Paths], ...]
    """rule of each group"""
    memories: tuple[Memory | None, ...]
    """of each group"""
    solve: bool
    """whether some group's trade depends on the price after it"""
    one_option: bool
    """whether policies see the book as one option, see `View.option`"""
    open: Callable[..., State]
    relax: Callable[..., tuple[State, Paths | float]]
    move: Callable[..., Paths]
    after: Callable[..., State]
    demand: Callable[..., Orders] | None = None
    """what customers buy in a step, see `OrderFlow.demand`; None without order flow"""

    @classmethod
    def of(
        cls,
        groups: tuple[HedgingPolicy, ...],
        impact: Impact,
        demand: Callable[..., Orders] | None = None,
        *,
        one_option: bool = False,
    ) -> Stepper:
        return cls(
            trades=tuple(g.trade for g in groups),
            memories=tuple(Memory.of(g) for g in groups),
            solve=any(g.self_consistent for g in groups),
            one_option=one_option,
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

    rows: Rows
    settles: Array
    """whether anything settles at this instant"""
    stride: Array
    """how far apart the walk to a balance looks at prices, log price"""
    strikes: Annotated[Array, Shape("settling")]
    """log strikes that settle somewhere in the run, ascending, −inf first and inf last, [J + 2]"""
    edges: Annotated[Array, Shape("edges")]
    """log prices between which no pressure turns where contracts settle, likewise, [E]"""
    low: Array
    """log price below which a path is capped"""
    high: Array
    groups: tuple[Numbers, ...]
    """numbers of each policy, its `fraction` among them"""
    impact: Numbers
    """numbers of the impact"""
    slope: Array
    """log move per index unit by which the feedback is reported"""
    flow: FlowNumbers | None = None
    """None without order flow"""
    level: LevelNumbers | None = None
    """None where the level of the vols does not move at random"""
    halts: HaltNumbers | None = None
    """None where nothing halts trading"""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SteppedState:
    """What a path carries besides its price."""

    ledger: Ledger
    impact: State
    """of the impact"""
    policies: tuple[State, ...]
    """of each group, None for one that carries nothing"""
    known_delta: Paths
    """D at the last price and instant, of the contracts that live on, and of those that settled there if
    their hedges are unwound in the market"""
    inventory: Inventory | None = None
    """what the order flow has left with the dealers"""
    level: Paths | None = None
    """log level of the vols"""
    halts: HaltState | None = None


def _shares(book: SteppedBook, paths: int) -> Groups:
    """Hedged share of the book of every group."""
    return jnp.stack([jnp.full(paths, n["fraction"]) for n in book.groups])


def open_stepped(
    stepper: Stepper, book: SteppedBook, start_delta: Array, spot: Array | float, paths: int
) -> SteppedState:
    """State at the start: every group holds the hedge of its share."""
    return SteppedState(
        ledger=open_ledger(-_shares(book, paths) * start_delta, spot),
        impact=stepper.open(book.impact, paths),
        policies=tuple(
            None if memory is None else memory.open(numbers, paths)
            for memory, numbers in zip(stepper.memories, book.groups, strict=True)
        ),
        known_delta=jnp.zeros(paths) + start_delta,
        inventory=None if book.flow is None else open_inventory(book.flow, paths),
        level=None if book.level is None else jnp.zeros(paths),
        halts=None if book.halts is None else open_halts(paths),
    )


def stepped(
    stepper: Stepper,
    book: SteppedBook,
    state: SteppedState,
    last: Paths,
    increment: Paths,
    orders: Draws | None = None,
    push: Paths | None = None,
    *,
    unwind: bool,
) -> tuple[SteppedState, Paths, Paths, Paths, dict[str, Paths]]:
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
    if state.halts is not None:
        waiting = state.halts.pending + increment + given_back
        price = jnp.where(state.halts.left <= 0.0, last + waiting, last)
    # Hedges of what settled in the last step, where they are to be unwound in the market.
    held_over = known - options.rows.living(last, 0) if unwind and book.level is None else 0.0
    views = _views(stepper, book, state, options, held_over, known, price)
    trades = _trades(stepper, book, views, state.ledger.hedge, -shares * options.opened)
    x, status, done, traded, halts = _clear(stepper, book, state.halts, trades, last, price, waiting)
    total, hedged = jnp.sum(done, axis=0), jnp.sum(shares, axis=0)
    demands = _demands(book, options, known, last, x)
    flows: dict[str, Paths] = {
        k: total if k == "net" else hedged * demands[k] for k in followed_flows(stepper, book)
    }
    left_over = options.settled(x)
    x = jax.lax.cond(book.settles, _at_strike, lambda x, _: x, x, book.strikes)
    ledger = post(state.ledger, done, price, x)
    if not unwind:
        ledger = hand_over(ledger, shares * left_over)
    living, rate = jax.jvp(options.rows.living, (x,), (jnp.ones_like(x),))
    feedback = jnp.where(book.settles, 0.0, book.slope * hedged * rate)
    inventory = options.inventory
    if book.flow is not None and inventory is not None:
        inventory = expire(book.flow, inventory, last, x)
    new = SteppedState(
        ledger=ledger,
        impact=stepper.after(book.impact, relaxed, total),
        policies=_carried(stepper, book, views, x, done, traded),
        known_delta=living + left_over if unwind else living,
        inventory=inventory,
        level=options.level,
        halts=halts,
    )
    return new, x, feedback, status, flows


def followed_flows(stepper: Stepper, book: SteppedBook) -> tuple[str, ...]:
    """Those of `FLOWS` that such a run can have."""
    flow, moves = stepper.demand is not None, book.rows.moves
    return ("net", "gamma", "charm", *(("information",) * flow), *(("vanna",) * moves))


class _Options(NamedTuple):
    """What the dealers hold in one step, after the customers' orders and the move of the vols' level."""

    rows: Rows
    settles: Array
    inventory: Inventory | None
    level: Paths | None
    opened: Paths
    """delta of the options newly opened"""
    by_level: Paths
    """hedge asked for by the move of the level"""

    def settled(self, x: Paths) -> Paths:
        return jax.lax.cond(self.settles, self.rows.settling, jnp.zeros_like, x)

    def delta(self, x: Paths) -> Paths:
        return self.rows.living(x) + self.settled(x)


def _options(
    stepper: Stepper,
    book: SteppedBook,
    state: SteppedState,
    last: Paths,
    orders: Draws | None,
    push: Paths | None,
) -> _Options:
    rows, inventory, opened = book.rows, state.inventory, jnp.zeros_like(last)
    level, by_level = state.level, jnp.zeros_like(last)
    if book.level is not None:
        assert level is not None
        assert push is not None
        assert isinstance(rows, LevelRows)
        before, level = level, book.level.kept * level + push
        still = dataclasses.replace(rows, level=jnp.stack([before, before]))
        rows = dataclasses.replace(rows, level=jnp.stack([before, level]))
        by_level = still.living(last) - rows.living(last)
    if stepper.demand is not None:
        assert book.flow is not None
        assert inventory is not None
        assert orders is not None
        taken, opened = take_orders(stepper.demand, book.flow, inventory, last, orders)
        if state.halts is not None:
            trading = state.halts.left <= 0.0
            opened = jnp.where(trading, opened, 0.0)
            taken = _where(trading, taken, inventory)
        inventory = taken
        rows = RowsWithInventory(rows, book.flow, inventory)
    return _Options(rows, book.settles, inventory, level, opened, by_level)


def _where(chosen: Paths, new: State, old: State) -> State:
    """Path by path, of anything a path may carry."""
    return jax.tree_util.tree_map(lambda a, b: jnp.where(chosen, a, b), new, old)


def _views(
    stepper: Stepper,
    book: SteppedBook,
    state: SteppedState,
    options: _Options,
    held_over: Paths | float,
    known: Paths,
    price: Paths,
) -> list[View]:
    """What every group sees."""
    rows = options.rows

    def before(x: Paths) -> Paths:
        return rows.living(x, 0) + held_over

    _, slope = jax.jvp(rows.living, (price,), (jnp.ones_like(price),))
    option = _option(options) if stepper.one_option else None
    view = View(options.delta, before, known, slope * jnp.exp(-price), price, option)
    return [view if own is None else view._replace(state=own) for own in state.policies]


def _trades(
    stepper: Stepper, book: SteppedBook, views: list[View], hedge: Groups, informed: Groups
) -> Callable[[Paths], Groups]:
    """What every group trades, as a function of the log price after all trades."""
    # Their share in the hedges of new orders is traded whatever the policy.
    groups = list(zip(stepper.trades, book.groups, hedge + informed, views, strict=True))

    def trades(x: Paths) -> Groups:
        return informed + jnp.stack([trade(numbers, held, view, x) for trade, numbers, held, view in groups])

    return trades


def _carried(
    stepper: Stepper, book: SteppedBook, views: list[View], x: Paths, done: Groups, traded: Paths
) -> tuple[State, ...]:
    """What every group carries on; as it was on paths that could not trade."""
    groups = zip(stepper.memories, book.groups, views, done, strict=True)
    return tuple(
        None if memory is None else _where(traded, memory.after(numbers, view, x, trade), view.state)
        for memory, numbers, view, trade in groups
    )


def _option(options: _Options) -> Option:
    rows = options.rows
    assert isinstance(rows, LineRows)
    vol = rows.vol[0]
    # Nothing lives beyond the settlement: its discount is none.
    discount = jnp.max(jnp.where(rows.factor[1] > 0.0, rows.factor[1] * jnp.exp(-rows.shift[1]), 0.0))
    years = jnp.maximum((jnp.max(rows.total_vol[1]) / vol) ** 2, _SHORTEST)
    return Option(lambda x, stretch: rows.living(x, 1, stretch) + options.settled(x), vol, years, discount)


def _clear(
    stepper: Stepper,
    book: SteppedBook,
    halts: HaltState | None,
    trades: Callable[[Paths], Groups],
    last: Paths,
    price: Paths,
    waiting: Paths,
) -> tuple[Paths, Paths, Groups, Paths, HaltState | None]:
    """Log price after all trades, its status, the trades, which paths could trade, and the halts."""

    def pressure(x: Paths) -> Paths:
        return price + stepper.move(book.impact, jnp.sum(trades(x), axis=0)) - x

    tolerance = 0.0 if stepper.demand is None else jnp.where(book.settles, 0.0, _FLOW_TOLERANCE)
    if stepper.solve:
        x, status = first_balance(pressure, last, _advance(book), book.low, book.high, tolerance)
    else:
        x, status = price, jnp.full(price.shape, STABLE)
    was_open = True
    if book.halts is not None:
        assert halts is not None
        halts, was_open, x = halt_step(book.halts, halts, x, waiting)
    done = jnp.where(was_open, trades(x), 0.0)
    total = jnp.sum(done, axis=0)
    # The price these trades make is exact without impact; inside a ramp it magnifies the rounding of x.
    made = price + stepper.move(book.impact, total)
    stopped = ~(jnp.abs(made - x) < _ROUNDING + tolerance) if stepper.solve or halts is not None else False
    if halts is not None:
        stopped = stopped | ~was_open
        unmet = jnp.where(was_open & (halts.left > 0.0), made - x, halts.pending)
        halts = dataclasses.replace(halts, pending=unmet)
    x = jnp.where(stopped, x, made)
    # A function of the user's may give no number: the path stands still and is counted as capped.
    valid = jnp.isfinite(x) & jnp.isfinite(total)
    x, status = jnp.where(valid, x, last), jnp.where(valid, status, CAPPED)
    return x, status, jnp.where(valid, done, 0.0), valid & was_open, halts


def _demands(book: SteppedBook, options: _Options, known: Paths, last: Paths, x: Paths) -> dict[str, Paths]:
    """Hedges asked for, by reason, index units."""
    standing, by_surface = options.delta(last), book.rows.by_surface(last, x)
    # The level moves at the last price, the surface with the price.
    gamma = standing - options.delta(x) - by_surface
    return {
        "gamma": gamma,
        "charm": known - standing - options.by_level,
        "information": -options.opened,
        "vanna": options.by_level + by_surface,
    }


def _advance(book: SteppedBook) -> Callable[[Paths, Paths], Paths]:
    def advance(x: Paths, way: Paths) -> Paths:
        ahead = x + way * book.stride

        def to_edge() -> Paths:
            up = book.edges[jnp.searchsorted(book.edges, x, side="right")]
            down = book.edges[jnp.searchsorted(book.edges, x, side="left") - 1]
            return jnp.where(way > 0.0, jnp.minimum(ahead, up), jnp.maximum(ahead, down))

        return jax.lax.cond(book.settles, to_edge, lambda: ahead)

    return advance


def _at_strike(x: Paths, strikes: Annotated[Array, Shape("settling")]) -> Paths:
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
        total_vol = (positions.total_vol[chosen] * np.sqrt(before))[:, None]
        rows[k - 1] = np.unique(
            np.concatenate([at - RAMP / 2, at + RAMP / 2, (at[:, None] + total_vol * _TURNS).ravel()])
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
