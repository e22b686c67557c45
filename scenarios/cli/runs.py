"""Commands about scenarios: list, show, run; and doctor."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gammawall.scenarios.cli.interrupts import heed_interrupts
from gammawall.scenarios.cli.options import (
    Json,
    Quiet,
    ScenarioName,
    check_targets,
    write_json,
)

if TYPE_CHECKING:
    from gammawall.scenarios.installation import Check
    from gammawall.scenarios.runs.results import Result

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
    from gammawall.scenarios.spec.catalogue import show as text_of

    typer.echo(text_of(name), nl=False)


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
        typer.Option(
            metavar="DIR", help="Keep finished paths here, so that a run that was killed can resume."
        ),
    ] = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Run a scenario and write its report.

    The same shocks are simulated with and without hedging. Exits with 3, after writing, if some price left
    the grid.
    """
    from gammawall.scenarios.cli.progress import progress_bar
    from gammawall.scenarios.cli.terminal import capped_sentence, folder_name
    from gammawall.scenarios.runs.report import render_report
    from gammawall.scenarios.runs.results import check_run_folder
    from gammawall.scenarios.runs.runner import run as run_scenario
    from gammawall.scenarios.spec.load import load
    from gammawall.scenarios.whole_folders import REPORT

    check_targets(json)
    silent = quiet or json == "-"
    ready = load(scenario, chain=chain, settings=settings or ())
    folder = check_run_folder(Path("runs") / folder_name(ready.name, chain) if out is None else out)
    with progress_bar(not silent) as bar:

        def progress(done: int, total: int) -> None:
            heed_interrupts()
            bar(done, total)

        result = run_scenario(ready, progress=progress, checkpoint=checkpoint)
    result.document["provenance"]["command"] = _command(scenario, chain, settings or ())
    result.save(folder, render_report(result))
    write_json(json, result.document)
    if not silent:
        _print_run(result, folder / REPORT)
    if result.document["status"]["capped"]:
        typer.echo(f"gammawall: {capped_sentence(result.document)}", err=True)
        raise typer.Exit(3)


def _command(scenario: str, chain: str | None, settings: Sequence[str]) -> str:
    """What to type to repeat a run, without where it was written."""
    words = ["gammawall", "run", scenario]
    words += [] if chain is None else ["--chain", chain]
    return shlex.join(words + [word for text in settings for word in ("--set", text)])


def doctor() -> None:
    """Check this installation."""
    from gammawall.scenarios.installation import doctor as examine

    checks = examine()
    _print_checks(checks)
    if not all(check.good for check in checks):
        raise typer.Exit(1)


def _print_run(result: Result, report: Path) -> None:
    """Answers, headline metrics, theory, and where the report is."""
    from rich.text import Text

    from gammawall.scenarios.cli.terminal import HEADLINES, print_report, print_sentence, table, terminal
    from gammawall.scenarios.pages.numbers import format_estimate, format_exact, format_gap
    from gammawall.scenarios.runs.answers import answers

    console, document = terminal(), result.document
    first, second = answers(document, result.series)
    print_sentence(console, first.text, "bold")
    if second is not None:
        print_sentence(console, second.text)
    console.print()
    rows = table("metric", "hedged", "no hedging", "difference")
    measured = {metric.name: metric for metric in result.metrics}
    # Where a scenario names its metrics, those are what was asked for.
    for name in HEADLINES if measured.keys() >= set(HEADLINES) else measured:
        m = measured[name]
        rows.add_row(
            name,
            format_estimate(m.value, m.stderr, m.unit),
            format_estimate(m.baseline, m.baseline_stderr, m.unit),
            format_gap(m.difference, m.difference_stderr, m.unit),
        )
    console.print(rows)
    console.print()
    theory = table("closed form", "exact", "simulated", "z")
    for row in document["theory"]:
        z = "–" if row["z"] is None else f"{row['z']:+.1f}".replace("-", "−")
        theory.add_row(
            row["name"],
            format_exact(row["closed_form"], row["stderr"]),
            format_estimate(row["simulated"], row["stderr"]),
            z,
        )
    console.print(theory)
    console.print()
    for note in document["resolved"]["notes"]:
        console.print(Text(f"note: {note}"))
    status, timing = document["status"], document["timing"]
    if status["jump"]:
        paths = document["resolved"]["simulation"]["paths"]
        console.print(
            f"jumps: on {status['paths_with_jump']:,} of {paths:,} paths no nearby price cleared the market, "
            "and the price jumped to the next one that did"
        )
    console.print(
        f"{timing['table_s']:.1f} s tables, {timing['compile_s']:.1f} s compilation, {timing['run_s']:.1f} s "
        f"simulation ({timing['path_steps_per_s'] / 1e6:.0f} million path-steps per second)"
    )
    print_report(console, report)


def _print_checks(checks: Sequence[Check]) -> None:
    """The lines of `doctor`."""
    from rich.text import Text

    from gammawall.scenarios.cli.terminal import terminal

    console = terminal()
    for check in checks:
        console.print(Text(f"{'ok  ' if check.good else 'BAD '}{check.name}: {check.text}"))
