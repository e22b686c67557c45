"""One simulation: a book, a market, who hedges and what it does to the price."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import pandas as pd

from gammawall.sim.book.rows import LineRows
from gammawall.sim.book.table_error import table_error
from gammawall.sim.engine.experiment import Experiment
from gammawall.sim.engine.loop import RunSums, run_blocks
from gammawall.sim.engine.prepare import Run, prepare_run
from gammawall.sim.measure.close_law import CloseLaw, close_law
from gammawall.sim.measure.control_variates import known_baseline
from gammawall.sim.measure.metrics import Metric, Scales, estimate
from gammawall.sim.models.dynamics import GBM, Dynamics
from gammawall.sim.models.hedging import HedgingPolicy
from gammawall.sim.models.impact import Impact
from gammawall.sim.models.stochastic_level import StochasticLevel
from gammawall.sim.models.surface_motion import Motion
from gammawall.sim.models.zero_dte_flow import ZeroDteFlow
from gammawall.sim.step.stepped import SteppedBook
from gammawall.sim.types import Instant, Market, Measure, SimConfig
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


@overload
def simulate(
    book: Experiment,
    *,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: str | Path | None = None,
    snapshots: Sequence[Instant] = (),
    throw: bool = False,
) -> SimResult: ...


@overload
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
    snapshots: Sequence[Instant] = (),
    throw: bool = False,
) -> SimResult: ...


def simulate(
    book: Book | Experiment,
    *,
    market: Market | None = None,
    dynamics: Dynamics | None = None,
    hedging: HedgingPolicy | Sequence[HedgingPolicy] | None = None,
    impact: Impact | Callable | None = None,
    flow: ZeroDteFlow | None = None,
    motion: Motion | StochasticLevel | None = None,
    config: SimConfig | None = None,
    seed: int = 0,
    measure: Measure | None = None,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: str | Path | None = None,
    snapshots: Sequence[Instant] = (),
    throw: bool = False,
) -> SimResult:
    """Simulate a market whose option dealers hedge, beside the same market where nobody does.

    Continuous hedging under linear impact solves x + λ S_ref D(t, eˣ) = X_t + λ S_ref D(0, S_0) for the log
    price x, where X is the fundamental log price and D the delta of the hedged book (model.md, section 2);
    every other choice goes step by step, see `sim.step.stepped`.

    Args:
        book: dealers' positions, with everything else by keyword; or an `Experiment`, which holds it all.
        market, dynamics, hedging, impact, flow, motion, config, seed, measure: see `Experiment`.
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
    parts = {
        "market": market, "dynamics": dynamics, "hedging": hedging, "impact": impact, "flow": flow,
        "motion": motion, "config": config, "seed": seed or None, "measure": measure,
    }  # fmt: skip
    given = [name for name, part in parts.items() if part is not None]
    if isinstance(book, Experiment):
        if given:
            raise InputError(
                f"simulate takes an Experiment alone, which holds {given[0]} already: "
                f"change it with dataclasses.replace(experiment, {given[0]}=…)"
            )
        case = book
    elif market is None or dynamics is None or impact is None:
        missing = [name for name in ("market", "dynamics", "impact") if name not in given]
        raise InputError(f"simulate needs market, dynamics and impact beside a book; missing: {missing[0]}")
    else:
        case = Experiment(
            book, market, dynamics, hedging, impact=impact, flow=flow, motion=motion, config=config,
            seed=seed, measure=measure,
        )  # fmt: skip
    return _run(case, progress, checkpoint, _instants(snapshots, case.market), throw)


def _run(
    case: Experiment,
    progress: Callable[[int, int], None] | None,
    checkpoint: str | Path | None,
    snapshots: pd.DatetimeIndex | None,
    throw: bool,
) -> SimResult:
    began = time.perf_counter()
    run, config = prepare_run(case, snapshots), case.config
    table_s = time.perf_counter() - began
    found = run_blocks(run.given, run.plan, config, run.layout, checkpoint=checkpoint, progress=progress)
    compile_s, run_s = found.compile_s, found.run_s
    rate = config.paths * run.schedule.steps / max(run_s, 1e-9)
    timing = {"table_s": table_s, "compile_s": compile_s, "run_s": run_s, "path_steps_per_s": rate}
    result = _collect(found, run, case, timing)
    if throw and result.status["capped"]:
        raise NumericalError(
            f"{result.status['capped']:.0f} path-steps found no price on the grid: the book folds the map "
            "beyond it; reduce the impact or the short positions, or raise max_nodes"
        )
    return result


def _instants(snapshots: Sequence[Instant], market: Market) -> pd.DatetimeIndex | None:
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


def _collect(found: RunSums, run: Run, case: Experiment, timing: dict[str, float]) -> SimResult:
    schedule, sums, config, market = run.schedule, found.sums, case.config, case.market
    known = _known(run, case.dynamics, market) if config.control else None
    observations = config.paths // 2 if config.antithetic else config.paths
    metrics = estimate(
        observations, sums.vector, sums.cross, scales_of(run, market), groups=found.groups, known=known
    )
    marks = np.flatnonzero(run.given.mark)
    sampled_years = np.diff(np.cumsum(schedule.variance)[marks], prepend=0.0)
    close, kept = np.exp(sums.close), np.exp(sums.kept)
    flows = sums.traded[marks] / config.paths * market.spot / USD_BN
    return SimResult(
        metrics=tuple(metrics),
        status=_status(found, run, case),
        timing=timing,
        close=close[0],
        baseline_close=close[1],
        minutes=schedule.minutes,
        sample_ends=schedule.minutes[marks + 1],
        sample_paths=kept[:, 0].T,
        sample_baseline=kept[:, 1].T,
        step_variance=_per_interval(sums.squared_returns[marks] / config.paths, sampled_years),
        step_flow_usd_bn=flows[:, 0],
        step_demand_usd_bn=flows[:, 1:],
        start_feedback=run.start_feedback,
        law=exact_law(run, case.dynamics),
        measure=case.measure,
        snapshots=close[2 : 2 + 2 * run.plan.snapshots].reshape(-1, 2, close.shape[1]),
        # Prices are pairs of rows; the level, where there is one, stands alone.
        close_vol_factor=close[-1] if len(close) % 2 else None,
    )


def _status(found: RunSums, run: Run, case: Experiment) -> dict[str, float]:
    status, paths_status = found.sums.status, found.sums.paths_status
    return {
        "stable": int(status[0]),
        "jump": int(status[1]),
        "capped": int(status[2]),
        "paths_with_jump": int(paths_status[0]),
        "paths_capped": int(paths_status[1]),
        "table_error_points": _table_error(run, case.market),
        "self_financing_residual": float(found.sums.residual),
        "flow_beyond_grid": _share_beyond(run, float(found.sums.beyond) / case.config.paths),
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
