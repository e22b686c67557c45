"""Derivatives of a run's metrics in every position of the book, in the impact and in the driving vol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from gammawall.sim.derivatives.adjoint import INPUTS, SHARP, STATISTICS, Adjoint, path_adjoint, static_market
from gammawall.sim.derivatives.unit_delta import Lines, contract_weights, unit_delta
from gammawall.sim.engine.experiment import Experiment
from gammawall.sim.engine.prepare import Run, prepare_run
from gammawall.sim.engine.result import exact_law, scales_of
from gammawall.sim.measure.close_law import CloseLaw
from gammawall.sim.measure.metrics import METRICS, Scales
from gammawall.sim.models.dynamics import GBM
from gammawall.sim.models.hedging import Clearing
from gammawall.sim.models.impact import LinearImpact
from gammawall.sim.types import check_number
from gammawall.surfaces.errors import InputError, NumericalError
from gammawall.surfaces.pricing.normal import INV_SQRT_2PI
from gammawall.surfaces.units import BP_PER_USD_BN, VOL_POINT

__all__ = ["SMOOTH_METRICS", "Sensitivities", "StaticCase", "contract_derivatives", "sensitivities"]

SmoothMetric: TypeAlias = Literal[
    "pin_probability",
    "breach_probability",
    "close_mean",
    "close_std_points",
    "realised_vol_pct",
    "horizon_vol_pct",
    "vol_amplification",
    "last_30min_vol_pct",
    "last_30min_amplification",
]
SMOOTH_METRICS: tuple[SmoothMetric, ...] = get_args(SmoothMetric)
"""Metrics that have a derivative along every path, probabilities with their edges smoothed."""

_MOST_JUMPS = 0.5
_TINY = 1e-30


@dataclass(frozen=True)
class Sensitivities:
    """Derivatives of the metrics; standard errors are one sigma. ``attrs["units"]`` of every table holds the
    unit of each metric."""

    metrics: pd.DataFrame
    """of each metric: value with smoothed edges, stderr, and value with sharp ones"""
    positions: pd.DataFrame
    """per contract that dealers hold more, [position, metric], in the order of the book"""
    positions_stderr: pd.DataFrame
    parameters: pd.DataFrame
    """rows bp_per_usd_bn (per basis point per USD bn) and vol_point (of the driving vol)"""
    parameters_stderr: pd.DataFrame
    status: dict[str, Any]
    """share of paths with a jump and of capped ones, half width of the smoothed edges, and what follows"""
    exact_positions: pd.DataFrame | None = None
    """probabilities with sharp edges, from the exact law of the close where there is one"""
    exact_parameters: pd.DataFrame | None = None


@dataclass(frozen=True)
class StaticCase:
    """A run by the static map: the case in which a path's derivative is known at every step."""

    experiment: Experiment
    smoothing: float
    """half width of an edge, index points"""

    @classmethod
    def of(cls, experiment: Experiment, smoothing_points: float | None) -> StaticCase:
        """Check that there is such a derivative.

        Raises:
            InputError: another policy, impact, model of the price or sampling was asked for, or halts.
        """
        hedging, dynamics, band = experiment.hedging, experiment.dynamics, experiment.measure.band_points
        if len(hedging) != 1 or not isinstance(hedging[0], Clearing):
            raise _refuse("hedging", "one Clearing policy", *hedging)
        if not isinstance(experiment.impact, LinearImpact):
            raise _refuse("impact", "LinearImpact", experiment.impact)
        if not isinstance(dynamics, GBM) or dynamics.catalysts:
            raise _refuse("dynamics", "GBM without catalysts", dynamics)
        if experiment.market.halts:
            raise InputError("derivatives along the paths need a market without halts: leave halts out")
        if experiment.config.sampling != "random" or experiment.config.control:
            raise InputError('derivatives need sampling "random" without control: change the config')
        width = 0.1 * band if smoothing_points is None else smoothing_points
        check_number(
            "smoothing_points", width, 0.0 < width <= band, f"positive and at most the band {band:g}"
        )
        return cls(experiment, width)

    @property
    def fraction(self) -> float:
        """Share of the book that is hedged."""
        return self.experiment.hedging[0].fraction

    @property
    def dynamics(self) -> GBM:
        assert isinstance(self.experiment.dynamics, GBM)
        return self.experiment.dynamics

    @property
    def impact(self) -> LinearImpact:
        assert isinstance(self.experiment.impact, LinearImpact)
        return self.experiment.impact

    def run(self) -> Run:
        """The tables of the run."""
        return prepare_run(self.experiment)

    def paths(self, run: Run, *, refuse: bool = True) -> Adjoint:
        """Simulate it.

        Raises:
            NumericalError: with `refuse`, when most paths jump: what moves a path also moves its jumps.
        """
        config, measure = self.experiment.config, self.experiment.measure
        found = path_adjoint(run, self.dynamics, config, measure, self.smoothing)
        if refuse and found.jumped > _MOST_JUMPS:
            raise NumericalError(
                f"{100.0 * found.jumped:.0f} % of the paths jump where the map folds, and a derivative along "
                "the paths does not see jumps move: reduce the impact or the short positions"
            )
        return found


