"""Sweeps: the grid as text, checks before the first run, rows that are runs, resume, and the report."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gammawall.scenarios import load, run, sweep
from gammawall.scenarios.record import FORMAT
from gammawall.scenarios.sweeps import sweep as sweeps
from gammawall.scenarios.sweeps.figures import lines, map_of_two, shown_metrics
from gammawall.scenarios.sweeps.finding import finding
from gammawall.scenarios.sweeps.grid import check_grid, parse_grid
from gammawall.scenarios.sweeps.record import sweep_parquet
from gammawall.scenarios.sweeps.report import sweep_report
from gammawall.scenarios.sweeps.result import NUMBERS
from gammawall.surfaces.errors import InputError
from tests.helpers.scenario_files import write

# Neither key changes a shape: all of it compiles once.
GRID = {"impact.bp_per_usd_bn": [0.0, 3.0, 6.0], "hedging.fraction": [0.5, 1.0]}
BAD_GRIDS = [
    ("impact.bp_per_usd_bn", "must be KEY=VALUES, such as"),
    ("impact.bp_per_usd_bn=", "must be KEY=VALUES, such as"),
    ("=1,2", "must be key=value"),
    ("a b=1,2", "must be key=value"),
    ("book.scale=1,,2", "must be KEY=VALUES, such as"),
    ("book.scale=1:2", "must be a number; got '1:2'"),
    ("book.scale=1:2:3:4", "may end in :log and in nothing else; got :4"),
    ("book.scale=1:x:3", "must be START:STOP:COUNT in numbers"),
    ("book.scale=1:2:2.5", "must be START:STOP:COUNT in numbers"),
    ("book.scale=1:1:3", "must go from one number to another"),
    ("book.scale=1:inf:3", "must go from one number to another"),
    ("book.scale=1:2:1", "the count of a range must lie between 2 and 10,000; got 1"),
    ("book.scale=-1:2:3:log", "a :log range must not reach zero"),
    ("book.scale=1,2,1", "has 1 twice"),
    ("impact={kind='linear'}", "must have numbers, texts, times or lists for values"),
    ("impact.bp_per_usd_bn=1,-3", "1 of 2 cells of the sweep of small cannot be run"),
    ("impact.bp_per_usd_bn=1,-3", "impact.bp_per_usd_bn: must be at least 0; got -3"),
    ("impact.bp=1,2", "impact.bp: is not a known key"),
    ("book.position[1].strike=6990,7000", "there is no book.position[1].strike to set"),
    ("book.position[0].strike=7000,9e9", "must be at most 100,000,000; got 9000000000.0"),
    ("simulation.seed=0:20000:10001", "must lie between 2 and 10,000; got 10001"),
]


@pytest.fixture
def no_runs(monkeypatch):
    """Fails the test when any cell is run."""

    def run_cell(scenario, progress=None):
        raise AssertionError("a cell was run")

    monkeypatch.setattr(sweeps, "run_cell", run_cell)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished sweep and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return sweep(write(folder), GRID, folder / "out"), folder / "out"


# --- the grid ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=1,3,6", [1, 3, 6]),
        ("a.b=-2:2:9", [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2]),
        ("a.b=0:1:11", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]),
        ("a.b=100:300:3", [100, 200, 300]),
        ("a.b=1:100:3:log", [1, 10, 100]),
        ("a.b=flat,u_shape", ["flat", "u_shape"]),
        ("a.b='x,y',\"z\"", ["x,y", "z"]),
        ("a.b=true,false", [True, False]),
        ("a.b=[7000, 7010],[7000, 7020]", [[7000, 7010], [7000, 7020]]),
        (" a.b = 5 ", [5]),
    ],
)
def test_grid_texts(text, values):
    (found,) = parse_grid([text]).values()
    assert found == values
    assert [type(v) is int for v in found] == [type(v) is int for v in values]


@pytest.mark.parametrize(("text", "sentence"), BAD_GRIDS)
@pytest.mark.usefixtures("no_runs")
def test_a_bad_grid_is_refused_before_anything_is_run_or_written(call, tmp_path, text, sentence):
    write(tmp_path)
    code, out, err = call("sweep", "small.toml", "--grid", text)
    assert (code, out) == (2, "")
    assert sentence in err
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


@pytest.mark.usefixtures("no_runs")
def test_mistakes_of_the_whole_grid_are_listed_at_once(call, tmp_path):
    write(tmp_path)
    code, _, err = call(
        "sweep", "small.toml", "--grid", "impact.bp_per_usd_bn=-1,2,-3", "--grid", "hedging.fraction=1,2"
    )
    assert code == 2
    assert "5 of 6 cells" in err
    for line in (
        "impact.bp_per_usd_bn: must be at least 0; got -1",
        "impact.bp_per_usd_bn: must be at least 0; got -3",
        "hedging.fraction: must be at most 1; got 2",
    ):
        assert err.count(line) == 1
    code, _, err = call("sweep", "small.toml", "--grid", "a", "--grid", "book.scale=1:1:2")
    assert code == 2
    assert "--grid a: must be" in err
    assert "--grid book.scale=1:1:2: a range must go" in err


@pytest.mark.usefixtures("no_runs")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "a sweep needs a grid: name a key and its values"),
        (("--grid", "book.scale=1", "--grid", "book.scale=2"), "book.scale is swept twice"),
        (
            ("--grid", "simulation.seed=1:1000:1000", "--grid", "book.scale=0:9:11"),
            "11,000 cells (1000 × 11)",
        ),
        (("--grid", "book.scale=1", "--workers", "0"), "workers must lie between 1 and 256; got 0"),
        (("--grid", "book.scale=1", "--workers", "2", "--scheduler", "tcp://h:1"), "cannot both be given"),
        (("--grid", "book.scale=1", "--out", "."), "holds something else (small.toml)"),
        (("--grid", "book.scale=1", "--out", "small.toml"), "cannot write"),
        (("--grid", "book.scale=1", "--out", ""), "the output folder has no name"),
    ],
)
def test_bad_choices_are_refused(call, tmp_path, words, sentence):
    write(tmp_path)
    code, out, err = call("sweep", "small.toml", *words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ({"book.scale": 3.0}, "must have a list of values"),
        ({"book.scale": "123"}, "must have a list of values"),
        ({"book.scale": []}, "has no values"),
        ({"book.scale": [1.0, None]}, "must have numbers, texts"),
        ({"book.position[0].strike": [1], "book.position.0.strike": [2]}, "sets what another key"),
        ({"hedging.kind": ["none"], "hedging": ["x"]}, "sets what another key"),
    ],
)
def test_bad_grids_from_python(grid, sentence):
    with pytest.raises(InputError, match=sentence):
        check_grid(grid)


# --- what a sweep holds ------------------------------------------------------------------------------------


def test_rows_are_runs_in_the_order_of_the_grid(whole, tmp_path):
    found, _ = whole
    frame = found.frame()
    assert frame["impact.bp_per_usd_bn"].tolist() == [0, 0, 3, 3, 6, 6]
    assert frame["hedging.fraction"].tolist() == [0.5, 1, 0.5, 1, 0.5, 1]
    alone = run(load(write(tmp_path), impact__bp_per_usd_bn=6.0, hedging__fraction=0.5))
    for metric in alone.document["metrics"]:
        for number in NUMBERS:
            assert frame[f"{metric['name']}.{number}"][4] == metric[number]
            assert frame.attrs["units"][f"{metric['name']}.{number}"] == metric["unit"]
    assert frame["seed"].tolist() == [0] * 6
    assert frame["cell"].nunique() == 6
    assert frame.filter(like="status.").columns.str.contains("paths_capped").any()


def test_parquet_reads_back_with_units(whole):
    found, folder = whole
    read = pd.read_parquet(folder / "cells.parquet")
    pd.testing.assert_frame_equal(read, found.frame(), check_dtype=True)
    assert read.attrs["units"]["realised_vol_pct.value"] == "% per year"
    assert read.attrs["scenario"] == "small"


def test_mixed_and_text_values_become_one_type_of_column(tmp_path, monkeypatch):
    found = sweep(write(tmp_path), {"dynamics.drift": ["martingale", 5], "simulation.seed": [1, 2]})
    assert found.frame()["dynamics.drift"].tolist() == ["martingale", "martingale", "5", "5"]
    assert found.frame()["seed"].tolist() == found.frame()["simulation.seed"].tolist() == [1, 2, 1, 2]
    read = pd.read_parquet(io.BytesIO(sweep_parquet(found)))
    pd.testing.assert_frame_equal(read, found.frame())
    # A key of text still has a picture, on an axis of names.
    figure = lines(found, ["pin_probability"])
    assert figure is not None
    assert list(figure.data[1].x) == ["martingale", "5"]
    assert figure.layout.xaxis.type == "category"


# --- resume ------------------------------------------------------------------------------------------------


def test_a_stopped_sweep_goes_on_and_ends_the_same(whole, tmp_path):
    class Stop(Exception):
        pass

    def stop_at_four(done: int, total: int) -> None:
        assert total == 6
        if done == 4:
            raise Stop

    with pytest.raises(Stop):
        sweep(write(tmp_path), GRID, tmp_path / "out", progress=stop_at_four)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["cells"]
    rest = sweep(write(tmp_path), GRID, tmp_path / "out")
    assert rest.counts == {"cells": 6, "found": 4, "run": 2, "redone": 0}
    assert (tmp_path / "out" / "cells.parquet").read_bytes() == sweep_parquet(whole[0])


def test_damaged_and_missing_cells_alone_are_run_again(whole, tmp_path):
    sweep(write(tmp_path), GRID, tmp_path / "out")
    cells = sorted((tmp_path / "out" / "cells").iterdir())
    cells[0].write_bytes(cells[0].read_bytes()[:-9])
    cells[1].write_bytes(cells[2].read_bytes())
    cells[3].unlink()
    again = sweep(write(tmp_path), GRID, tmp_path / "out")
    assert again.counts == {"cells": 6, "found": 3, "run": 3, "redone": 2}
    assert (tmp_path / "out" / "cells.parquet").read_bytes() == sweep_parquet(whole[0])


@pytest.mark.usefixtures("no_runs")
def test_a_smaller_grid_is_all_there(whole, tmp_path):
    found, folder = whole[0], tmp_path / "out"
    shutil.copytree(whole[1] / "cells", folder / "cells")
    part = sweep(found.scenario, {"impact.bp_per_usd_bn": [6.0, 3.0], "hedging.fraction": [1]}, folder)
    assert part.counts == {"cells": 2, "found": 2, "run": 0, "redone": 0}
    assert (
        part.frame()["pin_probability.value"].tolist()
        == found.frame()["pin_probability.value"][[5, 3]].tolist()
    )


def test_fresh_runs_everything_again(tmp_path):
    grid = {"hedging.fraction": [0.25, 0.75]}
    sweep(write(tmp_path), grid, tmp_path / "out")
    again = sweep(write(tmp_path), grid, tmp_path / "out", fresh=True)
    assert again.counts == {"cells": 2, "found": 0, "run": 2, "redone": 0}


KILLED = """
import os, signal, sys
from gammawall.scenarios import sweep
def kill_at_four(done, total):
    if done == 4:
        os.kill(os.getpid(), signal.SIGKILL)
