"""A scenario over a grid of its keys: one row per cell, the same however and how often it is run."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from gammawall.scenarios.provenance import environment
from gammawall.scenarios.runs.cell_store import CellStore, Record, run_cell, write_bytes
from gammawall.scenarios.runs.results import FORMAT, REPORT, check_file, to_json
from gammawall.scenarios.spec.build import build
from gammawall.scenarios.spec.load import as_scenario
from gammawall.scenarios.spec.scenario import Scenario
from gammawall.scenarios.sweeps.grid import Cell, Grid, check_cells, check_grid, value_text
from gammawall.surfaces.errors import InputError

__all__ = ["NUMBERS", "Sweep", "sweep"]

NUMBERS = ("value", "stderr", "baseline", "baseline_stderr", "difference", "difference_stderr")
_CELLS, _TABLE, _DOCUMENT = "cells", "cells.parquet", "sweep.json"


@dataclass(frozen=True)
class Sweep:
    """What a sweep found."""

    scenario: Scenario
    """the base, from which each cell differs by the swept keys"""
    grid: Grid
    frame: pd.DataFrame
    """one row per cell, the last key of the grid running fastest: the swept keys; ``cell``, its key; for
    every metric ``NAME.value``, ``.stderr``, ``.baseline``, ``.baseline_stderr``, ``.difference`` and
    ``.difference_stderr``; ``status.…``; what it was made with. ``attrs`` holds units and descriptions."""
    counts: dict[str, int]
    """cells in all, found (on disk), run, and redone (run because their file was damaged)"""

    @property
    def capped(self) -> int:
        """Cells in which some price left the grid."""
        return int(np.count_nonzero(self.frame["status.paths_capped"]))

    def numbers(self, metric: str, number: str = "value") -> np.ndarray:
        """One of `NUMBERS` of a metric in every cell, [cells]."""
        return self.frame[f"{metric}.{number}"].to_numpy(float)

    @property
    def document(self) -> dict[str, Any]:
        """The record that ``--json`` prints."""
        from gammawall.scenarios.sweeps.finding import finding

        attributes: dict[str, Any] = {str(k): v for k, v in self.frame.attrs.items()}
        this: Any = self  # the checker takes the two names of this module for two classes
        return {
            "format": FORMAT,
            "scenario": self.scenario.name,
            "finding": finding(this),
            "grid": self.grid,
            "counts": self.counts,
            "base": self.scenario.resolved() | {"notes": list(self.scenario.notes)},
            "provenance": environment() | {"chain_sha256": self.scenario.chain_sha256},
            **attributes,
            "cells": self.frame.to_dict("records"),
        }

    def parquet(self) -> bytes:
        """The frame as Parquet: byte for byte the same for the same cells."""
        buffer = io.BytesIO()
        self.frame.to_parquet(buffer, engine="pyarrow", index=False)
        return buffer.getvalue()

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write cells.parquet, sweep.json and report.html into a folder.

        Raises:
            InputError: it holds something else, or cannot be written.
        """
        from gammawall.scenarios.sweeps.report import sweep_report

        target, this = _check_folder(folder), cast(Any, self)
        contents = {
            _TABLE: self.parquet(),
            _DOCUMENT: to_json(self.document).encode(),
            REPORT: sweep_report(this).encode(),
        }
        for name, content in contents.items():
            write_bytes(target / name, content)
        return target


