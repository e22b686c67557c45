"""The report of a sweep: what was found, lines and maps, and the table of its cells."""

from __future__ import annotations

import re

import numpy as np

from gammawall.scenarios.pages.numbers import format_estimate, format_gap
from gammawall.scenarios.pages.page import Page, Picture, Table
from gammawall.scenarios.sweeps.figures import lines, map_of_two, shown_metrics
from gammawall.scenarios.sweeps.finding import (
    cell_text,
    finding,
    headline_metric,
    metric_text,
    unit_of,
    value_label,
)
from gammawall.scenarios.sweeps.result import Sweep

__all__ = ["column_title", "estimate_text", "sweep_report"]

_MOST_ROWS = 200
_MAPPED = 6
"""metrics of the map, of which each takes two lines of its menu"""
_COLUMNS = 3
"""metrics in the table"""


def sweep_report(sweep: Sweep) -> str:
    """One HTML file that works offline."""
    names = shown_metrics(sweep)
    keys = list(sweep.grid)
    pictures = {"lines": _lines(sweep, names)}
    layout = [["lines"]]
    if len(keys) > 1:
        pictures["map"] = _map(sweep, names)
        layout = [["map", "lines"]]
    else:
        # With one key there is room for the next metrics side by side.
        for name in names[1:5]:
            title = metric_text(name)
            pictures[name] = Picture(
                title[0].upper() + title[1:],
                f"{sweep.table.attrs['descriptions'][name]}; error bars 95 %",
                f"{title} along {keys[0]}",
                lines(sweep, [name]),
                height=290,
            )
        shown = names[1:5]
        layout += [shown[i : i + 2] for i in range(0, len(shown), 2)]
    return Page(
        title=f"Sweep of {sweep.scenario.name}",
        kicker=f"{len(sweep.table):,} cells over {' × '.join(keys)}",
        headline=_bound(finding(sweep)),
        tiles=_tiles(sweep),
        pictures=pictures,
        layout=layout,
        tables=[_table(sweep, names[:_COLUMNS])],
        notes=_notes(sweep),
    ).html()


def estimate_text(sweep: Sweep, row: int, name: str, leg: str = "") -> str:
    """A metric of a cell with its standard error; ``leg`` is "", "baseline" or "difference"."""
    cell = sweep.table.iloc[row]
    value, error = (leg, f"{leg}_stderr") if leg else ("value", "stderr")
    return format_estimate(
        cell[f"{name}.{value}"], cell[f"{name}.{error}"], unit_of(sweep, name), signed=leg == "difference"
    )


def _lines(sweep: Sweep, names: list[str]) -> Picture:
    key, *others = sweep.grid
    more = f"; the slider moves {' and '.join(others)}" if others else ""
    return Picture(
        f"Along {key}",
        f"Blue: hedged. Dashed grey: the same shocks without hedging. Error bars 95 %. The menu chooses the "
        f"metric{more}.",
        f"Lines of {', '.join(map(metric_text, names))} along {key}, hedged and not hedged",
        lines(sweep, names),
        height=500 if others else 430,
    )


def _map(sweep: Sweep, names: list[str]) -> Picture:
    x, y, *others = sweep.grid
    more = f" The slider moves {' and '.join(others)}." if others else ""
    return Picture(
        f"Over {x} and {y}",
        "The menu chooses the metric, or what hedging changes in it: blue where hedging raises it, grey "
        f"where it lowers it.{more}",
        f"Map of {', '.join(map(metric_text, names[:_MAPPED]))} over {x} and {y}",
        map_of_two(sweep, names[:_MAPPED]),
        height=500,
    )


def _tiles(sweep: Sweep) -> list[tuple[str, str, str]]:
    name, frame, grid = headline_metric(sweep), sweep.table, list(sweep.grid)
    values, gaps = sweep.numbers(name), np.abs(sweep.numbers(name, "difference"))
    text = metric_text(name)
    if not np.isfinite(values).all():
        return []
    tiles = [
        (f"{word} {text}", estimate_text(sweep, row, name), cell_text(grid, frame.iloc[row]))
        for word, row in (("largest", int(values.argmax())), ("smallest", int(values.argmin())))
    ]
    most = int(gaps.argmax())
    gap, error = (sweep.numbers(name, number)[most] for number in ("difference", "difference_stderr"))
    change = format_gap(gap, error, unit_of(sweep, name))
    tiles.append(("largest change by hedging", change, cell_text(grid, frame.iloc[most])))
    paths = "" if "simulation.paths" in grid else f"{sweep.scenario.config.paths:,} paths each"
    return [*tiles, ("cells", f"{len(frame):,}", paths)]


def _table(sweep: Sweep, names: list[str]) -> Table:
    keys = list(sweep.grid)
    columns = ["cell", *(c for name in names for c in (column_title(sweep, name), "no hedging"))]
    rows = []
    for i in range(min(len(sweep.table), _MOST_ROWS)):
        where = ", ".join(value_label(sweep.table[key].iloc[i]) for key in keys)
        rows.append(
            [
                where.replace(" ", "\u00a0"),
                *(estimate_text(sweep, i, n, leg) for n in names for leg in ("", "baseline")),
            ]
        )
    left = len(sweep.table) - len(rows)
    note = f"Cells are named by {', '.join(keys)}. Errors are one standard error. "
    note += "Every metric of every cell is in cells.parquet."
    if left:
        note += f" {left:,} more cells are there only."
    return Table("cells", "Cells", columns, rows, note)


def column_title(sweep: Sweep, name: str) -> str:
    """A metric with its unit."""
    unit = unit_of(sweep, name)
    return metric_text(name) + ("" if unit == "probability" else f", {unit}")


def _notes(sweep: Sweep) -> list[str]:
    base = sweep.scenario
    seed = "its own seed" if "simulation.seed" in sweep.grid else f"seed {base.seed}"
    notes = [
        f"Every cell differs from {base.name} by the swept keys alone.",
        f"Every cell uses {seed}: neighbours share their shocks, so their difference is known better than "
        "each by itself, and their errors are not independent.",
        *base.notes,
    ]
    if sweep.capped:
        notes.append(
            f"In {sweep.capped:,} cells no price on the grid cleared the market on some path and a step was "
            "capped: status.paths_capped of cells.parquet says on how many."
        )
    return notes


def _bound(sentence: str) -> str:
    """Numbers stay with their signs, errors and names when a line breaks."""
    return re.sub(r" (?=[=±%])|(?<=[=±]) ", "\u00a0", sentence)
