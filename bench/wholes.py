"""Whole things: memory bandwidth and what is left of it, order flow, calibration, commands, growth."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from climit import CLimit
from jobs import ELEVEN, contracts, flat_book, some_greeks
from measure import Line, timed

from gammawall import sim
from gammawall.surfaces.book import Book

__all__ = ["bandwidth_lines", "calibration_lines", "command_lines", "flow_lines", "growth_lines"]


def bandwidth_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """A device copy, and the greeks beside it: their arrays read and written once at that speed."""
    count = 2_000_000 if quick else 32_000_000
    for dtype in (np.float64, np.float32):
        size = np.dtype(dtype).itemsize
        with jax.enable_x64(dtype == np.float64):
            source, copy = jnp.ones(count, dtype), jax.jit(lambda x: x + 1)
            first, seconds, spread = timed(lambda c=copy, s=source: c(s))
            moved = 2 * count * size
            name = np.dtype(dtype).name
            yield Line(f"device copy, {name}", seconds, spread, moved, "byte", first - seconds)
            number = count // 8
            given = [jnp.asarray(c) for c in contracts(number, dtype)]
            first, took, spread = timed(lambda g=given: some_greeks(*g, names=ELEVEN))
            ideal = 1e9 * seconds / moved * ((5 + len(ELEVEN)) * size + 1)
            label = f"greeks, 11 outputs, {number:,}, {name}, on the device"
            yield Line(label, took, spread, number, "contract", first - took, ideal, "copy of their arrays")


def flow_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """Same-day order flow: inventories per strike and path."""
    book, market = flat_book()
    paths, steps, strikes = (4096, 39, 31) if quick else (16_384, 390, 101)
    config = sim.SimConfig(paths=paths, steps=steps, keep_paths=0)
    flow = sim.ZeroDteFlow(0.12, contracts_per_day=2_000_000, strikes=strikes)

    def run() -> float:
        found = sim.simulate(
            book,
            market=market,
            dynamics=sim.GBM(0.12),
            impact=sim.LinearImpact(3.0),
            flow=flow,
            config=config,
            seed=1,
        )
        return found.timing["run_s"]

    run()
    taken = [run() for _ in range(3)]
    median, spread = float(np.median(taken)), float(np.ptp(taken) / np.median(taken) / 2.0)
    name = f"order flow, {paths:,} × {steps} × {strikes} strikes"
    yield Line(name, median, spread, paths * steps * strikes, "strike-step")


def calibration_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """eSSVI and SVI fitted to a made-up chain, where the tests that make it are there."""
    try:
        make_chain = importlib.import_module("tests.synthetic").make_chain
    except ImportError:
        return
    from gammawall.surfaces.fit import fit_surface

    chain = make_chain()
    for model in ("essvi",) if quick else ("essvi", "svi"):
        first, seconds, spread = timed(lambda m=model: fit_surface(chain, m).surface, least_runs=3)
        yield Line(f"fit, {model}", seconds, spread, len(chain.quotes), "quote", first - seconds)


def command_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """Whole commands in fresh processes: cold, and with what jax compiled kept in a folder."""
    if importlib.util.find_spec("typer") is None:
        return
    program = [sys.executable, "-m", "gammawall.scenarios.cli"]
    with tempfile.TemporaryDirectory() as folder:
        kept = {"JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "jax")}
        kept["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
        pin = [*program, "run", "pin-7000", "--quiet", "--out", str(Path(folder) / "run")]
        for name, words, more in (
            ("gammawall --help", [*program, "--help"], {}),
            ("gammawall run pin-7000, cold", pin, {}),
            ("gammawall run pin-7000, compiled before", pin, kept),
        ):
            taken = []
            for _ in range(1 if more == {} and quick else 3):
                began = time.perf_counter()
                subprocess.run(words, env={**os.environ, **more}, capture_output=True, check=True)
                taken.append(time.perf_counter() - began)
            seconds = min(taken) if more else float(np.median(taken))
            yield Line(name, seconds, float(np.ptp(taken) / seconds / 2.0), 1, "command")


def growth_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """A fixed-book run with twice the paths, and with twice and twenty times the contracts."""
    market = flat_book()[1]
    base = 8192 if quick else 65_536
    cases = {"paths": (base, 1000), "twice the paths": (2 * base, 1000)}
    cases |= {"twice the contracts": (base, 2000), "twenty times the contracts": (base, 20_000)}
    one = 0.0
    for name, (paths, count) in cases.items():
        seconds, spread = _run(_book(count), market, paths)
        one = one or seconds
        limit_ns, what = (None, "") if name == "paths" else (1e9 * one, "the first")
        yield Line(
            f"growth, {paths:,} paths × 78, {count:,} contracts",
            seconds,
            spread,
            1,
            "run",
            None,
            limit_ns,
            what,
        )


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


def _run(book: Book, market: sim.Market, paths: int) -> tuple[float, float]:
    config = sim.SimConfig(paths=paths, steps=78, keep_paths=0)
    taken = []
    for _ in range(4):
        found = sim.simulate(
            book, market=market, dynamics=sim.GBM(0.12), impact=sim.LinearImpact(0.3), config=config, seed=1
        )
        taken.append(found.timing["run_s"])
    return float(np.median(taken[1:])), float(np.ptp(taken[1:]) / np.median(taken[1:]) / 2.0)
