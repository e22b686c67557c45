"""One simulation: a book, a market, who hedges and what it does to the price."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import overload

import pandas as pd

from gammawall.sim.engine.experiment import Experiment
from gammawall.sim.engine.loop import run_blocks
from gammawall.sim.engine.prepare import prepare_run
from gammawall.sim.engine.result import SimResult, collect
from gammawall.sim.models.dynamics import Dynamics
from gammawall.sim.models.hedging import HedgingPolicy
from gammawall.sim.models.impact import Impact
from gammawall.sim.models.order_flow import OrderFlow
from gammawall.sim.models.stochastic_level import StochasticLevel
from gammawall.sim.models.surface_motion import Motion
from gammawall.sim.types import Instant, Market, Measure, SimConfig
from gammawall.surfaces.clock import new_york
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError, NumericalError

__all__ = ["simulate"]


@overload
def simulate(
    book: Experiment,
    *,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: str | Path | None = None,
    snapshots: Sequence[Instant] = (),
    throw: bool = False,
) -> SimResult: ...


@overload
def simulate(
    book: Book,
    *,
    market: Market,
    dynamics: Dynamics,
    hedging: HedgingPolicy | Sequence[HedgingPolicy] | None = None,
    impact: Impact | Callable,
    flow: OrderFlow | None = None,
    motion: Motion | StochasticLevel | None = None,
    config: SimConfig | None = None,
    seed: int = 0,
    measure: Measure | None = None,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: str | Path | None = None,
    snapshots: Sequence[Instant] = (),
    throw: bool = False,
) -> SimResult: ...


def simulate(
    book: Book | Experiment,
    *,
    market: Market | None = None,
    dynamics: Dynamics | None = None,
    hedging: HedgingPolicy | Sequence[HedgingPolicy] | None = None,
    impact: Impact | Callable | None = None,
    flow: OrderFlow | None = None,
    motion: Motion | StochasticLevel | None = None,
    config: SimConfig | None = None,
    seed: int = 0,
    measure: Measure | None = None,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: str | Path | None = None,
    snapshots: Sequence[Instant] = (),
    throw: bool = False,
) -> SimResult:
    """Simulate a market whose option dealers hedge, beside the same market where nobody does.

    Continuous hedging under linear impact solves x + λ S_ref D(t, eˣ) = X_t + λ S_ref D(0, S_0) for the log
    price x, where X is the fundamental log price and D the delta of the hedged book (model.md, section 2);
    every other choice goes step by step, see `sim.step.stepped`.

    Args:
        book: dealers' positions, with everything else by keyword; or an `Experiment`, which holds it all.
        market, dynamics, hedging, impact, flow, motion, config, seed, measure: see `Experiment`.
        progress: called with (paths done, paths in all).
        checkpoint: folder that keeps every finished block, so that the same run started again does only what
            is missing; it belongs to one run.
        snapshots: instants after the start, up to the close, at which the prices of all paths are kept; they
            become instants of the time grid.
        throw: raise when any path-step found no root on the grid.

    Returns:
        Metrics with standard errors and the series behind the pictures.

    Raises:
        InputError: an argument is out of range, a position has expired, or the checkpoint folder belongs to
            another run or cannot be written.
        NumericalError: with `throw`, when a path-step was capped.

    Example:
        >>> found = sim.simulate(
        ...     book,
        ...     market=market,
        ...     dynamics=sim.GBM(0.12),
        ...     impact=sim.LinearImpact(3.0),
        ...     config=sim.SimConfig(paths=2048, steps=39),
        ...     seed=7,
        ... )
        >>> pinned = found["pin_probability"]
        >>> pinned.value > 2.0 * pinned.baseline
        True
    """
    parts = {
        "market": market, "dynamics": dynamics, "hedging": hedging, "impact": impact, "flow": flow,
        "motion": motion, "config": config, "seed": seed or None, "measure": measure,
    }  # fmt: skip
    given = [name for name, part in parts.items() if part is not None]
    if isinstance(book, Experiment):
        if given:
            raise InputError(
                f"simulate takes an Experiment alone, which holds {given[0]} already: "
                f"change it with dataclasses.replace(experiment, {given[0]}=…)"
            )
        case = book
    elif market is None or dynamics is None or impact is None:
        missing = [name for name in ("market", "dynamics", "impact") if name not in given]
        raise InputError(f"simulate needs market, dynamics and impact beside a book; missing: {missing[0]}")
    else:
        case = Experiment(
            book, market, dynamics, hedging, impact=impact, flow=flow, motion=motion, config=config,
            seed=seed, measure=measure,
        )  # fmt: skip
    return _run(case, progress, checkpoint, _instants(snapshots, case.market), throw)


def _run(
    case: Experiment,
    progress: Callable[[int, int], None] | None,
    checkpoint: str | Path | None,
    snapshots: pd.DatetimeIndex | None,
    throw: bool,
) -> SimResult:
    began = time.perf_counter()
    run, config = prepare_run(case, snapshots), case.config
    table_s = time.perf_counter() - began
    found = run_blocks(run.given, run.plan, config, run.layout, checkpoint=checkpoint, progress=progress)
    compile_s, run_s = found.compile_s, found.run_s
    rate = config.paths * run.schedule.steps / max(run_s, 1e-9)
    timing = {"table_s": table_s, "compile_s": compile_s, "run_s": run_s, "path_steps_per_s": rate}
    result = collect(found, run, case, timing)
    if throw and result.status["capped"]:
        raise NumericalError(
            f"{result.status['capped']:.0f} path-steps found no price on the grid: the book folds the map "
            "beyond it; reduce the impact or the short positions, or raise max_nodes"
        )
    return result


def _instants(snapshots: Sequence[Instant], market: Market) -> pd.DatetimeIndex | None:
    """Ascending, each once; None where there are none."""
    if not len(snapshots):
        return None
    instants = pd.DatetimeIndex([new_york(s, "snapshots") for s in snapshots]).unique().sort_values()
    for instant in instants:
        if not market.start < instant <= market.close:
            raise InputError(
                f"snapshots must lie after the start {market.start} and not after the close {market.close}; "
                f"got {instant}"
            )
    return instants.as_unit("ns")
