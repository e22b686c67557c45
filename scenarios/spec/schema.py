"""Scenario files: what may stand in one. The only file that knows the validation library."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

import pydantic
from pydantic import BeforeValidator, Field

from gammawall.scenarios.spec.kinds import DYNAMICS, FLOWS, HEDGING, IMPACTS, SURFACES, keys_of_kinds
from gammawall.scenarios.spec.mistakes import Keys, contradictions, sentence
from gammawall.scenarios.spec.scalars import (
    MOST_POINTS,
    one_of,
    read_corridor,
    read_drift,
    read_instant,
    read_number,
    read_whole,
)
from gammawall.sim.measure.metrics import METRICS
from gammawall.sim.types import UNWINDS
from gammawall.surfaces.clock import PROFILES
from gammawall.surfaces.dealers.conventions import CONVENTIONS, SIZES

__all__ = ["ClaimSpec", "MarketSpec", "ScenarioSpec", "SimulationSpec", "problems"]

Number = Annotated[float, BeforeValidator(read_number)]
Level = Annotated[Number, Field(gt=0.0, le=MOST_POINTS)]
Vol = Annotated[Number, Field(ge=0.01, le=1000.0)]
Sessions = Annotated[Number, Field(ge=0.0, le=100.0)]
Whole = Annotated[int, BeforeValidator(read_whole)]
Instant = Annotated[datetime, BeforeValidator(read_instant)]


class _Table(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


Number0 = Annotated[Number, Field(ge=0.0, le=1e9)]
Percent = Annotated[Number, Field(ge=-100.0, le=100.0)]
Share = Annotated[Number, Field(ge=0.0, le=1.0)]


class MarketSpec(_Table):
    spot: Level | None = None
    start: Instant | None = None
    close: Instant | None = None
    overnight: Sessions = 0.0
    weekend: Sessions = 0.0
    rate_pct: Annotated[Number, Field(ge=-100.0, le=100.0)] = 0.0
    vol_pct: Vol | None = None
    fee_bp: Annotated[Number, Field(ge=0.0, le=1000.0)] = 0.0
    unwind: Annotated[str, BeforeValidator(one_of(UNWINDS))] = "at_settlement"
    halts: bool = False


class CatalystSpec(_Table):
    when: Instant
    mean_pct: Percent = 0.0
    std_pct: Annotated[Number, Field(ge=0.0, le=100.0)] = 0.0


class DynamicsSpec(_Table):
    kind: Annotated[str, BeforeValidator(one_of(DYNAMICS))] = "gbm"
    profile: Annotated[str, BeforeValidator(one_of(PROFILES))] = "flat"
    drift: Annotated[float | str, BeforeValidator(read_drift)] = "martingale"
    catalyst: tuple[CatalystSpec, ...] = ()
    mean_reversion: Number0 | None = None
    long_vol_pct: Vol | None = None
    vol_of_vol: Number0 | None = None
    correlation: Annotated[Number, Field(ge=-1.0, le=1.0)] | None = None
    jumps_per_year: Number0 | None = None
    jump_mean_pct: Percent | None = None
    jump_std_pct: Annotated[Number, Field(ge=0.0, le=100.0)] | None = None


class SurfaceSpec(_Table):
    kind: Annotated[str, BeforeValidator(one_of(SURFACES))] = "sticky_strike"
    vol_points_per_pct: Percent | None = None
    vol_of_vol: Annotated[Number, Field(gt=0.0, le=1e3)] | None = None
    mean_reversion: Number0 | None = None
    correlation: Annotated[Number, Field(ge=-1.0, le=1.0)] | None = None


class FlowSpec(_Table):
    kind: Annotated[str, BeforeValidator(one_of(FLOWS))] = "none"
    vol_pct: Vol | None = None
    contracts_per_day: Number0 | None = None
    imbalance: Annotated[Number, Field(ge=-1.0, le=1.0)] | None = None
    call_share: Share | None = None
    momentum: Annotated[Number, Field(ge=-1.0, le=1.0)] | None = None
    trade_contracts: Annotated[Number, Field(gt=0.0, le=1e6)] | None = None
    strikes: Annotated[Whole, Field(ge=3, le=1001)] | None = None
    strike_step: Annotated[Number, Field(gt=0.0, le=1e4)] | None = None
    strike_scale: Annotated[Number, Field(gt=0.0, le=100.0)] | None = None


class PositionSpec(_Table):
    strike: Level
    expiry: Instant
    type: Annotated[str, BeforeValidator(one_of(("call", "put")))] = "call"
    contracts: Annotated[Number, Field(ge=-1e9, le=1e9)]
    vol_pct: Vol


class BookSpec(_Table):
    position: tuple[PositionSpec, ...] = ()
    chain: str | None = None
    convention: Annotated[str, BeforeValidator(one_of(CONVENTIONS))] = "calls_long_puts_short"
    size: Annotated[str, BeforeValidator(one_of(SIZES))] = "open_interest"
    scale: Annotated[Number, Field(ge=-1e6, le=1e6)] = 1.0


class ImpactSpec(_Table):
    kind: Annotated[str, BeforeValidator(one_of(IMPACTS))] = "linear"
    bp_per_usd_bn: Annotated[Number, Field(ge=0.0, le=1e6)]
    transient_bp_per_usd_bn: Annotated[Number, Field(ge=0.0, le=1e6)] | None = None
    half_life_min: Annotated[Number, Field(gt=0.0, le=1e6)] | None = None
    exponent: Annotated[Number, Field(gt=0.0, le=10.0)] | None = None
    reference_usd_bn_per_min: Annotated[Number, Field(gt=0.0, le=1e6)] | None = None


class GroupSpec(_Table):
    kind: Annotated[str, BeforeValidator(one_of(HEDGING))] = "clearing"
    fraction: Share = 1.0
    interval_min: Annotated[Number, Field(gt=0.0, le=1e6)] | None = None
    lag: Annotated[Whole, Field(ge=0, le=1)] | None = None
    width_usd_bn: Number0 | None = None
    cost_bp: Annotated[Number, Field(gt=0.0, le=1e4)] | None = None
    aversion_per_usd_bn: Annotated[Number, Field(gt=0.0, le=1e12)] | None = None


class HedgingSpec(GroupSpec):
    group: tuple[GroupSpec, ...] = ()


class SimulationSpec(_Table):
    # Memory sets both upper limits: closes are kept per path, hedge tables per step.
    paths: Annotated[Whole, Field(ge=2, le=10**8)] = 100_000
    steps: Annotated[Whole, Field(ge=1, le=10_000)] = 390
    seed: Annotated[Whole, Field(ge=0, lt=2**63)] = 0
    sample_minutes: Annotated[Number, Field(gt=0.0, le=1e6)] = 1.0
    geometric: Annotated[Number, Field(gt=0.0, le=0.5)] | None = None
    antithetic: bool = False
    control: bool = False
    sampling: Literal["random", "sobol"] = "random"
    replicates: Annotated[Whole, Field(ge=4, le=1024)] = 16


class MeasureSpec(_Table):
    strike: Level | None = None
    band_points: Level | None = None
    corridor: Annotated[tuple[float, float], BeforeValidator(read_corridor)] | None = None
    metrics: tuple[Annotated[str, BeforeValidator(one_of(METRICS))], ...] | None = None
    """measured and reported; all when not given. What a claim tests is measured in any case."""


EFFECTS = ("value", "difference", "ratio to baseline")
Text = Annotated[str, Field(min_length=1)]


class VariantSpec(_Table):
    """Another setting under which a claim is tried."""

    name: Text
    set: tuple[Text, ...]
    contrast: bool = False
    """the claim says that its test fails here"""


class ClaimSpec(_Table):
    id: Text
    text: Text
    metric: Annotated[str, BeforeValidator(one_of(METRICS))]
    effect: Annotated[str, BeforeValidator(one_of(EFFECTS))] = "value"
    holds: Annotated[str, BeforeValidator(one_of(("above", "below")))]
    threshold: Number
    hinge: Text
    variant: tuple[VariantSpec, ...] = ()


class ScenarioSpec(_Table):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    story: str = ""
    facts: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    market: MarketSpec = MarketSpec()
    dynamics: DynamicsSpec = DynamicsSpec()
    book: BookSpec
    surface: SurfaceSpec = SurfaceSpec()
    flow: FlowSpec = FlowSpec()
    impact: ImpactSpec
    hedging: HedgingSpec = HedgingSpec()
    simulation: SimulationSpec = SimulationSpec()
    measure: MeasureSpec = MeasureSpec()
    claim: ClaimSpec | None = None


def problems(data: Mapping[str, Any]) -> tuple[ScenarioSpec | None, list[tuple[Keys, str]]]:
    """Check plain data against the schema.

    Returns:
        The checked scenario or None, and every mistake as (path of keys, sentence).
    """
    spec, found = None, []
    try:
        spec = ScenarioSpec.model_validate(dict(data))
    except pydantic.ValidationError as error:
        found = [(_path(e["loc"]), sentence(e, _siblings(e["loc"]))) for e in error.errors()]
    found += contradictions(data) + keys_of_kinds(data)

    def misspelt(keys: Keys) -> bool:
        meant = f"did you mean {keys[-1]!r}?"
        return any(other[:-1] == keys[:-1] and text.endswith(meant) for other, text in found)

    # A misspelt key is one mistake, not also a missing one.
    found = [(keys, text) for keys, text in found if not (text.startswith("is missing") and misspelt(keys))]
    return (None if found else spec), found


def _path(location: tuple[str | int, ...]) -> Keys:
    """Keys only: the library adds names of alternatives to the location of a mistake inside a union."""
    keys, model = [], ScenarioSpec
    for entry in location:
        if isinstance(entry, int) or model is None:
            if isinstance(entry, int):
                keys.append(entry)
            continue
        keys.append(entry)
        field = model.model_fields.get(entry)
        model = _model_of(field.annotation) if field else None
    return tuple(keys)


def _model_of(annotation: Any) -> type[_Table] | None:
    if isinstance(annotation, type) and issubclass(annotation, _Table):
        return annotation
    return next((m for m in map(_model_of, get_args(annotation)) if m is not None), None)


def _siblings(location: tuple[str | int, ...]) -> list[str]:
    model: type[_Table] | None = ScenarioSpec
    for entry in location[:-1]:
        if isinstance(entry, str) and model is not None:
            field = model.model_fields.get(entry)
            model = _model_of(field.annotation) if field else None
    return list(model.model_fields) if model else []
