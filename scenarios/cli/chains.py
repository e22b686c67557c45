"""Commands about a file of quotes: exposures, surface."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gammawall.scenarios.cli.options import (
    AsOf,
    Json,
    Quiet,
    Report,
    Spot,
    check_targets,
    write_json,
    write_report,
)

__all__ = ["Convention", "exposures", "surface"]

Convention = Annotated[
    str,
    typer.Option(
        help="Who is long: calls_long_puts_short, calls_short_puts_long, all_long, all_short, "
        "or a .csv of dealers' signed contracts by symbol."
    ),
]


def exposures(
    chain: Annotated[str, typer.Argument(metavar="FILE", help="A file of option quotes.")],
    json: Json = None,
    convention: Convention = "calls_long_puts_short",
    size: Annotated[
        str, typer.Option(help="Size of each position: open_interest, volume or max.")
    ] = "open_interest",
    spot: Spot = None,
    as_of: AsOf = None,
    report: Report = None,
    levels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write the levels as CSV; as a TradingView script if it ends in .pine."
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Print or draw dealers' exposures and levels.

    Gamma, delta, vanna and charm under a convention of who is long; zero gamma, walls and maximum pain.
    """
    from gammawall.scenarios.chains.exposure_record import exposure_record
    from gammawall.scenarios.cli import terminal as console
    from gammawall.scenarios.runs.results import to_json
    from gammawall.surfaces import SignedFlow, chain_terms, dealer_book, exposures, read_chain

    check_targets(json, report)
    check_targets(levels)
    quotes = read_chain(chain, as_of=as_of, spot=spot)
    who = SignedFlow.read_csv(convention) if convention.endswith(".csv") else convention
    terms = chain_terms(quotes)
    book = dealer_book(quotes, who, size, terms=terms)
    exposed = exposures(book)
    record = exposure_record(book, exposed, quotes, terms=terms)
    if report is not None:
        from gammawall.scenarios.chains.exposures_report import exposures_report

        write_report(report, exposures_report(quotes, book, exposed, record, terms))
    if levels is not None:
        from gammawall.scenarios.runs.export import level_rows, write_levels

        title = f"{Path(chain).name} {book.as_of:%Y-%m-%d %H:%M}"
        write_levels(level_rows(record), levels, title=title, pine=levels.endswith(".pine"))
    write_json(json, to_json(record))
    if "-" not in (json, levels) and not quiet:
        console.print_exposures(record)


def surface(
    chain: Annotated[str, typer.Argument(metavar="FILE", help="A file of option quotes.")],
    json: Json = None,
    spot: Spot = None,
    as_of: AsOf = None,
    report: Report = None,
    quiet: Quiet = False,
) -> None:
    """Fit, audit and draw a chain's vol surface.

    Both eSSVI and SVI slices. The report goes to runs/NAME-surface.html unless --report says otherwise.
    """
    from gammawall.scenarios.chains.surface_report import surface_report
    from gammawall.scenarios.cli import terminal as console
    from gammawall.scenarios.runs.results import to_json
    from gammawall.surfaces import read_chain

    target = report or str(Path("runs") / f"{Path(chain).name.split('.')[0]}-surface.html")
    check_targets(json, target)
    record, page = surface_report(read_chain(chain, as_of=as_of, spot=spot))
    write_report(target, page)
    write_json(json, to_json(record))
    if json != "-" and not quiet:
        console.print_surface(record, Path(target))
