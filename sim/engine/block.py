"""The compiled block of paths: the fundamental price, the step, and what is remembered of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.sim.book.table import HedgeTable
from gammawall.sim.book.values import BookValues
from gammawall.sim.measure.statistics import FLOWS, STATISTICS, PathState, Probe, finish, observe, open_state
from gammawall.sim.models.dynamics import Shocks
from gammawall.sim.models.order_flow import CUSTOMERS
from gammawall.sim.models.protocols import Paths, Row
from gammawall.sim.models.stochastic_level import LEVEL
from gammawall.sim.sampling.noise import FACTORS, FUNDAMENTAL, normals
from gammawall.sim.sampling.sobol import SobolShocks, sobol_normals
from gammawall.sim.step.accounts import open_ledger, residual
from gammawall.sim.step.clearing import CAPPED, JUMP
from gammawall.sim.step.static_step import FixedRow, FixedState, fixed_flows, fixed_step
from gammawall.sim.step.stepped import (
    SteppedBook,
    SteppedState,
    Stepper,
    followed_flows,
    open_stepped,
    stepped,
)
from gammawall.sim.types import TILE
from gammawall.surfaces.arrays import Array, Shape

__all__ = ["PATHS_AXIS", "BlockSums", "FixedMarket", "Given", "Plan", "SteppedMarket", "simulate_block"]

Legs: TypeAlias = Annotated[Array, Shape("2 paths")]
"""one number per path of the hedged price and of the fundamental, or of the two kinds counted"""
Vectors: TypeAlias = Annotated[Array, Shape("entries paths")]
"""the statistics of both legs, [2 m, P]"""


@dataclass(frozen=True)
class Plan:
    """The choices of a run that shape its compiled block; no number among them."""

    factors: int
    open: Callable[..., Any]
    step: Callable[..., Any]
    """of the fundamental price, see `sim.models.dynamics`"""
    stepper: Stepper | None
    """None for the static map of a fixed book"""
    unwind: bool
    """whether hedges of settled contracts are unwound in the market rather than at the settlement price"""
    antithetic: bool
    keep: int
    """how many paths of the block are returned whole"""
    sampled: bool
    """whether some steps lie between the instants at which returns are measured"""
    snapshots: int = 0
    """at how many instants the prices of all paths are returned, besides the close"""
    statistics: tuple[str, ...] = STATISTICS
    """which of each path are returned"""
    series: bool = True
    """whether sums of every step are returned"""
    accounts: bool = True
    """whether the dealers' accounts are checked"""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FixedMarket:
    """Arrays of a run by the static map."""

    table: HedgeTable
    rows: FixedRow
    """[N, ...]"""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SteppedMarket:
    """Arrays of a run step by step."""

    constant: SteppedBook
    """entries that are the same in every step; None where there is one for each"""
    rows: SteppedBook
    """entries [N, ...]; None where there is one for all"""
    start_delta: Array
    start_feedback: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Given:
    """Everything a block needs besides its paths."""

    market: FixedMarket | SteppedMarket
    drive: Row
    """of the fundamental price, entries [N, ...]"""
    mark: Array
    late: Array
    settlement: Array
    """row of the settlement payoffs, −1 where nothing settles, [N]"""
    values: BookValues
    probe: Probe
    spot: Array | float
    fee_rate: Array | float
    """share of the value of every trade"""
    seed: Array
    sobol: SobolShocks | None = None
    """SobolShocks in place of random numbers, for the fundamental price"""
    snapshot: Array | None = None
    """which snapshot is taken at the end of each step, −1 for none, [N]; None where none is ever taken"""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class BlockSums:
    """What a block of paths leaves behind: sums over the valid paths of each tile, and some paths whole."""

    vector: Array
    """[tiles, 2 m], hedged statistics then baseline"""
    cross: Array
    """[tiles, 2 m, 2 m]"""
    squared_returns: Array
    """per step and leg, [tiles, N, 2]; [tiles, 0, 2] without series, and so on"""
    traded: Array
    """|net flows| per step, [tiles, N, 5]"""
    status: Array
    """path-steps stable, jump, capped, [tiles, 3]"""
    paths_status: Array
    """paths with at least one jump, at least one capped step, [tiles, 2]"""
    residual: Array
    """largest self-financing residual of a path, [tiles]; 0 where the accounts are not checked"""
    beyond: Array
    """index units of the order flow that lay beyond its strikes, [tiles]"""
    close: Array
    """log price, [2, P], and the fundamental price it came from in row 1"""
    snapshots: Array
    """the same two rows at each instant asked for, [E, 2, P]"""
    level: Array
    """log level of the vols at the close, [1, P]; [0, P] where it does not move at random"""
    kept: Array
    """log prices of the first paths of the block, [N + 1, 2, keep]"""


