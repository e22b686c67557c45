"""OCC option symbols: root, expiry date, type and strike in one key."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from gammawall.surfaces.clock import expiry_instant, is_session
from gammawall.surfaces.errors import InputError

__all__ = [
    "OCC_PATTERN",
    "OccFields",
    "expiry_column",
    "family",
    "format_symbols",
    "is_monthly",
    "parse_symbols",
    "plain_symbol",
    "root_on",
]

OCC_PATTERN = r"([A-Z]{1,6}\d?)(\d{6})([CP])(\d{8})"
"""Root, yymmdd, C or P, strike in thousandths."""

_WRITTEN = re.compile(r"(?:O:|\.)?([A-Z]{1,6}\d?)(\s*)(\d{6})([CP])(\d{1,8})", re.ASCII)
_INDEX_ALIASES = {"GSPC": "SPX", "INX": "SPX"}
_FAMILIES = {
    **dict.fromkeys(("SPXW", "SPXPM", "SPXQ", "SPXM", "SPXE"), "SPX"),
    **dict.fromkeys(("RUTW", "RUTQ"), "RUT"),
    **dict.fromkeys(("NDXP", "NDXW"), "NDX"),
    "VIXW": "VIX",
    "XSPW": "XSP",
}
_PM_ROOTS = {"SPX": "SPXW", "RUT": "RUTW", "NDX": "NDXP"}


class OccFields(NamedTuple):
    """Columns of parsed symbols; ``root`` is empty where the text was not a symbol."""

    root: np.ndarray  # str
    date: np.ndarray  # str, yymmdd
    is_call: np.ndarray  # bool
    strike: np.ndarray  # float64, index points


def parse_symbols(symbols: Iterable[str]) -> OccFields:
    """Fields of OCC symbols such as ``SPXW250904C06500000`` (written without spaces)."""
    pattern = re.compile(OCC_PATTERN, re.ASCII)
    found = [match.groups() if (match := pattern.fullmatch(s)) else ("", "", "", "0") for s in symbols]
    root, date, kind, thousandths = (np.array(column, dtype=object) for column in zip(*found, strict=True))
    return OccFields(root, date, kind == "C", thousandths.astype(float) / 1000.0)


def expiry_column(root: np.ndarray, date: np.ndarray) -> pd.DatetimeIndex:
    """Exact expiry instants of (root, yymmdd) pairs, each distinct pair worked out once.

    Raises:
        InputError: a date that is not on the calendar.
    """
    codes, keys = pd.factorize(root + "|" + date)
    instants = []
    for key in keys:
        name, day = key.split("|")
        try:
            when = dt.date(2000 + int(day[:2]), int(day[2:4]), int(day[4:]))
        except ValueError:
            raise InputError(f"the symbol {name}{day} has no such expiry date; yymmdd is expected") from None
        instants.append(expiry_instant(name, when))
    return pd.DatetimeIndex(instants)[codes]


def format_symbols(
    root: np.ndarray, expiry: pd.DatetimeIndex, strike: np.ndarray, is_call: np.ndarray
) -> np.ndarray:
    """OCC symbols of contracts given by their fields.

    Raises:
        InputError: a strike that eight digits of thousandths cannot hold.
    """
    exact = strike * 1000.0
    whole = np.rint(exact)
    fits = (whole > 0) & (whole < 1e8) & (np.abs(exact - whole) <= 1e-9 * np.abs(whole))
    if not fits.all():
        raise InputError(
            f"strike is {strike[~fits][0]}; an OCC symbol holds strikes above 0 and below 100,000 with three "
            "decimals: give the symbol column yourself"
        )
    fields = zip(root, expiry.strftime("%y%m%d"), np.where(is_call, "C", "P"), whole, strict=True)
    return np.array([f"{r}{day}{kind}{int(k):08d}" for r, day, kind, k in fields], dtype=object)


def plain_symbol(text: str) -> str:
    """OCC symbol without the spaces and prefixes vendors add; the text itself where it is none.

    ``O:SPXW250904C06500000``, ``SPXW  250904C06500000`` and, with its strike not padded,
    ``SPXW 250904C6500000`` are one contract. A strike that is not padded needs the space.
    """
    text = text.strip()
    if (match := _WRITTEN.fullmatch(text)) is None or (len(match[5]) < 8 and not match[2]):
        return text
    return f"{match[1]}{match[3]}{match[4]}{match[5]:0>8}"


def family(name: str) -> str:
    """Underlying of an option root or index ticker: ``SPX`` for ``SPXW``, ``^SPX``, ``I:SPX``, ``$SPX.X``."""
    bare = re.sub(r"^(?:[\^$_.]|I:)|(?:\.X| INDEX)$", "", name.strip().upper())
    bare = _INDEX_ALIASES.get(bare, bare)
    return _FAMILIES.get(bare, bare[:-1] if bare[-1:].isdigit() else bare)


def is_monthly(date: dt.date) -> bool:
    """True on third Fridays, and on the Thursday before one that is a holiday."""
    friday = date + dt.timedelta(days=(4 - date.weekday()) % 7)
    if not 15 <= friday.day <= 21:
        return False
    return date == friday or (date.weekday() == 3 and not is_session(friday))


def root_on(underlying: str, date: dt.date, am_settled: bool | None = None) -> str:
    """Root of an index's options by expiry date, for files that do not give it.

    Without a settlement flag, the AM-settled root on `is_monthly` dates and the PM-settled one elsewhere.
    """
    if am_settled is None:
        am_settled = is_monthly(date)
    return underlying if am_settled else _PM_ROOTS.get(underlying, underlying)
