"""The command about a portfolio of one's own: risk."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gammawall.scenarios.cli.interrupts import heed_interrupts
from gammawall.scenarios.cli.options import Json, Quiet, ScenarioName, check_targets, write_json

if TYPE_CHECKING:
    from gammawall.scenarios.risk.record_types import RiskRecord

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
        list[float] | None, typer.Option(help="Level of VaR and ES, such as 0.99; may be repeated.")
    ] = None,
    paths: Annotated[
        int | None, typer.Option(help="Number of paths; the scenario's own when not given.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where to write; runs/NAME-risk when not given.")
    ] = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Estimate what a portfolio can lose.

    VaR and expected shortfall with and without dealers' hedging, what ignoring it costs, the positions behind
    the tail, the worst paths explained, and a stress ladder. Exits with 3, after writing, if some price left
    the grid.
    """
    from gammawall.scenarios.cli.progress import progress_bar
    from gammawall.scenarios.cli.terminal import capped_sentence, folder_name
    from gammawall.scenarios.risk.portfolio_file import read_portfolio
    from gammawall.scenarios.risk.record import check_risk_folder, portfolio_risk, risk_record, save_risk
    from gammawall.scenarios.risk.report import risk_report
    from gammawall.scenarios.spec.load import load

    began = time.perf_counter()
    check_targets(json)
    silent = quiet or json == "-"
    held, name = read_portfolio(portfolio), Path(portfolio).stem
    more = [] if paths is None else [f"simulation.paths={paths}"]
    ready = load(scenario, chain=chain, settings=[*(settings or ()), *more])
    default = Path("runs") / f"{folder_name(f'{name}-{ready.name}', chain)}-risk"
    folder = check_risk_folder(out if out is not None else default)
    with progress_bar(not silent) as bar:

        def progress(done: int, total: int) -> None:
            heed_interrupts()
            bar(done, total)

        found = portfolio_risk(held, ready, levels=tuple(level or (0.95, 0.99)), progress=progress)
    record = risk_record(found, ready, name, began)
    page = save_risk(found, record, risk_report(record), folder)
    write_json(json, record)
    if not silent:
        _print_risk(record, page)
    if record["status"]["capped"]:
        typer.echo(f"gammawall: {capped_sentence(record)}", err=True)
        raise typer.Exit(3)


def _print_risk(record: RiskRecord, report: Path) -> None:
    """What a portfolio can lose with and without feedback, who brings it, and where the report is."""
    from rich.text import Text

    from gammawall.scenarios.cli.terminal import print_report, print_sentence, table, terminal
    from gammawall.scenarios.pages.numbers import format_estimate, format_gap, unbroken
    from gammawall.scenarios.risk.figures import money_unit
    from gammawall.scenarios.risk.report import figure, level_name, risk_sentence

    console, legs = terminal(), ("feedback", "no_feedback", "difference")
    print_sentence(console, risk_sentence(record), "bold")
    console.print()
    scale, unit = money_unit([figure(row, f"{leg}_usd") for row in record["summary"] for leg in legs[:2]])
    rows = table(f"measure, USD{unit}", "with feedback", "without", "difference")
    for row in record["summary"]:
        level = "" if row["level"] is None else f" {level_name(row['level'])}"
        texts = [
            format_gap(figure(row, f"{leg}_usd") / scale, figure(row, f"{leg}_stderr_usd") / scale)
            if leg == "difference"
            else format_estimate(figure(row, f"{leg}_usd") / scale, figure(row, f"{leg}_stderr_usd") / scale)
            for leg in legs
        ]
        rows.add_row(f"{row['measure']}{level}", *map(unbroken, texts))
    console.print(rows)
    console.print()
    largest = sorted(record["positions"], key=lambda r: abs(r["es_feedback_usd"]), reverse=True)[:5]
    parts = table(f"largest parts of ES, USD{unit}", "with feedback", "without")
    for row in largest:
        texts = [
            format_estimate(figure(row, f"es_{leg}_usd") / scale, figure(row, f"es_{leg}_stderr_usd") / scale)
            for leg in legs[:2]
        ]
        parts.add_row(Text(row["label"]), *map(unbroken, texts))
    console.print(parts)
    for note in record["notes"]:
        console.print(Text(f"note: {note}"))
    print_report(console, report)
