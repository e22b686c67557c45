"""What the command line prints: tables and a progress bar on a terminal, plain text elsewhere."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gammawall.scenarios.report import format_estimate, format_exact
from gammawall.surfaces.units import USD_BN

__all__ = [
    "capped_sentence",
    "folder_name",
    "print_calibration",
    "print_checks",
    "print_exposures",
    "print_run",
    "print_surface",
    "progress_bar",
]

_WIDTH_WHEN_PIPED = 10_000
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
    # No setting of the environment brings colours or wrapping into a file or a pipe.
    piped = not sys.stdout.isatty()
    return Console(
        width=_WIDTH_WHEN_PIPED if piped else None,
        highlight=False,
        force_terminal=False if piped else None,
        no_color=True if piped else None,
    )


def folder_name(name: str, chain: str | None = None) -> str:
    """A scenario's name, with its chain's, as a folder name that cannot leave its parent."""
    full = name if chain is None else f"{name}-{Path(chain).stem}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", full).strip(".-")[:100] or "scenario"


def capped_sentence(document: dict[str, Any]) -> str:
    """What it means that some price left the grid."""
    status, paths = document["status"], document["resolved"]["simulation"]["paths"]
    return (
        f"on {status['paths_capped']:,} of {paths:,} paths no price on the grid cleared the market and the "
        "step was capped: probabilities may be off by that share and averages by more; where it is large, "
        "reduce impact.bp_per_usd_bn or the short positions"
    )


@contextmanager
def progress_bar(enabled: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar with time left on a terminal, nothing elsewhere; called with (done, total)."""
    if not (enabled and sys.stderr.isatty()):
        yield lambda done, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("paths"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("preparing", total=None)
        yield lambda done, total: bar.update(task, description="simulating", completed=done, total=total)


def print_run(result: Any, answer: str, report: Path) -> None:
    """Answer, headline metrics, theory, and where the report is."""
    console, document = _console(), result.document
    # "26.1 % ± 0.1 %" stays on one line.
    bound = re.sub(r"(?<=[\d%±]) (?=[%±\d])", "\u00a0", answer)
    for line in textwrap.wrap(bound, console.width):
        console.print(Text(line.replace("\u00a0", " "), style="bold"))
    console.print()
    table = Table("metric", "hedged", "no hedging", "difference", box=None, pad_edge=False)
    for name in _HEADLINES:
        m = result.metric(name)
        gap = format_estimate(m["difference"], m["difference_stderr"], m["unit"], signed=True)
        table.add_row(
            name,
            format_estimate(m["value"], m["stderr"], m["unit"]),
            format_estimate(m["baseline"], m["baseline_stderr"], m["unit"]),
            gap.replace(" %", "") + " pp" if m["unit"] == "probability" else gap,
        )
    console.print(table)
    console.print()
    theory = Table("closed form", "exact", "simulated", "z", box=None, pad_edge=False)
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
            f"jumps: on {status['paths_with_jump']:,} of {paths:,} paths no price near by cleared the market "
            "and the price jumped to the next that did"
        )
    console.print(
        f"{timing['table_s']:.1f} s tables, {timing['compile_s']:.1f} s compilation, {timing['run_s']:.1f} s "
        f"simulation ({timing['path_steps_per_s'] / 1e6:.0f} million path-steps per second)"
    )
    console.print(Text(f"report: {report.as_uri()}"), soft_wrap=True)


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


def print_surface(record: dict[str, Any], report: Path) -> None:
    """How well each model fits, whether it is free of arbitrage, and where the report is."""
    console = _console()
    console.print(Text(f"spot {record['spot']:,.2f} at {record['as_of']}"))
    table = Table("model", "expiries", "median error", "largest", "arbitrage", box=None, pad_edge=False)
    for name, model in record["models"].items():
        errors = sorted(row["rmse_vol_points"] for row in model["by_expiry"] if not row["reason"])
        found = sum(check["violations"] for check in model["audit"].values())
        table.add_row(
            name,
            str(len(errors)),
            f"{errors[len(errors) // 2]:.3f} vol points",
            f"{errors[-1]:.3f}",
            "none" if model["arbitrage_free"] else f"{found:,} points",
        )
    console.print(table)
    console.print(Text(f"report: {report.resolve().as_uri()}"), soft_wrap=True)


def print_calibration(record: dict[str, Any], report: Path | None) -> None:
    """Impact by period, how it does out of sample, and where the report is."""
    from gammawall.scenarios.history_report import calibration_sentence, fit_of, interval_text

    console = _console()
    console.print(Text(calibration_sentence(record), style="bold"))
    console.print()
    names = ("period", "days", "λ Laplace", "95 %", "λ Gaussian", "95 %", "λ with past vol", "left")
    table = Table(*names, box=None, pad_edge=False)
    for row in record["surviving_past_vol"]:
        period = row["period"]
        laplace, normal = fit_of(record, period), fit_of(record, period, "gaussian")
        table.add_row(
            period,
            f"{laplace['days']:,}",
            f"{laplace['bp_per_usd_bn']:.1f}",
            interval_text(laplace["bootstrap_interval"]),
            f"{normal['bp_per_usd_bn']:.1f}",
            interval_text(normal["bootstrap_interval"]),
            f"{fit_of(record, period, past_vol=True)['bp_per_usd_bn']:.1f}",
            f"{row['share']:.0%}",
        )
    console.print(table)
    console.print("λ in bp per USD bn")
    console.print()
    judged = record["out_of_sample"]
    gains = {
        "gamma over one vol for all": judged["gain_over_constant"],
        "past vol over one vol for all": judged["gain_of_past_vol_over_constant"],
        "gamma beside past vol": judged["gain_of_gamma_over_past_vol"],
    }
    console.print(f"out of sample, {judged['days']:,} days from {record['split']} on, log-likelihood:")
    for name, gain in gains.items():
        console.print(f"  {name}: {gain['nats']:+.1f} ± {gain['stderr']:.1f} nats".replace("-", "−"))
    if report is not None:
        console.print(Text(f"report: {report.resolve().as_uri()}"), soft_wrap=True)


def print_checks(checks: Any) -> None:
    """The lines of `doctor`."""
    console = _console()
    for check in checks:
        console.print(Text(f"{'ok  ' if check.good else 'BAD '}{check.name}: {check.text}"))