def _refuse(name: str, allowed: str, *got: object) -> InputError:
    given = " and ".join(type(g).__name__ for g in got)
    return InputError(f"derivatives along the paths need {name} to be {allowed}; got {given}")


def sensitivities(
    experiment: Experiment,
    *,
    metrics: Sequence[SmoothMetric] = SMOOTH_METRICS,
    smoothing_points: float | None = None,
) -> Sensitivities:
    """Differentiate metrics through the simulation, on the shocks that `simulate` takes for the same seed.

    Along each path the derivative follows from the implicit-function theorem (see `adjoint`). Edges of
    probabilities rise as 3u² − 2u³ over 2 h just outside the band or above the strike, so that an atom at an
    edge counts whole; their derivative is that of the sharp probability up to O(h). Where the map folds,
    paths jump; that the jumps move too is not in the derivative, which is then biased: see `status`.

    Args:
        experiment: GBM without catalysts, one Clearing policy, LinearImpact, random sampling without control,
            a market without halts.
        metrics: any of `SMOOTH_METRICS`.
        smoothing_points: h, index points; a tenth of the band's half width when not given.

    Raises:
        InputError: another experiment, or an unknown metric.
        NumericalError: more than half of the paths jump.

    Example:
        >>> case = sim.Experiment(
        ...     book,
        ...     market=market,
        ...     dynamics=sim.GBM(0.12),
        ...     impact=sim.LinearImpact(3.0),
        ...     config=sim.SimConfig(paths=2048, steps=13, sample_minutes=130.0),
        ...     seed=7,
        ... )
        >>> found = sim.sensitivities(case, metrics=["pin_probability", "horizon_vol_pct"])
        >>> found.parameters.loc["bp_per_usd_bn"].gt(0.0).to_dict()
        {'pin_probability': True, 'horizon_vol_pct': False}
    """
    unknown = [name for name in metrics if name not in SMOOTH_METRICS]
    if unknown:
        raise InputError(f"metrics must be among {', '.join(SMOOTH_METRICS)}; got {unknown[0]!r}")
    case = StaticCase.of(experiment, smoothing_points)
    return _differentiate(case, tuple(metrics))


def _differentiate(case: StaticCase, metrics: tuple[str, ...]) -> Sensitivities:
    run = case.run()
    found, scales = case.paths(run), scales_of(run, case.experiment.market)
    per_bp, per_point = BP_PER_USD_BN * case.experiment.market.spot, VOL_POINT
    parameters = np.stack([found.per_impact * per_bp, found.per_vol * per_point], axis=-1)
    indices = {
        "positions": pd.RangeIndex(len(case.experiment.book), name="position"),
        "parameters": pd.Index(["bp_per_usd_bn", "vol_point"], name="parameter"),
    }
    directions = {"positions": contract_derivatives(case, run, found), "parameters": parameters}
    tables: dict[str, Any] = {}
    for key, index in indices.items():
        pairs = {name: derivative(found, directions[key], name, scales) for name in metrics}
        tables[key] = pd.DataFrame({name: pair[0] for name, pair in pairs.items()}, index)
        tables[f"{key}_stderr"] = pd.DataFrame({name: pair[1] for name, pair in pairs.items()}, index)
    exact = _exact(case, run, metrics)
    values = {name: value(found, name, scales) for name in metrics}
    tables["metrics"] = pd.DataFrame(values, index=["value", "stderr", "sharp"]).T
    if exact is not None:
        tables["exact_positions"] = exact.iloc[2:].set_axis(indices["positions"])
        tables["exact_parameters"] = exact.iloc[:2].set_axis(indices["parameters"])
    for table in tables.values():
        table.attrs["units"] = {name: METRICS[name][0] for name in metrics}
    return Sensitivities(**tables, status=_status(found, case.smoothing))


def _status(found: Adjoint, smoothing: float) -> dict[str, Any]:
    note = "no path jumped"
    if found.jumped:
        note = f"{100.0 * found.jumped:.3g} % of the paths jumped: derivatives leave out that jumps move"
    return {
        "paths_with_jump": found.jumped,
        "paths_capped": found.capped,
        "smoothing_points": smoothing,
        "note": note,
    }


def contract_derivatives(case: StaticCase, run: Run, found: Adjoint) -> np.ndarray:
    """Derivatives of the summed `INPUTS` per contract, [B, 10, N]; the unhedged twin's are zero."""
    book, table, log_spot = case.experiment.book, static_market(run).table, run.positions.log_spot
    nodes = np.asarray(table.nodes)
    weights = contract_weights(found, run.positions, Lines.of(book), run.schedule, nodes, log_spot)
    per = weights * (float(table.impact) * case.fraction * book.multiplier)
    return np.pad(per, ((0, 0), (0, len(INPUTS) - len(STATISTICS)), (0, 0)))


