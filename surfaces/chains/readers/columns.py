"""The one table of column names: what each canonical column is called by whom, and vendors' quirks.

A new vendor is a name added to `NAMES` and, only if it has quirks, one `Vendor`. Names are compared by their
letters and digits alone: ``[C_BID]``, ``C Bid`` and ``c_bid`` are one name. Columns of nested records are
joined by a dot, as ``pandas.json_normalize`` does: ``greeks.delta``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

__all__ = ["NAMES", "VENDORS", "Layout", "Vendor", "find_layout", "plain"]

_NAMES = {
    # identity: an OCC symbol, or strike, expiry and kind together
    "symbol": (
        "contractsymbol optionsymbol occsymbol osisymbol rawsymbol detailsticker optionticker opra option "
        "symbol ticker"
    ),
    "root": "root rootsymbol optionroot",
    "underlying": "underlying underlyingsymbol underlyingticker underlyingassetticker ticker symbol",
    "expiry": "expiry expiration expirationdate expiredate expirdate exdate detailsexpirationdate",
    "strike": "strike strikeprice detailsstrikeprice",
    "kind": "optiontype cpflag putcall callput contracttype detailscontracttype instrumentclass right kind "
    "iscall type",
    "settlement": "amsettlement expirytod",
    # quotes: index points, contracts
    "bid": "bid bidprice bestbid bidpx bidpx00 bid1545 lastquotebid",
    "ask": "ask askprice bestask bestoffer offer askpx askpx00 ask1545 lastquoteask",
    "last": "last lastprice lasttradeprice lastsale",
    "volume": "volume tradevolume volu dayvolume",
    "open_interest": "openinterest openint oi",
    # what the vendor computed: annual decimal, per point
    "vendor_vol": "vendorvol impliedvolatility impliedvol implvolatility iv midiv greeksmidiv "
    "impliedvolatility1545",
    "vendor_delta": "vendordelta delta greeksdelta delta1545",
    "vendor_gamma": "vendorgamma gamma greeksgamma gamma1545",
    # of the whole snapshot: index points, time
    "spot": "spot spotprice spotpx underlyinglast underlyingprice activeunderlyingprice "
    "activeunderlyingprice1545 underlyingassetvalue underlyingassetprice stockprice stkpx",
    "stamp": "asof quotedatetime quotereadtime snapshottime timestamp tradedate quotedate date",
    "row_time": "lasttradedate lasttradetime lastquotelastupdated biddate",
}
NAMES: dict[str, tuple[str, ...]] = {canonical: tuple(names.split()) for canonical, names in _NAMES.items()}
"""Accepted names of each canonical column, the preferred one first."""

_SIDES = (("call", "put"), ("c", "p"))
_OF_A_SIDE = ("symbol", "bid", "ask", "last", "volume", "open_interest")
_OF_A_SIDE += ("vendor_vol", "vendor_delta", "vendor_gamma")
_OF_THE_CALL = ("vendor_delta",)


@dataclass(frozen=True)
class Vendor:
    """Where one vendor's table departs from the plain reading.

    Args:
        name: becomes the chain's format.
        needs: plain column names that together tell this vendor.
        names: accepted names that replace those of `NAMES`.
        scale: factor to points or decimals, by canonical column.
        lacks: canonical columns this vendor never gives: unknown rather than an error.
        close: New York time of quotes that carry a date only; the session's close by default.
        latest: rows carry times of their own, and the latest of each contract counts.
    """

    name: str
    needs: tuple[str, ...]
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    scale: dict[str, float] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    close: dt.time | None = None
    latest: bool = False


VENDORS = (
    Vendor("optionmetrics", ("bestbid", "bestoffer", "cpflag", "strikeprice"), scale={"strike": 1e-3}),
    Vendor("optionsdx", ("underlyinglast", "cbid", "pbid", "expiredate"), lacks=("open_interest",)),
    Vendor("orats", ("stkpx", "cbidpx", "pbidpx")),
    Vendor("orats", ("stockprice", "callbidprice", "putbidprice")),
    Vendor(
        "databento",
        ("bidpx00", "askpx00"),
        names={"stamp": ("tsrecv", "tsevent"), "last": ()},
        lacks=("open_interest",),
        latest=True,
    ),
    Vendor("polygon", ("detailsticker", "lastquotebid")),
    # Its trade_date is the time of each contract's last trade.
    Vendor(
        "tradier",
        ("rootsymbol", "optiontype", "expirationdate"),
        names={"stamp": (), "row_time": ("biddate", "tradedate")},
    ),
    Vendor("cboe_eod", ("bid1545", "ask1545"), close=dt.time(15, 45)),
    Vendor("yfinance", ("contractsymbol", "lasttradedate", "impliedvolatility")),
)
PLAIN = Vendor("long_table", ())


@dataclass(frozen=True)
class Layout:
    """Where a table's columns are.

    Args:
        vendor: the first one whose names are all there.
        sides: per side its kind (True call, False put, None when rows say it themselves) and the index of
            each canonical column.
        missing: what is needed and not there; nothing can be read unless this is empty.
    """

    vendor: Vendor
    sides: tuple[tuple[bool | None, dict[str, int]], ...]
    missing: tuple[str, ...]

    @property
    def used(self) -> list[int]:
        """Indices of all columns that are read."""
        return sorted({at for _, columns in self.sides for at in columns.values()})


def plain(name: object) -> str:
    """Letters and digits of a column's name, in lower case."""
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def find_layout(header: Sequence[object], is_symbol: Callable[[int], bool]) -> Layout:
    """Canonical columns of a table.

    Args:
        header: its column names.
        is_symbol: whether the column at an index holds OCC symbols, for names that also mean an underlying.
    """
    places: dict[str, int] = {}
    repeated: set[int] = set()
    for at, name in enumerate(map(plain, header)):
        if places.setdefault(name, at) != at:
            repeated.add(places[name])
    vendor = next((v for v in VENDORS if all(name in places for name in v.needs)), PLAIN)
    names = {**NAMES, **vendor.names}

    def find(canonical: str, prefix: str = "") -> int | None:
        found = (places[prefix + name] for name in names[canonical] if prefix + name in places)
        if canonical == "symbol":
            return next((at for at in found if is_symbol(at)), None)
        return next(found, None)

    shared = {canonical: at for canonical in names if (at := find(canonical)) is not None}
    if "symbol" in shared and shared.get("underlying") == shared["symbol"]:
        del shared["underlying"]
    for prefixes in _SIDES:
        if all(find(name, prefix) is not None for name in ("bid", "ask") for prefix in prefixes):
            sides = tuple(
                (is_call, _side(shared, {name: find(name, prefix) for name in _OF_A_SIDE}, is_call))
                for is_call, prefix in zip((True, False), prefixes, strict=True)
            )
            break
    else:
        sides = ((None, shared),)
    layout = Layout(vendor, sides, _missing(sides, vendor))
    twice = tuple(f"a single column {header[at]!s:.40}" for at in layout.used if at in repeated)
    return replace(layout, missing=layout.missing + twice)


def _side(shared: dict[str, int], own: dict[str, int | None], is_call: bool) -> dict[str, int]:
    # A greek given once per strike is the call's; gamma and vol are common to both.
    common = {
        name: at
        for name, at in shared.items()
        if name not in ("kind", "symbol", "bid", "ask") and (is_call or name not in _OF_THE_CALL)
    }
    return {**common, **{name: at for name, at in own.items() if at is not None}}


def _missing(sides: tuple[tuple[bool | None, dict[str, int]], ...], vendor: Vendor) -> tuple[str, ...]:
    missing: list[str] = []
    for is_call, columns in sides:
        wanted = ["bid", "ask", *(() if "open_interest" in vendor.lacks else ("open_interest",))]
        if "symbol" not in columns:
            wanted += ["strike", "expiry", *(("kind",) if is_call is None else ())]
        missing += [name for name in wanted if name not in columns and name not in missing]
    return tuple(missing)
