"""One simulation: a book, a market, who hedges and what it does to the price."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gammawall.sim.book.rows import LineRows
from gammawall.sim.book.table_error import table_error
from gammawall.sim.engine.loop import RunSums, run_blocks
from gammawall.sim.engine.prepare import Run, prepare_run
from gammawall.sim.measure.close_law import CloseLaw, close_law
from gammawall.sim.measure.control_variates import known_baseline
from gammawall.sim.measure.metrics import Metric, Scales, estimate
from gammawall.sim.models.dynamics import GBM, Dynamics
from gammawall.sim.models.hedging import HedgingPolicy, hedging_groups
from gammawall.sim.models.impact import Impact, as_impact
from gammawall.sim.models.stochastic_level import StochasticLevel
from gammawall.sim.models.surface_motion import Motion
from gammawall.sim.models.zero_dte_flow import ZeroDteFlow
from gammawall.sim.step.stepped import SteppedBook
from gammawall.sim.types import Market, Measure, SimConfig
from gammawall.surfaces.clock import new_york
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError, NumericalError
from gammawall.surfaces.units import USD_BN

__all__ = ["SimResult", "simulate"]


@dataclass(frozen=True)
class SimResult:
    """What a run found. Prices in index points, one entry per path, step or metric."""

    metrics: tuple[Metric, ...]
    status: dict[str, float]
    """path-steps by status, paths that met a jump or the grid's edge, the table's error in points, and the
    largest self-financing residual of the dealers' accounts, relative; and the share of the order flow that
    lay beyond its strikes"""
    timing: dict[str, float]
    close: np.ndarray
    """[paths]"""
    baseline_close: np.ndarray
    """[paths]"""
    minutes: np.ndarray
    """trading minutes since the start, [N + 1]"""
    sample_ends: np.ndarray
    """trading minutes since the start at which sampling intervals end, [M]"""
    sample_paths: np.ndarray
    """[kept, N + 1]"""
    sample_baseline: np.ndarray
    """[kept, N + 1]"""
    step_variance: np.ndarray
    """mean squared return over the variance time of the sampling interval, hedged and baseline, [M, 2]"""
    step_flow_usd_bn: np.ndarray
    """mean absolute hedge trade of each sampling interval, [M]"""
    step_demand_usd_bn: np.ndarray
    """mean absolute demand for hedges from moves of the price, from the passing of time and from new options,
    [M, 3]"""
    start_feedback: float
    """g at the start"""
    law: CloseLaw | None
    """exact law of the close, where the map at the close is increasing"""
    measure: Measure
    snapshots: np.ndarray
    """prices at the instants asked for, ascending, with and without hedging, [E, 2, paths]"""
    close_vol_factor: np.ndarray | None
    """the hedger's vols at the close over the initial ones, [paths]; None where no level moves at random"""

    def __getitem__(self, name: str) -> Metric:
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(f"no metric {name!r}; there are {', '.join(m.name for m in self.metrics)}")

    def metrics_frame(self) -> pd.DataFrame:
        """The metrics as a table indexed by name."""
        return pd.DataFrame([vars(m) for m in self.metrics]).set_index("name")


