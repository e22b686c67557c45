"""From the sums of a run to metrics with standard errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gammawall.sim.measure.control_variates import adjust
from gammawall.sim.measure.statistics import STATISTICS
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import USD_BN, USD_MN

__all__ = ["METRICS", "Metric", "Scales", "estimate", "needed_statistics"]


@dataclass(frozen=True)
class Metric:
    """One number of a run, beside the same number without hedging. Standard errors are one sigma."""

    name: str
    unit: str
    description: str
    value: float
    stderr: float
    baseline: float
    baseline_stderr: float
    difference: float
    difference_stderr: float
    """of the paired difference: both legs share their shocks"""


@dataclass(frozen=True)
class Scales:
    """Constants of a run that turn averages into reported units."""

    spot: float
    variance_years: float
    late_variance_years: float
    samples: int
    """sampling intervals of a path"""
    sample_minutes: float


_ROUNDING = 1e-13
"""A variance below this share of the mean square is the rounding of their difference."""

Leg = dict[str, Any]
Formula = Callable[[Leg, Leg, Scales], Any]


def _vol_pct(variance: np.ndarray, years: float) -> Any:
    return 100.0 * np.sqrt(variance / years)


def _std(square: np.ndarray, mean: np.ndarray) -> Any:
    variance = square - mean * mean
    # Paths that all end at one price leave rounding, of either sign.
    return np.sqrt(variance) if np.real(variance) > _ROUNDING * np.real(square) else 0.0 * variance


def _ratio(over: np.ndarray, under: np.ndarray) -> Any:
    # A price that never moved has no correlation.
    return over / under if under != 0.0 else 0.0 * over


def _flow(statistic: str) -> Formula:
    return lambda h, b, s: h[statistic] * s.spot / USD_BN


METRICS: dict[str, tuple[str, str, Formula]] = {
    "pin_probability": (
        "probability",
        "close within the band around the strike",
        lambda h, b, s: h["in_band"],
    ),
    "pin_mass": ("probability", "close exactly at the strike", lambda h, b, s: h["at_strike"]),
    "touch_probability": (
        "probability",
        "the strike is reached at a step of the run",
        lambda h, b, s: h["touched"],
    ),
    "breach_probability": ("probability", "close above the strike", lambda h, b, s: h["above"]),
    "rejection_probability": ("probability", "strike reached, close below it", lambda h, b, s: h["rejected"]),
    "failed_attempts_mean": (
        "count",
        "rises through the corridor's lower edge that fall back before its upper edge",
        lambda h, b, s: h["failed_attempts"],
    ),
    "time_in_corridor": (
        "fraction",
        "share of steps that end inside the corridor",
        lambda h, b, s: h["in_corridor"],
    ),
    "close_mean": ("points", "mean close", lambda h, b, s: s.spot + h["close_move"]),
    "close_std_points": (
        "points",
        "standard deviation of the close",
        lambda h, b, s: _std(h["close_move_squared"], h["close_move"]),
    ),
    "realised_vol_pct": (
        "% per year",
        "root of the mean sum of squared returns over the sampling interval",
        lambda h, b, s: _vol_pct(h["realised_variance"], s.variance_years),
    ),
    "horizon_vol_pct": (
        "% per year",
        "standard deviation of the log return over the whole run",
        lambda h, b, s: 100.0 * _std(h["log_return_squared"], h["log_return"]) / np.sqrt(s.variance_years),
    ),
    "vol_amplification": (
        "ratio",
        "realised vol over the baseline's",
        lambda h, b, s: np.sqrt(h["realised_variance"] / b["realised_variance"]),
    ),
    "last_30min_vol_pct": (
        "% per year",
        "realised vol of the last half hour",
        lambda h, b, s: _vol_pct(h["last_variance"], s.late_variance_years),
    ),
    "last_30min_amplification": (
        "ratio",
        "realised vol of the last half hour over the baseline's",
        lambda h, b, s: np.sqrt(h["last_variance"] / b["last_variance"]),
    ),
    "return_autocorrelation": (
        "correlation",
        "of successive sampled returns",
        lambda h, b, s: (
            _ratio(h["lag_product"], h["realised_variance"]) * (s.samples / max(s.samples - 1, 1))
        ),
    ),
    "range_points": ("points", "mean of high minus low", lambda h, b, s: h["range_points"]),
    "max_feedback": (
        "dimensionless",
        "mean over paths of the largest |g| met before the close",
        lambda h, b, s: h["max_feedback"],
    ),
    "hedge_flow_abs_usd_bn": (
        "USD bn",
        "mean of all hedge trades netted over the sampling interval, bought plus sold",
        _flow("flow_abs"),
    ),
    "peak_flow_usd_bn_per_min": (
        "USD bn per minute",
        "mean over paths of the largest hedge trade of a sampling interval",
        lambda h, b, s: h["flow_peak"] * s.spot / USD_BN / s.sample_minutes,
    ),
    "gamma_flow_abs_usd_bn": (
        "USD bn",
        "hedges asked for by moves of the price, netted and added up like the trades",
        _flow("gamma_flow_abs"),
    ),
    "charm_flow_abs_usd_bn": (
        "USD bn",
        "hedges asked for by the passing of time, netted and added up like the trades",
        _flow("charm_flow_abs"),
    ),
    "information_flow_abs_usd_bn": (
        "USD bn",
        "hedges asked for by options newly opened, netted and added up like the trades",
        _flow("information_flow_abs"),
    ),
    "vanna_flow_abs_usd_bn": (
        "USD bn",
        "hedges asked for by vols that move with the price, netted and added up like the trades",
        _flow("vanna_flow_abs"),
    ),
    "dealer_pnl_usd_mn": (
        "USD mn",
        "mean profit of the dealers, options, hedges and fees, without interest; unhedged: the options alone",
        lambda h, b, s: h["dealer_pnl"] / USD_MN,
    ),
    "dealer_pnl_std_usd_mn": (
        "USD mn",
        "standard deviation of the dealers' profit",
        lambda h, b, s: _std(h["dealer_pnl_squared"], h["dealer_pnl"]) / USD_MN,
    ),
    "hedge_fees_usd_mn": (
        "USD mn",
        "mean fees of the hedge trades",
        lambda h, b, s: h["hedge_fees"] / USD_MN,
    ),
    "halt_probability": (
        "probability",
        "a market-wide halt stops trading at least once",
        lambda h, b, s: h["halted"],
    ),
}
"""Name → unit, description and formula of (own leg, baseline leg, scales)."""

_TINY = 1e-30


class _Asked(dict[str, float]):
    """A leg that remembers which statistics a formula took."""

    def __missing__(self, name: str) -> float:
        self[name] = 1.0
        return 1.0


def needed_statistics(names: Sequence[str] | None) -> tuple[str, ...]:
    """Those of `STATISTICS` that some metrics are made of, in order; all for None.

    Raises:
        InputError: a name is not in `METRICS`.
    """
    if names is None:
        return STATISTICS
    if unknown := [name for name in names if name not in METRICS]:
        raise InputError(f"metrics must be names of {', '.join(METRICS)}; got {unknown[0]!r}")
    asked = _Asked()
    for name in names:
        METRICS[name][2](asked, asked, Scales(1.0, 1.0, 1.0, 1, 1.0))
    return tuple(name for name in STATISTICS if name in asked)


def estimate(
    count: int,
    total: np.ndarray,
    cross: np.ndarray,
    scales: Scales,
    *,
    groups: np.ndarray | None = None,
    known: dict[str, float] | None = None,
    statistics: Sequence[str] = STATISTICS,
    names: Sequence[str] | None = None,
) -> list[Metric]:
    """Metrics by the delta method: Var f(x̄) ≈ ∇f' Cov(x̄) ∇f.

    Args:
        count: paths.
        total: sum of the paths' vectors, hedged statistics then baseline, [2 m].
        cross: sum of their outer products, [2 m, 2 m].
        scales: constants of the run.
        groups: the same sum over each of R independent randomisations, whose spread is then the error,
            [R, 2 m].
        known: expectations of baseline statistics, to correct the averages by.
        statistics: what the vectors hold, m names of `STATISTICS`.
        names: of the metrics; all when not given.
    """
    total, cross, groups = _spread_out(statistics, total, cross, groups)
    mean = total / count
    if groups is None:
        covariance = (cross / count - np.outer(mean, mean)) / max(count - 1, 1)
    else:
        covariance = np.cov(groups * (len(groups) / count), rowvar=False) / len(groups)
    if known:
        at = np.array([len(STATISTICS) + STATISTICS.index(name) for name in known])
        mean, covariance = adjust(mean, covariance, at, np.array(list(known.values())), count)
    return [_metric(name, mean, covariance, scales) for name in (METRICS if names is None else names)]


def _spread_out(
    statistics: Sequence[str], total: np.ndarray, cross: np.ndarray, groups: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The same with zeros for what was not measured: of one shape, and so rounded alike, for any choice."""
    if tuple(statistics) == STATISTICS:
        return total, cross, groups
    size = 2 * len(STATISTICS)
    own = np.array([STATISTICS.index(name) for name in statistics], int)
    at = np.concatenate([own, own + len(STATISTICS)])
    whole, square = np.zeros(size), np.zeros((size, size))
    whole[at], square[np.ix_(at, at)] = total, cross
    if groups is not None:
        parts = np.zeros((len(groups), size))
        parts[:, at], groups = groups, parts
    return whole, square, groups


