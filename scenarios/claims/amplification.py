"""Vol near the close against dealers' net same-day gamma: closed form beside simulation."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import erfcx

from gammawall.scenarios.claims.record_types import Amplification, AmplificationLine, AmplificationPoint
from gammawall.scenarios.runs.runner import run
from gammawall.scenarios.spec.load import as_scenario, vary
from gammawall.scenarios.spec.scenario import Scenario
from gammawall.sim import GBM, Clearing, LinearImpact, ZeroDteFlow, theory
from gammawall.sim.measure.statistics import LATE_MINUTES
from gammawall.sim.sampling.schedule import Schedule, make_schedule
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import SESSION_MINUTES

__all__ = [
    "IMBALANCES",
    "amplification_curve",
    "curve_cases",
    "curve_record",
    "imbalance_words",
    "mean_feedback",
]

IMBALANCES = (-0.04, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.04)
"""Customers' net purchases, share of the volume; dealers are long where they are negative."""
_SESSIONS_A_YEAR = 252.0
_PATHS = 4096
_DENSE = 161


def amplification_curve(
    scenario: Scenario | str | os.PathLike[str] = "zero-dte-amplification",
    *,
    imbalances: Sequence[float] = IMBALANCES,
    paths: int = _PATHS,
    steps: int = 390,
    progress: Callable[[int, int], None] | None = None,
) -> Amplification:
    """Vol of the last half hour and of every minute over the baseline's, by customers' imbalance.

    Same-day options alone, without those of the scenario's book. Closed form: 1/(1+g) with g of
    `mean_feedback`; it ends where g reaches −1 and the map from shocks to prices folds.

    Args:
        scenario: one session with same-day orders without momentum, linear impact and continuous hedging.
        imbalances: customers' net purchases, share of the volume.
        paths: of every run.
        steps: of every run.
        progress: called with (runs done, runs in all).

    Raises:
        InputError: the scenario is of another kind.
    """
    return curve_record(curve_cases(scenario, imbalances=imbalances, paths=paths, steps=steps), progress)


def curve_record(
    cases: Sequence[Scenario], progress: Callable[[int, int], None] | None = None
) -> Amplification:
    """`amplification_curve` of the runs that `curve_cases` made."""
    points, ends = [], np.empty(0)
    for done, case in enumerate(cases):
        if progress is not None:
            progress(done, len(cases))
        result = run(case)
        ends = result.series["vol_minutes"]
        ratio = result.series["vol_pct"] / result.series["vol_pct_baseline"]
        found = result.metric("last_30min_amplification")
        simulated = {"simulated": found.value, "stderr": found.stderr}
        status, paths_run = result.document["status"], case.config.paths
        shares = {
            "with_jump": status["paths_with_jump"] / paths_run,
            "capped": status["paths_capped"] / paths_run,
        }
        point: dict[str, Any] = _closed_point(case) | simulated | shares | {"by_minute": ratio.tolist()}
        points.append(AmplificationPoint(**point))
    if progress is not None:
        progress(len(cases), len(cases))
    base, impact = cases[0], cases[0].spec.impact.get("bp_per_usd_bn")
    span = [_flow(case).imbalance for case in cases]
    dense = [_closed_point(base, b) for b in np.linspace(min(span), max(span), _DENSE)]
    names = ("gex_usd_bn", "feedback", "closed_form", "closed_form_apart")
    return {
        "scenario": base.name,
        "paths": base.config.paths,
        "steps": base.config.steps,
        "bp_per_usd_bn": impact,
        "contracts_per_day": _flow(base).contracts_per_day,
        "fold_gex_usd_bn": -100.0 / impact,
        "minutes_left": (ends[-1] - 0.5 * (ends + np.append(0.0, ends[:-1]))).tolist(),
        "step_minutes_left": _minutes_left(base).tolist(),
        "points": points,
        "line": AmplificationLine(**{name: [point[name] for point in dense] for name in names}),
    }


def curve_cases(
    scenario: Scenario | str | os.PathLike[str] = "zero-dte-amplification",
    *,
    imbalances: Sequence[float] = IMBALANCES,
    paths: int = _PATHS,
    steps: int = 390,
) -> tuple[Scenario, ...]:
    """The runs of `amplification_curve`, checked.

    Raises:
        InputError: as there.
    """
    scenario = as_scenario(scenario)
    flow, policies = scenario.flow, scenario.hedging
    if flow is None or flow.momentum != 0.0 or not scenario.bp_per_usd_bn:
        raise InputError(
            f"{scenario.name!r} needs same-day orders without momentum, and an impact above zero"
        )
    simple = isinstance(scenario.impact, LinearImpact) and all(isinstance(p, Clearing) for p in policies)
    if not simple or sum(p.fraction for p in policies) != 1.0:
        raise InputError(f"{scenario.name!r} needs linear impact and a whole book hedged continuously")
    if not isinstance(scenario.dynamics, GBM) or _schedule(scenario).session[-1] > 0:
        raise InputError(f"{scenario.name!r} must last one session of a geometric Brownian motion")
    common = ["book.scale=0", f"simulation.paths={paths}", f"simulation.steps={steps}"]
    return tuple(vary(scenario, [*common, f"flow.imbalance={float(b)!r}"]) for b in imbalances)


