"""The bench counts and compares what it says: vols, peers' numbers, cores, memory, kernels of a GPU."""

from __future__ import annotations

import ctypes
import importlib
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gammawall.surfaces.pricing.black import black_price

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Modules of the folder by name."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


@pytest.fixture
def peers(bench: Any) -> Any:
    return bench("peers")


def test_wrong_vols_refusals_and_inventions_are_told_apart(
    peers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "timed", lambda call, **_: peers.Timing(2e-6, 0.0, 1.0))
    vol = np.array([0.2, 0.2, 0.2, 0.2, 0.2, 0.2])
    floor = np.array([1e-15, 1e-15, 1e-15, 1e-15, 1e-2, 1e-2])
    answer = vol * [1 + 4e-13, 1 + 2e-6, np.nan, 2.0, 1.5, np.nan]
    points = dict.fromkeys(peers.NAMES, vol)
    price = np.array([0.1, 1e-10, 0.1, 0.1, 0.1, 0.1])
    record = peers._measure("six", "fake", lambda *_: answer, price, points, floor, 20)
    assert (record.count, record.determined) == (6, 4)
    assert record.silent_large == 1
    assert (record.silent, record.refused, record.invented) == (2, 1, 2)
    assert record.worst == pytest.approx(1.0)
    assert record.median == pytest.approx(2e-6)
    assert record.worst_over_bound == pytest.approx(1e13)
    assert record.ns_per_vol == pytest.approx(100.0)


def test_scalar_solvers_refuse_by_raising(peers: Any) -> None:
    def solver(price: float) -> float:
        if price > 1.0:
            raise ValueError
        return price

    points = {name: np.full(2, 4.0) for name in peers.NAMES}
    found = peers._one_by_one(solver, lambda price, *_: (price,), per_year=True)(np.array([0.5, 2.0]), points)
    np.testing.assert_array_equal(found, [0.25, np.nan])


def test_our_own_vols_need_no_peer(peers: Any) -> None:
    solve, whole_arrays = peers.solvers()["gammawall"]
    forward, strike, expiry, vol, rate, is_call = peers.contracts(100)
    price = black_price(forward, strike, expiry, vol, rate, is_call=is_call)
    points = dict(zip(peers.NAMES, (forward, strike, expiry, vol, rate, is_call), strict=True))
    np.testing.assert_allclose(solve(price, points), vol, rtol=1e-9)
    assert whole_arrays


def test_cores_are_cpu_seconds_per_second(bench: Any) -> None:
    measure = bench("measure")

    def busy() -> None:
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            math.sqrt(2.0)

    idle = measure.timed(lambda: time.sleep(0.02), least_runs=3, least_seconds=0.0)
    assert idle.cores < 0.3
    assert idle.seconds >= 0.02
    # Another process may have the core meanwhile.
    assert idle.cores < measure.timed(busy, least_runs=3, least_seconds=0.0).cores < 1.5


def test_a_line_says_rate_cores_and_ratio(bench: Any) -> None:
    measure = bench("measure")
    timing = measure.Timing(1e-3, 0.1, 1.94, 2.0)
    line = measure.Line.of("job", timing, 1000, "thing", limit_ns=500.0, limit="C loop", bytes=2_000_000)
    assert (line.ns, line.ratio, line.compile_s) == (pytest.approx(1000.0), pytest.approx(2.0), 2.0)
    assert "1.9 cores  2.0 GB/s   2.00 × C loop" in line.row({})
    assert line.row({"job": 500.0}).endswith("2.00 × before")
    peer = measure.Line.of(
        "job, NumPy", timing._replace(seconds=3e-3), 1000, "thing", **measure.beside([line], "job")
    )
    assert (peer.ratio, peer.limit) == (pytest.approx(3.0), "gammawall")
    assert measure.beside([line], "other") == {}


def test_the_table_has_a_row_for_everything(bench: Any) -> None:
    line = {
        "name": "job",
        "ns": 2.5,
        "work": 9,
        "unit": "thing",
        "cores": 1.94,
        "ratio": 0.5,
        "limit": "C loop",
    }
    peak = {"name": "peak memory", "bytes": 123_456_789, "ratio": None, "limit": ""}
    vol = {"points": "wide", "library": "x", "ns_per_vol": 9.0, "worst_over_bound": 0.5, "silent": 3}
    record = {"device": "cpu", "cores": 2, "created": "2026-11-20T10", "versions": {"jax": "1"}}
    rows = (
        bench("table")
        .table(
            {
                **record,
                "lines": [line, {**line, "cores": None, "ratio": None}],
                "peaks": [peak],
                "implied_vols": [vol],
            }
        )
        .splitlines()
    )
    assert rows[4] == "| job | 2.5 ns per thing | 1.9 cores | 0.50 × C loop |"
    assert rows[5] == "| job | 2.5 ns per thing |  |  |"
    assert rows[6] == "| peak memory | 123 MB | |  |"
    assert {row.count("|") for row in rows[2:]} == {5}


