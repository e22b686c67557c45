"""The arrays of a run that goes step by step."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from gammawall.sim.book.positions import Positions, book_delta
from gammawall.sim.book.rows import line_rows, strides, table_rows
from gammawall.sim.book.table import SETTLE, HedgeTable, still_potential
from gammawall.sim.engine.block import SteppedMarket
from gammawall.sim.models.hedging import HedgingPolicy
from gammawall.sim.models.impact import Impact
from gammawall.sim.models.stochastic_level import StochasticLevel, level_rows
from gammawall.sim.models.surface_motion import StickyStrike
from gammawall.sim.models.zero_dte_flow import ZeroDteFlow, flow_strides
from gammawall.sim.sampling.schedule import Schedule
from gammawall.sim.step.halts import halt_numbers
from gammawall.sim.step.stepped import SteppedBook, add_edges, settle_edges
from gammawall.sim.types import Market

__all__ = ["MOST_LINES", "stepped_market", "still_rows", "sums_lines"]

MOST_LINES = 48
"""Up to so many lines a book is summed contract by contract in every step: as fast as a table, and exact."""


def stepped_market(
    table: HedgeTable,
    positions: Positions,
    schedule: Schedule,
    groups: tuple[HedgingPolicy, ...],
    impact: Impact,
    market: Market,
    flow: ZeroDteFlow | None,
    level: StochasticLevel | None,
) -> SteppedMarket:
    """Everything a step needs, apart what is the same in all of them and what is not."""
    low, high = float(table.nodes[0]), float(table.nodes[-1])
    strikes, edges = settle_edges(positions, schedule.steps)
    settles, stride = table.kind == SETTLE, strides(positions, low, high)
    same, each = {}, {}
    if flow is not None:
        same, each = flow.constants(market), flow.rows(schedule)
        strikes, edges = add_edges(strikes, edges, same["log_strikes"], each["closes"])
        settles, stride = settles | each["closes"], np.minimum(stride, flow_strides(each["spread"]))
    if level is not None:
        stride = stride * float(np.exp(level.levels(schedule).min()))
    halts = halt_numbers(schedule, market.spot) if market.halts else {}
    rows = _book_rows(table, positions, schedule, level)
    policies = [
        _split({"fraction": np.float64(g.fraction), **g.numbers(schedule, market.spot)}) for g in groups
    ]
    force = _split(impact.numbers(schedule, market.spot))
    moving = level.numbers(schedule) if level is not None else {}
    constant, varying = (
        SteppedBook(
            rows=rows[k],
            settles=(None, settles)[k],
            stride=(None, stride)[k],
            strikes=(strikes, None)[k],
            edges=(None, edges)[k],
            low=(np.float64(low), None)[k],
            high=(np.float64(high), None)[k],
            groups=[p[k] for p in policies],
            impact=force[k],
            slope=(np.float64(impact.log_per_usd * market.spot), None)[k],
            flow=({**same, **dict.fromkeys(each)}, {**dict.fromkeys(same), **each})[k],
            level=(dict.fromkeys(moving), moving)[k],
            halts=_part(halts, ("levels", "minutes"), keep=k == 0),
        )
        for k in (0, 1)
    )
    return SteppedMarket(constant, varying, table.start_delta, table.start_feedback)


def sums_lines(positions: Positions) -> bool:
    """Whether a book under a fixed surface is summed line by line rather than tabulated."""
    return positions.log_strike.size <= MOST_LINES and isinstance(positions.motion, StickyStrike)


def still_rows(table: HedgeTable, positions: Positions, schedule: Schedule) -> np.ndarray | None:
    """Potential of the gamma flow and its slope, [N, 2, G]; None under sticky strike, where D is it."""
    if isinstance(positions.motion, StickyStrike):
        return None
    return np.stack(still_potential(table, positions, schedule), axis=1)


def _book_rows(
    table: HedgeTable, positions: Positions, schedule: Schedule, level: StochasticLevel | None
) -> tuple[Any, Any]:
    """The book as rows: what is the same in every step, and what is not."""
    if level is None and sums_lines(positions):
        lines = line_rows(positions)
        rows = {name: _pairs(getattr(lines, name)) for name in ("spread", "shift", "factor")}
        return _apart(lines, rows | {"settles": lines.settles})
    start = book_delta(positions, table.nodes, np.array([0]), settling=False)
    base = table_rows(table, start, positions)
    rows: dict[str, Any] = {name: getattr(base, name) for name in ("strikes", "below", "jump")}
    rows["still"] = still_rows(table, positions, schedule)
    if level is None:
        rows |= {name: _pairs(getattr(base, name)) for name in ("delta", "slope")}
        return _apart(base, rows)
    whole = level_rows(base, positions, schedule, level)
    rows |= {name: _pairs(getattr(whole.base, name)) for name in ("delta", "slope")}
    constant, varying = _apart(whole.base, rows)
    return (
        dataclasses.replace(whole, base=constant),
        dataclasses.replace(whole, base=varying, levels=None, weights=None),
    )


def _apart(whole: Any, rows: dict[str, Any]) -> tuple[Any, Any]:
    """A dataclass of arrays with None for its per-step entries, and with None for all others."""
    names = [f.name for f in dataclasses.fields(whole)]
    return (
        dataclasses.replace(whole, **{n: None for n in names if n in rows}),
        dataclasses.replace(whole, **{n: rows.get(n) for n in names}),
    )


def _split(numbers: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The numbers that are not one row per step, and those that are; None in place of the others."""
    scalars = [name for name, value in numbers.items() if np.ndim(value) == 0]
    return _part(numbers, scalars, keep=True), _part(numbers, scalars, keep=False)


def _part(numbers: dict[str, Any], names: Any, *, keep: bool) -> dict[str, Any]:
    return {name: value if (name in names) == keep else None for name, value in numbers.items()}


def _pairs(values: np.ndarray) -> np.ndarray:
    """[N + 1, ...] as [N, 2, ...]: what a step begins with and what it ends with."""
    return np.stack([values[:-1], values[1:]], axis=1)
