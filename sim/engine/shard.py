"""One call of the compiled block on a device of this process, and what processes tell each other.

Every device runs the same one-device program on paths of its own, and no two need to talk. One program
partitioned over all devices (`jax.shard_map`) would be compiled, hence rounded, differently from that of one
device.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import SingleDeviceSharding

from gammawall.sim.engine.block import BlockSums, Given, Plan, simulate_block
from gammawall.sim.engine.checkpoint import Record
from gammawall.surfaces.arrays import Array
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.precision import compiler_options

__all__ = ["Caller", "choose_devices", "compiled_block", "gather"]

_MOST_COMPILED = 32
"""Programs that are kept. Each takes some 550 memory maps, and Linux ends a process at 65,530 of them."""

_compiled: OrderedDict[Any, Any] = OrderedDict()
_compiled_lock = threading.Lock()


def choose_devices(count: int) -> tuple[Any, ...]:
    """The first devices of this process; 0 means all.

    Raises:
        InputError: there are not so many.
    """
    there = jax.local_devices()
    if count > len(there):
        raise InputError(f"devices must be at most {len(there)}, which this process has; got {count}")
    return tuple(there[: count or None])


class Caller:
    """The block of one run on every device; compiled once per device and shape, and kept for later runs."""

    def __init__(self, given: Given, plan: Plan, devices: tuple[Any, ...], each: int, paths: int) -> None:
        self.given, self.plan, self.devices, self.each, self.paths = given, plan, devices, each, paths
        self._ready: list[Any] = [None] * len(devices)
        self._locks = [threading.Lock() for _ in devices]
        self._times: list[float] = []

    @property
    def compile_s(self) -> float:
        """Seconds from the first compilation's beginning to the last one's end."""
        return max(self._times) - min(self._times) if self._times else 0.0

    def __call__(self, first: int) -> Record:
        """The sums of `each` paths from `first`, on the device whose turn it is."""
        turn = first // self.each % len(self.devices)
        numbers = np.arange(first, first + self.each)
        with jax.enable_x64(True):
            where = SingleDeviceSharding(self.devices[turn])
            arguments = jax.device_put((numbers.astype(np.uint32), numbers < self.paths), where)
            compiled, given = self._prepare(turn, where, arguments)
            sums = compiled(given, *arguments)
            return {field.name: np.asarray(getattr(sums, field.name)) for field in fields(BlockSums)}

    def _prepare(self, turn: int, where: SingleDeviceSharding, arguments: tuple[Array, Array]) -> Any:
        with self._locks[turn]:
            if self._ready[turn] is None:
                self._times.append(time.perf_counter())
                given = jax.device_put(jax.tree_util.tree_map(jnp.asarray, self.given), where)
                program = compiled_block(self.plan, self.devices[turn], given, *arguments)
                self._ready[turn] = program, given
                self._times.append(time.perf_counter())
            return self._ready[turn]


def compiled_block(plan: Plan, device: Any, given: Given, paths: Array, valid: Array) -> Any:
    """`simulate_block` for arguments of these shapes on a device; the last `_MOST_COMPILED` are kept."""
    leaves, tree = jax.tree_util.tree_flatten((given, paths, valid))
    key = (tree, plan, device, *((a.shape, str(a.dtype)) for a in leaves))
    with _compiled_lock:
        program = _compiled.pop(key, None)
    program = program or _compile(plan, given, paths, valid)
    with _compiled_lock:
        _compiled[key] = program
        while len(_compiled) > _MOST_COMPILED:
            _compiled.popitem(last=False)
    return program


def _compile(plan: Plan, given: Given, *arguments: Array) -> Any:
    # A function of its own, since jax keeps what it compiled as long as the function lives.
    @jax.jit
    def block(given: Given, paths: Array, valid: Array) -> BlockSums:
        return simulate_block(given, paths, valid, plan=plan)

    return block.lower(given, *arguments).compile(compiler_options=compiler_options())


def gather(record: Record, kept: int) -> list[Record]:
    """The records of all processes, in their order.

    Args:
        record: of this process.
        kept: whole paths of the first process's record, the most of any.
    """
    count = jax.process_count()
    if count == 1:
        return [record]
    room = kept - record["kept"].shape[2]
    padded = {**record, "kept": np.pad(record["kept"], ((0, 0), (0, 0), (0, room)))}
    with jax.enable_x64(True):
        every = jax.tree_util.tree_map(np.asarray, multihost_utils.process_allgather(padded))
    return [{name: values[i] for name, values in every.items()} for i in range(count)]
