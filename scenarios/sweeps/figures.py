"""The pictures of a sweep: lines along one key, a map over two, with a menu of metrics and a slider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from gammawall.scenarios.pages.drawing import BASELINE, HEDGED, blank_figure, tint
from gammawall.scenarios.sweeps.finding import cell_text, headline_metric, metric_text, unit_of, value_label
from gammawall.scenarios.sweeps.result import Sweep

__all__ = ["lines", "map_of_two", "shown_metrics"]

_METRICS = (
    "pin_probability",
    "realised_vol_pct",
    "hedge_flow_abs_usd_bn",
    "breach_probability",
    "range_points",
    "pin_mass",
    "touch_probability",
    "last_30min_vol_pct",
    "vol_amplification",
    "dealer_pnl_usd_mn",
)
_PALE = "#eaf1f9"
"""Of nothing, on a map."""
_WIDE = 20.0
"""Ratio of the largest value to the smallest from which an axis is logarithmic."""
_MOST_LABELLED = 80
"""Cells of a map that still have room for their numbers."""
_INK = "#7d8590"
"""Of sliders and scales, which cannot follow the page's ink: legible on white and on dark."""
_LEGS = (("value", "stderr"), ("baseline", "baseline_stderr"))
_BOUND = 1.96
"""standard errors either side, 95 %"""


def shown_metrics(sweep: Sweep) -> list[str]:
    """The metrics worth a picture, the headline first: known in every cell, and not the same in all."""
    first = headline_metric(sweep)
    names = dict.fromkeys((first, *_METRICS))
    values = {name: sweep.numbers(name) for name in names}
    return [name for name, v in values.items() if np.isfinite(v).all() and (name == first or np.ptp(v) > 0)]


def lines(sweep: Sweep, names: Sequence[str]) -> go.Figure | None:
    """Metrics along the first key, hedged with 95 % error bars and unhedged.

    Args:
        sweep: from `sweep`.
        names: metrics, of which a menu chooses one; further keys are moved along by a slider.

    Returns:
        The figure, or None where there is nothing to draw.
    """
    key, *others = sweep.grid
    if not names:
        return None
    slices = _slices(sweep.table, others)
    start = _start(sweep, slices)
    x = [value_label(v) if isinstance(v, str | bool) else v for v in slices[0][1][key]]
    figure = blank_figure(key, "")
    for i, name in enumerate(names):
        data, spec = _line_data(slices[start][1], name), _format(sweep, name)
        for leg, colour in (("baseline", BASELINE), ("value", HEDGED)):
            error = {"type": "data", "array": data[leg][1], "color": tint(colour, 0.8), "thickness": 1.5}
            figure.add_scatter(
                x=x,
                y=data[leg][0],
                error_y=error | {"width": 3},
                name="hedged" if leg == "value" else "no hedging",
                mode="lines+markers",
                line={"color": colour, "width": 2, "dash": "solid" if leg == "value" else "dash"},
                marker={"size": 6},
                visible=i == 0,
                cliponaxis=False,
                hovertemplate=f"{key} %{{x}}<br>%{{y:{spec}}}<extra>%{{fullData.name}}</extra>",
            )
    figure.update_xaxes(**_axis(sweep.grid[key]))
    axes = [_y_axis(sweep, name) for name in names]
    figure.update_layout({k.replace(".", "_"): v for k, v in axes[0].items()})
    _add_menu(figure, [metric_text(name) for name in names], 2, axes)
    data = [
        [_line_data(part, name)[leg] for name in names for leg in ("baseline", "value")] for _, part in slices
    ]
    steps = [{"y": [y for y, _ in d], "error_y.array": [e for _, e in d]} for d in data]
    _add_slider(figure, [label for label, _ in slices], steps, start)
    return figure


def map_of_two(sweep: Sweep, names: Sequence[str]) -> go.Figure | None:
    """Metrics over the first two keys as a map, and what hedging changes in them.

    Args:
        sweep: from `sweep`.
        names: metrics, of which a menu chooses one; further keys are moved along by a slider.

    Returns:
        The figure, or None where there is only one key or nothing to draw.
    """
    if len(sweep.grid) < 2 or not names:
        return None
    (x, columns), (y, rows), *_ = sweep.grid.items()
    slices = _slices(sweep.table, list(sweep.grid)[2:])
    start = _start(sweep, slices)
    choices = [(name, number) for name in names for number in ("value", "difference")]
    figure = blank_figure(x, y)

    def matrix(part: pd.DataFrame, name: str, number: str) -> list[list[float]]:
        return _short(part[f"{name}.{number}"].to_numpy().reshape(len(columns), len(rows)).T)

    for i, (name, number) in enumerate(choices):
        unit, spec = unit_of(sweep, name), _format(sweep, name)
        figure.add_heatmap(
            x=[value_label(v) for v in columns],
            y=[value_label(v) for v in rows],
            z=matrix(slices[start][1], name, number),
            visible=i == 0,
            xgap=1,
            ygap=1,
            texttemplate=f"%{{z:{spec}}}" if len(columns) * len(rows) <= _MOST_LABELLED else None,
            hovertemplate=f"{x} %{{x}}<br>{y} %{{y}}<br>%{{z:{spec}}}<extra></extra>",
            colorbar={
                "title": {"text": "" if unit == "probability" else unit, "font": {"color": _INK}},
                "tickfont": {"color": _INK},
                "tickformat": spec.replace(".1%", ".0%"),
                "thickness": 12,
                "outlinewidth": 0,
            },
            **_colours(sweep.numbers(name, number), number),
        )
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category", tickformat=None, showgrid=False)
    labels = [metric_text(n) + ("" if number == "value" else ", change by hedging") for n, number in choices]
    _add_menu(figure, labels, 1, [{} for _ in choices])
    steps = [{"z": [matrix(part, *choice) for choice in choices]} for _, part in slices]
    _add_slider(figure, [label for label, _ in slices], steps, start)
    return figure


