"""The pictures of a chain: exposures by strike and over time, and its vol surface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gammawall.scenarios.pages.drawing import (
    BASELINE,
    EXPOSURE,
    HEDGED,
    THEORY,
    add_line,
    blank_figure,
    label_side,
    small,
    tint,
)
from gammawall.scenarios.pages.numbers import format_level
from gammawall.scenarios.record import real, series_array
from gammawall.surfaces.units import USD_BN

__all__ = [
    "error_by_expiry",
    "exposure_marks",
    "gamma_heatmap",
    "gex_by_expiry",
    "gex_by_strike",
    "gex_profile",
    "smiles",
    "surface_3d",
]

_MARK = {"width": 1.2, "dash": "dot", "color": "#6b7280"}


def exposure_marks(
    exposures: Mapping[str, Any] | None, *, spot: float | None = None, most_crossings: int = 3
) -> list[tuple[str, float]]:
    """Levels worth a mark on the profile: (name, index points), sorted, equal levels joined."""
    exposures = exposures or {}
    here = real(exposures.get("spot")) or spot
    crossings = exposures.get("zero_gamma")
    crossings = crossings if isinstance(crossings, (list, tuple, np.ndarray)) else [crossings]
    zeros = [z for z in map(real, crossings) if z is not None]
    if here is not None:
        zeros.sort(key=lambda z: abs(z - here))
    named = [("spot", here), *(("zero gamma", z) for z in zeros[:most_crossings])]
    walls = {"call_wall": "call wall", "put_wall": "put wall", "abs_gamma_strike": "largest gamma"}
    named += [(name, real(exposures.get(key))) for key, name in walls.items()]
    joined: dict[float, list[str]] = {}
    for name, level in named:
        if level is not None:
            joined.setdefault(level, []).append(name)
    return [(" · ".join(names), level) for level, names in sorted(joined.items())]


def gex_profile(
    series: Mapping[str, Any], *, exposures: Mapping[str, Any] | None = None, spot: float | None = None
) -> go.Figure | None:
    """Dealer gamma over spot at the start of the run, with zero gamma and the walls marked.

    Args:
        series: ``gex_spot`` [G] in points, ``gex_total_bn`` and ``gex_same_day_bn`` [G] in USD bn per 1 %.
        exposures: record with ``zero_gamma``, ``call_wall``, ``put_wall``, ``abs_gamma_strike`` in points.
        spot: index at the start, in points, where the exposures do not give it.

    Returns:
        The figure, or None where there is no profile.
    """
    x, total = series_array(series, "gex_spot"), series_array(series, "gex_total_bn")
    if x.size < 2 or total.size != x.size:
        return None
    figure = blank_figure("index level (points)", "dealer gamma (USD bn per 1 %)")
    lines = [(total, "all expiries", "solid")]
    same_day = series_array(series, "gex_same_day_bn")
    if same_day.size == x.size and not np.allclose(same_day, total, rtol=1e-3, atol=0.0):
        lines.append((same_day, "expiring the same day", "dot"))
    for y, name, dash in lines:
        fill = {"fill": "tozeroy", "fillcolor": tint(EXPOSURE, 0.15)} if dash == "solid" else {}
        line = add_line(figure, x, y, name, EXPOSURE, **fill)
        line.update(line_dash=dash, hovertemplate=f"%{{x:,.0f}}: %{{y:,.2f}} bn<extra>{name}</extra>")
    marks = [m for m in exposure_marks(exposures, spot=spot) if x[0] <= m[1] <= x[-1]]
    span = _where_gamma_is(x, total, [level for _, level in marks])
    low = min(0.0, *(float(np.nanmin(y)) for y, _, _ in lines))
    high = max(0.0, *(float(np.nanmax(y)) for y, _, _ in lines))
    height = (high - low) or 1.0
    rows = sum(1 + name.count(" · ") for name, _ in marks)
    figure.update_xaxes(range=span)
    figure.update_yaxes(range=[low - 0.05 * height, high + (0.1 + 0.09 * rows) * height], zeroline=True)
    figure.update_layout(showlegend=len(lines) > 1)
    row = 0
    for name, level in marks:
        figure.add_vline(x=level, line={"width": 1.2, "dash": "dot", "color": "#6b7280"})
        # Each label has rows of its own, so that close levels never overprint on a narrow screen.
        figure.add_annotation(
            x=level,
            y=1.0,
            yref="paper",
            yanchor="top",
            yshift=-15 * row,
            text=f"{name.replace(' · ', '<br>')} {format_level(level)}",
            align=label_side(level, span),
            showarrow=False,
            xanchor=label_side(level, span),
            font={"size": 11},
        )
        row += 1 + name.count(" · ")
    return figure


def _where_gamma_is(x: np.ndarray, total: np.ndarray, levels: Sequence[float]) -> list[float]:
    """The part of the profile with more than 3 % of its peak, and every marked level, with a margin."""
    size = np.abs(np.nan_to_num(total))
    seen = x[size > 0.03 * size.max()] if size.any() else x
    low, high = min([float(seen[0]), *levels]), max([float(seen[-1]), *levels])
    margin = 0.05 * (high - low)
    return [max(low - margin, float(x[0])), min(high + margin, float(x[-1]))]


def gex_by_strike(by_strike: pd.DataFrame, spot: float, *, reach: float = 0.06) -> go.Figure | None:
    """GEX of calls and puts by strike as bars, and their sum as a line.

    Args:
        by_strike: table of `Exposures`, indexed by strike.
        spot: index points.
        reach: strikes shown, ± this share of spot.
    """
    near = by_strike.loc[(by_strike.index >= spot * (1 - reach)) & (by_strike.index <= spot * (1 + reach))]
    if near.empty:
        return None
    strike = near.index.to_numpy(float)
    figure = blank_figure("strike (points)", "dealer gamma (USD bn per 1 %)")
    for column, name, colour in (
        ("gex_calls_usd_per_1pct", "calls", EXPOSURE),
        ("gex_puts_usd_per_1pct", "puts", THEORY),
    ):
        figure.add_bar(
            x=small(strike),
            y=small(near[column].to_numpy() / USD_BN),
            name=name,
            marker_color=colour,
            hovertemplate=f"%{{x:,.0f}}: %{{y:,.2f}} bn<extra>{name}</extra>",
        )
    figure.add_scatter(
        x=small(strike),
        y=small(near["gex_usd_per_1pct"].to_numpy() / USD_BN),
        name="together",
        mode="lines",
        line={"color": HEDGED, "width": 1.6},
        hovertemplate="%{x:,.0f}: %{y:,.2f} bn<extra>together</extra>",
    )
    figure.add_vline(x=spot, line=_MARK, annotation={"text": f"spot {format_level(spot)}", "yanchor": "top"})
    figure.update_layout(barmode="relative", bargap=0.1)
    figure.update_yaxes(zeroline=True)
    return figure


def gex_by_expiry(by_expiry: pd.DataFrame, *, most: int = 24) -> go.Figure | None:
    """GEX by expiry as bars, the nearest first.

    Args:
        by_expiry: table of `Exposures`, indexed by expiry instant.
        most: how many expiries are shown.
    """
    if by_expiry.empty:
        return None
    near = by_expiry.sort_index().iloc[:most]
    labels = [f"{e:%d %b %Y %H:%M}" for e in pd.DatetimeIndex(near.index)]
    figure = blank_figure("expiry (New York)", "dealer gamma (USD bn per 1 %)")
    figure.add_bar(
        x=labels,
        y=small(near["gex_usd_per_1pct"].to_numpy(float) / USD_BN),
        marker_color=EXPOSURE,
        hovertemplate="%{x}: %{y:,.2f} bn<extra></extra>",
    )
    figure.update_xaxes(type="category", nticks=min(len(labels), 12))
    figure.update_yaxes(zeroline=True)
    figure.update_layout(bargap=0.1, showlegend=False)
    return figure


def gamma_heatmap(heatmap: pd.DataFrame, spot: float) -> go.Figure | None:
    """GEX over time and spot: blue where dealers damp, orange where they amplify.

    Args:
        heatmap: frame of `gex_heatmap`, one row per instant, one column per spot, USD per 1 %.
        spot: index points.
    """
    if heatmap.empty or heatmap.shape[1] < 2:
        return None
    z = heatmap.to_numpy(float).T / USD_BN
    times = pd.DatetimeIndex(heatmap.index)
    figure = blank_figure("New York time", "index level (points)")
    largest = float(np.abs(z).max()) or 1.0
    figure.add_heatmap(
        x=[t.strftime("%H:%M") for t in times],
        y=small(heatmap.columns.to_numpy(float)),
        z=small(z),
        zmin=-largest,
        zmax=largest,
        colorscale=[[0.0, THEORY], [0.5, "#f4f5f7"], [1.0, HEDGED]],
        colorbar={"title": {"text": "USD bn<br>per 1 %"}, "thickness": 12},
        hovertemplate="%{x}, %{y:,.0f}: %{z:,.1f} bn<extra></extra>",
    )
    figure.add_hline(
        y=spot, line=_MARK, annotation={"text": f"spot {format_level(spot)}", "x": 0.0, "xanchor": "left"}
    )
    # Every half hour at most: one label per instant would overprint.
    every = max(-(-len(times) // 10), 1)
    figure.update_xaxes(type="category", tickvals=[t.strftime("%H:%M") for t in times[::every]])
    return figure


def smiles(quotes: pd.DataFrame, curves: dict[str, pd.DataFrame], *, most: int = 6) -> go.Figure | None:
    """Smiles of a few expiries: bid to ask vol of each quote as a bar, the models as lines.

    Args:
        quotes: ``expiry`` (label), ``strike``, ``bid_vol``, ``ask_vol`` (decimals).
        curves: model name → ``expiry``, ``strike``, ``vol``.
        most: how many expiries are shown, spread evenly over those there are.
    """
    labels = list(dict.fromkeys(quotes["expiry"]))
    if not labels:
        return None
    chosen = [
        labels[i]
        for i in np.unique(np.linspace(0, len(labels) - 1, min(most, len(labels))).round().astype(int))
    ]
    rows = -(-len(chosen) // 3)
    figure = make_subplots(rows=rows, cols=min(3, len(chosen)), subplot_titles=chosen, vertical_spacing=0.14)
    figure.update_layout(blank_figure("", "").layout.to_plotly_json() | {"xaxis": {}, "yaxis": {}})
    for i, label in enumerate(chosen):
        cell = {"row": i // 3 + 1, "col": i % 3 + 1}
        here = quotes.loc[quotes["expiry"] == label]
        middle = 50.0 * (here["bid_vol"] + here["ask_vol"]).to_numpy()
        half = 50.0 * (here["ask_vol"] - here["bid_vol"]).to_numpy()
        figure.add_scatter(
            x=small(here["strike"].to_numpy()),
            y=small(middle),
            mode="markers",
            name="bid to ask",
            marker={"color": BASELINE, "size": 2},
            showlegend=i == 0,
            legendgroup="quotes",
            error_y={"array": small(half), "color": BASELINE, "thickness": 1.2, "width": 0},
            hovertemplate="%{x:,.0f}: %{y:.2f} %<extra>mid</extra>",
            **cell,
        )
        for (name, curve), colour in zip(curves.items(), (HEDGED, THEORY), strict=False):
            line = curve.loc[curve["expiry"] == label]
            figure.add_scatter(
                x=small(line["strike"].to_numpy()),
                y=small(100.0 * line["vol"].to_numpy()),
                mode="lines",
                name=name,
                line={"color": colour, "width": 1.8},
                showlegend=i == 0,
                legendgroup=name,
                hovertemplate=f"%{{x:,.0f}}: %{{y:.2f}} %<extra>{name}</extra>",
                **cell,
            )
    figure.update_layout(legend={"y": 1.09}, margin={"t": 60})
    faint = tint(BASELINE, 0.25)
    figure.update_xaxes(tickformat=",", showgrid=False, automargin=True, nticks=5)
    figure.update_yaxes(gridcolor=faint, zeroline=False, automargin=True)
    figure.update_yaxes(title_text="implied vol (%)", col=1)
    figure.update_xaxes(title_text="strike (points)", row=rows)
    return figure


def surface_3d(moneyness: np.ndarray, years: np.ndarray, vol: np.ndarray) -> go.Figure:
    """The vol surface over standardised moneyness and time.

    Args:
        moneyness: ln(K/F) in at-the-money standard deviations, [G].
        years: [T].
        vol: decimals, [T, G].
    """
    figure = blank_figure("", "")
    figure.add_surface(
        x=small(moneyness),
        y=small(np.log10(365.0 * years)),
        z=small(100.0 * vol),
        colorscale="Viridis",
        colorbar={"title": {"text": "vol (%)"}, "thickness": 12},
        customdata=small(np.repeat(365.0 * years[:, None], moneyness.size, axis=1)),
        hovertemplate="%{x:.1f} sd, %{customdata:.2f} days: %{z:.2f} %<extra></extra>",
    )
    ticks = [d for d in (0.1, 1, 7, 30, 90, 365, 1825) if years.min() * 300 <= d <= years.max() * 420]
    axis = {"backgroundcolor": "rgba(0,0,0,0)", "gridcolor": tint(BASELINE, 0.4), "color": BASELINE}
    figure.update_layout(
        scene={
            "xaxis": {**axis, "title": {"text": "moneyness (sd)"}},
            "yaxis": {
                **axis,
                "title": {"text": "days"},
                "tickvals": list(np.log10(ticks)),
                "ticktext": [f"{t:g}" for t in ticks],
            },
            "zaxis": {**axis, "title": {"text": "vol (%)"}},
            "camera": {"eye": {"x": -1.7, "y": -1.7, "z": 0.8}, "center": {"z": -0.15}},
        },
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
    )
    return figure


def error_by_expiry(reports: dict[str, pd.DataFrame]) -> go.Figure | None:
    """Root mean square error of each model by expiry.

    Args:
        reports: model name → ``years`` and ``rmse_vol_points`` by expiry.
    """
    figure = blank_figure("days to expiry", "error (vol points, rms)")
    for (name, report), colour in zip(reports.items(), (HEDGED, THEORY), strict=False):
        known = report.loc[np.isfinite(report["rmse_vol_points"].to_numpy(float))]
        figure.add_scatter(
            x=small(365.0 * known["years"].to_numpy(float)),
            y=small(known["rmse_vol_points"].to_numpy(float)),
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 1.4},
            marker={"size": 5},
            hovertemplate=f"%{{x:.2f}} days: %{{y:.3f}} vol points<extra>{name}</extra>",
        )
    if not figure.data:
        return None
    figure.update_xaxes(type="log", tickformat="~g")
    figure.update_yaxes(rangemode="tozero")
    return figure
