"""From a book, a market and choices to the arrays and the plan of a run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd

from gammawall.sim.book.level_rows import level_values
from gammawall.sim.book.positions import Positions, prepare_positions
from gammawall.sim.book.table import SETTLE, HedgeTable, build_table
from gammawall.sim.book.values import BookValues, book_values
from gammawall.sim.engine.block import FixedMarket, Given, Plan
from gammawall.sim.engine.experiment import Experiment
from gammawall.sim.engine.loop import Layout
from gammawall.sim.engine.prepare_stepped import MOST_LINES, stepped_market, still_rows, sums_lines
from gammawall.sim.measure.metrics import needed_statistics
from gammawall.sim.measure.statistics import LATE_MINUTES, STATISTICS, Probe
from gammawall.sim.models.dynamics import Dynamics
from gammawall.sim.models.hedging import Clearing, HedgingPolicy, NoHedging
from gammawall.sim.models.impact import Impact, LinearImpact
from gammawall.sim.models.order_flow import OrderFlow
from gammawall.sim.models.protocols import PerStep
from gammawall.sim.models.stochastic_level import StochasticLevel
from gammawall.sim.sampling.noise import split_seed
from gammawall.sim.sampling.schedule import Schedule, make_schedule
from gammawall.sim.sampling.sobol import sobol_shocks
from gammawall.sim.step.static_step import FixedRow
from gammawall.sim.step.stepped import Stepper
from gammawall.sim.types import Market, Measure
from gammawall.surfaces.arrays import Shape
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import MULTIPLIER, ONE_BP

__all__ = ["Run", "prepare_run"]

_LARGEST_SHARE = 0.2
"""Share of the time left that a step takes at most before a short wall settles."""
_FLOW_BLOCK = 1024
"""Paths per call with order flow: the inventory of a block, 0.4 MB, stays in a core's cache."""


@dataclass(frozen=True)
class Run:
    """A run ready to start, and what its numbers mean."""

    kind: Literal["static", "stepped"]
    """by the static map of a fixed book, or step by step"""
    given: Given
    plan: Plan
    layout: Layout
    schedule: Schedule
    positions: Positions
    """of the hedged share of the book, where the run is by the static map; of all of it otherwise"""
    table: HedgeTable
    tabulated: bool
    """whether deltas are read from the table; else every line is summed, and of it only the range is used"""
    flow_units: float
    """index units that the order flow buys and sells in the run; zero without one"""
    start_delta: float
    start_feedback: float


def prepare_run(case: Experiment, snapshots: pd.DatetimeIndex | None = None) -> Run:
    """Tabulate the book and choose the step: the static map where it holds, step by step elsewhere.

    Args:
        case: what is to run.
        snapshots: instants at which prices are kept, ascending, each once.
    """
    book, market, dynamics, groups = case.book, case.market, case.dynamics, case.hedging
    impact, flow, config, seed = case.impact, case.flow, case.config, case.seed
    # The regression on the unhedged twin takes all that is known of it; a run with its series is the full
    # one, whatever is reported of it.
    everything = config.control or case.measure.whole
    named = needed_statistics(case.measure.metrics)
    statistics = STATISTICS if everything else named
    inside = book.expiry[(book.expiry > market.start) & (book.expiry < market.close)]
    geometric = (
        config.geometric if config.geometric is not None else _lead_in(book, market, groups, impact, flow)
    )
    wanted = inside.unique() if snapshots is None else inside.union(snapshots).unique()
    schedule = make_schedule(market, config.steps, settlements=wanted, geometric=geometric)
    level, motion = (case.motion, None) if isinstance(case.motion, StochasticLevel) else (None, case.motion)
    plain = flow is None and level is None and not market.halts and config.geometric is None
    fixed = plain and _is_static(groups, impact)
    hedged = groups[0].fraction if fixed else 1.0
    whole = prepare_positions(book, market, schedule, motion)
    positions = whole if hedged == 1.0 else prepare_positions(book.scaled(hedged), market, schedule, motion)
    log_spot, reach = float(np.log(market.spot)), dynamics.log_range(schedule, market.spot)
    slope = impact.log_per_usd * market.spot
    if flow is not None:
        wider = slope * flow.most_units(schedule)
        reach = (reach[0] - wider, reach[1] + wider)
    if geometric is not None and positions.log_strike.size > MOST_LINES:
        raise InputError(
            f"geometric steps need a book of at most {MOST_LINES} lines, each summed by itself; got "
            f"{positions.log_strike.size:,}: leave geometric out, or select fewer positions"
        )
    # Where lines are summed one by one, all that is needed of a table is its range of prices.
    summed = not fixed and level is None and sums_lines(positions)
    sized = dataclasses.replace(config, max_nodes=64) if summed else config
    table = build_table(positions, schedule, log_spot, reach, slope, sized, any_policy=not fixed)
    marks = schedule.marks(config.sample_minutes)
    settling = np.flatnonzero(table.kind == SETTLE) + 1
    given = Given(
        market=_fixed_market(table, positions, schedule, dynamics, market)
        if fixed
        else stepped_market(table, positions, schedule, groups, impact, market, flow, level),
        drive=_drive(dynamics, schedule, market.spot),
        mark=marks,
        late=_late(marks, schedule),
        settlement=np.where(table.kind == SETTLE, table.settlement, -1),
        values=_values(whole, settling, log_spot, table, level, schedule),
        probe=_probe(case.measure, market.spot),
        spot=np.float64(market.spot),
        fee_rate=np.float64(market.fee_bp * ONE_BP),
        seed=split_seed(seed),
        sobol=sobol_shocks(seed, config, dynamics.factors, schedule.variance)
        if config.sampling == "sobol"
        else None,
        snapshot=None if snapshots is None else snapshots.get_indexer(schedule.instants[1:]),
    )
    block = config.block_paths if flow is None else min(config.block_paths, _FLOW_BLOCK)
    layout = Layout.of(dataclasses.replace(config, block_paths=block))
    plan = Plan(
        factors=dynamics.factors,
        open=dynamics.open,
        step=dynamics.step,
        stepper=None
        if fixed
        else Stepper.of(
            groups,
            impact,
            None if flow is None else flow.demand,
            one_option=summed and flow is None and _is_one_option(positions),
        ),
        unwind=market.unwind == "in_market",
        antithetic=config.antithetic,
        keep=layout.keep if case.measure.whole else 0,
        statistics=statistics,
        series=case.measure.whole,
        accounts=case.measure.whole,
        sampled=not marks.all(),
        snapshots=0 if snapshots is None else len(snapshots),
    )
    share = 1.0 if fixed else sum(g.fraction for g in groups)
    return Run(
        kind="static" if fixed else "stepped",
        given=given,
        plan=plan,
        layout=layout,
        schedule=schedule,
        positions=positions,
        table=table,
        tabulated=not summed,
        flow_units=0.0 if flow is None else _units(flow, schedule),
        start_delta=float(table.start_delta) * share,
        start_feedback=float(table.start_feedback) * share,
    )


