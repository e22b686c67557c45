"""What the commands about quotes, records of gamma and finished runs do, as functions."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

import pandas as pd

from gammawall.scenarios.calibration.file import History, read_history
from gammawall.scenarios.calibration.record import calibration_record
from gammawall.scenarios.calibration.record_types import CalibrationRecord
from gammawall.scenarios.calibration.report import calibration_report
from gammawall.scenarios.chains.exposure_record import exposure_record
from gammawall.scenarios.chains.exposures_report import exposures_report
from gammawall.scenarios.chains.surface_report import surface_report
from gammawall.scenarios.record_types import ExposureRecord
from gammawall.scenarios.runs.comparison import read_result
from gammawall.scenarios.runs.export import export_run, level_rows, write_levels
from gammawall.scenarios.runs.results import Result
from gammawall.scenarios.whole_folders import write_text
from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.read import read_chain
from gammawall.surfaces.chains.terms import chain_terms
from gammawall.surfaces.dealers.chain_book import dealer_book
from gammawall.surfaces.dealers.conventions import Shares, SignedFlow
from gammawall.surfaces.dealers.exposures import exposures as exposures_of

__all__ = ["calibrate_impact", "export", "exposures", "surface"]

Place = str | os.PathLike[str]


def exposures(
    chain: OptionChain | Place | pd.DataFrame,
    convention: str | Shares | SignedFlow = "calls_long_puts_short",
    *,
    size: str = "open_interest",
    spot: float | None = None,
    as_of: str | dt.date | None = None,
    report: Place | None = None,
    levels: Place | None = None,
) -> ExposureRecord:
    """Dealers' exposures and levels in a chain, as ``gammawall exposures`` records them.

    Args:
        chain: quotes, or what `surfaces.read_chain` takes.
        convention: who is long: a name, shares by bucket, signed flow, or the path of a .csv of it.
        size: of each position: open_interest, volume or max.
        spot: index level in points, where a file does not say.
        as_of: time of the quotes, where a file does not say.
        report: file to write the pictures to, as one HTML page.
        levels: file to write the levels to: a Pine script where it ends in ``.pine``, CSV elsewhere; ``-``
            prints them.

    Returns:
        Totals, zero gamma, walls with their confidence, maximum pain, rows by strike and by expiry, and what
        was read.

    Raises:
        InputError: the quotes cannot be read, the convention or size is unknown or leaves nothing, or a file
            cannot be written.

    Example:
        >>> record = scenarios.exposures(chain)
        >>> print(record["convention"], f"{record['totals']['gex_usd_per_1pct'] / 1e9:.2f}")
        calls_long_puts_short 1.31
    """
    quotes = _quotes(chain, spot, as_of)
    if isinstance(convention, str) and convention.endswith(".csv"):
        convention = SignedFlow.read_csv(convention)
    terms = chain_terms(quotes)
    book = dealer_book(quotes, convention, size, terms=terms)
    exposed = exposures_of(book)
    record = exposure_record(book, exposed, quotes, terms=terms)
    if report is not None:
        write_text(report, exposures_report(quotes, book, exposed, record, terms))
    if levels is not None:
        title = f"{Path(quotes.report.path).name} {book.as_of:%Y-%m-%d %H:%M}"
        write_levels(level_rows(record), levels, title=title, pine=os.fspath(levels).endswith(".pine"))
    return record


def surface(
    chain: OptionChain | Place | pd.DataFrame,
    *,
    spot: float | None = None,
    as_of: str | dt.date | None = None,
    report: Place | None = None,
) -> dict[str, Any]:
    """Both models of the vol surface fitted to a chain and audited, as ``gammawall surface`` records them.

    Args:
        chain: quotes, or what `surfaces.read_chain` takes.
        spot: index level in points, where a file does not say.
        as_of: time of the quotes, where a file does not say.
        report: file to write the pictures to, as one HTML page.

    Returns:
        Errors by expiry and the audit for static arbitrage of eSSVI and of SVI slices, and the vendor's vols
        beside our own.

    Raises:
        InputError: the quotes cannot be read or are too few for a fit, or the page cannot be written.

    Example:
        >>> record = scenarios.surface(chain)  # doctest: +SKIP
        >>> {name: model["arbitrage_free"] for name, model in record["models"].items()}  # doctest: +SKIP
        {'essvi': True, 'svi': True}
    """
    record, page = surface_report(_quotes(chain, spot, as_of))
    if report is not None:
        write_text(report, page)
    return record


def calibrate_impact(
    history: History | Place, split: str | None = None, *, report: Place | None = None
) -> CalibrationRecord:
    """Price impact from a daily record of gamma, as ``gammawall calibrate-impact`` records it.

    Args:
        history: a CSV with the columns date, close and gex, USD per 1 % move; one row per trading day.
        split: ISO date; the fit that is judged uses returns before it, the judgement those from it on. 2023
            when not given, or the last third where the record does not reach over it.
        report: file to write the pictures to, as one HTML page.

    Returns:
        Impact by period with its intervals, what past vol leaves of it, vol by octile of gamma, and how the
        fit does out of sample.

    Raises:
        InputError: the file cannot be read, too few days lie on a side of the split, or the page cannot be
            written.
        NumericalError: the likelihood has no maximum in the impact.

    Example:
        >>> days = pd.bdate_range("2025-01-02", periods=400)
        >>> close = 6000.0 * np.exp(0.008 * np.random.default_rng(1).standard_normal(400).cumsum())
        >>> gex = 3e9 + 2e9 * np.sin(np.arange(400) / 15.0)
        >>> pd.DataFrame({"date": days, "close": close, "gex": gex}).to_csv("gamma.csv", index=False)
        >>> record = scenarios.calibrate_impact("gamma.csv")  # doctest: +SKIP
        >>> record["fits"][0]["period"], record["fits"][0]["errors"]  # doctest: +SKIP
        ('whole record', 'laplace')
    """
    days = history if isinstance(history, History) else read_history(history)
    record = calibration_record(days, split)
    if report is not None:
        write_text(report, calibration_report(record))
    return record


def export(run: Result | Place, to: str = "csv", out: Place | None = None) -> Path | None:
    """Write a run as tables or chart levels.

    Args:
        run: a result, the folder of one, or a JSON record.
        to: ``csv`` or ``parquet`` for a folder of tables; ``levels`` or ``pine`` for a file of chart levels.
        out: folder or file, ``-`` to print levels; beside the run when not given, or in the working folder
            where the run is not on disk.

    Returns:
        What was written; None for standard output.

    Raises:
        InputError: the run cannot be read, the format is unknown, or the place cannot be written.

    Example:
        >>> folder = scenarios.export(scenarios.run(small), "csv", "tables")
        >>> "metrics.csv" in {path.name for path in folder.iterdir()}
        True
    """
    return export_run(read_result(run), to, out, source="" if isinstance(run, Result) else run)


def _quotes(
    chain: OptionChain | Place | pd.DataFrame, spot: float | None, as_of: str | dt.date | None
) -> OptionChain:
    return chain if isinstance(chain, OptionChain) else read_chain(chain, as_of=as_of, spot=spot)
