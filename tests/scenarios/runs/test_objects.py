"""Runs, simulations and sweeps show themselves: a line, a table, a frame, figures by name."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from gammawall import scenarios, sim
from gammawall.scenarios.pages.offline import Figure
from gammawall.scenarios.runs.objects import RESULT
from gammawall.surfaces.display import Display
from gammawall.surfaces.errors import InputError
from tests.helpers.report_fixture import make_run
from tests.helpers.scenario_files import SCENARIO, write


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> dict[str, Display]:
    scenario = scenarios.load(write(tmp_path_factory.mktemp("shown"), SCENARIO))
    grid = {"impact.bp_per_usd_bn": [1.0, 3.0], "book.scale": [-1.0, 1.0]}
    return {
        "Result": scenarios.run(scenario),
        "SimResult": sim.simulate(scenario.experiment()),
        "Sweep": scenarios.sweep(scenario, grid),
    }


FIGURES = {
    "Result": ("close", "gamma_profile", "paths", "realised_vol", "hedge_flow"),
    "SimResult": ("close", "paths", "realised_vol", "hedge_flow"),
    "Sweep": ("lines", "map"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_and_stays_here(shown, name) -> None:
    thing = shown[name]
    assert thing.figures == FIGURES[name]
    for figure in thing.figures:
        drawn = thing.figure(figure)
        assert isinstance(drawn, Figure)
        assert drawn.data, figure
    with pytest.raises(InputError, match="has no figure 'cake'"):
        thing.figure("cake")


@pytest.mark.parametrize("name", FIGURES)
def test_they_are_short_and_have_a_frame(shown, name) -> None:
    thing = shown[name]
    assert repr(thing).startswith(f"{name}(")
    assert len(repr(thing)) < 500
    assert thing._repr_html_().startswith(f"<table><caption>{name}</caption>")
    assert len(thing.frame()) >= 4


def test_a_run_and_a_simulation_give_a_number_in_one_manner(shown) -> None:
    run, found = shown["Result"], shown["SimResult"]
    assert run["pin_probability"] == found["pin_probability"] == run.metric("pin_probability")
    assert run.frame().loc["close_mean", "value"] == found.frame().loc["close_mean", "value"]
    with pytest.raises(KeyError, match="no metric 'pin'"):
        run["pin"]


def test_a_sweep_s_frame_is_its_own(shown) -> None:
    shown["Sweep"].frame().pop("cell")
    assert "cell" in shown["Sweep"].frame()


def test_a_run_without_arrays_says_that_it_has_nothing_to_draw() -> None:
    bare = scenarios.Result(dict(make_run().document), {})
    with pytest.raises(InputError, match="holds nothing for the figure 'close'"):
        bare.figure("close")


def test_the_figures_are_those_of_the_report() -> None:
    run = make_run()
    result = scenarios.Result(dict(run.document), dict(run.series))
    for name, draw in RESULT.items():
        ours, theirs = result.figure(name), draw(result)
        assert isinstance(ours, go.Figure)
        assert ours.to_json() == theirs.to_json()
    x, y = (np.asarray(result.figure("gamma_profile").data[0][k], float) for k in "xy")
    np.testing.assert_allclose(x, result.series["gex_spot"], rtol=1e-6)
    np.testing.assert_allclose(y, result.series["gex_total_bn"], rtol=1e-6)
