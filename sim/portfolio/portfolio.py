"""A portfolio of index options and futures: its owner's own positions, which are not the dealers' book."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from gammawall.surfaces.clock import NEW_YORK, new_york
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.sessions import FIRST_YEAR, LAST_YEAR
from gammawall.surfaces.units import EMINI_MULTIPLIER, MULTIPLIER

__all__ = ["COLUMNS", "MOST_POSITIONS", "TYPES", "Portfolio"]

TYPES = ("call", "put", "future")
COLUMNS = ("type", "contracts", "strike", "expiry", "vol_pct", "multiplier", "label")
"""of a table of positions; the first four must be there"""
MOST_POSITIONS = 100_000

_NEEDED = COLUMNS[:4]
_LONGEST_LABEL = 100
_Allowed = tuple[str, Callable[[np.ndarray], np.ndarray]]
_ALLOWED: dict[str, _Allowed] = {
    "contracts": ("a number from -1e9 to 1e9, + for what is held long", lambda v: np.abs(v) <= 1e9),
    "strike": ("index points above 0 and at most 1e7", lambda v: (v > 0.0) & (v <= 1e7)),
    "vol_pct": ("percent per year from 0.01 to 1,000, such as 12.5", lambda v: (v >= 0.01) & (v <= 1e3)),
    "multiplier": ("USD per index point above 0 and at most 1e6", lambda v: (v > 0.0) & (v <= 1e6)),
}


@dataclass(frozen=True, eq=False)
class Portfolio:
    """Positions in calls, puts and futures on the index, as arrays of one length.

    A position is positive where its owner is long.
    """

    kind: np.ndarray
    """"call", "put" or "future\""""
    contracts: np.ndarray
    strike: np.ndarray
    """index points; NaN for a future"""
    expiry: pd.DatetimeIndex
    """settlement instants, New York; NaT for a future that does not settle in any window"""
    vol: np.ndarray
    """that the owner marks the option with, annual decimal; NaN where not given"""
    multiplier: np.ndarray
    """USD per index point"""
    label: np.ndarray
    ignored: tuple[str, ...] = ()
    """columns of the table that were not read"""

    def __len__(self) -> int:
        return self.kind.size

    @property
    def is_future(self) -> np.ndarray:
        return self.kind == "future"

    def frame(self) -> pd.DataFrame:
        """The positions as the table that `from_frame` reads."""
        columns = (self.kind, self.contracts, self.strike, self.expiry, 100.0 * self.vol)
        values = (*columns, self.multiplier, self.label)
        return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Portfolio:
        """Read a table with one position per row.

        Args:
            frame: with the columns ``type`` (call, put or future), ``contracts`` (+ long), ``strike`` (index
                points) and ``expiry`` (date and time, New York if without a zone), and if wanted ``vol_pct``
                (percent per year; empty where the scenario's market vol is to be taken), ``multiplier`` (USD
                per index point: 100 for options and 50 for futures where empty) and ``label``. A future has
                no strike and no vol, and need not expire. Values may be text, as in a CSV. Other columns are
                left out and named in `ignored`.

        Raises:
            InputError: a column is missing or misspelt, or a value is not possible; names row and column,
                rows counted from 1.
        """
        table, ignored = _named(frame)
        kind = _kinds(_column(table, "type"))
        future = kind == "future"
        contracts = _numbers(table, "contracts", np.zeros(0))
        strike, vol = (_of_options(table, name, future) for name in ("strike", "vol_pct"))
        missing = np.flatnonzero(np.isnan(strike) & ~future)
        if missing.size:
            raise _wrong(missing[0], "strike", "is missing", "an option needs one, in index points")
        multiplier = _numbers(table, "multiplier", np.where(future, EMINI_MULTIPLIER, MULTIPLIER))
        expiry = _expiries(_column(table, "expiry"), future)
        label = _labels(table, kind, strike, expiry)
        return cls(kind, contracts, strike, expiry, vol / 100.0, multiplier, label, ignored)


