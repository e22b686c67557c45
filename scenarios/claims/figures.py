"""The pictures of the ledger: what the sign decides, each effect against impact, vol near the close."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gammawall.scenarios.claims.amplification import imbalance_words
from gammawall.scenarios.claims.record_types import Amplification, ClaimRecord
from gammawall.scenarios.claims.words import effect_text, is_share
from gammawall.scenarios.pages.drawing import (
    BASELINE,
    EXPOSURE,
    HEDGED,
    THEORY,
    add_line,
    blank_figure,
    small,
    tint,
)
from gammawall.scenarios.record_types import JudgedRow

__all__ = ["amplification_by_gamma", "amplification_by_minute", "effect_by_impact", "sign_decides"]

_WIDEST = 4.0
"""Times its threshold, or a part of it, beyond which an effect is drawn at the edge."""
_MINUTES_SHOWN = 120.0
_SHOWN = (-0.02, 0.01, 0.02, 0.03)


def sign_decides(claims: Sequence[ClaimRecord]) -> go.Figure | None:
    """How far each effect lies on the holding side of its threshold, as stated and with the sign turned."""
    if not claims:
        return None
    figure = blank_figure("effect over threshold", "")
    names = [f"{claim['id']} {claim['scenario']}" for claim in claims]
    ends = [[_holding(claim, kind) for claim in claims] for kind in ("base", "sign")]
    # One line through all rows, with gaps.
    x = np.ravel(np.column_stack([*ends, np.full(len(claims), np.nan)]))
    y = np.ravel(np.column_stack([np.arange(len(claims))] * 3)).astype(float)
    figure.add_scatter(
        x=small(x), y=small(y), mode="lines", line={"color": BASELINE, "width": 1.5}, showlegend=False,
        hoverinfo="skip",
    )  # fmt: skip
    looks = (
        ("base", "as the scenario states it", HEDGED, "circle"),
        ("sign", "the sign of all dealers hold turned", EXPOSURE, "diamond-open"),
    )
    for (kind, name, colour, symbol), at in zip(looks, ends, strict=True):
        rows = [_row(claim, kind) for claim in claims]
        figure.add_scatter(
            x=small(np.array(at)),
            y=list(range(len(claims))),
            name=name,
            mode="markers",
            marker={"size": 11, "color": colour, "symbol": symbol, "line": {"width": 2}},
            customdata=[
                [effect_text(claim, row), row["outcome"]] for claim, row in zip(claims, rows, strict=True)
            ],
            hovertemplate=f"%{{y}}: %{{customdata[0]}}, %{{customdata[1]}}<extra>{name}</extra>",
        )
    figure.add_vrect(x0=1.0, x1=1.2 * _WIDEST, fillcolor=tint(HEDGED, 0.07), line_width=0, layer="below")
    figure.add_vline(x=1.0, line={"color": BASELINE, "width": 1.5, "dash": "dot"})
    figure.add_annotation(
        x=float(np.log10(1.05)), y=-0.9, xanchor="left", yanchor="top", showarrow=False, text="the test holds"
    )
    ticks = [1.0 / _WIDEST, 0.5, 1.0, 2.0, _WIDEST]
    words = [f"≤ 1/{_WIDEST:g}", "1/2", "1", "2", f"≥ {_WIDEST:g}"]
    edge = float(np.log10(1.2 * _WIDEST))
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=words, range=[-edge, edge], showgrid=True)
    figure.update_yaxes(
        tickvals=list(range(len(claims))), ticktext=names, range=[len(claims) - 0.5, -0.9], showgrid=False
    )
    return figure


def effect_by_impact(claim: ClaimRecord) -> go.Figure:
    """The effect against impact, with its variants, the sign turned, and where the test holds."""
    figure = blank_figure("impact λ (bp per USD bn)", "")
    stated = sorted(
        (r for r in claim["rows"] if r["kind"] in ("base", "impact")), key=lambda r: r["bp_per_usd_bn"] or 0.0
    )
    others = [r for r in claim["rows"] if r["kind"] in ("variant", "contrast")]
    groups = (
        ("as stated", stated, HEDGED, "circle", "lines+markers"),
        ("other settings", others, HEDGED, "circle-open", "markers"),
        ("sign turned", [_row(claim, "sign")], EXPOSURE, "diamond-open", "markers"),
    )
    for name, rows, colour, symbol, mode in groups:
        if not rows:
            continue
        # Settings at one impact stand side by side, so that their bars can be told apart.
        spread = 1.0 if mode != "markers" else 1.05 ** (np.arange(len(rows)) + 1.0)
        figure.add_scatter(
            x=small(np.array([r["bp_per_usd_bn"] for r in rows]) * spread),
            y=small(np.array([_number(r["effect"]) for r in rows])),
            name=name,
            mode=mode,
            line={"color": colour, "width": 2},
            marker={"size": 8, "color": colour, "symbol": symbol, "line": {"width": 1.5}},
            error_y={
                "array": small(3.0 * np.array([_number(r["stderr"]) for r in rows])),
                "color": colour,
                "thickness": 1.2,
                "width": 3,
            },
            customdata=[[r["setting"], effect_text(claim, r), r["outcome"]] for r in rows],
            hovertemplate="%{customdata[0]}: %{customdata[1]}, %{customdata[2]}<extra></extra>",
        )
    low, high = _span(claim)
    held = (claim["threshold"], high) if claim["holds"] == "above" else (low, claim["threshold"])
    figure.add_hrect(y0=held[0], y1=held[1], fillcolor=tint(HEDGED, 0.08), line_width=0, layer="below")
    figure.add_hline(y=claim["threshold"], line={"color": BASELINE, "width": 1.5, "dash": "dot"})
    figure.add_annotation(
        x=1.0, xref="paper", xanchor="right", y=claim["threshold"], showarrow=False,
        yanchor="bottom" if claim["holds"] == "above" else "top", text="the test holds",
    )  # fmt: skip
    impacts = [r["bp_per_usd_bn"] for r in stated if r["bp_per_usd_bn"]]
    figure.update_xaxes(type="log", tickvals=impacts, ticktext=[f"{i:g}" for i in impacts])
    figure.update_yaxes(range=[low, high], tickformat=".0%" if is_share(claim) else ",~g")
    return figure


def amplification_by_gamma(curve: Amplification) -> go.Figure:
    """Vol of the last half hour over the baseline's, against dealers' net same-day gamma."""
    figure = blank_figure("net same-day gamma (USD bn per 1 %)", "vol over no hedging")
    line, points = curve["line"], curve["points"]
    gex = np.array(line["gex_usd_bn"], float)
    closed = add_line(figure, gex, np.array(line["closed_form"], float), "1/(1 + g)", THEORY)
    closed.update(hovertemplate="%{x:.1f} bn: %{y:.2f}<extra>1/(1 + g)</extra>")
    apart = add_line(
        figure, gex, np.array(line["closed_form_apart"], float), "the same, strikes left behind", THEORY
    )
    apart.update(line_dash="dot", hovertemplate="%{x:.1f} bn: %{y:.2f}<extra>strikes left behind</extra>")
    figure.add_scatter(
        x=small(np.array([p["gex_usd_bn"] for p in points])),
        y=small(np.array([p["simulated"] for p in points])),
        name="simulated",
        mode="markers",
        marker={"size": 9, "color": HEDGED},
        error_y={"array": small(3.0 * np.array([p["stderr"] for p in points])), "color": HEDGED},
        customdata=[[100.0 * p["imbalance"], 100.0 * p["with_jump"]] for p in points],
        hovertemplate="customers' net purchases %{customdata[0]:+.0f} %: %{y:.3f}; the price jumps on "
        "%{customdata[1]:.0f} % of paths<extra>simulated</extra>",
    )
    figure.add_hline(y=1.0, line={"color": BASELINE, "width": 1.5, "dash": "dash"})
    figure.add_vline(x=curve["fold_gex_usd_bn"], line={"color": THEORY, "width": 1.5, "dash": "dash"})
    figure.add_annotation(
        x=curve["fold_gex_usd_bn"], y=1.0, yref="paper", xanchor="left", yanchor="top", showarrow=False,
        text=" g = −1: the map folds",
    )  # fmt: skip
    top = 1.15 * max(p["simulated"] for p in points)
    left = min(1.06 * curve["fold_gex_usd_bn"], 1.06 * float(gex.min()))
    figure.update_yaxes(range=[0.0, top])
    figure.update_xaxes(range=[left, 1.06 * float(gex.max())])
    return figure


def amplification_by_minute(curve: Amplification) -> go.Figure:
    """The same for every minute of the last two hours, for some imbalances."""
    figure = blank_figure("minutes to the close", "vol over no hedging")
    sampled, steps = (np.array(curve[k], float) for k in ("minutes_left", "step_minutes_left"))
    shown = [p for p in curve["points"] if p["imbalance"] in _SHOWN]
    for i, point in enumerate(shown):
        name = imbalance_words(point["imbalance"])
        near, step = sampled <= _MINUTES_SHOWN, steps <= _MINUTES_SHOWN
        simulated = add_line(figure, sampled[near], np.array(point["by_minute"], float)[near], name, HEDGED)
        simulated.update(
            opacity=0.45 + 0.55 * (i + 1) / len(shown),
            hovertemplate=f"%{{x:.0f}} min: %{{y:.2f}}<extra>{name}</extra>",
            showlegend=i == 0,
        )
        simulated.name = "simulated" if i == 0 else name
        closed = np.array(point["by_minute_closed_form"], float)
        add_line(figure, steps[step], closed[step], "1/(1 + g)", THEORY, showlegend=i == 0, hoverinfo="skip")
        figure.add_annotation(
            x=_MINUTES_SHOWN, y=float(point["by_minute"][int(np.argmax(near))]), text=name, showarrow=False,
            xanchor="left", yanchor="bottom", font={"size": 11},
        )  # fmt: skip
    figure.add_hline(y=1.0, line={"color": BASELINE, "width": 1.5, "dash": "dash"})
    top = 1.1 * max(max(p["by_minute"]) for p in shown)
    figure.update_xaxes(range=[_MINUTES_SHOWN, 0.0])
    figure.update_yaxes(range=[0.0, top])
    return figure


def _row(claim: ClaimRecord, kind: str) -> JudgedRow:
    return next(r for r in claim["rows"] if r["kind"] == kind)


def _holding(claim: ClaimRecord, kind: str) -> float:
    """Effect over threshold, or the other way round for a test that holds below; within the axis."""
    effect, threshold = _number(_row(claim, kind)["effect"]), claim["threshold"]
    over, under = (effect, threshold) if claim["holds"] == "above" else (threshold, effect)
    if np.isnan(effect):
        return np.nan
    if over <= 0.0 or under <= 0.0:
        return _WIDEST if over > under else 1.0 / _WIDEST
    return float(np.clip(over / under, 1.0 / _WIDEST, _WIDEST))


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)


def _span(claim: ClaimRecord) -> tuple[float, float]:
    rows = [(_number(r["effect"]), 3.0 * _number(r["stderr"])) for r in claim["rows"]]
    ends = np.array([claim["threshold"], *(e - s for e, s in rows), *(e + s for e, s in rows)])
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    margin = 0.08 * (high - low) or 1.0
    # No probability, vol or ratio is negative; an error bar may reach below.
    return (low - margin if claim["measured"] == "difference" else max(low - margin, 0.0)), high + margin
