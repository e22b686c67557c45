"""From a book, a market and choices to the arrays and the plan of a run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from gammawall.sim.dynamics import Dynamics
from gammawall.sim.engine import FixedMarket, Given, Plan, SteppedMarket
from gammawall.sim.exact import Positions, book_delta, prepare_positions
from gammawall.sim.fixed import FixedRow
from gammawall.sim.hedging import Clearing, HedgingPolicy, NoHedging
from gammawall.sim.impact import Impact, LinearImpact
from gammawall.sim.loop import block_size, keep_each
from gammawall.sim.noise import split_seed
from gammawall.sim.reduce import Probe
from gammawall.sim.rows import line_rows, strides, table_rows
from gammawall.sim.schedule import Schedule, make_schedule
from gammawall.sim.stepped import SteppedBook, Stepper, settle_edges
from gammawall.sim.table import SETTLE, HedgeTable, build_table
from gammawall.sim.types import Market, Measure, SimConfig
from gammawall.sim.values import book_values
from gammawall.surfaces.book import Book
from gammawall.surfaces.units import ONE_BP

__all__ = ["Run", "prepare_run"]

_LATE_MINUTES = 30.0
_MOST_LINES = 48
"""Up to so many lines a book is summed contract by contract in every step: as fast as a table, and exact."""


@dataclass(frozen=True)
class Run:
    """A run ready to start, and what its numbers mean."""

    given: Given
    plan: Plan
    block: int
    schedule: Schedule
    positions: Positions
    """of the hedged share of the book, where the run is by the static map; of all of it otherwise"""
    table: HedgeTable
    start_delta: float
    start_feedback: float


def prepare_run(
    book: Book,
    market: Market,
    dynamics: Dynamics,
    groups: tuple[HedgingPolicy, ...],
    impact: Impact,
    config: SimConfig,
    seed: int,
    measure: Measure,
) -> Run:
    """Tabulate the book and choose the step: the static map where it holds, step by step elsewhere."""
    inside = book.expiry[(book.expiry > market.start) & (book.expiry < market.close)]
    schedule = make_schedule(market, config.steps, settlements=inside.unique(), geometric=config.geometric)
    fixed = _is_static(groups, impact)
    hedged = groups[0].fraction if fixed else 1.0
    whole = prepare_positions(book, market, schedule)
    positions = whole if hedged == 1.0 else prepare_positions(book.scaled(hedged), market, schedule)
    log_spot, reach = float(np.log(market.spot)), dynamics.log_range(schedule, market.spot)
    slope = impact.log_per_usd * market.spot
    table = build_table(positions, schedule, log_spot, reach, slope, config)
    marks = schedule.marks(config.sample_minutes)
    settling = np.flatnonzero(table.kind == SETTLE) + 1
    given = Given(
        market=_fixed_market(table, schedule, dynamics, market)
        if fixed
        else _stepped_market(table, positions, schedule, groups, impact, market, slope),
        drive=dynamics.drive(schedule, market.spot),
        mark=marks,
        late=_late(marks, schedule),
        settlement=np.where(table.kind == SETTLE, table.settlement, -1),
        values=book_values(whole, settling, log_spot, table.nodes[0], table.nodes[-1]),
        probe=_probe(measure, market.spot),
        spot=np.float64(market.spot),
        seed=split_seed(seed),
    )
    unwind = market.unwind == "in_market"
    block = block_size(config.paths, config.block_paths)
    plan = Plan(
        factors=dynamics.factors,
        open=dynamics.open,
        step=dynamics.step,
        stepper=None if fixed else Stepper.of(groups, impact, unwind=unwind),
        unwind=unwind,
        antithetic=config.antithetic,
        keep=keep_each(config.keep_paths, config.paths, block),
    )
    share = 1.0 if fixed else sum(g.fraction for g in groups)
    return Run(
        given, plan, block, schedule, positions, table,
        float(table.start_delta) * share, float(table.start_feedback) * share,
    )  # fmt: skip


def _is_static(groups: tuple[HedgingPolicy, ...], impact: Impact) -> bool:
    """Whether the price follows from the fundamental price alone (model.md, section 2)."""
    return (
        len(groups) == 1 and isinstance(groups[0], Clearing | NoHedging) and isinstance(impact, LinearImpact)
    )


def _fixed_market(table: HedgeTable, schedule: Schedule, dynamics: Dynamics, market: Market) -> FixedMarket:
    rows = FixedRow(
        delta=table.delta,
        slope=table.slope,
        kind=table.kind,
        settlement=table.settlement,
        inverse=table.inverse,
        # Within one step every fundamental price is taken as a Brownian bridge of the nominal vol.
        bridge=getattr(dynamics, "vol", 0.0) * np.sqrt(schedule.variance),
    )
    # The rows travel with the steps; the table keeps what all steps share.
    none = np.zeros(0)
    shared = dataclasses.replace(table, delta=none, slope=none, kind=none, settlement=none, inverse=none)
    return FixedMarket(shared, rows, np.float64(market.fee_bp * ONE_BP))


def _stepped_market(
    table: HedgeTable,
    positions: Positions,
    schedule: Schedule,
    groups: tuple[HedgingPolicy, ...],
    impact: Impact,
    market: Market,
    slope: float,
) -> SteppedMarket:
    if positions.log_strike.size <= _MOST_LINES:
        lines = line_rows(positions)
        per_step = ("spread", "shift", "factor")
        rows = {name: _pairs(getattr(lines, name)) for name in per_step} | {"settles": lines.settles}
    else:
        start = book_delta(positions, table.nodes, np.array([0]), settling=False)
        lines = table_rows(table, start, positions)
        rows = {name: _pairs(getattr(lines, name)) for name in ("delta", "slope")}
        rows |= {name: getattr(lines, name) for name in ("strikes", "below", "jump")}
    names = [f.name for f in dataclasses.fields(lines)]
    low, high = float(table.nodes[0]), float(table.nodes[-1])
    policies = [g.numbers(schedule, market.spot) for g in groups]
    force = impact.numbers(schedule, market.spot)
    strikes, edges = settle_edges(positions, schedule.steps)
    constant = SteppedBook(
        rows=dataclasses.replace(lines, **{n: None for n in names if n in rows}),
        settles=None,
        stride=None,
        strikes=strikes,
        edges=None,
        low=np.float64(low),
        high=np.float64(high),
        groups=[_only(n, rows=False) for n in policies],
        impact=_only(force, rows=False),
        slope=np.float64(slope),
        fee_rate=np.float64(market.fee_bp * ONE_BP),
    )
    varying = SteppedBook(
        rows=dataclasses.replace(lines, **{n: rows.get(n) for n in names}),
        settles=table.kind == SETTLE,
        stride=strides(positions, low, high),
        strikes=None,
        edges=edges,
        low=None,
        high=None,
        groups=[_only(n, rows=True) for n in policies],
        impact=_only(force, rows=True),
        slope=None,
        fee_rate=None,
    )
    return SteppedMarket(constant, varying, table.start_delta, table.start_feedback)


def _only(numbers: dict[str, np.ndarray], *, rows: bool) -> dict[str, np.ndarray | None]:
    """The numbers that are one row per step, or those that are not; None in place of the others."""
    return {name: value if (np.ndim(value) > 0) == rows else None for name, value in numbers.items()}


def _pairs(values: np.ndarray) -> np.ndarray:
    """[N + 1, ...] as [N, 2, ...]: what a step begins with and what it ends with."""
    return np.stack([values[:-1], values[1:]], axis=1)


def _late(mark: np.ndarray, schedule: Schedule) -> np.ndarray:
    """Steps whose sampling interval lies in the last half hour."""
    first = np.concatenate([[0], np.flatnonzero(mark[:-1]) + 1])
    begin = schedule.minutes[:-1][first[np.searchsorted(first, np.arange(mark.size), side="right") - 1]]
    late = begin >= schedule.minutes[-1] - _LATE_MINUTES - 1e-9
    late[-1] = True
    return late


def _probe(measure: Measure, spot: float) -> Probe:
    low, high = measure.corridor or (measure.strike, measure.strike)
    strike, band = measure.strike, measure.band_points
    return Probe(*np.log([spot, strike, strike - band, strike + band, low, high]))
