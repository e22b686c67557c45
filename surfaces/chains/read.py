"""The one way from a vendor's file or frame to an option chain."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import replace

import numpy as np
import pandas as pd

from gammawall.surfaces.chains.chain import (
    QUOTE_COLUMNS,
    REQUIRED_NUMBERS,
    ChainReport,
    OptionChain,
    check_quotes,
    column,
    require,
)
from gammawall.surfaces.chains.forwards import imply_spot
from gammawall.surfaces.chains.readers import READERS, frame, long_csv
from gammawall.surfaces.chains.readers.occ import OccFields, expiry_column, format_symbols, parse_symbols
from gammawall.surfaces.chains.readers.source import RawChain, Request, load_text
from gammawall.surfaces.clock import expiry_instant, is_session, session_bounds, to_new_york
from gammawall.surfaces.errors import InputError

__all__ = ["read_chain"]

_OPTIONAL = ("last", "volume", "vendor_vol", "vendor_delta", "vendor_gamma")
_HEAD_CHARACTERS = 1 << 16


def read_chain(
    source: str | os.PathLike[str] | pd.DataFrame,
    *,
    as_of: str | dt.date | None = None,
    spot: float | None = None,
    underlying: str | None = None,
) -> OptionChain:
    """Read an option chain from a vendor's file or frame; the format is told from the content.

    Args:
        source: a file, or a frame with the columns of one: a Cboe quote table saved as CSV in any page
            language, JSON of Cboe or Yahoo, or any table or list of records whose columns
            ``readers.columns.NAMES`` knows (yfinance, OptionMetrics, ORATS, OptionsDX, Databento, Polygon,
            Tradier, Cboe DataShop). A name ending in ``.gz`` is unpacked. A frame may also have a chain's
            own columns: ``bid``, ``ask`` (points) and ``open_interest`` (contracts), and either ``symbol`` or
            all of ``root``, ``expiry``, ``strike``, ``is_call``; an expiry at midnight is a date and becomes
            the settlement instant of its root.
        as_of: instant of the quotes; by default the file's own stamp less the vendor's delay. Where a file
            holds several, the last one at or before it on its day; a bare date means any time of that day.
        spot: index level in points; by default the file's own, or the one implied by put-call parity.
        underlying: which one, where the file holds several or does not say: ``SPX``.

    Returns:
        The live contracts; those left out are counted in ``report.dropped``.

    Raises:
        InputError: no such file, a format that is not known, a damaged table (with its line or path), or no
            spot or date in the file where none was given.

    Example:
        >>> read = surfaces.read_chain(quotes, spot=7000.0, as_of="2026-01-28T09:30")  # or the path of a file
        >>> len(read.quotes), read.report.rows_kept
        (68, 68)
    """
    given = None if as_of is None else to_new_york(as_of)
    if isinstance(source, pd.DataFrame):
        name, raw = "", _read_frame(source, Request("the frame", given, underlying))
    else:
        name = os.fspath(source)
        raw = _read_text(load_text(source), Request(name, given, underlying))
    stamp = given
    if given is None or (raw.as_of is not None and given == given.normalize() == raw.as_of.normalize()):
        stamp = raw.as_of
    title = name or "the frame"
    if stamp is None:
        trade = raw.latest_trade
        hint = "" if trade is None else f"; its latest trade is of {trade:%Y-%m-%d %H:%M} New York"
        raise InputError(
            f"{title} has no date line that can be read{hint}; give the date: as_of=… or --as-of … (and the "
            "index level, or it will be implied: spot=… or --spot …)"
        )
    report = ChainReport(
        path=name,
        format=raw.format,
        rows_read=len(raw.quotes) + sum(raw.dropped.values()),
        dropped=raw.dropped,
        notes=(*_time_notes(raw, stamp, given), *_staleness(stamp)),
    )
    try:
        return _assemble(raw.quotes, raw.spot if spot is None else float(spot), stamp, report)
    except InputError as error:
        raise InputError(f"{name}: {error}" if name else str(error)) from None


def _read_frame(source: pd.DataFrame, request: Request) -> RawChain:
    # The chain's own vocabulary keeps exact expiry instants; vendors' tables give dates.
    if "is_call" in source or set(source.columns) <= set(QUOTE_COLUMNS):
        return RawChain("frame", _complete(source), None, None)
    return frame.read(source, request)


def _read_text(text: str, request: Request) -> RawChain:
    head = text[:_HEAD_CHARACTERS]
    reader = next((r for r in READERS if r.matches(head)), None)
    if reader is None:
        problem = long_csv.header_problem(head) or "no line names columns"
        raise InputError(
            f"{request.name} is not in a known format ({problem}); a Cboe quote table, a table with a header "
            "and one row per contract or per strike, or JSON is expected"
        )
    return reader.read(text, request)


def _time_notes(raw: RawChain, stamp: pd.Timestamp, given: pd.Timestamp | None) -> list[str]:
    notes = [n for n in raw.notes if stamp is raw.as_of or "as_of is" not in n]
    if given is not None and raw.as_of is not None and stamp is given:
        notes.append(
            f"as_of was given as {given:%Y-%m-%d %H:%M}; the file's own is {raw.as_of:%Y-%m-%d %H:%M}"
        )
    if raw.latest_trade is not None and raw.latest_trade > stamp:
        notes.append(f"the latest trade listed, {raw.latest_trade:%Y-%m-%d %H:%M} New York, is after as_of")
    return notes


def _staleness(stamp: pd.Timestamp) -> list[str]:
    if is_session(stamp.date()):
        start, end = session_bounds(stamp.date())
        if start <= stamp <= end:
            return []
    return [f"{stamp:%Y-%m-%d %H:%M} is outside the regular session: the index may be older than the quotes"]


def _assemble(
    quotes: pd.DataFrame, spot: float | None, as_of: pd.Timestamp, report: ChainReport
) -> OptionChain:
    notes, dropped = list(report.notes), dict(report.dropped)
    twice = quotes["symbol"].duplicated().to_numpy(bool)
    expired = ~twice & (quotes["expiry"] <= as_of).to_numpy(bool)
    if twice.any():
        dropped["duplicate"] = int(twice.sum())
        notes.append(f"{dropped['duplicate']} rows repeat a symbol: the first of each is kept")
    if expired.any():
        dropped["expired"] = int(expired.sum())
        notes.append(f"{dropped['expired']} contracts had expired by {as_of:%Y-%m-%d %H:%M} and are left out")
    if (twice | expired).all():
        raise InputError(
            f"no live contract is left of {report.rows_read} at {as_of:%Y-%m-%d %H:%M} New York; check the "
            "date (as_of=… or --as-of …)"
        )
    order = {"expiry": True, "root": True, "strike": True, "is_call": False}
    quotes = quotes.loc[~(twice | expired), list(QUOTE_COLUMNS)]
    quotes = quotes.sort_values(list(order), ascending=list(order.values()), kind="stable", ignore_index=True)
    check_quotes(quotes)
    bid, ask, strike, size = (quotes[c].to_numpy(float) for c in ("bid", "ask", "strike", "open_interest"))
    if (bid > ask).any():
        unasked = int(np.sum((bid > ask) & (ask == 0)))
        notes.append(
            f"{int(np.sum(bid > ask))} quotes are crossed (bid above ask), {unasked} without any ask"
        )
    quality = {
        "crossed": int(np.sum(bid > ask)),
        "no bid": int(np.sum(bid == 0)),
        "no ask": int(np.sum(ask == 0)),
        "no vendor vol": int(np.sum(np.isnan(quotes["vendor_vol"].to_numpy(float)))),
        "open interest zero": int(np.sum(size == 0)),
        "open interest unknown": int(np.sum(np.isnan(size))),
    }
    if quality["open interest unknown"] == len(quotes):
        notes.append("there is no open interest at all: exposures need the size volume or another source")
    elif quality["open interest unknown"]:
        notes.append(f"{quality['open interest unknown']} contracts have no open interest: unknown, not 0")
    if spot is None:
        spot = imply_spot(quotes, as_of)
        notes.append(f"the file has no index level: {spot:.2f} is implied by put-call parity")
    if not strike.min() <= spot <= strike.max():
        notes.append(f"the index level {spot:g} lies outside the listed strikes")
    return OptionChain(
        quotes,
        spot,
        as_of,
        replace(
            report,
            rows_kept=len(quotes),
            dropped=dropped,
            open_interest_coverage=float(np.mean(size > 0)),
            quality=quality,
            notes=tuple(notes),
        ),
    )


def _complete(frame: pd.DataFrame) -> pd.DataFrame:
    fields = ("root", "expiry", "strike", "is_call")
    has_fields = all(name in frame for name in fields)
    missing = [name for name in REQUIRED_NUMBERS if name not in frame]
    missing += [] if "symbol" in frame or has_fields else ["symbol"]
    if missing or frame.empty:
        raise InputError(
            f"the frame {'lacks ' + ', '.join(missing) if missing else 'is empty'}; it needs bid, ask, "
            f"open_interest, and symbol or all of {', '.join(fields)}"
        )
    symbols = (
        np.array([str(s).replace(" ", "") for s in frame["symbol"]], object) if "symbol" in frame else None
    )
    if has_fields:
        root = np.array([str(r) for r in frame["root"]], object)
        strike = column(frame, "strike")
        require(np.isfinite(strike) & (strike > 0), strike, "strike", "finite and above 0")
        is_call = frame["is_call"].to_numpy()
        if not np.isin(is_call, (True, False)).all():
            raise InputError(
                f"is_call holds {is_call.dtype} values; True for calls and False for puts are expected"
            )
        identity = OccFields(root, np.array([]), is_call.astype(bool), strike)
        expiry = _settlement(root, to_new_york(list(frame["expiry"])))
        symbols = format_symbols(root, expiry, strike, identity.is_call) if symbols is None else symbols
    else:
        assert symbols is not None
        identity = parse_symbols(symbols)
        require(identity.root != "", symbols, "symbol", "an OCC symbol such as SPXW250904C06500000")
        expiry = expiry_column(identity.root, identity.date)
    numbers = {name: column(frame, name) for name in (*REQUIRED_NUMBERS, *_OPTIONAL)}
    numbers["vendor_vol"] = np.where(numbers["vendor_vol"] > 0, numbers["vendor_vol"], np.nan)
    return pd.DataFrame(
        {
            "symbol": pd.array(symbols, dtype="str"),
            "root": pd.array(identity.root, dtype="str"),
            "expiry": expiry,
            "strike": identity.strike,
            "is_call": identity.is_call,
            **numbers,
        }
    )


def _settlement(root: np.ndarray, expiry: pd.DatetimeIndex) -> pd.DatetimeIndex:
    is_date = expiry == expiry.normalize()
    return pd.DatetimeIndex(
        [expiry_instant(r, e) if d else e for r, e, d in zip(root, expiry, is_date, strict=True)]
    )
