"""Timing: repeated runs, median and spread, cores kept busy, work per second."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

__all__ = ["Line", "Timing", "beside", "cpu_seconds", "repeated", "timed"]


class Timing(NamedTuple):
    """A job measured by itself."""

    seconds: float
    """median of the runs"""
    spread: float
    """half the distance between the quartiles over the median"""
    cores: float
    """CPU seconds of this process per second of the runs: how many cores were busy on average"""
    compile_s: float | None = None
    """what the first run took longer"""


@dataclass(frozen=True)
class Line:
    """One measured job, and beside it its limit or the line that it is a peer of."""

    name: str
    seconds: float
    spread: float
    work: float
    unit: str
    """what one piece of work is: the line reports nanoseconds per piece"""
    compile_s: float | None = None
    limit_ns: float | None = None
    """the same job by the limit measured in the same run"""
    limit: str = ""
    cores: float | None = None
    bytes: int | None = None
    """of the arrays read and written, where the job is to read and write arrays once"""

    @classmethod
    def of(cls, name: str, timing: Timing, work: float, unit: str, **more: Any) -> Line:
        """The line of a job; `more` are the fields from `limit_ns` on."""
        return cls(name=name, work=work, unit=unit, **timing._asdict(), **more)

    @property
    def ns(self) -> float:
        return 1e9 * self.seconds / self.work

    @property
    def ratio(self) -> float | None:
        return None if self.limit_ns is None else self.ns / self.limit_ns

    def row(self, earlier: dict[str, float]) -> str:
        """The line as text, beside the time it took in an earlier record."""
        text = f"{self.name:<60} {self.ns:9.2f} ns per {self.unit:<10} ± {self.spread:4.0%}"
        text += f"  {self.cores:4.1f} cores" if self.cores is not None else ""
        text += f"  {self.bytes / self.seconds / 1e9:.1f} GB/s" if self.bytes is not None else ""
        if self.ratio is not None:
            text += f"  {self.ratio:5.2f} × {self.limit} ({self.limit_ns:.2f} ns)"
        if self.name in earlier:
            text += f"  {self.ns / earlier[self.name]:.2f} × before"
        return text


def timed(call: Callable[[], Any], *, least_runs: int = 10, least_seconds: float = 1.0) -> Timing:
    """Time a call, again and again, after a first one that compiles."""

    def run() -> float:
        began = time.perf_counter()
        jax.block_until_ready(call())
        return time.perf_counter() - began

    first = run()
    timing = _summed_up(run, least_runs, least_seconds)
    return timing._replace(compile_s=first - timing.seconds)


def repeated(run: Callable[[], float], runs: int) -> Timing:
    """Time a job that says itself how long it took, after a first run that compiles."""
    run()
    return _summed_up(run, runs, 0.0)


def beside(lines: list[Line], start: str) -> dict[str, Any]:
    """Fields of a peer's line: our own time of the job whose name begins so, if it was measured."""
    own = next((line for line in lines if line.name.startswith(start)), None)
    return {} if own is None else {"limit_ns": own.ns, "limit": "gammawall"}


def cpu_seconds() -> float:
    """CPU time of this process and of those it started and waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _summed_up(run: Callable[[], float], least_runs: int, least_seconds: float) -> Timing:
    taken: list[float] = []
    began, busy = time.perf_counter(), cpu_seconds()
    while len(taken) < least_runs or sum(taken) < least_seconds:
        taken.append(run())
    cores = (cpu_seconds() - busy) / (time.perf_counter() - began)
    low, median, high = np.quantile(taken, [0.25, 0.5, 0.75])
    return Timing(float(median), float((high - low) / (2.0 * median)), cores)
