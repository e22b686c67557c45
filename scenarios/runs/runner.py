"""One run: scenario in, result out, with closed forms beside the simulation and full provenance."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
from scipy.special import ndtr

from gammawall.scenarios.chains.exposure_record import exposure_summary
from gammawall.scenarios.record import FORMAT
from gammawall.scenarios.record_types import (
    ClaimOutcome,
    MetricRow,
    RunNumbers,
    RunRecord,
    Status,
    TheoryRow,
    Timing,
)
from gammawall.scenarios.runs.claim_test import Case, judged_row
from gammawall.scenarios.runs.results import Result, check_run_folder
from gammawall.scenarios.runs.series import gamma_series, run_series
from gammawall.scenarios.spec.load import as_scenario
from gammawall.scenarios.spec.origin import provenance
from gammawall.scenarios.spec.scenario import Scenario
from gammawall.sim import NormalDynamics, SimResult, simulate
from gammawall.sim.sampling.schedule import make_schedule
from gammawall.surfaces.dealers.exposures import exposures

__all__ = ["run"]


def run(
    scenario: Scenario | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> Result:
    """Run a scenario beside its unhedged baseline.

    Args:
        scenario: from `load`, or a name or path that `load` takes.
        out: folder to write the result and its report to; nothing is written when not given.
        progress: called with (paths done, paths in all).
        checkpoint: folder of finished blocks of paths; the same run started again does what is missing.

    Raises:
        InputError: the scenario has mistakes, `out` cannot be written, or the checkpoint is another run's.

    Example:
        >>> result = scenarios.run(small)  # out="runs/mine" also writes the report
        >>> print(f"{result.metric('pin_probability').baseline:.2f}")
        0.06
    """
    began = time.perf_counter()
    if out is not None:
        check_run_folder(out)
    scenario = as_scenario(scenario)
    found = simulate(
        scenario.experiment(),
        progress=progress,
        checkpoint=None if checkpoint is None else os.fspath(checkpoint),
    )
    resolved = scenario.resolved()
    exposed = exposures(scenario.book)
    numbers: RunNumbers = {
        "metrics": [MetricRow(**asdict(m)) for m in found.metrics],
        "theory": theory_rows(scenario, found),
        "status": Status(**found.status),
    }
    document: RunRecord = {
        "format": FORMAT,
        "scenario": scenario.name,
        "story": scenario.spec.story,
        "provenance": {**provenance(scenario)},
        "resolved": resolved | {"notes": list(scenario.notes)},
        "metrics": numbers["metrics"],
        "theory": numbers["theory"],
        "status": numbers["status"],
        "timing": Timing(**found.timing, total_s=time.perf_counter() - began),
        "exposures": exposure_summary(scenario.book, exposed, scenario.chain),
        "claim": claim_record(scenario, numbers),
    }
    result = Result(document, run_series(found) | gamma_series(exposed))
    if out is not None:
        from gammawall.scenarios.runs.report import render_report

        result.save(out, render_report(result))
    return result


def claim_record(scenario: Scenario, numbers: RunNumbers) -> ClaimOutcome | None:
    """What the scenario claims and what became of its test in this run; None where it claims nothing."""
    claim = scenario.spec.claim
    if claim is None:
        return None
    row = judged_row(Case("base", "as stated", scenario), numbers, claim)
    stated = claim.model_dump(mode="json", exclude={"variant"})
    return ClaimOutcome(**stated, size=row["effect"], stderr=row["stderr"], outcome=row["outcome"])


def theory_rows(scenario: Scenario, found: SimResult) -> list[TheoryRow]:
    """Closed forms beside their simulated values: the exact law of the close, and of the baseline's."""
    measure, market, dynamics = scenario.measure, scenario.market, scenario.dynamics
    low, strike, high = np.log(
        [measure.strike - measure.band_points, measure.strike, measure.strike + measure.band_points]
    )
    years = market.variance_years
    exact = dynamics.exact(make_schedule(market, scenario.config.steps), market.spot)
    rows = [("baseline_close_mean", exact["price"], "close_mean")]
    if "log_return_squared" in exact:
        spread = float(np.sqrt(exact["log_return_squared"] - exact["log_return"] ** 2))
        rows.insert(0, ("baseline_horizon_vol_pct", 100.0 * spread / np.sqrt(years), "horizon_vol_pct"))
        if isinstance(dynamics, NormalDynamics):
            centre = np.log(market.spot) + exact["log_return"]
            inside = float(ndtr((high - centre) / spread) - ndtr((low - centre) / spread))
            rows.insert(0, ("baseline_pin_probability", inside, "pin_probability"))
    table, measured = [], {m.name for m in found.metrics}
    for name, closed, metric in rows:
        if metric not in measured:
            continue
        m = found[metric]
        table.append(_row(name, closed, m.baseline, m.baseline_stderr))
    if found.law is not None:
        mean, spread = found.law.moments()
        exact = {
            "pin_mass": found.law.mass(strike),
            "pin_probability": found.law.between(low, high),
            "breach_probability": 1.0 - float(found.law.cdf(np.array([strike]))[0]),
            "close_mean": mean,
            "horizon_vol_pct": 100.0 * spread / np.sqrt(years),
        }
        table = [
            _row(name, closed, found[name].value, found[name].stderr)
            for name, closed in exact.items()
            if name in measured
        ] + table
    return table


def _row(name: str, closed: float, simulated: float, stderr: float) -> TheoryRow:
    z = (simulated - closed) / stderr if stderr > 0.0 else (0.0 if simulated == closed else None)
    return {"name": name, "closed_form": closed, "simulated": simulated, "stderr": stderr, "z": z}