def _slices(frame: pd.DataFrame, keys: list[str]) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each combination of some keys, in the order of the grid."""
    if not keys:
        return [("", frame)]
    groups = frame.groupby(keys, sort=False)
    return [(cell_text(keys, part.iloc[0]), part) for _, part in groups]


def _start(sweep: Sweep, slices: list[tuple[str, pd.DataFrame]]) -> int:
    """The slice in which hedging changes the headline metric most: there is something to see."""
    gaps = [part[f"{headline_metric(sweep)}.difference"].abs().max() for _, part in slices]
    return int(np.nanargmax(gaps)) if np.isfinite(gaps).any() else 0


def _line_data(part: pd.DataFrame, name: str) -> dict[str, tuple[list[float], list[float]]]:
    """Values and half widths of the error bars of both legs."""
    return {
        leg: (_short(part[f"{name}.{leg}"]), _short(_BOUND * part[f"{name}.{error}"])) for leg, error in _LEGS
    }


def _axis(values: list[Any]) -> dict[str, Any]:
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return {"type": "category"}
    low, high = min(values), max(values)
    if low <= 0.0 or high < _WIDE * low:
        return {}
    points = sorted(values)
    few = {"tickvals": points, "ticktext": [value_label(v) for v in points]} if len(points) <= 12 else {}
    return {"type": "log", **few}


def _y_axis(sweep: Sweep, name: str) -> dict[str, Any]:
    """Title and range: one range for all positions of the slider, so that the eye can compare them."""
    unit, legs = unit_of(sweep, name), [(sweep.numbers(name, a), sweep.numbers(name, b)) for a, b in _LEGS]
    low = float(min((value - _BOUND * error).min() for value, error in legs))
    high = float(max((value + _BOUND * error).max() for value, error in legs))
    margin = 0.06 * (high - low) or 1.0
    positive = min(value.min() for value, _ in legs) >= 0.0
    floor = 0.0 if positive and low < 0.3 * high else low - margin
    title = metric_text(name) + ("" if unit == "probability" else f", {unit}")
    tick = ",.0%" if unit == "probability" and high - low > 0.03 else _format(sweep, name)
    return {
        "yaxis.title.text": title,
        "yaxis.range": [floor, high + margin],
        "yaxis.tickformat": tick if unit == "probability" else ",~g",
    }


def _format(sweep: Sweep, name: str) -> str:
    """Digits that a map's cell and a hover label show."""
    if unit_of(sweep, name) in ("probability", "fraction"):
        return ",.1%"
    size = np.abs(sweep.numbers(name)).max()
    return ",.0f" if size >= 1000.0 else ",.1f" if size >= 10.0 else ",.3~f"


def _colours(values: np.ndarray, number: str) -> dict[str, Any]:
    """Blue for what hedging makes, grey for the other way."""
    if number == "value":
        return {
            "colorscale": [[0.0, _PALE], [1.0, HEDGED]],
            "zmin": float(values.min()),
            "zmax": float(values.max()),
        }
    most = float(np.abs(values).max()) or 1.0
    return {"colorscale": [[0.0, BASELINE], [0.5, _PALE], [1.0, HEDGED]], "zmin": -most, "zmax": most}


def _add_menu(figure: go.Figure, labels: list[str], traces: int, axes: list[dict[str, Any]]) -> None:
    """A menu that shows ``traces`` traces of the figure at a time."""
    if len(labels) < 2:
        return
    total = traces * len(labels)
    buttons = [
        {
            "label": label,
            "method": "update",
            "args": [{"visible": [traces * i <= t < traces * (i + 1) for t in range(total)]}, axes[i]],
        }
        for i, label in enumerate(labels)
    ]
    figure.update_layout(
        updatemenus=[
            {
                "buttons": buttons,
                "x": 0.0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "pad": {"b": 30},
                # An open menu lies over the picture, so it brings its own paper and ink.
                "font": {"color": "#333a44", "size": 12},
                "bgcolor": "#eef1f5",
                "bordercolor": BASELINE,
            }
        ]
    )


def _add_slider(figure: go.Figure, labels: list[str], steps: list[dict[str, Any]], start: int) -> None:
    """A slider that gives every trace the data of one slice; what the menu shows stays."""
    if len(labels) < 2:
        return
    key = labels[0].split(" = ")[0]
    alone = all(label.count(" = ") == 1 for label in labels)
    figure.update_layout(
        sliders=[
            {
                "active": start,
                "steps": [
                    {"label": label.split(" = ")[1] if alone else label, "method": "restyle", "args": [step]}
                    for label, step in zip(labels, steps, strict=True)
                ],
                "currentvalue": {"prefix": f"{key} = " if alone else "", "font": {"color": _INK, "size": 13}},
                "font": {"color": _INK if alone else "rgba(0,0,0,0)", "size": 11},
                "pad": {"t": 66, "b": 4},
                "bordercolor": tint(BASELINE, 0.5),
                "bgcolor": tint(BASELINE, 0.2),
                "tickcolor": tint(BASELINE, 0.6),
            }
        ]
    )


def _short(values: Any) -> list[Any]:
    """Six digits are enough for the eye, and keep the page small."""
    array = np.asarray(values, dtype=float)
    digits = 10.0 ** (5 - np.floor(np.log10(np.maximum(np.abs(array), 1e-300))))
    return (np.round(array * digits) / digits).tolist()
