"""Results as folders and files: whole or not there, and never over something else."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gammawall.scenarios.cli.terminal import folder_name
from gammawall.scenarios.record import FORMAT
from gammawall.scenarios.runs.comparison import compare, read_result
from gammawall.scenarios.runs.results import Result, check_run_folder
from gammawall.scenarios.whole_folders import check_file, to_json, write_text
from gammawall.surfaces.errors import InputError

OURS = {"report.html", "result.json", "series.npz"}


def result(value: float = 1.5) -> Result:
    entry = {"name": "pin_mass", "value": value, "stderr": math.nan}
    return Result({"scenario": "x", "metrics": [entry]}, {"close": np.array([value, np.nan])})


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_result_comes_back_as_it_was(tmp_path):
    folder = result().save(tmp_path / "deep" / "run", "<html>")
    assert names(folder) == OURS
    back = Result.open(folder)
    assert back["pin_mass"].value == back.metric("pin_mass").value == 1.5
    assert math.isnan(back["pin_mass"].stderr)
    assert list(back.frame()["value"]) == [1.5]
    np.testing.assert_array_equal(back.series["close"], result().series["close"])
    assert (folder / "report.html").read_text() == "<html>"
    assert names(folder.parent) == {"run"}
    with pytest.raises(KeyError, match="there are pin_mass"):
        back.metric("pin")


def test_json_is_strict():
    text = to_json({"a": [np.float32(0.5), math.nan, -math.inf], "b": np.arange(2), 3: (True, None, "σ")})
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": [0.5, None, None],
        "b": [0, 1],
        "3": [True, None, "σ"],
    }


def test_an_earlier_result_is_replaced_whole(tmp_path):
    result(1.0).save(tmp_path / "run", "old")
    result(2.0).save(tmp_path / "run")
    assert Result.open(tmp_path / "run").metric("pin_mass").value == 2.0
    # The report of the earlier run must not stand beside the numbers of the later one.
    assert names(tmp_path / "run") == {"result.json", "series.npz"}
    assert names(tmp_path) == {"run"}


def test_nothing_else_is_ever_replaced(tmp_path, monkeypatch):
    mixed, file, empty = tmp_path / "mixed", tmp_path / "file", tmp_path / "empty"
    result().save(mixed)
    (mixed / "notes.txt").write_text("mine")
    file.write_text("mine")
    empty.mkdir()
    with pytest.raises(InputError, match=r"holds something else \(notes\.txt\)"):
        result().save(mixed)
    with pytest.raises(InputError, match="is a file"):
        result().save(file)
    with pytest.raises(InputError, match="Not a directory"):
        result().save(file / "below")
    with pytest.raises(InputError, match="has no name"):
        result().save("")
    monkeypatch.chdir(empty)
    with pytest.raises(InputError, match="is the current folder"):
        result().save(".")
    monkeypatch.chdir(tmp_path)
    assert names(mixed) == {"notes.txt", "result.json", "series.npz"}
    assert names(tmp_path) == {"mixed", "file", "empty"}
    result().save(empty)
    assert Result.open(empty)


@pytest.mark.skipif(
    os.name != "posix" or not Path("/proc").exists(), reason="needs a folder nobody can write"
)
def test_what_cannot_be_written_is_refused_before_the_work():
    for check, path in ((check_run_folder, "/proc/nowhere/run"), (check_file, "/proc/nowhere/run.json")):
        with pytest.raises(InputError, match="cannot write /proc/nowhere"):
            check(path)


def test_a_disk_that_fills_leaves_the_earlier_result(tmp_path, monkeypatch):
    result(1.0).save(tmp_path / "run")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(InputError, match="No space left on device"):
        result(2.0).save(tmp_path / "run")
    assert Result.open(tmp_path / "run").metric("pin_mass").value == 1.0
    assert names(tmp_path) == {"run"}


@pytest.mark.parametrize("failing", [1, 2])
@pytest.mark.parametrize("error", [OSError(39, "Directory not empty"), KeyboardInterrupt()])
def test_a_swap_that_fails_puts_the_earlier_result_back(tmp_path, monkeypatch, failing, error):
    result(1.0).save(tmp_path / "run")
    replace, calls = os.replace, []

    def fail_once(*paths):
        calls.append(paths)
        if len(calls) == failing:
            raise error
        replace(*paths)

    monkeypatch.setattr(os, "replace", fail_once)
    with pytest.raises((InputError, KeyboardInterrupt)):
        result(2.0).save(tmp_path / "run")
    assert Result.open(tmp_path / "run").metric("pin_mass").value == 1.0
    assert names(tmp_path) == {"run"}


KILLED = """
import os, signal, sys
import numpy as np
from gammawall.scenarios.runs.results import Result, check_run_folder