def _units(flow: OrderFlow, schedule: Schedule) -> float:
    # In the precision in which the run counts what lies beyond the strikes.
    return float(np.sum(np.asarray(flow.volume(schedule) * MULTIPLIER, np.float32)))


def _drive(dynamics: Dynamics, schedule: Schedule, spot: float) -> dict[str, np.ndarray]:
    rows = {name: np.asarray(row) for name, row in dynamics.drive(schedule, spot).items()}
    for name, row in rows.items():
        if row.shape[:1] != (schedule.steps,):
            raise InputError(
                f"drive of {type(dynamics).__name__} must give arrays with one row per step, "
                f"{schedule.steps} here; got {name!r} of shape {row.shape}"
            )
    return rows


def _values(
    whole: Positions,
    settling: Annotated[np.ndarray, Shape("settlements")],
    log_spot: float,
    table: HedgeTable,
    level: StochasticLevel | None,
    schedule: Schedule,
) -> BookValues:
    values = book_values(whole, settling, log_spot, float(table.nodes[0]), float(table.nodes[-1]))
    return values if level is None else level_values(values, whole, level.levels(schedule))


def _lead_in(
    book: Book,
    market: Market,
    groups: tuple[HedgingPolicy, ...],
    impact: Impact,
    flow: OrderFlow | None,
) -> float | None:
    """Steps that shrink towards settlement, where a short wall may fold the map there.

    The static map has instants of its own for that, see `table`; a book of many lines is tabulated at the
    equal steps, and its last seconds are as coarse as they are.
    """
    solved = any(g.self_consistent for g in groups) and not _is_static(groups, impact)
    few = len(book) <= MOST_LINES
    short = bool(((book.contracts < 0.0) & np.asarray(book.expiry <= market.close)).any())
    return _LARGEST_SHARE if solved and few and flow is None and short else None


def _is_one_option(positions: Positions) -> bool:
    """Whether all lines have one expiry and one vol."""
    return np.unique(np.round(positions.vol, 12)).size * np.unique(positions.group).size == 1


def _is_static(groups: tuple[HedgingPolicy, ...], impact: Impact) -> bool:
    """Whether the price follows from the fundamental price alone (model.md, section 2)."""
    return (
        len(groups) == 1 and isinstance(groups[0], Clearing | NoHedging) and isinstance(impact, LinearImpact)
    )


def _fixed_market(
    table: HedgeTable, positions: Positions, schedule: Schedule, dynamics: Dynamics, market: Market
) -> FixedMarket:
    rows = FixedRow(
        delta=table.delta,
        slope=table.slope,
        kind=table.kind,
        settlement=table.settlement,
        inverse=table.inverse,
        still=still_rows(table, positions, schedule),
        bridge=dynamics.bridge_std(schedule),
    )
    # The rows travel with the steps; the table keeps what all steps share.
    none = np.zeros(0)
    shared = dataclasses.replace(table, delta=none, slope=none, kind=none, settlement=none, inverse=none)
    return FixedMarket(shared, rows)


def _late(mark: PerStep, schedule: Schedule) -> PerStep:
    """Steps whose sampling interval lies in the last half hour."""
    first = np.concatenate([[0], np.flatnonzero(mark[:-1]) + 1])
    begin = schedule.minutes[:-1][first[np.searchsorted(first, np.arange(mark.size), side="right") - 1]]
    late = begin >= schedule.minutes[-1] - LATE_MINUTES - 1e-9
    late[first[-1] :] = True
    return late


def _probe(measure: Measure, spot: float) -> Probe:
    low, high = measure.corridor or (measure.strike, measure.strike)
    strike, band = measure.strike, measure.band_points
    return Probe(*np.log([spot, strike, strike - band, strike + band, low, high]))
