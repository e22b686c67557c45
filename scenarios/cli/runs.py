"""Commands about scenarios: list, show, run; and doctor."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gammawall.scenarios.cli.interrupts import heed_interrupts
from gammawall.scenarios.cli.options import (
    Json,
    Quiet,
    ScenarioName,
    check_targets,
    write_json,
)

__all__ = ["doctor", "list_scenarios", "run", "show"]


def list_scenarios() -> None:
    """List the scenarios of the library."""
    from gammawall.scenarios.spec.catalogue import summaries

    lines = summaries()
    indent = max(map(len, lines)) + 2
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    for name, story in lines.items():
        hang = " " * indent
        typer.echo(textwrap.fill(story, columns, initial_indent=name.ljust(indent), subsequent_indent=hang))


def show(name: ScenarioName) -> None:
    """Print a scenario file."""
    from gammawall.scenarios.spec.catalogue import locate, read_text

    typer.echo(read_text(locate(name)), nl=False)


def run(
    scenario: ScenarioName,
    chain: Annotated[
        str | None, typer.Option(metavar="FILE", help="Quotes to take the book, spot and time from.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one value; may be repeated."),
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where to write; runs/NAME when not given.")
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Keep finished paths here: the same run goes on after a kill."),
    ] = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Run a scenario and write its report.

    The same shocks are simulated with and without hedging. Exits with 3, after writing, where some price left
    the grid.
    """
    from gammawall.scenarios.cli import terminal as console
    from gammawall.scenarios.cli.progress import progress_bar
    from gammawall.scenarios.runs.report import render_report
    from gammawall.scenarios.runs.results import REPORT, check_folder, to_json
    from gammawall.scenarios.runs.runner import run as run_scenario
    from gammawall.scenarios.spec.load import load

    check_targets(json)
    silent = quiet or json == "-"
    ready = load(scenario, chain=chain, settings=settings or ())
    folder = check_folder(out if out is not None else Path("runs") / console.folder_name(ready.name, chain))
    with progress_bar(not silent) as bar:

        def progress(done: int, total: int) -> None:
            heed_interrupts()
            bar(done, total)

        result = run_scenario(ready, progress=progress, checkpoint=checkpoint)
    result.document["provenance"]["command"] = _command(scenario, chain, settings or ())
    result.save(folder, render_report(result))
    write_json(json, to_json(result.document))
    if not silent:
        console.print_run(result, folder / REPORT)
    if result.document["status"]["capped"]:
        typer.echo(f"gammawall: {console.capped_sentence(result.document)}", err=True)
        raise typer.Exit(3)


def _command(scenario: str, chain: str | None, settings: Sequence[str]) -> str:
    """What to type to repeat a run, without where it was written."""
    words = ["gammawall", "run", scenario]
    words += [] if chain is None else ["--chain", chain]
    return shlex.join(words + [word for text in settings for word in ("--set", text)])


def doctor() -> None:
    """Check this installation."""
    from gammawall.scenarios.cli import terminal as console
    from gammawall.scenarios.cli.doctor import examine

    checks = examine()
    console.print_checks(checks)
    if not all(check.good for check in checks):
        raise typer.Exit(1)
