"""The Cboe quote table as CSV: one line per strike, the call on the left and the put on the right.

Columns are found by their place around the two option symbols, because pages translate the header.
"""

from __future__ import annotations

import csv
import re
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from gammawall.surfaces.chains.readers.cells import NUMBER, number, number_column
from gammawall.surfaces.chains.readers.occ import OCC_PATTERN, OccFields, expiry_column, parse_symbols
from gammawall.surfaces.chains.readers.source import RawChain, Request
from gammawall.surfaces.chains.readers.stamp import find_stamp
from gammawall.surfaces.errors import InputError

__all__ = ["DELAY_MINUTES", "FORMAT", "matches", "read"]

FORMAT = "cboe_csv"
DELAY_MINUTES = 15
"""Free quotes are this much older than the page says."""

_SYMBOL = re.compile(OCC_PATTERN)
_LOOKS_LIKE_SYMBOL = re.compile(r"[A-Z]{1,6}\d?\d{6}[CP]\d")
_SIDE = (
    "symbol",
    "last",
    "net",
    "bid",
    "ask",
    "volume",
    "vendor_vol",
    "vendor_delta",
    "vendor_gamma",
    "open_interest",
)
_HEADER = (
    "calls",
    "last sale",
    "net",
    "bid",
    "ask",
    "volume",
    "iv",
    "delta",
    "gamma",
    "open interest",
    "strike",
)
_SEPARATORS = (",", ";", "\t")
_PUT_OFFSET = len(_HEADER)
_LAYOUT = (*_HEADER, "puts", *_HEADER[1:10])
_REQUIRED = ("bid", "ask", "open_interest")
_LEVEL = re.compile(r":\s*(\d[\d.,]*)")
_CLOCK_TIME = re.compile(r"\d:\d\d")


class _Table(NamedTuple):
    name: str
    preamble: list[str]
    call: int  # column of the call's symbol
    columns: list[tuple[str, ...]]
    lines: np.ndarray  # line number of each row, from 1
    decimal_comma: bool


def matches(head: str) -> bool:
    """True when some line of the file's beginning holds a call and a put symbol of one contract."""
    return any(_separator(line) is not None for line in head.splitlines())


def _separator(line: str) -> str | None:
    return next((s for s in _SEPARATORS if _call_column(line.split(s)) is not None), None)


def read(text: str, request: Request) -> RawChain:
    """Quotes of a Cboe quote table.

    Args:
        text: the whole file.
        request: its path, for messages.

    Raises:
        InputError: a damaged or unexpected table, with its line number.
    """
    name = request.name
    table = _split(text, name)
    _check_header(table)
    call, put = (_symbols(table, shift, kind) for shift, kind in ((0, "call"), (_PUT_OFFSET, "put")))
    _check_pairs(table, call, put)
    try:
        expiry = expiry_column(call.root, call.date)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    parts = [
        pd.DataFrame(
            {"root": fields.root, "expiry": expiry, "strike": fields.strike, "is_call": fields.is_call}
        ).assign(**_side(table, table.call + shift, kind))
        for fields, shift, kind in ((call, 0, "call"), (put, _PUT_OFFSET, "put"))
    ]
    quotes = pd.concat(parts, ignore_index=True)
    quotes["root"] = quotes["root"].astype("str")
    _check_shape(table, quotes)
    notes = []
    unread = int(np.isnan(quotes[["last", "volume", "vendor_delta", "vendor_gamma"]].to_numpy(float)).sum())
    if unread:
        notes.append(
            f"{unread} cells of last price, volume, delta or gamma are not numbers and count as missing"
        )
    if not text.endswith(("\n", "\r")):
        notes.append("the last line has no line end: if the file was cut short, its last number may be too")
    spot, as_of, remarks = _preamble(table)
    return RawChain(FORMAT, quotes, spot, as_of, (*notes, *remarks))


def _call_column(cells: list[str]) -> int | None:
    cells = [cell.strip().strip('"') for cell in cells]
    for i in range(len(cells) - _PUT_OFFSET):
        if _SYMBOL.fullmatch(cells[i]) and _SYMBOL.fullmatch(cells[i + _PUT_OFFSET]):
            return i
    return None


def _split(text: str, name: str) -> _Table:
    physical = text.splitlines()
    # Symbols hold no separators, so a plain split finds the first line of data in any dialect.
    start = next((i for i, line in enumerate(physical) if matches(line)), None)
    if start is None:
        raise InputError(f"{name}: no line holds a call and a put symbol; a quote table has one per strike")
    separator = _separator(physical[start]) or ","
    call = _call_column(physical[start].split(separator)) or 0
    _check_before(physical[:start], name, separator)
    width = call + _PUT_OFFSET + len(_SIDE)
    rows, lines = [], []
    reader = csv.reader(physical[start:], delimiter=separator, strict=True)
    try:
        for row in reader:
            if not any(map(str.strip, row)):
                continue
            if len(row) < width or any(map(str.strip, row[width:])):
                cut = len(row) < width and start + reader.line_num >= len(physical)
                raise InputError(
                    f"{name}, line {start + reader.line_num}: {len(row)} fields where {width} are expected"
                    f"{', so the file is cut short' if cut else ''}: download the table again"
                )
            rows.append(row[:width])
            lines.append(start + reader.line_num)
    except csv.Error as error:
        raise InputError(
            f"{name}, line {start + reader.line_num}: {error}; check the quotation marks"
        ) from None
    decimal_comma = separator != "," and any("," in cell for row in rows for cell in row[call + 3 : call + 5])
    preamble = physical[:start]
    return _Table(name, preamble, call, list(zip(*rows, strict=True)), np.array(lines), decimal_comma)


