"""Results for other programs: tables as CSV or Parquet, and levels for a chart."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gammawall.scenarios.record import at, entries, mapping, real, series_array
from gammawall.scenarios.runs.results import Result
from gammawall.scenarios.whole_folders import write_folder, write_text
from gammawall.surfaces.errors import InputError

__all__ = ["csv_text", "export_run", "level_rows", "levels_text", "pine_text", "tables", "write_levels"]

FORMATS = ("csv", "parquet", "levels", "pine")
_METRIC_COLUMNS = ("name", "unit", "value", "stderr", "baseline", "baseline_stderr")
_METRIC_COLUMNS += ("difference", "difference_stderr", "description")
_LEVELS = {
    "spot": "spot",
    "zero_gamma": "zero gamma",
    "call_wall": "call wall",
    "put_wall": "put wall",
    "abs_gamma_strike": "largest gamma",
    "max_pain": "max pain",
}


def export_run(
    result: Result, to: str, out: str | os.PathLike[str] | None = None, *, source: str | os.PathLike[str] = ""
) -> Path | None:
    """Write a run for another program.

    Args:
        result: the run.
        to: ``csv`` or ``parquet`` for a folder of tables; ``levels`` or ``pine`` for a file of chart levels.
        out: folder or file; named after `source` and put beside it when not given; ``-`` prints levels.
        source: the result's own folder or file.

    Returns:
        What was written; None for standard output.

    Raises:
        InputError: the format is unknown, or the place cannot be written.
    """
    if to not in FORMATS:
        raise InputError(f"format {to!r} is unknown: use {', '.join(FORMATS)}")
    beside = Path(source or "run").resolve()
    if to in ("csv", "parquet"):
        if out == "-":
            raise InputError(f"{to} makes several tables: name a folder with --out")
        return _write_tables(
            tables(result), beside.with_name(f"{beside.stem}-{to}") if out is None else out, to
        )
    document = result.document
    strike = at(mapping(document.get("resolved")), "measure", "strike")
    rows = level_rows(mapping(document.get("exposures")), strike)
    target = beside.with_name(f"{beside.stem}-levels.csv" if to == "levels" else f"{beside.stem}.pine")
    title = str(document.get("scenario") or "run")
    return write_levels(rows, target if out is None else out, title=title, pine=to == "pine")


def tables(result: Result) -> dict[str, pd.DataFrame]:
    """Everything a run found as tables, by name; units are in the column names."""
    document, edges = result.document, series_array(result.series, "close_edges")
    series = {**result.series, "close_from": edges[:-1], "close_to": edges[1:]}
    found = {
        "metrics": pd.DataFrame(entries(document, "metrics"), columns=list(_METRIC_COLUMNS)),
        "theory": pd.DataFrame(
            entries(document, "theory"), columns=["name", "closed_form", "simulated", "stderr", "z"]
        ),
        "close": _table(
            series,
            close_from_points="close_from",
            close_to_points="close_to",
            hedged_share_per_point="close_density",
            no_hedging_share_per_point="close_density_baseline",
        ),
        "atoms": _table(
            series, strike_points="atom_strike", hedged_share="atom_mass", hedged_share_stderr="atom_stderr"
        ),
        "gamma": _table(
            series,
            index_points="gex_spot",
            gex_usd_bn_per_1pct="gex_total_bn",
            gex_same_day_usd_bn_per_1pct="gex_same_day_bn",
        ),
        "paths": _paths(series),
        "volatility": _table(
            series,
            minutes="vol_minutes",
            hedged_vol_pct="vol_pct",
            no_hedging_vol_pct="vol_pct_baseline",
            hedge_flow_usd_bn_per_min="flow_bn_per_min",
        ),
    }
    return {name: table for name, table in found.items() if len(table)}


def _table(series: Mapping[str, Any], **columns: str) -> pd.DataFrame:
    """Arrays side by side; one that is missing or of another length than the first is left out."""
    arrays = {name: series_array(series, key) for name, key in columns.items()}
    size = next(iter(arrays.values())).size
    return pd.DataFrame({name: array for name, array in arrays.items() if array.size == size and size})


def _paths(series: Mapping[str, Any]) -> pd.DataFrame:
    minutes, levels = series_array(series, "minutes"), series_array(series, "fan_levels")
    columns = {"minutes": minutes}
    for key, name in (("fan", "hedged"), ("fan_baseline", "no_hedging")):
        fan = series_array(series, key, ndim=2)
        if fan.shape == (levels.size, minutes.size):
            columns |= {f"{name}_q{100 * q:02.0f}_points": row for q, row in zip(levels, fan, strict=True)}
    for key, name in (("sample_paths", "hedged"), ("sample_paths_baseline", "no_hedging")):
        paths = series_array(series, key, ndim=2)
        if paths.size and paths.shape[1] == minutes.size:
            columns |= {f"{name}_path_{i}_points": path for i, path in enumerate(paths)}
    return pd.DataFrame(columns)


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV; text that a spreadsheet would take for a formula is marked with a quote."""
    safe = table.copy()
    for name in safe:
        if not pd.api.types.is_numeric_dtype(safe[name].dtype):
            safe[name] = [_as_text(cell) for cell in safe[name]]
    return safe.to_csv(index=False, lineterminator="\n")


