"""One run: scenario in, result out, with closed forms beside the simulation and full provenance."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy.special import ndtr

from gammawall.scenarios.exposed import exposure_record
from gammawall.scenarios.files import load
from gammawall.scenarios.results import Result
from gammawall.scenarios.schema import Scenario
from gammawall.sim import Measure, SimResult, simulate
from gammawall.surfaces.exposures import exposures
from gammawall.surfaces.units import USD_BN

__all__ = ["provenance", "run"]

_FAN_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_CLOSE_BINS = 161


def run(
    scenario: Scenario | str,
    out: str | os.PathLike[str] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Run a scenario beside its unhedged baseline.

    Args:
        scenario: from `load`, or a name or path that `load` takes.
        out: folder to write the result and its report to; nothing is written when not given.
        progress: called with (paths done, paths in all).

    Raises:
        InputError: the scenario has mistakes, or `out` cannot be written.
    """
    began = time.perf_counter()
    scenario = load(scenario) if isinstance(scenario, str) else scenario
    found = simulate(
        scenario.book,
        market=scenario.market,
        dynamics=scenario.dynamics,
        hedging=scenario.hedging,
        impact=scenario.impact,
        config=scenario.config,
        seed=scenario.seed,
        measure=scenario.measure,
        progress=progress,
    )
    resolved = scenario.resolved()
    exposed = exposures(scenario.book) if len(scenario.book) else None
    document = {
        "scenario": scenario.name,
        "story": scenario.part.story,
        "provenance": provenance(resolved, scenario.seed),
        "resolved": resolved | {"notes": list(scenario.notes)},
        "metrics": [asdict(m) for m in found.metrics],
        "theory": theory_rows(scenario, found),
        "status": found.status,
        "timing": found.timing | {"total_s": time.perf_counter() - began},
        "exposures": None
        if exposed is None
        else exposure_record(scenario.book, exposed, scenario.chain, tables=False),
    }
    result = Result(document, _series(scenario, found, exposed))
    if out is not None:
        from gammawall.scenarios.report import render_report

        result.save(out, {"report.html": render_report(result)})
    return result


def theory_rows(scenario: Scenario, found: SimResult) -> list[dict[str, Any]]:
    """Closed forms beside their simulated values: the exact law of the close, and of the baseline's."""
    measure, market = scenario.measure, scenario.market
    low, strike, high = np.log(
        [measure.strike - measure.band_points, measure.strike, measure.strike + measure.band_points]
    )
    years = market.variance_years
    v = scenario.dynamics.vol * np.sqrt(years)
    centre = np.log(market.spot) + scenario.dynamics.log_drift * years
    rows = [
        (
            "baseline_pin_probability",
            float(ndtr((high - centre) / v) - ndtr((low - centre) / v)),
            "pin_probability",
        ),
        ("baseline_horizon_vol_pct", 100.0 * scenario.dynamics.vol, "horizon_vol_pct"),
        (
            "baseline_close_mean",
            market.spot * float(np.exp(scenario.dynamics.log_drift * years + 0.5 * v * v)),
            "close_mean",
        ),
    ]
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


def provenance(resolved: dict[str, Any], seed: int | None) -> dict[str, Any]:
    """What is needed to repeat a result."""
    text = json.dumps(resolved, sort_keys=True, default=str)
    return {
        "version": metadata.version("gammawall"),
        "git_commit": _git_commit(),
        "jax_version": jax.__version__,
        "python_version": platform.python_version(),
        "device": f"{jax.devices()[0].platform}: {jax.devices()[0].device_kind}",
        "dtype": "float64",
        "seed": seed,
        "scenario_hash": hashlib.sha256(text.encode()).hexdigest(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _git_commit() -> str | None:
    """Commit of the source tree this runs from, None when installed or without git."""
    folder = Path(__file__).resolve().parent
    if not (folder.parent / ".git").exists():
        return None
    try:
        run_git = ["git", "-C", str(folder), "rev-parse", "HEAD"]
        return subprocess.run(run_git, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _series(scenario: Scenario, found: SimResult, exposed: Any) -> dict[str, np.ndarray]:
    measure = found.measure
    edges, density, baseline, atoms = _close_densities(found, measure)
    fan = (
        np.quantile(found.sample_paths, _FAN_LEVELS, axis=0) if len(found.sample_paths) else np.empty((0, 0))
    )
    fan_base = (
        np.quantile(found.sample_baseline, _FAN_LEVELS, axis=0)
        if len(found.sample_paths)
        else np.empty((0, 0))
    )
    profile = None if exposed is None else exposed.profile
    interval = np.diff(found.sample_ends, prepend=0.0)
    return {
        "close_edges": edges,
        "close_density": density,
        "close_density_baseline": baseline,
        "atom_strike": atoms[:, 0],
        "atom_mass": atoms[:, 1],
        "atom_stderr": atoms[:, 2],
        "gex_spot": np.empty(0) if profile is None else profile.index.to_numpy(float),
        "gex_total_bn": np.empty(0) if profile is None else profile["gex_usd_per_1pct"].to_numpy() / USD_BN,
        "gex_same_day_bn": np.empty(0)
        if profile is None
        else profile["gex_0dte_usd_per_1pct"].to_numpy() / USD_BN,
        "minutes": found.minutes,
        "fan_levels": np.array(_FAN_LEVELS),
        "fan": fan,
        "fan_baseline": fan_base,
        "sample_paths": found.sample_paths[:20],
        "sample_paths_baseline": found.sample_baseline[:20],
        "vol_minutes": found.sample_ends,
        "vol_pct": 100.0 * np.sqrt(found.step_variance[:, 0]),
        "vol_pct_baseline": 100.0 * np.sqrt(found.step_variance[:, 1]),
        "flow_bn_per_min": found.step_flow_usd_bn / interval,
    }


def _close_densities(found: SimResult, measure: Measure) -> tuple[np.ndarray, ...]:
    """Histograms of the close without its atoms, and the atoms: (strike, mass, standard error) rows."""
    close, baseline = found.close, found.baseline_close
    strikes, counts = np.unique(close, return_counts=True)
    # A continuous law does not repeat a price; settled strikes do.
    least = max(3, close.size // 10_000)
    at, share = strikes[counts >= least], counts[counts >= least] / close.size
    atoms = np.column_stack([np.round(at, 9), share, np.sqrt(share * (1.0 - share) / close.size)])
    smooth = close[~np.isin(close, at)]
    low, high = np.quantile(np.concatenate([close, baseline]), [0.0005, 0.9995])
    low, high = min(low, measure.strike - 20.0), max(high, measure.strike + 20.0)
    edges = np.linspace(low, high, _CLOSE_BINS + 1)
    width = edges[1] - edges[0]

    def density(values: np.ndarray) -> np.ndarray:
        return np.histogram(values, edges)[0] / close.size / width

    return edges, density(smooth), density(baseline), atoms
