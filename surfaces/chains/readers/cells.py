"""Numbers and times as vendors write them, one column at a time."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from gammawall.surfaces.chains.readers.stamp import find_stamp
from gammawall.surfaces.clock import Instant, to_new_york
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import ONE_PERCENT

__all__ = ["NUMBER", "brief", "is_missing", "number", "number_column", "time", "time_column"]

NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_MISSING = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>", "nat"})
_ISO = re.compile(
    r"(\d{4})[-/](\d{2})[-/](\d{2})(?:[T ]+\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?"
)
_US_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:\s+(\d{1,2}:\d{2}(?::\d{2})?))?")
_NAMED_MONTHS = ("%d%b%Y", "%d %b %Y", "%d-%b-%Y", "%b %d %Y", "%b %d, %Y", "%a %b %d %Y", "%B %d, %Y")
# Seconds, milli-, micro- and nanoseconds since 1970 are told apart by size: each covers 1973 to 2100.
_EPOCHS = ((1e10, 10**9), (1e13, 10**6), (1e16, 10**3), (4.2e18, 1))
_FIRST_EPOCH = 1e8


def is_missing(cell: object) -> bool:
    """True for None, NaN, NaT, and the words vendors write for them."""
    if isinstance(cell, str):
        return cell.strip().lower() in _MISSING
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and cell != cell)


def brief(cell: object) -> str:
    """A cell as it is shown in a message: plain ASCII, 60 characters at most."""
    text = ascii(cell.item() if isinstance(cell, np.generic) else cell)
    return text if len(text) <= 60 else text[:57] + "..."


def number(cell: object, *, decimal_comma: bool = False, percent: bool = False) -> float:
    """Finite value of a cell (``6,485.64``; ``15.2%`` where percent is allowed), NaN when it is not one."""
    if isinstance(cell, (bool, np.bool_)):
        return np.nan
    if isinstance(cell, str):
        cell = cell.strip()
        scale, cell = (ONE_PERCENT, cell[:-1].rstrip()) if percent and cell.endswith("%") else (1.0, cell)
        if decimal_comma:
            cell = cell.translate(str.maketrans(",.", ".,"))
        if _THOUSANDS.fullmatch(cell):
            cell = cell.replace(",", "")
        value = scale * float(cell) if NUMBER.fullmatch(cell) else np.nan
    elif isinstance(cell, (int, float, np.integer, np.floating)):
        try:
            value = float(cell)
        except OverflowError:
            return np.nan
    else:
        return np.nan
    return value if np.isfinite(value) else np.nan


def number_column(
    cells: Sequence[Any] | pd.Series, *, decimal_comma: bool = False, percent: bool = False
) -> np.ndarray:
    """Finite values of a column, NaN where a cell holds none."""
    if isinstance(cells, pd.Series) and cells.dtype.kind in "iuf":
        values = cells.to_numpy(float, na_value=np.nan)
        return np.where(np.isfinite(values), values, np.nan)
    # The quick way accepts a few spellings that are not numbers ("nan", "1_0"): those end as NaN below.
    cells = list(cells)
    kinds = set(map(type, cells))
    quick = kinds <= {float, int} or (kinds == {str} and not any("_" in cell for cell in cells))
    if quick:
        try:
            values = np.array(cells).astype(float)
            return np.where(np.isfinite(values), values, np.nan)
        except (ValueError, OverflowError):
            pass
    return np.array([number(cell, decimal_comma=decimal_comma, percent=percent) for cell in cells], float)


def time(cell: object) -> pd.Timestamp | None:
    """New York instant of a cell, midnight for a bare date, or None when it cannot be read.

    ISO dates and times, ``YYYYMMDD``, seconds to nanoseconds since 1970 (UTC; a midnight there is a date),
    month/day/year, month names. Without a zone, New York is meant.
    """
    try:
        if isinstance(cell, (dt.date, np.datetime64)):
            stamp = _instant(cell)
        elif isinstance(cell, str) and not NUMBER.fullmatch(cell.strip()):
            stamp = _written(cell.strip())
        else:
            stamp = _counted(number(cell))
    except (InputError, ValueError, OverflowError):
        return None
    return stamp if stamp is not None and 1990 <= stamp.year <= 2100 else None


def time_column(cells: Sequence[Any] | pd.Series) -> tuple[np.ndarray, list[pd.Timestamp | None]]:
    """Distinct values of a column: the code of each cell (−1 where missing) and the instant of each code."""
    codes: dict[Any, int] = {}
    index = np.array([-1 if is_missing(c) else codes.setdefault(_key(c), len(codes)) for c in cells], int)
    return index, [time(cell) for cell in codes]


def _key(cell: object) -> Any:
    return cell if isinstance(cell, (str, int, float, dt.date, np.generic)) else repr(cell)


def _counted(value: float) -> pd.Timestamp | None:
    if 19900101 <= value <= 21001231:
        return _instant(dt.datetime.strptime(str(int(value)), "%Y%m%d"))
    scale = next((scale for limit, scale in _EPOCHS if _FIRST_EPOCH <= value < limit), None)
    if scale is None:
        return None
    stamp = np.datetime64(int(value) * scale, "ns")
    day = stamp.astype("M8[D]")
    return _instant(str(day) if day == stamp else f"{stamp}Z")


def _written(text: str) -> pd.Timestamp | None:
    if len(text) > 80:
        return None
    if _ISO.fullmatch(text):
        plain = text.replace("/", "-").replace("UTC", "Z")
        return _instant(re.sub(r"\s+(?=[Z+-])", "", re.sub(r"\s+(?=\d)", " ", plain)))
    if match := _US_DATE.fullmatch(text):
        return _instant(f"{match[3]}-{int(match[1]):02d}-{int(match[2]):02d} {match[4] or ''}".strip())
    for form in _NAMED_MONTHS:
        try:
            return _instant(dt.datetime.strptime(text, form))
        except ValueError:
            continue
    return find_stamp(text)


def _instant(when: Instant) -> pd.Timestamp:
    return cast(pd.Timestamp, to_new_york(when))
