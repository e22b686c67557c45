"""The step loop: a compiled block of paths, and the host loop over blocks."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.sim.clearing import CAPPED, JUMP, first_root, inverse_lookup
from gammawall.sim.noise import FUNDAMENTAL, LEAD_IN, normals
from gammawall.sim.reduce import STATISTICS, Probe, finish, observe, open_state
from gammawall.sim.table import HedgeTable

__all__ = ["BlockSums", "Drive", "run_blocks"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Drive:
    """The fundamental log price, X_{k+1} = X_k + drift_k + spread_k Z, and which steps end a
    sampling interval or belong to the last half hour; all [N]."""

    drift: Any
    spread: Any
    mark: Any
    late: Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class BlockSums:
    """What a block of paths leaves behind; sums run over its valid paths."""

    vector: Any
    """[2 m], hedged statistics then baseline"""
    cross: Any
    """[2 m, 2 m]"""
    squared_returns: Any
    """per step and leg, [N, 2]"""
    traded: Any
    """|change of D| per step, [N]"""
    status: Any
    """path-steps stable, jump, capped, [3]"""
    paths_status: Any
    """paths with at least one jump, at least one capped step, [2]"""
    close: Any
    """log price, [2, P], and the fundamental price it came from in row 1"""
    kept: Any
    """log prices of the first paths of the block, [N + 1, 2, keep]"""


@functools.partial(jax.jit, static_argnames=("keep",))
def simulate_block(table: HedgeTable, drive: Drive, probe: Probe, seed, paths, valid, spot, *, keep: int):
    """Simulate one block of paths; see `BlockSums`."""
    steps = drive.drift.shape[0]
    shocks = normals(seed, FUNDAMENTAL, paths, steps)
    shift = table.impact * table.start_delta
    state = open_state(probe, table.start_delta, table.start_feedback, paths.shape[0])
    counts = jnp.zeros(3, jnp.int64)
    flags = jnp.zeros((2, paths.shape[0]), bool)

    def record(state, counts, flags, fundamental, x, delta, feedback, status, mark, late):
        new, squared, traded = observe(state, probe, jnp.stack([x, fundamental]), delta, feedback, mark, late)
        kinds = jnp.stack([status == k for k in range(3)])
        counts = counts + jnp.sum(kinds & valid, axis=1)
        flags = flags | jnp.stack([status == JUMP, status == CAPPED])
        sums = (jnp.sum(jnp.where(valid, squared, 0.0), axis=1), jnp.sum(jnp.where(valid, traded, 0.0)))
        return new, counts, flags, (*sums, new.x[:, :keep])

    def step(carry, inputs):
        fundamental, state, counts, flags = carry
        drift, spread, mark, late, z, row = inputs
        fundamental = fundamental + drift + spread * z
        x, delta, feedback, status = jax.lax.cond(
            row.increasing,
            lambda: inverse_lookup(
                fundamental + shift, table.y_first, table.y_width, row.inverse, table.impact
            ),
            lambda: first_root(
                fundamental + shift, state.x[0], table.nodes, row.delta, row.slope, table.impact
            ),
        )
        state, counts, flags, out = record(
            state, counts, flags, fundamental, x, delta, feedback, status, mark, late
        )
        return (fundamental, state, counts, flags), out

    rows = _Row(table.delta, table.slope, table.increasing, table.inverse)
    before = (drive.drift[:-1], drive.spread[:-1], drive.mark[:-1], drive.late[:-1], shocks[:-1], rows)
    fundamental = jnp.full(paths.shape[0], probe.log_spot)
    carry, outs = jax.lax.scan(step, (fundamental, state, counts, flags), before)
    fundamental, state, counts, flags = carry

    begin, fundamental = fundamental, fundamental + drive.drift[-1] + drive.spread[-1] * shocks[-1]
    x, delta, status = _settle(table, drive.spread[-1], begin, fundamental, state.x[0], seed, paths, shift)
    # The feedback of a settling strike is infinite, so the last reading is the one before the close.
    still = jnp.zeros_like(fundamental)
    state, counts, flags, out = record(
        state, counts, flags, fundamental, x, delta, still, status, drive.mark[-1], drive.late[-1]
    )
    squared, traded, kept = jax.tree_util.tree_map(lambda a, b: jnp.concatenate([a, b[None]]), outs, out)

    vectors = finish(state, probe, spot, steps).reshape(2 * len(STATISTICS), -1)
    vectors = jnp.where(valid, vectors, 0.0)
    start = jnp.full((1, 2, min(keep, paths.shape[0])), probe.log_spot)
    return BlockSums(
        vector=jnp.sum(vectors, axis=1),
        cross=vectors @ vectors.T,
        squared_returns=squared,
        traded=traded,
        status=counts,
        paths_status=jnp.sum(flags & valid, axis=1),
        close=state.x,
        kept=jnp.concatenate([start, kept]),
    )


def _settle(table: HedgeTable, spread, begin, end, x, seed, paths, shift):
    """Clear at the instants of the lead-in and at the close; the worst status of them counts.

    The fundamental price between the last step and the close is a Brownian bridge: from time left τ to ρτ,
    mean X_T + ρ(X − X_T) and variance σ²τ ρ(1 − ρ).
    """
    left, none = table.close_left, jnp.zeros(1)
    shocks = normals(seed, LEAD_IN, paths, left.shape[0] + 1)
    before, after = jnp.concatenate([none + 1.0, left]), jnp.concatenate([left, none])
    ratio = after / before
    spreads = spread * jnp.sqrt(before * ratio * (1.0 - ratio))

    def step(carry, inputs):
        between, x, _, worst = carry
        z, pull, width, nodes, row_delta, row_slope = inputs
        between = end + pull * (between - end) + width * z
        x, delta, _, status = first_root(between + shift, x, nodes, row_delta, row_slope, table.impact)
        return (between, x, delta, jnp.maximum(worst, status)), None

    rows = (shocks, ratio, spreads, table.close_nodes, table.close_delta, table.close_slope)
    start = (begin, x, jnp.zeros_like(x), jnp.zeros(x.shape, jnp.int32))
    (_, x, delta, status), _ = jax.lax.scan(step, start, rows)
    return x, delta, status


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Row:
    """One step of the per-step arrays of `HedgeTable`."""

    delta: Any
    slope: Any
    increasing: Any
    inverse: Any


def run_blocks(
    table: HedgeTable,
    drive: Drive,
    probe: Probe,
    seed: np.ndarray,
    spot: float,
    paths: int,
    block: int,
    keep: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[BlockSums], float, float]:
    """Run all blocks, in order of their first path.

    Returns:
        The blocks with `close` and `kept` cut to valid paths, seconds of compilation, seconds of running.
    """
    starts = list(range(0, paths, block))
    block = min(block, paths)
    keep_each = _keep_each(min(keep, paths), len(starts), block, paths - starts[-1])
    workers = min(workers or os.cpu_count() or 1, len(starts))
    began = time.perf_counter()
    with jax.enable_x64(True):
        given = jax.tree_util.tree_map(jnp.asarray, (table, drive, probe, seed))
        compiled = _compile(_block_arguments(given, 0, block, paths, spot), keep_each)
    ready = time.perf_counter()
    done = 0

    def one(first: int) -> BlockSums:
        with jax.enable_x64(True):
            sums = compiled(*_block_arguments(given, first, block, paths, spot))
            sums = jax.tree_util.tree_map(np.asarray, sums)
        left = min(block, paths - first)
        return _cut(sums, left)

    blocks = []
    pool = ThreadPoolExecutor(workers)
    try:
        for sums in pool.map(one, starts):
            blocks.append(sums)
            done += sums.close.shape[1]
            if progress is not None:
                progress(done, paths)
    finally:
        # On Ctrl-C only the blocks already running are waited for.
        pool.shutdown(cancel_futures=True)
    return blocks, ready - began, time.perf_counter() - ready


def _keep_each(keep: int, blocks: int, block: int, last: int) -> int:
    """How many paths each block must keep for `keep` in all, when the last block has only `last` of them."""
    even = -(-keep // blocks)
    return even if even <= last else min(-(-(keep - last) // (blocks - 1)), block)


_COMPILED: dict[Any, Any] = {}


def _compile(arguments, keep: int):
    """The compiled block for the shapes of these arguments; compiled once per process, so timed apart."""
    leaves, tree = jax.tree_util.tree_flatten(arguments)
    key = (tree, keep, *((leaf.shape, str(leaf.dtype)) for leaf in leaves))
    if key not in _COMPILED:
        _COMPILED[key] = simulate_block.lower(*arguments, keep=keep).compile()
    return _COMPILED[key]


def _block_arguments(given, first: int, block: int, paths: int, spot: float):
    table, drive, probe, seed = given
    numbers = np.arange(first, first + block)
    return (
        table,
        drive,
        probe,
        seed,
        jnp.asarray(numbers.astype(np.uint32)),
        jnp.asarray(numbers < paths),
        jnp.float64(spot),
    )


def _cut(sums: BlockSums, valid: int) -> BlockSums:
    fields = {name: getattr(sums, name) for name in sums.__dataclass_fields__}
    return BlockSums(**{**fields, "close": sums.close[:, :valid], "kept": sums.kept[:, :, :valid]})
