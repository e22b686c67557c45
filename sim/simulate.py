"""One simulation: a book, a market, who hedges and what it does to the price."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gammawall.sim.engine import BlockSums, Drive, run_blocks
from gammawall.sim.exact import prepare_positions
from gammawall.sim.law import CloseLaw, close_law
from gammawall.sim.metrics import Metric, Scales, estimate
from gammawall.sim.noise import split_seed
from gammawall.sim.reduce import Probe
from gammawall.sim.schedule import Schedule, make_schedule
from gammawall.sim.table import HedgeTable, build_table, table_error
from gammawall.sim.types import GBM, Clearing, LinearImpact, Market, Measure, NoHedging, SimConfig
from gammawall.surfaces.book import Book
from gammawall.surfaces.errors import InputError, NumericalError
from gammawall.surfaces.units import USD_BN

__all__ = ["SimResult", "simulate"]

_LATE_MINUTES = 30.0


@dataclass(frozen=True)
class SimResult:
    """What a run found. Prices in index points, one entry per path, step or metric."""

    metrics: tuple[Metric, ...]
    status: dict[str, float]
    """path-steps by status, paths that met a jump or the grid's edge, and the table's error in points"""
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
    start_feedback: float
    """g at the start"""
    law: CloseLaw | None
    """exact law of the close, where the map at the close is increasing"""
    measure: Measure

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
    dynamics: GBM,
    hedging: Clearing | NoHedging | None = None,
    impact: LinearImpact,
    flow: None = None,
    config: SimConfig | None = None,
    seed: int = 0,
    measure: Measure | None = None,
    progress: Callable[[int, int], None] | None = None,
    throw: bool = False,
) -> SimResult:
    """Simulate a market whose option dealers hedge, beside the same market where nobody does.

    Every step solves x + λ S_ref D(t, eˣ) = X_t + λ S_ref D(0, S_0) for the log price x, where X is the
    fundamental log price and D the delta of the hedged book (model.md, section 2).

    Args:
        book: dealers' positions; may be empty.
        market: spot, window and variance clock.
        dynamics: the fundamental price.
        hedging: who hedges; all of the book, continuously, when not given.
        impact: what trading does to the price.
        flow: reserved for orders arriving during the run; must be None.
        config: size of the run.
        seed: whole number in [0, 2⁶⁴); the same seed gives the same shocks to every scenario.
        measure: level, band and corridor; the strike with most contracts when not given.
        progress: called with (paths done, paths in all).
        throw: raise when any path-step found no root on the grid.

    Returns:
        Metrics with standard errors and the series behind the pictures.

    Raises:
        InputError: an argument is out of range, or a position has expired.
        NumericalError: with `throw`, when a path-step was capped.
    """
    config, hedging = config or SimConfig(), hedging or Clearing()
    _check(book, market, flow, seed)
    measure = measure or _default_measure(book, market)
    began = time.perf_counter()
    schedule = make_schedule(market, config.steps)
    positions = prepare_positions(book, market, schedule)
    log_spot, years = float(np.log(market.spot)), float(schedule.variance.sum())
    total_vol, log_drift = dynamics.vol * np.sqrt(years), dynamics.log_drift * years
    hedged = book.scaled(hedging.fraction) if hedging.fraction != 1.0 else book
    positions = positions if hedged is book else prepare_positions(hedged, market, schedule)
    c = impact.log_per_usd * market.spot
    table = build_table(positions, schedule, log_spot, total_vol, log_drift, c, config)
    drive, probe = _drive(dynamics, schedule, config.sample_minutes), _probe(measure, market.spot)
    table_s = time.perf_counter() - began
    blocks, compile_s, run_s = run_blocks(
        table,
        drive,
        probe,
        split_seed(seed),
        market.spot,
        config.paths,
        config.block_paths,
        config.keep_paths,
        config.workers,
        progress,
    )
    law = (
        close_law(positions, schedule, c, log_spot, total_vol, log_drift) if table.close_increasing else None
    )
    error = table_error(table, positions, schedule, market.spot)
    result = _collect(blocks, table, schedule, market, config, drive, measure, law, error)
    rate = config.paths * config.steps / max(run_s, 1e-9)
    timing = {"table_s": table_s, "compile_s": compile_s, "run_s": run_s, "path_steps_per_s": rate}
    result = SimResult(**{**result, "timing": timing})
    if throw and result.status["capped"]:
        raise NumericalError(
            f"{result.status['capped']:.0f} path-steps found no price on the grid: the book folds the map "
            "beyond it; reduce the impact or the short positions, or raise max_nodes"
        )
    return result


def _check(book: Book, market: Market, flow: None, seed: int) -> None:
    if flow is not None:
        raise InputError("flow must be None: order flow during the run is not available")
    if isinstance(seed, bool) or int(seed) != seed or not 0 <= seed < 2**64:
        raise InputError(f"seed must be a whole number from 0 to 2**64 - 1; got {seed!r}")
    if len(book) and abs(book.spot / market.spot - 1.0) > 0.5:
        raise InputError(f"the book was valued at spot {book.spot:g}, the market starts at {market.spot:g}")


def _default_measure(book: Book, market: Market) -> Measure:
    if not len(book):
        return Measure(strike=market.spot)
    strikes, inverse = np.unique(book.strike, return_inverse=True)
    return Measure(strike=float(strikes[np.argmax(np.abs(np.bincount(inverse, weights=book.contracts)))]))


def _drive(dynamics: GBM, schedule: Schedule, sample_minutes: float) -> Drive:
    every = max(round(sample_minutes / schedule.step_minutes), 1)
    mark = np.arange(1, schedule.steps + 1) % every == 0
    mark[-1] = True
    late = _since_mark(mark, schedule.minutes[:-1]) >= schedule.minutes[-1] - _LATE_MINUTES - 1e-9
    late[-1] = True
    return Drive(
        drift=dynamics.log_drift * schedule.variance,
        spread=dynamics.vol * np.sqrt(schedule.variance),
        mark=mark,
        late=late,
    )


def _since_mark(mark: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The entry of `values` at the first step of the sampling interval that each step belongs to."""
    first = np.concatenate([[0], np.flatnonzero(mark[:-1]) + 1])
    return values[first[np.searchsorted(first, np.arange(mark.size), side="right") - 1]]


