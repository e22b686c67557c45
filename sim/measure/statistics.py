"""Statistics gathered on line: what is remembered of each path, and the metrics made of the averages.

Each path is reduced to a short vector per leg (0 hedged, 1 baseline). A run keeps only the sums and the
cross-products of those vectors, from which every metric and its standard error follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import jax
import jax.numpy as jnp

from gammawall.sim.book.rows import RAMP
from gammawall.sim.models.protocols import Paths
from gammawall.surfaces.arrays import Array, Shape

__all__ = ["FLOWS", "LATE_MINUTES", "STATISTICS", "PathState", "Probe", "finish", "observe", "open_state"]

Legs: TypeAlias = Annotated[Array, Shape("2 paths")]
"""one number per path, hedged and baseline"""

STATISTICS = (
    "in_band",
    "at_strike",
    "touched",
    "above",
    "rejected",
    "failed_attempts",
    "in_corridor",
    "close_move",
    "close_move_squared",
    "log_return",
    "log_return_squared",
    "realised_variance",
    "last_variance",
    "lag_product",
    "range_points",
    "max_feedback",
    "flow_abs",
    "flow_peak",
    "gamma_flow_abs",
    "charm_flow_abs",
    "information_flow_abs",
    "vanna_flow_abs",
    "dealer_pnl",
    "dealer_pnl_squared",
    "hedge_fees",
    "halted",
)
"""Entries of a path's vector, in order."""

FLOWS = ("net", "gamma", "charm", "information", "vanna")
"""Trades, and the demand for hedges from moves of the price, from passing time, from new positions, and from
vols that move with the price. A run follows those that it can have."""

