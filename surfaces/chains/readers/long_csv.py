"""Tables with a header line: one row per contract, or per strike with call and put columns, of any vendor."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from gammawall.surfaces.chains.readers.cells import is_missing
from gammawall.surfaces.chains.readers.columns import Layout, find_layout
from gammawall.surfaces.chains.readers.occ import parse_symbols, plain_symbol
from gammawall.surfaces.chains.readers.source import RawChain, Request
from gammawall.surfaces.chains.readers.table import Table, read_table
from gammawall.surfaces.errors import InputError

__all__ = ["header_problem", "matches", "read"]

_SEPARATORS = (",", "\t", ";", "|")
_HEADER_LINES = 20
_PEEK = 25


def matches(head: str) -> bool:
    """True when one of the first lines names all columns that are needed."""
    found = _find(head)
    return found is not None and not found[2].missing


def header_problem(head: str) -> str | None:
    """What the best header line lacks, None when no line looks like one."""
    if (found := _find(head)) is None:
        return None
    return f"line {found[0]} looks like a header but lacks {', '.join(found[2].missing)}"


def read(text: str, request: Request) -> RawChain:
    """Quotes of a table with a header.

    Raises:
        InputError: a damaged table, with its line number.
    """
    found = _find(text)
    if found is None or found[2].missing:
        raise InputError(f"{request.name}: {header_problem(text) or 'no line names the columns'}")
    start, separator, layout, width = found
    cells: list[tuple[str, ...]] = []
    lines: list[int] = []
    used = layout.used
    for line, row in _rows(text, separator, request.name):
        if line <= start or not any(map(str.strip, row)):
            continue
        if len(row) < width or any(map(str.strip, row[width:])):
            raise InputError(
                f"{request.name}, line {line}: {len(row)} fields where {width} are expected: download the "
                "table again or mend the line"
            )
        cells.append(tuple([row[at] for at in used]))
        lines.append(line)
    if not cells:
        raise InputError(f"{request.name}: no row follows the header in line {start}")
    numbers = np.array(lines)
    table = Table(
        layout,
        dict(zip(used, map(list, zip(*cells, strict=True)), strict=True)),
        lambda row: f"{request.name}, line {numbers[row]}",
        layout.vendor.name,
    )
    raw = read_table(table, request)
    if not text.endswith(("\n", "\r")):
        note = "the last line has no line end: if the file was cut short, its last number may be too"
        raw = replace(raw, notes=(*raw.notes, note))
    return raw


def _rows(text: str, separator: str, name: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True
    )
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        line = reader.line_num
        raise InputError(f"{name}, line {line}: {error}; check the quotation marks") from None


def _find(text: str) -> tuple[int, str, Layout, int] | None:
    # Line number of the header, its separator, what it names, its number of columns.
    best = None
    lines = text[: 1 << 18].splitlines()[: _HEADER_LINES + _PEEK]
    for at, line in enumerate(lines[:_HEADER_LINES]):
        for separator in _SEPARATORS:
            if line.count(separator) < 3:
                continue
            header, *sample = (_split(one, separator) for one in lines[at : at + _PEEK])
            layout = find_layout(header, lambda i, rows=sample: _holds_symbols(rows, i))
            width = len(header)
            while width and not header[width - 1].strip():
                width -= 1
            if not {"bid", "ask"} & set(layout.sides[0][1]):
                continue
            if best is None or len(layout.missing) < len(best[2].missing):
                best = at + 1, separator, layout, width
    return best


def _split(line: str, separator: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(separator)]


def _holds_symbols(rows: list[list[str]], at: int) -> bool:
    cells = [row[at] for row in rows if at < len(row) and not is_missing(row[at])]
    return bool(cells) and bool((parse_symbols(map(plain_symbol, cells)).root != "").any())
