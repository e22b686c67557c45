"""What the command line prints: tables on a terminal, plain text elsewhere."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gammawall.scenarios.pages.numbers import format_estimate, format_exact, format_gap, leaf_text, unbroken
from gammawall.scenarios.runs.answers import answers
from gammawall.surfaces.units import USD_BN

__all__ = [
    "capped_sentence",
    "folder_name",
    "print_calibration",
    "print_checks",
    "print_comparison",
    "print_exposures",
    "print_ledger",
    "print_plan",
    "print_risk",
    "print_run",
    "print_surface",
    "print_sweep",
]

_WIDTH_WHEN_PIPED = 10_000
_MOST_CELLS = 24
"""Rows of a sweep that a terminal is shown."""
_MOST_CHANGES = 20
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


def print_run(result: Any, report: Path) -> None:
    """Answers, headline metrics, theory, and where the report is."""
    console, document = _console(), result.document
    first, second = answers(document, result.series)
    _print_sentence(console, first.text, "bold")
    if second is not None:
        _print_sentence(console, second.text)
    console.print()
    table = Table("metric", "hedged", "no hedging", "difference", box=None, pad_edge=False)
    for name in _HEADLINES:
        m = result.metric(name)
        table.add_row(
            name,
            format_estimate(m["value"], m["stderr"], m["unit"]),
            format_estimate(m["baseline"], m["baseline_stderr"], m["unit"]),
            format_gap(m["difference"], m["difference_stderr"], m["unit"]),
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


def _print_sentence(console: Console, sentence: str, style: str = "") -> None:
    for line in textwrap.wrap(unbroken(sentence), console.width):
        console.print(Text(line.replace("\u00a0", " "), style=style))


def print_comparison(found: Any, report: Path) -> None:
    """The sentence, headline metrics of both runs, what differs, and where the report is."""
    console = _console()
    _print_sentence(console, found.sentence, "bold")
    console.print()
    table = Table("metric", *map(escape, found.names), "difference", "z", box=None, pad_edge=False)
    for name in [name for name in _HEADLINES if name in found.metrics.index]:
        row = found.metrics.loc[name]
        table.add_row(
            name,
            format_estimate(row["a"], row["a_stderr"], row["unit"]),
            format_estimate(row["b"], row["b_stderr"], row["unit"]),
            format_gap(row["difference"], row["difference_stderr"], row["unit"]),
            format_estimate(row["z"], 1.0, signed=True).split(" ")[0],
        )
    console.print(table)
    console.print(Text(found.note))
    for title, changes in (("inputs", found.inputs), ("made with", found.versions)):
        if changes:
            console.print()
            listed = Table(title, *map(escape, found.names), box=None, pad_edge=False)
            for change in changes[:_MOST_CHANGES]:
                cells = [change["key"], *(leaf_text(change[k]) for k in "ab")]
                listed.add_row(*map(Text, cells))
            console.print(listed)
            if len(changes) > _MOST_CHANGES:
                console.print(f"and {len(changes) - _MOST_CHANGES:,} more, in the report and the record")
    console.print(Text(f"report: {report.resolve().as_uri()}"), soft_wrap=True)


def print_sweep(sweep: Any, report: Path) -> None:
    """What was found, the headline metrics of the first cells, and where the report is."""
    from gammawall.scenarios.sweeps.figures import shown_metrics
    from gammawall.scenarios.sweeps.finding import finding, value_label
    from gammawall.scenarios.sweeps.report import column_title, estimate_text

    console, frame, names = _console(), sweep.frame, shown_metrics(sweep)[:3]
    _print_sentence(console, finding(sweep), "bold")
    console.print()
    heads = [h for name in names for h in (column_title(sweep, name), "no hedging")]
    table = Table(*sweep.grid, *heads, box=None, pad_edge=False)
    for i in range(min(len(frame), _MOST_CELLS)):
        where = [value_label(frame[key].iloc[i]) for key in sweep.grid]
        table.add_row(*where, *(estimate_text(sweep, i, n, leg) for n in names for leg in ("", "baseline")))
    console.print(table)
    if len(frame) > _MOST_CELLS:
        console.print(f"… and {len(frame) - _MOST_CELLS:,} more cells")
    console.print()
    counts = sweep.counts
    redone = f" ({counts['redone']:,} of them because their file was damaged)" if counts["redone"] else ""
    console.print(f"{counts['cells']:,} cells: {counts['found']:,} found, {counts['run']:,} run{redone}")
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
    from gammawall.scenarios.calibration.report import calibration_sentence, fit_of, interval_text

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


def print_risk(record: dict[str, Any], report: Path) -> None:
    """What a portfolio can lose with and without feedback, who brings it, and where the report is."""
    from gammawall.scenarios.risk.figures import money_unit
    from gammawall.scenarios.risk.report import level_name, risk_sentence

    console, legs = _console(), ("feedback", "no_feedback", "difference")
    _print_sentence(console, risk_sentence(record), "bold")
    console.print()
    scale, unit = money_unit([row[f"{leg}_usd"] for row in record["summary"] for leg in legs[:2]])
    table = Table(f"measure, USD{unit}", "with feedback", "without", "difference", box=None, pad_edge=False)
    for row in record["summary"]:
        level = "" if row["level"] is None else f" {level_name(row['level'])}"
        cells = [
            format_gap(row[f"{leg}_usd"] / scale, row[f"{leg}_stderr_usd"] / scale)
            if leg == "difference"
            else format_estimate(row[f"{leg}_usd"] / scale, row[f"{leg}_stderr_usd"] / scale)
            for leg in legs
        ]
        table.add_row(f"{row['measure']}{level}", *map(unbroken, cells))
    console.print(table)
    console.print()
    largest = sorted(record["positions"], key=lambda r: abs(r["es_feedback_usd"]), reverse=True)[:5]
    parts = Table(f"largest parts of ES, USD{unit}", "with feedback", "without", box=None, pad_edge=False)
    for row in largest:
        cells = [
            format_estimate(row[f"es_{leg}_usd"] / scale, row[f"es_{leg}_stderr_usd"] / scale)
            for leg in legs[:2]
        ]
        parts.add_row(Text(row["label"]), *map(unbroken, cells))
    console.print(parts)
    for note in record["notes"]:
        console.print(Text(f"note: {note}"))
    console.print(Text(f"report: {report.resolve().as_uri()}"), soft_wrap=True)


def print_plan(planned: Any, store: Any) -> None:
    """What a ledger is about to run, before it does."""
    runs, kept = len(planned.runs) + len(planned.curve), planned.kept(store)
    claims, done = len(planned.scenarios), f", {kept:,} of them done before" if kept else ""
    _console().print(
        f"{claims:,} claim{'s' * (claims != 1)} in {planned.settings:,} settings: {runs:,} runs{done}; most "
        "of the time is compilation, a few seconds for each new shape"
    )


def print_ledger(record: dict[str, Any], page: Path) -> None:
    """The verdicts, and where the page is."""
    from gammawall.scenarios.claims.words import (
        condition_words,
        effect_text,
        headline,
        number_words,
        sign_sentence,
    )

    console = _console()
    _print_sentence(console, headline(record), "bold")
    _print_sentence(console, sign_sentence(record))
    console.print()
    names = ("claim", "scenario", "verdict", "effect", "threshold", "hangs on")
    table = Table(*names, box=None, pad_edge=False)
    for claim in record["claims"]:
        cells = (claim["id"], claim["scenario"], claim["verdict"], effect_text(claim, claim["rows"][0]))
        bound = f"{claim['holds']} {number_words(claim, claim['threshold'])}"
        table.add_row(*map(Text, (*cells, bound, condition_words(claim, 1))))
    console.print(table)
    console.print(Text(f"report: {page.resolve().as_uri()}"), soft_wrap=True)


def print_checks(checks: Any) -> None:
    """The lines of `doctor`."""
    console = _console()
    for check in checks:
        console.print(Text(f"{'ok  ' if check.good else 'BAD '}{check.name}: {check.text}"))