def _metric(name: str, mean: np.ndarray, covariance: np.ndarray, scales: Scales) -> Metric:
    unit, description, formula = METRICS[name]
    size = len(STATISTICS)

    def hedged(v: np.ndarray) -> Any:
        return formula(_leg(v[:size]), _leg(v[size:]), scales)

    def baseline(v: np.ndarray) -> Any:
        return formula(_leg(v[size:]), _leg(v[size:]), scales)

    def both(v: np.ndarray) -> Any:
        return hedged(v) - baseline(v)

    numbers = []
    for function in (hedged, baseline, both):
        gradient = _gradient(function, mean)
        numbers += [
            float(np.real(function(mean))),
            float(np.sqrt(max(gradient @ covariance @ gradient, 0.0))),
        ]
    return Metric(name, unit, description, *numbers)


def _leg(values: np.ndarray) -> Leg:
    return dict(zip(STATISTICS, values, strict=True))


def _gradient(function: Callable[[np.ndarray], Any], at: np.ndarray) -> np.ndarray:
    """Complex-step derivative: exact to rounding for the analytic formulas above."""
    gradient = np.zeros(at.size)
    with np.errstate(all="ignore"):
        for i in range(at.size):
            moved = at.astype(complex)
            moved[i] += 1j * _TINY
            gradient[i] = np.imag(function(moved)) / _TINY
    return np.nan_to_num(gradient)
