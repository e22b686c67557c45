"""Memory: how the peak grows with paths and contracts, and what the allocator's settings cost."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from climit import CLimit
from fresh import in_fresh_process
from jobs import ELEVEN, array_bytes, contracts, some_greeks
from measure import Line, Timing, timed

__all__ = ["Peak", "allocator", "allocator_lines", "greeks_alone", "memory_peaks", "peak_bytes"]

PAGES_KEPT = ":".join(
    f"glibc.malloc.{setting}"
    for setting in ("mmap_threshold=4294967296", "trim_threshold=4294967296", "arena_max=1")
)
"""What was freed stays with the process: large arrays of the next call need no fresh pages. The arenas of
threads cannot keep arrays over 64 MB, the main one can."""


@dataclass(frozen=True)
class Peak:
    """The most memory a process of its own held, with Python, jax and the compiler in it."""

    name: str
    bytes: int
    limit_bytes: int | None = None
    limit: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.limit_bytes is None else self.bytes / self.limit_bytes

    def row(self) -> str:
        """The peak as text."""
        text = f"{self.name:<60} {self.bytes / 1e6:9.0f} MB"
        return text if self.ratio is None else f"{text}  {self.ratio:5.2f} × {self.limit}"


def peak_bytes() -> int | None:
    """Most resident memory of this process so far; None where the system does not say.

    `ru_maxrss` would start from the peak of the process that started this one.
    """
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)


def memory_peaks(*, quick: bool) -> Iterator[Peak]:
    """A run, one of four times the paths and one of 24 times the contracts."""
    if peak_bytes() is None:
        return
    base = 16_384 if quick else 65_536
    first: int | None = None
    for paths, count in ((base, 1000), (4 * base, 1000), (base, 24_000)):
        found = in_fresh_process("growth", "simulate_alone", paths, count, 0)["peak_bytes"]
        name = f"peak memory, {paths:,} paths × 78, {count:,} contracts"
        yield Peak(name, found, first, "" if first is None else "the first")
        first = first or found


def allocator() -> dict[str, str] | str:
    """The settings of the C allocator in force, or "default"."""
    found = {name: value for name, value in os.environ.items() if name.startswith("MALLOC_")}
    found |= {name: os.environ[name] for name in ("GLIBC_TUNABLES", "LD_PRELOAD") if name in os.environ}
    return found or "default"


def allocator_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """Greeks of a whole market with the allocator as it comes, and with one that keeps its pages."""
    if platform.libc_ver()[0] != "glibc" or jax.default_backend() != "cpu":
        return
    count = 1_000_000 if quick else 4_000_000
    first: dict[str, Any] = {}
    for name, tunables in (("default allocator", ""), ("pages kept", PAGES_KEPT)):
        found = in_fresh_process("memory", "greeks_alone", count, GLIBC_TUNABLES=tunables)
        line = Line.of(
            f"greeks, 11 outputs, {count:,}, float64, {name}",
            Timing(**found),
            count,
            "contract",
            bytes=count * array_bytes(np.float64, len(ELEVEN)),
            **first,
        )
        first = {"limit_ns": line.ns, "limit": "default allocator"}
        yield line


def greeks_alone(count: int) -> dict[str, Any]:
    """Timing of eleven greeks in float64."""
    with jax.enable_x64(True):
        given = [jnp.asarray(c) for c in contracts(count)]
        return timed(lambda: some_greeks(*given, names=ELEVEN))._asdict()
