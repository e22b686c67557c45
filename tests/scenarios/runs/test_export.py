"""Runs as tables and chart levels for other programs."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gammawall.scenarios.runs.export import csv_text, export_run, level_rows, levels_text, pine_text, tables
from gammawall.scenarios.runs.results import Result
from gammawall.surfaces.errors import InputError
from tests.helpers.report_fixture import make_run
from tests.helpers.synthetic import cboe_csv, make_quotes

NAMES = {"metrics", "theory", "close", "atoms", "gamma", "paths", "volatility"}


@pytest.fixture(scope="module")
def run() -> Result:
    made = make_run(shift_points=62.0)
    return Result(dict(made.document), dict(made.series))


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_tables_come_back_with_every_digit(run, tmp_path, to):
    folder = export_run(run, to, tmp_path / "tables")
    assert folder is not None
    assert {path.name for path in folder.iterdir()} == {f"{name}.{to}" for name in NAMES}
    read = pd.read_csv if to == "csv" else pd.read_parquet
    found = {name: read(folder / f"{name}.{to}") for name in NAMES}
    np.testing.assert_array_equal(found["close"]["hedged_share_per_point"], run.series["close_density"])
    np.testing.assert_array_equal(found["close"]["close_to_points"], run.series["close_edges"][1:])
    np.testing.assert_array_equal(found["paths"]["hedged_q50_points"], run.series["fan"][2])
    np.testing.assert_array_equal(found["gamma"]["gex_usd_bn_per_1pct"], run.series["gex_total_bn"])
    np.testing.assert_array_equal(found["volatility"]["hedged_vol_pct"], run.series["vol_pct"])
    values = [np.nan if m["value"] is None else m["value"] for m in run.document["metrics"]]
    np.testing.assert_array_equal(found["metrics"]["value"].astype(float), values)
    assert list(found["metrics"]["name"]) == [m["name"] for m in run.document["metrics"]]


def test_columns_say_their_unit(run):
    unit = re.compile(r"points|per_point|share|pct|usd_bn|minutes|stderr")
    for name, table in tables(run).items():
        if name not in ("metrics", "theory"):
            assert all(unit.search(column) for column in table), name


def test_text_cannot_become_a_formula_and_numbers_stay_numbers():
    cells = ["=1+1", "+x", "-x", "@x", "\t=x", "plain", None]
    table = pd.DataFrame({"text": cells, "number": [-1.5, 2.0, -3e-9, 0.0, 1.0, 2.0, np.nan]})
    rows = list(csv.DictReader(io.StringIO(csv_text(table))))
    assert [row["text"] for row in rows] == ["'=1+1", "'+x", "'-x", "'@x", "'\t=x", "plain", ""]
    assert [float(row["number"]) for row in rows[:4]] == [-1.5, 2.0, -3e-9, 0.0]
    assert rows[-1]["number"] == ""


def test_an_export_replaces_its_own_kind_and_nothing_else(run, tmp_path):
    target = tmp_path / "tables"
    export_run(run, "csv", target)
    export_run(Result(run.document, {}), "csv", target)
    assert {path.name for path in target.iterdir()} == {"metrics.csv", "theory.csv"}
    with pytest.raises(InputError, match=r"holds something else \(metrics\.csv\)"):
        export_run(run, "parquet", target)
    with pytest.raises(InputError, match="format 'xlsx' is unknown: use csv, parquet, levels, pine"):
        export_run(run, "xlsx", target)
    with pytest.raises(InputError, match="name a folder"):
        export_run(run, "csv", "-")


def test_levels_are_those_of_the_record_from_high_to_low():
    record = {"spot": 6990.0, "zero_gamma": [6900.5, 7100.0], "call_wall": 7000.0, "put_wall": None}
    rows = level_rows(record | {"max_pain": float("nan")}, 7000.0)
    assert rows == [
        ("zero gamma", 7100.0),
        ("strike", 7000.0),
        ("call wall", 7000.0),
        ("spot", 6990.0),
        ("zero gamma", 6900.5),
    ]
    read = list(csv.DictReader(io.StringIO(levels_text(rows))))
    assert [(row["name"], float(row["price"])) for row in read] == rows


def test_a_pine_script_has_one_line_per_price_and_its_strings_hold():
    rows = [("call wall", 7000.0), ("strike", 7000.0), ("zero gamma", 6900.25)]
    text = pine_text(rows, 'x"\n\\ = 1')
    lines = text.splitlines()
    assert lines[0] == "//@version=6"
    assert lines[1] == 'indicator("gammawall x\\"\\\\ = 1", overlay = true)'
    drawn = [line for line in lines if re.match(r"level\(\d", line)]
    assert drawn == [
        'level(7000, "call wall · strike", color.green)',
        'level(6900.25, "zero gamma", color.orange)',
    ]


def test_the_command_puts_things_beside_the_run(call, run, tmp_path):
    run.save("runs/mine")
    for to, made in (("csv", "mine-csv"), ("parquet", "mine-parquet"), ("levels", "mine-levels.csv")):
        code, out, err = call("export", "runs/mine", "--to", to)
        assert (code, err) == (0, "")
        assert out == f"{tmp_path / 'runs' / made}\n"
        assert (tmp_path / "runs" / made).exists()
    assert Result.open("runs/mine")
    code, out, _ = call("export", "runs/mine/result.json", "--to", "pine", "--out", "-")
    assert code == 0
    assert out.startswith("//@version=6\n")
    assert "strike" in out
    for words in (("none",), ("runs/mine", "--to", "xls"), ("runs/mine", "--out", "runs/mine")):
        code, out, err = call("export", *words)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1


def test_exposures_write_their_levels(call):
    Path("quotes.csv").write_text(cboe_csv(make_quotes(spot=6485.0)), encoding="utf-8")
    code, out, err = call("exposures", "quotes.csv", "--levels", "-")
    assert (code, err) == (0, "")
    rows = {row["name"]: float(row["price"]) for row in csv.DictReader(io.StringIO(out))}
    assert rows["spot"] == 6485.0
    assert {"call wall", "put wall", "max pain"} <= set(rows)
    code, out, _ = call("exposures", "quotes.csv", "--levels", "walls.pine", "--quiet")
    assert (code, out) == (0, "")
    script = Path("walls.pine").read_text(encoding="utf-8")
    assert 'indicator("gammawall quotes.csv 2025-09-04 14:15"' in script
    assert script.count("\nlevel(6485, ") == 1
