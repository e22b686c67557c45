"""Scenario files: what may stand in one. The only file that knows the validation library."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

import numpy as np
import pandas as pd
import pydantic
from pydantic import AfterValidator, Field

from gammawall.sim import GBM, Clearing, LinearImpact, Market, Measure, NoHedging, SimConfig
from gammawall.surfaces.book import Book
from gammawall.surfaces.chain import OptionChain
from gammawall.surfaces.clock import PROFILES
from gammawall.surfaces.conventions import CONVENTIONS, SIZES

__all__ = ["Scenario", "ScenarioPart", "problems"]


def _one_of(allowed: Any) -> AfterValidator:
    names = tuple(allowed)

    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return value

    return AfterValidator(check)


def _no_zone(value: datetime) -> datetime:
    if value.tzinfo is not None:
        raise ValueError("must be New York time, without a zone")
    return value


def _drift(value: float | str) -> float | str:
    if value != "martingale" and not (isinstance(value, float) and np.isfinite(value)):
        raise ValueError('must be "martingale" or a number, percent per year')
    return value


def _not_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


Number = Annotated[float, pydantic.BeforeValidator(_not_flag), Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0.0)]
Whole = Annotated[int, pydantic.BeforeValidator(_not_flag)]
Instant = Annotated[datetime, AfterValidator(_no_zone)]
Vol = Annotated[Number, Field(gt=0.0, le=1000.0)]


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class MarketPart(_Part):
    spot: Positive | None = None
    start: Instant | None = None
    close: Instant | None = None
    overnight: Annotated[Number, Field(ge=0.0)] = 0.0
    weekend: Annotated[Number, Field(ge=0.0)] = 0.0
    rate_pct: Number = 0.0
    vol_pct: Vol | None = None


class DynamicsPart(_Part):
    kind: Literal["gbm"] = "gbm"
    profile: Annotated[str, _one_of(PROFILES)] = "flat"
    drift: Annotated[float | str, AfterValidator(_drift)] = "martingale"


class PositionPart(_Part):
    strike: Positive
    expiry: Instant
    type: Literal["call", "put"] = "call"
    contracts: Number
    vol_pct: Vol


class BookPart(_Part):
    position: tuple[PositionPart, ...] = ()
    chain: str | None = None
    convention: Annotated[str, _one_of(CONVENTIONS)] = "calls_long_puts_short"
    size: Annotated[str, _one_of(SIZES)] = "open_interest"
    scale: Number = 1.0


class ImpactPart(_Part):
    kind: Literal["linear"] = "linear"
    bp_per_usd_bn: Annotated[Number, Field(ge=0.0)]


class HedgingPart(_Part):
    kind: Literal["clearing", "none"] = "clearing"
    fraction: Annotated[Number, Field(ge=0.0, le=1.0)] = 1.0


class SimulationPart(_Part):
    paths: Annotated[Whole, Field(ge=2, le=2**32)] = 100_000
    steps: Annotated[Whole, Field(ge=1, le=10**6)] = 390
    seed: Annotated[Whole, Field(ge=0, lt=2**63)] = 0
    sample_minutes: Positive = 1.0


class MeasurePart(_Part):
    strike: Positive | None = None
    band_points: Positive = 5.0
    corridor: tuple[Positive, Positive] | None = None


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


def problems(data: Mapping[str, Any]) -> tuple[ScenarioPart | None, list[tuple[tuple[str | int, ...], str]]]:
    """Check plain data against the schema.

    Returns:
        The checked scenario or None, and every mistake as (path of keys, sentence).
    """
    try:
        part = ScenarioPart.model_validate(dict(data))
    except pydantic.ValidationError as error:
        return None, [(_path(e["loc"]), _sentence(e)) for e in error.errors()]
    found = _contradictions(part)
    return (None if found else part), found


def _contradictions(part: ScenarioPart) -> list[tuple[tuple[str | int, ...], str]]:
    """Mistakes that only two values together show."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    market, book = part.market, part.book
    if book.chain is None:
        for name in ("spot", "start", "close", "vol_pct"):
            if getattr(market, name) is None:
                found.append((("market", name), "is missing; it is needed when book.chain is not given"))
    if market.start and market.close and market.close <= market.start:
        found.append(
            (("market", "close"), f"must come after market.start; got {market.close} and {market.start}")
        )
    if book.chain is not None and book.position:
        found.append((("book", "chain"), "cannot stand beside book.position; keep one of the two"))
    for i, position in enumerate(book.position):
        if market.start and position.expiry <= market.start:
            sentence = f"must come after market.start; got {position.expiry}, the start is {market.start}"
            found.append((("book", "position", i, "expiry"), sentence))
    measure = part.measure
    if measure.corridor and measure.corridor[0] >= measure.corridor[1]:
        found.append((("measure", "corridor"), f"must be low then high; got {list(measure.corridor)}"))
    if measure.strike and measure.band_points >= measure.strike:
        found.append((("measure", "band_points"), f"must be below the strike; got {measure.band_points:g}"))
    return found


def _path(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
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


def _sentence(error: Any) -> str:
    kind, got = error["type"], error.get("input")
    if kind == "extra_forbidden":
        name, known = str(error["loc"][-1]), _siblings(error["loc"])
        close = difflib.get_close_matches(name, known, n=1)
        return "is not a known key; " + (
            f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
        )
    if kind == "missing":
        return "is missing"
    shown = repr(got) if isinstance(got, (str, int, float, bool)) else f"a {type(got).__name__}"
    message = error["msg"].removeprefix("Value error, ").replace("Input should", "must").removeprefix("must ")
    text = f"must {message}; got {shown[:80]}"
    if kind == "literal_error" and isinstance(got, str):
        allowed = [word.strip("' ") for word in error["ctx"]["expected"].replace(" or ", ", ").split(",")]
        close = difflib.get_close_matches(got, allowed, n=1)
        text += f"; did you mean {close[0]!r}?" if close else ""
    return text
