"""The command line. Heavy imports happen inside the commands, so that help answers at once."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import textwrap
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

__all__ = ["app", "main"]

app = typer.Typer(
    name="gammawall",
    help="What dealers' option hedging does to the price: given an options surface and who is long it.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_INTERRUPTED = 130

_interrupts: list[int] = []

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the record as JSON; - for standard output."),
]
Report = Annotated[
    str | None, typer.Option("--report", metavar="FILE", help="Write pictures as one HTML file.")
]
Convention = Annotated[
    str,
    typer.Option(
        help="Who is long: calls_long_puts_short, calls_short_puts_long, all_long, all_short, "
        "or a .csv of dealers' signed contracts by symbol."
    ),
]
ScenarioName = Annotated[
    str, typer.Argument(metavar="NAME", help="A scenario of the library, or the path of a TOML file.")
]


@app.command("list")
def list_scenarios() -> None:
    """List the scenarios of the library."""
    from gammawall.scenarios.catalogue import summaries

    lines = summaries()
    indent = max(map(len, lines)) + 2
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    for name, story in lines.items():
        hang = " " * indent
        typer.echo(textwrap.fill(story, columns, initial_indent=name.ljust(indent), subsequent_indent=hang))


@app.command()
def show(name: ScenarioName) -> None:
    """Print a scenario file."""
    from gammawall.scenarios.catalogue import locate, read_text

    typer.echo(read_text(locate(name)), nl=False)


@app.command()
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
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Run a scenario and write its report.

    The same shocks are simulated with and without hedging. Exits with 3, after writing, where some price left
    the grid.
    """
    from gammawall.scenarios import console
    from gammawall.scenarios.files import load
    from gammawall.scenarios.report import render_report, verdict
    from gammawall.scenarios.results import REPORT, check_folder, to_json
    from gammawall.scenarios.runner import run as run_scenario

    _check_targets(json)
    silent = quiet or json == "-"
    ready = load(scenario, chain=chain, settings=settings or ())
    folder = check_folder(out if out is not None else Path("runs") / console.folder_name(ready.name, chain))
    with console.progress_bar(enabled=not silent) as bar:

        def progress(done: int, total: int) -> None:
            _heed_interrupts()
            bar(done, total)

        result = run_scenario(ready, progress=progress)
    result.save(folder, render_report(result))
    _write_json(json, to_json(result.document))
    if not silent:
        console.print_run(result, verdict(result.document, result.series).text, folder / REPORT)
    if result.document["status"]["capped"]:
        typer.echo(f"gammawall: {console.capped_sentence(result.document)}", err=True)
        raise typer.Exit(3)


@app.command()
def exposures(
    chain: Annotated[str, typer.Argument(metavar="FILE", help="A file of option quotes.")],
    json: Json = None,
    convention: Convention = "calls_long_puts_short",
    size: Annotated[
        str, typer.Option(help="Size of each position: open_interest, volume or max.")
    ] = "open_interest",
    spot: Annotated[float | None, typer.Option(help="Index level, where the file does not say.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Time of the quotes, where the file does not say.")
    ] = None,
    report: Report = None,
    quiet: Quiet = False,
) -> None:
    """Print or draw dealers' exposures and levels.

    Gamma, delta, vanna and charm under a convention of who is long; zero gamma, walls and maximum pain.
    """
    from gammawall.scenarios import console
    from gammawall.scenarios.exposed import exposure_record
    from gammawall.scenarios.results import to_json
    from gammawall.surfaces import SignedFlow, dealer_book, exposures, read_chain

    _check_targets(json, report)
    quotes = read_chain(chain, as_of=as_of, spot=spot)
    who = SignedFlow.read_csv(convention) if convention.endswith(".csv") else convention
    book = dealer_book(quotes, who, size)
    exposed = exposures(book)
    record = exposure_record(book, exposed, quotes)
    if report is not None:
        from gammawall.scenarios.exposures_report import exposures_report

        _write_report(report, exposures_report(quotes, book, exposed, record))
    _write_json(json, to_json(record))
    if json != "-" and not quiet:
        console.print_exposures(record)


