"""Every command is a function of `gammawall.scenarios` too, which finds the same."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gammawall import scenarios
from gammawall.scenarios import api
from gammawall.scenarios.cli.main import app
from gammawall.scenarios.whole_folders import to_json
from gammawall.surfaces.chains.chain import OptionChain
from tests.helpers.synthetic import cboe_csv, make_quotes

Call = Callable[..., tuple[int, str, str]]

OTHER_NAMES = {"list": "library", "risk": "portfolio_risk", "ledger": "judge_all"}
"""Commands whose function bears another name; `-` in the rest is `_`."""


def function_of(command: str) -> str:
    return OTHER_NAMES.get(command, command.replace("-", "_"))


def same_record(printed: str, record: dict[str, Any]) -> bool:
    """But for when it was made."""
    found = [json.loads(printed), json.loads(to_json(record))]
    for made in found:
        made.get("provenance", {}).pop("created", None)
    return found[0] == found[1]


def test_every_command_is_a_function() -> None:
    commands = [command.name or "" for command in app.registered_commands]
    assert len(commands) == 12
    for command in commands:
        name = function_of(command)
        assert name in scenarios.__all__, f"gammawall {command} has no function scenarios.{name}"
        assert inspect.isfunction(getattr(scenarios, name)), name
    assert function_of("calibrate-impact") == "calibrate_impact"


def test_list_and_show(call: Call) -> None:
    listed = [line.split()[0] for line in call("list")[1].splitlines()]
    assert listed == list(scenarios.library())
    assert call("show", "pin-7000")[1] == scenarios.show("pin-7000")


@pytest.fixture
def chain(tmp_path: Path) -> str:
    path = tmp_path / "quotes.csv"
    path.write_text(cboe_csv(make_quotes()), encoding="utf-8")
    return str(path)


def test_exposures(call: Call, chain: str) -> None:
    code, out, _ = call("exposures", chain, "--convention", "all_long", "--levels", "a.pine", "--json", "-")
    assert code == 0
    record = scenarios.exposures(chain, "all_long", levels="b.pine", report="page.html")
    assert same_record(out, record)
    assert Path("a.pine").read_bytes() == Path("b.pine").read_bytes()
    assert Path("page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert not same_record(out, scenarios.exposures(chain))


def test_surface(call: Call, chain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The fits take long and have tests of their own: here it matters that both ask for the same one.
    def fitted(chain: OptionChain) -> tuple[dict[str, Any], str]:
        record = {"spot": chain.spot, "as_of": chain.as_of.isoformat(), "quotes": len(chain.quotes)}
        return record | {"models": {}}, f"page at {chain.spot}"

    monkeypatch.setattr(api, "surface_report", fitted)
    code, out, _ = call("surface", chain, "--spot", "6990", "--report", "a.html", "--json", "-")
    assert code == 0
    assert same_record(out, scenarios.surface(chain, spot=6990.0, report="b.html"))
    assert Path("a.html").read_text() == Path("b.html").read_text() == "page at 6990.0"
    assert not same_record(out, scenarios.surface(chain))


def test_calibrate_impact(call: Call, tmp_path: Path) -> None:
    days = pd.bdate_range("2025-01-02", periods=300)
    close = 6000.0 * np.exp(0.008 * np.random.default_rng(1).standard_normal(300).cumsum())
    gex = 3e9 + 2e9 * np.sin(np.arange(300) / 15.0)
    pd.DataFrame({"date": days, "close": close, "gex": gex}).to_csv(tmp_path / "gamma.csv", index=False)
    code, out, _ = call("calibrate-impact", "gamma.csv", "--split", "2025-08-01", "--json", "-")
    assert code == 0
    assert same_record(out, scenarios.calibrate_impact("gamma.csv", "2025-08-01"))


def test_compare_and_export(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["simulation.paths=512", "simulation.steps=13"]
    one = scenarios.run(scenarios.load("pin-7000", settings=small))
    two = scenarios.run(scenarios.load("pin-7000", settings=[*small, "impact.bp_per_usd_bn=2"]))
    one.save("one")
    two.save("two")
    code, out, _ = call("compare", "one", "two", "--json", "-")
    assert code == 0
    assert same_record(out, scenarios.compare("one", "two").record())
    assert not same_record(out, scenarios.compare("two", "one").record())

    code, out, _ = call("export", "one", "--out", "told")
    assert (code, out.strip()) == (0, str(Path("told").resolve()))
    assert scenarios.export("one") == Path("one-csv").resolve()
    names = sorted(path.name for path in Path("told").iterdir())
    assert "metrics.csv" in names
    for folder in (Path("one-csv"), scenarios.export(one)):
        assert folder is not None
        assert sorted(path.name for path in folder.iterdir()) == names
        assert all((folder / name).read_bytes() == Path("told", name).read_bytes() for name in names)


def test_the_doctor_is_content_here(call: Call) -> None:
    checks = scenarios.doctor()
    assert all(check.good for check in checks)
    assert [f"ok  {check.name}" for check in checks] == [
        line.split(":")[0] for line in call("doctor")[1].splitlines()
    ]
