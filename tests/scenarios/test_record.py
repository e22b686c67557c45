"""Reading a record takes no more than reading it needs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from gammawall.scenarios.record import real, record_digest, series_array


@pytest.mark.parametrize(
    "module",
    [
        "record",
        "whole_folders",
        "pages.numbers",
        "runs.answers",
        "runs.export",
        "runs.comparison",
        "runs.runner",
        "claims.judge",
        "sweeps.sweep",
    ],
)
def test_reading_a_number_loads_no_plotly(module: str) -> None:
    code = f"import sys, gammawall.scenarios.{module}; print('plotly' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_check_sees_plotly() -> None:
    code = "import sys, gammawall.scenarios.pages.drawing; print('plotly' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize("value", [None, True, "1", float("nan"), float("inf"), 10**400, [1.0]])
def test_what_is_no_number_is_none(value: object) -> None:
    assert real(value) is None


def test_numbers_and_arrays_are_read_as_they_are() -> None:
    assert real(np.float32(0.5)) == 0.5
    assert series_array({"x": [1, 2]}, "x").tolist() == [1.0, 2.0]
    assert series_array({"x": [np.nan]}, "x").size == 0
    assert series_array({"x": [1, 2]}, "x", ndim=2).shape == (0, 0)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert record_digest({"a": 1, "b": 2}) == record_digest({"b": 2, "a": 1})
    assert record_digest({"a": 1}) != record_digest({"a": 2})