def sweep(
    scenario: Scenario | str | os.PathLike[str],
    grid: Mapping[str, Sequence[Any]],
    out: str | os.PathLike[str] | None = None,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    fresh: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Run a scenario over every combination of some keys' values.

    Every cell uses the scenario's own seed, so that neighbours share their shocks and their difference is
    known far better than each by itself; their errors are therefore not independent.

    Args:
        scenario: from `load`, or a name or path that `load` takes.
        grid: values by key: ``{"impact.bp_per_usd_bn": [1, 3, 6], "book.scale": [-1, 1]}``.
        out: folder to write to. Each finished cell is kept in its ``cells`` at once, and one that is there
            already is not run again. Nothing is written when not given.
        workers: processes of Dask on this machine; a script that gives them must do so under
            ``if __name__ == "__main__"``.
        scheduler: address of a Dask scheduler whose workers run the cells.
        fresh: run again what is there already.
        progress: called with (cells done, cells in all).

    Raises:
        InputError: the grid, a cell of it, or a choice is wrong; nothing has been run or written then.
        ChildProcessError: a cell brings down every worker that tries it.
    """
    if workers is not None and scheduler is not None:
        raise InputError("workers and scheduler cannot both be given: name one place to run")
    lists = check_grid(grid)
    scenario = as_scenario(scenario)
    cells = check_cells(scenario, lists)
    folder = None if out is None else _check_folder(out)
    store = CellStore(None if folder is None else folder / _CELLS)
    if fresh and folder is not None:
        for old in (folder / _CELLS).glob("*.json"):
            old.unlink()
    kept = ((i, store.load(build(cell.spec))) for i, cell in enumerate(cells))
    records = {i: record for i, record in kept if record is not None}
    todo = [(i, cell) for i, cell in enumerate(cells) if i not in records]

    def tell() -> None:
        if progress is not None:
            progress(store.hits + store.computed, len(cells))

    tell()
    if todo and (workers is not None or scheduler is not None):
        from gammawall.scenarios.sweeps.on_dask import run_on_dask

        finished = run_on_dask(todo, workers=workers, scheduler=scheduler)
    else:
        finished = _run_here(todo, tell)
    # Closed at once when interrupted, so that no worker outlives the sweep.
    with contextlib.closing(finished):
        for i, record in finished:
            store.save(record)
            records[i] = record
            tell()
    counts = {"cells": len(cells), "found": store.hits, "run": store.computed, "redone": store.redone}
    in_order = [records[i] for i in range(len(cells))]
    result = Sweep(scenario, lists, _frame(scenario, lists, cells, in_order), counts)
    if folder is not None:
        result.save(folder)
    return result


def _run_here(
    todo: Iterable[tuple[int, Cell]], tell: Callable[[], None]
) -> Generator[tuple[int, Record], None, None]:
    for i, cell in todo:
        yield i, run_cell(build(cell.spec), progress=lambda done, total: tell())


def _frame(scenario: Scenario, grid: Grid, cells: list[Cell], records: list[Record]) -> pd.DataFrame:
    columns: dict[str, Any] = {key: _column([cell.values[i] for cell in cells]) for i, key in enumerate(grid)}
    columns["cell"] = [record["key"] for record in records]
    units, descriptions = {}, {}
    for i, metric in enumerate(records[0]["metrics"]):
        name = metric["name"]
        descriptions[name] = metric["description"]
        for number in NUMBERS:
            values = [record["metrics"][i][number] for record in records]
            columns[f"{name}.{number}"] = np.array(values, dtype=float)
            units[f"{name}.{number}"] = metric["unit"]
    for name in records[0]["status"]:
        columns[f"status.{name}"] = [record["status"][name] for record in records]
    for name in records[0]["provenance"]:
        columns[name] = [record["provenance"][name] for record in records]
    columns["git_commit"] = [environment()["git_commit"] or ""] * len(records)
    frame = pd.DataFrame(columns)
    frame.attrs = {"scenario": scenario.name, "units": units, "descriptions": descriptions}
    return frame


def _column(values: list[Any]) -> list[Any]:
    """Numbers stay numbers where all are; else all are text, since a column of a table has one type."""
    kinds = {type(value) for value in values}
    if kinds <= {bool} or kinds <= {int}:
        return values
    if kinds <= {int, float}:
        return [float(value) for value in values]
    return [value if isinstance(value, str) else value_text(value) for value in values]


def _check_folder(folder: str | os.PathLike[str]) -> Path:
    """The absolute path of a folder that a sweep may be written to, or go on in."""
    if not os.fspath(folder):
        raise InputError("the output folder has no name: give one, such as --out runs/mine-sweep")
    target = check_file(Path(folder) / _TABLE).parent
    if target.is_dir():
        ours = {_CELLS, _TABLE, _DOCUMENT, REPORT}
        # What an interrupted write left is hidden, and nobody's.
        others = sorted(e.name for e in target.iterdir() if e.name not in ours and e.name[0] != ".")
        if others:
            raise InputError(f"{target} holds something else ({others[0]}): name another folder with --out")
    return target
