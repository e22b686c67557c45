"""Exposures and levels of a book as the record that ``gammawall exposures --json`` prints."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gammawall.surfaces.chains.bands import vendor_vol_report
from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.terms import ChainTerms
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.exposures import Exposures, exposures
from gammawall.surfaces.dealers.levels import Level, levels

__all__ = ["exposure_record", "rows_of"]


def exposure_record(
    book: Book,
    exposed: Exposures | None = None,
    chain: OptionChain | None = None,
    *,
    terms: ChainTerms | None = None,
    tables: bool = True,
) -> dict[str, Any]:
    """Everything the exposures of a book say, as plain data.

    Args:
        book: dealers' positions.
        exposed: its exposures, if at hand.
        chain: the quotes the book came from, for the report of what was read.
        terms: of `chain_terms` of that chain, if at hand.
        tables: whether to include the rows by strike and by expiry, and the vendor's vols beside our own.

    Contracts of the chain without a position or a usable vol, or expired by the book's time, are counted as
    ``not_in_book``.
    """
    exposed = exposed or exposures(book)
    found = levels(book, exposed=exposed)
    named = {"call_wall": found.call_wall, "put_wall": found.put_wall, "abs_gamma_strike": found.abs_gamma}
    record: dict[str, Any] = {
        "spot": book.spot,
        "as_of": book.as_of.isoformat(),
        "convention": book.convention,
        "totals": exposed.totals,
        "zero_gamma": list(found.zero_gamma),
        **{name: None if level is None else level.strike for name, level in named.items()},
        "max_pain": found.max_pain,
        "missing": {n.replace("abs_gamma", "abs_gamma_strike"): why for n, why in found.missing.items()},
        "confidence": {name: _confidence(level) for name, level in named.items()},
        "report": _report(book, chain),
    }
    if tables:
        record["by_expiry"] = rows_of(exposed.by_expiry.reset_index())
        record["by_strike"] = rows_of(exposed.by_strike.reset_index())
        if chain is not None:
            record["report"]["vendor_vols"] = rows_of(vendor_vol_report(chain, terms))
    return record


def _confidence(level: Level | None) -> dict[str, Any] | None:
    if level is None:
        return None
    return {
        "gex_usd_per_1pct": level.gex_usd_per_1pct,
        "runner_up": level.runner_up,
        "confidence": level.confidence,
    }


def _report(book: Book, chain: OptionChain | None) -> dict[str, Any]:
    report: dict[str, Any] = {"rows": len(book), "vol_sources": dict(book.sources)}
    if chain is not None:
        read = chain.report
        report |= {
            "file": str(read.path),
            "format": read.format,
            "rows_read": read.rows_read,
            "rows_kept": read.rows_kept,
            "dropped": read.dropped | {"not_in_book": read.rows_kept - len(book)},
            "open_interest_coverage": read.open_interest_coverage,
            "notes": list(read.notes),
        }
    return report


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as plain data, times in ISO form."""
    times = [name for name in frame if isinstance(frame[name].dtype, pd.DatetimeTZDtype)]
    plain = frame.assign(**{name: [t.isoformat() for t in frame[name]] for name in times})
    return plain.to_dict("records")
