"""Reading a run's record that may be missing pieces: what is absent is empty, never an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gammawall.scenarios.pages.drawing import real

__all__ = ["at", "entries", "leaves", "mapping", "metric_entry"]


def metric_entry(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((m for m in entries(document, "metrics") if m.get("name") == name), {})


def entries(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [r for r in document.get(key) or () if isinstance(r, Mapping)]


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def at(record: Mapping[str, Any], section: str, key: str) -> float | None:
    return real(mapping(record.get(section)).get(key))


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a nested record by dotted name; a list of plain values is one value."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(entry, Mapping) for entry in value):
        for index, entry in enumerate(value):
            yield from leaves(entry, f"{key}[{index}]")
    else:
        yield key, value
