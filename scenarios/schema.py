"""Scenario files: what may stand in one. The only file that knows the validation library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, get_args

import pandas as pd
import pydantic
from pydantic import BeforeValidator, Field

from gammawall.scenarios.mistakes import Keys, contradictions, sentence
from gammawall.scenarios.values import (
    MOST_POINTS,
    one_of,
    read_corridor,
    read_drift,
    read_instant,
    read_number,
    read_whole,
)
from gammawall.sim import GBM, Clearing, LinearImpact, Market, Measure, NoHedging, SimConfig
from gammawall.surfaces.book import Book
from gammawall.surfaces.chain import OptionChain
from gammawall.surfaces.clock import PROFILES
from gammawall.surfaces.conventions import CONVENTIONS, SIZES

__all__ = ["Scenario", "ScenarioPart", "problems"]

Number = Annotated[float, BeforeValidator(read_number)]
Level = Annotated[Number, Field(gt=0.0, le=MOST_POINTS)]
Vol = Annotated[Number, Field(ge=0.01, le=1000.0)]
Sessions = Annotated[Number, Field(ge=0.0, le=100.0)]
Whole = Annotated[int, BeforeValidator(read_whole)]
Instant = Annotated[datetime, BeforeValidator(read_instant)]


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class MarketPart(_Part):
    spot: Level | None = None
    start: Instant | None = None
    close: Instant | None = None
    overnight: Sessions = 0.0
    weekend: Sessions = 0.0
    rate_pct: Annotated[Number, Field(ge=-100.0, le=100.0)] = 0.0
    vol_pct: Vol | None = None


class DynamicsPart(_Part):
    kind: Annotated[str, BeforeValidator(one_of(("gbm",)))] = "gbm"
    profile: Annotated[str, BeforeValidator(one_of(PROFILES))] = "flat"
    drift: Annotated[float | str, BeforeValidator(read_drift)] = "martingale"


class PositionPart(_Part):
    strike: Level
    expiry: Instant
    type: Annotated[str, BeforeValidator(one_of(("call", "put")))] = "call"
    contracts: Annotated[Number, Field(ge=-1e9, le=1e9)]
    vol_pct: Vol


class BookPart(_Part):
    position: tuple[PositionPart, ...] = ()
    chain: str | None = None
    convention: Annotated[str, BeforeValidator(one_of(CONVENTIONS))] = "calls_long_puts_short"
    size: Annotated[str, BeforeValidator(one_of(SIZES))] = "open_interest"
    scale: Annotated[Number, Field(ge=-1e6, le=1e6)] = 1.0


class ImpactPart(_Part):
    kind: Annotated[str, BeforeValidator(one_of(("linear",)))] = "linear"
    bp_per_usd_bn: Annotated[Number, Field(ge=0.0, le=1e6)]


class HedgingPart(_Part):
    kind: Annotated[str, BeforeValidator(one_of(("clearing", "none")))] = "clearing"
    fraction: Annotated[Number, Field(ge=0.0, le=1.0)] = 1.0


class SimulationPart(_Part):
    # Memory sets both upper limits: closes are kept per path, hedge tables per step.
    paths: Annotated[Whole, Field(ge=2, le=10**8)] = 100_000
    steps: Annotated[Whole, Field(ge=1, le=10_000)] = 390
    seed: Annotated[Whole, Field(ge=0, lt=2**63)] = 0
    sample_minutes: Annotated[Number, Field(gt=0.0, le=1e6)] = 1.0


class MeasurePart(_Part):
    strike: Level | None = None
    band_points: Level | None = None
    corridor: Annotated[tuple[float, float], BeforeValidator(read_corridor)] | None = None


class ScenarioPart(_Part):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    story: str = ""
    facts: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    market: MarketPart = MarketPart()
    dynamics: DynamicsPart = DynamicsPart()
    book: BookPart
    impact: ImpactPart
    hedging: HedgingPart = HedgingPart()
    simulation: SimulationPart = SimulationPart()
    measure: MeasurePart = MeasurePart()


@dataclass(frozen=True)
class Scenario:
    """A scenario ready to run: the checked file and the objects built from it."""

    part: ScenarioPart
    market: Market
    dynamics: GBM
    book: Book
    impact: LinearImpact
    hedging: Clearing | NoHedging
    config: SimConfig
    measure: Measure
    seed: int
    chain: OptionChain | None = None
    notes: tuple[str, ...] = ()
    """what was taken from the chain rather than from the file"""
    chain_sha256: str | None = None

    @property
    def name(self) -> str:
        return self.part.name

    def resolved(self) -> dict[str, Any]:
        """The scenario as plain data with every default and every value taken from a chain filled in."""
        data = self.part.model_dump(mode="json")
        data["market"] |= {
            "spot": self.market.spot,
            "vol_pct": 100.0 * self.dynamics.vol,
            "start": _plain(self.market.start),
            "close": _plain(self.market.close),
        }
        data["measure"] |= {
            "strike": self.measure.strike,
            "band_points": self.measure.band_points,
            "corridor": list(self.measure.corridor or ()),
        }
        return data


def _plain(stamp: pd.Timestamp) -> str:
    return stamp.tz_localize(None).isoformat()


def problems(data: Mapping[str, Any]) -> tuple[ScenarioPart | None, list[tuple[Keys, str]]]:
    """Check plain data against the schema.

    Returns:
        The checked scenario or None, and every mistake as (path of keys, sentence).
    """
    part, found = None, []
    try:
        part = ScenarioPart.model_validate(dict(data))
    except pydantic.ValidationError as error:
        found = [(_path(e["loc"]), sentence(e, _siblings(e["loc"]))) for e in error.errors()]
    found += contradictions(data)

    def misspelt(keys: Keys) -> bool:
        meant = f"did you mean {keys[-1]!r}?"
        return any(other[:-1] == keys[:-1] and text.endswith(meant) for other, text in found)

    # A misspelt key is one mistake, not also a missing one.
    found = [(keys, text) for keys, text in found if not (text.startswith("is missing") and misspelt(keys))]
    return (None if found else part), found


def _path(location: tuple[str | int, ...]) -> Keys:
    """Keys only: the library adds names of alternatives to the location of a mistake inside a union."""
    keys, model = [], ScenarioPart
    for entry in location:
        if isinstance(entry, int) or model is None:
            if isinstance(entry, int):
                keys.append(entry)
            continue
        keys.append(entry)
        field = model.model_fields.get(entry)
        model = _model_of(field.annotation) if field else None
    return tuple(keys)


def _model_of(annotation: Any) -> type[_Part] | None:
    if isinstance(annotation, type) and issubclass(annotation, _Part):
        return annotation
    return next((m for m in map(_model_of, get_args(annotation)) if m is not None), None)


def _siblings(location: tuple[str | int, ...]) -> list[str]:
    model: type[_Part] | None = ScenarioPart
    for entry in location[:-1]:
        if isinstance(entry, str) and model is not None:
            field = model.model_fields.get(entry)
            model = _model_of(field.annotation) if field else None
    return list(model.model_fields) if model else []
