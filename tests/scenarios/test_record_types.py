"""The types of the records and the JSON schemas say the same: every key, and which of them may be absent."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from importlib import resources
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from gammawall.scenarios.calibration.record_types import CalibrationRecord
from gammawall.scenarios.claims.record_types import LedgerRecord
from gammawall.scenarios.record_types import ExposureRecord, RunRecord
from gammawall.scenarios.risk.record_types import RiskRecord

RECORDS = {
    "calibrate": CalibrationRecord,
    "exposures": ExposureRecord,
    "ledger": LedgerRecord,
    "risk": RiskRecord,
    "run": RunRecord,
}

WITHOUT_TABLES = ["run.exposures.report.vendor_vols is not in both"]
"""The vendor's vols are a table, which the exposures within a run's record have none of."""


def schema_of(name: str) -> dict[str, Any]:
    path = resources.files("gammawall.scenarios") / "schemas" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def parts(hint: Any) -> Iterator[Any]:
    """The record types within an annotation."""
    if is_typeddict(hint):
        yield hint
    elif get_origin(hint) in (list, Union, types.UnionType):
        for inner in get_args(hint):
            yield from parts(inner)


def inside(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The objects with named keys within a schema."""
    if "properties" in schema:
        yield schema
    for inner in [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]:
        yield from inside(inner)


def faults(record: Any, schema: dict[str, Any], at: str) -> list[str]:
    keys, hints = set(schema["properties"]), get_type_hints(record)
    told = get_type_hints(record, include_extras=True)
    found = [f"{at}.{name} is not in both" for name in sorted(keys ^ set(hints))]
    for name in sorted(keys & set(hints)):
        if (name in schema["required"]) != (get_origin(told[name]) is not NotRequired):
            found.append(f"{at}.{name} is required in one only")
        for part, of in zip(parts(hints[name]), inside(schema["properties"][name]), strict=False):
            found += faults(part, of, f"{at}.{name}")
    return found


@pytest.mark.parametrize("name", RECORDS)
def test_types_and_schemas_have_the_same_keys(name: str):
    assert [f for f in faults(RECORDS[name], schema_of(name), name) if f not in WITHOUT_TABLES] == []


def test_a_key_that_is_missing_within_is_found():
    schema = schema_of("run")
    del schema["properties"]["metrics"]["items"]["properties"]["stderr"]
    schema["properties"]["theory"]["items"]["required"].remove("z")
    assert faults(RunRecord, schema, "run") == [
        *WITHOUT_TABLES,
        "run.metrics.stderr is not in both",
        "run.theory.z is required in one only",
    ]