def _named(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table with the names of its columns made plain, and the columns that are not ours."""
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"a portfolio must be a DataFrame or a Portfolio; got a {type(frame).__name__}")
    names = [str(name).strip().lower() for name in frame.columns]
    twice = sorted({name for name in names if name in COLUMNS and names.count(name) > 1})
    if twice:
        raise InputError(f"column {twice[0]} appears twice: keep one")
    given = ", ".join(map(repr, names))[:200] or "none"
    for name in _NEEDED:
        if name not in names:
            raise InputError(
                f"column {name} is missing from the line of column names: a portfolio needs "
                f"{', '.join(_NEEDED)}; got {given}"
            )
    others = tuple(name for name in names if name not in COLUMNS)
    for name in others:
        near = difflib.get_close_matches(name, set(COLUMNS) - set(names), 1, 0.7)
        if near:
            raise InputError(f"column {name!r} is not known: did you mean {near[0]}?")
    if not len(frame):
        raise InputError("the portfolio has no rows: add one line per position below the column names")
    if len(frame) > MOST_POSITIONS:
        raise InputError(f"the portfolio has {len(frame):,} rows: at most {MOST_POSITIONS:,} are read")
    table = frame.set_axis(names, axis=1).reset_index(drop=True)
    return table, tuple(name[:50] for name in others)


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    return cast(pd.Series, table[name])


def _wrong(row: int | np.integer, column: str, what: str, rule: str) -> InputError:
    return InputError(f"row {int(row) + 1}, column {column}: {what}; {rule}")


def _blank(column: pd.Series) -> np.ndarray:
    return np.asarray(column.isna() | (column.astype(str).str.strip() == ""))


def _shown(cell: object) -> str:
    return repr(cell if isinstance(cell, str) else str(cell))[:60]


def _numbers(table: pd.DataFrame, name: str, default: np.ndarray) -> np.ndarray:
    """A column of numbers; an empty cell takes its default, where there is one."""
    rule, good = _ALLOWED[name]
    if name not in table:
        return default.astype(float)
    column = _column(table, name)
    blank = _blank(column)
    if blank.any() and not default.size:
        raise _wrong(np.argmax(blank), name, "is missing", f"it must be {rule}")
    values = np.array(pd.to_numeric(column.where(~blank), errors="coerce"), float)
    with np.errstate(invalid="ignore"):
        bad = ~blank & ~(np.isfinite(values) & good(values))
    if bad.any():
        row = int(np.argmax(bad))
        raise _wrong(row, name, f"must be {rule}", f"got {_shown(column.iloc[row])}")
    return np.where(blank, default, values) if default.size else values


def _of_options(table: pd.DataFrame, name: str, future: np.ndarray) -> np.ndarray:
    """A column that only options have; NaN where empty."""
    if name not in table:
        return np.full(len(table), np.nan)
    column = _column(table, name)
    given = np.flatnonzero(future & ~_blank(column))
    if given.size:
        got = f"got {_shown(column.iloc[given[0]])}"
        raise _wrong(given[0], name, "a future has none: leave the cell empty", got)
    return _numbers(table, name, np.full(len(table), np.nan))


def _kinds(column: pd.Series) -> np.ndarray:
    kinds = column.astype(str).str.strip().str.lower().to_numpy(str)
    bad = ~np.isin(kinds, TYPES)
    if bad.any():
        row = int(np.argmax(bad))
        near = difflib.get_close_matches(str(kinds[row]), TYPES, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        got = f"got {_shown(column.iloc[row])}"
        raise _wrong(row, "type", f"must be call, put or future{hint}", got)
    return kinds


def _expiries(column: pd.Series, future: np.ndarray) -> pd.DatetimeIndex:
    blank = _blank(column)
    found: dict[Any, pd.Timestamp] = {}
    stamps: list[Any] = []
    rule = "it must be a date and time such as 2026-01-28T16:00:00"
    for row, cell in enumerate(column):
        if blank[row]:
            if not future[row]:
                raise _wrong(row, "expiry", "is missing", rule)
            stamps.append(pd.NaT)
            continue
        if cell not in found:
            try:
                stamp = new_york(cell.strip() if isinstance(cell, str) else cell)
            except InputError:
                raise _wrong(row, "expiry", f"got {_shown(cell)}", rule) from None
            if not FIRST_YEAR <= stamp.year <= LAST_YEAR:
                years = f"the trading calendar runs from {FIRST_YEAR} to {LAST_YEAR}"
                raise _wrong(row, "expiry", f"got {_shown(cell)}", years)
            if stamp == stamp.normalize():
                raise _wrong(row, "expiry", f"got {_shown(cell)} without a time of day", rule)
            found[cell] = stamp
        stamps.append(found[cell])
    return pd.DatetimeIndex(stamps, tz=NEW_YORK).as_unit("ns")


def _labels(
    table: pd.DataFrame, kind: np.ndarray, strike: np.ndarray, expiry: pd.DatetimeIndex
) -> np.ndarray:
    """Labels as given; where there is none, what the position is."""
    given = _column(table, "label") if "label" in table else pd.Series([""] * len(table))
    blank = _blank(given)
    labels = []
    for row, text in enumerate(given.astype(str).str.strip()):
        if blank[row]:
            when = "" if pd.isna(expiry[row]) else f" {expiry[row]:%Y-%m-%d %H:%M}"
            level = "" if kind[row] == "future" else f"{strike[row]:,.10g} "
            text = f"{level}{kind[row]}{when}"
        elif text[0] in "=+-@":
            rule = "it would be a formula in a spreadsheet: begin with a letter or a digit"
            raise _wrong(row, "label", f"got {_shown(text)}", rule)
        elif len(text) > _LONGEST_LABEL or not text.isprintable():
            rule = f"it must be at most {_LONGEST_LABEL} printable characters"
            raise _wrong(row, "label", f"got {_shown(text)}", rule)
        labels.append(text)
    return np.array(labels, object)
