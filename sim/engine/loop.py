"""The host loop over blocks of paths: compile once, run on every core or device, add up in order.

All work is done in calls of one size, which no choice of blocks, threads or processes changes, and the sums
of tiles are added in order of their paths: the same numbers, bit for bit, however a run is split.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gammawall.sim.engine.block import PATHS_AXIS, BlockSums, Given, Plan
from gammawall.sim.engine.checkpoint import Checkpoint, Record, fingerprint
from gammawall.sim.engine.shard import Caller, choose_devices, gather
from gammawall.sim.types import TILE, SimConfig

__all__ = ["Layout", "RunSums", "run_blocks"]

_CPU_PATHS = 4096
"""Paths of one call on a CPU device: enough to hide what a call costs, few enough to stay in its cache."""


@dataclass(frozen=True)
class Layout:
    """How a run is split: calls make blocks; blocks are what is reported, saved and shared out."""

    devices: tuple[Any, ...]
    each: int
    """paths of one call on one device"""
    block: int
    """paths of a block: whole calls"""
    keep: int
    """paths that a call returns whole"""
    workers: int

    @classmethod
    def of(cls, config: SimConfig) -> Layout:
        """The layout of a run of this size on the devices of this process."""
        devices = choose_devices(config.devices)
        wanted = TILE * max(1, min(config.block_paths // TILE, -(-config.paths // TILE)))
        each = _CPU_PATHS if devices[0].platform == "cpu" else wanted
        workers = config.workers or max(os.cpu_count() or 1, len(devices))
        return cls(devices, each, -(-wanted // each) * each, min(config.keep_paths, each), workers)


@dataclass(frozen=True)
class RunSums:
    """What all paths leave behind."""

    sums: BlockSums
    """without the axis of tiles; `kept` of the first paths, the other fields of `PATHS_AXIS` of all"""
    groups: np.ndarray | None
    """`vector` summed over each independent randomisation, [R, 2 m]"""
    compile_s: float
    run_s: float


def run_blocks(
    given: Given,
    plan: Plan,
    config: SimConfig,
    layout: Layout,
    *,
    checkpoint: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RunSums:
    """Run all blocks and add them up; memory grows with the paths by their closes and snapshots alone.

    Args:
        given: numbers of the run.
        plan: its choices.
        config: sizes.
        layout: how the run is split.
        checkpoint: folder that keeps finished blocks.
        progress: called with (paths done, paths in all).

    Raises:
        InputError: the folder belongs to another run or cannot be written.
    """
    began = time.perf_counter()
    caller = Caller(given, plan, layout.devices, layout.each, config.paths)
    store = None
    if checkpoint is not None:
        store = Checkpoint.open(checkpoint, fingerprint(given, plan, config, layout.devices[0]))
    total = _Total(config)
    pool = ThreadPoolExecutor(layout.workers)
    try:
        for first, record in _blocks(pool, caller, store, config, layout):
            total.add(first, record)
            if progress is not None:
                progress(min(first + layout.block, config.paths), config.paths)
    finally:
        # After Ctrl-C only the blocks already running are waited for, and saved.
        pool.shutdown(cancel_futures=True)
    seconds = time.perf_counter() - began
    return RunSums(BlockSums(**total.sums), total.groups, caller.compile_s, seconds - caller.compile_s)


def _blocks(
    pool: ThreadPoolExecutor,
    caller: Caller,
    store: Checkpoint | None,
    config: SimConfig,
    layout: Layout,
) -> Iterator[tuple[int, Record]]:
    """First path and record of every block in order, those of all processes."""
    starts = range(0, config.paths, layout.block)
    own, processes = jax.process_index(), jax.process_count()
    rounds = -(-len(starts) // processes)
    waiting: deque[Future[Record]] = deque()
    submitted = 0
    for turn in range(rounds):
        while submitted < min(turn + 2 * layout.workers, rounds):
            # In the last round a process without a block repeats the last one, which nobody counts.
            number = submitted * processes + own
            first = starts[min(number, len(starts) - 1)]
            kept_by = store if number < len(starts) else None
            waiting.append(pool.submit(_block, caller, kept_by, config, layout, first))
            submitted += 1
        together = starts[turn * processes : (turn + 1) * processes]
        widest = _kept(config, layout, together[0])
        yield from zip(together, gather(waiting.popleft().result(), widest), strict=False)


def _kept(config: SimConfig, layout: Layout, first: int) -> int:
    """How many paths of a block are returned whole."""
    return min(max(config.keep_paths - first, 0), layout.block)


def _block(caller: Caller, store: Checkpoint | None, config: SimConfig, layout: Layout, first: int) -> Record:
    """A block from its file, or run and saved."""
    found = store.load(first, layout.block) if store else None
    if found is not None:
        return found
    calls = [caller(at) for at in range(first, first + layout.block, layout.each)]
    record = {
        name: np.concatenate([c[name] for c in calls], axis=PATHS_AXIS.get(name, 0)) for name in calls[0]
    }
    record["kept"] = record["kept"][..., : _kept(config, layout, first)].copy()
    if store:
        store.save(first, layout.block, record)
    return record


class _Total:
    """The running sums, tile after tile."""

    def __init__(self, config: SimConfig) -> None:
        self.config = config
        self.sums: dict[str, Any] = {}
        self.groups: np.ndarray | None = None
        self._group_tiles = 0
        if config.sampling == "sobol":
            self._group_tiles = config.paths // config.replicates // TILE

    def add(self, first: int, record: Record) -> None:
        """Add a block; blocks come in order."""
        valid = min(record["close"].shape[1], self.config.paths - first)
        if not self.sums:
            self._open(record)
        for name in PATHS_AXIS:
            # Of the kept paths there may be fewer, or none.
            there = min(record[name].shape[-1], valid, self.sums[name].shape[-1] - first)
            if there > 0:
                self.sums[name][..., first : first + there] = record[name][..., :there]
        for tile in range(-(-valid // TILE)):
            for name, total in self.sums.items():
                if name == "residual":
                    np.maximum(total, record[name][tile], out=total)
                elif name not in PATHS_AXIS:
                    total += record[name][tile]
            if self.groups is not None:
                self.groups[(first // TILE + tile) // self._group_tiles] += record["vector"][tile]

    def _open(self, record: Record) -> None:
        paths = self.config.paths
        # None where whole paths are not kept.
        kept = min(self.config.keep_paths, paths) if record["kept"].shape[-1] else 0
        for name, values in record.items():
            if name in PATHS_AXIS:
                self.sums[name] = np.zeros((*values.shape[:-1], kept if name == "kept" else paths))
                continue
            dtype = np.int64 if np.issubdtype(values.dtype, np.integer) else values.dtype
            self.sums[name] = np.zeros(values.shape[1:], dtype)
        if self._group_tiles:
            self.groups = np.zeros((self.config.replicates, record["vector"].shape[1]))
