"""The grid of a sweep: from text or Python values to cells that have all been checked."""

from __future__ import annotations

import itertools
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np

from gammawall.scenarios.spec.load import read_setting, vary
from gammawall.scenarios.spec.scenario import Scenario
from gammawall.scenarios.spec.schema import ScenarioSpec
from gammawall.surfaces.errors import InputError

__all__ = ["MOST_CELLS", "Cell", "check_cells", "check_grid", "parse_grid", "value_text"]

MOST_CELLS = 10_000
_SHOWN = 20
"""mistakes listed"""
_EXAMPLE = "such as impact.bp_per_usd_bn=1,3,6 or book.scale=-2:2:9"
_RANGE = re.compile(r"([^:,\s]+):([^:,\s]+):([^:,\s]+)(?::(\w+))?")

Grid = dict[str, list[Any]]


@dataclass(frozen=True)
class Cell:
    """One scenario of a sweep."""

    values: tuple[Any, ...]
    """of the swept keys"""
    settings: tuple[str, ...]
    """the same as ``--set`` takes them"""
    spec: ScenarioSpec


def parse_grid(texts: Iterable[str]) -> Grid:
    """The grid that ``--grid`` options describe.

    Args:
        texts: ``key=a,b,c`` with TOML values, or ``key=start:stop:count`` with both ends included, spaced
            evenly, or by equal factors with ``:log`` behind.

    Raises:
        InputError: a text is neither; `problems` lists them all.
    """
    grid: Grid = {}
    lines = []
    for text in texts:
        key, sign, values = (piece.strip() for piece in text.partition("="))
        try:
            if not sign or not values:
                raise ValueError(f"must be KEY=VALUES, {_EXAMPLE}")
            if key in grid:
                raise ValueError(f"{key} is swept twice; join the two lists")
            grid[key] = _values(values)
        except ValueError as error:
            lines.append(f"--grid {text}: {error}")
    if lines:
        raise InputError("the grid cannot be read:", problems=tuple(lines))
    return grid


def check_grid(grid: Mapping[str, Sequence[Any]]) -> Grid:
    """The grid as lists, after looking at its keys, values and size.

    Raises:
        InputError: it is empty, too large, or a key or value can stand in no file.
    """
    if not grid:
        raise InputError(f"a sweep needs a grid: name a key and its values, {_EXAMPLE}")
    lists, lines, paths = {}, [], []
    for key, values in grid.items():
        try:
            lists[key], path = _listed(values), read_setting(f"{key}=0")[0]
            shorter = [p for p in paths if p[: len(path)] == path[: len(p)]]
            if shorter:
                raise ValueError("sets what another key of the grid sets too; keep one of the two")
            paths.append(path)
        except ValueError as error:
            lines.append(f"{key}: {error}")
    if lines:
        raise InputError("the grid has mistakes:", problems=tuple(lines))
    count = math.prod(map(len, lists.values()))
    if count > MOST_CELLS:
        sizes = " × ".join(str(len(values)) for values in lists.values())
        raise InputError(
            f"the grid has {count:,} cells ({sizes}); at most {MOST_CELLS:,} are allowed: use fewer values, "
            "or several sweeps"
        )
    return lists


def check_cells(scenario: Scenario, grid: Grid) -> list[Cell]:
    """Every cell, the last key running fastest; each is checked before any is run.

    Raises:
        InputError: some cell has a mistake; `problems` lists each once.
    """
    cells, lines, wrong = [], {}, 0
    for values in itertools.product(*grid.values()):
        settings = tuple(f"{key}={value_text(value)}" for key, value in zip(grid, values, strict=True))
        try:
            cells.append(Cell(values, settings, vary(scenario, settings).spec))
        except InputError as error:
            wrong += 1
            lines |= dict.fromkeys(error.problems)
    if wrong:
        listed = list(lines)
        more = [f"… and {len(listed) - _SHOWN} more"] if len(listed) > _SHOWN else []
        total = len(cells) + wrong
        raise InputError(
            f"{wrong:,} of {total:,} cells of the sweep of {scenario.name} cannot be run:",
            problems=(*listed[:_SHOWN], *more),
        )
    return cells


def value_text(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _values(text: str) -> list[Any]:
    if found := _RANGE.fullmatch(text):
        return _spaced(*found.groups())
    try:
        read = tomllib.loads(f"values = [{text}]")
    except (ValueError, RecursionError):
        # Bare words are meant as text: hedging.kind=clearing,clock
        read = {"values": [read_setting(f"key={piece}")[1] for piece in text.split(",")]}
    if read.keys() != {"values"} or "" in read["values"]:
        raise ValueError(f"must be KEY=VALUES, {_EXAMPLE}")
    return read["values"]


def _spaced(start: str, stop: str, count: str, spacing: str | None) -> list[float]:
    try:
        low, high, size = float(start), float(stop), int(count)
    except ValueError:
        raise ValueError("a range must be START:STOP:COUNT in numbers, such as -2:2:9") from None
    if not (math.isfinite(low) and math.isfinite(high) and low != high):
        raise ValueError(f"a range must go from one number to another; got {start} to {stop}")
    if not 2 <= size <= MOST_CELLS:
        raise ValueError(f"the count of a range must lie between 2 and {MOST_CELLS:,}; got {count}")
    if spacing not in (None, "log"):
        raise ValueError(f"a range may end in :log and in nothing else; got :{spacing}")
    if spacing and not low * high > 0.0:
        raise ValueError(f"a :log range must not reach zero; got {start} to {stop}")
    values = np.geomspace(low, high, size) if spacing else np.linspace(low, high, size)
    # 0.30000000000000004 is meant as 0.3, and 20.0 as 20 where the ends are whole.
    rounded = [float(f"{v:.12g}") for v in values]
    whole = all(re.fullmatch(r"[+-]?[\d_]+", end) for end in (start, stop))
    return [int(v) if v.is_integer() else v for v in rounded] if whole else rounded


def _listed(values: Any) -> list[Any]:
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"must have a list of values; got {values!r}")
    listed = [v.item() if isinstance(v, np.generic) else v for v in values]
    if not listed:
        raise ValueError("has no values")
    for i, value in enumerate(listed):
        if not isinstance(value, bool | int | float | str | datetime | date | list | tuple):
            raise ValueError(f"must have numbers, texts, times or lists for values; got {value!r}")
        if value in listed[:i]:
            raise ValueError(f"has {value_text(value)} twice")
    return listed