def _probe(measure: Measure, spot: float) -> Probe:
    low, high = measure.corridor or (measure.strike, measure.strike)
    levels = np.log(
        [
            spot,
            measure.strike,
            measure.strike - measure.band_points,
            measure.strike + measure.band_points,
            low,
            high,
        ]
    )
    return Probe(*levels)


def _collect(
    blocks: list[BlockSums],
    table: HedgeTable,
    schedule: Schedule,
    market: Market,
    config: SimConfig,
    drive: Drive,
    measure: Measure,
    law: CloseLaw | None,
    error: float,
) -> dict:
    def total(name: str) -> np.ndarray:
        return np.sum([getattr(b, name) for b in blocks], axis=0)

    late_years = float(schedule.variance[drive.late].sum())
    marks = np.flatnonzero(drive.mark)
    sampled_years = np.diff(np.cumsum(schedule.variance)[marks], prepend=0.0)
    every = schedule.minutes[-1] / marks.size
    scales = Scales(market.spot, float(schedule.variance.sum()), late_years, marks.size, every)
    status, paths_status = total("status"), total("paths_status")
    close = np.exp(np.concatenate([b.close for b in blocks], axis=1))
    kept = np.exp(np.concatenate([b.kept for b in blocks], axis=2))[..., : config.keep_paths]
    return {
        "metrics": tuple(estimate(config.paths, total("vector"), total("cross"), scales)),
        "status": {
            "stable": int(status[0]),
            "jump": int(status[1]),
            "capped": int(status[2]),
            "paths_with_jump": int(paths_status[0]),
            "paths_capped": int(paths_status[1]),
            "table_error_points": error,
        },
        "close": close[0],
        "baseline_close": close[1],
        "minutes": schedule.minutes,
        "sample_ends": schedule.minutes[marks + 1],
        "sample_paths": kept[:, 0].T,
        "sample_baseline": kept[:, 1].T,
        "step_variance": total("squared_returns")[marks] / config.paths / sampled_years[:, None],
        "step_flow_usd_bn": total("traded")[marks] / config.paths * market.spot / USD_BN,
        "start_feedback": float(table.start_feedback),
        "law": law,
        "measure": measure,
    }
