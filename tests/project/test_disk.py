"""A disk that fills, a locked folder, Ctrl-C and kill −9: what is read back is whole or refused."""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gammawall.scenarios.runs.results import Result
from gammawall.surfaces.errors import InputError
from tests.helpers.fuzz import made_up_result
from tests.helpers.scenario_files import changed, write

POSIX = pytest.mark.skipif(os.name != "posix", reason="limits and signals mean something else here")
COMMAND = [sys.executable, "-c", "from gammawall.scenarios import cli; cli.main()"]
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from gammawall.scenarios.runs.results import Result
from gammawall.surfaces.errors import InputError
from tests.helpers.fuzz import made_up_result
right = made_up_result()
for limit in sys.argv[1:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    try:
        right.save("run", "<html>" * 1000)
        print("written")
    except InputError as error:
        print("refused", error)
"""


def same(folder: Path, right: Result) -> bool:
    back = Result.open(folder)
    assert back.document == right.document
    assert all(np.array_equal(back.series[k], v) for k, v in right.series.items())
    return True


@POSIX
def test_files_that_may_not_grow_leave_nothing_half_written(tmp_path):
    """The kernel itself refuses to write on, at 24 sizes: as on a full disk or over a quota."""
    sizes = [0, 1, *np.geomspace(10, 8000, 21).astype(int), 10_000]
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, sizes)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    said = [line.split()[0] for line in run.stdout.splitlines()]
    assert len(said) == len(sizes)
    assert said[0] == "refused"
    assert said[-1] == "written"
    assert said == sorted(said)  # refused up to a size, written from it on
    assert "File too large" in run.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert same(tmp_path / "run", made_up_result())


def test_the_disk_is_full_at_every_single_write(tmp_path, monkeypatch):
    """ENOSPC from the first, second, … call that opens, writes to or renames something, until none fails."""
    first, second = made_up_result(), made_up_result()
    second.document["scenario"] = "second"
    first.save(tmp_path / "run", "old")
    calls, fail_at = 0, 0

    def failing(real: Any) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == fail_at:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args, **more)

        return call

    for owner, name in ((os, "replace"), (Path, "write_bytes"), (Path, "write_text"), (Path, "mkdir")):
        monkeypatch.setattr(owner, name, failing(getattr(owner, name)))
    monkeypatch.setattr(np, "savez_compressed", failing(np.savez_compressed))
    monkeypatch.setattr(os, "mkdir", failing(os.mkdir))
    monkeypatch.setattr(builtins, "open", failing(open))
    attempt = 0
    while attempt < 60:
        attempt += 1
        calls, fail_at = 0, attempt
        with contextlib.suppress(InputError):
            second.save(tmp_path / "run", "new")
        fail_at = 0
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
        if same(
            tmp_path / "run",
            second if Result.open(tmp_path / "run").document["scenario"] == "second" else first,
        ):
            if calls < attempt:
                break
            first.save(tmp_path / "run", "old")
    assert 8 <= attempt < 59
    assert same(tmp_path / "run", second)


@pytest.mark.parametrize("name", ["result.json", "series.npz"])
def test_every_flipped_bit_is_noticed(name, tmp_path):
    """400 single bits, evenly spread; a bit of the archive that carries nothing may differ."""
    right = made_up_result()
    folder = right.save(tmp_path / "run")
    whole = (folder / name).read_bytes()
    refused = 0
    for bit in np.linspace(0, 8 * len(whole) - 1, 400).astype(int):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << (bit % 8)
        (folder / name).write_bytes(damaged)
        try:
            assert same(folder, right)
        except InputError:
            refused += 1
    assert refused == 400 if name == "result.json" else refused > 200


def test_two_results_cannot_be_mixed_and_older_ones_are_read(tmp_path):
    right, other = made_up_result(), made_up_result()
    other.document["scenario"] = "other"
    folder, second = right.save(tmp_path / "run"), other.save(tmp_path / "other")
    shutil.copy(second / "result.json", folder / "result.json")
    with pytest.raises(InputError, match="was altered since it was written"):
        Result.open(folder)
    arrays: dict[str, Any] = dict(right.series)
    np.savez_compressed(folder / "series.npz", **arrays)
    assert Result.open(folder).document["scenario"] == "other"  # from before there were digests


@POSIX
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_only_be_read_is_refused(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(InputError, match="cannot write"):
        made_up_result().save(tmp_path / "locked" / "run")


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_stopped_at_a_random_moment(number, tmp_path):
    """20 times each, most of them while the folder is being replaced: the earlier result or the new one."""
    path = write(tmp_path, changed("paths = 256", "paths = 20_000"))
    out, rng, stopped = tmp_path / "out", random.Random(int(number)), 0
    out.mkdir()
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    command = [*COMMAND, "run", path, "--quiet", "--out", str(out / "run")]
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        subprocess.run(command, check=True, env=environment)
        seconds.append(time.perf_counter() - began)
    right = Result.open(out / "run").document["metrics"]
    for _ in range(20):
        run = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        time.sleep(rng.uniform(0.4, 1.0) * seconds[1])
        run.send_signal(number)
        _, said = run.communicate(timeout=120)
        stopped += run.returncode != 0
        # Once all is written and Python winds down, a signal ends it without a word, Ctrl-C too.
        assert run.returncode in (0, 130, -number), said
        assert "Traceback" not in said
        visible = [entry.name for entry in out.iterdir() if entry.name[0] != "."]
        assert visible in (["run"], [])  # killed between two renames both results lie hidden, whole
        for folder in [*out.iterdir(), *out.glob(".run.old.*/result")]:
            try:
                assert Result.open(folder).document["metrics"] == right
            except InputError:
                assert folder.name[0] == "."
        if number == signal.SIGINT:
            assert [entry.name for entry in out.iterdir()] == ["run"]
    assert stopped >= 10
