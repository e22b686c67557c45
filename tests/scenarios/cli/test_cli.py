"""The command line: exit codes, what goes to which stream, and records that meet their schemas."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.scenario_files import SCENARIO, changed, write
from tests.helpers.synthetic import cboe_csv, make_quotes

COMMAND = [sys.executable, "-m", "gammawall.scenarios.cli.main"]
FEW = ("--set", "simulation.paths=8192", "--set", "simulation.steps=78")
METRICS = [
    "pin_probability",
    "pin_mass",
    "touch_probability",
    "breach_probability",
    "rejection_probability",
    "failed_attempts_mean",
    "time_in_corridor",
    "close_mean",
    "close_std_points",
    "realised_vol_pct",
    "horizon_vol_pct",
    "vol_amplification",
    "last_30min_vol_pct",
    "last_30min_amplification",
    "return_autocorrelation",
    "range_points",
    "max_feedback",
    "hedge_flow_abs_usd_bn",
    "peak_flow_usd_bn_per_min",
    "gamma_flow_abs_usd_bn",
    "charm_flow_abs_usd_bn",
    "information_flow_abs_usd_bn",
    "vanna_flow_abs_usd_bn",
    "dealer_pnl_usd_mn",
    "dealer_pnl_std_usd_mn",
    "hedge_fees_usd_mn",
    "halt_probability",
]


@pytest.fixture
def quotes(tmp_path) -> str:
    path = tmp_path / "quotes.csv"
    path.write_text(cboe_csv(make_quotes(spot=6485.0)), encoding="utf-8")
    return str(path)


def violations(value: Any, schema: dict[str, Any], at: str = "$") -> list[str]:
    """What breaks a JSON schema, for the few words of it that ours use."""
    unknown = set(schema) - {"$schema", "title", "description", "type", "required", "additionalProperties"}
    assert unknown <= {"properties", "items", "anyOf", "minimum", "maximum", "exclusiveMinimum"}, unknown
    if "anyOf" in schema:
        tried = [violations(value, option, at) for option in schema["anyOf"]]
        return [] if [] in tried else min(tried, key=len)
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    kinds |= {"number": (int, float), "integer": int}
    wanted = schema.get("type", list(kinds))
    wanted = wanted if isinstance(wanted, list) else [wanted]
    flag = isinstance(value, bool) and "boolean" not in wanted
    if flag or not any(isinstance(value, kinds[kind]) for kind in wanted):
        return [f"{at} is {value!r}, not {' or '.join(wanted)}"]
    found = []
    if isinstance(value, (int, float)):
        found += [f"{at} < minimum"] if value < schema.get("minimum", value) else []
        found += [f"{at} > maximum"] if value > schema.get("maximum", value) else []
        found += [f"{at} too low"] if value <= schema.get("exclusiveMinimum", value - 1) else []
    if isinstance(value, list):
        found += [
            e for i, v in enumerate(value) for e in violations(v, schema.get("items", {}), f"{at}[{i}]")
        ]
    if isinstance(value, dict):
        found += [f"{at} lacks {name}" for name in schema.get("required", []) if name not in value]
        for name, entry in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties", True))
            if inner is False:
                found.append(f"{at} has the unknown {name}")
            elif inner is not True:
                found += violations(entry, inner, f"{at}.{name}")
    return found


def checked(text: str, schema: str) -> dict[str, Any]:
    """A record that is strict JSON, ends in one line break and meets its schema."""
    record = json.loads(text, parse_constant=pytest.fail)
    assert text == text.strip() + "\n"
    path = resources.files("gammawall.scenarios") / "schemas" / f"{schema}.json"
    assert violations(record, json.loads(path.read_text(encoding="utf-8"))) == []
    return record


def test_the_schema_check_can_fail():
    schema = {
        "type": "object",
        "required": ["a"],
        "additionalProperties": False,
        "properties": {"a": {"type": "array", "items": {"type": ["number", "null"], "minimum": 0}}},
    }
    assert violations({"a": [1.5, None]}, schema) == []
    for wrong in ({}, {"a": 1}, {"a": [-1]}, {"a": ["1"]}, {"a": [True]}, {"a": [], "b": 1}, []):
        assert violations(wrong, schema)


def test_help_is_quick_and_loads_nothing_heavy():
    heavy = ["jax", "numpy", "pandas", "pydantic", "plotly", "rich", "scipy"]
    code = f"""
