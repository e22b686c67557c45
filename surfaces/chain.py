"""The canonical option chain, and the one way from a vendor's file to it."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from gammawall.surfaces.clock import NEW_YORK, expiry_instant, is_session, session_bounds, to_new_york
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.forwards import imply_spot
from gammawall.surfaces.readers import cboe_csv
from gammawall.surfaces.readers.occ import OccFields, expiry_column, format_symbols, parse_symbols
from gammawall.surfaces.readers.source import load_text

__all__ = ["QUOTE_COLUMNS", "ChainReport", "OptionChain", "read_chain"]

QUOTE_COLUMNS = (
    "symbol",
    "root",
    "expiry",
    "strike",
    "is_call",
    "bid",
    "ask",
    "last",
    "volume",
    "open_interest",
    "vendor_vol",
    "vendor_delta",
    "vendor_gamma",
)
_OPTIONAL = ("last", "volume", "vendor_vol", "vendor_delta", "vendor_gamma")
_REQUIRED_NUMBERS = ("bid", "ask", "open_interest")
_READERS = (cboe_csv,)
_HEAD_CHARACTERS = 1 << 16


@dataclass(frozen=True)
class ChainReport:
    """What became of a file on its way to a chain.

    Args:
        path: the file, empty for a chain made from a frame.
        format: name of the format it was read as.
        rows_read: contracts listed.
        rows_kept: contracts in the chain.
        dropped: contracts left out, by reason.
        open_interest_coverage: share of kept contracts whose open interest is above zero.
        notes: sentences about what was assumed or looks odd.
    """

    path: str = ""
    format: str = "frame"
    rows_read: int = 0
    rows_kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    open_interest_coverage: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class OptionChain:
    """Quotes of one underlying at one instant, one row per OCC symbol.

    Args:
        quotes: columns ``symbol root expiry strike is_call bid ask last volume open_interest vendor_vol
            vendor_delta vendor_gamma``, sorted by expiry, root, strike, calls first. ``expiry`` is the exact
            New York instant of settlement, prices are index points, ``vendor_vol`` an annual decimal; NaN
            where a vendor gives none.
        spot: quoted index level, points.
        as_of: tz-aware New York instant of the quotes.
        report: how they were read.
    """

    quotes: pd.DataFrame
    spot: float
    as_of: pd.Timestamp
    report: ChainReport = field(default_factory=ChainReport)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.spot) and self.spot > 0):
            raise InputError(f"spot is {self.spot}; it must be a finite index level above 0")
        _check_quotes(self.quotes)
        zones = {"as_of": self.as_of.tzinfo, "expiry": getattr(self.quotes["expiry"].dtype, "tz", None)}
        for name, zone in zones.items():
            if str(zone) != NEW_YORK.key:
                raise InputError(
                    f"{name} has the time zone {zone}; {NEW_YORK.key} is expected: use to_new_york"
                )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, spot: float, as_of: str | dt.date) -> OptionChain:
        """Chain from quotes already in memory.

        Args:
            frame: ``bid``, ``ask`` (points) and ``open_interest`` (contracts), and either ``symbol`` or all
                of ``root``, ``expiry``, ``strike``, ``is_call``; the other columns of a chain when there are
                any. An expiry at midnight is a date and becomes the settlement instant of its root.
            spot: index level, points.
            as_of: instant of the quotes, New York when naive.

        Raises:
            InputError: a missing column, or values that are no quotes.
        """
        return _assemble(_complete(frame), float(spot), to_new_york(as_of), ChainReport(rows_read=len(frame)))


def read_chain(
    path: str | os.PathLike[str], *, as_of: str | dt.date | None = None, spot: float | None = None
) -> OptionChain:
    """Read an option chain from a vendor's file; the format is told from the content.

    Args:
        path: a Cboe quote table saved as CSV, in any page language.
        as_of: instant of the quotes; by default the file's own stamp less the vendor's delay.
        spot: index level in points; by default the file's own, or, when ``as_of`` is given and the file has
            none, the one implied by put-call parity.

    Returns:
        The live contracts; expired ones are left out and counted in ``report.dropped``.

    Raises:
        InputError: no such file, a format that is not known, a damaged table (with its line number), or no
            spot or date in the file where none was given.
    """
    name = os.fspath(path)
    text = load_text(path)
    reader = next((r for r in _READERS if r.matches(text[:_HEAD_CHARACTERS])), None)
    if reader is None:
        raise InputError(
            f"{name} is not in a known format; a Cboe quote table saved as CSV is expected, one line per "
            "strike that holds a call and a put symbol"
        )
    raw = reader.read(text, name)
    stamp = raw.as_of if as_of is None else to_new_york(as_of)
    if stamp is None:
        raise InputError(
            f"{name} has no date line that can be read; give as_of= (and spot=, or it will be implied)"
        )
    notes = list(raw.notes if as_of is None else (n for n in raw.notes if "as_of" not in n))
    if as_of is not None and raw.as_of is not None:
        notes.append(
            f"as_of was given as {stamp:%Y-%m-%d %H:%M}; the file's own is {raw.as_of:%Y-%m-%d %H:%M}"
        )
    notes += _staleness(stamp)
    level = raw.spot if spot is None else float(spot)
    report = ChainReport(path=name, format=raw.format, rows_read=len(raw.quotes), notes=tuple(notes))
    try:
        return _assemble(raw.quotes, level, stamp, report)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _staleness(stamp: pd.Timestamp) -> list[str]:
    if is_session(stamp.date()):
        start, end = session_bounds(stamp.date())
        if start <= stamp <= end:
            return []
    return [f"{stamp:%Y-%m-%d %H:%M} is outside the regular session: the index may be older than the quotes"]


def _assemble(
    quotes: pd.DataFrame, spot: float | None, as_of: pd.Timestamp, report: ChainReport
) -> OptionChain:
    notes, dropped = list(report.notes), {}
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
            f"no live contract is left of {report.rows_read} at {as_of:%Y-%m-%d %H:%M} New York; check as_of"
        )
    order = {"expiry": True, "root": True, "strike": True, "is_call": False}
    quotes = quotes.loc[~(twice | expired), list(QUOTE_COLUMNS)]
    quotes = quotes.sort_values(list(order), ascending=list(order.values()), kind="stable", ignore_index=True)
    _check_quotes(quotes)
    bid, ask, strike, size = (quotes[c].to_numpy(float) for c in ("bid", "ask", "strike", "open_interest"))
    if (bid > ask).any():
        unasked = int(np.sum((bid > ask) & (ask == 0)))
        notes.append(
            f"{int(np.sum(bid > ask))} quotes are crossed (bid above ask), {unasked} without any ask"
        )
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
            notes=tuple(notes),
        ),
    )


def _complete(frame: pd.DataFrame) -> pd.DataFrame:
    fields = ("root", "expiry", "strike", "is_call")
    has_fields = all(name in frame for name in fields)
    missing = [name for name in _REQUIRED_NUMBERS if name not in frame]
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
        strike = _numbers(frame, "strike")
        _require(np.isfinite(strike) & (strike > 0), strike, "strike", "finite and above 0")
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
        _require(identity.root != "", symbols, "symbol", "an OCC symbol such as SPXW250904C06500000")
        expiry = expiry_column(identity.root, identity.date)
    numbers = {name: _numbers(frame, name) for name in (*_REQUIRED_NUMBERS, *_OPTIONAL)}
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


def _numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    if name not in frame:
        return np.full(len(frame), np.nan)
    try:
        return frame[name].to_numpy(float, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise InputError(f"{name} is not a column of numbers: {error}") from None


def _check_quotes(quotes: pd.DataFrame) -> None:
    missing = [name for name in QUOTE_COLUMNS if name not in quotes]
    if missing:
        raise InputError(f"the chain lacks {', '.join(missing)}; its columns are {', '.join(QUOTE_COLUMNS)}")
    if quotes.empty:
        raise InputError("the chain has no quotes; at least one contract is needed")
    strike = _numbers(quotes, "strike")
    _require(np.isfinite(strike) & (strike > 0), strike, "strike", "finite and above 0")
    for name in _REQUIRED_NUMBERS:
        values = _numbers(quotes, name)
        _require(np.isfinite(values) & (values >= 0), values, name, "finite and 0 or more")
    symbol = quotes["symbol"]
    _require(~symbol.duplicated().to_numpy(bool), symbol.to_numpy(), "symbol", "unique: one row per contract")


def _require(good: np.ndarray, values: np.ndarray, name: str, allowed: str) -> None:
    if not good.all():
        at = int(np.argmin(good))
        raise InputError(f"{name} is {values[at]} in row {at}; it must be {allowed}: mend or drop that row")