PATHS_AXIS = {"close": 1, "snapshots": 2, "level": 1, "kept": 2}
"""The fields of `BlockSums` that hold paths rather than sums of tiles, and where their paths lie."""


def _tiles(values: Annotated[Array, Shape("... paths")], width: int = TILE) -> Array:
    """Sums over tiles of the last axis, tiles first: a tree of additions that no compiler may reorder."""
    sums = jax.lax.optimization_barrier(values.reshape(*values.shape[:-1], -1, width))
    while width > 1:
        parts = min(8, width)
        width //= parts
        pieces = sums.reshape(*sums.shape[:-1], parts, width)
        sums = jax.lax.optimization_barrier(
            functools.reduce(jnp.add, [pieces[..., i, :] for i in range(parts)])
        )
    return jnp.moveaxis(sums[..., 0], -1, 0)


def _cross(values: Vectors, statistics: tuple[str, ...], width: int) -> Array:
    """Sums over tiles of the outer products of the rows, [2 m, P] → [tiles, 2 m, 2 m].

    In pieces so short that no library splits them among threads; always of the full size, by which libraries
    round.
    """
    legs = [STATISTICS.index(name) for name in statistics]
    own = np.array([*legs, *(i + len(STATISTICS) for i in legs)], int)
    if len(legs) < len(STATISTICS):
        values = jnp.zeros((2 * len(STATISTICS), values.shape[1])).at[own].set(values)
        return _products(values, width)[:, own][:, :, own]
    return _products(values, width)


