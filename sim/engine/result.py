"""What a run found, from the sums of its paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import pandas as pd

from gammawall.sim.book.table_error import table_error
from gammawall.sim.engine.experiment import Experiment
from gammawall.sim.engine.loop import RunSums
from gammawall.sim.engine.prepare import Run
from gammawall.sim.measure.close_law import CloseLaw, close_law
from gammawall.sim.measure.control_variates import known_baseline
from gammawall.sim.measure.metrics import METRICS, Metric, Scales, estimate
from gammawall.sim.models.dynamics import Dynamics, NormalDynamics
from gammawall.sim.types import Market, Measure
from gammawall.surfaces.display import Display
from gammawall.surfaces.units import USD_BN

__all__ = ["SimResult", "collect", "exact_law", "scales_of"]


_SERIES = ("sample_paths", "sample_baseline", "step_variance", "step_flow_usd_bn", "step_demand_usd_bn")
"""Fields that a run of named metrics keeps only when told so."""


@dataclass(frozen=True, eq=False, repr=False)
class SimResult(Display):
    """What a run found: metrics, ``result["pin_probability"].value``, and the series behind the pictures.

    Prices in index points.
    """

    metrics: tuple[Metric, ...]
    status: dict[str, float]
    """path-steps by status; paths that met a jump or the grid's edge; the table's error in points; where the
    dealers' accounts are kept, the largest self-financing residual, relative; and the share of the order flow
    that lay beyond its strikes"""
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
        there = ", ".join(m.name for m in self.metrics) or "none"
        if name in METRICS:
            raise KeyError(f"{name} was not asked for, only {there}: name it in Measure(metrics=...)")
        raise KeyError(f"no metric {name!r}; there are {there}")

    def __getattr__(self, name: str) -> NoReturn:
        # Reached where a field was never set.
        if name in _SERIES:
            raise AttributeError(
                f"{name} was not kept, because only some metrics were asked for: set series=True in Measure"
            )
        raise AttributeError(f"a SimResult has no {name!r}")

    def __post_init__(self) -> None:
        if not self.measure.whole:
            for name in _SERIES:
                object.__delattr__(self, name)

    def summary(self) -> list[tuple[str, str]]:
        """What to know at first sight."""
        said = [("paths", f"{self.close.size:,}"), ("steps", f"{self.minutes.size - 1:,}")]
        there = {metric.name: metric for metric in self.metrics}
        for name, digits in (("pin_probability", 4), ("close_std_points", 2), ("realised_vol_pct", 2)):
            if (metric := there.get(name)) is None:
                continue
            value = f"{metric.value:.{digits}f} ± {metric.stderr:.{digits}f}"
            said.append((name, f"{value}, without hedging {metric.baseline:.{digits}f}"))
        if self.status["paths_capped"]:
            said.append(("paths at the grid's edge", f"{self.status['paths_capped']:,.0f}"))
        return said

    def frame(self) -> pd.DataFrame:
        """One row per metric, by ``name``: ``unit``, ``description``, ``value``, ``stderr``, the same without
        hedging as ``baseline``, and their ``difference``."""
        return pd.DataFrame([vars(m) for m in self.metrics]).set_index("name")


def collect(found: RunSums, run: Run, case: Experiment, timing: dict[str, float]) -> SimResult:
    """From the sums of a run to its result."""
    schedule, sums, config, market = run.schedule, found.sums, case.config, case.market
    known = _known(run, case.dynamics, market) if config.control else None
    observations = config.paths // 2 if config.antithetic else config.paths
    metrics = estimate(
        observations, np.asarray(sums.vector), np.asarray(sums.cross), scales_of(run, market),
        groups=found.groups, known=known, statistics=run.plan.statistics, names=case.measure.metrics,
    )  # fmt: skip
    marks = np.flatnonzero(run.given.mark)
    sampled_years = np.diff(np.cumsum(schedule.variance)[marks], prepend=0.0)
    close, kept = np.exp(sums.close), np.exp(sums.kept)
    own = marks if run.plan.series else marks[:0]
    flows = np.asarray(sums.traded)[own] / config.paths * market.spot / USD_BN
    squares = np.asarray(sums.squared_returns)[own] / config.paths
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
        step_variance=_per_interval(squares, sampled_years[: own.size]),
        step_flow_usd_bn=flows[:, 0],
        step_demand_usd_bn=flows[:, 1:],
        start_feedback=run.start_feedback,
        law=exact_law(run, case.dynamics),
        measure=case.measure,
        snapshots=np.exp(sums.snapshots),
        close_vol_factor=np.exp(sums.level[0]) if len(sums.level) else None,
    )


def exact_law(run: Run, dynamics: Dynamics) -> CloseLaw | None:
    """The exact law of the close, where there is one: static map, normal X_T, nothing settled before."""
    early = bool((run.positions.settlements < run.schedule.steps).any())
    if run.kind != "static" or early or not run.table.close_increasing:
        return None
    if not isinstance(dynamics, NormalDynamics):
        return None
    moves, c = dynamics.normal_moves(run.schedule), float(run.table.impact)
    log_spot = run.positions.log_spot
    return close_law(run.positions, run.schedule, c, log_spot, moves.close_std, moves.close_mean)


def scales_of(run: Run, market: Market) -> Scales:
    """What the averages are turned into metrics by."""
    marks, years = np.asarray(run.given.mark), run.schedule.variance
    late, every = float(years[np.asarray(run.given.late)].sum()), run.schedule.minutes[-1] / marks.sum()
    return Scales(market.spot, float(years.sum()), late, int(marks.sum()), float(every))


def _known(run: Run, dynamics: Dynamics, market: Market) -> dict[str, float]:
    mark, late = np.asarray(run.given.mark), np.asarray(run.given.late)
    return known_baseline(dynamics, run.schedule, run.given.probe, market.spot, mark, late)


def _status(found: RunSums, run: Run, case: Experiment) -> dict[str, float]:
    status, paths_status = found.sums.status, found.sums.paths_status
    checked = {"self_financing_residual": float(found.sums.residual)} if run.plan.accounts else {}
    return {
        "stable": int(status[0]),
        "jump": int(status[1]),
        "capped": int(status[2]),
        "paths_with_jump": int(paths_status[0]),
        "paths_capped": int(paths_status[1]),
        "table_error_points": _table_error(run, case.market),
        **checked,
        "flow_beyond_grid": _share_beyond(run, float(found.sums.beyond) / case.config.paths),
    }


def _share_beyond(run: Run, units: float) -> float:
    """Share of the order flow that lay beyond its strikes."""
    return units / run.flow_units if run.flow_units else 0.0


def _per_interval(squares: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Variance rates; zero where an interval holds no variance time."""
    return np.divide(squares, years[:, None], out=np.zeros_like(squares), where=years[:, None] > 0.0)


def _table_error(run: Run, market: Market) -> float:
    """Zero where no table was used."""
    if not run.tabulated:
        return 0.0
    return table_error(run.table, run.positions, run.schedule, market.spot)
