"""The ledger's record as types: key by key what ``schemas/ledger.json`` describes."""

from __future__ import annotations

from typing import TypedDict

from gammawall.scenarios.provenance import Environment
from gammawall.scenarios.record_types import JudgedRow

__all__ = [
    "Amplification",
    "AmplificationLine",
    "AmplificationPoint",
    "ClaimRecord",
    "Flip",
    "LedgerRecord",
    "LedgerSettings",
    "VerdictRange",
]


class Flip(TypedDict):
    """The nearest other threshold at which the verdict changes, and to what."""

    threshold: float
    verdict: str


class VerdictRange(TypedDict):
    """Thresholds with one verdict; None where the range has no end."""

    low: float | None
    high: float | None
    verdict: str


class ClaimRecord(TypedDict):
    """A claim, its verdict and every setting that it was tried in."""

    id: str
    text: str
    scenario: str
    story: str
    verdict: str
    conditions: list[str]
    sentence: str
    hinge: str
    metric: str
    description: str
    unit: str
    measured: str
    baseline: float | None
    holds: str
    threshold: float
    effect: float | None
    stderr: float | None
    flips_at: Flip | None
    verdict_by_threshold: list[VerdictRange]
    rows: list[JudgedRow]
    facts: list[str]
    assumptions: list[str]
    paths: int
    steps: int
    seed: int


class AmplificationPoint(TypedDict):
    """One imbalance of the customers: closed forms, and what was simulated."""

    imbalance: float
    contracts: float
    gex_usd_bn: float
    feedback: float
    closed_form: float | None
    closed_form_apart: float | None
    fold_minutes: float | None
    one_strike_fold_minutes: float | None
    by_minute_closed_form: list[float | None]
    simulated: float
    stderr: float
    with_jump: float
    capped: float
    by_minute: list[float]


class AmplificationLine(TypedDict):
    gex_usd_bn: list[float]
    feedback: list[float]
    closed_form: list[float | None]
    closed_form_apart: list[float | None]


class Amplification(TypedDict):
    """Vol of the last half hour over the baseline's, against dealers' net same-day gamma."""

    scenario: str
    paths: int
    steps: int
    bp_per_usd_bn: float
    contracts_per_day: float
    fold_gex_usd_bn: float
    minutes_left: list[float]
    step_minutes_left: list[float]
    points: list[AmplificationPoint]
    line: AmplificationLine


class LedgerSettings(TypedDict):
    impacts_bp_per_usd_bn: list[float]
    standard_errors: float
    settings: int
    runs: int


class LedgerRecord(TypedDict):
    """``ledger.json``."""

    format: int
    counts: dict[str, int]
    claims: list[ClaimRecord]
    turned_by_sign: list[str]
    turned_by_impact: list[str]
    amplification: Amplification | None
    settings: LedgerSettings
    provenance: Environment
