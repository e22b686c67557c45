"""From a table in any vendor's columns to quotes, with the place of everything that is wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from gammawall.surfaces.chains.readers import identity
from gammawall.surfaces.chains.readers.cells import brief, is_missing, number_column, time_column
from gammawall.surfaces.chains.readers.columns import Layout
from gammawall.surfaces.chains.readers.source import RawChain, Request
from gammawall.surfaces.clock import session_bounds, to_new_york
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.limits import LARGEST

__all__ = ["Table", "read_table"]

_OPTIONAL = ("last", "volume", "vendor_vol", "vendor_delta", "vendor_gamma")
_SAME_SNAPSHOT = pd.Timedelta(minutes=15)
_NO_VOL = 1e-4
"""Vendors write 0 or 0.00001 for a vol they could not compute."""
_NO_GREEK = -99.0
_FIXED_POINT = 1e7
_UNDEFINED = 9.2e9  # the largest 64-bit integer in billionths


@dataclass(frozen=True)
class Table:
    """Columns of cells as they were written.

    Args:
        layout: which column is what.
        columns: cells by column index, all of one length; at least the layout's ``used`` ones.
        where: place of a row, for messages: ``FILE, line 12``.
        format: name of the file's format.
    """

    layout: Layout
    columns: dict[int, Sequence[Any] | pd.Series]
    where: Callable[[int], str]
    format: str

    def refuse(self, row: int, message: str) -> NoReturn:
        """Raise the InputError of one row."""
        raise InputError(f"{self.where(row)}: {message}")


def read_table(
    table: Table, request: Request, *, spot: float | None = None, as_of: pd.Timestamp | None = None
) -> RawChain:
    """Quotes of a table.

    Args:
        table: its columns.
        request: what the caller said; picks the snapshot and the underlying where there are several.
        spot: index level written outside the table, points.
        as_of: time written outside the table.

    Raises:
        InputError: cells that are no quotes, several snapshots or underlyings and none chosen.
    """
    notes: list[str] = []
    rows, stamp, latest = _snapshot(table, request, notes)
    frames, quoted, scale = [], [], table.layout.vendor.scale
    for is_call, columns in table.layout.sides:
        cells = {name: _take(table.columns[at], rows) for name, at in columns.items()}
        side = identity.Side(cells, rows, is_call, table.refuse, scale.get("strike", 1.0))
        quotes = identity.read_identity(side, request, notes)
        frames.append(quotes.assign(**_numbers(table, side, notes)))
        if "spot" in cells:
            quoted.append(number_column(cells["spot"]))
    quotes = pd.concat(frames, ignore_index=True)
    if table.layout.vendor.latest:
        notes.append("rows carry times of their own: the latest of each contract counts")
    dropped = {"other time": (_length(table) - rows.size) * len(frames)}
    quotes, dropped["other underlying"] = identity.one_family(quotes, request)
    return RawChain(
        table.format,
        quotes,
        _level(quoted, notes) if spot is None else spot,
        as_of if stamp is None else stamp,
        tuple(dict.fromkeys(notes)),
        {reason: count for reason, count in dropped.items() if count},
        latest,
    )


def _length(table: Table) -> int:
    return len(table.columns[table.layout.used[0]])


def _take(cells: Sequence[Any] | pd.Series, rows: np.ndarray) -> Sequence[Any] | pd.Series:
    if rows.size == len(cells) and (rows == np.arange(rows.size)).all():
        return cells
    return cells.iloc[rows] if isinstance(cells, pd.Series) else [cells[i] for i in rows]


def _snapshot(
    table: Table, request: Request, notes: list[str]
) -> tuple[np.ndarray, pd.Timestamp | None, pd.Timestamp | None]:
    # Rows of the wanted snapshot, its time, and the time of the latest trade as a hint.
    shared, rows = table.layout.sides[0][1], np.arange(_length(table))
    latest = None
    if "row_time" in shared:
        known = [t for t in time_column(table.columns[shared["row_time"]])[1] if t is not None]
        latest = max(known, default=None)
    if "stamp" not in shared:
        return rows, None, latest
    cells = table.columns[shared["stamp"]]
    codes, times = time_column(cells)
    for code, when in enumerate(times):
        if when is None:
            row = int(np.argmax(codes == code))
            table.refuse(
                row, f"the time of the quotes is {brief(_cell(cells, row))}; an ISO time is expected"
            )
    known = [t for t in times if t is not None]
    if not known:
        return rows, None, latest
    instants = pd.DatetimeIndex(known)
    if (instants == instants.normalize()).all():
        known = [_close(t, table.layout.vendor.close) for t in known]
        notes.append(
            f"the file gives the date only: as_of is {known[0]:%H:%M}; for another instant give as_of=… or "
            "--as-of …"
        )
    if table.layout.vendor.latest:
        rows, chosen = _latest_first(codes, known, request)
        return rows, chosen, latest
    chosen = _choose(known, request)
    if chosen is None:
        notes.append(f"rows were updated between {min(known):%H:%M:%S} and {max(known):%H:%M:%S}")
        return rows, max(known), latest
    wanted = [code for code, t in enumerate(known) if t == chosen]
    return rows[np.isin(codes, wanted) | ((codes < 0) & (len(set(known)) == 1))], chosen, latest


def _close(day: pd.Timestamp, close: dt.time | None) -> pd.Timestamp:
    if close is None:
        try:
            return session_bounds(day.date())[1]
        except InputError:
            close = dt.time(16, 0)
    return to_new_york(dt.datetime.combine(day.date(), close))


def _latest_first(
    codes: np.ndarray, known: list[pd.Timestamp], request: Request
) -> tuple[np.ndarray, pd.Timestamp]:
    limit = request.as_of
    if limit is not None and limit == limit.normalize():
        limit = limit + pd.Timedelta(days=1)
    early = [t for t in known if limit is None or t <= limit]
    if not early:
        raise InputError(f"{request.name} has no quote at or before as_of; its first is of {min(known)}")
    instants = np.array([*(_ns(t) for t in known), np.iinfo(np.int64).min])[codes]
    rows = np.argsort(-instants.astype(float), kind="stable")
    return rows[instants[rows] <= _ns(max(early))], max(early)


def _ns(instant: pd.Timestamp) -> int:
    return int(instant.as_unit("ns").value)


def _choose(known: list[pd.Timestamp], request: Request) -> pd.Timestamp | None:
    distinct, want = sorted(set(known)), request.as_of
    if len(distinct) == 1:
        return distinct[0]
    if want is not None:
        same_day = [t for t in distinct if t.date() == want.date()]
        early = [t for t in same_day if t <= want] if want != want.normalize() else same_day
        if early or same_day:
            return (early or same_day[:1])[-1]
    elif distinct[-1] - distinct[0] <= _SAME_SNAPSHOT:
        return None
    raise InputError(
        f"{request.name} holds quotes of {len(distinct)} times from {distinct[0]:%Y-%m-%d %H:%M} to "
        f"{distinct[-1]:%Y-%m-%d %H:%M}{'' if want is None else ', none on the day of as_of'}; choose one: "
        "as_of=… or --as-of …"
    )


def _numbers(table: Table, side: identity.Side, notes: list[str]) -> dict[str, np.ndarray]:
    kind, cells, scale = side.kind, side.cells, table.layout.vendor.scale
    columns: dict[str, np.ndarray] = {}
    for name in ("bid", "ask", "open_interest"):
        values = number_column(cells[name]) if name in cells else np.full(side.rows.size, np.nan)
        absent = (
            np.array([is_missing(c) for c in cells[name]]) if name in cells else np.ones(values.size, bool)
        )
        side.require(
            (values >= 0) | absent, name, f"the {kind}{name.replace('_', ' ')}", "a number, 0 or more"
        )
        columns[name] = values * scale.get(name, 1.0)
        if name == "open_interest":
            continue
        if absent.all():
            side.require(~absent, name, f"the {kind}{name}", "a price in at least one row")
        if absent.any():
            notes.append(
                f"{int(absent.sum())} {kind}quotes have no {name} written: it counts as 0, no {name}"
            )
        columns[name][absent] = 0.0
    if table.layout.vendor.name == "databento":
        _fixed_point(columns, notes)
    for name, values in columns.items():
        side.require(~(values > LARGEST), name, f"the {kind}{name.replace('_', ' ')}", f"at most {LARGEST:g}")
    unread = 0
    for name in _OPTIONAL:
        columns[name] = np.full(side.rows.size, np.nan)
        if name in cells:
            columns[name] = number_column(cells[name], percent=name == "vendor_vol") * scale.get(name, 1.0)
            bad = np.isnan(columns[name])
            unread += sum(not is_missing(_cell(cells[name], int(i))) for i in np.flatnonzero(bad))
    if unread:
        notes.append(f"{unread} cells of {kind}last price, volume, vol or greeks are not numbers: missing")
    columns["vendor_vol"][~(columns["vendor_vol"] > _NO_VOL)] = np.nan
    for name in ("vendor_delta", "vendor_gamma"):
        columns[name][columns[name] <= _NO_GREEK] = np.nan
    return columns


def _fixed_point(columns: dict[str, np.ndarray], notes: list[str]) -> None:
    prices = np.concatenate([columns["bid"], columns["ask"]])
    if not (prices.max() >= _FIXED_POINT and (prices == np.rint(prices)).all()):
        return
    notes.append("prices are integers in billionths")
    for name in ("bid", "ask"):
        columns[name] *= 1e-9
        columns[name][columns[name] > _UNDEFINED] = 0.0


def _level(quoted: list[np.ndarray], notes: list[str]) -> float | None:
    levels = np.concatenate(quoted) if quoted else np.array([])
    levels = levels[np.isfinite(levels) & (levels > 0)]
    if not levels.size:
        return None
    level = float(np.median(levels))
    if np.ptp(levels) > 1e-4 * level:
        notes.append(
            f"the index level varies over the rows, {levels.min():g} to {levels.max():g}: the median counts"
        )
    return level


def _cell(cells: Sequence[Any] | pd.Series, row: int) -> Any:
    return cells.iloc[row] if isinstance(cells, pd.Series) else cells[row]
