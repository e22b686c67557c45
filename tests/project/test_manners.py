"""How the library behaves in somebody else's process: imports, precision, threads, processes, compilation."""

from __future__ import annotations

import ast
import inspect
import json
import logging
import re
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax import export

from gammawall import scenarios, sim, surfaces
from gammawall.scenarios.record import FORMAT
from gammawall.scenarios.runs.comparison import read_result
from gammawall.scenarios.runs.export import tables
from tests.helpers.sim_runs import (
    BLOCK,
    CLOSE,
    NODES,
    START,
    STEPS,
    VOL,
    make_book,
    make_market,
    run,
    same_shape,
)
from tests.helpers.synthetic import make_chain
from tests.project.test_docs import PAGES, blocks
from tests.surfaces.test_precision import compilations

ROOT = Path(__file__).parents[2]
EARLIER = Path(__file__).parents[1] / "data" / "result-0.1.0.json"
"""The record of a run, as version 0.1.0 wrote it."""

# --- import ------------------------------------------------------------------------------------------------

IMPORT = """
import json, os, sys, threading
import jax, pandas, scipy.special
from jax._src import xla_bridge
before = set(sys.modules), threading.active_count(), len(os.listdir("/dev/fd"))
import gammawall.surfaces, gammawall.sim, gammawall.scenarios
print(json.dumps({
    "third": sorted({m.split(".")[0] for m in set(sys.modules) - before[0]} - set(sys.stdlib_module_names)),
    "threads": threading.active_count() - before[1],
    "open files": len(os.listdir("/dev/fd")) - before[2],
    "devices": len(xla_bridge._backends),
}))
"""


def test_an_import_loads_only_what_it_needs_and_starts_nothing(tmp_path: Path) -> None:
    """No library of the reports or of the command line, no thread, open file, file on disk, or device."""
    asked = [sys.executable, "-B", "-c", IMPORT]
    done = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path, check=True)
    found = json.loads(done.stdout)
    ours = {name for name in found["third"] if not name.startswith("__editable__")}
    assert ours <= {"gammawall", "jax", "jaxlib", "numpy", "pandas", "scipy"}
    assert (found["threads"], found["open files"], found["devices"]) == (0, 0, 0)
    assert list(tmp_path.iterdir()) == []
    assert done.stderr == ""


# --- logging -----------------------------------------------------------------------------------------------


def sources() -> list[Path]:
    return [p for layer in ("surfaces", "sim", "scenarios") for p in sorted((ROOT / layer).rglob("*.py"))]


def test_every_logger_is_below_gammawall_and_has_no_handler() -> None:
    users = 0
    for path in sources():
        text = path.read_text(encoding="utf-8")
        for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            if name.endswith("getLogger"):
                users += 1
                assert [ast.unparse(a) for a in call.args] == ["__name__"], path
            assert not name.endswith((".basicConfig", ".addHandler", ".setLevel")), path
    assert users
    assert [n for n in logging.root.manager.loggerDict if n.startswith("gammawall") and handlers(n)] == []


def handlers(name: str) -> list[logging.Handler]:
    return logging.getLogger(name).handlers


def test_only_the_command_line_prints() -> None:
    talkers = {
        path.relative_to(ROOT).parts[:2]
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "typer.echo")
    }
    assert {parts[0] for parts in talkers} == {"scenarios"}
    assert talkers <= {("scenarios", name) for name in ("cli", "examples")}


# --- under the caller's transformations --------------------------------------------------------------------

KERNELS = {
    "black_price": lambda f, v: surfaces.black_price(f, 7000.0, 0.01, v, 0.03),
    "black_greeks": lambda f, v: surfaces.black_greeks(f, 7000.0, 0.01, v, 0.03).gamma,
    "bachelier_price": lambda f, v: surfaces.bachelier_price(f, 7000.0, 0.01, 7000.0 * v),
    "spot_greeks": lambda f, v: surfaces.spot_greeks(f, 7000.0, 0.01, v, 0.03).delta,
    "implied_vol": lambda f, v: surfaces.implied_vol(100.0 + 50.0 * v, f, 7000.0, 0.01).vol,
}
FORWARDS, VOLS = np.array([6950.0, 7010.0, 7040.0]), np.array([0.11, 0.12, 0.15])


