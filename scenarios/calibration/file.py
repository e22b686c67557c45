"""A daily record of the index and dealers' gamma, read from a CSV file."""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gammawall.surfaces.errors import InputError
from gammawall.surfaces.limits import read_limited
from gammawall.surfaces.units import USD_BN

__all__ = ["LEAST_DAYS", "History", "read_history"]

LEAST_DAYS = 100
"""Fewest days from which an impact is estimated."""

_NAMES = {"date": ("date",), "close": ("close", "price"), "gex": ("gex_usd_per_1pct", "gex")}
_MOST_BYTES, _MOST_ROWS = 20_000_000, 20_000
_LARGEST_MOVE = 0.5
_LONGEST_GAP_DAYS = 7
_LEAST_GEX, _MOST_GEX = 1e7, 1e13
"""USD per 1 %: a median below or above is another unit, not the gamma of an index."""

_DECAY, _WARM_UP = 0.94, 20


@dataclass(frozen=True)
class History:
    """Gamma at each close and the return of the next day, one row per pair of days.

    `date` is the day of the return: what a period contains is decided by when the return happened.
    """

    file: str
    date: np.ndarray
    """day of the return, datetime64[D], [n]"""
    absolute_return: np.ndarray
    """|ln(close / close of the day before)|, [n]"""
    gex: np.ndarray
    """at the close of the day before, USD bn per 1 %, [n]"""
    past_vol: np.ndarray
    """daily vol of the returns up to that close, exponentially weighted, > 0, [n]"""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.date.size

    def select(self, rows: np.ndarray) -> History:
        """The rows of a mask."""
        arrays = (self.date, self.absolute_return, self.gex, self.past_vol)
        return History(self.file, *(a[rows] for a in arrays), notes=self.notes)

    def between(self, first: str | None = None, last: str | None = None) -> History:
        """Returns from the day `first` to before the day `last`, ISO dates."""
        rows = np.ones(len(self), bool)
        if first is not None:
            rows &= self.date >= np.datetime64(first)
        if last is not None:
            rows &= self.date < np.datetime64(last)
        return self.select(rows)


def read_history(path: str | os.PathLike[str]) -> History:
    """Read a CSV with the columns date, close and gex (or gex_usd_per_1pct), in any order, among others.

    Args:
        path: one row per trading day, oldest first; gex in USD per 1 % move.

    Raises:
        InputError: the file cannot be read, a column is missing, or a value in it cannot be right.
    """
    table = _read_table(Path(path))
    columns = {want: _find(table, want, names) for want, names in _NAMES.items()}
    date = _dates(columns["date"])
    close, gex = _numbers(columns["close"]), _numbers(columns["gex"])
    least = LEAST_DAYS + _WARM_UP + 1
    if date.size < least:
        raise InputError(f"the file has {date.size} days: an impact needs at least {least}")
    _check_close(close, date)
    _check_unit(gex, str(columns["gex"].name))
    moves = np.diff(np.log(close))
    gaps = np.diff(date).astype(int)
    late, kept = np.arange(moves.size) >= _WARM_UP, gaps <= _LONGEST_GAP_DAYS
    notes = [
        f"{date.size:,} days from {date[0]} to {date[-1]}; the first {_WARM_UP} returns only start past vol."
    ]
    left_out = int((late & ~kept).sum())
    if left_out:
        notes.append(f"{left_out:,} returns over more than {_LONGEST_GAP_DAYS} calendar days are left out.")
    past = _past_vol(moves)
    whole = History(Path(path).name, date[1:], np.abs(moves), gex[:-1] / USD_BN, past, tuple(notes))
    return whole.select(late & kept)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        content = io.BytesIO(read_limited(path, _MOST_BYTES))
        with warnings.catch_warnings():
            # Rows longer than the header are cut with a warning only.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                content, dtype=str, encoding="utf-8-sig", skipinitialspace=True, index_col=False
            )
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise InputError(f"{path} is not a CSV file with a line of column names: {error}") from None
    if len(table) > _MOST_ROWS:
        raise InputError(f"{path} has {len(table):,} rows: at most {_MOST_ROWS:,} days are read")
    return table


