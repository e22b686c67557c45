"""Commands about finished runs: compare, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gammawall.scenarios.cli.options import Json, Quiet, check_targets, write_json, write_report

__all__ = ["compare", "export"]

Finished = "A folder of `gammawall run`, or a JSON record."


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=Finished)],
    b: Annotated[str, typer.Argument(metavar="B", help=Finished)],
    json: Json = None,
    report: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Where to draw them; runs/A-against-B.html when not given."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Lay two runs side by side.

    Every measure in both with the error of the difference, what differs in the inputs and in how they were
    made, and both in the same pictures.
    """
    from gammawall.scenarios.cli import terminal as console
    from gammawall.scenarios.runs.comparison import compare as lay_side_by_side
    from gammawall.scenarios.runs.comparison_page import compare_page
    from gammawall.scenarios.runs.results import REPORT, to_json

    found = lay_side_by_side(a, b)
    if report is None:
        name = console.folder_name("-against-".join(found.names))
        report = str(Path("runs") / f"{name}.html")
    elif not report.lower().endswith((".html", ".htm")):
        report = str(Path(report) / REPORT)
    check_targets(json, report)
    write_report(report, compare_page(found))
    write_json(json, to_json(found.record()))
    if json != "-" and not quiet:
        console.print_comparison(found, Path(report))


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help=Finished)],
    to: Annotated[
        str, typer.Option(metavar="FORMAT", help="csv or parquet: tables; levels or pine: levels of a chart.")
    ] = "csv",
    out: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Folder of tables, or file of levels (- prints them); beside RUN if not given.",
        ),
    ] = None,
) -> None:
    """Write a run as tables or chart levels.

    csv and parquet make a folder with one table each of metrics, theory, closes, gamma, paths and volatility,
    units in the column names. levels is a CSV of name and price; pine is a script to paste into TradingView.
    """
    from gammawall.scenarios.runs.comparison import read_result
    from gammawall.scenarios.runs.export import export_run

    target = export_run(read_result(run), to, out, source=run)
    if target is not None:
        typer.echo(str(target))
