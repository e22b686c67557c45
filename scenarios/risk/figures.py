"""The pictures of a portfolio's risk: its P&L, who brings the tail, and the stress ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from gammawall.scenarios.pages.drawing import BASELINE, HEDGED, THEORY, add_line, blank_figure, small, tint
from gammawall.scenarios.risk.record_types import RiskRecord

__all__ = ["MOST_BARS", "clock_text", "components", "distribution", "ladder_map", "money_unit"]

MOST_BARS = 12
_LEGS = (("no_feedback", "without feedback", BASELINE), ("feedback", "with feedback", HEDGED))


def money_unit(values: Any) -> tuple[float, str]:
    """The unit in which the largest of some values is short: its USD, and what follows "USD"."""
    sizes = np.abs(np.asarray(values, float))
    largest = float(sizes[np.isfinite(sizes)].max(initial=0.0))
    for size, unit in ((1e9, " bn"), (1e6, " mn"), (1e3, " thousand")):
        if largest >= size:
            return size, unit
    return 1.0, ""


def distribution(record: RiskRecord) -> go.Figure | None:
    """P&L with and without feedback, and VaR and ES at the highest level as lines."""
    found = record["distribution"]
    edges = np.asarray(found["edges_usd"], float)
    if edges.size < 3:
        return None
    scale, unit = money_unit(edges)
    figure = blank_figure(f"P&L (USD{unit})", "paths (%, log scale)")
    x = np.repeat(edges / scale, 2)
    # The tail is what matters, and an atom would flatten it: logarithms, from half a path on.
    least = 50.0 / record["resolved"]["simulation"]["paths"]
    for leg, name, colour in _LEGS:
        shares = np.maximum(100.0 * np.asarray(found[leg], float), least)
        y = np.concatenate([[least], np.repeat(shares, 2), [least]])
        line = add_line(figure, x, y, name, colour, fill="tozeroy", fillcolor=tint(colour, 0.15))
        line.update(hovertemplate=f"USD %{{x:,.4~g}}{unit}: %{{y:.3~g}} %<extra>{name}</extra>")
    last = record["cost_of_ignoring_feedback"]["level"]
    for measure, dash, height in (("VaR", "dot", 1.0), ("ES", "solid", 0.9)):
        row = next(r for r in record["summary"] if r["measure"] == measure and r["level"] == last)
        for leg, _, colour in _LEGS:
            shift = 0.0 if leg == "feedback" else 0.2
            figure.add_vline(
                x=-row[f"{leg}_usd"] / scale,
                line={"width": 1.4, "dash": dash, "color": colour},
                annotation={
                    "text": measure,
                    "font": {"size": 11, "color": colour},
                    "y": height - shift,
                    "yanchor": "top",
                    "x": -row[f"{leg}_usd"] / scale,
                    "xanchor": "right",
                },
            )
    highest = 100.0 * max(np.max(found[leg]) for leg, *_ in _LEGS)
    figure.update_yaxes(type="log", range=np.log10([least, 2.0 * highest]).tolist(), dtick=1)
    return figure


def components(rows: Sequence[Mapping[str, Any]]) -> go.Figure | None:
    """Parts of ES of the positions with the largest, with and without feedback, ± 2 standard errors."""
    if not rows:
        return None
    shown = sorted(rows, key=lambda r: abs(r["es_feedback_usd"]), reverse=True)[:MOST_BARS]
    scale, unit = money_unit([r["es_feedback_usd"] for r in shown])
    figure = blank_figure(f"part of ES (USD{unit})", "")
    labels = [_short(r["label"]) for r in shown]
    for leg, name, colour in _LEGS:
        figure.add_bar(
            x=small(np.array([r[f"es_{leg}_usd"] for r in shown]) / scale),
            y=list(range(len(shown))),
            orientation="h",
            name=name,
            marker={"color": colour},
            error_x={
                "array": small(2.0 * np.array([r[f"es_{leg}_stderr_usd"] for r in shown]) / scale),
                "color": tint(colour, 0.9),
                "thickness": 1.2,
                "width": 2,
            },
            customdata=[r["label"] for r in shown],
            hovertemplate=f"%{{customdata}}: USD %{{x:,.4~g}}{unit}<extra>{name}</extra>",
        )
    figure.update_xaxes(showgrid=True)
    ticks = list(range(len(shown)))
    figure.update_yaxes(tickvals=ticks, ticktext=labels, autorange="reversed", showgrid=False)
    figure.update_layout(barmode="group", bargap=0.25, legend={"traceorder": "reversed"})
    return figure


def ladder_map(rows: Sequence[Mapping[str, Any]]) -> go.Figure | None:
    """P&L by full repricing over spot (across), vol and time (down): blue gains, orange losses."""
    frame = pd.DataFrame(list(rows))
    if frame.empty:
        return None
    scale, unit = money_unit(frame["pnl_usd"])
    # As written in the record: start first.
    times = list(dict.fromkeys(frame["time"]))
    table = frame.pivot_table(index=["time", "vol_move_points"], columns="spot_move_pct", values="pnl_usd")
    pnl = table.to_numpy(float) / scale
    # Roots tell the small moves from none beside the large ones.
    z = np.sign(pnl) * np.sqrt(np.abs(pnl))
    names = [f"{'now' if t == times[0] else clock_text(t)}, vol {v:+g}" for t, v in table.index]
    figure = blank_figure("move of spot (%)", "")
    largest = float(np.abs(z).max()) or 1.0
    figure.add_heatmap(
        x=[f"{m:+g}".replace("-", "−") for m in table.columns],
        y=[n.replace("-", "−") for n in names],
        z=small(z),
        zmin=-largest,
        zmax=largest,
        xgap=1,
        ygap=1,
        colorscale=[[0.0, THEORY], [0.5, "#f4f5f7"], [1.0, HEDGED]],
        showscale=False,
        customdata=small(pnl),
        hovertemplate=f"spot %{{x}} %, %{{y}} points: USD %{{customdata:,.4~g}}{unit}<extra></extra>",
    )
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category", autorange="reversed")
    return figure


def clock_text(time: str) -> str:
    """An instant of a record for a label."""
    return pd.Timestamp(time).strftime("%d %b %H:%M")


def _short(label: str) -> str:
    # Plotly reads a few tags in tick labels; none may come from a file.
    plain = label.replace("&", "&amp;").replace("<", "&lt;")
    return plain if len(label) <= 22 else f"{label[:20]}…".replace("&", "&amp;").replace("<", "&lt;")
