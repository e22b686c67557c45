"""The page of two runs side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gammawall.scenarios.pages.drawing import (
    BASELINE,
    HEDGED,
    SECOND,
    add_line,
    blank_figure,
    thinned,
    time_axis,
    tint,
)
from gammawall.scenarios.pages.numbers import SIGNIFICANT_Z, format_estimate, format_gap, leaf_text, unbroken
from gammawall.scenarios.pages.page import Page, Picture, Table
from gammawall.scenarios.record import mapping, series_array
from gammawall.scenarios.runs.answers import metric_phrase
from gammawall.scenarios.runs.comparison import Comparison

__all__ = ["close_overlay", "compare_page", "fan_overlay", "vol_overlay"]

_TILES = ("pin_probability", "touch_probability", "breach_probability", "realised_vol_pct")
Series = Mapping[str, Any]


def compare_page(found: Comparison) -> str:
    """Two runs side by side as the text of an HTML page."""
    a, b = found.names
    series = found.runs[0].series, found.runs[1].series
    starts = [mapping(mapping(r.document.get("resolved")).get("market")).get("start") for r in found.runs]
    start = starts[0] if starts[0] == starts[1] else None
    words = f"{a} and {b}. {found.sentence}"
    missing = "Neither run kept what this picture needs: a JSON record alone has no arrays."
    return Page(
        title=f"{a} against {b}",
        kicker="two runs side by side",
        headline=unbroken(found.sentence),
        tiles=_tiles(found),
        pictures={
            "close": Picture(
                "Where the index closes",
                "Lines: closes between strikes, per point. Stems: paths that close exactly at a strike, on "
                f"the right-hand axis (→). Dashed: {a} without hedging.",
                f"Distributions of the close of {words}",
                close_overlay(series, found.names),
                missing,
            ),
            "vol": Picture(
                "Realised volatility by time",
                f"Annualised from the moves within each interval. Dashed: {a} without hedging.",
                f"Realised volatility through the run of {words}",
                vol_overlay(series, found.names, start),
                missing,
            ),
            "paths": Picture(
                "The index through the run",
                "Hedged: the median and the outermost quantiles of each run.",
                f"Quantiles of the index of {words}",
                fan_overlay(series, found.names, start),
                missing,
            ),
        },
        layout=[["close", "vol"], ["paths"]],
        tables=_tables(found),
        notes=[found.note, *_warnings(found)],
    ).html()


def _tiles(found: Comparison) -> list[tuple[str, str, str]]:
    tiles, document = [], found.runs[0].document
    for name in _TILES:
        if name in found.metrics.index:
            row = found.metrics.loc[name]
            unit = str(row["unit"])
            label = metric_phrase(name, document).removeprefix("the share of paths that ")
            after = "" if unit == "probability" else f" {unit}"
            first, second = (format_estimate(row[k], row[f"{k}_stderr"], unit) + after for k in "ab")
            tiles.append((label, first, unbroken(f"{found.names[1]}: {second}")))
    return tiles


def _tables(found: Comparison) -> list[Table]:
    a, b = found.names
    rows = []
    for name, row in found.metrics.iterrows():
        unit, z = str(row["unit"]), row["z"]
        gap = format_gap(row["difference"], row["difference_stderr"], unit)
        rows.append(
            [
                f"{str(name).replace('_', ' ')}, {unit}",
                format_estimate(row["a"], row["a_stderr"], unit),
                format_estimate(row["b"], row["b_stderr"], unit),
                gap,
                "–" if not np.isfinite(z) else f"{z:+.1f}".replace("-", "−"),
            ]
        )
    note = f"{found.note} z is the difference in standard errors; beyond {SIGNIFICANT_Z:.0f} it is clear."
    tables = [
        Table("metrics", "All measures, hedged", ["measure, unit", a, b, "difference", "z"], rows, note)
    ]
    for key, title, changes in (
        ("inputs", "What differs in the inputs", found.inputs),
        ("versions", "What differs in how they were made", found.versions),
    ):
        lines = [[c["key"], leaf_text(c["a"]), leaf_text(c["b"])] for c in changes] or [["nothing", "", ""]]
        tables.append(Table(key, title, ["key", a, b], lines))
    return tables


def _warnings(found: Comparison) -> list[str]:
    notes = []
    for name, run in zip(found.names, found.runs, strict=True):
        capped = mapping(run.document.get("status")).get("paths_capped")
        if capped:
            notes.append(
                f"{name}: on {capped:,} paths no price cleared the market; read its tails with care."
            )
        if not run.series:
            notes.append(f"{name} is a JSON record, so its pictures are missing.")
    return notes


def close_overlay(series: tuple[Series, Series], names: tuple[str, str]) -> go.Figure | None:
    """Densities of the close of two runs in one picture, with the atoms of both as stems."""
    figure = blank_figure("index close (points)", "% of paths per point")
    most = 0.0
    for lines, name, colour, key in _lines(series, names, "close_density"):
        edges, density = series_array(lines, "close_edges"), series_array(lines, key)
        if density.size and density.size + 1 == edges.size:
            y = 100.0 * np.append(density, density[-1])
            most = max(most, float(np.nanmax(y)))
            _styled(add_line(figure, edges, y, name, colour), colour, line_shape="hv")
    if not figure.data:
        return None
    figure.update_yaxes(range=[0.0, 1.25 * most])
    _add_stems(figure, series, names)
    return figure


def _add_stems(figure: go.Figure, series: tuple[Series, Series], names: tuple[str, str]) -> None:
    top = 0.0
    for lines, name, colour in zip(series, names, (HEDGED, SECOND), strict=True):
        strikes, masses = series_array(lines, "atom_strike"), 100.0 * series_array(lines, "atom_mass")
        if not strikes.size or strikes.size != masses.size:
            continue
        gap = np.full(strikes.size, np.nan)
        x, y = np.stack([strikes, strikes, gap], 1), np.stack([0.0 * masses, masses, gap], 1)
        stem = add_line(figure, x.ravel(), y.ravel(), f"{name}, at a strike →", colour)
        marker = {"size": 9, "symbol": "circle" if colour == HEDGED else "square"}
        stem.update(yaxis="y2", mode="lines+markers", line_width=4, marker=marker)
        stem.update(hovertemplate=f"%{{y:.2f}} % exactly at %{{x:,.1f}}<extra>{name}</extra>")
        top = max(top, float(np.nanmax(masses)))
    if top > 0.0:
        axis = {"overlaying": "y", "side": "right", "showgrid": False, "zeroline": False}
        axis |= {"automargin": True, "tickmode": "auto"}
        title = {"text": "% of paths exactly at strike", "font": {"color": BASELINE}}
        axis |= {"range": [0.0, 1.25 * top], "title": title, "tickfont": {"color": BASELINE}}
        figure.update_layout(yaxis2=axis)


def vol_overlay(series: tuple[Series, Series], names: tuple[str, str], start: Any) -> go.Figure | None:
    """Realised volatility by time of two runs in one picture."""
    figure, times = blank_figure("", "realised volatility (% per year)"), []
    for lines, name, colour, key in _lines(series, names, "vol_pct"):
        minutes, vol = series_array(lines, "vol_minutes"), series_array(lines, key)
        if minutes.size and minutes.size == vol.size:
            keep = thinned(minutes.size)
            times.append(minutes)
            _styled(add_line(figure, minutes[keep], vol[keep], name, colour), colour)
    if not times:
        return None
    figure.update_xaxes(**time_axis(np.concatenate(times), start))
    figure.update_yaxes(rangemode="tozero")
    return figure


def fan_overlay(series: tuple[Series, Series], names: tuple[str, str], start: Any) -> go.Figure | None:
    """Median and outermost quantiles of the price of two runs in one picture."""
    figure, times = blank_figure("", "index level (points)"), []
    for lines, name, colour in zip(series, names, (HEDGED, SECOND), strict=True):
        minutes, levels = series_array(lines, "minutes"), series_array(lines, "fan_levels")
        fan = series_array(lines, "fan", ndim=2)
        if not fan.size or fan.shape != (levels.size, minutes.size):
            continue
        keep, order = thinned(minutes.size), np.argsort(levels)
        times.append(minutes)
        for i in (order[0], order[-1], order[len(order) // 2]):
            middle, top = i == order[len(order) // 2], i == order[-1]
            fill = {"fill": "tonexty", "fillcolor": tint(colour, 0.15)} if top else {}
            line = add_line(figure, minutes[keep], fan[i, keep], f"{name}, {_span(levels)}", colour, **fill)
            _styled(line, colour, width=2.4 if middle else 0.8)
            line.update(legendgroup=name, showlegend=bool(middle))
            line.update(hovertemplate=f"%{{y:,.1f}} ({100 * levels[i]:.0f} % quantile)<extra>{name}</extra>")
    if not times:
        return None
    figure.update_xaxes(**time_axis(np.concatenate(times), start))
    return figure


def _span(levels: np.ndarray) -> str:
    return f"{100 * levels.min():.0f}–{100 * levels.max():.0f} %"


def _lines(
    series: tuple[Series, Series], names: tuple[str, str], key: str
) -> list[tuple[Series, str, str, str]]:
    """Arrays, name, colour and key of the three lines: the first run's baseline, and both runs."""
    return [
        (series[0], f"{names[0]}, no hedging", BASELINE, f"{key}_baseline"),
        (series[0], names[0], HEDGED, key),
        (series[1], names[1], SECOND, key),
    ]


def _styled(line: Any, colour: str, *, width: float = 2.0, **more: Any) -> None:
    dash = {BASELINE: "dash", HEDGED: "solid", SECOND: "dot"}[colour]
    line.update(line_dash=dash, line_width=width, **more)
    line.update(hovertemplate=f"%{{x:,.1f}}: %{{y:,.3g}}<extra>{line.name}</extra>")
