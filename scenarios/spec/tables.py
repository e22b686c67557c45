"""Tables of a scenario file that have a `kind`: checked against the parameters which that kind declares."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import pydantic
from pydantic import BeforeValidator, Field, model_serializer

from gammawall.scenarios.spec.mistakes import Keys, sentence
from gammawall.scenarios.spec.registry import (
    TABLES,
    Drive,
    Kind,
    field_type,
    find_kind,
    kinds_of,
    load_entry_points,
)
from gammawall.scenarios.spec.scalars import one_of, read_drift, read_instant, read_number, read_whole
from gammawall.sim import Catalyst
from gammawall.surfaces.clock import PROFILES
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import from_percent

__all__ = [
    "DynamicsSpec",
    "Instant",
    "KindSpec",
    "Number",
    "Percent",
    "Table",
    "Whole",
    "built",
    "check_table",
    "unknown_here",
]

Number = Annotated[float, BeforeValidator(read_number)]
Whole = Annotated[int, BeforeValidator(read_whole)]
Instant = Annotated[datetime, BeforeValidator(read_instant)]
Percent = Annotated[Number, Field(ge=-100.0, le=100.0)]

_READ = {float: Number, int: Whole, bool: bool, str: str, datetime: Instant}
_LIMIT = {"above": "gt", "at_least": "ge", "below": "lt", "at_most": "le"}


class Table(pydantic.BaseModel):
    """One table of a file: no key but its own."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class KindSpec(Table):
    """A checked table with a kind; the parameters of the kind are attributes too."""

    model_config = pydantic.ConfigDict(extra="allow")
    kind: str

    def get(self, name: str) -> Any:
        """The value of a key; None where the kind has no such key."""
        return getattr(self, name, None)

    @model_serializer(mode="wrap")
    def _keys(
        self, dump: pydantic.SerializerFunctionWrapHandler, info: pydantic.SerializationInfo
    ) -> dict[str, Any]:
        return {k: v for k, v in dump(self).items() if not info.exclude_unset or k in self.model_fields_set}


class CatalystSpec(Table):
    when: Instant
    mean_pct: Percent = 0.0
    std_pct: Annotated[Number, Field(ge=0.0, le=100.0)] = 0.0


class DynamicsSpec(KindSpec):
    """Dynamics of every kind have these; the first belongs to the clock, the others to the `Drive`."""

    profile: Annotated[str, BeforeValidator(one_of(PROFILES))] = "flat"
    drift: Annotated[float | str, BeforeValidator(read_drift)] = "martingale"
    catalyst: tuple[CatalystSpec, ...] = ()

    def drive(self, vol_pct: float) -> Drive:
        """The unhedged price at a given vol, in percent a year."""
        drift = self.drift if isinstance(self.drift, str) else from_percent(self.drift)
        jumps = [(c.when, from_percent(c.mean_pct), from_percent(c.std_pct)) for c in self.catalyst]
        return Drive(from_percent(vol_pct), drift, tuple(Catalyst(*jump) for jump in jumps))


def check_table(
    table: str, at: Keys, given: Mapping[str, Any]
) -> tuple[KindSpec | None, list[tuple[Keys, str]]]:
    """Check a table that has a kind.

    Args:
        table: one of `TABLES`.
        at: where it stands in the file.
        given: its keys and values.

    Returns:
        The checked table or None, and its mistakes. Those of a table whose kind is misspelt are told as if it
        were spelt right.
    """
    base = DynamicsSpec if table == "dynamics" else KindSpec
    given = {key: value for key, value in given.items() if value is not None}
    asked = given.pop("kind", TABLES[table])
    kind, found = _choose(table, at, asked)
    if kind is None:
        return None, found
    values: dict[str, Any] = {"kind": kind.name}
    try:
        checked = _model(kind, base).model_validate(given)
        values |= {name: getattr(checked, name) for name in type(checked).model_fields}
    except pydantic.ValidationError as error:
        found += [_mistake(kind, at, e) for e in error.errors()]
    if not found and table not in ("dynamics", "flow"):
        found += _clashes(kind, at, values)
    if found:
        return None, found
    named = given.keys() | ({"kind"} if asked is not None else set())
    return base.model_construct(_fields_set=set(named), **values), []