def _as_text(cell: Any) -> Any:
    formula = isinstance(cell, str) and cell.lstrip().startswith(("=", "+", "-", "@"))
    return f"'{cell}" if formula else cell


def _write_tables(found: Mapping[str, pd.DataFrame], out: str | os.PathLike[str], to: str) -> Path:
    def fill(folder: Path) -> None:
        for name, table in found.items():
            path = folder / f"{name}.{to}"
            if to == "csv":
                path.write_text(csv_text(table), encoding="utf-8")
            else:
                table.to_parquet(path, index=False)

    known = {"metrics", "theory", "close", "atoms", "gamma", "paths", "volatility"}
    return write_folder(out, fill, {f"{name}.{to}" for name in known})


def level_rows(exposures: Mapping[str, Any], strike: float | None = None) -> list[tuple[str, float]]:
    """Levels for a chart as (name, index points), from high to low.

    Args:
        exposures: the record of a book, with zero_gamma, call_wall and so on.
        strike: the level a run measured.
    """
    rows = [] if strike is None else [("strike", strike)]
    for key, name in _LEVELS.items():
        value = exposures.get(key)
        several = value if isinstance(value, (list, tuple, np.ndarray)) else [value]
        rows += [(name, level) for level in map(real, several) if level is not None]
    return sorted(rows, key=lambda row: -row[1])


def write_levels(
    rows: list[tuple[str, float]], out: str | os.PathLike[str], *, title: str, pine: bool
) -> Path | None:
    """Write levels as CSV or as a Pine script, to a file or, for ``-``, to standard output.

    Raises:
        InputError: there are no levels, or the file cannot be written.
    """
    if not rows:
        raise InputError("there are no levels to write: the run or file has neither walls nor zero gamma")
    text = pine_text(rows, title) if pine else levels_text(rows)
    if os.fspath(out) == "-":
        sys.stdout.write(text)
        return None
    return write_text(out, text)


def levels_text(rows: list[tuple[str, float]]) -> str:
    """Levels as CSV: name, price in index points."""
    return csv_text(pd.DataFrame(rows, columns=["name", "price"]))


def pine_text(rows: list[tuple[str, float]], title: str) -> str:
    """Levels as a Pine script (version 6) that draws a labelled line at each, to paste into TradingView."""
    colours = {"call wall": "green", "put wall": "red", "zero gamma": "orange", "spot": "gray"}
    joined: dict[float, list[str]] = {}
    for name, price in rows:
        joined.setdefault(price, []).append(name)
    lines = [
        "//@version=6",
        f'indicator("gammawall {_pine_string(title)}", overlay = true)',
        "level(float price, string name, color ink) =>",
        "    if barstate.islastconfirmedhistory",
        "        line.new(bar_index - 1, price, bar_index, price, extend = extend.both, color = ink)",
        '        label.new(bar_index, price, name + " " + str.tostring(price, "#,###.##"),',
        "             style = label.style_none, textcolor = ink)",
    ]
    for price, names in joined.items():
        ink = next((colours[name] for name in names if name in colours), "blue")
        lines.append(f'level({price:.10g}, "{_pine_string(" · ".join(names))}", color.{ink})')
    return "\n".join(lines) + "\n"


def _pine_string(text: str) -> str:
    """Letters that can neither end a string nor start a new line."""
    return "".join(c for c in text if c.isprintable()).replace("\\", "\\\\").replace('"', '\\"')[:100]
