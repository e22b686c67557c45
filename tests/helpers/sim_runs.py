"""Small simulations that share their compiled shapes: one session at 7,000 with 12 % vol."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from gammawall.sim import GBM, Clearing, LinearImpact, Market, Measure, NoHedging, SimConfig, SimResult
from gammawall.sim import simulate as run_simulation
from gammawall.sim.book.positions import Positions, prepare_positions
from gammawall.sim.book.table import HedgeTable, build_table
from gammawall.sim.sampling.noise import normals, split_seed
from gammawall.sim.sampling.schedule import Schedule, make_schedule
from gammawall.surfaces.dealers.book import Book

SPOT = 7000.0
VOL = 0.12
START, CLOSE = "2026-01-28T09:30:00", "2026-01-28T16:00:00"
DAY = 1.0 / 252.0
STEPS, BLOCK, NODES = 39, 4096, 448
"""With so few nodes at most, every book of one session has the same grid, hence one compiled block."""


def bp(bp_per_usd_bn: float, spot: float = SPOT) -> float:
    """c = λ S_ref."""
    return bp_per_usd_bn * 1e-13 * spot


def make_market(spot: float = SPOT, start: str = START, close: str = CLOSE, **clock: Any) -> Market:
    return Market(spot, pd.Timestamp(start), pd.Timestamp(close), **clock)


def make_book(contracts: Any, strike: Any = 7000.0, **fields: Any) -> Book:
    defaults: dict[str, Any] = {"expiry": CLOSE, "vol": VOL, "spot": SPOT, "as_of": START}
    return Book.from_positions(contracts=contracts, strike=strike, **{**defaults, **fields})


def same_shape(contracts: float, strike: float = 7000.0, **fields: Any) -> Book:
    """One strike among three, the others empty: the table has the shape of a book of three strikes."""
    return make_book([0.0, contracts, 0.0], strike + np.array([-1.0, 0.0, 1.0]), **fields)


def run(
    book: Book,
    bp_per_usd_bn: float = 3.0,
    *,
    market: Market | None = None,
    vol: float = VOL,
    seed: int = 1,
    measure: Measure | None = None,
    hedging: Clearing | NoHedging | None = None,
    **config: Any,
) -> SimResult:
    sizes = {"paths": BLOCK, "steps": STEPS, "block_paths": BLOCK, "keep_paths": BLOCK, "max_nodes": NODES}
    return run_simulation(
        book,
        market=market or make_market(),
        dynamics=GBM(vol),
        impact=LinearImpact(bp_per_usd_bn),
        hedging=hedging,
        config=SimConfig(**{**sizes, **config}),
        seed=seed,
        measure=measure or Measure(7000.0),
    )


def make_table(
    book: Book,
    bp_per_usd_bn: float,
    steps: int,
    market: Market | None = None,
    vol: float = VOL,
    **config: Any,
) -> tuple[HedgeTable, Positions, Schedule]:
    """The table that a run of this size would use."""
    market = market or make_market()
    schedule = make_schedule(market, steps)
    positions = prepare_positions(book, market, schedule)
    table = build_table(
        positions,
        schedule,
        float(np.log(market.spot)),
        GBM(vol).log_range(schedule, market.spot),
        bp(bp_per_usd_bn, market.spot),
        SimConfig(steps=steps, **config),
    )
    return table, positions, schedule


_normals = jax.jit(normals, static_argnums=(1, 3))


def draw(seed: int, stream: int, paths: Any, steps: int, section: int = 0) -> np.ndarray:
    """Normals of the simulator, [steps, paths]."""
    with jax.enable_x64(True):
        keys = jnp.asarray(split_seed(seed))
        return np.asarray(_normals(keys, stream, jnp.asarray(np.asarray(paths, np.uint32)), steps, section))
