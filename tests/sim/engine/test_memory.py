"""Ten million paths in less than a gigabyte, of each of which only the closes are kept; many shapes in one
process, which keeps few compiled programs."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from gammawall.sim.engine import shard
from tests.helpers.sim_runs import make_book, run

CHILD = """
import json, sys, time
from tests.helpers.sim_runs import make_book, make_market
from gammawall.sim import GBM, LinearImpact, Measure, SimConfig, simulate
began = time.perf_counter()
found = simulate(
    make_book(20_000.0), market=make_market(), dynamics=GBM(0.12), impact=LinearImpact(3.0),
    config=SimConfig(paths=int(sys.argv[1]), steps=8), seed=1, measure=Measure(7000.0),
)
pin = found["pin_probability"]
status = open("/proc/self/status").read()  # ru_maxrss would begin at the parent's
peak = int(status[status.index("VmHWM:") + 6 :].split()[0]) / 1024
seconds = time.perf_counter() - began
print(json.dumps({"mib": peak, "seconds": seconds, "pin": pin.value, "stderr": pin.stderr}))
"""


def measured(paths: int) -> dict[str, float]:
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(paths)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_ten_million_paths_in_bounded_memory():
    one, ten = measured(1_000_000), measured(10_000_000)
    print(one, ten)
    # Two closes in float64 are 16 bytes; working copies take as much again.
    assert (ten["mib"] - one["mib"]) * 2**20 < 9_000_000 * 36
    assert ten["mib"] < 1200.0
    assert ten["stderr"] == pytest.approx(one["stderr"] / 10.0**0.5, rel=0.02)
    assert abs(ten["pin"] - one["pin"]) < 4.0 * one["stderr"]


def kept_programs() -> int:
    gc.collect()
    programs = jax.devices()[0].client.live_executables()
    return sum(program.hlo_modules()[0].name == "jit_block" for program in programs)


@pytest.mark.slow
def test_programs_of_earlier_shapes_are_let_go(monkeypatch):
    """A service that runs day after day would otherwise crash at some hundred different shapes."""
    monkeypatch.setattr(shard, "_MOST_COMPILED", 2)
    closes = []
    for steps in (3, 4, 5, 3):
        closes.append(run(make_book(1000.0), paths=1024, steps=steps).close)
        assert kept_programs() <= 2
    # The first one is compiled anew and gives the same.
    assert (closes[0] == closes[3]).all()
