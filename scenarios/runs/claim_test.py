"""The test that a scenario declares of its claim, applied to one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gammawall.scenarios.record_types import JudgedRow, RunNumbers
from gammawall.scenarios.spec.scenario import Scenario
from gammawall.scenarios.spec.schema import ClaimSpec

__all__ = [
    "CONTRADICTED",
    "ERRORS",
    "ONLY_IF",
    "SUPPORTED",
    "UNDECIDABLE",
    "VERDICTS",
    "Case",
    "effect",
    "judged_row",
    "outcome_of",
]

SUPPORTED, ONLY_IF = "supported", "supported only if"
CONTRADICTED, UNDECIDABLE = "contradicted", "not decidable"
VERDICTS = (SUPPORTED, ONLY_IF, CONTRADICTED, UNDECIDABLE)
ERRORS = 3.0
"""Standard errors that separate an effect from its threshold."""
_MOST_CAPPED = 1e-3
"""Share of capped paths above which a setting decides nothing."""


@dataclass(frozen=True)
class Case:
    """One setting under which a claim is tried: base, impact, variant, contrast or sign."""

    kind: str
    name: str
    scenario: Scenario


def effect(metric: Mapping[str, Any], kind: str) -> tuple[float, float]:
    """An effect and its standard error from one metric of a result.

    The ratio r = v/b is by the delta method: Var r = (Var v − 2 r Cov + r² Var b)/b², with the covariance of
    the paired legs from Var(v − b) = Var v + Var b − 2 Cov.

    Args:
        metric: an entry of a document's metrics.
        kind: "value", "difference" or "ratio to baseline"; a ratio to zero is NaN.
    """
    if kind != "ratio to baseline":
        return metric[kind], metric["stderr" if kind == "value" else "difference_stderr"]
    v, b = metric["value"], metric["baseline"]
    if b == 0.0:
        return np.nan, np.nan
    own, other = metric["stderr"] ** 2, metric["baseline_stderr"] ** 2
    twice_covariance = own + other - metric["difference_stderr"] ** 2
    r = v / b
    return r, float(np.sqrt(max(own - r * twice_covariance + r * r * other, 0.0))) / abs(b)


def judged_row(case: Case, record: RunNumbers, claim: ClaimSpec) -> JudgedRow:
    """One row of `Judgement.table`: what one run says of the claim."""
    metric = next(m for m in record["metrics"] if m["name"] == claim.metric)
    size, stderr = effect(metric, claim.effect)
    paths, status = case.scenario.config.paths, record["status"]
    if metric["unit"] == "probability":
        # Of an event that no path has met the sums know no error; three of these are a 95 % bound on it.
        scale = metric["baseline"] if claim.effect == "ratio to baseline" else 1.0
        stderr = max(stderr, 1.0 / paths / scale) if scale else stderr
    capped = status["paths_capped"] / paths
    return {
        "kind": case.kind,
        "setting": case.name,
        "bp_per_usd_bn": case.scenario.bp_per_usd_bn,
        "effect": size,
        "stderr": stderr,
        "outcome": outcome_of(size, stderr, capped, claim.holds, claim.threshold),
        "capped": capped,
        "jumped": status["paths_with_jump"] / paths,
    }


def outcome_of(size: float, stderr: float, capped: float, holds: str, threshold: float) -> str:
    margin = (size - threshold) * (1.0 if holds == "above" else -1.0)
    if not abs(margin) > ERRORS * stderr or capped > _MOST_CAPPED:
        return "unclear"
    return "holds" if margin > 0.0 else "fails"
