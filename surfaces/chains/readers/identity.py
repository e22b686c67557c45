"""Which contract a row is: its OCC symbol, read, or written from strike, expiry and kind."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from gammawall.surfaces.chains.readers.cells import brief, is_missing, number_column, time_column
from gammawall.surfaces.chains.readers.occ import family, is_monthly, parse_symbols, plain_symbol, root_on
from gammawall.surfaces.chains.readers.source import Request
from gammawall.surfaces.clock import AM_SETTLED, expiry_instant
from gammawall.surfaces.errors import InputError

__all__ = ["Side", "one_family", "read_identity"]

_CALLS, _PUTS = {"c", "call", "calls", "true"}, {"p", "put", "puts", "false"}
_AM, _PM = {"1", "1.0", "true", "am"}, {"0", "0.0", "false", "pm"}
_KNOWN = ("SPX", "NDX", "RUT", "XSP", "VIX", "SPY", "QQQ", "IWM")
_LARGEST_STRIKE = 1e5
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Side:
    """The rows of a table that make one contract each.

    Args:
        cells: canonical columns, one cell per row.
        rows: index of each row in the whole table.
        is_call: what all rows are, or None when they say it themselves.
        refuse: raises the InputError of a row of the whole table.
        strike_scale: factor from the written strike to points.
    """

    cells: dict[str, Sequence[Any] | pd.Series]
    rows: np.ndarray
    is_call: bool | None
    refuse: Callable[[int, str], NoReturn]
    strike_scale: float = 1.0

    @property
    def kind(self) -> str:
        """``call's``, ``put's`` or nothing, for messages."""
        return {None: "", True: "call's ", False: "put's "}[self.is_call]

    def require(self, good: np.ndarray, column: str, what: str, allowed: str) -> None:
        """Refuse the first row that is not good."""
        if not good.all():
            at = int(np.argmin(good))
            cells = self.cells[column]
            cell = cells.iloc[at] if isinstance(cells, pd.Series) else cells[at]
            self.refuse(
                int(self.rows[at]), f"{what} is {brief(cell)}; {allowed} is expected: mend or drop that row"
            )


def read_identity(side: Side, request: Request, notes: list[str]) -> pd.DataFrame:
    """Columns ``symbol root expiry strike is_call`` of the rows.

    Raises:
        InputError: a symbol, strike, expiry or kind that cannot be read, or that contradicts the symbol.
    """
    strike, dates, is_call = _fields(side)
    if "symbol" in side.cells:
        symbols = [plain_symbol(s) if isinstance(s, str) else "" for s in side.cells["symbol"]]
        fields = parse_symbols(symbols)
        side.require(fields.root != "", "symbol", "the option symbol", "an OCC one, SPXW250904C06500000,")
        root, code, day = fields.root, fields.root + "|" + fields.date, _days(side, fields.date)
        _agree(side, fields.strike, strike, day, dates, fields.is_call, is_call)
        strike, is_call, symbol = fields.strike, fields.is_call, np.array(symbols, object)
    else:
        assert strike is not None
        assert dates is not None
        assert is_call is not None
        day = dates
        root = _roots(side, day, request, notes)
        written = np.array([f"{d:%y%m%d}" for d in day], object)
        code = root + "|" + written
        symbol = np.array(
            [
                f"{r}{d}{'C' if c else 'P'}{int(k):08d}"
                for r, d, c, k in zip(root, written, is_call, np.rint(strike * 1000), strict=True)
            ],
            object,
        )
    _check_settlement(side, root, notes)
    return pd.DataFrame(
        {
            "symbol": pd.array(symbol, dtype="str"),
            "root": pd.array(root, dtype="str"),
            "expiry": _instants(side, root, code, day),
            "strike": strike,
            "is_call": is_call.astype(bool),
        }
    )


def one_family(quotes: pd.DataFrame, request: Request) -> tuple[pd.DataFrame, int]:
    """Quotes of the one underlying, and how many of others were left out.

    Raises:
        InputError: several underlyings and none asked for, or none of the one asked for.
    """
    roots = quotes["root"].unique()
    families = {root: family(root) for root in roots}
    if request.underlying is None:
        if len(set(families.values())) > 1:
            raise InputError(
                f"{request.name} holds options on {', '.join(sorted(set(families.values()))[:6])}; choose "
                "one in Python: read_chain(…, underlying=…)"
            )
        return quotes, 0
    wanted = family(request.underlying)
    keep = np.array([families[root] for root in quotes["root"]], object) == wanted
    if not keep.any():
        held = ", ".join(sorted(set(families.values()))[:6])
        raise InputError(f"{request.name} has no option on {wanted}; it holds {held}")
    return quotes.loc[keep].reset_index(drop=True), int((~keep).sum())


def _fields(side: Side) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    cells, strike, dates = side.cells, None, None
    is_call = None if side.is_call is None else np.full(side.rows.size, side.is_call)
    if "strike" in cells:
        strike = number_column(cells["strike"]) * side.strike_scale
        exact = np.abs(strike * 1000 - np.rint(strike * 1000)) <= 1e-6
        good = (strike > 0) & (strike < _LARGEST_STRIKE) & exact
        side.require(good, "strike", "the strike", "a number above 0 and below 100,000 with three decimals")
    if "expiry" in cells:
        codes, times = time_column(cells["expiry"])
        known = np.array([t is not None for t in times] + [False])
        side.require(known[codes], "expiry", "the expiry", "a date such as 2025-09-19")
        dates = np.array([None if t is None else t.date() for t in [*times, None]], object)[codes]
    if "kind" in cells and is_call is None:
        words = np.array([str(c).strip().lower() for c in cells["kind"]], object)
        calls = np.isin(words, list(_CALLS))
        side.require(calls | np.isin(words, list(_PUTS)), "kind", "the option's type", "call or put")
        is_call = calls
    return strike, dates, is_call


def _days(side: Side, written: np.ndarray) -> np.ndarray:
    days: dict[str, dt.date | None] = {}
    for text in set(written):
        try:
            days[text] = dt.date(2000 + int(text[:2]), int(text[2:4]), int(text[4:]))
        except ValueError:
            days[text] = None
    column = np.array([days[text] for text in written], object)
    side.require(
        column != np.array(None), "symbol", "the option symbol", "one with an expiry on the calendar"
    )
    return column


def _agree(
    side: Side,
    strike: np.ndarray,
    other_strike: np.ndarray | None,
    day: np.ndarray,
    other_day: np.ndarray | None,
    is_call: np.ndarray,
    other_call: np.ndarray | None,
) -> None:
    # Columns that were moved against each other show where a row contradicts its own symbol.
    if other_strike is not None:
        side.require(np.abs(strike - other_strike) < 5e-4, "strike", "the strike", "the symbol's own")
    if other_call is not None:
        column = "kind" if side.is_call is None else "symbol"
        side.require(is_call == other_call, column, f"the option's {column}", "the same side as its symbol's")
    if other_day is not None:
        # Saturdays of older listings and times written in UTC move a date by one.
        days = pd.to_datetime(pd.Series(day)) - pd.to_datetime(pd.Series(other_day))
        side.require((days.abs() <= _DAY).to_numpy(), "expiry", "the expiry", "the symbol's own")


def _roots(side: Side, day: np.ndarray, request: Request, notes: list[str]) -> np.ndarray:
    if "root" in side.cells:
        root = np.array([str(r).strip().upper() for r in side.cells["root"]], object)
        good = np.array([r.isascii() and r.isalnum() and 1 <= len(r) <= 7 and r[0].isalpha() for r in root])
        side.require(good, "root", "the root", "one such as SPXW")
        return root
    if "underlying" in side.cells:
        names = np.array(["" if is_missing(c) else family(str(c)) for c in side.cells["underlying"]], object)
        good = np.array([n.isascii() and n.isalpha() and len(n) <= 6 for n in names])
        side.require(good, "underlying", "the underlying", "a ticker such as SPX")
    else:
        names = np.full(side.rows.size, _named(request, notes), object)
    am = [None] * side.rows.size if "settlement" not in side.cells else _settlement(side)
    keys = list(zip(names, day, am, strict=True))
    known = {key: root_on(*key) for key in set(keys)}
    root = np.array([known[key] for key in keys], object)
    unsure = {key for key in known if key[2] is None and root_on(key[0], key[1], False) != key[0]}
    if unsure:
        monthly = sum(key in unsure and is_monthly(key[1]) for key in keys)
        notes.append(
            "the file has no option symbols: contracts of third Fridays are taken as AM-settled, all others "
            f"as PM-settled; {monthly} contracts of third Fridays could be either"
        )
    return root


def _named(request: Request, notes: list[str]) -> str:
    if request.underlying is not None:
        return family(request.underlying)
    base = request.name.replace("\\", "/").rsplit("/", 1)[-1].upper()
    known = next((n for n in _KNOWN if base.startswith((f"{n}_", f"{n}-", f"{n}."))), None)
    if known is None:
        raise InputError(
            f"{request.name}: no column says which underlying this is; begin the file's name with it, "
            "such as SPX_…, or give underlying=… in Python"
        )
    notes.append(f"the underlying {known} is taken from the file's name")
    return known


def _settlement(side: Side) -> list[bool | None]:
    words = [str(c).strip().lower() for c in side.cells["settlement"]]
    return [True if w in _AM else False if w in _PM else None for w in words]


def _check_settlement(side: Side, root: np.ndarray, notes: list[str]) -> None:
    if "settlement" not in side.cells:
        return
    flags = _settlement(side)
    odd = sum(am is not None and am != (r in AM_SETTLED) for am, r in zip(flags, root, strict=True))
    if odd:
        notes.append(
            f"the settlement flag of {odd} {side.kind}contracts differs from their root's: the root counts"
        )


def _instants(side: Side, root: np.ndarray, code: np.ndarray, day: np.ndarray) -> pd.DatetimeIndex:
    index, keys = pd.factorize(code)
    instants = []
    for at in range(len(keys)):
        row = int(np.argmax(index == at))
        try:
            instants.append(expiry_instant(root[row], day[row]))
        except InputError as error:
            side.refuse(int(side.rows[row]), str(error))
    return pd.DatetimeIndex(instants)[index]