def simulate(
    book: Book,
    *,
    market: Market,
    dynamics: Dynamics,
    hedging: HedgingPolicy | Sequence[HedgingPolicy] | None = None,
    impact: Impact | Callable,
    flow: ZeroDteFlow | None = None,
    motion: Motion | StochasticLevel | None = None,
    config: SimConfig | None = None,
    seed: int = 0,
    measure: Measure | None = None,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: str | Path | None = None,
    snapshots: Sequence[Any] = (),
    throw: bool = False,
) -> SimResult:
    """Simulate a market whose option dealers hedge, beside the same market where nobody does.

    Continuous hedging under linear impact solves x + λ S_ref D(t, eˣ) = X_t + λ S_ref D(0, S_0) for the log
    price x, where X is the fundamental log price and D the delta of the hedged book (model.md, section 2);
    every other choice goes step by step, see `sim.step.stepped`.

    Args:
        book: dealers' positions; may be empty.
        market: spot, window and variance clock.
        dynamics: the fundamental price.
        hedging: who hedges: a policy, or several for groups of dealers; all of the book, continuously, when
            not given.
        impact: what trading does to the price; a function of (USD bn, minutes) also serves.
        flow: orders in same-day options that arrive during the run, if any.
        motion: how the hedger's vols move, with the price or at random; not at all (sticky strike) when not
            given.
        config: size of the run.
        seed: whole number in [0, 2⁶⁴); the same seed gives the same shocks to every scenario.
        measure: level, band and corridor; the strike with most contracts when not given.
        progress: called with (paths done, paths in all).
        checkpoint: folder that keeps every finished block, so that the same run started again does only what
            is missing; it belongs to one run.
        snapshots: instants after the start, up to the close, at which the prices of all paths are kept; they
            become instants of the time grid.
        throw: raise when any path-step found no root on the grid.

    Returns:
        Metrics with standard errors and the series behind the pictures.

    Raises:
        InputError: an argument is out of range, a position has expired, or the checkpoint folder belongs to
            another run or cannot be written.
        NumericalError: with `throw`, when a path-step was capped.
    """
    config, groups, impact = config or SimConfig(), hedging_groups(hedging), as_impact(impact)
    check_run(book, market, seed)
    measure = measure or default_measure(book, market)
    instants = _instants(snapshots, market)
    began = time.perf_counter()
    run = prepare_run(book, market, dynamics, groups, impact, config, seed, measure, flow, motion, instants)
    table_s = time.perf_counter() - began
    found = run_blocks(run.given, run.plan, config, run.layout, checkpoint=checkpoint, progress=progress)
    compile_s, run_s = found.compile_s, found.run_s
    rate = config.paths * run.schedule.steps / max(run_s, 1e-9)
    timing = {"table_s": table_s, "compile_s": compile_s, "run_s": run_s, "path_steps_per_s": rate}
    known = _known(run, dynamics, market) if config.control else None
    law = exact_law(run, dynamics)
    result = SimResult(**_collect(found, known, run, market, config, measure), law=law, timing=timing)
    if throw and result.status["capped"]:
        raise NumericalError(
            f"{result.status['capped']:.0f} path-steps found no price on the grid: the book folds the map "
            "beyond it; reduce the impact or the short positions, or raise max_nodes"
        )
    return result


def check_run(book: Book, market: Market, seed: int) -> None:
    if isinstance(seed, bool) or int(seed) != seed or not 0 <= seed < 2**64:
        raise InputError(f"seed must be a whole number from 0 to 2**64 - 1; got {seed!r}")
    if len(book) and abs(book.spot / market.spot - 1.0) > 0.5:
        raise InputError(f"the book was valued at spot {book.spot:g}, the market starts at {market.spot:g}")


def _instants(snapshots: Sequence[Any], market: Market) -> pd.DatetimeIndex | None:
    """Ascending, each once; None where there are none."""
    if not len(snapshots):
        return None
    instants = pd.DatetimeIndex([new_york(s, "snapshots") for s in snapshots]).unique().sort_values()
    for instant in instants:
        if not market.start < instant <= market.close:
            raise InputError(
                f"snapshots must lie after the start {market.start} and not after the close {market.close}; "
                f"got {instant}"
            )
    return instants.as_unit("ns")


def default_measure(book: Book, market: Market) -> Measure:
    if not len(book):
        return Measure(strike=market.spot)
    strikes, inverse = np.unique(book.strike, return_inverse=True)
    return Measure(strike=float(strikes[np.argmax(np.abs(np.bincount(inverse, weights=book.contracts)))]))


