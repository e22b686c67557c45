"""The report of a chain's exposures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gammawall.scenarios.chains.figures import gex_by_strike
from gammawall.scenarios.chains.objects import gamma_profile, session_heatmap
from gammawall.scenarios.pages.page import Page, Picture, Table, level_text, number_text
from gammawall.scenarios.record_types import ExposureRecord
from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.terms import ChainTerms
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.confidence import bootstrap_levels
from gammawall.surfaces.dealers.convention_report import convention_report
from gammawall.surfaces.dealers.exposures import Exposures
from gammawall.surfaces.dealers.rolloff import expiry_removal
from gammawall.surfaces.units import USD_BN

__all__ = ["exposures_report"]


def exposures_report(
    chain: OptionChain,
    book: Book,
    exposed: Exposures,
    record: ExposureRecord,
    terms: ChainTerms | None = None,
) -> str:
    """The exposures of a chain as the text of an HTML page.

    Args:
        chain: quotes.
        book: dealers' positions in them.
        exposed: exposures of the book.
        record: of `exposure_record` for the same book.
        terms: of `chain_terms`, if at hand.
    """
    totals = record["totals"]
    gex = totals["gex_usd_per_1pct"] / USD_BN
    zero = ", ".join(level_text(z) for z in record["zero_gamma"]) or "no level within ±12 % of spot"
    tiles = [
        (
            "gamma per 1 %",
            f"{number_text(gex)} USD bn",
            f"{number_text(totals['gex_0dte_usd_per_1pct'] / USD_BN)} of it expiring the same day",
        ),
        ("zero gamma", zero, ""),
        ("call wall / put wall", f"{level_text(record['call_wall'])} / {level_text(record['put_wall'])}", ""),
        ("vanna per vol point", f"{number_text(totals['vex_usd_per_vol_point'] / USD_BN)} USD bn", ""),
        ("charm per day", f"{number_text(totals['cex_usd_per_day'] / USD_BN)} USD bn", ""),
    ]
    trade = "sell" if gex > 0.0 else "buy"
    return Page(
        title=f"Exposures at {book.as_of:%Y-%m-%d %H:%M}",
        kicker=f"{Path(chain.report.path).name or 'quotes'}, convention {book.convention}",
        headline=(
            f"If dealers hold what the convention {book.convention} says, they {trade} "
            f"USD {abs(gex):,.1f} bn of index for a rise of 1 % from {book.spot:,.2f}; their gamma changes "
            f"sign at {zero}."
        ),
        tiles=tiles,
        pictures=_pictures(book, exposed, record, gex),
        layout=[["profile", "strikes"], ["heat"]],
        tables=[
            _levels_table(book, exposed),
            _conventions_table(chain, terms),
            _removal_table(book, exposed),
        ],
        notes=_notes(chain, record),
    ).html()


def _pictures(book: Book, exposed: Exposures, record: ExposureRecord, gex: float) -> dict[str, Picture]:
    return {
        "profile": Picture(
            "Dealer gamma over the index level",
            "Every option repriced at its own vol. Above zero dealers damp, below they amplify.",
            f"Dealer gamma over spot; {gex:,.1f} USD bn per 1 % at spot.",
            gamma_profile(exposed, record),
        ),
        "strikes": Picture(
            "Dealer gamma by strike",
            "All expiries together, at the current index level.",
            "Dealer gamma of calls and puts by strike.",
            gex_by_strike(exposed.by_strike, book.spot),
        ),
        "heat": Picture(
            "Dealer gamma through the session",
            "What the same positions would hold at each index level as the day goes on: full repricing, "
            "positions and vols unchanged.",
            "Dealer gamma over time and index level.",
            session_heatmap(book),
            "The quotes are not of an open session, so there is no rest of the day to draw.",
            height=420,
        ),
    }


def _levels_table(book: Book, exposed: Exposures) -> Table:
    frame = bootstrap_levels(book, draws=200, exposed=exposed)
    rows = [
        [
            str(name).replace("_", " "),
            level_text(r["median_points"]),
            f"{level_text(r['low_points'])} – {level_text(r['high_points'])}",
            f"{r['found']:.0%}",
            "–" if np.isnan(r["agreement"]) else f"{r['agreement']:.0%}",
        ]
        for name, r in frame.iterrows()
    ]
    columns = ["level", "median", "5 – 95 %", "found in", "within 0.25 % of median"]
    note = (
        "Each of 200 draws gives every position a random exponential weight: how much a level hangs on few "
        "contracts."
    )
    return Table("confidence", "How sure the levels are", columns, rows, note)


def _conventions_table(chain: OptionChain, terms: ChainTerms | None) -> Table:
    frame = convention_report(chain, sizes=("open_interest", "volume"), terms=terms)
    rows = []
    for (convention, size), r in frame.iterrows():  # pyright: ignore[reportGeneralTypeIssues]
        if str(r["refused"]):
            rows.append([f"{convention}, {size}", str(r["refused"]), "", "", "", ""])
            continue
        rows.append(
            [
                f"{convention}, {size}",
                number_text(r["gex_usd_per_1pct"] / USD_BN),
                number_text(r["vex_usd_per_vol_point"] / USD_BN),
                *_level_cells(r),
            ]
        )
    columns = [
        "convention, size",
        "gamma, USD bn per 1 %",
        "vanna, USD bn per point",
        "zero gamma",
        "call wall",
        "put wall",
    ]
    return Table(
        "conventions",
        "What other conventions would say",
        columns,
        rows,
        "The same quotes. Who is long each option is not in a chain: every row is an assumption.",
    )


def _level_cells(row: pd.Series) -> list[str]:
    return [level_text(row[name]) for name in ("zero_gamma", "call_wall", "put_wall")]


def _removal_table(book: Book, exposed: Exposures) -> Table:
    frame = expiry_removal(book, exposed=exposed)
    names = {
        "now": "now",
        "after_today": "without today's expiry",
        "after_monthly": "without the next monthly expiry",
    }
    rows = [
        [
            names[str(stage)],
            number_text(r["gex_usd_per_1pct"] / USD_BN),
            *_level_cells(r),
        ]
        for stage, r in frame.iterrows()
    ]
    columns = ["book", "gamma, USD bn per 1 %", "zero gamma", "call wall", "put wall"]
    return Table("removal", "What is left as contracts expire", columns, rows)


def _notes(chain: OptionChain, record: ExposureRecord) -> list[str]:
    read, of = record["report"], chain.report
    notes = [
        f"{of.rows_read:,} contracts read, {of.rows_kept:,} kept, {read['rows']:,} in the book.",
        f"Open interest is there for {of.open_interest_coverage:.0%} of the contracts.",
        "Vols come from: " + ", ".join(f"{k} {v:,}" for k, v in read["vol_sources"].items()) + ".",
    ]
    notes += [f"No {name.replace('_', ' ')}: {reason}." for name, reason in record["missing"].items()]
    compared = [row for row in read.get("vendor_vols", []) if row["compared"]]
    if compared:
        count = sum(row["compared"] for row in compared)
        middle = number_text(np.median([row["median_vol_points"] for row in compared]))
        notes.append(f"Vendor's vols less ours of {count:,} mids: {middle} vol points at the median expiry.")
    notes += [f"Dropped: {count:,} {reason}." for reason, count in read.get("dropped", {}).items()]
    return notes + list(of.notes)