@app.command()
def surface(
    chain: Annotated[str, typer.Argument(metavar="FILE", help="A file of option quotes.")],
    json: Json = None,
    spot: Annotated[float | None, typer.Option(help="Index level, where the file does not say.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Time of the quotes, where the file does not say.")
    ] = None,
    report: Report = None,
    quiet: Quiet = False,
) -> None:
    """Fit, audit and draw a chain's vol surface.

    Both eSSVI and SVI slices. The report goes to runs/NAME-surface.html unless --report says otherwise.
    """
    from gammawall.scenarios import console
    from gammawall.scenarios.results import to_json
    from gammawall.scenarios.surface_report import surface_report
    from gammawall.surfaces import read_chain

    target = report or str(Path("runs") / f"{Path(chain).name.split('.')[0]}-surface.html")
    _check_targets(json, target)
    record, page = surface_report(read_chain(chain, as_of=as_of, spot=spot))
    _write_report(target, page)
    _write_json(json, to_json(record))
    if json != "-" and not quiet:
        console.print_surface(record, Path(target))


@app.command("calibrate-impact")
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
    from gammawall.scenarios import console
    from gammawall.scenarios.history_file import read_history
    from gammawall.scenarios.history_record import calibration_record
    from gammawall.scenarios.history_report import calibration_report
    from gammawall.scenarios.results import REPORT, to_json

    if report is not None and not report.lower().endswith((".html", ".htm")):
        report = str(Path(report) / REPORT)
    _check_targets(json, report)
    record = calibration_record(read_history(history), split)
    if report is not None:
        _write_report(report, calibration_report(record))
    _write_json(json, to_json(record))
    if json != "-" and not quiet:
        console.print_calibration(record, None if report is None else Path(report))


@app.command()
def doctor() -> None:
    """Check this installation."""
    from gammawall.scenarios import console
    from gammawall.scenarios.doctor import examine

    checks = examine()
    console.print_checks(checks)
    if not all(check.good for check in checks):
        raise typer.Exit(1)


def _check_targets(json: str | None, report: str | None = None) -> None:
    """Refuse files that cannot be written before any work is done."""
    from gammawall.scenarios.results import check_file

    for target in (json if json != "-" else None, report):
        if target is not None:
            check_file(target)


def _write_report(target: str, page: str) -> None:
    from gammawall.scenarios.results import write_text

    write_text(target, page)


def _write_json(target: str | None, text: str) -> None:
    from gammawall.scenarios.results import write_text

    if target == "-":
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
    elif target is not None:
        write_text(target, text)


def main() -> None:
    """Entry point: exit 0 ok, 1 failed, 2 bad input, 3 numerical status, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    signal.signal(signal.SIGINT, _interrupt)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, _interrupt)
    if hasattr(signal, "SIGPIPE"):
        # A reader that leaves, as in `| head -1`, ends the program without a word.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    code = run_guarded()
    if code == _INTERRUPTED:
        # After an interrupt in the middle of a compilation the compiler crashes when Python winds down.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Ctrl-C. An exception raised inside jax's garbage-collection callback is lost, so come back soon."""
    _interrupts.append(number)
    if frame is not None and frame.f_code.co_name == "_xla_gc_callback" and hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        return
    raise KeyboardInterrupt


def _heed_interrupts() -> None:
    """Stop for a Ctrl-C whose exception was lost on its way, as some extension modules do while loading."""
    if _interrupts:
        raise KeyboardInterrupt


def run_guarded() -> int:
    code = 0
    try:
        app()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except Exception as error:
        code = _INTERRUPTED if _interrupts else _explain(error)
    if code == _INTERRUPTED:
        typer.echo("gammawall: interrupted; nothing half-written is left", err=True)
    return code


def _explain(error: Exception) -> int:
    from gammawall.surfaces.errors import InputError, NumericalError

    codes = {InputError: 2, NumericalError: 3, MemoryError: 1, OSError: 1}
    code = next((code for kind, code in codes.items() if isinstance(error, kind)), None)
    if code is None:
        raise error
    spent = "out of memory: use fewer simulation.steps or simulation.paths"
    typer.echo(f"gammawall: {spent if isinstance(error, MemoryError) else error}", err=True)
    return code


if __name__ == "__main__":
    main()
