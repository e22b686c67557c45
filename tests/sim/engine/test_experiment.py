"""An experiment is checked once, and every door takes the same one."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from gammawall import sim
from gammawall.surfaces.errors import InputError
from tests.helpers.sim_runs import NODES, STEPS, VOL, make_book, make_market

SIZES = sim.SimConfig(paths=1024, steps=STEPS, max_nodes=NODES, keep_paths=0)
PARTS: dict[str, Any] = {
    "dynamics": sim.GBM(VOL),
    "impact": sim.LinearImpact(3.0),
    "config": SIZES,
    "seed": 5,
}


def case(**changes: Any) -> sim.Experiment:
    book = changes.pop("book", make_book([9_000.0, 20_000.0], [6990.0, 7000.0]))
    return sim.Experiment(book, **{"market": make_market(), **PARTS, **changes})


def test_an_experiment_and_its_parts_are_one_run() -> None:
    whole, part = case(), {"market": make_market(), **PARTS}
    by_parts, by_whole = sim.simulate(whole.book, **part), sim.simulate(whole)
    np.testing.assert_array_equal(by_whole.close, by_parts.close)
    assert (sim.simulate(dataclasses.replace(whole, seed=6)).close != by_parts.close).any()


def test_what_is_left_out_is_filled_in() -> None:
    whole = case()
    assert whole.hedging == (sim.Clearing(),)
    assert whole.measure == sim.Measure(7000.0)
    assert case(book=make_book([], [])).measure.strike == make_market().spot
    assert isinstance(case(impact=lambda usd_bn, minutes: 1e-4 * usd_bn).impact, sim.FunctionImpact)
    # A change of the book keeps the level that is asked about.
    assert dataclasses.replace(whole, book=make_book([9.0], [6990.0])).measure.strike == 7000.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"market": dataclasses.replace(make_market(), spot=20_000.0)}, "valued at spot"),
        ({"hedging": "clearing"}, "hedging"),
        ({"hedging": (sim.Clearing(0.7), sim.Clock(fraction=0.7))}, "at most 1"),
        ({"impact": 3.0}, "impact"),
    ],
)
def test_mistakes_are_refused_where_they_are_made(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        case(**changes)


def test_simulate_takes_all_of_it_or_its_parts() -> None:
    simulate: Any = sim.simulate  # what the checker refuses, too, is told in words
    with pytest.raises(InputError, match=r"replace\(experiment, config=…\)"):
        simulate(case(), config=SIZES)
    with pytest.raises(InputError, match="missing: impact"):
        simulate(case().book, market=make_market(), dynamics=sim.GBM(VOL))


def test_it_shows_itself_on_one_line() -> None:
    said = repr(case())
    assert said.startswith("Experiment(book=")
    assert "LinearImpact(bp_per_usd_bn=3.0)" in said
    assert "array" not in said
    assert "flow" not in said