def built(table: str, spec: KindSpec, *more: Drive) -> Any:
    """The object that a checked table stands for; its own complaint names the table.

    Raises:
        InputError: the numbers do not go together, or this process does not know the kind.
    """
    kind = find_kind(table, spec.kind)
    if kind is None:
        raise InputError(unknown_here(table, spec.kind))
    try:
        return kind.build(kind.parameters(**{key: getattr(spec, key) for key in kind.keys}), *more)
    except ValueError as error:
        raise InputError(f"[{table}] {error}") from None


def unknown_here(table: str, name: str) -> str:
    """Why a kind that one process knows may be unknown to another."""
    return (
        f"[{table}] kind = {name!r} is not registered in this process: a call of register_kind holds for one "
        "process only; install a distribution with an entry point in the group gammawall.kinds instead"
    )


def _choose(table: str, at: Keys, asked: object) -> tuple[Kind | None, list[tuple[Keys, str]]]:
    """The kind that a file names, or means, and what is wrong with the name."""
    kind = find_kind(table, asked) if isinstance(asked, str) else None
    if kind is not None:
        return kind, []
    known = kinds_of(table)
    try:
        one_of(known)(asked)
    except ValueError as error:
        failed = [f"; {who} could not be loaded: {why}" for who, why in load_entry_points().items()]
        wrong = ((*at, "kind"), f"{error}; got {asked!r}{''.join(failed)}")
        near = difflib.get_close_matches(str(asked), known, n=1)
        return known[near[0]] if near else None, [wrong]
    raise AssertionError(asked)


@functools.cache
def _model(kind: Kind, base: type[KindSpec]) -> type[Table]:
    """The parameters of a kind as the validation library wants them."""
    fields: dict[str, Any] = {
        name: (Annotated[(f.annotation, *f.metadata)] if f.metadata else f.annotation, f.default)
        for name, f in base.model_fields.items()
        if name != "kind"
    }
    for field in dataclasses.fields(kind.parameters):
        limits = {_LIMIT[key]: value for key, value in field.metadata.items() if key in _LIMIT}
        read: Any = _READ[field_type(kind.parameters, field.name) or float]
        if "one_of" in field.metadata:
            read = Annotated[read, BeforeValidator(one_of(field.metadata["one_of"]))]
        usual: Any = ... if field.default is dataclasses.MISSING else field.default
        if field.default_factory is not dataclasses.MISSING:
            usual = field.default_factory()
        fields[field.name] = Annotated[read, Field(**limits)], usual
    return pydantic.create_model(f"{kind.name} of {kind.table}", __base__=Table, **fields)


def _mistake(kind: Kind, at: Keys, error: Mapping[str, Any]) -> tuple[Keys, str]:
    keys = tuple(error["loc"])
    place, name = (*at, *keys), str(keys[0])
    if len(keys) > 1:
        return place, sentence(error, list(CatalystSpec.model_fields))
    if error["type"] == "missing":
        unit = _metadata(kind, name).get("unit")
        return place, f"is missing: kind = {kind.name!r} needs it{f', {unit}' if unit else ''}"
    if error["type"] == "extra_forbidden":
        owners = [other.name for other in kinds_of(kind.table).values() if name in other.keys]
        if owners:
            belongs = f"it belongs to {' and '.join(map(repr, owners))}"
            return place, f"does nothing with kind = {kind.name!r}, {belongs}; delete it"
    common = DynamicsSpec.model_fields if kind.table == "dynamics" else KindSpec.model_fields
    return place, sentence(error, [*common, *kind.keys])


def _metadata(kind: Kind, name: str) -> Mapping[str, Any]:
    return next(field.metadata for field in dataclasses.fields(kind.parameters) if field.name == name)


def _clashes(kind: Kind, at: Keys, values: Mapping[str, Any]) -> list[tuple[Keys, str]]:
    """What the model itself says of values that are each right, such as a band of two widths."""
    try:
        kind.build(kind.parameters(**{key: values[key] for key in kind.keys}))
    except ValueError as error:
        return [(at, str(error))]
    return []
