"""The command about a record of gamma: calibrate-impact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gammawall.scenarios.cli.options import Json, Quiet, check_targets, write_json

if TYPE_CHECKING:
    from gammawall.scenarios.calibration.record_types import CalibrationRecord

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
        str | None,
        typer.Option(metavar="FILE", help="Write a page with charts as one HTML file, or into a folder."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Estimate price impact from daily dealer gamma.

    A fit by maximum likelihood: the next day's return has scale σ0/(1 + 0.01 λ GEX). By period, with
    bootstrap intervals, judged out of sample and beside past vol. An upper bound: vol also drives gamma.
    """
    from gammawall.scenarios.api import calibrate_impact as calibrate
    from gammawall.scenarios.whole_folders import REPORT

    if report is not None and not report.lower().endswith((".html", ".htm")):
        report = str(Path(report) / REPORT)
    check_targets(json, report)
    record = calibrate(history, split, report=report)
    write_json(json, record)
    if json != "-" and not quiet:
        _print_calibration(record, None if report is None else Path(report))


def _print_calibration(record: CalibrationRecord, report: Path | None) -> None:
    """Impact by period, how it does out of sample, and where the report is."""
    from rich.text import Text

    from gammawall.scenarios.calibration.report import calibration_sentence, fit_of, interval_text
    from gammawall.scenarios.cli.terminal import print_report, table, terminal

    console = terminal()
    console.print(Text(calibration_sentence(record), style="bold"))
    console.print()
    names = ("period", "days", "λ Laplace", "95 %", "λ Gaussian", "95 %", "λ with past vol", "left")
    rows = table(*names)
    for row in record["surviving_past_vol"]:
        period = row["period"]
        laplace, normal = fit_of(record, period), fit_of(record, period, "gaussian")
        rows.add_row(
            period,
            f"{laplace['days']:,}",
            f"{laplace['bp_per_usd_bn']:.1f}",
            interval_text(laplace["bootstrap_interval"]),
            f"{normal['bp_per_usd_bn']:.1f}",
            interval_text(normal["bootstrap_interval"]),
            f"{fit_of(record, period, past_vol=True)['bp_per_usd_bn']:.1f}",
            f"{row['share']:.0%}",
        )
    console.print(rows)
    console.print("λ in bp per USD bn")
    console.print()
    judged = record["out_of_sample"]
    gains = {
        "gamma over one vol for all": judged["gain_over_constant"],
        "past vol over one vol for all": judged["gain_of_past_vol_over_constant"],
        "gamma beside past vol": judged["gain_of_gamma_over_past_vol"],
    }
    console.print(f"out of sample, {judged['days']:,} days from {record['split']} on, log-likelihood:")
    for name, gain in gains.items():
        console.print(f"  {name}: {gain['nats']:+.1f} ± {gain['stderr']:.1f} nats".replace("-", "−"))
    if report is not None:
        print_report(console, report)
