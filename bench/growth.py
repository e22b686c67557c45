"""How the time of a run grows with paths, steps, contracts and devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from climit import CLimit
from fresh import in_fresh_process
from jobs import flat_book
from measure import Line, Timing, repeated
from memory import peak_bytes

from gammawall import sim
from gammawall.surfaces.dealers.book import Book

__all__ = ["growth_lines", "simulate_alone"]

STEPS = 78


def growth_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """A fixed-book run with twice the paths or steps, with more contracts, and on two devices."""
    base = 8192 if quick else 65_536
    cases = {"paths": (base, STEPS, 1000), "twice the paths": (2 * base, STEPS, 1000)}
    cases |= {"twice the contracts": (base, STEPS, 2000), "twenty times the contracts": (base, STEPS, 20_000)}
    cases |= {"twice the steps": (base, 2 * STEPS, 1000)}
    first: dict[str, Any] = {}
    for paths, steps, count in cases.values():
        line = Line.of(
            f"growth, {paths:,} paths × {steps}, {count:,} contracts",
            _timing(paths, steps, count, sim.SimConfig().workers),
            1,
            "run",
            **first,
        )
        first = first or {"limit_ns": line.ns, "limit": "the first"}
        yield line
    yield from _device_lines(base)


def _device_lines(paths: int) -> Iterator[Line]:
    one: dict[str, Any] = {}
    for devices in (1, 2):
        flags = f"--xla_force_host_platform_device_count={devices}"
        found = in_fresh_process(
            "growth", "simulate_alone", paths, 1000, devices, XLA_FLAGS=flags, JAX_PLATFORMS="cpu"
        )
        name = f"growth, {paths:,} paths × {STEPS}, {devices} CPU device{'s' * (devices > 1)}, a thread each"
        line = Line.of(name, Timing(**found["timing"]), 1, "run", **one)
        one = {"limit_ns": line.ns, "limit": "one device"}
        yield line


def simulate_alone(paths: int, count: int, workers: int) -> dict[str, Any]:
    """Time, and the peak memory of this process, of a run on all its devices; 0 workers: one per core."""
    timing = _timing(paths, STEPS, count, workers)
    return {"timing": timing._asdict(), "peak_bytes": peak_bytes()}


def _timing(paths: int, steps: int, count: int, workers: int) -> Timing:
    book, market = _book(count), flat_book()[1]
    config = sim.SimConfig(paths=paths, steps=steps, keep_paths=0, workers=workers)

    def run() -> float:
        found = sim.simulate(
            book, market=market, dynamics=sim.GBM(0.12), impact=sim.LinearImpact(0.3), config=config, seed=1
        )
        return found.timing["run_s"]

    return repeated(run, 3)


def _book(count: int) -> Book:
    rng = np.random.default_rng(3)
    return Book.from_positions(
        contracts=rng.integers(1, 50, count),
        strike=np.round(rng.uniform(6500.0, 7500.0, count) / 5.0) * 5.0,
        expiry=np.where(np.arange(count) < count // 20, "2026-01-28T16:00", "2026-02-20T16:00"),
        vol=0.12,
        is_call=rng.random(count) < 0.5,
        spot=7000.0,
        as_of="2026-01-28T09:30",
    )
