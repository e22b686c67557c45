"""A result says what it found in one line, in a table and in a frame."""

from __future__ import annotations

import dataclasses

import pytest

from gammawall import sim
from tests.helpers.sim_runs import run, same_shape


@pytest.fixture(scope="module")
def found() -> sim.SimResult:
    return run(same_shape(20_000), paths=1024)


def test_one_line_says_how_much_and_what(found: sim.SimResult) -> None:
    said = repr(found)
    metric = found["pin_probability"]
    assert said.startswith("SimResult(paths 1,024, steps 39, ")
    assert f"pin_probability {metric.value:.4f} ± {metric.stderr:.4f}, without hedging" in said
    assert len(said) < 300
    assert "edge" not in said
    assert found._repr_html_().count("<tr>") == len(found.summary())


def test_the_frame_holds_every_metric(found: sim.SimResult) -> None:
    frame = found.frame()
    assert list(frame.index) == list(sim.METRICS)
    assert frame.loc["close_mean", "value"] == found["close_mean"].value
    assert frame.loc["close_mean", "unit"] == "points"
    with pytest.raises(KeyError, match="pin_probability"):
        found["pin"]


def test_a_capped_run_says_so(found: sim.SimResult) -> None:
    capped = dataclasses.replace(found, status=found.status | {"paths_capped": 7})
    assert "paths at the grid's edge 7" in repr(capped)
