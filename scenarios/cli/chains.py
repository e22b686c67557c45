"""Commands about a file of quotes: exposures, surface."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gammawall.scenarios.cli.options import (
    AsOf,
    Json,
    Quiet,
    Report,
    Spot,
    check_targets,
    write_json,
)

if TYPE_CHECKING:
    from gammawall.scenarios.record_types import ExposureRecord

__all__ = ["Convention", "exposures", "surface"]

Convention = Annotated[
    str,
    typer.Option(
        help="What dealers hold: calls_long_puts_short, calls_short_puts_long, all_long, all_short, "
        "or a .csv of dealers' signed contracts by symbol."
    ),
]


def exposures(
    chain: Annotated[str, typer.Argument(metavar="FILE", help="A file of option quotes.")],
    json: Json = None,
    convention: Convention = "calls_long_puts_short",
    size: Annotated[
        str, typer.Option(help="What gives the size of a position: open_interest, volume or max (of both).")
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
    """Measure dealers' exposures and find the levels.

    Gamma, delta, vanna and charm under a convention of who is long; zero gamma, walls and max pain.
    """
    from gammawall.scenarios.api import exposures as expose

    check_targets(json, report)
    check_targets(levels)
    record = expose(chain, convention, size=size, spot=spot, as_of=as_of, report=report, levels=levels)
    write_json(json, record)
    if "-" not in (json, levels) and not quiet:
        _print_exposures(record)


def surface(
    chain: Annotated[str, typer.Argument(metavar="FILE", help="A file of option quotes.")],
    json: Json = None,
    spot: Spot = None,
    as_of: AsOf = None,
    report: Report = None,
    quiet: Quiet = False,
) -> None:
    """Fit, audit and draw a chain's vol surface.

    Fits eSSVI and SVI, and checks both for arbitrage. The report goes to runs/NAME-surface.html unless
    --report says otherwise.
    """
    from gammawall.scenarios.api import surface as fit_and_audit

    target = report or str(Path("runs") / f"{Path(chain).name.split('.')[0]}-surface.html")
    check_targets(json, target)
    record = fit_and_audit(chain, spot=spot, as_of=as_of, report=target)
    write_json(json, record)
    if json != "-" and not quiet:
        _print_surface(record, Path(target))


def _print_exposures(record: ExposureRecord) -> None:
    """Totals and levels of a chain."""
    from rich.text import Text

    from gammawall.scenarios.cli.terminal import table, terminal
    from gammawall.surfaces.units import USD_BN

    console, totals = terminal(), record["totals"]
    console.print(Text(f"spot {record['spot']:,.2f} at {record['as_of']}, convention {record['convention']}"))
    rows = table("exposure", "USD bn")
    labels = {
        "gex_usd_per_1pct": "gamma, per 1 % move",
        "gex_calls_usd_per_1pct": "  of which calls",
        "gex_puts_usd_per_1pct": "  of which puts",
        "gex_0dte_usd_per_1pct": "  of which expiring the same day",
        "dex_usd": "delta",
        "vex_usd_per_vol_point": "vanna, per vol point",
        "cex_usd_per_day": "charm, per day",
    }
    for name, label in labels.items():
        rows.add_row(label, f"{totals[name] / USD_BN:,.2f}")
    console.print(rows)
    crossings = ", ".join(f"{c:,.1f}" for c in record["zero_gamma"]) or "none within ±12 % of spot"
    console.print(f"zero gamma: {crossings}")
    for name in ("call_wall", "put_wall", "abs_gamma_strike"):
        sure = record["confidence"][name]
        text = "none" if sure is None else f"{record[name]:,.10g}"
        if sure is not None and sure["runner_up"] is not None:
            text += f" (runner-up {sure['runner_up']:,.10g}, {sure['confidence']:.0%} behind)"
        console.print(f"{name.replace('_', ' ')}: {text}")
    pain = record["max_pain"]
    console.print(f"max pain, first expiry: {'none' if pain is None else f'{pain:,.10g}'}")
    for note in record["report"].get("notes", ()):
        console.print(Text(f"note: {note}"))


def _print_surface(record: dict[str, Any], report: Path) -> None:
    """How well each model fits, whether it is free of arbitrage, and where the report is."""
    from rich.text import Text

    from gammawall.scenarios.cli.terminal import print_report, table, terminal

    console = terminal()
    console.print(Text(f"spot {record['spot']:,.2f} at {record['as_of']}"))
    rows = table("model", "expiries", "median error", "largest", "arbitrage")
    for name, model in record["models"].items():
        errors = sorted(row["rmse_vol_points"] for row in model["by_expiry"] if not row["reason"])
        found = sum(check["violations"] for check in model["audit"].values())
        rows.add_row(
            name,
            str(len(errors)),
            f"{errors[len(errors) // 2]:.3f} vol points",
            f"{errors[-1]:.3f}",
            "none" if model["arbitrage_free"] else f"{found:,} points",
        )
    console.print(rows)
    print_report(console, report)
