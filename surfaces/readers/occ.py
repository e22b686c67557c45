"""OCC option symbols: root, expiry date, type and strike in one key."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from gammawall.surfaces.clock import expiry_instant
from gammawall.surfaces.errors import InputError

__all__ = ["OCC_PATTERN", "OccFields", "expiry_column", "format_symbols", "parse_symbols"]

OCC_PATTERN = r"([A-Z]{1,6}\d?)(\d{6})([CP])(\d{8})"
"""Root, yymmdd, C or P, strike in thousandths."""


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
