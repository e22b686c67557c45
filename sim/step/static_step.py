"""One step of the static map: a fixed book, hedged continuously, under linear permanent impact.

    x + c D(t, eˣ) = X_t + shift

The shift is c D(0, S₀) until contracts settle inside the run; when their hedges are handed back at the
settlement price, it falls by their share, so that the price does not move.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from gammawall.sim.book.interpolation import value_at, value_between
from gammawall.sim.book.rows import vanna_demand
from gammawall.sim.book.table import HedgeTable
from gammawall.sim.models.protocols import Paths
from gammawall.sim.sampling.noise import LEAD_IN, normals
from gammawall.sim.step.accounts import Ledger, hand_over, post
from gammawall.sim.step.clearing import first_root, inverse_lookup
from gammawall.surfaces.arrays import Array

__all__ = ["FixedRow", "FixedState", "fixed_flows", "fixed_step"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FixedRow:
    """One step of the per-step arrays of `HedgeTable`."""

    delta: Array
    slope: Array
    kind: Array
    settlement: Array
    inverse: Array
    still: Array | None
    """potential of the gamma flow and its slope, [2, G], where the surface moves; else None"""
    bridge: Array
    """standard deviation of the fundamental price over the step, for the lead-in"""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FixedState:
    """What a path carries besides its price; [P]."""

    shift: Paths
    delta: Array
    """D at the last price and instant that is hedged: of the contracts that live on, and of those that
    settled there if their hedges are unwound in the market"""
    ledger: Ledger


def fixed_flows(rows: FixedRow) -> tuple[str, ...]:
    """Those of `FLOWS` that a run of the static map can have."""
    return ("net", "gamma", "charm", *(() if rows.still is None else ("vanna",)))


def fixed_step(
    table: HedgeTable,
    row: FixedRow,
    state: FixedState,
    last: Paths,
    begin: Paths,
    fundamental: Paths,
    seed: Array,
    paths: Paths,
    number: Array,
    *,
    unwind: bool,
) -> tuple[FixedState, Paths, Paths, Paths, dict[str, Paths]]:
    """Clear one step.

    Args:
        table, row: the book.
        state: before the step.
        last: log price, [P].
        begin, fundamental: fundamental log price before and after the step, [P].
        seed, paths: for the random numbers of the lead-in.
        number: of the step, for the random numbers of the lead-in.
        unwind: whether hedges of settled contracts are unwound in the market.

    Returns:
        New state, log price, feedback, status, [P] each, and flows by name as in `stepped`.
    """
    c, y = table.impact, fundamental + state.shift

    def look_up():
        x, d, g, status = inverse_lookup(y, table.y_first, table.y_width, row.inverse, c)
        return x, d, d, g, status, value_at(table.nodes, row.delta, row.slope, last)

    def search():
        x, d, g, status = first_root(y, last, table.nodes, row.delta, row.slope, c)
        return x, d, d, g, status, value_at(table.nodes, row.delta, row.slope, last)

    def settle():
        arrays = [a[row.settlement] for a in (table.settle_nodes, table.settle_delta, table.settle_slope)]
        x, d, status = _settle(
            table, arrays, row.bridge, begin, fundamental, state.shift, last, seed, paths, number
        )
        living = value_at(table.nodes, row.delta, row.slope, x)
        # The feedback of a settling strike is infinite, so the last reading is the one before.
        nodes, delta, slope = (a[-1] for a in arrays)
        standing = value_between(nodes, delta, slope, last)
        return x, d, living, jnp.zeros_like(x), status, standing

    branches = [look_up, search, settle]
    x, d, living, feedback, status, standing = jax.lax.switch(row.kind, branches)
    flows = {"net": state.delta - d, "gamma": standing - d, "charm": state.delta - standing}
    if row.still is not None:
        flows["vanna"] = vanna_demand(table.nodes, (row.delta, row.slope), row.still, last, x)
        flows["gamma"] = flows["gamma"] - flows["vanna"]
    ledger = post(state.ledger, flows["net"][None], last + (fundamental - begin), x)
    shift = state.shift
    if not unwind:
        shift = shift - c * (d - living)
        ledger = hand_over(ledger, (d - living)[None])
    # What is not handed back is still hedged, and is traded away in the next step.
    return FixedState(shift, d if unwind else living, ledger), x, feedback, status, flows


def _settle(
    table: HedgeTable,
    arrays: list[Array],
    bridge: Array,
    begin: Paths,
    end: Paths,
    shift: Paths,
    x: Paths,
    seed: Array,
    paths: Paths,
    number: Array,
) -> tuple[Paths, Paths, Paths]:
    """Clear at the instants of the lead-in and at the settlement; the worst status of them counts.

    The fundamental price inside the step is a Brownian bridge: from time left τ to ρτ, mean
    X_T + ρ(X − X_T) and variance σ²τ ρ(1 − ρ).
    """
    left, none = table.settle_left, jnp.zeros(1)
    count = left.shape[0] + 1
    shocks = normals(seed, LEAD_IN, paths, count, section=number)
    before, after = jnp.concatenate([none + 1.0, left]), jnp.concatenate([left, none])
    ratio = after / before
    stds = bridge * jnp.sqrt(before * ratio * (1.0 - ratio))

    def step(carry: tuple[Paths, ...], inputs: tuple[Array, ...]) -> tuple[tuple[Paths, ...], None]:
        between, x, _, worst = carry
        z, pull, width, nodes, row_delta, row_slope = inputs
        between = end + pull * (between - end) + width * z
        x, delta, _, status = first_root(between + shift, x, nodes, row_delta, row_slope, table.impact)
        return (between, x, delta, jnp.maximum(worst, status)), None

    rows = (shocks, ratio, stds, *arrays)
    start = (begin, x, jnp.zeros_like(x), jnp.zeros(x.shape, jnp.int32))
    (_, x, delta, status), _ = jax.lax.scan(step, start, rows)
    return x, delta, status
