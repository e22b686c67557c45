"""The arrays of a run that goes step by step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TypeVar, cast

import jax
import numpy as np

from gammawall.sim.book.level_rows import level_rows
from gammawall.sim.book.positions import Positions, book_delta
from gammawall.sim.book.rows import Rows, line_rows, strides, table_rows
from gammawall.sim.book.table import SETTLE, HedgeTable, still_potential
from gammawall.sim.engine.block import SteppedMarket
from gammawall.sim.models import order_flow
from gammawall.sim.models.hedging import HedgingPolicy
from gammawall.sim.models.impact import Impact
from gammawall.sim.models.order_flow import OrderFlow, flow_numbers, flow_strides
from gammawall.sim.models.stochastic_level import StochasticLevel
from gammawall.sim.models.surface_motion import StickyStrike
from gammawall.sim.sampling.schedule import Schedule
from gammawall.sim.step import halts
from gammawall.sim.step.halts import halt_numbers
from gammawall.sim.step.stepped import SteppedBook, add_edges, settle_edges
from gammawall.sim.types import Market
from gammawall.surfaces.arrays import Array
from gammawall.surfaces.errors import InputError

__all__ = ["MOST_LINES", "stepped_market", "still_rows", "sums_lines"]

MOST_LINES = 48
"""Up to so many lines a book is summed contract by contract in every step: as fast as a table, and exact."""

Tree = TypeVar("Tree")


def stepped_market(
    table: HedgeTable,
    positions: Positions,
    schedule: Schedule,
    groups: tuple[HedgingPolicy, ...],
    impact: Impact,
    market: Market,
    flow: OrderFlow | None,
    level: StochasticLevel | None,
) -> SteppedMarket:
    """Everything a step needs, apart what is the same in all of them and what is not."""
    low, high = float(table.nodes[0]), float(table.nodes[-1])
    strikes, edges = settle_edges(positions, schedule.steps)
    settles, stride = table.kind == SETTLE, strides(positions, low, high)
    orders = None if flow is None else flow_numbers(flow, schedule, market.spot)
    if orders is not None:
        closes, total_vol = np.asarray(orders.closes), np.asarray(orders.total_vol)
        strikes, edges = add_edges(strikes, edges, np.asarray(orders.log_strikes), closes)
        settles, stride = settles | closes, np.minimum(stride, flow_strides(total_vol))
    if level is not None:
        stride = stride * float(np.exp(level.levels(schedule).min()))
    book = SteppedBook(
        rows=_book_rows(table, positions, schedule, level),
        settles=settles,
        stride=stride,
        strikes=strikes,
        edges=edges,
        low=np.asarray(low),
        high=np.asarray(high),
        groups=tuple(
            {"fraction": np.asarray(g.fraction, float), **_numbers(g, schedule, market.spot)} for g in groups
        ),
        impact=_numbers(impact, schedule, market.spot),
        slope=np.asarray(impact.log_per_usd * market.spot),
        flow=orders and _by_step(orders, order_flow.PER_STEP),
        level=level and _by_step(level.numbers(schedule)),
        halts=_by_step(halt_numbers(schedule, market.spot), halts.PER_STEP) if market.halts else None,
    )
    same, each = _apart(_by_step(book, ("settles", "stride", "edges")))
    return SteppedMarket(same, each, table.start_delta, table.start_feedback)


def sums_lines(positions: Positions) -> bool:
    """Whether a book under a fixed surface is summed line by line rather than tabulated."""
    return positions.log_strike.size <= MOST_LINES and isinstance(positions.motion, StickyStrike)


def still_rows(table: HedgeTable, positions: Positions, schedule: Schedule) -> np.ndarray | None:
    """Potential of the gamma flow and its slope, [N, 2, G]; None under sticky strike, where D is it."""
    if isinstance(positions.motion, StickyStrike):
        return None
    return np.stack(still_potential(table, positions, schedule), axis=1)


def _book_rows(
    table: HedgeTable, positions: Positions, schedule: Schedule, level: StochasticLevel | None
) -> Rows:
    """The book as rows, marked."""
    if level is None and sums_lines(positions):
        lines = line_rows(positions)
        return _by_step(_in_pairs(lines, ("total_vol", "shift", "factor")), ("settles",))
    start = book_delta(positions, np.asarray(table.nodes), np.array([0]), settling=False)
    base = dataclasses.replace(
        table_rows(table, start, positions), still=still_rows(table, positions, schedule)
    )
    settling = ("strikes", "below", "jump", "still")
    if level is None:
        return _by_step(_in_pairs(base, ("delta", "slope")), settling)
    whole = level_rows(base, positions, schedule, level)
    return dataclasses.replace(whole, base=_by_step(_in_pairs(whole.base, ("delta", "slope")), settling))


# --- what is the same in every step, and what is not -------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _EachStep:
    """Marks an array with one row per step; no tree itself, so that JAX takes it for a leaf."""

    rows: Array


def _apart(tree: Tree) -> tuple[Tree, Tree]:
    """A tree with None for the marked arrays, and one with nothing else."""
    leaves, shape = jax.tree_util.tree_flatten(tree)
    marked = [isinstance(leaf, _EachStep) for leaf in leaves]
    same = [None if m else leaf for leaf, m in zip(leaves, marked, strict=True)]
    each = [leaf.rows if m else None for leaf, m in zip(leaves, marked, strict=True)]
    return shape.unflatten(same), shape.unflatten(each)


def _by_step(tree: Tree, names: Iterable[str] | None = None) -> Tree:
    """A dataclass whose fields of these names, all of them by default, are marked; None stays None."""
    names = [f.name for f in dataclasses.fields(tree)] if names is None else names  # pyright: ignore
    marked = {name: jax.tree_util.tree_map(_EachStep, getattr(tree, name)) for name in names}
    return dataclasses.replace(tree, **marked)  # pyright: ignore[reportArgumentType, reportCallIssue]


def _in_pairs(tree: Tree, names: Iterable[str]) -> Tree:
    """Fields [N + 1, ...] as [N, 2, ...], marked: what a step begins with and what it ends with."""
    values = {name: getattr(tree, name) for name in names}
    pairs = {name: np.stack([a[:-1], a[1:]], axis=1) for name, a in values.items()}
    return _by_step(dataclasses.replace(tree, **pairs), names)  # pyright: ignore


def _numbers(owner: HedgingPolicy | Impact, schedule: Schedule, spot: float) -> dict[str, Array]:
    """What a policy or an impact computes with, marked where it has one row per step.

    Raises:
        InputError: an array has another number of rows.
    """
    found: dict[str, Array] = {}
    for name, value in owner.numbers(schedule, spot).items():
        array = np.asarray(value)
        if array.ndim and array.shape[0] != schedule.steps:
            raise InputError(
                f"numbers of {type(owner).__name__} must be scalars or arrays with one row per step, "
                f"{schedule.steps} here; got {name!r} of shape {array.shape}"
            )
        found[name] = cast(Array, _EachStep(array)) if array.ndim else array
    return found
