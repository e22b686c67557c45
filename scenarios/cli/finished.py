"""Commands about finished runs: compare, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gammawall.scenarios.cli.options import Json, Quiet, check_targets, write_json

if TYPE_CHECKING:
    from gammawall.scenarios.runs.comparison import Comparison

__all__ = ["compare", "export"]

_MOST_CHANGES = 20
"""Lines of inputs that differ that a terminal is shown."""

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
    """Compare two runs side by side.

    Every metric of both with the error of the difference, what differs in the inputs and in the versions
    they were made with, and both in the same pictures.
    """
    from gammawall.scenarios.cli.terminal import folder_name
    from gammawall.scenarios.runs.comparison import compare as lay_side_by_side
    from gammawall.scenarios.runs.comparison_page import compare_page
    from gammawall.scenarios.whole_folders import REPORT, write_text

    found = lay_side_by_side(a, b)
    if report is None:
        name = folder_name("-against-".join(found.names))
        report = str(Path("runs") / f"{name}.html")
    elif not report.lower().endswith((".html", ".htm")):
        report = str(Path(report) / REPORT)
    check_targets(json, report)
    write_text(report, compare_page(found))
    write_json(json, found.record())
    if json != "-" and not quiet:
        _print_comparison(found, Path(report))


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help=Finished)],
    to: Annotated[
        str,
        typer.Option(metavar="FORMAT", help="csv or parquet for tables; levels or pine for chart levels."),
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
    from gammawall.scenarios.api import export as write_out

    target = write_out(run, to, out)
    if target is not None:
        typer.echo(str(target))


def _print_comparison(found: Comparison, report: Path) -> None:
    """The sentence, headline metrics of both runs, what differs, and where the report is."""
    from rich.markup import escape
    from rich.text import Text

    from gammawall.scenarios.cli.terminal import HEADLINES, print_report, print_sentence, table, terminal
    from gammawall.scenarios.pages.numbers import format_estimate, format_gap, leaf_text

    console = terminal()
    print_sentence(console, found.sentence, "bold")
    console.print()
    rows = table("metric", *map(escape, found.names), "difference", "z")
    for name in [name for name in HEADLINES if name in found.metrics.index]:
        row = found.metrics.loc[name]
        rows.add_row(
            name,
            format_estimate(row["a"], row["a_stderr"], row["unit"]),
            format_estimate(row["b"], row["b_stderr"], row["unit"]),
            format_gap(row["difference"], row["difference_stderr"], row["unit"]),
            format_estimate(row["z"], 1.0, signed=True).split(" ")[0],
        )
    console.print(rows)
    console.print(Text(found.note))
    for title, changes in (("inputs", found.inputs), ("made with", found.versions)):
        if changes:
            console.print()
            listed = table(title, *map(escape, found.names))
            for change in changes[:_MOST_CHANGES]:
                texts = [change["key"], *(leaf_text(change[k]) for k in "ab")]
                listed.add_row(*map(Text, texts))
            console.print(listed)
            if len(changes) > _MOST_CHANGES:
                console.print(f"and {len(changes) - _MOST_CHANGES:,} more, in the report and the record")
    print_report(console, report)
