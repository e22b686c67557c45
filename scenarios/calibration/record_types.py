"""The record of a calibration as types: key by key what ``schemas/calibrate.json`` describes."""

from __future__ import annotations

from typing import TypedDict

from gammawall.scenarios.provenance import Environment

__all__ = [
    "CalibrationRecord",
    "CalibrationSettings",
    "FitRow",
    "Gain",
    "Octile",
    "OutOfSample",
    "ShuffledGain",
    "SimulatedVol",
    "SurvivingRow",
]


class CalibrationSettings(TypedDict):
    block_days: int
    resamples: int
    seed: int
    confidence: float


class FitRow(TypedDict):
    """One fit of λ to a period."""

    period: str
    first: str
    last: str
    days: int
    errors: str
    with_past_vol: bool
    bp_per_usd_bn: float
    bootstrap_interval: list[float]
    resamples_without_maximum: int
    profile_interval: list[float] | None
    largest_bp_per_usd_bn: float | None
    positive_days_bp_per_usd_bn: float | None
    zero_gamma_vol_pct: float
    past_vol_exponent: float | None
    log_likelihood: float
    gain_over_constant_nats: float


class SurvivingRow(TypedDict):
    """What is left of λ beside past vol."""

    period: str
    share: float
    bootstrap_interval: list[float]
    past_vol_exponent: float | None
    rank_correlation_of_gex_and_past_vol: float


class Octile(TypedDict):
    """An eighth of the days by gamma: realised vol of the next day, and the fitted curve's."""

    from_bn: float
    to_bn: float
    mean_gex_bn: float
    days: int
    realised_vol_pct: float
    stderr_pct: float | None
    model_vol_pct: float | None
    z: float | None


class Gain(TypedDict):
    """In log-likelihood, with the standard error of block resamples."""

    nats: float
    stderr: float
    days: int


class ShuffledGain(TypedDict):
    mean: float
    interval: list[float]
    share_as_good: float


class SimulatedVol(TypedDict):
    gex_bn: float
    vol_pct: float
    stderr_pct: float
    closed_form_pct: float


class OutOfSample(TypedDict):
    """The fit before the split, judged on the returns from it on."""

    fitted_before: str
    bp_per_usd_bn: float
    bootstrap_interval: list[float]
    zero_gamma_vol_pct: float
    constant_vol_pct: float
    days: int
    days_without_clearing: int
    gain_over_constant: Gain
    gain_over_best_constant: Gain
    gain_shuffled_nats: ShuffledGain
    gain_of_past_vol_over_constant: Gain
    gain_of_gamma_over_past_vol: Gain
    octiles: list[Octile]
    simulated: list[SimulatedVol]


class CalibrationRecord(TypedDict):
    """What ``gammawall calibrate-impact --json`` writes."""

    file: str
    first: str
    last: str
    days: int
    split: str
    settings: CalibrationSettings
    fits: list[FitRow]
    surviving_past_vol: list[SurvivingRow]
    octiles: list[Octile]
    out_of_sample: OutOfSample
    notes: list[str]
    provenance: Environment
