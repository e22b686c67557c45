"""The host loop over blocks of paths: compile once, run on every core, add up in order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.sim.engine import TILE, BlockSums, Given, Plan, simulate_block

__all__ = ["run_blocks"]

_COMPILED: dict[Any, Any] = {}


def run_blocks(
    given: Given,
    plan: Plan,
    paths: int,
    block: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[BlockSums], float, float]:
    """Run all blocks, in order of their first path.

    Args:
        given: numbers of the run.
        plan: its choices.
        paths: how many.
        block: paths per call, a multiple of `TILE`.
        workers: threads; 0 means one per core.
        progress: called with (paths done, paths in all).

    Returns:
        The blocks with `close` and `kept` cut to valid paths, seconds of compilation, seconds of running.
    """
    starts = list(range(0, paths, block))
    workers = min(workers or os.cpu_count() or 1, len(starts))
    began = time.perf_counter()
    with jax.enable_x64(True):
        given = jax.tree_util.tree_map(jnp.asarray, given)
        compiled = _compile((given, *_numbers(0, block, paths)), plan)
    ready = time.perf_counter()
    done = 0

    def one(first: int) -> BlockSums:
        with jax.enable_x64(True):
            sums = compiled(given, *_numbers(first, block, paths))
            sums = jax.tree_util.tree_map(np.asarray, sums)
        return _cut(sums, min(block, paths - first))

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


def block_size(paths: int, wanted: int) -> int:
    """Paths per call: a whole number of tiles, no more than the run needs."""
    return TILE * max(1, min(wanted // TILE, -(-paths // TILE)))


def keep_each(keep: int, paths: int, block: int) -> int:
    """How many paths each block must return whole for `keep` in all."""
    blocks = -(-paths // block)
    last = paths - (blocks - 1) * block
    keep = min(keep, paths)
    even = -(-keep // blocks)
    return even if even <= last else min(-(-(keep - last) // max(blocks - 1, 1)), block)


def _compile(arguments: Any, plan: Plan) -> Any:
    """The compiled block for the shapes of these arguments; compiled once per process, so timed apart."""
    leaves, tree = jax.tree_util.tree_flatten(arguments)
    key = (tree, plan, *((leaf.shape, str(leaf.dtype)) for leaf in leaves))
    if key not in _COMPILED:
        _COMPILED[key] = simulate_block.lower(*arguments, plan=plan).compile()
    return _COMPILED[key]


def _numbers(first: int, block: int, paths: int) -> tuple[Any, Any]:
    numbers = np.arange(first, first + block)
    return jnp.asarray(numbers.astype(np.uint32)), jnp.asarray(numbers < paths)


def _cut(sums: BlockSums, valid: int) -> BlockSums:
    fields = {name: getattr(sums, name) for name in sums.__dataclass_fields__}
    return BlockSums(**{**fields, "close": sums.close[:, :valid], "kept": sums.kept[:, :, :valid]})