def _check_before(before: list[str], name: str, separator: str) -> None:
    # A damaged first row must not pass for a header.
    for at, line in enumerate(before, start=1):
        numeric = sum(bool(NUMBER.fullmatch(cell.strip())) for cell in line.split(separator))
        if _LOOKS_LIKE_SYMBOL.search(line) or numeric > 4:
            raise InputError(f"{name}, line {at}: a row of quotes with unreadable symbols: got {line[:60]!r}")


def _check_header(table: _Table) -> None:
    header = next((line for line in reversed(table.preamble) if line.strip(", ;\t")), "")
    cells = [re.sub(r"\.\d+$", "", cell.strip(' "').lower()) for cell in re.split("[,;\t]", header)]
    for at, expected in enumerate(_LAYOUT, start=table.call):
        got = cells[at] if at < len(cells) else ""
        if got in _LAYOUT and got != expected:
            raise InputError(
                f"{table.name}, line {len(table.preamble)}: column {at + 1} is {got!r} where {expected!r} is "
                f"expected; the order is {', '.join(_HEADER)}"
            )


def _symbols(table: _Table, shift: int, kind: str) -> OccFields:
    cells = table.columns[table.call + shift]
    fields = parse_symbols(cell.replace(" ", "") for cell in cells)
    bad = (fields.root == "") | (fields.is_call != (kind == "call"))
    if bad.any():
        at = int(np.argmax(bad))
        raise InputError(
            f"{table.name}, line {table.lines[at]}: the {kind}'s symbol is {cells[at]!r}; one such as "
            f"SPXW250904{kind[0].upper()}06500000 is expected"
        )
    return fields


def _check_pairs(table: _Table, call: OccFields, put: OccFields) -> None:
    strikes = number_column(table.columns[table.call + _PUT_OFFSET - 1], decimal_comma=table.decimal_comma)
    apart = (call.root != put.root) | (call.date != put.date) | (call.strike != put.strike)
    wrong = apart | ~(np.abs(strikes - call.strike) < 5e-4) | ~(strikes > 0)
    if wrong.any():
        at = int(np.argmax(wrong))
        cells = [table.columns[table.call + j][at] for j in (_PUT_OFFSET - 1, 0, _PUT_OFFSET)]
        raise InputError(
            f"{table.name}, line {table.lines[at]}: strike {cells[0]!r}, call {cells[1]!r}, put {cells[2]!r} "
            "are not one contract pair; download the table again or mend the line"
        )


def _side(table: _Table, first: int, kind: str) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "symbol": pd.array([cell.replace(" ", "") for cell in table.columns[first]], dtype="str")
    }
    for i, field in enumerate(_SIDE):
        if field in ("symbol", "net"):
            continue
        cells = table.columns[first + i]
        values = number_column(cells, decimal_comma=table.decimal_comma)
        bad = ~(values >= 0) if field in _REQUIRED else np.zeros(len(values), bool)
        if bad.any():
            at = int(np.argmax(bad))
            raise InputError(
                f"{table.name}, line {table.lines[at]}: the {kind}'s {field.replace('_', ' ')} is "
                f"{cells[at]!r}; a number, 0 or more, is expected: download the table again or mend the line"
            )
        columns[field] = values
    columns["vendor_vol"] = np.where(columns["vendor_vol"] > 0, columns["vendor_vol"], np.nan)
    return columns


def _check_shape(table: _Table, quotes: pd.DataFrame) -> None:
    # Under a translated header only the numbers can tell that the columns are in another order.
    delta, bid, ask = (quotes[name].to_numpy(float) for name in ("vendor_delta", "bid", "ask"))
    side = np.where(quotes["is_call"].to_numpy(bool), delta, -delta)
    odd = {
        "deltas outside 0 to 1": (np.mean((side < -0.01) | (side > 1.01)), 0.02),
        "bids above their asks": (np.mean((ask > 0) & (bid > ask)), 0.2),
    }
    for what, (share, limit) in odd.items():
        if share > limit:
            raise InputError(
                f"{table.name}: {share:.0%} of rows have {what}; the columns are not in the order "
                f"{', '.join(_HEADER)}"
            )


def _preamble(table: _Table) -> tuple[float | None, pd.Timestamp | None, list[str]]:
    spot = _level([line for line in table.preamble if not _CLOCK_TIME.search(line)], table.decimal_comma)
    stamp = next((found for line in table.preamble if (found := find_stamp(line)) is not None), None)
    if stamp is None:
        return spot, None, []
    note = f"quotes are delayed: as_of is the page's {stamp:%Y-%m-%d %H:%M} less {DELAY_MINUTES} minutes"
    return spot, cast(pd.Timestamp, stamp - pd.Timedelta(minutes=DELAY_MINUTES)), [note]


def _level(lines: list[str], decimal_comma: bool) -> float | None:
    # The first number behind a colon, whatever the label's language: "Last: 6,485.64".
    found = next((match for line in lines if (match := _LEVEL.search(line))), None)
    if found is None:
        return None
    values = (number(found[1].rstrip(",."), decimal_comma=comma) for comma in {decimal_comma, False})
    return next((value for value in values if value > 0), None)
