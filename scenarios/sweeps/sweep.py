"""A scenario over a grid of its keys: one row per cell, the same however and how often it is run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gammawall.scenarios.provenance import environment
from gammawall.scenarios.runs.cell_store import CellRecord, CellStore, run_cell
from gammawall.scenarios.spec.build import build
from gammawall.scenarios.spec.load import as_scenario
from gammawall.scenarios.spec.scenario import Scenario
from gammawall.scenarios.sweeps.folder import CELLS, check_sweep_folder
from gammawall.scenarios.sweeps.grid import Cell, Grid, check_cells, check_grid, value_text
from gammawall.scenarios.sweeps.result import NUMBERS, Sweep
from gammawall.surfaces.errors import InputError

__all__ = ["sweep"]


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

    Example:
        >>> swept = scenarios.sweep(small, {"impact.bp_per_usd_bn": [1, 3]})
        >>> swept.frame()["impact.bp_per_usd_bn"].tolist()
        [1, 3]
    """
    if workers is not None and scheduler is not None:
        raise InputError("workers and scheduler cannot both be given: name one place to run")
    lists = check_grid(grid)
    scenario = as_scenario(scenario)
    cells = check_cells(scenario, lists)
    folder = None if out is None else check_sweep_folder(out)
    store = CellStore(None if folder is None else folder / CELLS)
    if fresh and folder is not None:
        for old in (folder / CELLS).glob("*.json"):
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
        # The page needs plotly, which a sweep in memory does not.
        from gammawall.scenarios.sweeps.record import save_sweep

        save_sweep(result, folder)
    return result


def _run_here(
    todo: Iterable[tuple[int, Cell]], tell: Callable[[], None]
) -> Generator[tuple[int, CellRecord], None, None]:
    for i, cell in todo:
        yield i, run_cell(build(cell.spec), progress=lambda done, total: tell())


def _frame(scenario: Scenario, grid: Grid, cells: list[Cell], records: list[CellRecord]) -> pd.DataFrame:
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