# --- metrics of averages -----------------------------------------------------------------------------------


def _formula(name: str, mean: np.ndarray, scales: Scales) -> Any:
    leg: dict[str, Any] = dict(zip(INPUTS, mean, strict=True))
    twin = {"last_variance": leg["baseline_late_variance"]}
    twin["realised_variance"] = leg["baseline_early_variance"] + leg["baseline_late_variance"]
    leg["last_variance"] = leg["late_variance"]
    leg["realised_variance"] = leg["early_variance"] + leg["late_variance"]
    return METRICS[name][2](leg, twin, scales)


def _slope(name: str, mean: np.ndarray, scales: Scales) -> np.ndarray:
    """∂ metric/∂ averages by complex steps, [10]."""
    moved = mean + 1j * _TINY * np.eye(mean.size)
    return np.array([np.imag(_formula(name, row, scales)) / _TINY for row in moved])


def _without_each(found: Adjoint, sums: np.ndarray) -> np.ndarray:
    """Averages over all batches but one, [B, ...]."""
    left = (found.paths - found.count).reshape(-1, *np.ones(sums.ndim - 1, int))
    return (sums.sum(axis=0) - sums) / left


def _jackknife(estimates: np.ndarray) -> np.ndarray:
    size = len(estimates)
    return np.sqrt((size - 1.0) / size * ((estimates - estimates.mean(axis=0)) ** 2).sum(axis=0))


def value(found: Adjoint, name: str, scales: Scales) -> tuple[float, float, float]:
    """A metric with smoothed edges, its standard error, and the metric with sharp edges."""
    mean = found.value.sum(axis=0) / found.paths
    sharp = mean.copy()
    sharp[[INPUTS.index(n) for n in SHARP]] = found.sharp.sum(axis=0) / found.paths
    parts = np.array([_formula(name, row, scales) for row in _without_each(found, found.value)])
    both = (float(_formula(name, at, scales)) for at in (mean, sharp))
    smooth, exact = both
    return smooth, float(_jackknife(parts)), exact


def derivative(found: Adjoint, sums: np.ndarray, name: str, scales: Scales) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of a metric in Q directions and its standard error by the jackknife over batches.

    Args:
        found: sums of the averages.
        sums: sums of their derivatives, [B, 10, Q].
        name: the metric.
        scales: units.
    """
    mean = found.value.sum(axis=0) / found.paths
    whole = _slope(name, mean, scales) @ (sums.sum(axis=0) / found.paths)
    slopes = [_slope(name, row, scales) for row in _without_each(found, found.value)]
    parts = [slope @ row for slope, row in zip(slopes, _without_each(found, sums), strict=True)]
    return whole, _jackknife(np.array(parts))


# --- the exact law -----------------------------------------------------------------------------------------


def _exact(case: StaticCase, run: Run, metrics: Sequence[str]) -> pd.DataFrame | None:
    """Rows λ, σ and one per position."""
    law, probe = exact_law(run, case.dynamics), run.given.probe
    edges = {
        "pin_probability": [(probe.band_high, "right", 1.0), (probe.band_low, "left", -1.0)],
        "breach_probability": [(probe.log_strike, "right", -1.0)],
    }
    chosen = {name: edges[name] for name in metrics if name in edges}
    if law is None or not chosen:
        return None
    columns = {
        name: sum(sign * _edge(case, run, law, float(x), side) for x, side, sign in parts)
        for name, parts in chosen.items()
    }
    return pd.DataFrame(columns)


def _edge(case: StaticCase, run: Run, law: CloseLaw, x: float, side: str) -> Any:
    """Derivatives of Φ(u), u = (M(x) − f)/v: per bp per USD bn, per vol point, per contract, [2 + N]."""
    positions, lines = run.positions, Lines.of(case.experiment.book)
    u = float((law.level(np.array([x]), side)[0] - law.centre) / law.total_vol)
    gap = unit_delta(positions, lines, x, law.last, side) - unit_delta(positions, lines, law.log_spot, 0)
    unit = law.impact * case.fraction * case.experiment.book.multiplier
    held = case.fraction * case.experiment.book.multiplier * float(gap @ case.experiment.book.contracts)
    years = law.total_vol**2 / case.dynamics.vol**2
    per_vol = np.sqrt(years) - u / case.dynamics.vol
    impact = BP_PER_USD_BN * case.experiment.market.spot * held / law.total_vol
    density = INV_SQRT_2PI * np.exp(-0.5 * u * u)
    return density * np.concatenate([[impact, VOL_POINT * per_vol], unit * gap / law.total_vol])
