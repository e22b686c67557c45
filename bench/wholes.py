"""Whole things: memory bandwidth and what is left of it, order flow, calibration, commands."""

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
from jobs import ELEVEN, GPU_PATHS, array_bytes, contracts, flat_book, some_greeks
from measure import Line, Timing, cpu_seconds, repeated, timed

from gammawall import sim

__all__ = ["bandwidth_lines", "calibration_lines", "command_lines", "flow_lines"]


def bandwidth_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """A device copy, and the greeks beside it: their arrays read and written once at that speed."""
    count = 2_000_000 if quick else 32_000_000
    for dtype in (np.float64, np.float32):
        size = np.dtype(dtype).itemsize
        with jax.enable_x64(dtype == np.float64):
            source, copy = jnp.ones(count, dtype), jax.jit(lambda x: x + 1)
            moved, name = 2 * count * size, np.dtype(dtype).name
            copied = Line.of(
                f"device copy, {name}", timed(lambda c=copy, s=source: c(s)), moved, "byte", bytes=moved
            )
            yield copied
            number, each = count // 8, array_bytes(dtype, len(ELEVEN))
            given = [jnp.asarray(c) for c in contracts(number, dtype)]
            yield Line.of(
                f"greeks, 11 outputs, {number:,}, {name}, on the device",
                timed(lambda g=given: some_greeks(*g, names=ELEVEN)),
                number,
                "contract",
                limit_ns=copied.ns * each,
                limit="copy of their arrays",
                bytes=number * each,
            )


def flow_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """Same-day order flow: inventories per strike and path; on a GPU also of as many paths as it wants."""
    yield _flow_line(*((4096, 39, 31) if quick else (16_384, 390, 101)))
    if jax.default_backend() == "gpu":
        yield _flow_line(GPU_PATHS, 390, 31)


def _flow_line(paths: int, steps: int, strikes: int) -> Line:
    book, market = flat_book()
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

    name = f"order flow, {paths:,} × {steps} × {strikes} strikes"
    return Line.of(name, repeated(run, 3), paths * steps * strikes, "strike-step")


def calibration_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """eSSVI and SVI fitted to a made-up chain, where the tests that make it are there."""
    try:
        make_chain = importlib.import_module("tests.helpers.synthetic").make_chain
    except ImportError:
        return
    from gammawall.surfaces.vol_surfaces.fit import fit_surface

    chain = make_chain()
    for model in ("essvi",) if quick else ("essvi", "svi"):
        timing = timed(lambda m=model: fit_surface(chain, m).surface, least_runs=3)
        yield Line.of(f"fit, {model}", timing, len(chain.quotes), "quote")


def command_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """Whole commands in fresh processes: cold, and with what jax compiled kept in a folder."""
    if importlib.util.find_spec("typer") is None:
        return
    program = [sys.executable, "-m", "gammawall.scenarios.cli.main"]
    with tempfile.TemporaryDirectory() as folder:
        kept = {"JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "jax")}
        kept["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
        pin = [*program, "run", "pin-7000", "--quiet", "--out", str(Path(folder) / "run")]
        for name, words, more in (
            ("import jax, pandas", [sys.executable, "-c", "import jax, pandas"], {}),
            ("import gammawall.sim", [sys.executable, "-c", "import gammawall.sim"], {}),
            ("gammawall --help", [*program, "--help"], {}),
            ("gammawall run pin-7000, cold", pin, {}),
            ("gammawall run pin-7000, compiled before", pin, kept),
        ):
            taken = []
            for _ in range(1 if more == {} and quick else 3):
                began, busy = time.perf_counter(), cpu_seconds()
                subprocess.run(words, env={**os.environ, **more}, capture_output=True, check=True)
                seconds = time.perf_counter() - began
                taken.append((seconds, (cpu_seconds() - busy) / seconds))
            taken.sort()
            seconds, cores = taken[0 if more else len(taken) // 2]
            spread = (taken[-1][0] - taken[0][0]) / seconds / 2.0
            yield Line.of(name, Timing(seconds, spread, cores), 1, "command")
