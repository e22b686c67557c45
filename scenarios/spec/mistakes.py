"""What is wrong with a scenario file, in sentences: the mistakes of two values together, and the wording."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gammawall.scenarios.spec.scalars import good, read_instant, read_number, shown
from gammawall.surfaces.clock import VarianceClock, is_session, session_bounds, to_new_york
from gammawall.surfaces.units import SESSION_MINUTES, SESSIONS_PER_YEAR

__all__ = ["Keys", "contradictions", "sentence"]

Keys = tuple[str | int, ...]
"""Where a value stands in a file: ``("book", "position", 0, "strike")``."""

_MINUTE = 1.0 / (SESSIONS_PER_YEAR * SESSION_MINUTES)


def contradictions(data: Mapping[str, Any]) -> list[tuple[Keys, str]]:
    """Mistakes that only two values together show; a value that is wrong by itself is passed over."""
    market, book, measure = (data.get(name, {}) for name in ("market", "book", "measure"))
    if not all(isinstance(table, Mapping) for table in (market, book, measure)):
        return []
    positions = book.get("position", ())
    positions = positions if isinstance(positions, (list, tuple)) else ()
    found = [] if "book" not in data else _of_book(market, book, positions)
    start, close = (good(read_instant, market.get(name)) for name in ("start", "close"))
    if close:
        found += [(("market", "close"), text) for text in _of_window(start, close)]
    for i, position in enumerate(positions):
        expiry = good(read_instant, position.get("expiry")) if isinstance(position, Mapping) else None
        if start and expiry and expiry <= start:
            text = f"must come after market.start, {start.isoformat()}; got {expiry.isoformat()}: drop it"
            found.append((("book", "position", i, "expiry"), f"{text} or correct the date"))
    spot, strike = good(read_number, market.get("spot")), good(read_number, measure.get("strike"))
    if spot and strike and spot > 0.0 and strike > 0.0 and not 0.5 <= strike / spot <= 2.0:
        text = f"must lie between half and twice market.spot, {spot:,.10g}; got {strike:,.10g}"
        found.append((("measure", "strike"), text))
    band = good(read_number, measure.get("band_points"))
    if strike and band and band >= strike > 0.0:
        text = f"must be below measure.strike, {strike:,.10g}; got {band:,.10g}"
        found.append((("measure", "band_points"), text))
    return found


def _of_book(market: Mapping[str, Any], book: Mapping[str, Any], positions: Any) -> list[tuple[Keys, str]]:
    found: list[tuple[Keys, str]] = []
    if book.get("chain") is None:
        if not book.get("position"):
            found.append((("book",), _EMPTY_BOOK))
        for name in ("spot", "start", "close", "vol_pct"):
            if market.get(name) is None:
                found.append((("market", name), "is missing: it is needed unless book.chain names a file"))
        for name in ("convention", "size"):
            if name in book:
                found.append((("book", name), "does nothing without book.chain; delete it"))
        return found
    if positions:
        found.append((("book", "chain"), "cannot stand beside [[book.position]]: keep one of the two"))
    if "rate_pct" in market:
        text = "does nothing with book.chain, whose discounting comes from its own quotes; delete it"
        found.append((("market", "rate_pct"), text))
    return found


def _of_window(start: datetime | None, close: datetime) -> list[str]:
    got = f"got {close:%A} {close.isoformat()}"
    if start and close <= start:
        return [f"must come after market.start, {start.isoformat()}; {got}"]
    if not is_session(close) or not _within(close):
        return [f"must lie inside a session, 09:30 to 16:00 New York (13:00 on short days); {got}"]
    if start and VarianceClock().variance_years(start, close) < _MINUTE:
        return [f"must leave a minute of trading or more after market.start, {start.isoformat()}; {got}"]
    return []


def _within(instant: datetime) -> bool:
    opens, closes = session_bounds(instant)
    return bool(opens <= to_new_york(instant) <= closes)


_LIMITS = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
_LIMIT_WORDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
_KINDS = {"string_type": "text", "tuple_type": "a list"}
_MISSING = {
    "name": 'give the scenario a name, name = "my-wall"',
    "book": "add [[book.position]], or [book] with chain = a file of quotes",
    "impact": "add [impact] with bp_per_usd_bn, bp of price per USD bn traded",
    "bp_per_usd_bn": "add it, bp of price per USD bn traded",
}
_EMPTY_BOOK = (
    "holds no positions: add [[book.position]] or book.chain; for a run without a wall set hedging.kind to "
    "none"
)


def sentence(error: Mapping[str, Any], known: Sequence[str]) -> str:
    """One mistake found by the schema in words.

    Args:
        error: as the validation library reports it.
        known: the keys that may stand where this one does.
    """
    kind, got, name = error["type"], error.get("input"), str(error["loc"][-1])
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use {', '.join(known)}"
        return f"is not a known key: {hint}"
    if kind == "missing":
        return f"is missing: {_MISSING.get(name, 'every position has strike, expiry, contracts and vol_pct')}"
    if kind in _LIMITS:
        limit = error["ctx"][_LIMITS[kind]]
        size = f"{limit:,.10g}" if isinstance(limit, float) else f"{limit:,}"
        wanted = f"must be {_LIMIT_WORDS[_LIMITS[kind]]} {size}"
    elif kind in _KINDS:
        wanted = f"must be {_KINDS[kind]}"
    elif kind.startswith("model_"):
        wanted = f"must be a table: [{name}]"
    elif kind.startswith("string_too"):
        wanted = "must be 1 to 200 characters long"
    else:
        wanted = error["msg"].removeprefix("Value error, ")
    return f"{wanted}; got {shown(got)}"