@pytest.mark.parametrize("name", KERNELS)
def test_jit_vmap_and_grad_of_the_caller(name: str) -> None:
    kernel: Any = KERNELS[name]
    plain = np.asarray(kernel(FORWARDS, VOLS))
    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.jit(kernel)(FORWARDS, VOLS), plain, rtol=1e-12)
        np.testing.assert_allclose(
            jax.vmap(kernel)(jnp.asarray(FORWARDS), jnp.asarray(VOLS)), plain, rtol=1e-12
        )
        slopes = jax.vmap(jax.jit(jax.grad(kernel)))(jnp.asarray(FORWARDS), jnp.asarray(VOLS))
    step = 1e-4 * FORWARDS
    bumped = (np.asarray(kernel(FORWARDS + step, VOLS)) - np.asarray(kernel(FORWARDS - step, VOLS))) / (
        2 * step
    )
    np.testing.assert_allclose(slopes, bumped, rtol=2e-4, atol=1e-6 * np.abs(bumped).max())


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_exported_for_other_devices(name: str) -> None:
    """One program for three platforms; called again here it gives the same numbers."""
    with jax.enable_x64(True):
        shape = jax.ShapeDtypeStruct(FORWARDS.shape, np.float64)
        program = export.export(jax.jit(KERNELS[name]), platforms=["cpu", "cuda", "tpu"])(shape, shape)
        found = np.asarray(jax.jit(program.call)(FORWARDS, VOLS))
    np.testing.assert_allclose(found, KERNELS[name](FORWARDS, VOLS), rtol=1e-13)


REIMPORT = """
import json, sys
import jax, numpy as np
from jax import export
with jax.enable_x64(True):
    program = export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
    found = program.call(np.array(json.loads(sys.argv[2])), np.array(json.loads(sys.argv[3])))
assert not any(name.startswith("gammawall.s") for name in sys.modules)
print(json.dumps(np.asarray(found).tolist()))
"""


def test_an_exported_kernel_runs_where_we_are_not_imported(tmp_path: Path) -> None:
    pytest.importorskip("flatbuffers", reason="jax writes exported programs with flatbuffers")
    with jax.enable_x64(True):
        shape = jax.ShapeDtypeStruct(FORWARDS.shape, np.float64)
        program = export.export(jax.jit(KERNELS["black_greeks"]))(shape, shape)
        (tmp_path / "program").write_bytes(program.serialize())
    numbers = [json.dumps(values.tolist()) for values in (FORWARDS, VOLS)]
    asked = [sys.executable, "-c", REIMPORT, "program", *numbers]
    done = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout), KERNELS["black_greeks"](FORWARDS, VOLS), rtol=1e-13)


# --- runs --------------------------------------------------------------------------------------------------


def test_a_run_is_the_same_with_x64_on_and_off_and_in_threads() -> None:
    book = same_shape(20_000)
    off = run(book)
    with jax.enable_x64(True):
        on = run(book)
        assert jnp.zeros(1).dtype == np.float64
    assert jnp.zeros(1).dtype == np.float32
    with ThreadPoolExecutor(3) as pool:
        threads = [job.result() for job in [pool.submit(run, book) for _ in range(3)]]
    for other in (on, *threads):
        assert np.array_equal(other.close, off.close)
        assert other.metrics == off.metrics
    assert not np.array_equal(run(book, seed=2).close, off.close)


def test_a_number_of_a_run_changes_without_a_recompile(caplog: pytest.LogCaptureFixture) -> None:
    run(same_shape(20_000))
    changes: list[dict[str, Any]] = [
        {"book": same_shape(15_000), "bp_per_usd_bn": 5.0},
        {"book": same_shape(20_000, 7010.0), "seed": 9},
        {"book": same_shape(20_000), "vol": 0.125, "hedging": sim.Clearing(0.5)},
        {"book": same_shape(20_000), "measure": sim.Measure(6990.0, 2.0)},
    ]
    for change in changes:
        assert compilations(caplog, lambda c=change: run(**c)) == 0, change


