"""Exposures and levels of a book as the record that ``gammawall exposures --json`` prints."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gammawall.scenarios.record_types import (
    ChainReport,
    ExposureRecord,
    ExposureSummary,
    LevelConfidence,
    Totals,
)
from gammawall.surfaces.chains.bands import vendor_vol_report
from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.terms import ChainTerms
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.exposures import Exposures, exposures
from gammawall.surfaces.dealers.levels import Level, levels

__all__ = ["exposure_record", "exposure_summary", "rows_of"]


def exposure_record(
    book: Book,
    exposed: Exposures | None = None,
    chain: OptionChain | None = None,
    *,
    terms: ChainTerms | None = None,
) -> ExposureRecord:
    """`exposure_summary` with the rows by strike and by expiry, and the vendor's vols beside our own.

    Args:
        book: dealers' positions.
        exposed: its exposures, if at hand.
        chain: the quotes the book came from, for the report of what was read.
        terms: of `chain_terms` of that chain, if at hand.
    """
    exposed = exposed or exposures(book)
    record: ExposureRecord = {
        **exposure_summary(book, exposed, chain),
        "by_expiry": rows_of(exposed.by_expiry.reset_index()),
        "by_strike": rows_of(exposed.by_strike.reset_index()),
    }
    if chain is not None:
        record["report"]["vendor_vols"] = rows_of(vendor_vol_report(chain, terms))
    return record


def exposure_summary(book: Book, exposed: Exposures, chain: OptionChain | None = None) -> ExposureSummary:
    """Totals and levels of a book, as plain data.

    Contracts of the chain without a position or a usable vol, or expired by the book's time, are counted as
    ``not_in_book``.
    """
    found = levels(book, exposed=exposed)
    call, put, most = found.call_wall, found.put_wall, found.abs_gamma
    return {
        "spot": book.spot,
        "as_of": book.as_of.isoformat(),
        "convention": book.convention,
        "totals": Totals(**exposed.totals),
        "zero_gamma": list(found.zero_gamma),
        "call_wall": None if call is None else call.strike,
        "put_wall": None if put is None else put.strike,
        "abs_gamma_strike": None if most is None else most.strike,
        "max_pain": found.max_pain,
        "missing": {n.replace("abs_gamma", "abs_gamma_strike"): why for n, why in found.missing.items()},
        "confidence": {
            "call_wall": _confidence(call),
            "put_wall": _confidence(put),
            "abs_gamma_strike": _confidence(most),
        },
        "report": _report(book, chain),
    }


def _confidence(level: Level | None) -> LevelConfidence | None:
    if level is None:
        return None
    return {
        "gex_usd_per_1pct": level.gex_usd_per_1pct,
        "runner_up": level.runner_up,
        "confidence": level.confidence,
    }


def _report(book: Book, chain: OptionChain | None) -> ChainReport:
    report: ChainReport = {"rows": len(book), "vol_sources": dict(book.sources)}
    if chain is not None:
        read = chain.report
        report["file"] = str(read.path)
        report["format"] = read.format
        report["rows_read"] = read.rows_read
        report["rows_kept"] = read.rows_kept
        report["dropped"] = read.dropped | {"not_in_book": read.rows_kept - len(book)}
        report["open_interest_coverage"] = read.open_interest_coverage
        report["notes"] = list(read.notes)
    return report


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as plain data, times in ISO form."""
    times = [name for name in frame if isinstance(frame[name].dtype, pd.DatetimeTZDtype)]
    plain = frame.assign(**{name: [t.isoformat() for t in frame[name]] for name in times})
    return plain.to_dict("records")