folder, module, name, call = sys.argv[1], {"np": np, "os": os}[sys.argv[2]], sys.argv[3], int(sys.argv[4])
Result({"value": 1}, {"x": np.zeros(2)}).save(folder)
kept, count = getattr(module, name), []

def killed(*args, **more):
    count.append(1)
    if len(count) == call:
        os.kill(os.getpid(), signal.SIGKILL)
    return kept(*args, **more)

setattr(module, name, killed)
Result({"value": 2}, {"x": np.ones(2)}).save(folder)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
@pytest.mark.parametrize("where", [("np", "savez_compressed", "1"), ("os", "replace", "2")])
def test_a_kill_leaves_no_half_result(tmp_path, where):
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "run"), *where], check=False)
    assert run.returncode == -signal.SIGKILL
    for path in tmp_path.iterdir():
        if path.name == "run":
            assert Result.open(path).document == {"value": 1}
        else:
            assert path.name.startswith(".run.")
    Result({"value": 3}, {"x": np.ones(2)}).save(tmp_path / "run")
    assert Result.open(tmp_path / "run").document == {"value": 3}


@pytest.mark.parametrize("damage", ["result.json", "series.npz"])
@pytest.mark.parametrize("content", [None, b"", b"half"])
def test_a_damaged_folder_is_refused(tmp_path, damage, content):
    folder = result().save(tmp_path / "run")
    (folder / damage).unlink()
    if content is not None:
        (folder / damage).write_bytes(content)
    with pytest.raises(InputError, match="is not a whole result folder"):
        Result.open(folder)


@pytest.mark.parametrize("whole", [True, False])
def test_records_of_this_format_and_earlier_ones_are_read_and_newer_ones_refused(tmp_path, whole):
    def written(**said) -> Path:
        document = {**said, **result().document}
        if whole:
            return Result(document, result().series).save(tmp_path / "run")
        return write_text(tmp_path / "run.json", to_json(document))

    for said in ({}, {"format": 1}, {"format": FORMAT}):
        back = read_result(written(**said))
        assert back.document == {**said, **json.loads(to_json(result().document))}
        assert back.save(tmp_path / "again")
        assert Result.open(tmp_path / "again").document == back.document
    newer = written(format=FORMAT + 1)
    sentence = f"of format {FORMAT + 1}, and this version reads formats up to {FORMAT}: upgrade gammawall"
    for read in (read_result, lambda path: compare(result(), path), Result.open if whole else read_result):
        with pytest.raises(InputError, match=sentence) as caught:
            read(newer)
        assert str(caught.value).startswith(str(newer))
        assert "\n" not in str(caught.value)
    for wrong in (0, -1, 1.0, True, None, "2", [1], {}):
        with pytest.raises(InputError, match="its format must be a whole number from 1 to"):
            read_result(written(format=wrong))


def test_what_a_newer_version_may_change_is_not_looked_at_before_its_number(tmp_path):
    folder = Result({"format": FORMAT + 1}, {}).save(tmp_path / "run")
    (folder / "series.npz").unlink()
    with pytest.raises(InputError, match="upgrade gammawall"):
        Result.open(folder)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    target = write_text(tmp_path / "new" / "a.json", "one")
    assert target.read_text() == "one"
    with pytest.raises(InputError, match="is a folder"):
        write_text(tmp_path, "two")
    link = tmp_path / "link.json"
    link.symlink_to(target)
    write_text(link, "two")
    assert link.is_symlink()
    assert target.read_text() == "two"

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match="No space left"):
        write_text(target, "three")
    assert target.read_text() == "two"
    assert names(target.parent) == {"a.json"}


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="no such device here")
def test_a_device_is_written_to_and_not_replaced():
    write_text("/dev/null", "nothing")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "/etc/x",
        "",
        ".",
        "..",
        "...",
        "a/b\\c",
        "[red]x[/]",
        "<script>",
        "σ 7,000",
        "x" * 300,
        "a\0b\n",
    ],
)
def test_a_name_stays_inside_its_folder(tmp_path, name):
    runs = tmp_path / "runs"
    folder = check_run_folder(runs / folder_name(name))
    assert folder.parent == runs.resolve()
    assert not folder.name.startswith(".")
    assert len(folder.name) <= 100
    assert folder_name("pin-7000") == "pin-7000"
    assert folder_name("pin-7000", "../quotes/spx.csv") == "pin-7000-spx"