def exact_law(run: Run, dynamics: Dynamics) -> CloseLaw | None:
    """The exact law of the close, where there is one: static map, normal X_T, nothing settled before."""
    early = bool((run.positions.settlements < run.schedule.steps).any())
    if not isinstance(dynamics, GBM) or dynamics.catalysts or run.plan.stepper is not None:
        return None
    if early or not run.table.close_increasing:
        return None
    years, c = float(run.schedule.variance.sum()), float(run.table.impact)
    spread, drift = dynamics.vol * np.sqrt(years), dynamics.log_drift * years
    return close_law(run.positions, run.schedule, c, run.positions.log_spot, spread, drift)


def scales_of(run: Run, market: Market) -> Scales:
    """What the averages are turned into metrics by."""
    marks, years = np.asarray(run.given.mark), run.schedule.variance
    late, every = float(years[np.asarray(run.given.late)].sum()), run.schedule.minutes[-1] / marks.sum()
    return Scales(market.spot, float(years.sum()), late, int(marks.sum()), float(every))


def _known(run: Run, dynamics: Dynamics, market: Market) -> dict[str, float]:
    given = run.given
    return known_baseline(dynamics, run.schedule, given.probe, market.spot, given.mark, given.late)


def _collect(
    found: RunSums,
    known: dict[str, float] | None,
    run: Run,
    market: Market,
    config: SimConfig,
    measure: Measure,
) -> dict:
    schedule, sums, scales = run.schedule, found.sums, scales_of(run, market)
    marks = np.flatnonzero(run.given.mark)
    sampled_years = np.diff(np.cumsum(schedule.variance)[marks], prepend=0.0)
    status, paths_status = sums.status, sums.paths_status
    close, kept = np.exp(sums.close), np.exp(sums.kept)
    observations = config.paths // 2 if config.antithetic else config.paths
    flows = sums.traded[marks] / config.paths * market.spot / USD_BN
    return {
        "metrics": tuple(
            estimate(observations, sums.vector, sums.cross, scales, groups=found.groups, known=known)
        ),
        "status": {
            "stable": int(status[0]),
            "jump": int(status[1]),
            "capped": int(status[2]),
            "paths_with_jump": int(paths_status[0]),
            "paths_capped": int(paths_status[1]),
            "table_error_points": _table_error(run, market),
            "self_financing_residual": float(sums.residual),
            "flow_beyond_grid": _share_beyond(run, float(sums.beyond) / config.paths),
        },
        "close": close[0],
        "baseline_close": close[1],
        "snapshots": close[2 : 2 + 2 * run.plan.snapshots].reshape(-1, 2, close.shape[1]),
        # Prices are pairs of rows; the level, where there is one, stands alone.
        "close_vol_factor": close[-1] if len(close) % 2 else None,
        "minutes": schedule.minutes,
        "sample_ends": schedule.minutes[marks + 1],
        "sample_paths": kept[:, 0].T,
        "sample_baseline": kept[:, 1].T,
        "step_variance": _per_interval(sums.squared_returns[marks] / config.paths, sampled_years),
        "step_flow_usd_bn": flows[:, 0],
        "step_demand_usd_bn": flows[:, 1:],
        "start_feedback": run.start_feedback,
        "measure": measure,
    }


def _share_beyond(run: Run, units: float) -> float:
    """Share of the order flow that lay beyond its strikes."""
    rows = run.given.market.rows
    volume = float(np.sum(rows.flow["volume"])) if isinstance(rows, SteppedBook) and rows.flow else 0.0
    return units / volume if volume else 0.0


def _per_interval(squares: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Variance rates; zero where an interval holds no variance time."""
    return np.divide(squares, years[:, None], out=np.zeros_like(squares), where=years[:, None] > 0.0)


def _table_error(run: Run, market: Market) -> float:
    """Zero where no table was used."""
    rows = run.given.market.rows
    if isinstance(rows, SteppedBook) and isinstance(rows.rows, LineRows):
        return 0.0
    return table_error(run.table, run.positions, run.schedule, market.spot)
