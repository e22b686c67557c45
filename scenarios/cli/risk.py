"""The command about a portfolio of one's own: risk."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from gammawall.scenarios.cli.interrupts import heed_interrupts
from gammawall.scenarios.cli.options import Json, Quiet, ScenarioName, check_targets, write_json

__all__ = ["risk"]


def risk(
    portfolio: Annotated[
        str,
        typer.Argument(
            metavar="PORTFOLIO",
            help="A CSV with type, contracts, strike, expiry and, if wanted, vol_pct, multiplier, label.",
        ),
    ],
    scenario: ScenarioName,
    chain: Annotated[
        str | None, typer.Option(metavar="FILE", help="Quotes to take the dealers' book from.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one value; may be repeated."),
    ] = None,
    level: Annotated[
        list[float] | None, typer.Option(help="Of VaR and ES, such as 0.99; may be repeated.")
    ] = None,
    paths: Annotated[int | None, typer.Option(help="The scenario's own number when not given.")] = None,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where to write; runs/NAME-risk when not given.")
    ] = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Tell what a portfolio can lose.

    VaR and expected shortfall with and without dealers' hedging, what ignoring it costs, the positions that
    bring the tail, the worst paths explained, and a stress ladder. Exits with 3, after
    writing, where some price left the grid.
    """
    from gammawall.scenarios.cli import terminal as console
    from gammawall.scenarios.cli.progress import progress_bar
    from gammawall.scenarios.risk.portfolio_file import read_portfolio
    from gammawall.scenarios.risk.record import check_risk_folder, portfolio_risk, risk_record, save_risk
    from gammawall.scenarios.risk.report import risk_report
    from gammawall.scenarios.runs.results import to_json
    from gammawall.scenarios.spec.load import load

    began = time.perf_counter()
    check_targets(json)
    silent = quiet or json == "-"
    held, name = read_portfolio(portfolio), Path(portfolio).stem
    more = [] if paths is None else [f"simulation.paths={paths}"]
    ready = load(scenario, chain=chain, settings=[*(settings or ()), *more])
    default = Path("runs") / f"{console.folder_name(f'{name}-{ready.name}', chain)}-risk"
    folder = check_risk_folder(out if out is not None else default)
    with progress_bar(not silent) as bar:

        def progress(done: int, total: int) -> None:
            heed_interrupts()
            bar(done, total)

        found = portfolio_risk(held, ready, levels=tuple(level or (0.95, 0.99)), progress=progress)
    record = risk_record(found, ready, name, began)
    page = save_risk(found, record, risk_report(record), folder)
    write_json(json, to_json(record))
    if not silent:
        console.print_risk(record, page)
    if record["status"]["capped"]:
        typer.echo(f"gammawall: {console.capped_sentence(record)}", err=True)
        raise typer.Exit(3)