LATE_MINUTES = 30.0
"""Before the close, which `last_variance` measures."""
_AT_STRIKE = 0.5000001 * RAMP
"""A close counts as exactly at the strike within this log distance, which is rounding and not a band."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Probe:
    """What the paths are measured against; log prices."""

    log_spot: Array
    log_strike: Array
    band_low: Array
    band_high: Array
    corridor_low: Array
    corridor_high: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PathState:
    """Running statistics of a block of paths; price entries are [2, P], feedback and each flow [P]."""

    x: Legs
    x_mark: Legs | None
    """price at the last mark, between which returns and trades are measured; None if every step is one"""
    last_return: Legs
    realised: Legs
    realised_late: Legs
    lag_product: Legs
    high: Legs
    low: Legs
    attempting: Legs
    failed: Legs
    corridor_steps: Legs
    feedback: Paths
    flows: dict[str, Paths]
    """net since the last mark, by name; empty if every step is one"""
    flows_abs: dict[str, Paths]
    flow_peak: Paths


def open_state(
    probe: Probe, feedback: Array, paths: int, followed: Sequence[str], sampled: bool
) -> PathState:
    """State at the start of the run; `followed` names its flows, `sampled` says whether marks are apart."""
    x = jnp.full((2, paths), probe.log_spot)
    zero, none = jnp.zeros_like(x), jnp.zeros_like(x[0])
    return PathState(
        x=x,
        x_mark=x if sampled else None,
        last_return=zero,
        realised=zero,
        realised_late=zero,
        lag_product=zero,
        high=x,
        low=x,
        attempting=jnp.zeros(x.shape, bool),
        failed=jnp.zeros(x.shape, jnp.int32),
        corridor_steps=jnp.zeros(x.shape, jnp.int32),
        feedback=none + jnp.abs(feedback),
        flows=dict.fromkeys(followed, none) if sampled else {},
        flows_abs=dict.fromkeys(followed, none),
        flow_peak=none,
    )


def observe(
    state: PathState,
    probe: Probe,
    x: Legs,
    flows: dict[str, Paths],
    feedback: Paths,
    mark: Array | None,
    late: Array,
) -> tuple[PathState, Legs, dict[str, Paths]]:
    """Take in one step.

    Args:
        state: before the step.
        probe: levels.
        x: log prices after the step, [2, P].
        flows: by name, index units, [P] each.
        feedback: g at the new price, [P].
        mark: whether a return is measured here, since the last mark; None if in every step.
        late: whether the step belongs to the last half hour.

    Returns:
        The new state, squared returns [2, P] and |net flows| [P] by name, both zero between marks.
    """

    def at_mark(value: Array, between: Array | float) -> Array:
        return value if mark is None else jnp.where(mark, value, between)

    last = state.x if state.x_mark is None else state.x_mark
    r = at_mark(x - last, 0.0)
    squared = r * r
    net = {name: state.flows.get(name, 0.0) + flow for name, flow in flows.items()}
    traded = {name: at_mark(jnp.abs(flow), 0.0) for name, flow in net.items()}
    below, over = x < probe.corridor_low, x > probe.corridor_high
    entered = (state.x < probe.corridor_low) & ~below
    return (
        PathState(
            x=x,
            x_mark=None if mark is None else jnp.where(mark, x, last),
            last_return=at_mark(r, state.last_return),
            realised=state.realised + squared,
            realised_late=state.realised_late + jnp.where(late, squared, 0.0),
            lag_product=state.lag_product + r * state.last_return,
            high=jnp.maximum(state.high, x),
            low=jnp.minimum(state.low, x),
            attempting=(state.attempting | entered) & ~below & ~over,
            failed=state.failed + (state.attempting & below),
            corridor_steps=state.corridor_steps + (~below & ~over),
            feedback=jnp.maximum(state.feedback, jnp.abs(feedback)),
            flows={} if mark is None else {name: jnp.where(mark, 0.0, flow) for name, flow in net.items()},
            flows_abs={name: state.flows_abs[name] + flow for name, flow in traded.items()},
            flow_peak=jnp.maximum(state.flow_peak, traded["net"]),
        ),
        squared,
        traded,
    )


def finish(
    state: PathState,
    probe: Probe,
    spot: Array | float,
    steps: int,
    pnl: Legs,
    fees: Paths,
    halted: Paths,
    names: Sequence[str],
) -> Annotated[Array, Shape("2 names paths")]:
    """The named `STATISTICS` of each path, [2, len(names), P]; the others are not worked out.

    Flows are in index units of delta; pnl is the dealers' profit in USD, hedged and unhedged, [2, P]; fees
    and whether trading was ever halted are [P].
    """
    x = state.x
    touched = (state.low <= probe.log_strike) & (state.high >= probe.log_strike)
    at_strike = jnp.abs(x - probe.log_strike) <= _AT_STRIKE
    above = (x > probe.log_strike) & ~at_strike
    move = jnp.exp(x) - spot
    total = x - probe.log_spot
    none = jnp.zeros_like(state.feedback)
    hedged_only = lambda value: jnp.stack([value, none])  # noqa: E731
    flow_abs = {name: hedged_only(state.flows_abs.get(name, none)) for name in FLOWS}
    if not names:
        return jnp.zeros((2, 0, x.shape[1]))
    columns = {
        "in_band": (x >= probe.band_low) & (x <= probe.band_high),
        "at_strike": at_strike,
        "touched": touched,
        "above": above,
        "rejected": touched & ~above & ~at_strike,
        "failed_attempts": state.failed,
        "in_corridor": state.corridor_steps.astype(x.dtype) / steps,
        "close_move": move,
        "close_move_squared": move * move,
        "log_return": total,
        "log_return_squared": total * total,
        "realised_variance": state.realised,
        "last_variance": state.realised_late,
        "lag_product": state.lag_product,
        "range_points": jnp.exp(state.high) - jnp.exp(state.low),
        "max_feedback": hedged_only(state.feedback),
        "flow_abs": flow_abs["net"],
        "flow_peak": hedged_only(state.flow_peak),
        "gamma_flow_abs": flow_abs["gamma"],
        "charm_flow_abs": flow_abs["charm"],
        "information_flow_abs": flow_abs["information"],
        "vanna_flow_abs": flow_abs["vanna"],
        "dealer_pnl": pnl,
        "dealer_pnl_squared": pnl * pnl,
        "hedge_fees": hedged_only(fees),
        "halted": hedged_only(halted.astype(x.dtype)),
    }
    return jnp.stack([columns[name].astype(x.dtype) for name in names], axis=1)
