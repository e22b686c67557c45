"""Frames in any vendor's columns."""

from __future__ import annotations

import pandas as pd

from gammawall.surfaces.chains.readers.cells import is_missing
from gammawall.surfaces.chains.readers.columns import NAMES, VENDORS, find_layout, plain
from gammawall.surfaces.chains.readers.occ import parse_symbols, plain_symbol
from gammawall.surfaces.chains.readers.source import RawChain, Request
from gammawall.surfaces.chains.readers.table import Table, read_table
from gammawall.surfaces.errors import InputError

__all__ = ["read"]

_PEEK = 100
_WORDS = {w for names in (NAMES, *(v.names for v in VENDORS)) for words in names.values() for w in words}


def read(frame: pd.DataFrame, request: Request) -> RawChain:
    """Quotes of a frame; a named index that means something is read as a column.

    Raises:
        InputError: a column that is needed is missing, or a cell is no quote, with its row.
    """
    named = [name for name in frame.index.names if name is not None and plain(name) in _WORDS]
    if named and not set(named) & set(frame.columns):
        frame = frame.reset_index(level=named)
    header = [".".join(map(str, c)) if isinstance(c, tuple) else str(c) for c in frame.columns]
    layout = find_layout(header, lambda at: _holds_symbols(frame.iloc[:_PEEK, at]))
    if layout.missing or frame.empty:
        what = f"lacks {', '.join(layout.missing)}" if layout.missing else "is empty"
        raise InputError(
            f"{request.name} {what}; its columns are {', '.join(map(ascii, header[:20]))[:300]}: rename them "
            "as in gammawall.surfaces.chains.readers.columns.NAMES"
        )
    labels = frame.index
    table = Table(
        layout,
        {at: frame.iloc[:, at] for at in layout.used},
        lambda row: f"{request.name}, row {labels[row]!r}",
        layout.vendor.name,
    )
    return read_table(table, request)


def _holds_symbols(cells: pd.Series) -> bool:
    words = [plain_symbol(cell) for cell in cells if isinstance(cell, str) and not is_missing(cell)]
    return bool(words) and bool((parse_symbols(words).root != "").any())
