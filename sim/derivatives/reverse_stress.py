"""The impact, the size of the book or the smallest change of positions at which a metric meets a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from gammawall.sim.book.table import LOOK_UP, SEARCH
from gammawall.sim.derivatives.adjoint import Adjoint, static_market
from gammawall.sim.derivatives.search import descend, find_root, within
from gammawall.sim.derivatives.sensitivity import (
    SMOOTH_METRICS,
    SmoothMetric,
    StaticCase,
    contract_derivatives,
    derivative,
    value,
)
from gammawall.sim.engine.experiment import Experiment
from gammawall.sim.engine.prepare import Run, prepare_run
from gammawall.sim.engine.result import exact_law, scales_of
from gammawall.sim.engine.simulate import simulate
from gammawall.sim.models.dynamics import GBM
from gammawall.sim.models.impact import LinearImpact
from gammawall.sim.sampling.schedule import Schedule
from gammawall.sim.types import check_number
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError

__all__ = ["ReverseStress", "reverse_stress"]

Way: TypeAlias = Literal["scale", "impact", "positions"]
"""what a search changes"""
Size: TypeAlias = Literal["contracts", "equal"]
"""unit of a change in a position"""
_NO_IMPACT = LinearImpact(1e-9)
"""Tables for all trials are made with hardly any impact: none of their entries depends on it but the inverse,
which trials do without."""
_SOLVED = 0.02
"""The search by factor ends within this many standard errors of its target."""
_CLOSE = 0.5
"""A search has met its target when its sharp metric is within this many standard errors."""
_OUTER = 10
_PENALTY = 10.0
_SMOOTHING = 0.2
"""Half width of an edge in a search, as a share of the band's; wider than in `sensitivities`, so that the
gradient is smoother."""
_ROUNDS = 4
"""Solved for the smoothed metric, then again with what smoothing was seen to add."""


@dataclass(frozen=True)
class ReverseStress:
    """Where a metric meets its target; standard errors are one sigma."""

    metric: str
    target: float
    by: str
    factor: float
    """on the book or on the impact; 1 by positions"""
    change: np.ndarray
    """in the contracts of every position, [N]"""
    distance: float
    """norm of the change: √Σ (change/size)²; 0 by impact"""
    alignment: float
    """by positions, the cosine between the change and the gradient, both by size: ±1 at a minimum of the
    distance; nan otherwise"""
    book: Book
    impact: LinearImpact
    reached: float
    """the metric, edges sharp, of a new simulation with another seed"""
    reached_stderr: float
    searched: float
    """the smoothed metric of the search at its end"""
    searched_stderr: float
    exact: float | None
    """the metric by the exact law, where there is one and the metric is a probability"""
    evaluations: int
    converged: bool
    reason: str
    status: dict[str, float]
    """of the new simulation"""


class _Wide(GBM):
    """The same fundamental price on a grid twice as wide, for trials that amplify it."""

    def log_range(self, schedule: Schedule, spot: float) -> tuple[float, float]:
        low, high = super().log_range(schedule, spot)
        return 2.0 * low, 2.0 * high


@dataclass(frozen=True)
class _Point:
    """The metric at one trial."""

    value: float
    stderr: float
    sharp: float
    gradient: np.ndarray
    """per unit of the log factor [1], or per contract [N]"""


@dataclass
class _Trials:
    """Evaluates the smoothed metric and its gradient on common shocks."""

    case: StaticCase
    metric: str
    count: int = 0
    _run: Run | None = None

    @property
    def c(self) -> float:
        """λ S_ref, log price per index unit."""
        return self.case.impact.log_per_usd * self.case.experiment.market.spot

    def by_factor(self, factor: float) -> _Point:
        """c times a factor, which multiplies the book and the impact alike. Jumps may be many: the search by
        factor needs the value, the slope only speeds it up."""
        if self._run is None:
            self._run = prepare_run(replace(self.case.experiment, impact=_NO_IMPACT))
        c = factor * self.c
        run = _with_impact(self._run, c)
        found = self.case.paths(run, refuse=False)
        return self._point(found, run, found.per_impact[:, :, None] * c)

    def by_positions(self, contracts: np.ndarray) -> _Point:
        """Another number of contracts in every position."""
        book = replace(self.case.experiment.book, contracts=contracts)
        experiment = replace(self.case.experiment, book=book, impact=_NO_IMPACT)
        trial = StaticCase(experiment, self.case.smoothing)
        run = _with_impact(trial.run(), self.c)
        found = trial.paths(run)
        return self._point(found, run, contract_derivatives(trial, run, found))

    def _point(self, found: Adjoint, run: Run, per: np.ndarray) -> _Point:
        self.count += 1
        scales = scales_of(run, self.case.experiment.market)
        gradient, _ = derivative(found, per, self.metric, scales)
        return _Point(*value(found, self.metric, scales), gradient)


def _with_impact(run: Run, c: float) -> Run:
    """The same tables under another impact, without the inverse, which belongs to one impact."""
    market = static_market(run)
    kind = np.where(market.rows.kind == LOOK_UP, SEARCH, market.rows.kind)
    market = replace(
        market,
        table=replace(market.table, impact=np.float64(c)),
        rows=replace(market.rows, kind=kind),
    )
    return replace(run, given=replace(run.given, market=market))


def reverse_stress(
    experiment: Experiment,
    *,
    target: tuple[SmoothMetric, float],
    by: Way = "scale",
    size: Size | Sequence[float] | np.ndarray = "contracts",
    bounds: tuple[float, float] = (0.01, 100.0),
    smoothing_points: float | None = None,
    search_paths: int = 16_384,
    most_evaluations: int = 60,
) -> ReverseStress:
    """Find what makes a metric meet a target, and simulate it anew with another seed.

    By factor the search walks from 1 the way the metric nears its target, then takes Newton steps inside a
    bracket. By positions it minimises ½ Σ (Δn_i/size_i)² under m = target by an augmented Lagrangian with
    L-BFGS steps of optax. Both look at the smoothed metric on the same shocks in every trial, and correct for
    what smoothing added. They find the nearest solution downhill, not all.

    Args:
        experiment: as for `sensitivities`; also the new simulation, whose seed is the next one.
        target: metric (any of `SMOOTH_METRICS`) and the value it should have.
        by: "scale", a factor on the whole book; "impact", on λ; "positions", any change of the contracts.
        size: unit in which a position's change is measured: "contracts", its own size in the book, so that
            empty ones stay empty; "equal", one contract; or positive numbers, [N].
        bounds: of the factor.
        smoothing_points: half width of the edges during the search; a fifth of the band's when not given.
        search_paths: paths of each trial.
        most_evaluations: trials at most.

    Raises:
        InputError: an argument is out of range, or the run is not by the static map.
        NumericalError: most paths of a trial jump.

    Example:
        >>> case = sim.Experiment(
        ...     book,
        ...     market=market,
        ...     dynamics=sim.GBM(0.12),
        ...     impact=sim.LinearImpact(3.0),
        ...     config=sim.SimConfig(paths=2048, steps=13, sample_minutes=130.0),
        ...     seed=7,
        ... )
        >>> found = sim.reverse_stress(case, target=("horizon_vol_pct", 8.0), by="impact", search_paths=2048)
        >>> found.converged, found.factor > 1.0
        (True, True)
    """
    name, goal = target
    _check_target(name, goal, by, bounds)
    if smoothing_points is None:
        smoothing_points = _SMOOTHING * experiment.measure.band_points
    case = StaticCase.of(experiment, smoothing_points)
    if case.impact.bp_per_usd_bn == 0.0 or not experiment.book.contracts.any():
        raise InputError("there is no hedging to scale: give a book with contracts and an impact above 0")
    trial = replace(experiment.config, paths=search_paths)
    wide = _Wide(case.dynamics.vol, case.dynamics.drift)
    trials = _Trials(StaticCase(replace(experiment, dynamics=wide, config=trial), smoothing_points), name)
    if by == "positions":
        found = _smallest_change(trials, goal, _sizes(experiment.book, size), most_evaluations)
    else:
        found = _factor(trials, goal, bounds, most_evaluations)
    return _verify(case, name, goal, by, found, trials.count)


def _check_target(name: str, goal: float, by: str, bounds: tuple[float, float]) -> None:
    if name not in SMOOTH_METRICS:
        raise InputError(f"the target's metric must be among {', '.join(SMOOTH_METRICS)}; got {name!r}")
    if by not in get_args(Way):
        raise InputError(f"by must be one of {', '.join(get_args(Way))}; got {by!r}")
    check_number("target", goal, True, "a finite value of the metric")
    low, high = bounds
    if not 0.0 < low < 1.0 < high < np.inf:
        raise InputError(
            f"bounds of the factor must be positive with 1 between them; got ({low:g}, {high:g})"
        )


@dataclass(frozen=True)
class _Found:
    """Where the search ended."""

    factor: float
    change: np.ndarray
    size: np.ndarray
    point: _Point
    alignment: float
    reason: str
    """empty when the target was met"""


def _sizes(book: Book, size: Size | Sequence[float] | np.ndarray) -> np.ndarray:
    if isinstance(size, str):
        if size not in ("contracts", "equal"):
            raise InputError(f'size must be "contracts", "equal" or positive numbers; got {size!r}')
        return np.abs(book.contracts) if size == "contracts" else np.ones(len(book))
    sizes = np.asarray(size, float)
    if sizes.shape != (len(book),) or not (np.isfinite(sizes) & (sizes > 0.0)).all():
        raise InputError(f"size must hold one positive number for each of the {len(book)} positions")
    return sizes


# --- the search --------------------------------------------------------------------------------------------


def _factor(trials: _Trials, goal: float, bounds: tuple[float, float], most: int) -> _Found:
    low, high = np.log(bounds)
    points: dict[float, _Point] = {}

    def point(log_factor: float) -> _Point:
        if log_factor not in points:
            points[log_factor] = trials.by_factor(float(np.exp(log_factor)))
        return points[log_factor]

    at, shift = 0.0, 0.0
    for _ in range(_ROUNDS):

        def miss(u: float, shift: float = shift) -> tuple[float, float]:
            return point(u).value - goal - shift, float(point(u).gradient[0])

        at = find_root(miss, at, (low, high), _SOLVED * point(at).stderr, most - trials.count)
        if not _miss(point(at), goal) or at in (low, high) or trials.count >= most:
            break
        shift = point(at).value - point(at).sharp
    reason = _miss(point(at), goal)
    if reason and at in (low, high):
        reason = f"the factor meets its bound {np.exp(at):g}: {reason}"
    contracts, factor = trials.case.experiment.book.contracts, float(np.exp(at))
    return _Found(factor, contracts * (factor - 1.0), np.abs(contracts), point(at), float("nan"), reason)


def _smallest_change(trials: _Trials, goal: float, size: np.ndarray, most: int) -> _Found:
    base, shift = trials.case.experiment.book.contracts, 0.0
    known: dict[bytes, _Point] = {}

    def point(z: np.ndarray) -> _Point:
        if z.tobytes() not in known:
            known[z.tobytes()] = trials.by_positions(base + size * z)
        return known[z.tobytes()]

    z = np.zeros(base.size)
    first = point(z)
    # In these units the constraint has slope 1 at the start.
    unit = max(float(np.linalg.norm(size * first.gradient)), first.stderr)
    multiplier = (first.value - goal) / unit
    z = within(-multiplier * size * first.gradient / unit)
    for _ in range(_OUTER):

        def cost(z: np.ndarray, multiplier: float = multiplier, shift: float = shift):
            miss = (point(z).value - goal - shift) / unit
            pull = (multiplier + _PENALTY * miss) * size * point(z).gradient / unit
            return float(0.5 * (z @ z + _PENALTY * miss**2) + multiplier * miss), z + pull

        z = descend(cost, z, most - trials.count)
        miss = point(z).value - goal - shift
        multiplier += _PENALTY * miss / unit
        if trials.count >= most or not _miss(point(z), goal):
            break
        shift = point(z).value - point(z).sharp
    slope = size * point(z).gradient
    length = float(np.linalg.norm(z) * np.linalg.norm(slope))
    alignment = float(z @ slope) / length if length else float("nan")
    return _Found(1.0, size * z, size, point(z), alignment, _miss(point(z), goal))


def _miss(found: _Point, goal: float) -> str:
    """Empty when the sharp metric of the search is on target, up to what its smoothing hides."""
    if abs(found.sharp - goal) <= _CLOSE * found.stderr:
        return ""
    return f"the nearest value found is {found.sharp:.4g} ± {found.stderr:.2g}, the target {goal:.4g}"


# --- the check ---------------------------------------------------------------------------------------------


def _verify(case: StaticCase, name: str, goal: float, by: str, found: _Found, count: int) -> ReverseStress:
    held = case.experiment.book
    bp, contracts = case.impact.bp_per_usd_bn, held.contracts + found.change
    if by == "impact":
        bp, contracts = bp * found.factor, held.contracts
    book, impact = replace(held, contracts=contracts), LinearImpact(bp)
    final = replace(case.experiment, book=book, impact=impact, seed=(case.experiment.seed + 1) % 2**64)
    result = simulate(final)
    metric, reason = result[name], found.reason
    error = float(np.hypot(metric.stderr, found.point.stderr))
    if not reason and abs(metric.value - goal) > 4.0 * error:
        reason = f"the new simulation gives {metric.value:.4g} ± {metric.stderr:.2g}, the target {goal:.4g}"
    change, moved = contracts - held.contracts, found.size > 0.0
    return ReverseStress(
        metric=name,
        target=goal,
        by=by,
        factor=found.factor,
        change=change,
        distance=float(np.linalg.norm(change[moved] / found.size[moved])),
        alignment=found.alignment,
        book=book,
        impact=impact,
        reached=metric.value,
        reached_stderr=metric.stderr,
        searched=found.point.value,
        searched_stderr=found.point.stderr,
        exact=_exact_value(final, name),
        evaluations=count,
        converged=not reason,
        reason=reason or f"the target is met in {count} trials",
        status=result.status,
    )


def _exact_value(experiment: Experiment, name: str) -> float | None:
    run = prepare_run(experiment)
    law, probe = exact_law(run, experiment.dynamics), run.given.probe
    if law is None or name not in ("pin_probability", "breach_probability"):
        return None
    if name == "pin_probability":
        return law.between(float(probe.band_low), float(probe.band_high))
    return 1.0 - float(law.cdf(np.array([probe.log_strike]))[0])