def test_the_readme_has_its_six_lines_and_the_page_all(bench: Any) -> None:
    table = bench("table")
    record = json.loads((ROOT / "bench" / "results" / "cpu.json").read_text(encoding="utf-8"))
    assert len(table.IN_SHORT) == 6
    for file, text in (("docs/speed.md", table.table(record)), ("README.md", table.short(record))):
        assert f"{table.BEGIN}\n{text}\n{table.END}" in (ROOT / file).read_text(encoding="utf-8"), file
    with pytest.raises(LookupError, match="greeks, 11 outputs"):
        table.short({**record, "lines": []})


def test_numpy_does_the_same_work(bench: Any) -> None:
    peer, jobs = bench("numpy_peers"), bench("jobs")
    columns = jobs.contracts(500)
    greeks = peer.numpy_greeks(*columns)
    jobs.same_greeks("NumPy", greeks, columns)
    greeks[4] *= 1.0 + 1e-6
    with pytest.raises(SystemExit, match="NumPy and the kernel disagree"):
        jobs.same_greeks("NumPy", greeks, columns)
    book, spots = jobs.exposure_book()
    few = book.select(np.arange(len(book)) < 100)
    np.testing.assert_allclose(peer.numpy_gex(few, spots[::100]), peer.gex_at(few, spots[::100]), rtol=1e-10)


def test_numpy_paths_follow_the_law(bench: Any) -> None:
    peer, jobs = bench("numpy_peers"), bench("jobs")
    rows, numbers = jobs.fixed_rows(*jobs.flat_book(), 39)
    out = peer.numpy_paths(4096, rows, numbers)
    with pytest.raises(SystemExit, match="NumPy does not follow the same law"):
        jobs.same_law("NumPy", 1.1 * out)
    # 39 steps: a standard error of √(2 / 39 / 4096) = 0.35 % of the unhedged variance.
    assert out[:, 1].mean() * 252 / 0.12**2 == pytest.approx(1.0, abs=0.015)
    assert 0.5 < out[:, 0].mean() / out[:, 1].mean() < 0.8


def test_two_metrics_are_the_same_in_numpy_and_in_c(bench: Any) -> None:
    peer, jobs = bench("numpy_peers"), bench("jobs")
    rows, numbers = jobs.fixed_rows(*jobs.flat_book(), 39)
    config, limit = jobs.sim.SimConfig(paths=4096, steps=39, keep_paths=0), bench("climit").CLimit()
    found = peer.numpy_two_metrics(4096, rows, numbers)
    jobs.same_two_metrics("NumPy", found[:4] / 4096, config)
    with pytest.raises(SystemExit, match="different work"):
        jobs.same_two_metrics("NumPy", found[[1, 0, 2, 3]] / 4096, config)
    if limit.available:
        out = np.empty(20)
        limit.two_metrics(4096, rows, numbers, jobs.at_close(), out)
        jobs.same_two_metrics("C", out[:4] / 4096, config)
        # Shares are their own squares; products of pairs stand twice.
        assert out[4] == out[0]
        assert out[9] == out[1]
        np.testing.assert_array_equal(out[4:].reshape(4, 4), out[4:].reshape(4, 4).T)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_of_a_fresh_process_is_its_own(bench: Any) -> None:
    memory, fresh = bench("memory"), bench("fresh")
    held = np.ones(60_000_000)
    assert memory.peak_bytes() > held.nbytes
    assert fresh.in_fresh_process("memory", "peak_bytes") < held.nbytes
    assert memory.Peak("p", 300, 200, "the first").row().endswith("1.50 × the first")