def _products(values: Vectors, width: int) -> Array:
    pieces = values.reshape(values.shape[0], -1, width // 8).swapaxes(0, 1)
    products = jnp.einsum("aip,ajp->aij", *jax.lax.optimization_barrier((pieces, pieces)))
    return _tiles(jnp.moveaxis(products, 0, -1), 8)


def simulate_block(given: Given, paths: Paths, valid: Paths, *, plan: Plan) -> BlockSums:
    """Simulate one block of paths, a whole number of tiles; to be compiled.

    Args:
        given: numbers of the run.
        paths: uint32 [P], path numbers; antithetic pairs stand side by side.
        valid: bool [P], which of them count.
        plan: choices of the run.
    """
    steps, count = given.mark.shape[0], paths.shape[0]
    market, feedback, followed, advance = _open_market(given, paths, plan)
    state = open_state(given.probe, feedback, count, followed, plan.sampled)
    dynamics = plan.open(given.drive, count)
    taken = tuple(jnp.zeros((2, count)) for _ in range(plan.snapshots))
    carry = (dynamics, market, state, jnp.zeros((2, count)), jnp.zeros((2, count), jnp.int32), taken)
    weight = jnp.where(valid, 1.0, 0.0)

    def step(carry, row):
        dynamics, market, state, paid, counts, taken = carry
        z, drive, mark, late, settlement, number, rows, snapshot = row
        z = z.astype(jnp.float64)
        dynamics, increment = plan.step(dynamics, drive, z)
        fundamental = state.x[1] + increment
        market, x, feedback, status, flows = advance(market, state, rows, fundamental, increment, number, z)
        pair = jnp.stack([x, fundamental])
        paid = paid + jax.lax.cond(
            settlement >= 0,
            lambda: jnp.stack([given.values.payoff(settlement, price) for price in pair]),
            lambda: jnp.zeros_like(pair),
        )
        counts = counts + jnp.stack([status == k for k in (JUMP, CAPPED)])
        taken = tuple(jnp.where(snapshot == k, pair, before) for k, before in enumerate(taken))
        state, squared, traded = observe(state, given.probe, pair, flows, feedback, mark, late)
        sums = None
        if plan.series:
            by_flow = _tiles(jnp.stack([traded[name] for name in followed]) * weight)
            sums = (_tiles(squared * weight), by_flow)
        return (dynamics, market, state, paid, counts, taken), (sums, pair[:, : plan.keep])

    rows = (
        _shocks(given, paths, steps, plan),
        given.drive,
        given.mark if plan.sampled else None,
        given.late,
        given.settlement,
        jnp.arange(1, steps + 1, dtype=jnp.uint32),
        given.market.rows,
        given.snapshot,
    )
    # What no sum below asks for, XLA takes out of the loop with all that leads to it.
    carry, (sums, kept) = jax.lax.scan(step, carry, rows)
    squared, flows = sums or (jnp.zeros((0, count // TILE, 2)), jnp.zeros((0, count // TILE, len(followed))))
    none = jnp.zeros(flows.shape[:2])
    traded = jnp.stack([flows[..., followed.index(k)] if k in followed else none for k in FLOWS], axis=-1)
    _, market, state, paid, counts, taken = carry
    return _sums(given, plan, market, state, paid, counts, taken, valid, (squared, traded, kept))


def _shocks(
    given: Given, paths: Paths, steps: int, plan: Plan
) -> Annotated[Array, Shape("steps factors paths")]:
    """Standard normals of the fundamental price, [N, factors, P]."""
    if given.sobol is not None:
        return sobol_normals(given.sobol, paths, plan.factors)
    streams = [FUNDAMENTAL, *(FACTORS + i for i in range(plan.factors - 1))]
    return _drawn(given.seed, streams, paths, steps, plan)


def _drawn(
    seed: Array, streams: list[int], paths: Paths, count: int, plan: Plan, section: Array | int = 0
) -> Annotated[Array, Shape("count streams paths")]:
    """Standard normals, float32 [count, streams, P]."""
    numbers = paths >> 1 if plan.antithetic else paths
    z = jnp.stack([normals(seed, s, numbers, count, section) for s in streams], axis=1)
    return z * jnp.where(paths & 1, -1.0, 1.0).astype(z.dtype) if plan.antithetic else z


def _open_market(given: Given, paths: Paths, plan: Plan):
    """State of the market at the start, g there, the names of its flows, and what moves it by a step."""
    market, count = given.market, paths.shape[0]
    if isinstance(market, FixedMarket):
        table, none = market.table, jnp.zeros(count)
        start = none + table.start_delta
        opened = FixedState(none + table.impact * start, start, open_ledger(-start[None], given.spot))

        def by_map(
            state: FixedState,
            seen: PathState,
            row: FixedRow,
            fundamental: Paths,
            increment: Paths,
            number: Array,
            z: Shocks,
        ):
            return fixed_step(
                table, row, state, seen.x[0], seen.x[1], fundamental, given.seed, paths,
                number, unwind=plan.unwind,
            )  # fmt: skip

        return opened, table.start_feedback, fixed_flows(market.rows), by_map
    stepper = plan.stepper
    assert stepper is not None
    first = _whole(market.constant, jax.tree_util.tree_map(lambda a: a[0], market.rows))
    opened = open_stepped(stepper, first, market.start_delta, given.spot, count)

    def by_step(
        state: SteppedState,
        seen: PathState,
        row: SteppedBook,
        fundamental: Paths,
        increment: Paths,
        number: Array,
        z: Shocks,
    ):
        book, orders = _whole(market.constant, row), None
        if book.flow is not None:
            wanted = book.flow.log_strikes.shape[0] + 2
            orders = _drawn(given.seed, [CUSTOMERS], paths, wanted, plan, number)[:, 0]
        push = None
        if book.level is not None:
            own = _drawn(given.seed, [LEVEL], paths, 1, plan, number)[0, 0]
            push = book.level.shared * z[0] + book.level.own * own
        return stepped(stepper, book, state, seen.x[0], increment, orders, push, unwind=plan.unwind)

    return opened, market.start_feedback, followed_flows(stepper, first), by_step


def _whole(constant: SteppedBook, row: SteppedBook) -> SteppedBook:
    """One step's arrays from what is constant and what is not."""
    none = lambda a: a is None  # noqa: E731 - a None marks the entry that the other tree holds
    constants, tree = jax.tree_util.tree_flatten(constant, is_leaf=none)
    rows = jax.tree_util.tree_leaves(row, is_leaf=none)
    return jax.tree_util.tree_unflatten(
        tree, [b if a is None else a for a, b in zip(constants, rows, strict=True)]
    )


def _sums(
    given: Given,
    plan: Plan,
    market: FixedState | SteppedState,
    state: PathState,
    paid: Legs,
    counts: Legs,
    taken: tuple[Legs, ...],
    valid: Paths,
    series: tuple[Array, Array, Array],
) -> BlockSums:
    squared, traded, kept = series
    x, ledger, beyond = state.x[0], market.ledger, jnp.zeros_like(state.x[0])
    stepwise = market if isinstance(market, SteppedState) else None
    level = None if stepwise is None else stepwise.level
    # Beside the hedged dealers, the same options unhedged at the price without hedging.
    options, unhedged = (
        paid[leg] + given.values.at_close(state.x[leg], level) - given.values.start for leg in (0, 1)
    )
    if stepwise is not None and stepwise.inventory is not None:
        options, beyond = options + stepwise.inventory.cash, stepwise.inventory.beyond
    fees = given.fee_rate * jnp.sum(ledger.traded, axis=0)
    pnl = options + jnp.sum(ledger.cash + ledger.hedge * ledger.price, axis=0) - fees
    halts = None if stepwise is None else stepwise.halts
    halted = jnp.zeros_like(x) if halts is None else halts.passed > 0
    profits = jnp.stack([pnl, unhedged])
    vectors = finish(
        state, given.probe, given.spot, given.mark.shape[0], profits, fees, halted, plan.statistics
    )
    vectors = jnp.where(valid, vectors, 0.0).reshape(2 * len(plan.statistics), -1)
    width = TILE
    if plan.antithetic:
        # The two paths of an antithetic pair are one observation, their mean.
        vectors, width = 0.5 * (vectors[:, ::2] + vectors[:, 1::2]), TILE // 2
    unbalanced = residual(ledger) if plan.accounts else jnp.zeros_like(x)
    stable = given.mark.shape[0] - jnp.sum(counts, axis=0, keepdims=True)
    start = jnp.full((1, 2, min(plan.keep, x.size)), given.probe.log_spot)
    return BlockSums(
        vector=_tiles(vectors, width),
        cross=_cross(vectors, plan.statistics, width),
        squared_returns=jnp.moveaxis(squared, 0, 1),
        traded=jnp.moveaxis(traded, 0, 1),
        status=_tiles(jnp.concatenate([stable, counts]) * valid),
        paths_status=_tiles(((counts > 0) & valid).astype(jnp.int64)),
        residual=jnp.max(jnp.where(valid, unbalanced, 0.0).reshape(-1, TILE), axis=1),
        beyond=_tiles(jnp.where(valid, beyond, 0.0)),
        close=state.x,
        snapshots=jnp.stack(taken) if taken else jnp.zeros((0, *state.x.shape)),
        level=jnp.zeros((0, x.size)) if level is None else level[None],
        kept=jnp.concatenate([start, kept]),
    )
