"""The pictures of an impact calibration: vol against gamma, and impact by period."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from gammawall.scenarios.calibration.record_types import FitRow, Octile, SimulatedVol
from gammawall.scenarios.pages.drawing import (
    BASELINE,
    EXPOSURE,
    HEDGED,
    THEORY,
    add_line,
    blank_figure,
    small,
)

__all__ = ["impact_by_period", "vol_by_gamma"]

_CURVE_POINTS = 121


def vol_by_gamma(
    buckets: Sequence[Octile],
    *,
    bp_per_usd_bn: float,
    zero_gamma_vol_pct: float,
    constant_vol_pct: float | None = None,
    simulated: Sequence[SimulatedVol] = (),
) -> go.Figure | None:
    """Realised vol of the next day by octile of gamma, with the fitted curve and simulated sessions.

    Args:
        buckets: of `octiles`.
        bp_per_usd_bn: λ of the curve.
        zero_gamma_vol_pct: its vol at gamma zero, percent per year.
        constant_vol_pct: vol of the fit without gamma, drawn as a dashed line.
        simulated: of `simulated_vols`.
    """
    if not buckets:
        return None
    gex = np.array([b["mean_gex_bn"] for b in buckets])
    figure = blank_figure("dealer gamma (USD bn per 1 %)", "vol (% per year)")
    margin = 0.06 * float(np.ptp(gex))
    span = np.linspace(gex[0] - margin, gex[-1] + margin, _CURVE_POINTS)
    slope = 1.0 + 0.01 * bp_per_usd_bn * span
    curve = zero_gamma_vol_pct / np.where(slope > 0.0, slope, np.nan)
    if constant_vol_pct is not None:
        flat = add_line(figure, span[[0, -1]], np.full(2, constant_vol_pct), "one vol for all", BASELINE)
        flat.update(hovertemplate="%{y:.1f} %<extra>one vol for all days</extra>")
    line = add_line(figure, span, curve, "fitted curve", THEORY)
    line.update(hovertemplate="%{x:.2f} bn: %{y:.1f} %<extra>fitted curve</extra>")
    if simulated:
        figure.add_scatter(
            x=small(np.array([s["gex_bn"] for s in simulated])),
            y=small(np.array([s["vol_pct"] for s in simulated])),
            name="simulated sessions",
            mode="markers",
            marker={"symbol": "x", "size": 8, "color": HEDGED},
            hovertemplate="%{x:.2f} bn: %{y:.2f} %<extra>simulated</extra>",
        )
    figure.add_scatter(
        x=small(gex),
        y=small(np.array([b["realised_vol_pct"] for b in buckets])),
        name="recorded, ± 2 se",
        mode="markers",
        marker={"size": 9, "color": EXPOSURE},
        error_y={
            "array": small(2.0 * np.array([b["stderr_pct"] for b in buckets])),
            "color": EXPOSURE,
            "thickness": 1.5,
        },
        customdata=[b["days"] for b in buckets],
        hovertemplate="%{x:.2f} bn: %{y:.1f} %<extra>recorded, %{customdata} days</extra>",
    )
    figure.update_yaxes(rangemode="tozero")
    return figure


def impact_by_period(fits: Sequence[FitRow]) -> go.Figure | None:
    """λ of each period with its bootstrap interval: both laws of the return, and with past vol."""
    if not fits:
        return None
    periods = list(dict.fromkeys(row["period"] for row in fits))
    figure = blank_figure("impact λ (bp per USD bn)", "")
    kinds = (
        ("Laplace", "laplace", False, "circle", 0.22),
        ("Gaussian", "gaussian", False, "circle-open", 0.0),
        ("Laplace, with past vol", "laplace", True, "diamond", -0.22),
    )
    for name, errors, with_vol, symbol, shift in kinds:
        rows = [r for r in fits if r["errors"] == errors and r["with_past_vol"] == with_vol]
        value = np.array([r["bp_per_usd_bn"] for r in rows])
        low, high = np.array([r["bootstrap_interval"] for r in rows], float).T
        figure.add_scatter(
            x=small(value),
            y=[shift - periods.index(r["period"]) for r in rows],
            name=name,
            mode="markers",
            marker={"size": 9, "color": EXPOSURE, "symbol": symbol},
            error_x={
                "array": small(high - value),
                "arrayminus": small(value - low),
                "symmetric": False,
                "color": EXPOSURE,
                "thickness": 1.8,
            },
            customdata=np.stack([low, high], axis=1),
            hovertemplate=(
                "%{x:.1f} bp per USD bn, 95 % from %{customdata[0]:.1f} to %{customdata[1]:.1f}"
                f"<extra>{name}</extra>"
            ),
        )
    ticks = [-k for k in range(len(periods))]
    figure.update_xaxes(showgrid=True, rangemode="tozero")
    figure.update_yaxes(tickvals=ticks, ticktext=periods, range=[-len(periods) + 0.5, 0.5], showgrid=False)
    return figure