def mean_feedback(scenario: Scenario, imbalance: float, *, apart: bool = False) -> np.ndarray:
    """Mean feedback g of the same-day options that dealers hold, at the start of each step, [N].

        g(t) = −b λ S_ref m ∫₀ᵗ V(s) h(s, t) ds
        h = E[φ(d)/(σ√τ_t)], the density at zero of (Laplace, scale a σ√τ_s) + N(0, w²)
        w² = ∫_s^t σ²/(1+g)² du + σ²τ_t

    An order at time s has a strike spread Laplace around the price then; from there the price moves. Without
    feedback on the price itself w² = σ²τ_s, so that h does not depend on t: the mean gamma of an option stays
    what it was (gamma is a martingale).

    Args:
        scenario: of `curve_cases`.
        imbalance: b, customers' net purchases as a share of the volume V.
        apart: let the amplified or damped price move away from its strikes as in w²; else w² = σ²τ_s.
    """
    flow, schedule = _flow(scenario), _schedule(scenario)
    volume, step = flow.volume(schedule), schedule.variance
    left = np.cumsum(step[::-1])[::-1]
    scale = flow.strike_scale * flow.vol * np.sqrt(left)
    unit = imbalance * float(
        theory.log_wall(1.0, scenario.market.spot, scenario.spec.impact.get("bp_per_usd_bn"))
    )
    if not apart:
        return -unit * np.cumsum(volume * _density(scale, flow.vol * np.sqrt(left)))
    g, moved = np.zeros(schedule.steps), np.zeros(schedule.steps)
    variance = (0.01 * scenario.vol_pct) ** 2 * step
    for k in range(schedule.steps):
        traded = slice(k + 1)
        spread = np.sqrt(moved[traded] + flow.vol**2 * left[k])
        g[k] = -unit * np.sum(volume[traded] * _density(scale[traded], spread))
        moved[traded] += variance[k] / (1.0 + g[k]) ** 2 if g[k] > -1.0 else np.inf
    return g


def imbalance_words(imbalance: float) -> str:
    """Customers' side in words."""
    size = f"{100.0 * abs(imbalance):g} %"
    return "balanced" if imbalance == 0.0 else f"net {'buyers' if imbalance > 0.0 else 'sellers'} {size}"


def _density(scale: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Density at zero of Laplace plus normal variables: e^{z²} erfc(z)/(2 scale), z√2 = spread/scale."""
    return 0.5 * erfcx(spread / (scale * np.sqrt(2.0))) / scale


def _closed_point(case: Scenario, imbalance: float | None = None) -> dict[str, Any]:
    flow, schedule = _flow(case), _schedule(case)
    b = flow.imbalance if imbalance is None else float(imbalance)
    g, apart = mean_feedback(case, b), mean_feedback(case, b, apart=True)
    minutes_left, impact = _minutes_left(case), case.spec.impact.get("bp_per_usd_bn")
    late = minutes_left <= LATE_MINUTES * (1.0 + 1e-9)
    contracts = 0.0 - b * float(flow.volume(schedule).sum())
    fold = theory.fold_time(theory.log_wall(contracts, case.market.spot, impact), flow.vol)
    folded = minutes_left[g <= -1.0]
    feedback = float(g[late].mean())
    return {
        "imbalance": b,
        "contracts": contracts,
        "gex_usd_bn": 100.0 * feedback / impact,
        "feedback": feedback,
        "closed_form": _amplification(g[late]),
        "closed_form_apart": _amplification(apart[late]),
        "fold_minutes": float(folded[0]) if folded.size else None,
        "one_strike_fold_minutes": float(fold) * _SESSIONS_A_YEAR * SESSION_MINUTES
        if contracts < 0.0
        else None,
        "by_minute_closed_form": [float(theory.effective_vol(1.0, x)) if x > -1.0 else None for x in g],
    }


def _amplification(g: np.ndarray) -> float | None:
    """Root of the mean of 1/(1+g)²; None beyond the fold."""
    if (g <= -1.0).any():
        return None
    return float(np.sqrt(np.mean(np.square(theory.effective_vol(1.0, g)))))


def _minutes_left(case: Scenario) -> np.ndarray:
    """From the start of each step to the close, [N]."""
    minutes = _schedule(case).minutes
    return minutes[-1] - minutes[:-1]


def _flow(scenario: Scenario) -> ZeroDteFlow:
    assert scenario.flow is not None
    return scenario.flow


def _schedule(scenario: Scenario) -> Schedule:
    return make_schedule(scenario.market, scenario.config.steps)
