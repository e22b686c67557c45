"""One run: scenario in, result out, with closed forms beside the simulation and full provenance."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.special import ndtr

from gammawall.scenarios.chains.exposure_record import exposure_record
from gammawall.scenarios.provenance import environment
from gammawall.scenarios.record import FORMAT
from gammawall.scenarios.runs.claim_test import Case, judged_row
from gammawall.scenarios.runs.results import Result, check_run_folder
from gammawall.scenarios.spec.load import as_scenario
from gammawall.scenarios.spec.scenario import Scenario
from gammawall.sim import GBM, SimResult, simulate
from gammawall.sim.sampling.schedule import make_schedule
from gammawall.surfaces.dealers.exposures import Exposures, exposures
from gammawall.surfaces.units import USD_BN

__all__ = ["provenance", "run"]

_FAN_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_CLOSE_BINS = 161


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
    document = {
        "format": FORMAT,
        "scenario": scenario.name,
        "story": scenario.spec.story,
        "provenance": provenance(scenario),
        "resolved": resolved | {"notes": list(scenario.notes)},
        "metrics": [asdict(m) for m in found.metrics],
        "theory": theory_rows(scenario, found),
        "status": found.status,
        "timing": found.timing | {"total_s": time.perf_counter() - began},
        "exposures": exposure_record(scenario.book, exposed, scenario.chain, tables=False),
    }
    document["claim"] = claim_record(scenario, document)
    result = Result(document, _series(found, exposed))
    if out is not None:
        from gammawall.scenarios.runs.report import render_report

        result.save(out, render_report(result))
    return result


def claim_record(scenario: Scenario, document: dict[str, Any]) -> dict[str, Any] | None:
    """What the scenario claims and what became of its test in this run; None where it claims nothing."""
    claim = scenario.spec.claim
    if claim is None:
        return None
    row = judged_row(Case("base", "as stated", scenario), document, claim)
    found = {"size": row["effect"], "stderr": row["stderr"], "outcome": row["outcome"]}
    return claim.model_dump(mode="json", exclude={"variant"}) | found


def theory_rows(scenario: Scenario, found: SimResult) -> list[dict[str, Any]]:
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
        if isinstance(dynamics, GBM):
            centre = np.log(market.spot) + exact["log_return"]
            inside = float(ndtr((high - centre) / spread) - ndtr((low - centre) / spread))
            rows.insert(0, ("baseline_pin_probability", inside, "pin_probability"))
    table = []
    for name, closed, metric in rows:
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
            _row(name, closed, found[name].value, found[name].stderr) for name, closed in exact.items()
        ] + table
    return table


def _row(name: str, closed: float, simulated: float, stderr: float) -> dict[str, Any]:
    z = (simulated - closed) / stderr if stderr > 0.0 else (0.0 if simulated == closed else None)
    return {"name": name, "closed_form": closed, "simulated": simulated, "stderr": stderr, "z": z}


def provenance(scenario: Scenario) -> dict[str, Any]:
    """What is needed to repeat a result."""
    return environment() | {
        "seed": scenario.seed,
        "scenario_hash": _scenario_hash(scenario),
        "chain_sha256": scenario.chain_sha256,
    }


def _scenario_hash(scenario: Scenario) -> str:
    """Digest of every value that makes the result; of the quotes themselves, not of their file's name."""
    resolved = scenario.resolved()
    numbers = {k: v for k, v in resolved.items() if k not in ("name", "story", "facts", "assumptions")}
    numbers["book"] = {**numbers["book"], "chain": scenario.chain_sha256}
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()


def _series(found: SimResult, exposed: Exposures) -> dict[str, np.ndarray]:
    edges, density, baseline, atoms = _close_densities(found)
    profile = exposed.profile
    # A night takes no trading time; what is traded at its end counts as one minute's.
    interval = np.diff(found.sample_ends, prepend=0.0)
    interval = np.where(interval > 0.0, interval, 1.0)
    return {
        "close_edges": edges,
        "close_density": density,
        "close_density_baseline": baseline,
        "atom_strike": atoms[:, 0],
        "atom_mass": atoms[:, 1],
        "atom_stderr": atoms[:, 2],
        "gex_spot": profile.index.to_numpy(float),
        "gex_total_bn": profile["gex_usd_per_1pct"].to_numpy(float) / USD_BN,
        "gex_same_day_bn": profile["gex_0dte_usd_per_1pct"].to_numpy(float) / USD_BN,
        "minutes": found.minutes,
        "fan_levels": np.array(_FAN_LEVELS),
        "fan": np.quantile(found.sample_paths, _FAN_LEVELS, axis=0),
        "fan_baseline": np.quantile(found.sample_baseline, _FAN_LEVELS, axis=0),
        "sample_paths": found.sample_paths[:20],
        "sample_paths_baseline": found.sample_baseline[:20],
        "vol_minutes": found.sample_ends,
        "vol_pct": 100.0 * np.sqrt(found.step_variance[:, 0]),
        "vol_pct_baseline": 100.0 * np.sqrt(found.step_variance[:, 1]),
        "flow_bn_per_min": found.step_flow_usd_bn / interval,
    }


def _close_densities(found: SimResult) -> tuple[np.ndarray, ...]:
    """Histograms of the close without its atoms, and the atoms: (strike, mass, standard error) rows."""
    close, baseline, strike = found.close, found.baseline_close, found.measure.strike
    prices, counts = np.unique(close, return_counts=True)
    # A continuous law does not repeat a price; settled strikes do.
    least = max(3, close.size // 10_000)
    at, share = prices[counts >= least], counts[counts >= least] / close.size
    atoms = np.column_stack([np.round(at, 9), share, np.sqrt(share * (1.0 - share) / close.size)])
    smooth = close[~np.isin(close, at)]
    low, high = np.quantile(np.concatenate([close, baseline]), [0.0005, 0.9995])
    # A strike far away would leave the whole distribution in a few bins.
    if low - (high - low) < strike < high + (high - low):
        margin = 0.05 * (high - low)
        low, high = min(low, strike - margin), max(high, strike + margin)
    edges = np.linspace(low, high, _CLOSE_BINS + 1)
    width = edges[1] - edges[0]

    def density(values: np.ndarray) -> np.ndarray:
        return np.histogram(values, edges)[0] / close.size / width

    return edges, density(smooth), density(baseline), atoms
