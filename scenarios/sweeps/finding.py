"""What a sweep found, in one sentence made of its numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gammawall.scenarios.pages.numbers import format_estimate, plain
from gammawall.scenarios.sweeps.result import Sweep

__all__ = ["cell_text", "finding", "headline_metric", "metric_text", "unit_of", "value_label"]

_ERRORS = 3.0
"""Standard errors that separate two cells. Cells share their shocks, so this asks for more than it must."""
_UNIT_ENDINGS = ("_usd_bn_per_min", "_usd_bn", "_usd_mn", "_points", "_pct", "_mean")


def headline_metric(sweep: Sweep) -> str:
    """The metric of the scenario's claim; the pin probability where it makes none."""
    claim = sweep.scenario.spec.claim
    return claim.metric if claim else "pin_probability"


def finding(sweep: Sweep) -> str:
    """How the headline metric moves over the grid: its ends along one key, its extremes over several."""
    name, frame, grid = headline_metric(sweep), sweep.table, list(sweep.grid)
    values, errors, baseline = (sweep.numbers(name, n) for n in ("value", "stderr", "baseline"))
    text = metric_text(name)
    if not np.isfinite(values).all():
        return f"No cell, or not every one, has a {text}"
    unit = unit_of(sweep, name)

    def told(i: int) -> str:
        where = cell_text(grid, frame.iloc[i])
        return f"{format_estimate(values[i], errors[i], unit)} at {where}"

    first, last, low, high = 0, len(frame) - 1, int(values.argmin()), int(values.argmax())
    said = text[0].upper() + text[1:] + ("" if unit == "probability" else f" ({unit})")
    if values[high] - values[low] <= _ERRORS * np.hypot(errors[high], errors[low]):
        sentence = f"{said} does not change beyond its error: from {told(low)} to {told(high)}"
    elif len(grid) > 1:
        sentence = f"{said} lies between {told(low)} and {told(high)}"
    else:
        parts = [f"{said} goes from {told(first)} to {told(last)}"]
        ends = values[[first, last]]
        parts += [f"largest {told(high)}"] if values[high] > ends.max() else []
        parts += [f"smallest {told(low)}"] if values[low] < ends.min() else []
        sentence = "; ".join(parts)
    if (baseline == baseline[0]).all():
        alone = format_estimate(baseline[0], sweep.numbers(name, "baseline_stderr")[0], unit)
        sentence += f". Without hedging {alone}"
    return f"{sentence}."


def metric_text(name: str) -> str:
    """A metric's name in words, without its unit."""
    ending = next((e for e in _UNIT_ENDINGS if name.endswith(e)), "")
    return name.removesuffix(ending).removesuffix("_abs").replace("_", " ")


def unit_of(sweep: Sweep, name: str) -> str:
    return sweep.table.attrs["units"][f"{name}.value"]


def cell_text(grid: list[str], row: pd.Series) -> str:
    """Where a cell lies: its values by key, without the key's table where that is not needed."""
    last = [key.rpartition(".")[2] for key in grid]
    names = last if len(set(last)) == len(last) else grid
    return ", ".join(f"{name} = {value_label(row[key])}" for name, key in zip(names, grid, strict=True))


def value_label(value: Any) -> str:
    """A value of a swept key, short."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    return plain(float(value)) if isinstance(value, int | float | np.number) else str(value)
