"""The command line. Heavy imports happen inside the commands, so that help answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

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

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the record as JSON; - for standard output."),
]
Convention = Annotated[
    str,
    typer.Option(help="Who is long: calls_long_puts_short, calls_short_puts_long, all_long or all_short."),
]


@app.command("list")
def list_scenarios() -> None:
    """List the scenarios that come with gammawall."""
    import tomllib

    from gammawall.scenarios.files import library

    for name, path in library().items():
        story = tomllib.loads(path.read_text(encoding="utf-8")).get("story", "")
        typer.echo(f"{name:<12}  {story}")


@app.command()
def show(name: Annotated[str, typer.Argument(help="A scenario of the library, or a TOML file.")]) -> None:
    """Print a scenario file."""
    from gammawall.scenarios.files import library, read_text

    known = library()
    typer.echo(read_text(known[name] if name in known else Path(name)), nl=False)


@app.command()
def run(
    scenario: Annotated[str, typer.Argument(help="A scenario of the library, or a TOML file.")],
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
    """Simulate a scenario beside the same market without hedging, and write a report."""
    from gammawall.scenarios import console
    from gammawall.scenarios.files import load
    from gammawall.scenarios.report import render_report, verdict
    from gammawall.scenarios.results import to_json, write_text
    from gammawall.scenarios.runner import run as run_scenario

    silent = quiet or json == "-"
    ready = load(scenario, chain=chain, settings=settings or ())
    with console.progress_bar(enabled=not silent) as progress:
        result = run_scenario(ready, progress=progress)
    folder = Path(out) if out is not None else Path("runs") / console.safe_name(ready.name)
    result.save(folder, {"report.html": render_report(result)})
    if json is not None:
        _write_json(json, to_json(result.document), write_text)
    if not silent:
        console.print_run(result, verdict(result.document, result.series).text, folder / "report.html")


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
) -> None:
    """Dealers' gamma, delta, vanna and charm in a chain, and the levels they make."""
    from gammawall.scenarios import console
    from gammawall.scenarios.exposed import exposure_record
    from gammawall.scenarios.results import to_json, write_text
    from gammawall.surfaces.book import dealer_book
    from gammawall.surfaces.chain import read_chain

    quotes = read_chain(chain, as_of=as_of, spot=spot)
    record = exposure_record(dealer_book(quotes, convention, size), chain=quotes)
    if json is not None:
        _write_json(json, to_json(record), write_text)
    if json != "-":
        console.print_exposures(record)


@app.command()
def doctor() -> None:
    """Say what gammawall runs on here, and whether its arithmetic is right."""
    from gammawall.scenarios import console
    from gammawall.scenarios.doctor import examine

    checks = examine()
    console.print_checks(checks)
    if not all(check.good for check in checks):
        raise typer.Exit(1)


def _write_json(target: str, text: str, write_text: Any) -> None:
    if target == "-":
        typer.echo(text, nl=False)
    else:
        write_text(target, text)


def main() -> None:
    """Entry point: exit 0 ok, 1 failed, 2 bad input, 3 numerical status, 130 interrupted."""
    try:
        app()
    except KeyboardInterrupt:
        typer.echo("interrupted; nothing was written", err=True)
        sys.exit(130)
    except Exception as error:
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    from gammawall.surfaces.errors import InputError, NumericalError

    typer.echo(
        f"gammawall: {error}" if isinstance(error, InputError | NumericalError) else "", err=True, nl=False
    )
    if isinstance(error, InputError):
        typer.echo("", err=True)
        return 2
    if isinstance(error, NumericalError):
        typer.echo("", err=True)
        return 3
    raise error


if __name__ == "__main__":
    main()