sweep(sys.argv[1], {"impact.bp_per_usd_bn": [0.0, 3.0, 6.0], "hedging.fraction": [0.5, 1.0]}, sys.argv[2],
      progress=kill_at_four)
"""


@pytest.mark.slow
def test_after_kill_9_only_the_missing_cells_are_run(whole, tmp_path):
    path = write(tmp_path)
    words = [sys.executable, "-c", KILLED, path, str(tmp_path / "out")]
    killed = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    rest = sweep(path, GRID, tmp_path / "out")
    assert rest.counts == {"cells": 6, "found": 4, "run": 2, "redone": 0}
    assert (tmp_path / "out" / "cells.parquet").read_bytes() == sweep_parquet(whole[0])


# --- what it says ------------------------------------------------------------------------------------------


def told(whole, values, stderr=0.001, key="impact.bp_per_usd_bn"):
    """The finding of one key over made-up pin probabilities."""
    count = len(values)
    frame = pd.DataFrame({key: np.arange(count)})
    for name, column in (("value", values), ("baseline", [0.07] * count)):
        frame[f"pin_probability.{name}"] = np.array(column, float)
    for name in ("stderr", "baseline_stderr"):
        frame[f"pin_probability.{name}"] = stderr
    frame.attrs = whole[0].frame().attrs
    return finding(dataclasses.replace(whole[0], grid={key: list(range(count))}, table=frame))


def test_the_finding_is_made_of_the_numbers(whole):
    rising = told(whole, [0.07, 0.2, 0.4])
    assert rising.startswith("Pin probability goes from 7.0 % ± 0.1 % at bp_per_usd_bn = 0 to 40.0 % ± 0.1 %")
    assert "largest" not in rising
    assert rising.endswith("Without hedging 7.0 % ± 0.1 %.")
    assert "; largest 60.0 % ± 0.1 % at bp_per_usd_bn = 1" in told(whole, [0.07, 0.6, 0.4])
    assert "; smallest 1.0 % ± 0.1 % at bp_per_usd_bn = 1" in told(whole, [0.07, 0.01, 0.4])
    assert "does not change beyond its error" in told(whole, [0.070, 0.072, 0.071])
    assert "does not change" not in told(whole, [0.070, 0.075, 0.071])
    assert "not every one" in told(whole, [0.07, np.nan, 0.1])


def test_pictures_show_the_frame(whole):
    found, _ = whole
    names = shown_metrics(found)
    assert names[0] == "pin_probability"
    figure = map_of_two(found, names)
    assert figure is not None
    values = found.frame().pivot(
        index="hedging.fraction", columns="impact.bp_per_usd_bn", values="pin_probability.value"
    )
    np.testing.assert_allclose(np.array(figure.data[0].z, float), values.to_numpy(), rtol=1e-5)
    assert list(figure.data[0].x) == ["0", "3", "6"]
    assert list(figure.data[0].y) == ["0.5", "1"]
    drawn = lines(found, names)
    assert drawn is not None
    steps = drawn.layout.sliders[0].steps
    assert [step.label for step in steps] == ["0.5", "1"]
    for step, fraction in zip(steps, (0.5, 1.0), strict=True):
        rows = found.frame()[found.frame()["hedging.fraction"] == fraction]
        # Trace 0 is the baseline of the first metric, trace 1 its hedged leg.
        np.testing.assert_allclose(step.args[0]["y"][0], rows["pin_probability.baseline"], rtol=1e-5)
        np.testing.assert_allclose(step.args[0]["y"][1], rows["pin_probability.value"], rtol=1e-5)
        half = 1.96 * rows["pin_probability.stderr"]
        np.testing.assert_allclose(step.args[0]["error_y.array"][1], half, rtol=1e-5)
    shown = [[trace.visible for trace in drawn.data]] + [
        button.args[0]["visible"] for button in drawn.layout.updatemenus[0].buttons
    ]
    assert shown[0] == shown[1]
    assert all(sum(visible) == 2 for visible in shown)
    assert len({tuple(visible) for visible in shown[1:]}) == len(names)


def test_the_report_is_one_offline_file(whole):
    found, folder = whole
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 'data-plot="map-data"' in page
    assert 'data-plot="lines-data"' in page
    assert "Pin\u00a0" not in page
    assert "src=" not in page.split("<script>")[0]
    one = sweep(found.scenario, {"impact.bp_per_usd_bn": [0.0, 3.0]}, None)
    assert "share their shocks" in sweep_report(one)


# --- the command -------------------------------------------------------------------------------------------


def test_the_command_writes_prints_and_resumes(call, tmp_path):
    write(tmp_path)
    words = ("sweep", "small.toml", "--grid", "impact.bp_per_usd_bn=0,3", "--set", "simulation.seed=3")
    code, out, err = call(*words)
    assert (code, err) == (0, "")
    folder = tmp_path / "runs" / "small-sweep"
    assert sorted(p.name for p in folder.iterdir()) == ["cells", "cells.parquet", "report.html", "sweep.json"]
    assert out.startswith("Pin probability ")
    assert "2 cells: 0 found, 2 run" in out
    before = (folder / "cells.parquet").read_bytes()
    code, out, err = call(*words, "--json", "-")
    record = json.loads(out)
    assert record["format"] == FORMAT
    assert json.loads((folder / "sweep.json").read_text())["format"] == FORMAT
    assert record["counts"] == {"cells": 2, "found": 2, "run": 0, "redone": 0}
    assert record["cells"][1]["impact.bp_per_usd_bn"] == 3
    assert record["cells"][1]["pin_probability.value"] > record["cells"][0]["pin_probability.value"]
    assert (folder / "cells.parquet").read_bytes() == before
    assert call(*words, "--quiet") == (0, "", "")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ctrl_c_leaves_finished_cells(tmp_path):
    path = write(tmp_path)
    out = tmp_path / "out"
    words = [
        sys.executable,
        "-m",
        "gammawall.scenarios.cli.main",
        "sweep",
        path,
        "--grid",
        "simulation.seed=0:499:500",
    ]
    process = subprocess.Popen([*words, "--out", str(out)], stderr=subprocess.PIPE, text=True)
    while not list((out / "cells").glob("*.json")) and process.poll() is None:
        pass
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert [p.name for p in Path(out).iterdir()] == ["cells"]
