"""The pictures of a run: one function each, from its series to a plotly figure, or to None."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gammawall.scenarios.pages.drawing import (
    BASELINE,
    HEDGED,
    THEORY,
    add_line,
    blank_figure,
    small,
    thinned,
    time_axis,
    tint,
)
from gammawall.scenarios.pages.numbers import format_level
from gammawall.scenarios.record import series_array

__all__ = ["close_distribution", "hedge_flow", "path_fan", "realised_vol"]

_MOST_PATHS = 8


def close_distribution(
    series: Mapping[str, Any],
    *,
    strike: float | None = None,
    band_points: float | None = None,
    theory_mass: float | None = None,
) -> go.Figure | None:
    """Distribution of the close, hedged against baseline, with the mass exactly at a strike as a stem.

    Args:
        series: ``close_edges`` [B+1] in points, ``close_density`` and ``close_density_baseline`` [B] per
            point, ``atom_strike``, ``atom_mass`` and ``atom_stderr`` [n].
        strike: level of interest, in points.
        band_points: half width of the shaded band around it, in points.
        theory_mass: closed-form mass at ``strike``, a probability.

    Returns:
        The figure, or None where neither density exists.
    """
    edges = series_array(series, "close_edges")
    densities = [
        (series_array(series, "close_density_baseline"), "no hedging", BASELINE),
        (series_array(series, "close_density"), "hedged", HEDGED),
    ]
    densities = [d for d in densities if d[0].size and d[0].size + 1 == edges.size]
    if not densities:
        return None
    figure = blank_figure("index close (points)", "% of paths per point")
    if strike is not None and band_points:
        shade = {"line_width": 0, "fillcolor": tint(BASELINE, 0.2), "layer": "below"}
        figure.add_vrect(x0=strike - band_points, x1=strike + band_points, **shade)
    for density, name, colour in densities:
        y, fill = 100.0 * np.append(density, density[-1]), tint(colour, 0.15)
        line = add_line(figure, edges, y, name, colour, fill="tozeroy", fillcolor=fill)
        line.update(
            line_shape="hv", hovertemplate=f"%{{x:,.1f}}: %{{y:.3f}} % per point<extra>{name}</extra>"
        )
    span = _central_range(edges, [d[0] for d in densities], strike)
    figure.update_xaxes(range=span)
    figure.update_yaxes(range=[0.0, 140.0 * max(float(np.nanmax(d[0])) for d in densities)])
    _add_atoms(figure, series, span, strike, theory_mass)
    return figure


def _add_atoms(
    figure: go.Figure,
    series: Mapping[str, Any],
    span: Sequence[float],
    strike: float | None,
    theory_mass: float | None,
) -> None:
    strikes, masses = series_array(series, "atom_strike"), series_array(series, "atom_mass")
    if strikes.size == 0 or strikes.size != masses.size or not np.nanmax(masses) > 0.0:
        return
    errors = series_array(series, "atom_stderr")
    errors = errors if errors.size == masses.size else np.full(masses.size, np.nan)
    gap = np.full(strikes.size, np.nan)
    x, y = np.stack([strikes, strikes, gap], axis=1), np.stack([0.0 * masses, masses, gap], axis=1)
    stem = add_line(figure, x.ravel(), 100.0 * y.ravel(), "at a strike →", HEDGED)
    bars = np.stack([gap, errors, gap], axis=1).ravel()
    stem.update(
        yaxis="y2",
        mode="lines+markers",
        line_width=5,
        marker={"size": 9, "color": HEDGED},
        error_y={"array": small(100.0 * bars), "color": HEDGED, "thickness": 1.5},
        hovertemplate="%{y:.2f} % exactly at %{x:,.1f}<extra>hedged</extra>",
    )
    if theory_mass is not None and strike is not None:
        figure.add_scatter(
            x=[strike],
            y=[100.0 * theory_mass],
            yaxis="y2",
            name="closed form →",
            mode="markers",
            marker={"symbol": "diamond-open", "size": 15, "color": THEORY, "line": {"width": 2.5}},
            hovertemplate="%{y:.2f} % exactly at %{x:,.1f}<extra>closed form</extra>",
        )
    top = int(np.nanargmax(masses))
    share = (float(strikes[top]) - span[0]) / (span[1] - span[0])
    figure.add_annotation(
        x=float(strikes[top]),
        y=100.0 * float(masses[top]),
        yref="y2",
        text=f"<b>{100.0 * masses[top]:.1f} %</b> exactly at {format_level(strikes[top])}",
        showarrow=False,
        xanchor="left" if share < 0.25 else "right" if share > 0.75 else "center",
        yshift=20,
    )
    title = {"text": "% of paths exactly at strike", "font": {"color": HEDGED}}
    axis = {"overlaying": "y", "side": "right", "showgrid": False, "zeroline": False, "automargin": True}
    axis["range"] = [0.0, 140.0 * float(np.nanmax(masses))]
    figure.update_layout(yaxis2={**axis, "title": title, "tickmode": "auto", "tickfont": {"color": HEDGED}})


def path_fan(
    series: Mapping[str, Any], *, strike: float | None = None, start: Any = None
) -> go.Figure | None:
    """Quantiles of the price through the run: a filled fan hedged, dashed lines without hedging.

    Args:
        series: ``minutes`` [M], ``fan_levels`` [Q], ``fan`` and ``fan_baseline`` [Q, M] in points,
            ``sample_paths`` and ``sample_paths_baseline`` [P, M] in points.
        strike: level of interest, in points.
        start: first instant of the run, for clock times on the axis.

    Returns:
        The figure, or None where there are neither quantiles nor paths.
    """
    minutes, levels = series_array(series, "minutes"), series_array(series, "fan_levels")
    keep, order = thinned(minutes.size), np.argsort(levels)
    figure = blank_figure("", "index level (points)")
    drawn: list[np.ndarray] = []
    for key, name, colour in (("fan", "hedged", HEDGED), ("fan_baseline", "no hedging", BASELINE)):
        fan = series_array(series, key, ndim=2)
        if fan.size and fan.shape == (levels.size, minutes.size):
            drawn.append(fan[order][:, keep])
            _add_fan(figure, minutes[keep], drawn[-1], levels[order], name, colour)
    for key, name, colour in (
        ("sample_paths", "paths, hedged", HEDGED),
        ("sample_paths_baseline", "paths, no hedging", BASELINE),
    ):
        paths = series_array(series, key, ndim=2)[:_MOST_PATHS]
        if paths.size and paths.shape[1] == minutes.size:
            drawn.append(paths[:, keep])
            # One trace with gaps instead of one per path: the legend switches all of them together.
            gapped = np.concatenate([drawn[-1], np.full((len(paths), 1), np.nan)], axis=1)
            x = np.tile(np.append(minutes[keep], np.nan), len(paths))
            line = add_line(figure, x, gapped.ravel(), name, colour, hoverinfo="skip")
            line.update(visible="legendonly" if len(drawn) > 1 else True, line_width=1)
    if not drawn:
        return None
    low, high = min(float(np.nanmin(a)) for a in drawn), max(float(np.nanmax(a)) for a in drawn)
    if strike is not None and low - (high - low) < strike < high + (high - low):
        note = {"text": format_level(strike), "x": 0.0, "xanchor": "left", "yanchor": "bottom"}
        figure.add_hline(y=strike, line={"width": 1.2, "dash": "dot", "color": "#6b7280"}, annotation=note)
    figure.update_xaxes(**time_axis(minutes, start))
    return figure


def _add_fan(
    figure: go.Figure, minutes: np.ndarray, fan: np.ndarray, levels: np.ndarray, name: str, colour: str
) -> None:
    outer = f"{name}, {100 * levels[0]:.0f}–{100 * levels[-1]:.0f} %"
    for i, level in enumerate(levels):
        median, edge = i == len(levels) // 2, i in (0, 1, len(levels) - 1)
        line = add_line(figure, minutes, fan[i], outer, colour, legendgroup=name, showlegend=median)
        line.update(hovertemplate=f"%{{y:,.1f}} ({100 * level:.0f} % quantile)<extra>{name}</extra>")
        if colour == HEDGED:
            line.update(fill="tonexty" if i else "none", fillcolor=tint(colour, 0.13 if edge else 0.28))
            line.update(line_width=2.4 if median else 0.6)
        else:
            line.update(line_width=2.2 if median else 1.3)


def realised_vol(series: Mapping[str, Any], *, start: Any = None) -> go.Figure | None:
    """Realised volatility by time: ``vol_minutes``, ``vol_pct``, ``vol_pct_baseline`` [V], % per year."""
    lines = [("vol_pct_baseline", "no hedging", BASELINE), ("vol_pct", "hedged", HEDGED)]
    return _by_time(series, lines, "realised volatility (% per year)", start)


def hedge_flow(series: Mapping[str, Any], *, start: Any = None) -> go.Figure | None:
    """Mean absolute hedge flow by time: ``vol_minutes`` and ``flow_bn_per_min`` [V], USD bn per minute."""
    return _by_time(series, [("flow_bn_per_min", "hedged", HEDGED)], "hedge flow (USD bn per minute)", start)


def _by_time(
    series: Mapping[str, Any], lines: Sequence[tuple[str, str, str]], y_title: str, start: Any
) -> go.Figure | None:
    minutes = series_array(series, "vol_minutes")
    arrays = [(series_array(series, key), name, colour) for key, name, colour in lines]
    arrays = [a for a in arrays if minutes.size and a[0].size == minutes.size]
    if not arrays:
        return None
    figure, keep = blank_figure("", y_title), thinned(minutes.size)
    for y, name, colour in arrays:
        fill = {"fill": "tozeroy", "fillcolor": tint(colour, 0.15)} if len(lines) == 1 else {}
        line = add_line(figure, minutes[keep], y[keep], name, colour, **fill)
        line.update(hovertemplate=f"%{{y:,.3g}}<extra>{name}</extra>")
    figure.update_xaxes(**time_axis(minutes, start))
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(showlegend=len(lines) > 1)
    return figure


def _central_range(edges: np.ndarray, densities: Sequence[np.ndarray], strike: float | None) -> list[float]:
    """Closes that hold all but the outer 0.2 % of each tail of every density, and the strike."""
    low, high = math.inf, -math.inf
    for density in densities:
        mass = np.cumsum(np.nan_to_num(density) * np.diff(edges))
        inside = np.flatnonzero((mass >= 0.002 * mass[-1]) & (mass <= 0.998 * mass[-1]))
        if inside.size:
            low, high = min(low, edges[inside[0]]), max(high, edges[inside[-1] + 1])
    if not low < high:
        low, high = edges[0], edges[-1]
    if strike is not None and edges[0] <= strike <= edges[-1]:
        margin = 0.05 * (high - low)
        low, high = min(low, strike - margin), max(high, strike + margin)
    return [float(low), float(high)]
