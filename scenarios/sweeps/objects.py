"""The figures of a sweep, by name."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go

from gammawall.scenarios.sweeps.figures import lines, map_of_two, shown_metrics
from gammawall.scenarios.sweeps.result import Sweep

__all__ = ["SWEEP"]

SWEEP: dict[str, Callable[[Sweep], go.Figure | None]] = {
    "lines": lambda sweep: lines(sweep, shown_metrics(sweep)),
    "map": lambda sweep: map_of_two(sweep, shown_metrics(sweep)),
}
