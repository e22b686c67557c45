"""The command about a record of gamma: calibrate-impact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gammawall.scenarios.cli.options import Json, Quiet, check_targets, write_json, write_report

__all__ = ["calibrate_impact"]


def calibrate_impact(
    history: Annotated[
        str, typer.Argument(metavar="FILE", help="A CSV with date, close and gex (USD per 1 %).")
    ],
    json: Json = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="Fit before this day, judge from it on."),
    ] = None,
    report: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write pictures as one HTML file, or into a folder.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Estimate price impact from a record of gamma.

    Maximum likelihood of the next day's return whose scale is σ0/(1 + 0.01 λ GEX), by period, with resampled
    intervals, judged out of sample and beside past vol. An upper bound: vol also drives gamma.
    """
    from gammawall.scenarios.calibration.file import read_history
    from gammawall.scenarios.calibration.record import calibration_record
    from gammawall.scenarios.calibration.report import calibration_report
    from gammawall.scenarios.cli import terminal as console
    from gammawall.scenarios.runs.results import REPORT, to_json

    if report is not None and not report.lower().endswith((".html", ".htm")):
        report = str(Path(report) / REPORT)
    check_targets(json, report)
    record = calibration_record(read_history(history), split)
    if report is not None:
        write_report(report, calibration_report(record))
    write_json(json, to_json(record))
    if json != "-" and not quiet:
        console.print_calibration(record, None if report is None else Path(report))
