"""The record of a portfolio's risk as types: key by key what ``schemas/risk.json`` describes."""

from __future__ import annotations

from typing import Any, TypedDict

from gammawall.scenarios.provenance import Provenance
from gammawall.scenarios.record_types import Status, Timing

__all__ = [
    "Cost",
    "Distribution",
    "LadderRow",
    "PositionRow",
    "RiskRecord",
    "SummaryRow",
    "WorstPath",
]


class Cost(TypedDict):
    """Of ignoring dealers' feedback on the price."""

    measure: str
    level: float
    difference_usd: float
    difference_stderr_usd: float


class SummaryRow(TypedDict):
    measure: str
    level: float | None
    feedback_usd: float
    feedback_stderr_usd: float
    no_feedback_usd: float
    no_feedback_stderr_usd: float
    difference_usd: float
    difference_stderr_usd: float


class PositionRow(TypedDict):
    label: str
    type: str
    contracts: float
    strike: float | None
    expiry: str | None
    vol_pct: float | None
    multiplier: float
    start_value_usd: float
    delta_usd_per_point: float
    gamma_usd_per_point2: float
    vega_usd_per_vol_point: float
    es_feedback_usd: float
    es_feedback_stderr_usd: float
    es_no_feedback_usd: float
    es_no_feedback_stderr_usd: float


class WorstPath(TypedDict):
    path: int
    close_points: float
    pnl_usd: float
    delta_usd: float
    gamma_usd: float
    vol_usd: float
    vanna_usd: float
    time_usd: float
    residual_usd: float


class LadderRow(TypedDict):
    time: str
    vol_move_points: float
    spot_move_pct: float
    spot_points: float
    pnl_usd: float


class Distribution(TypedDict):
    """Shares of paths between the edges."""

    edges_usd: list[float]
    feedback: list[float]
    no_feedback: list[float]


class RiskRecord(TypedDict):
    """``risk.json``."""

    format: int
    portfolio: str
    scenario: str
    story: str
    cost_of_ignoring_feedback: Cost
    summary: list[SummaryRow]
    positions: list[PositionRow]
    worst_paths: list[WorstPath]
    ladder: list[LadderRow]
    distribution: Distribution
    notes: list[str]
    resolved: dict[str, Any]
    status: Status
    timing: Timing
    provenance: Provenance
