"""Reading a run's record that may be missing pieces: what is absent is empty, never an error."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gammawall.surfaces.errors import InputError

__all__ = [
    "FORMAT",
    "at",
    "entries",
    "leaves",
    "mapping",
    "metric_entry",
    "read_record",
    "real",
    "record_digest",
    "series_array",
]

FORMAT = 1
"""Of the records that runs, sweeps, ledgers and risks write, as ``format``. A change that this version would
misread takes the next number; new keys do not. Records from before there was a number have none."""
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def metric_entry(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((m for m in entries(document, "metrics") if m.get("name") == name), {})


def entries(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [r for r in document.get(key) or () if isinstance(r, Mapping)]


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def at(record: Mapping[str, Any], section: str, key: str) -> float | None:
    return real(mapping(record.get(section)).get(key))


def leaves(value: object, key: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a nested record by dotted name; a list of plain values is one value."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(entry, Mapping) for entry in value):
        for index, entry in enumerate(value):
            yield from leaves(entry, f"{key}[{index}]")
    else:
        yield key, value


def real(value: object) -> float | None:
    """``value`` as a float, or None where it is missing, not a number, NaN or infinite."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number beyond every float
        return None


def series_array(series: Mapping[str, Any], name: str, *, ndim: int = 1) -> np.ndarray:
    """Array ``name`` of the series in float64; empty if absent, of another rank or nowhere finite."""
    try:
        array = np.asarray(series.get(name, ()), dtype=np.float64)
    except (TypeError, ValueError):
        return np.empty((0,) * ndim)
    return array if array.ndim == ndim and np.isfinite(array).any() else np.empty((0,) * ndim)


def read_record(content: bytes, source: object) -> dict[str, Any]:
    """A record as `to_json` wrote it, of this format or an earlier one.

    Args:
        content: the JSON text.
        source: where it is from, for the message.

    Raises:
        InputError: its format is newer.
        ValueError: it is no record, damaged, too deep, or holds half a character, which cannot be written
            again.
    """
    try:
        record = json.loads(content)
        if _HALF.search(content):
            json.dumps(record, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError("it holds no record")
    number = record.get("format", FORMAT)
    if type(number) is not int or number < 1:
        raise ValueError(f"its format must be a whole number from 1 to {FORMAT}; got {number!r:.40}")
    if number > FORMAT:
        raise InputError(
            f"{source} is a record of format {number}, and this version reads formats up to {FORMAT}: "
            "upgrade gammawall to the version that wrote it, or a later one"
        )
    return record


def record_digest(value: object) -> str:
    """SHA-256 of a record, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()
