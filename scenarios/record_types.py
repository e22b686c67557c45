"""The records of exposures, runs and kept cells as types: key by key what ``schemas`` describe."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from gammawall.scenarios.provenance import Provenance

__all__ = [
    "CellRecord",
    "ChainReport",
    "ClaimOutcome",
    "ExposureRecord",
    "ExposureSummary",
    "JudgedRow",
    "LevelConfidence",
    "LevelConfidences",
    "MetricRow",
    "RunNumbers",
    "RunProvenance",
    "RunRecord",
    "Status",
    "TheoryRow",
    "Timing",
    "Totals",
]


class Totals(TypedDict):
    """Of the whole book."""

    gex_usd_per_1pct: float
    dex_usd: float
    vex_usd_per_vol_point: float
    cex_usd_per_day: float
    gex_calls_usd_per_1pct: float
    gex_puts_usd_per_1pct: float
    gex_0dte_usd_per_1pct: float
    ex_0dte_gex_usd_per_1pct: float


class LevelConfidence(TypedDict):
    gex_usd_per_1pct: float
    runner_up: float | None
    confidence: float
    """how far the runner-up is behind, share of the level's gamma"""


class LevelConfidences(TypedDict):
    call_wall: LevelConfidence | None
    put_wall: LevelConfidence | None
    abs_gamma_strike: LevelConfidence | None


class ChainReport(TypedDict):
    """What became of the rows; all but the first two only where there was a file."""

    rows: int
    vol_sources: dict[str, int]
    file: NotRequired[str]
    format: NotRequired[str]
    rows_read: NotRequired[int]
    rows_kept: NotRequired[int]
    dropped: NotRequired[dict[str, int]]
    open_interest_coverage: NotRequired[float]
    notes: NotRequired[list[str]]
    vendor_vols: NotRequired[list[dict[str, Any]]]


class ExposureSummary(TypedDict):
    """Totals and levels, as in the record of a run."""

    spot: float
    as_of: str
    convention: str
    totals: Totals
    zero_gamma: list[float]
    call_wall: float | None
    put_wall: float | None
    abs_gamma_strike: float | None
    max_pain: float | None
    missing: dict[str, str]
    confidence: LevelConfidences
    report: ChainReport


class ExposureRecord(ExposureSummary):
    """With the rows by expiry and by strike."""

    by_expiry: list[dict[str, Any]]
    by_strike: list[dict[str, Any]]


class MetricRow(TypedDict):
    """A metric with hedging, without (baseline), and their difference; None where not measured."""

    name: str
    unit: str
    description: str
    value: float | None
    stderr: float | None
    baseline: float | None
    baseline_stderr: float | None
    difference: float | None
    difference_stderr: float | None


class TheoryRow(TypedDict):
    """A closed form beside its simulated value."""

    name: str
    closed_form: float | None
    simulated: float | None
    stderr: float | None
    z: float | None
    """None where the simulated value has no error and misses"""


class Status(TypedDict):
    """Path-steps by status, paths by the worst of theirs; a run may add counts of its own."""

    stable: float
    jump: float
    capped: float
    paths_with_jump: float
    paths_capped: float
    table_error_points: float | None


class Timing(TypedDict):
    table_s: float
    compile_s: float
    run_s: float
    total_s: float
    path_steps_per_s: float


class RunProvenance(Provenance):
    command: NotRequired[str]
    """that ran it, if it was run from the command line"""


class ClaimOutcome(TypedDict):
    """What the scenario claims, tried on this one run."""

    id: str
    text: str
    metric: str
    effect: str
    holds: str
    threshold: float
    hinge: str
    size: float | None
    stderr: float | None
    outcome: str


class JudgedRow(TypedDict):
    """What one run says of a claim."""

    kind: str
    setting: str
    bp_per_usd_bn: float | None
    effect: float
    stderr: float
    outcome: str
    capped: float
    jumped: float


class RunNumbers(TypedDict):
    """What a run and a kept cell have in common: all that a claim is judged by."""

    metrics: list[MetricRow]
    theory: list[TheoryRow]
    status: Status


class RunRecord(RunNumbers):
    """``result.json``."""

    format: int
    scenario: str
    story: str
    provenance: RunProvenance
    resolved: dict[str, Any]
    """the scenario's file with every default filled in, and notes"""
    timing: Timing
    exposures: ExposureSummary
    claim: ClaimOutcome | None


class CellRecord(RunNumbers):
    """What is the same on every run of the same code on the same device."""

    name: str
    key: str
    resolved: dict[str, Any]
    provenance: dict[str, Any]
