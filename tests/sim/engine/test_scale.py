"""A run split in any way gives the same bits; a run that was killed goes on where it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from gammawall.sim import (
    GBM,
    Band,
    Clearing,
    Heston,
    LinearImpact,
    ObizhaevaWang,
    SimConfig,
    SimResult,
    simulate,
)
from gammawall.sim.engine.checkpoint import _feed
from gammawall.surfaces.errors import InputError
from tests.helpers.sim_runs import NODES, make_book, make_market

ROOT = Path(__file__).parents[3]
PATHS, STEPS = 20_001, 39
"""Not whole tiles, not whole calls."""
SEED = 11


def run(kind: str = "fixed", *, seed: int = SEED, checkpoint: Path | None = None, **config: Any) -> SimResult:
    """A wall by the static map, a fold by the same, or a band of hedgers under transient impact."""
    sizes: dict[str, Any] = {"paths": PATHS, "steps": STEPS, "keep_paths": 5_000, "max_nodes": NODES} | config
    progress = sizes.pop("progress", None)
    contracts = {"fixed": 20_000.0, "fold": -60_000.0, "stepped": 20_000.0}[kind]
    stepped = kind == "stepped"
    return simulate(
        make_book([1_000.0, contracts, -3_000.0], [6_990.0, 7_000.0, 7_010.0]),
        market=make_market(),
        dynamics=Heston(0.12, 5.0, 0.12, 1.0, -0.6) if stepped else GBM(0.12),
        hedging=Band(2.0) if stepped else Clearing(),
        impact=ObizhaevaWang(1.0, 3.0, 20.0) if stepped else LinearImpact(3.0),
        config=SimConfig(**sizes),
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
    )


def digest(result: SimResult) -> str:
    """A hash of every number of a result but its timing and its law."""
    whole = hashlib.sha256()
    for field in dataclasses.fields(result):
        if field.name not in ("timing", "law"):
            _feed(whole.update, (field.name, getattr(result, field.name)))
    return whole.hexdigest()


@pytest.fixture(scope="module")
def whole() -> SimResult:
    return run()


def test_the_digest_sees_one_bit(whole: SimResult) -> None:
    assert digest(whole) == digest(dataclasses.replace(whole))
    for name in ("close", "sample_paths", "step_variance"):
        other = getattr(whole, name).copy()
        other.flat[-1] = np.nextafter(other.flat[-1], np.inf)
        assert digest(dataclasses.replace(whole, **{name: other})) != digest(whole)
    metric = whole.metrics[3]
    moved = dataclasses.replace(metric, stderr=np.nextafter(metric.stderr, 1.0))
    metrics = (*whole.metrics[:3], moved, *whole.metrics[4:])
    assert digest(dataclasses.replace(whole, metrics=metrics)) != digest(whole)
    assert digest(run(seed=SEED + 1)) != digest(whole)


@pytest.mark.parametrize(
    ("kind", "extra"),
    [
        ("fixed", {}),
        pytest.param("fold", {}, marks=pytest.mark.slow),
        pytest.param("stepped", {}, marks=pytest.mark.slow),
        pytest.param("stepped", {"antithetic": True, "control": True}, marks=pytest.mark.slow),
        pytest.param("stepped", {"sampling": "sobol", "paths": 32_768}, marks=pytest.mark.slow),
    ],
)
def test_blocks_and_workers_change_no_bit(kind: str, extra: dict[str, Any]) -> None:
    sizes = {"paths": PATHS - 1, **extra}
    expected = digest(run(kind, **sizes))
    for block_paths, workers in ((1, 2), (1024, 1), (4096, 3), (12_288, 2), (2**20, 1)):
        assert digest(run(kind, block_paths=block_paths, workers=workers, **sizes)) == expected


def test_the_sample_is_the_first_paths(whole: SimResult) -> None:
    for keep, some in ((5_000, whole), (7, run(keep_paths=7))):
        assert some.sample_paths.shape == (keep, STEPS + 1)
        assert np.array_equal(some.sample_paths[:, -1], whole.close[:keep])
        assert np.array_equal(some.sample_baseline[:, -1], whole.baseline_close[:keep])
    assert run(paths=300).sample_paths.shape == (300, STEPS + 1)


def test_progress_counts_all_paths() -> None:
    seen: list[tuple[int, int]] = []
    run(progress=lambda done, of: seen.append((done, of)))
    assert seen == sorted(seen)
    assert seen[-1] == (PATHS, PATHS)
    assert len(seen) == 3


# --- devices and processes ---------------------------------------------------------------------------------


def child(*arguments: str, devices: int = 0, cache: Path | None = None) -> subprocess.Popen[str]:
    """A function of this file in a process of its own; with a cache its block is compiled only once."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    environment.pop("XLA_FLAGS", None)
    if devices:
        environment["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    if cache is not None:
        environment["JAX_COMPILATION_CACHE_DIR"] = str(cache)
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    command = [sys.executable, "-m", "tests.sim.engine.test_scale", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, failure = process.communicate(timeout=300)
    assert process.returncode == 0, failure[-3000:]
    return json.loads(out.splitlines()[-1])


def on_devices(kind: str, paths: str) -> dict[str, Any]:
    """All eight devices, two of them, one; and nine."""
    found = {str(n): digest(run(kind, paths=int(paths), devices=n)) for n in (0, 2, 1)}
    try:
        run(devices=9)
    except InputError as failure:
        found["9"] = str(failure)
    return {"count": jax.device_count(), **found}


def check_devices(kind: str, paths: int) -> None:
    found = answer(child("on_devices", kind, str(paths), devices=8))
    assert found["count"] == 8
    assert {found["0"], found["2"], found["1"]} == {digest(run(kind, paths=paths))}
    assert found["9"] == "devices must be at most 8, which this process has; got 9"


@pytest.mark.slow
def test_devices_change_no_bit() -> None:
    """Two calls on eight devices."""
    check_devices("stepped", 5_001)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fixed", "fold", "stepped"])
def test_all_devices_change_no_bit(kind: str) -> None:
    check_devices(kind, 40_001)


def in_processes(address: str, count: str, number: str, folder: str) -> dict[str, Any]:
    jax.distributed.initialize(address, int(count), int(number))
    mine = Path(folder) / number
    result = run(block_paths=4096, checkpoint=mine)
    return {
        "processes": jax.process_count(),
        "digest": digest(result),
        "few": digest(run(paths=3_000)),
        "files": sorted(f.name for f in mine.glob("*.npz")),
    }


@pytest.mark.slow
def test_processes_change_no_bit(whole: SimResult, tmp_path: Path) -> None:
    """Two processes share five blocks; and one block, which only one of them has."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    both = [child("in_processes", address, "2", str(i), str(tmp_path)) for i in range(2)]
    found = [answer(process) for process in both]
    assert [f["processes"] for f in found] == [2, 2]
    assert {f["digest"] for f in found} == {digest(whole)}
    assert {f["few"] for f in found} == {digest(run(paths=3_000))}
    assert len(found[0]["files"]) == 3
    assert len(found[1]["files"]) == 2
    assert not set(found[0]["files"]) & set(found[1]["files"])


# --- checkpoints -------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


class Stop(KeyboardInterrupt):
    """Ctrl-C at a chosen moment."""


def stop_after(blocks: int) -> Callable[[int, int], None]:
    calls = iter(range(blocks))

    def progress(done: int, of: int) -> None:
        if next(calls, None) is None:
            raise Stop

    return progress


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, whole: SimResult) -> dict[str, bytes]:
    """The files of an undisturbed run."""
    folder = tmp_path_factory.mktemp("saved")
    assert digest(run(block_paths=4096, checkpoint=folder)) == digest(whole)
    files = contents(folder)
    assert len(files) == 6
    return files


def test_interrupted_and_resumed(whole: SimResult, saved: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run(block_paths=4096, checkpoint=tmp_path, progress=stop_after(1), workers=1)
    left = contents(tmp_path)
    assert 3 <= len(left) < 6
    assert left.items() <= saved.items()
    stamps = {name: (tmp_path / name).stat().st_mtime_ns for name in left}
    assert digest(run(block_paths=4096, checkpoint=tmp_path)) == digest(whole)
    assert contents(tmp_path) == saved
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in left} == stamps


def test_a_finished_run_is_only_read(whole: SimResult, saved: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in saved.items():
        (tmp_path / name).write_bytes(content)
    result = run(block_paths=4096, checkpoint=tmp_path)
    assert digest(result) == digest(whole)
    assert result.timing["compile_s"] == 0.0


@pytest.mark.parametrize("damage", ["truncated", "one bit", "empty", "another block", "text"])
def test_damaged_files_are_made_again(
    damage: str, whole: SimResult, saved: dict[str, bytes], tmp_path: Path
) -> None:
    for name, content in saved.items():
        (tmp_path / name).write_bytes(content)
    name, *_, other = sorted(n for n in saved if n.endswith(".npz"))
    content = bytearray(saved[name])
    content[len(content) // 2] ^= 1
    broken = {
        "truncated": saved[name][: len(content) // 2],
        "one bit": bytes(content),
        "empty": b"",
        "another block": saved[other],
        "text": b"not an archive",
    }
    (tmp_path / name).write_bytes(broken[damage])
    assert digest(run(block_paths=4096, checkpoint=tmp_path)) == digest(whole)
    assert contents(tmp_path) == saved


def test_another_run_is_refused(saved: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(saved["run.json"])
    for other in (
        {"seed": SEED + 1},
        {"paths": PATHS + 1},
        {"steps": 40},
        {"kind": "fold"},
        {"antithetic": True},
    ):
        config = {"block_paths": 4096, "paths": PATHS + 1 if "antithetic" in other else PATHS, **other}
        with pytest.raises(InputError, match="belongs to another run"):
            run(checkpoint=tmp_path, **config)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match="belongs to another run"):
        run(checkpoint=tmp_path)


def test_a_function_is_known_by_what_it_does() -> None:
    def prints(*values: Any) -> list[str]:
        found = []
        for value in values:
            whole = hashlib.sha256()
            _feed(whole.update, value)
            found.append(whole.hexdigest())
        return found

    def scaled(by: float) -> Callable[[float, float], float]:
        return lambda usd, minutes: by * usd

    a, b, c, d = prints(scaled(1.0), scaled(1.0), scaled(2.0), lambda usd, minutes: usd)
    assert a == b
    assert len({a, c, d}) == 3
    one, two = prints(frozenset({"x", "y", "z"}), frozenset({"z", "y", "x"}))
    assert one == two


def test_an_unwritable_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        run(checkpoint=tmp_path / "file" / "folder")
    real, written = os.fsync, iter(range(3))

    def full(handle: int) -> None:
        if next(written, None) is None:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr("gammawall.sim.files.os.fsync", full)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\); free some space"):
        run(block_paths=4096, checkpoint=tmp_path / "full", workers=1)
    assert all(not name.endswith(".partial") for name in contents(tmp_path / "full"))


def saving(paths: int, folder: Path) -> SimResult:
    """A run whose blocks take some time."""
    return run("stepped", paths=paths, block_paths=4096, checkpoint=folder)


def killed(folder: str, paths: str) -> dict[str, Any]:
    """A run in a process of its own, which is killed; tells when its files begin to appear."""
    print("running", flush=True)
    return {"digest": digest(saving(int(paths), Path(folder)))}


def kill_and_resume(times: int, paths: int, folder: Path) -> None:
    """Kill −9 at moments spread over the run, each on top of what the last one left; then finish."""
    rng = np.random.default_rng(5)
    for i in range(times):
        process = child("killed", str(folder), str(paths), cache=folder.with_name("cache"))
        assert process.stdout is not None
        process.stdout.readline()
        wanted = len(list(folder.glob("*.npz"))) + 1 + int(rng.integers(0, 3))
        began = time.monotonic()
        while process.poll() is None and time.monotonic() - began < 60.0:
            if len(list(folder.glob("*.npz"))) >= wanted:
                break
            time.sleep(0.0005)
        time.sleep(float(rng.uniform(0.0, 0.02)))
        process.send_signal(signal.SIGKILL)
        _, failure = process.communicate()
        assert process.returncode == -signal.SIGKILL, failure[-2000:]
        assert i == 0 or (folder / "run.json").exists()
    straight = folder.with_name("straight")
    expected = digest(saving(paths, straight))
    assert len(contents(folder)) < len(contents(straight)), "it was never killed before its end"
    assert digest(saving(paths, folder)) == expected
    # A file that was being written when the process was killed stays, hidden, and is never read.
    assert {k: v for k, v in contents(folder).items() if k[0] != "."} == contents(straight)


@pytest.mark.slow
def test_killed_and_resumed(tmp_path: Path) -> None:
    kill_and_resume(2, 80_000, tmp_path / "killed")


@pytest.mark.slow
def test_killed_often_and_resumed(tmp_path: Path) -> None:
    kill_and_resume(20, 800_000, tmp_path / "killed")


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
