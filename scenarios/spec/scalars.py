"""What a single value of a scenario file may be: readers that return it or say what it must be."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from gammawall.surfaces.clock import is_session
from gammawall.surfaces.errors import InputError

__all__ = [
    "MOST_POINTS",
    "good",
    "one_of",
    "read_corridor",
    "read_drift",
    "read_instant",
    "read_number",
    "read_whole",
    "shown",
]

MOST_POINTS = 1e8
"""Largest index level. This limit and the others lie far outside of what markets do; nothing overflows."""

Read = TypeVar("Read")

_MOST_DRIFT = 1e4
_EXAMPLE = "such as 2026-01-28T09:30:00"


def read_number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError("must be a number")
    try:
        read = float(value)
    except OverflowError:
        read = math.inf
    if not math.isfinite(read):
        raise ValueError("must be a finite number")
    return read


def read_whole(value: object) -> int:
    number = read_number(value)
    if not number.is_integer():
        raise ValueError("must be a whole number")
    return int(value) if isinstance(value, numbers.Integral) else int(number)


def read_instant(value: object) -> datetime:
    if isinstance(value, str) and any(mark in value for mark in "T "):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"must be a date and time {_EXAMPLE}") from None
    if not isinstance(value, datetime) or value is pd.NaT:
        raise ValueError(f"must be a date and time {_EXAMPLE}")
    if value.tzinfo is not None:
        raise ValueError(f"must be New York time, written without Z or an offset, {_EXAMPLE}")
    try:
        is_session(value)
    except InputError as error:
        raise ValueError(f"must lie inside the trading calendar ({error})") from None
    return value


def read_drift(value: object) -> float | str:
    if value == "martingale":
        return "martingale"
    percent = good(read_number, value)
    if percent is None or not abs(percent) <= _MOST_DRIFT:
        raise ValueError(f'must be "martingale" or a number up to ±{_MOST_DRIFT:,.0f}, percent per year')
    return percent


def read_corridor(value: Any) -> tuple[float, float]:
    try:
        low, high = map(read_number, value)
        if 0.0 < low < high <= MOST_POINTS:
            return low, high
    except (TypeError, ValueError):
        pass
    raise ValueError("must be two levels above 0, the lower first, such as [7000.0, 7020.0]")


def one_of(allowed: Iterable[str]) -> Callable[[object], str]:
    """The reader of one name out of a few."""
    names = tuple(allowed)

    def read(value: object) -> str:
        if isinstance(value, str) and value in names:
            return value
        near = difflib.get_close_matches(str(value), names, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        *first, last = map(repr, names)
        raise ValueError(f"must be {', '.join(first)}{' or ' if first else ''}{last}{hint}")

    return read


def good(read: Callable[[Any], Read], value: object) -> Read | None:
    """What `read` makes of a value, None where it refuses."""
    try:
        return read(value)
    except ValueError:
        return None


def shown(value: object) -> str:
    """A value for a message."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (list, tuple)) and any(isinstance(entry, Mapping) for entry in value):
        return "a list of tables"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
