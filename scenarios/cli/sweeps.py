"""The command that runs a scenario over a grid: sweep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gammawall.scenarios.cli.interrupts import heed_interrupts
from gammawall.scenarios.cli.options import Json, Quiet, ScenarioName, check_targets, write_json

if TYPE_CHECKING:
    from gammawall.scenarios.sweeps.result import Sweep

__all__ = ["sweep"]

_MOST_CELLS = 24
"""Rows of a sweep that a terminal is shown."""


def sweep(
    scenario: ScenarioName,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUES",
            help="A key and its values: 1,3,6 or START:STOP:COUNT, evenly spaced; add :log for equal "
            "factors. Repeat for every combination.",
        ),
    ] = None,
    chain: Annotated[
        str | None, typer.Option(metavar="FILE", help="Quotes to take the book, spot and time from.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one value in all cells; may be repeated."),
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where to write; runs/NAME-sweep when not given.")
    ] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Run on N processes, with Dask.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on the workers of this Dask scheduler.")
    ] = None,
    json: Json = None,
    quiet: Quiet = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run every cell again, even if it is on disk.")
    ] = False,
) -> None:
    """Run a scenario over a grid of parameter values.

    Writes one row per cell as Parquet, and a report. A sweep that was stopped resumes where it left off; all
    cells share one seed. Exits with 3, after writing, if some price left the grid.
    """
    from gammawall.scenarios.cli.progress import progress_bar
    from gammawall.scenarios.cli.terminal import folder_name
    from gammawall.scenarios.spec.load import load
    from gammawall.scenarios.sweeps.grid import check_grid, parse_grid
    from gammawall.scenarios.sweeps.record import sweep_record
    from gammawall.scenarios.sweeps.sweep import sweep as run_sweep
    from gammawall.scenarios.whole_folders import REPORT

    check_targets(json)
    silent = quiet or json == "-"
    lists = check_grid(parse_grid(grid or ()))
    ready = load(scenario, chain=chain, settings=settings or ())
    name = f"{folder_name(ready.name, chain)}-sweep"
    folder = out if out is not None else Path("runs") / name
    with progress_bar(not silent, "cells") as bar:

        def progress(done: int, total: int) -> None:
            heed_interrupts()
            bar(done, total)

        result = run_sweep(
            ready, lists, folder, workers=workers, scheduler=scheduler, fresh=fresh, progress=progress
        )
    write_json(json, sweep_record(result))
    if not silent:
        _print_sweep(result, Path(folder) / REPORT)
    if result.capped:
        typer.echo(
            f"gammawall: in {result.capped:,} of {len(result.table):,} cells no price on the grid cleared "
            "the market on some path and a step was capped: see status.paths_capped in cells.parquet",
            err=True,
        )
        raise typer.Exit(3)


def _print_sweep(sweep: Sweep, report: Path) -> None:
    """What was found, the headline metrics of the first cells, and where the report is."""
    from gammawall.scenarios.cli.terminal import print_report, print_sentence, table, terminal
    from gammawall.scenarios.sweeps.figures import shown_metrics
    from gammawall.scenarios.sweeps.finding import finding, value_label
    from gammawall.scenarios.sweeps.report import column_title, estimate_text

    console, frame, names = terminal(), sweep.table, shown_metrics(sweep)[:3]
    print_sentence(console, finding(sweep), "bold")
    console.print()
    heads = [h for name in names for h in (column_title(sweep, name), "no hedging")]
    rows = table(*sweep.grid, *heads)
    for i in range(min(len(frame), _MOST_CELLS)):
        where = [value_label(frame[key].iloc[i]) for key in sweep.grid]
        rows.add_row(*where, *(estimate_text(sweep, i, n, leg) for n in names for leg in ("", "baseline")))
    console.print(rows)
    if len(frame) > _MOST_CELLS:
        console.print(f"… and {len(frame) - _MOST_CELLS:,} more cells")
    console.print()
    counts = sweep.counts
    redone = f" ({counts['redone']:,} of them because their file was damaged)" if counts["redone"] else ""
    console.print(f"{counts['cells']:,} cells: {counts['found']:,} found, {counts['run']:,} run{redone}")
    print_report(console, report)
