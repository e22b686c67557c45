"""The arrays behind the pictures of a run."""

from __future__ import annotations

import numpy as np

from gammawall.sim import SimResult
from gammawall.surfaces.dealers.exposures import Exposures
from gammawall.surfaces.units import USD_BN

__all__ = ["gamma_series", "run_series"]

_FAN_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_CLOSE_BINS = 161


def run_series(found: SimResult) -> dict[str, np.ndarray]:
    """The arrays of the pictures of a simulation, as the figures name them."""
    edges, density, baseline, atoms = _close_densities(found)
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


def gamma_series(exposed: Exposures) -> dict[str, np.ndarray]:
    """The book's gamma over the index when the run begins."""
    profile = exposed.profile
    return {
        "gex_spot": profile.index.to_numpy(float),
        "gex_total_bn": profile["gex_usd_per_1pct"].to_numpy(float) / USD_BN,
        "gex_same_day_bn": profile["gex_0dte_usd_per_1pct"].to_numpy(float) / USD_BN,
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
