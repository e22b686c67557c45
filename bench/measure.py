"""Timing: repeated runs, median and spread, work per second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

__all__ = ["Line", "timed"]


@dataclass(frozen=True)
class Line:
    """One measured job. `spread` is half the distance between the quartiles over the median."""

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

    @property
    def ns(self) -> float:
        return 1e9 * self.seconds / self.work

    @property
    def ratio(self) -> float | None:
        return None if self.limit_ns is None else self.ns / self.limit_ns


def timed(
    call: Callable[[], Any], *, least_runs: int = 10, least_seconds: float = 1.0
) -> tuple[float, float, float]:
    """Seconds of the first call, median of the following, half the distance of their quartiles over it."""
    began = time.perf_counter()
    jax.block_until_ready(call())
    first = time.perf_counter() - began
    taken: list[float] = []
    while len(taken) < least_runs or sum(taken) < least_seconds:
        began = time.perf_counter()
        jax.block_until_ready(call())
        taken.append(time.perf_counter() - began)
    low, median, high = np.quantile(taken, [0.25, 0.5, 0.75])
    return first, float(median), float((high - low) / (2.0 * median))