def test_the_allocator_in_force_is_named(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = bench("memory")
    for name in [n for n in os.environ if n.startswith("MALLOC_") or n in ("GLIBC_TUNABLES", "LD_PRELOAD")]:
        monkeypatch.delenv(name)
    assert memory.allocator() == "default"
    monkeypatch.setenv("MALLOC_TOP_PAD_", "65536")
    assert memory.allocator() == {"MALLOC_TOP_PAD_": "65536"}


def test_the_c_loops_leave_small_numbers_alone(bench: Any) -> None:
    """A library linked with -Ofast makes every subnormal number of the process zero."""
    assert bench("climit").CLimit().available in (True, False)
    assert np.float64(5e-324) * 1.0 > 0.0


def test_what_xla_makes_of_the_greeks_is_counted(bench: Any) -> None:
    few, all_of_them = (bench("compiled").compiled(names) for names in (("price",), bench("jobs").ELEVEN))
    assert 1 < few["loops"] < all_of_them["loops"]
    assert 100 < few["written"] < all_of_them["written"] < all_of_them["compiled"]


@pytest.fixture(scope="module")
def pretended(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Driver and compiler in which the CPU runs the kernels' source."""
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None or sys.platform == "win32":
        pytest.skip("no C++ compiler on this machine")
    library = str(tmp_path_factory.mktemp("gpu") / "pretend.so")
    source = str(BENCH / "c" / "pretend_gpu.cpp")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", source, "-o", library], check=True)
    return library


def test_the_cuda_kernels_do_the_same_work(
    bench: Any, pretended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda_peers, jobs, measure = bench("cuda_peers"), bench("jobs"), bench("measure")
    monkeypatch.setattr(cuda_peers, "timed", lambda call: measure.Timing(1e-3 + 0 * bool(call()), 0.0, 1.0))
    gpu = cuda_peers.Cuda(pretended, pretended)
    assert gpu.available
    own = measure.Line.of(
        "greeks, 11 outputs, 1,000, float64, on the device", measure.Timing(2e-3, 0, 1), 1000, ""
    )
    line = cuda_peers.cuda_greeks(gpu, [own], jobs.contracts(1000))
    assert line.name == own.name + ", CUDA kernel"
    assert (line.ratio, line.bytes) == (pytest.approx(0.5), 1000 * (16 * 8 + 1))
    cuda_peers.cuda_greeks(gpu, [], jobs.contracts(1000, np.float32))
    assert cuda_peers.cuda_paths(gpu, [], 8192, steps=39).work == 8192 * 39


def test_the_cuda_paths_are_those_of_the_c_loop(bench: Any, pretended: str) -> None:
    limit, gpu, jobs = bench("climit").CLimit(), bench("cuda").Cuda(pretended, pretended), bench("jobs")
    if not limit.available:
        pytest.skip(limit.why_not)
    rows, numbers = jobs.fixed_rows(*jobs.flat_book(), 39)
    there, here = np.empty((320, 2)), np.empty((320, 2))
    limit.paths(320, rows, numbers, here)
    out, doubles = gpu.room(there.nbytes), [ctypes.c_double(x) for x in numbers]
    sizes = ctypes.c_long(320), ctypes.c_int(39), ctypes.c_int(rows.shape[1])
    gpu.run(gpu.kernel("paths.cu", "paths"), 320, *sizes, gpu.put(rows), *doubles, out)
    np.testing.assert_allclose(gpu.get(out, there), here, rtol=1e-4)
    gpu.free()


def test_what_a_gpu_lacks_is_said_in_a_sentence(
    bench: Any, pretended: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cuda, nvrtc = bench("cuda"), bench("nvrtc")
    assert cuda.Cuda("libmissing.so.1", pretended).why_not.startswith(
        "no CUDA driver or GPU (libmissing.so.1: "
    )
    with pytest.raises(nvrtc.CudaError, match=r"^cuMemAlloc_v2: out of memory \(2\)$"):
        cuda.Cuda(pretended, pretended).room(2**41)
    with pytest.raises(nvrtc.CudaError, match=r"^nvrtcCompileProgram failed with code 5: no such machine$"):
        nvrtc.compiled("greeks.cu", "nothing", pretended)
    monkeypatch.setattr(cuda, "find_nvrtc", lambda: None)
    assert cuda.Cuda().why_not == "NVRTC is not installed (it comes with jax[cuda13])"
    cuda_peers = bench("cuda_peers")
    monkeypatch.setattr(cuda_peers.jax, "default_backend", lambda: "cpu")
    assert list(cuda_peers.cuda_lines([], quick=True)) == []
    assert capsys.readouterr().out == "no CUDA kernels: jax runs on the cpu\n"


def test_the_kernels_compile_for_a_gpu(bench: Any) -> None:
    nvrtc = bench("nvrtc")
    if (library := nvrtc.find_nvrtc()) is None:
        pytest.skip("NVRTC is not installed")
    for source in ("greeks.cu", "paths.cu"):
        assert nvrtc.compiled(source, "sm_90", library).startswith(b"\x7fELF")
