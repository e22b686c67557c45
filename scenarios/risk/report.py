"""The page of a portfolio's risk."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from gammawall.scenarios.pages.numbers import format_estimate, is_clear
from gammawall.scenarios.pages.page import Page, Picture, Table, level_text, number_text
from gammawall.scenarios.risk.figures import (
    MOST_BARS,
    clock_text,
    components,
    distribution,
    ladder_map,
    money_unit,
)
from gammawall.scenarios.risk.record_types import RiskRecord

__all__ = ["figure", "level_name", "money_text", "risk_report", "risk_sentence"]

_MOST_ROWS = 100
_MOVES = ("delta", "gamma", "vol", "vanna", "time", "residual")


def risk_report(record: RiskRecord) -> str:
    """A record of `risk_record` as the text of an HTML page."""
    level = record["cost_of_ignoring_feedback"]["level"]
    return Page(
        title=f"Risk of {record['portfolio']}",
        kicker=f"under {record['scenario']}, {len(record['positions']):,} positions, "
        f"{record['resolved']['simulation']['paths']:,} paths",
        headline=risk_sentence(record),
        tiles=_tiles(record),
        pictures={
            "pnl": Picture(
                "Profit and loss at the close, with and without dealers' hedging",
                f"Both on the same shocks. Dotted: VaR, solid: expected shortfall, at {level_name(level)}; "
                "a spike is a close pinned at a strike.",
                "Distribution of the portfolio's profit and loss with and without feedback.",
                distribution(record),
                "The portfolio has the same value on every path.",
            ),
            "parts": Picture(
                f"Who brings the worst {_beyond(level)}",
                f"Mean loss of a position on the worst {_beyond(level)} of the portfolio's paths; the parts "
                f"sum to expected shortfall. Largest {MOST_BARS} at most; bars: ± 2 standard errors.",
                "Parts of expected shortfall by position.",
                components(record["positions"]),
            ),
            "ladder": Picture(
                "Stress ladder",
                "Full repricing, no simulation: spot, vol (points) and time are moved by hand. Blue gains, "
                "orange loses, by the square root. What expires by then is paid at the moved spot.",
                "Profit and loss over moves of spot, vol and time.",
                ladder_map(record["ladder"]),
            ),
        },
        layout=[["pnl"], ["parts", "ladder"]],
        tables=[_summary(record), _worst(record), _ladder(record), _positions(record)],
        notes=[*record["notes"], *_method(record)],
    ).html()


def risk_sentence(record: RiskRecord) -> str:
    """The answer in a sentence."""
    cost = record["cost_of_ignoring_feedback"]
    row = next(r for r in record["summary"] if r["measure"] == "ES" and r["level"] == cost["level"])
    scale, unit = money_unit([row["feedback_usd"], row["no_feedback_usd"]])
    having, without = (number_text(figure(row, f"{leg}_usd") / scale) for leg in ("feedback", "no_feedback"))
    without += unit
    gap, error = cost["difference_usd"], cost["difference_stderr_usd"]
    told = f"On the worst {_beyond(cost['level'])} of paths the portfolio loses USD {having}{unit} on average"
    if not is_clear(gap, error):
        return f"{told}; without dealers' hedging {without}, which is not clearly different."
    way = "understates" if gap > 0.0 else "overstates"
    return (
        f"{told}, and {without} without dealers' hedging: ignoring feedback {way} the risk by "
        f"{money_text(abs(gap), error)}."
    )


def money_text(value: float, stderr: float | None = None, *, signed: bool = False) -> str:
    """An amount with its error, in the unit that suits it."""
    scale, unit = money_unit([value])
    error = None if stderr is None else stderr / scale
    return f"USD {format_estimate(value / scale, error, signed=signed)}{unit}"


def level_name(level: float) -> str:
    """A level in percent: 99 %."""
    return f"{100.0 * level:.10g} %"


def _beyond(level: float) -> str:
    return f"{100.0 * (1.0 - level):.6g} %"


def _tiles(record: RiskRecord) -> list[tuple[str, str, str]]:
    cost = record["cost_of_ignoring_feedback"]
    value, error = cost["difference_usd"], cost["difference_stderr_usd"]
    tiles = [
        (
            f"cost of ignoring feedback, ES {level_name(cost['level'])}",
            money_text(value, error, signed=True),
            "ES with feedback less without, same shocks",
        )
    ]
    for measure in ("ES", "VaR"):
        rows = [r for r in record["summary"] if r["measure"] == measure]
        row = max(rows, key=lambda r: r["level"] or 0.0)
        tiles.append(
            (
                f"{measure} {level_name(row['level'] or 0.0)}, with feedback",
                money_text(row["feedback_usd"], row["feedback_stderr_usd"]),
                f"without: {money_text(row['no_feedback_usd'], row['no_feedback_stderr_usd'])}",
            )
        )
    mean = record["summary"][0]
    tiles.append(
        (
            "mean P&L, with feedback",
            money_text(mean["feedback_usd"], mean["feedback_stderr_usd"], signed=True),
            f"without: {money_text(mean['no_feedback_usd'], mean['no_feedback_stderr_usd'], signed=True)}",
        )
    )
    return tiles


def _summary(record: RiskRecord) -> Table:
    legs = ("feedback", "no_feedback", "difference")
    scale, unit = money_unit([figure(row, f"{leg}_usd") for row in record["summary"] for leg in legs[:2]])
    rows = []
    for row in record["summary"]:
        level = "" if row["level"] is None else f" {level_name(row['level'])}"
        texts = [
            format_estimate(
                figure(row, f"{leg}_usd") / scale,
                figure(row, f"{leg}_stderr_usd") / scale,
                signed=leg == "difference",
            )
            for leg in legs
        ]
        rows.append([f"{row['measure']}{level}", *texts])
    columns = [f"measure, USD{unit}", "with feedback", "without", "difference"]
    note = (
        "VaR and ES are losses: positive numbers. The error of a difference is smaller than those of the two "
        "because both come from the same shocks."
    )
    return Table("summary", "VaR and expected shortfall", columns, rows, note)


def _worst(record: RiskRecord) -> Table:
    scale, unit = money_unit([row["pnl_usd"] for row in record["worst_paths"]])
    names = ("pnl", *_MOVES)
    rows = [
        [
            f"path {row['path']:,}",
            level_text(row["close_points"]),
            *(number_text(figure(row, f"{n}_usd") / scale) for n in names),
        ]
        for row in record["worst_paths"]
    ]
    columns = ["worst paths", "close", f"P&L, USD{unit}", "spot", "gamma", "vol", "vanna", "time", "residual"]
    note = (
        "P&L by full repricing; spot, gamma, vol, vanna and time are the greeks of the start times the move, "
        "each contract to its own settlement. The residual is what they miss: large moves of short options."
    )
    return Table("worst", "The worst paths explained", columns, rows, note)


def _ladder(record: RiskRecord) -> Table:
    frame = pd.DataFrame(record["ladder"])
    scale, unit = money_unit(frame["pnl_usd"])
    table = frame.pivot_table(index=["time", "vol_move_points"], columns="spot_move_pct", values="pnl_usd")
    rows = [
        [f"{clock_text(time)}, vol {move:+g}".replace("-", "−"), *(number_text(v / scale) for v in values)]
        for (time, move), values in zip(table.index, table.to_numpy(float), strict=True)
    ]
    columns = ["time, vol points", *(f"{move:+g} %".replace("-", "−") for move in table.columns)]
    title = f"Stress ladder in numbers: P&L by move of spot, USD{unit}"
    return Table("stress", title, columns, rows, "Vol points are added to every vol.")


def _positions(record: RiskRecord) -> Table:
    ordered = sorted(record["positions"], key=lambda r: abs(r["es_feedback_usd"]), reverse=True)
    parts = [figure(row, f"es_{leg}_usd") for row in ordered for leg in ("feedback", "no_feedback")]
    scale, unit = money_unit(parts)
    rows = []
    for row in ordered[:_MOST_ROWS]:
        expiry = "–" if row["expiry"] is None else pd.Timestamp(row["expiry"]).strftime("%Y-%m-%d %H:%M")
        texts = [
            format_estimate(figure(row, f"es_{leg}_usd") / scale, figure(row, f"es_{leg}_stderr_usd") / scale)
            for leg in ("feedback", "no_feedback")
        ]
        kind = [row["type"], number_text(row["contracts"], 0), level_text(row["strike"]), expiry]
        rows.append([row["label"], *kind, number_text(row["vol_pct"]), *texts])
    columns = [
        "position",
        "type",
        "contracts",
        "strike",
        "expiry",
        "vol, %",
        f"part of ES, USD{unit}",
        "without",
    ]
    left = len(ordered) - len(rows)
    more = f" {left:,} more positions are in positions.csv." if left else ""
    return Table("positions", "Positions by their part of the tail", columns, rows, f"Largest first.{more}")


def _method(record: RiskRecord) -> list[str]:
    return [
        f"Scenario: {record['story']}" if record["story"] else f"Scenario: {record['scenario']}.",
        "The portfolio's owner is a price taker: only the dealers' hedging moves the price.",
        "P&L is the value at the close, or the payoff at the price of its own settlement before it, less the "
        "value at the start; vols are the owner's and move only as the scenario's [surface] says. Cash earns "
        "no interest.",
        "ES = VaR + E[(loss − VaR)⁺]/(1 − level) (Rockafellar and Uryasev); errors by influence functions, "
        "for VaR with the density from order statistics (Woodruff).",
    ]


def figure(row: Mapping[str, object], name: str) -> float:
    """A number of a row by a name that is put together."""
    value = row[name]
    assert isinstance(value, int | float)
    return value
