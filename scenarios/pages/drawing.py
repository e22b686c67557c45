"""What every picture shares: colours, an empty figure, lines, labels and clock times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gammawall.scenarios.pages.offline import Figure

__all__ = [
    "BASELINE",
    "EXPOSURE",
    "HEDGED",
    "SECOND",
    "THEORY",
    "add_line",
    "blank_figure",
    "label_side",
    "small",
    "thinned",
    "time_axis",
    "tint",
]

# One meaning per colour through the whole report. Blue, grey, orange and green stay apart for
# colour-blind readers and keep a contrast above 3:1 on the white page and on the dark one.
HEDGED = "#1f78d1"
BASELINE = "#80868f"
THEORY = "#d9730d"
EXPOSURE = "#0f9d76"
# The second hedged run where two are compared; dotted as well, for colour-blind readers and print.
SECOND = "#c2477f"

_SESSION_MINUTES = 390.0
_MOST_TIMES = 400


def blank_figure(x_title: str, y_title: str) -> go.Figure:
    faint = tint(BASELINE, 0.25)
    axis = {"automargin": True, "zeroline": False, "gridcolor": faint, "zerolinecolor": BASELINE}
    axis |= {"ticks": "outside", "ticklen": 4, "tickcolor": faint}
    return Figure(
        layout={
            # An empty template: the default one weighs 7 kB per figure and paints its own background.
            "template": go.layout.Template(),
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, sans-serif", "size": 12},
            "margin": {"l": 8, "r": 22, "t": 8, "b": 8},
            "legend": {"orientation": "h", "x": 0.0, "y": 1.02, "yanchor": "bottom", "font": {"size": 11}},
            "xaxis": {**axis, "title": {"text": x_title}, "tickformat": ",", "showgrid": False},
            "yaxis": {**axis, "title": {"text": y_title}, "tickformat": ",~g"},
            "hovermode": "closest",
            # A finger that scrolls the page must not zoom the picture; the mode bar still zooms.
            "dragmode": False,
        }
    )


def add_line(figure: go.Figure, x: np.ndarray, y: np.ndarray, name: str, colour: str, **more: Any) -> Any:
    # Seven digits are enough for the eye, and plotly packs float32 into half the bytes of text.
    # Dashes repeat what the colour says, for print and for colour-blind readers.
    style = {"color": colour, "width": 2, "dash": "dash" if colour == BASELINE else "solid"}
    figure.add_scatter(x=small(x), y=small(y), name=name, mode="lines", line=style, **more)
    return figure.data[-1]


def tint(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def label_side(level: float, span: Sequence[float]) -> str:
    """Anchor that lets a label at ``level`` grow towards the middle of the picture."""
    return "right" if level > 0.5 * (span[0] + span[1]) else "left"


def time_axis(minutes: np.ndarray, start: Any) -> dict[str, Any]:
    last = float(np.nanmax(minutes))
    try:
        begin = start if isinstance(start, datetime) else datetime.fromisoformat(str(start))
    except ValueError:
        begin = None
    # A date alone reads as midnight and says nothing about the clock.
    if begin is None or not (begin.hour or begin.minute) or last > 1.02 * _SESSION_MINUTES:
        return {"title": {"text": "minutes since the start"}}
    every = 60 if last > 150 else 15
    ticks = np.arange(-(begin.hour * 60 + begin.minute) % every, 1.015 * last, every)
    labels = [(begin + timedelta(minutes=float(t))).strftime("%H:%M") for t in ticks]
    span = [0.0, 1.015 * last]
    return {"title": {"text": "New York time"}, "range": span, "tickvals": ticks, "ticktext": labels}


def thinned(size: int) -> np.ndarray:
    """Indices of at most 400 times, first and last included."""
    return np.unique(np.linspace(0, max(size - 1, 0), min(size, _MOST_TIMES)).round().astype(int))


def small(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)
