"""A scenario file that names its metrics: those are measured, and what its claim tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gammawall import scenarios
from gammawall.scenarios.runs.report import render_report
from gammawall.surfaces.errors import InputError
from tests.helpers.scenario_files import CLAIM, SCENARIO, write

ONE = 'metrics = ["touch_probability"]\n'


def names(document: dict[str, Any]) -> list[str]:
    return [metric["name"] for metric in document["metrics"]]


def test_one_metric_alone_is_measured_printed_and_drawn(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    file = write(tmp_path, SCENARIO + ONE)
    code, out, err = call("run", file, "--out", "found")
    assert code == 0, err
    assert "touch_probability" in out
    assert "realised_vol_pct" not in out
    text = Path("found/result.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    record = json.loads(text)
    assert names(record) == ["touch_probability"]
    assert "touch" in Path("found/report.html").read_text(encoding="utf-8")
    whole = scenarios.run(scenarios.load(write(tmp_path, SCENARIO, "whole.toml")))
    assert len(whole.document["metrics"]) > 15
    same = next(m for m in whole.document["metrics"] if m["name"] == "touch_probability")
    assert record["metrics"] == [same]


def test_what_the_claim_tests_is_measured_in_any_case(tmp_path: Path) -> None:
    found = scenarios.run(scenarios.load(write(tmp_path, SCENARIO + ONE + CLAIM)))
    assert names(found.document) == ["touch_probability", "pin_probability"]
    assert "<html" in render_report(found)


def test_an_unknown_metric_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        scenarios.load(write(tmp_path, SCENARIO + 'metrics = ["touch_probabilty"]\n'))
    assert "did you mean 'touch_probability'" in "".join(refused.value.problems)
