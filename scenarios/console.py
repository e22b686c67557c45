"""What the command line prints: tables and a progress bar on a terminal, plain text elsewhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gammawall.scenarios.report import format_estimate
from gammawall.surfaces.units import USD_BN

__all__ = ["print_checks", "print_exposures", "print_run", "progress_bar", "safe_name"]

_WIDTH_WHEN_PIPED = 120
_HEADLINES = (
    "pin_probability",
    "pin_mass",
    "touch_probability",
    "breach_probability",
    "realised_vol_pct",
    "last_30min_vol_pct",
    "range_points",
    "hedge_flow_abs_usd_bn",
)


def _console() -> Console:
    terminal = sys.stdout.isatty()
    return Console(width=None if terminal else _WIDTH_WHEN_PIPED, highlight=False, no_color=not terminal)


def safe_name(name: str) -> str:
    """A scenario's name as a folder name that cannot leave its parent."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "scenario"


@contextmanager
def progress_bar(enabled: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar with rate and time left on a terminal; None elsewhere."""
    if not (enabled and sys.stderr.isatty()):
        yield None
        return
    columns = (
        TextColumn("simulating"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("paths"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_run(result: Any, answer: str, report: Path) -> None:
    """Answer, headline metrics, theory, and where the report is."""
    console, document = _console(), result.document
    console.print(Text(answer, style="bold"))
    console.print()
    table = Table("metric", "hedged", "no hedging", "difference", box=None, pad_edge=False)
    for name in _HEADLINES:
        m = result.metric(name)
        table.add_row(
            f"{name} [{m['unit']}]".replace("[", r"\["),
            format_estimate(m["value"], m["stderr"], m["unit"]),
            format_estimate(m["baseline"], m["baseline_stderr"], m["unit"]),
            format_estimate(m["difference"], m["difference_stderr"], m["unit"], signed=True),
        )
    console.print(table)
    console.print()
    theory = Table("closed form", "exact", "simulated", "z", box=None, pad_edge=False)
    for row in document["theory"]:
        z = "–" if row["z"] is None else f"{row['z']:+.1f}"
        theory.add_row(
            row["name"], f"{row['closed_form']:.6g}", f"{row['simulated']:.6g} ± {row['stderr']:.2g}", z
        )
    console.print(theory)
    status, timing = document["status"], document["timing"]
    console.print()
    for note in document["resolved"]["notes"]:
        console.print(Text(f"note: {note}"))
    if status["jump"] or status["capped"]:
        console.print(
            f"{status['paths_with_jump']:,} paths jumped over a fold of the map; "
            f"{status['paths_capped']:,} reached the edge of the price grid"
        )
    console.print(
        f"{timing['table_s']:.1f} s tables, {timing['compile_s']:.1f} s compilation, {timing['run_s']:.1f} s "
        f"simulation ({timing['path_steps_per_s'] / 1e6:.0f} million path-steps per second)"
    )
    console.print(Text(f"report: {report.resolve().as_uri()}"), soft_wrap=True)


def print_exposures(record: dict[str, Any]) -> None:
    """Totals and levels of a chain."""
    console, totals = _console(), record["totals"]
    console.print(Text(f"spot {record['spot']:,.2f} at {record['as_of']}, convention {record['convention']}"))
    table = Table("exposure", "USD bn", box=None, pad_edge=False)
    labels = {
        "gex_usd_per_1pct": "gamma, per 1 % move",
        "gex_calls_usd_per_1pct": "  of it calls",
        "gex_puts_usd_per_1pct": "  of it puts",
        "gex_0dte_usd_per_1pct": "  of it expiring the same day",
        "dex_usd": "delta",
        "vex_usd_per_vol_point": "vanna, per vol point",
        "cex_usd_per_day": "charm, per day",
    }
    for name, label in labels.items():
        table.add_row(label, f"{totals[name] / USD_BN:,.2f}")
    console.print(table)
    crossings = ", ".join(f"{c:,.1f}" for c in record["zero_gamma"]) or "none within ±12 % of spot"
    console.print(f"zero gamma: {crossings}")
    for name in ("call_wall", "put_wall", "abs_gamma_strike"):
        sure = record["confidence"][name]
        text = "none" if sure is None else f"{record[name]:,.10g}"
        if sure is not None and sure["runner_up"] is not None:
            text += f" (runner-up {sure['runner_up']:,.10g}, {sure['confidence']:.0%} behind)"
        console.print(f"{name.replace('_', ' ')}: {text}")
    pain = record["max_pain"]
    console.print(f"max pain of the first expiry: {'none' if pain is None else f'{pain:,.10g}'}")
    for note in record["report"].get("notes", ()):
        console.print(Text(f"note: {note}"))


def print_checks(checks: Any) -> None:
    """The lines of `doctor`."""
    console = _console()
    for check in checks:
        console.print(Text(f"{'ok  ' if check.good else 'BAD '}{check.name}: {check.text}"))