@pytest.mark.slow
def test_a_compilation_of_a_run_would_be_seen(caplog: pytest.LogCaptureFixture) -> None:
    assert compilations(caplog, lambda: run(same_shape(20_000), steps=3)) > 0


def test_kernels_work_in_a_spawned_process() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(surfaces.black_price, FORWARDS, 7000.0, 0.01, VOLS).result()
    assert np.array_equal(found, surfaces.black_price(FORWARDS, 7000.0, 0.01, VOLS))


def close_of_a_run() -> np.ndarray:
    return run(same_shape(20_000)).close


@pytest.mark.slow
def test_a_run_works_in_a_spawned_process() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert np.array_equal(pool.submit(close_of_a_run).result(), close_of_a_run())


# --- types -------------------------------------------------------------------------------------------------

INSTANTS = """
import datetime as dt

import pandas as pd

from gammawall import sim

market = sim.Market(spot=7000.0, start="2026-01-28T09:30", close=pd.Timestamp("2026-01-28T16:00"))
sim.Market(7000.0, dt.datetime(2026, 1, 28, 9, 30), market.close, market.clock, 0.1, "in_market", True)
jump = sim.Catalyst("2026-01-28T14:00", 0.0, std=0.01)
kept: list[pd.Timestamp] = [market.start, market.close, jump.when]
sim.Market(7000.0, "2026-01-28T09:30")
sim.Market(7000.0, 9.5, market.close)
start: str = market.start
"""
"""The last three lines are wrong."""


