"""JSON as web interfaces answer it: Cboe delayed quotes, Yahoo, and lists of records of any vendor."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, cast

import pandas as pd

from gammawall.surfaces.chains.readers.cboe_csv import DELAY_MINUTES
from gammawall.surfaces.chains.readers.cells import number, time
from gammawall.surfaces.chains.readers.columns import find_layout
from gammawall.surfaces.chains.readers.occ import parse_symbols, plain_symbol
from gammawall.surfaces.chains.readers.source import RawChain, Request
from gammawall.surfaces.chains.readers.table import Table, read_table
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.limits import allowed_bytes

__all__ = ["LARGEST_CHARACTERS", "matches", "read"]

LARGEST_CHARACTERS = 128 * 2**20
"""Parsed JSON takes ten to forty times its text in memory."""

# A bracket also opens the first column name of one vendor's tables.
_BEGINS = re.compile(r"\s*(?:\{|\[(?!\s*[A-Za-z]))")
_DEEPEST = 3
_PEEK = 100


class _Records(NamedTuple):
    format: str
    records: list[dict[str, Any]]
    where: Callable[[int], str]
    spot: float | None = None
    as_of: pd.Timestamp | None = None
    notes: tuple[str, ...] = ()


def matches(head: str) -> bool:
    """True for text that begins like a JSON object or list."""
    return _BEGINS.match(head) is not None


def read(text: str, request: Request) -> RawChain:
    """Quotes of a JSON document.

    Raises:
        InputError: damaged or too deeply nested JSON, with its line; no list of quotes in it; a record that
            is no quote, with its path.
    """
    name = request.name
    if len(text) > allowed_bytes(LARGEST_CHARACTERS):
        limit = allowed_bytes(LARGEST_CHARACTERS) / 2**20
        raise InputError(
            f"{name} holds {len(text) / 2**20:.0f} MiB of JSON; at most {limit:.0f} are read: split it"
        )
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{name}, line {error.lineno}, column {error.colno}: {error.msg}; the file may be cut short: "
            "download it again"
        ) from None
    except RecursionError:
        raise InputError(f"{name}: its JSON is nested too deeply; no quote file is") from None
    except ValueError as error:
        raise InputError(f"{name}: a number in its JSON cannot be read: {error}") from None
    found = next(
        (f for family in (_cboe, _yahoo, _listed) if (f := family(document, name)) is not None), None
    )
    if found is None or not found.records:
        raise InputError(
            f"{name} is JSON, but not in a known format: a list of contracts is expected, at data.options "
            "(Cboe), options (Yahoo), results, data, options.option or the top"
        )
    raw = read_table(_table(found, name), request, spot=found.spot, as_of=found.as_of)
    return replace(raw, notes=(*found.notes, *raw.notes))


def _table(found: _Records, name: str) -> Table:
    flat = [_flatten(record) for record in found.records]
    header = list(dict.fromkeys(key for record in flat for key in record))
    layout = find_layout(header, lambda at: _holds_symbols([r.get(header[at]) for r in flat[:_PEEK]]))
    if layout.missing:
        raise InputError(
            f"{name} at {found.where(0)}: the contracts lack {', '.join(layout.missing)}; their fields are "
            f"{', '.join(ascii(h)[1:-1] for h in header[:20])[:200]}"
        )
    columns: dict[int, Any] = {at: [record.get(header[at]) for record in flat] for at in layout.used}
    form = found.format or layout.vendor.name
    return Table(layout, columns, lambda row: f"{name} at {found.where(row)}", form)


def _flatten(record: dict[str, Any], depth: int = 1) -> dict[str, Any]:
    if not any(isinstance(value, dict) for value in record.values()):
        return record
    # The nested value stays under its own name too: an object where a number belongs must not look missing.
    flat = dict(record)
    for key, value in record.items():
        if isinstance(value, dict) and depth < _DEEPEST:
            flat.update({f"{key}.{inner}": cell for inner, cell in _flatten(value, depth + 1).items()})
    return flat


def _holds_symbols(cells: list[Any]) -> bool:
    words = [plain_symbol(cell) for cell in cells if isinstance(cell, str)]
    return bool(words) and bool((parse_symbols(words).root != "").any())


def _cboe(document: object, name: str) -> _Records | None:
    data = document.get("data") if isinstance(document, dict) else None
    options = data.get("options") if isinstance(data, dict) else None
    if not isinstance(options, list) or not options:
        return None
    assert isinstance(data, dict)
    assert isinstance(document, dict)
    _all_records(options, name, "data.options[{}]".format)
    notes, as_of = (), None
    stamp = document.get("timestamp")
    if isinstance(stamp, str) and (read := time(stamp.strip() + "Z")) is not None:
        as_of = read - pd.Timedelta(minutes=DELAY_MINUTES)
        notes = (
            f"quotes are delayed: as_of is the file's stamp {stamp} UTC ({read:%H:%M} New York) less "
            f"{DELAY_MINUTES} minutes",
        )
    assert as_of is None or isinstance(as_of, pd.Timestamp)
    where = "data.options[{}]".format
    return _Records("cboe_json", options, where, _level(data.get("current_price")), as_of, notes)


def _yahoo(document: object, name: str) -> _Records | None:
    chain = document.get("optionChain") if isinstance(document, dict) else None
    results, path = (
        (chain.get("result"), "optionChain.result[{}].")
        if isinstance(chain, dict)
        else ([cast(dict[str, Any], document)], "")
    )
    if not isinstance(results, list) or not all(isinstance(r, dict) for r in results):
        return None
    records: list[dict[str, Any]] = []
    places: list[str] = []
    for i, result in enumerate(results):
        options = result.get("options")
        if not isinstance(options, list) or not all(
            isinstance(o, dict) and {"calls", "puts"} & set(o) for o in options
        ):
            return None
        for j, option in enumerate(options):
            for side, kind in (("calls", "call"), ("puts", "put")):
                where = f"{path.format(i)}options[{j}].{side}"
                rows = option.get(side, [])
                if not isinstance(rows, list):
                    raise InputError(f"{name} at {where}: a list of contracts is expected")
                _all_records(rows, name, (where + "[{}]").format)
                known = {"expiration": option.get("expirationDate"), "optionType": kind}
                known["underlyingSymbol"] = result.get("underlyingSymbol")
                records += [{**known, **row} for row in rows]
                places += [f"{where}[{k}]" for k in range(len(rows))]
    quote = results[0].get("quote") if results else None
    quote = quote if isinstance(quote, dict) else {}
    as_of = time(quote.get("regularMarketTime")) if _level(quote.get("regularMarketTime")) else None
    notes = () if as_of is None else ("as_of is the time of the index level: quotes may be 15 minutes older",)
    spot = _level(quote.get("regularMarketPrice"))
    return _Records("yahoo_json", records, places.__getitem__, spot, as_of, notes)


def _listed(document: object, name: str) -> _Records | None:
    options = document.get("options") if isinstance(document, dict) else None
    places = [("", document)]
    if isinstance(document, dict):
        places = [("results", document.get("results")), ("data", document.get("data"))]
        places.append(("options.option", options.get("option") if isinstance(options, dict) else None))
    for path, records in places:
        if isinstance(records, list) and records:
            where = (path + "[{}]").format
            _all_records(records, name, where)
            return _Records("", records, where)
    return None


def _all_records(records: list[Any], name: str, where: Callable[[int], str]) -> None:
    for at, record in enumerate(records):
        if not isinstance(record, dict):
            raise InputError(f"{name} at {where(at)}: a contract with named fields is expected")


def _level(value: object) -> float | None:
    level = number(value)
    return level if level > 0 else None