def _find(table: pd.DataFrame, want: str, names: tuple[str, ...]) -> pd.Series:
    found = [i for i, c in enumerate(table.columns) if str(c).strip().lower() in names]
    if len(found) == 1:
        return table.iloc[:, found[0]]
    have = ", ".join(map(str, table.columns))[:200]
    if found:
        raise InputError(
            f"several columns could be {want}: {', '.join(map(str, table.columns[found]))}; keep one"
        )
    raise InputError(f"there is no column {' or '.join(names)}; the file has {have}")


def _dates(column: pd.Series) -> np.ndarray:
    parsed = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
    if parsed.isna().any():
        row = int(np.argmax(parsed.isna()))
        raise InputError(f"line {row + 2}: date {column.iloc[row]!r} is not a date such as 2026-01-28")
    days = np.asarray(parsed.dt.tz_localize(None), "datetime64[D]")
    wrong = np.flatnonzero(np.diff(days).astype(int) <= 0)
    if wrong.size:
        row = int(wrong[0]) + 1
        what = "appears twice" if days[row] == days[row - 1] else f"comes after {days[row - 1]}"
        raise InputError(f"line {row + 2}: date {days[row]} {what}; sort the file by date, one row per day")
    return days


def _numbers(column: pd.Series) -> np.ndarray:
    values = np.asarray(pd.to_numeric(column, errors="coerce"), float)
    wrong = ~np.isfinite(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"line {row + 2}: {column.name} {column.iloc[row]!r} is not a number; plain digits are read, "
            "without separators or units"
        )
    return values


def _check_close(close: np.ndarray, date: np.ndarray) -> None:
    if (close <= 0.0).any():
        row = int(np.argmax(close <= 0.0))
        raise InputError(f"line {row + 2}: close must be positive; got {close[row]:g}")
    moves = np.abs(np.diff(np.log(close)))
    if moves.max() > _LARGEST_MOVE:
        row = int(np.argmax(moves)) + 1
        raise InputError(
            f"line {row + 2}: close goes from {close[row - 1]:g} to {close[row]:g} on {date[row]}, which no "
            "index does in a day; is it one series in one unit?"
        )
    if not moves[:_WARM_UP].any():
        raise InputError(
            f"close stays at {close[0]:g} for {_WARM_UP} days: there is no volatility to explain"
        )


def _check_unit(gex: np.ndarray, name: str) -> None:
    if np.ptp(gex) == 0.0:
        raise InputError(f"{name} is {gex[0]:g} on every day: an impact needs gamma that changes")
    middle = float(np.median(np.abs(gex)))
    if middle < _LEAST_GEX:
        near = "bn" if middle < 1e3 else "mn"
        raise InputError(
            f"{name} must be in USD per 1 % move; its median size is {middle:,.3g}, which looks like "
            f"USD {near}: multiply it by {1e9 if near == 'bn' else 1e6:.0e}"
        )
    if middle > _MOST_GEX:
        raise InputError(
            f"{name} must be in USD per 1 % move; its median size is {middle:,.3g}, more than any index has: "
            "multiply gamma in USD per 100 % by 0.01"
        )


def _past_vol(moves: np.ndarray) -> np.ndarray:
    """Vol before each return, v²ₜ₊₁ = d v²ₜ + (1 − d) r²ₜ, from the mean square of the first 20 on."""
    squares = moves**2
    variance = np.full(moves.size, np.nan)
    variance[_WARM_UP] = squares[:_WARM_UP].mean()
    for day in range(_WARM_UP, moves.size - 1):
        variance[day + 1] = _DECAY * variance[day] + (1.0 - _DECAY) * squares[day]
    return np.sqrt(variance)