def test_a_type_checker_finds_no_fault_with_the_documentation(tmp_path: Path) -> None:
    """Instants are given as text and read as timestamps; only lines that are wrong on purpose are found."""
    checker = Path(sys.executable).parent / "basedpyright"
    if not checker.exists():
        pytest.skip("basedpyright is not installed: it is in the extra `lint`")
    for page in PAGES:
        code = "\n".join(block.text for block in blocks(page) if block.language == "python")
        (tmp_path / f"page_{page.stem.replace('-', '_')}.py").write_text(code, encoding="utf-8")
    (tmp_path / "instants.py").write_text(INSTANTS, encoding="utf-8")
    settings = {"typeCheckingMode": "standard", "extraPaths": [str(ROOT / "tests" / "_types")]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    asked = [checker, "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path, check=False)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == len(PAGES) + 1
    errors = [e for e in found["generalDiagnostics"] if e["severity"] == "error"]
    last = len(INSTANTS.splitlines())
    assert {(Path(e["file"]).name, e["range"]["start"]["line"]) for e in errors} == {
        ("instants.py", line) for line in range(last - 3, last)
    }, errors


@pytest.mark.parametrize("kind", [sim.Market, sim.Catalyst])
def test_the_constructor_that_a_type_checker_sees_is_the_one_there_is(kind: Any) -> None:
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    (told,) = (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )
    there = inspect.signature(kind.__init__).parameters
    assert [argument.arg for argument in told.args.args] == list(there)
    free = [name for name, parameter in there.items() if parameter.default is not parameter.empty]
    assert [argument.arg for argument in told.args.args[-len(told.args.defaults) :]] == free


# --- tables and results ------------------------------------------------------------------------------------

UNIT = re.compile(
    r"_(usd|usd_per_1pct|usd_per_vol_point|usd_per_day|usd_per_point2?|stderr_usd|usd_bn_per_1pct|usd_bn_per_min|"
    r"points|pct|share|share_per_point|share_stderr)$|^(years|minutes)$"
)
WRITTEN = {"type", "label", "contracts", "strike", "expiry", "multiplier"}
"""Columns of a portfolio as its owner wrote them."""
PLAIN = {"measure", "level", "path", "root", "source", "reason", "found", "agreement", "time", "strike"}
"""Words, instants, numbers of paths, shares, and strikes, which name a row."""
NAMED = {"forward", "discount", "residual", "n_strikes", "expiry"}
"""Of `imply_forwards`, whose names are fixed; forwards and residuals are index points."""


def without_unit(frame: pd.DataFrame, plain: set[str] = PLAIN) -> list[str]:
    return [name for name in map(str, frame.columns) if not UNIT.search(name) and name not in plain]


def test_columns_say_their_unit() -> None:
    book, later = make_book([100.0, -50.0], [7000.0, 6950.0]), make_book([90.0], [7000.0])
    found = surfaces.exposures(book)
    frames = [found.by_strike, found.by_expiry, found.profile.reset_index()]
    frames += [surfaces.hedge_ladder(book), surfaces.snapshot_difference(book, later)]
    frames += [surfaces.bootstrap_levels(book, draws=3)]
    held = pd.DataFrame(
        {"type": ["put"], "contracts": [3], "strike": [7000], "expiry": [CLOSE], "vol_pct": [12]}
    )
    case = sim.Experiment(
        same_shape(20_000),
        market=make_market(),
        dynamics=sim.GBM(VOL),
        impact=sim.LinearImpact(3.0),
        config=sim.SimConfig(paths=BLOCK, steps=STEPS, block_paths=BLOCK, keep_paths=BLOCK, max_nodes=NODES),
        measure=sim.Measure(7000.0),
    )
    risk = sim.portfolio_pnl(held, case)
    frames += [risk.summary, risk.worst_paths, risk.ladder]
    for frame in frames:
        assert isinstance(frame, pd.DataFrame)
        assert without_unit(frame) == []
    assert without_unit(risk.positions, PLAIN | WRITTEN) == []
    assert without_unit(surfaces.imply_forwards(make_chain()), PLAIN | NAMED) == []
    assert without_unit(pd.DataFrame(columns=["spot", "trade", "before"])) == ["spot", "trade", "before"]


def test_tables_of_metrics_say_the_unit_of_each() -> None:
    """Where one column holds many metrics the unit stands beside; where columns are data it is in attrs."""
    found = run(same_shape(20_000))
    assert found.frame().loc["close_mean", "unit"] == "points"
    heat = surfaces.gex_heatmap(make_book([100.0], [7000.0]), [6990.0, 7010.0], [START])
    assert (heat.attrs["units"], heat.columns.name) == ("USD per 1 %", "spot_points")


def test_a_result_comes_back_from_its_folder(tmp_path: Path) -> None:
    small = scenarios.load("pin-7000", simulation__paths=256, simulation__steps=8)
    made = scenarios.run(small, out=tmp_path / "run")
    back = scenarios.Result.open(tmp_path / "run")
    again = scenarios.Result.open(back.save(tmp_path / "again"))
    assert json.dumps(back.document) == json.dumps(again.document)
    assert back.document["metrics"] == made.document["metrics"]
    assert set(back.series) == set(made.series) == set(again.series)
    for name, values in made.series.items():
        np.testing.assert_array_equal(back.series[name], values)
        np.testing.assert_array_equal(again.series[name], values)
    for name, table in tables(back).items():
        assert "unit" in table or name == "theory" or without_unit(table) == []
        path = tmp_path / f"{name}.parquet"
        table.to_parquet(path, index=False)
        pd.testing.assert_frame_equal(pd.read_parquet(path), table.reset_index(drop=True))


def test_a_result_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Its record, alone and as a folder; beside a run of today no metric of it is gone or renamed."""
    record = json.loads(EARLIER.read_text(encoding="utf-8"))
    assert record["provenance"]["version"] == "0.1.0"
    assert "format" not in record
    old = read_result(EARLIER)
    folder = scenarios.Result(record, {"minutes": np.arange(3.0)}).save(tmp_path / "old")
    assert scenarios.Result.open(folder).metric("pin_probability") == old.metric("pin_probability")
    made = scenarios.run(scenarios.load("pin-7000", simulation__paths=256, simulation__steps=8))
    names = [[m["name"] for m in r.document["metrics"]] for r in (old, made)]
    assert set(names[0]) <= set(names[1])
    assert set(record) <= set(made.document)
    assert made.document["format"] == FORMAT
    assert set(record["metrics"][0]) <= set(made.document["metrics"][0])
    both = scenarios.compare(EARLIER, made)
    assert len(both.metrics) >= len(names[0])
    assert len(tables(old)["metrics"]) == len(names[0])