import sys, time
sys.argv = ["gammawall", "--help"]
from gammawall.scenarios.cli import main as cli
assert cli.run_guarded() == 0
print([name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "[]"
    for line in run.stdout[run.stdout.index("Commands:") :].splitlines():
        assert not line.endswith("..."), line
    best = min(timed([*COMMAND, "--help"]) for _ in range(3))
    assert best < 0.3 * max(1.0, timed([sys.executable, "-c", "pass"]) / 0.05)


def timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - began


def test_list_and_show_are_quick_to_read(call):
    code, out, _ = call("list")
    assert code == 0
    lines = out.splitlines()
    names = [line.split()[0] for line in lines]
    assert len(names) == 12
    assert {"pin-7000", "press-sign", "siege-week"} <= set(names)
    assert all(line.endswith(".") for line in lines)
    code, out, _ = call("show", "press-sign")
    assert code == 0
    assert out.startswith('extends = "pin-7000"')


def test_a_run_reports_what_was_promised(call, tmp_path):
    code, out, err = call("run", "pin-7000", *FEW, "--json", "-")
    assert (code, err) == (0, "")
    record = checked(out, "run")
    assert record["scenario"] == "pin-7000"
    assert [m["name"] for m in record["metrics"]] == METRICS
    for metric in record["metrics"]:
        assert metric["stderr"] is not None, metric["name"]
        assert metric["difference_stderr"] is not None, metric["name"]
        assert metric["description"]
        assert metric["unit"]
    assert record["status"]["stable"] == 8192 * 78
    assert record["resolved"]["simulation"]["paths"] == 8192
    assert record["provenance"]["command"] == " ".join(["gammawall run pin-7000", *FEW])
    pin, claim = record["metrics"][0], record["claim"]
    assert claim["metric"] == pin["name"] == "pin_probability"
    assert claim["size"] == pytest.approx(pin["value"] / pin["baseline"])
    assert claim["outcome"] == "holds"
    folder = tmp_path / "runs" / "pin-7000"
    assert json.loads((folder / "result.json").read_text(encoding="utf-8")) == record

    code, out, err = call("run", "pin-7000", *FEW, "--out", "mine", "--json", "new/record.json")
    assert (code, err) == (0, "")
    again = checked((tmp_path / "new" / "record.json").read_text(encoding="utf-8"), "run")
    volatile = {"provenance", "timing"}
    assert {k: v for k, v in again.items() if k not in volatile} == {
        k: v for k, v in record.items() if k not in volatile
    }
    assert "the wall pins." in out.splitlines()[0]
    assert "”, holds in this one run" in out.splitlines()[1]
    assert (tmp_path / "mine" / "report.html").as_uri() in out
    assert "\x1b" not in out


def test_exposures_report_what_was_promised(call, quotes, tmp_path):
    code, out, err = call("exposures", quotes, "--json", "-")
    assert (code, err) == (0, "")
    record = checked(out, "exposures")
    totals = record["totals"]
    for rows in ("by_strike", "by_expiry"):
        summed = sum(row["gex_usd_per_1pct"] for row in record[rows])
        assert summed == pytest.approx(totals["gex_usd_per_1pct"], rel=1e-9)
    report = record["report"]
    assert report["rows"] == report["rows_kept"] - report["dropped"]["not_in_book"]
    code, out, _ = call("exposures", quotes, "--json", "e.json", "--convention", "all_short")
    assert code == 0
    short = checked((tmp_path / "e.json").read_text(encoding="utf-8"), "exposures")
    assert short["convention"] == "all_short"
    assert short["totals"]["gex_usd_per_1pct"] < 0.0
    assert "convention all_short" in out


@pytest.mark.slow
def test_a_run_that_leaves_the_grid_is_written_and_exits_with_3(call, tmp_path):
    path = write(tmp_path, changed("contracts = 20_000", "contracts = -10_000_000"))
    code, _, err = call("run", path, "--quiet")
    assert code == 3
    assert err.startswith("gammawall: on 256 of 256 paths no price on the grid cleared the market")
    assert err.count("\n") == 1
    page = (tmp_path / "runs" / "small" / "report.html").read_text(encoding="utf-8")
    assert "no verdict, since on 100 % of them no price cleared the market" in page


BAD_CALLS = [
    (("bogus",), "No such command 'bogus'"),
    (("run",), "Missing argument"),
    (("run", "pin-7000", "--bogus"), "No such option"),
    (("run", "pin"), "there is no scenario 'pin' (did you mean 'pin-7000'?)"),
    (("show", "pin"), "there is no scenario 'pin'"),
    (("run", "none.toml"), "none.toml cannot be read as a scenario file: No such file"),
    (("run", "."), "there is no scenario '.'"),
    (
        ("run", "pin-7000", "--set", "simulation.paths=0"),
        "simulation.paths (--set simulation.paths=0): must be",
    ),
    (("run", "pin-7000", "--chain", "none.csv"), "none.csv does not exist"),
    (("run", "pin-7000", "--out", "taken"), "holds something else (x)"),
    (("run", "pin-7000", "--out", "taken/x"), "is a file: name a folder"),
    (("run", "pin-7000", "--out", ""), "has no name"),
    (("run", "pin-7000", "--json", "taken"), "is a folder: name a file"),
    (("run", "pin-7000", "--json", "taken/x/y.json"), "cannot write"),
    (("exposures", "none.csv"), "none.csv does not exist"),
    (("exposures", "."), "is a folder"),
    (("exposures", "cut.csv"), "cut short"),
    (("exposures", "quotes.csv", "--convention", "call_long"), "call_long"),
    (("exposures", "quotes.csv", "--size", "oi"), "size 'oi' is unknown"),
    (("exposures", "quotes.csv", "--spot", "nan"), "spot is nan"),
    (("exposures", "quotes.csv", "--spot", "x"), "--spot"),
    (("exposures", "quotes.csv", "--as-of", "soon"), "a time cannot be read"),
]


@pytest.mark.parametrize(
    ("words", "sentence"), BAD_CALLS, ids=[" ".join(words)[:40] for words, _ in BAD_CALLS]
)
def test_bad_calls_exit_with_2_and_one_sentence(call, quotes, tmp_path, words, sentence):
    text = Path(quotes).read_text(encoding="utf-8")
    (tmp_path / "cut.csv").write_text(text[: len(text) // 2], encoding="utf-8")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").touch()
    before = sorted(tmp_path.rglob("*"))
    code, out, err = call(*words)
    assert code == 2
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before


def test_several_mistakes_are_one_line_each(call, tmp_path):
    path = write(tmp_path, SCENARIO.replace("paths = 256", "paths = 0").replace("spot = 7", "spot = -7"))
    code, _, err = call("run", path)
    assert code == 2
    assert err.splitlines() == [
        f"gammawall: {path} has 2 mistakes:",
        "  market.spot (line 3): must be above 0; got -7000.0",
        "  simulation.paths (line 16): must be at least 2; got 0",
    ]


def test_failures_that_are_nobody_s_mistake_exit_with_1(call, monkeypatch):
    from gammawall.scenarios import installation
    from gammawall.scenarios.runs import runner

    def fail(error: Exception):
        def raised(*_, **__):
            raise error

        return raised

    monkeypatch.setattr(runner, "simulate", fail(MemoryError()))
    code, _, err = call("run", "pin-7000")
    assert code == 1
    assert err.startswith("gammawall: out of memory")
    monkeypatch.setattr(runner, "simulate", fail(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        call("run", "pin-7000")
    monkeypatch.setattr(installation, "philox4x32", lambda *_: [[0]] * 4)
    code, out, _ = call("doctor")
    assert code == 1
    assert "BAD random numbers" in out


def test_doctor_is_content_here(call):
    code, out, err = call("doctor")
    assert (code, err) == (0, "")
    assert all(line.startswith("ok  ") for line in out.splitlines())
    assert "compile cache: " in out


def test_completion_knows_commands_and_scenarios():
    asked = {"_GAMMAWALL_COMPLETE": "complete_bash", "COMP_CWORD": "2", "COMP_WORDS": "gammawall run pin"}
    # Completion answers the program by the name it was called by.
    code = "import sys; sys.argv = ['gammawall']; from gammawall.scenarios.cli import main; main.main()"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | asked, check=False
    )
    assert run.stdout.split() == ["pin-7000"]


def test_a_pipe_or_file_gets_no_colours_whatever_the_environment_says(quotes):
    noisy = os.environ | {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "COLUMNS": "20", "TERM": "xterm"}
    run = subprocess.run(
        [*COMMAND, "exposures", quotes], capture_output=True, text=True, env=noisy, check=True
    )
    assert "\x1b" not in run.stdout + run.stderr
    assert re.search(r"^spot 6,485\.00 at 2025-09-04T14:15:00-04:00, convention", run.stdout)
    assert re.search(r"^gamma, per 1 % move +-?[\d,.]+ *$", run.stdout, re.MULTILINE)


@pytest.mark.skipif(os.name != "posix", reason="closing a pipe means something else here")
@pytest.mark.parametrize("words", [["show", "pin-7000"], ["list"], ["--help"]])
def test_a_reader_that_leaves_is_no_failure(words, tmp_path):
    with (tmp_path / "stderr").open("w") as errors:
        run = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=errors)
        assert run.stdout is not None
        run.stdout.close()
        assert run.wait() in (0, -signal.SIGPIPE)
    assert (tmp_path / "stderr").read_text() == ""


@pytest.mark.skipif(os.name != "posix", reason="no such signal here")
@pytest.mark.slow
def test_an_interrupt_leaves_nothing_behind(tmp_path):
    words = ["run", "pin-7000", "--set", "simulation.paths=20_000_000", "--out", str(tmp_path / "run")]
    run = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(4.0)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert out == ""
    assert err == "gammawall: interrupted; nothing half-written is left\n"
    assert list(tmp_path.iterdir()) == []
