"""Which keys each table of a scenario file has, with limits and defaults; `tables` has those with a `kind`.

"What may a value be" is asked in four rooms: `scalars` reads one value by itself; this one and `tables` know
the keys and their limits; `kinds` declares what comes with each kind; `mistakes` knows what two values must
not be together, and puts every mistake into words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import pydantic
from pydantic import BeforeValidator, Field

from gammawall.scenarios.spec.mistakes import Keys, contradictions, sentence
from gammawall.scenarios.spec.registry import TABLES
from gammawall.scenarios.spec.scalars import MOST_POINTS, one_of, read_corridor, shown
from gammawall.scenarios.spec.tables import DynamicsSpec, Instant, KindSpec, Number, Table, Whole, check_table
from gammawall.sim.measure.metrics import METRICS
from gammawall.sim.types import UNWINDS
from gammawall.surfaces.dealers.conventions import CONVENTIONS, SIZES

__all__ = ["ClaimSpec", "MarketSpec", "ScenarioSpec", "SimulationSpec", "problems"]

Level = Annotated[Number, Field(gt=0.0, le=MOST_POINTS)]
Vol = Annotated[Number, Field(ge=0.01, le=1000.0)]
Sessions = Annotated[Number, Field(ge=0.0, le=100.0)]


class MarketSpec(Table):
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


class HedgingSpec(KindSpec):
    """A policy, or groups of dealers with one each; `kind` is then "groups"."""

    group: tuple[KindSpec, ...] = ()


class PositionSpec(Table):
    strike: Level
    expiry: Instant
    type: Annotated[str, BeforeValidator(one_of(("call", "put")))] = "call"
    contracts: Annotated[Number, Field(ge=-1e9, le=1e9)]
    vol_pct: Vol


class BookSpec(Table):
    position: tuple[PositionSpec, ...] = ()
    chain: str | None = None
    convention: Annotated[str, BeforeValidator(one_of(CONVENTIONS))] = "calls_long_puts_short"
    size: Annotated[str, BeforeValidator(one_of(SIZES))] = "open_interest"
    scale: Annotated[Number, Field(ge=-1e6, le=1e6)] = 1.0


class SimulationSpec(Table):
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


class MeasureSpec(Table):
    strike: Level | None = None
    band_points: Level | None = None
    corridor: Annotated[tuple[float, float], BeforeValidator(read_corridor)] | None = None
    metrics: tuple[Annotated[str, BeforeValidator(one_of(METRICS))], ...] | None = None
    """measured and reported; all when not given. What a claim tests is measured in any case."""


EFFECTS = ("value", "difference", "ratio to baseline")
Text = Annotated[str, Field(min_length=1)]


class VariantSpec(Table):
    """Another setting under which a claim is tried."""

    name: Text
    set: tuple[Text, ...]
    contrast: bool = False
    """the claim says that its test fails here"""


class ClaimSpec(Table):
    id: Text
    text: Text
    metric: Annotated[str, BeforeValidator(one_of(METRICS))]
    effect: Annotated[str, BeforeValidator(one_of(EFFECTS))] = "value"
    holds: Annotated[str, BeforeValidator(one_of(("above", "below")))]
    threshold: Number
    hinge: Text
    variant: tuple[VariantSpec, ...] = ()


class ScenarioSpec(Table):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    story: str = ""
    facts: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    market: MarketSpec = MarketSpec()
    dynamics: DynamicsSpec
    book: BookSpec
    surface: KindSpec
    flow: KindSpec
    impact: KindSpec
    hedging: HedgingSpec
    simulation: SimulationSpec = SimulationSpec()
    measure: MeasureSpec = MeasureSpec()
    claim: ClaimSpec | None = None


def problems(data: Mapping[str, Any]) -> tuple[ScenarioSpec | None, list[tuple[Keys, str]]]:
    """Check plain data against the schema.

    Returns:
        The checked scenario or None, and every mistake as (path of keys, sentence).
    """
    checked, found = _with_kinds(data)
    spec = None
    try:
        spec = ScenarioSpec.model_validate({**data, **checked})
    except pydantic.ValidationError as error:
        found += [(_path(e["loc"]), sentence(e, _siblings(e["loc"]))) for e in error.errors()]
    order = {name: i for i, name in enumerate(ScenarioSpec.model_fields)}
    found.sort(key=lambda mistake: order.get(str(mistake[0][0]), -1))
    found += contradictions(data)

    def misspelt(keys: Keys) -> bool:
        meant = f"did you mean {keys[-1]!r}?"
        return any(other[:-1] == keys[:-1] and text.endswith(meant) for other, text in found)

    # A misspelt key is one mistake, not also a missing one.
    found = [(keys, text) for keys, text in found if not (text.startswith("is missing") and misspelt(keys))]
    return (None if found else spec), found


def _with_kinds(data: Mapping[str, Any]) -> tuple[dict[str, KindSpec], list[tuple[Keys, str]]]:
    """The tables that have a kind, checked, and their mistakes; what is not a table is left to the schema."""
    tables: dict[str, KindSpec] = {}
    found: list[tuple[Keys, str]] = []
    for table in TABLES:
        given = data.get(table, None if table == "impact" else {})
        if not isinstance(given, Mapping):
            continue
        if table == "hedging":
            checked, mistakes = _hedging(given)
            empty: KindSpec = HedgingSpec(kind=TABLES[table])
        else:
            checked, mistakes = check_table(table, (table,), given)
            empty = (DynamicsSpec if table == "dynamics" else KindSpec)(kind=TABLES[table])
        tables[table] = checked or empty
        found += mistakes
    return tables, found


def _hedging(given: Mapping[str, Any]) -> tuple[KindSpec | None, list[tuple[Keys, str]]]:
    """One policy, or a group of dealers for each."""
    groups = given.get("group") or ()
    if not groups:
        alone = {key: value for key, value in given.items() if key != "group"}
        spec, found = check_table("hedging", ("hedging",), alone)
        if spec is None:
            return None, found
        return HedgingSpec.model_construct(_fields_set=spec.model_fields_set, **dict(spec)), found
    found: list[tuple[Keys, str]] = [
        (("hedging", name), "cannot stand beside [[hedging.group]]: move it into a group")
        for name in sorted(given.keys() - {"group"})
    ]
    if not isinstance(groups, list | tuple):
        return None, [*found, (("hedging", "group"), f"must be a list; got {shown(groups)}")]
    specs = []
    for i, group in enumerate(groups):
        at: Keys = ("hedging", "group", i)
        if not isinstance(group, Mapping):
            found.append((at, f"must be a table: [[hedging.group]]; got {shown(group)}"))
            continue
        spec, mistakes = check_table("hedging", at, group)
        specs.append(spec)
        found += mistakes
    if found:
        return None, found
    # Only the groups are written in a file: a kind beside them would be refused when it is read again.
    return HedgingSpec.model_construct(_fields_set={"group"}, kind="groups", group=tuple(specs)), []


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


def _model_of(annotation: object) -> type[Table] | None:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    return next((m for m in map(_model_of, get_args(annotation)) if m is not None), None)


def _siblings(location: tuple[str | int, ...]) -> list[str]:
    model: type[Table] | None = ScenarioSpec
    for entry in location[:-1]:
        if isinstance(entry, str) and model is not None:
            field = model.model_fields.get(entry)
            model = _model_of(field.annotation) if field else None
    return list(model.model_fields) if model else []
