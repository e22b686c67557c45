"""What is asked for is what is measured: the same paths and numbers for every metric named, and no more."""

from __future__ import annotations

import pytest

from gammawall import sim
from gammawall.sim.engine.experiment import Experiment
from gammawall.sim.engine.prepare import prepare_run
from gammawall.sim.measure.metrics import METRICS, needed_statistics
from gammawall.sim.measure.statistics import STATISTICS
from gammawall.surfaces.errors import InputError
from tests.helpers.sim_runs import make_book, make_market

SIZES = sim.SimConfig(paths=2048, steps=26, keep_paths=4)


def case(metrics: tuple[str, ...] | None, *, series: bool = False, **more: object) -> Experiment:
    given = {"dynamics": sim.GBM(0.12), "impact": sim.LinearImpact(3.0), "config": SIZES, "seed": 3, **more}
    measure = sim.Measure(7000.0, metrics=metrics, series=series)
    return Experiment(make_book(20_000), make_market(), measure=measure, **given)  # pyright: ignore[reportArgumentType]


def test_metrics_are_made_of_few_statistics() -> None:
    assert needed_statistics(("pin_probability",)) == ("in_band",)
    assert needed_statistics(("close_std_points", "vol_amplification")) == (
        "close_move",
        "close_move_squared",
        "realised_variance",
    )
    assert needed_statistics(tuple(METRICS)) == needed_statistics(None) == STATISTICS
    assert needed_statistics(()) == ()


def test_names_are_checked_and_a_single_word_is_no_tuple() -> None:
    with pytest.raises(InputError, match=r"metrics must be names of .*; got 'pin'"):
        prepare_run(case(("pin",)))
    with pytest.raises(InputError, match="must be a tuple of names"):
        sim.Measure(7000.0, metrics="pin_mass")  # pyright: ignore[reportArgumentType]


def test_control_needs_all_that_is_known_of_the_unhedged() -> None:
    config = sim.SimConfig(paths=2048, steps=26, control=True)
    assert prepare_run(case(("pin_mass",), config=config)).plan.statistics == STATISTICS
    assert prepare_run(case(("pin_mass",))).plan.statistics == ("at_strike",)


@pytest.fixture(scope="module")
def full() -> sim.SimResult:
    return sim.simulate(case(None))


COUNTED = ("pin_probability", "pin_mass", "touch_probability", "breach_probability", "failed_attempts_mean")


def check_same(found: sim.SimResult, full: sim.SimResult, names: tuple[str, ...]) -> None:
    """The same paths, bit for bit, and what is counted of them; other statistics of a path are rounded once
    or twice, as the compiler joins products and sums."""
    assert tuple(m.name for m in found.metrics) == names
    for name in names:
        if name in COUNTED:
            assert found[name] == full[name]
        for field in ("value", "stderr", "baseline", "baseline_stderr", "difference_stderr"):
            assert getattr(found[name], field) == pytest.approx(
                getattr(full[name], field), rel=1e-11, abs=1e-15
            )
    assert (found.close == full.close).all()
    assert (found.baseline_close == full.baseline_close).all()


TOGETHER = ("pin_probability", "realised_vol_pct", "return_autocorrelation", "dealer_pnl_std_usd_mn")


def test_metrics_asked_for_are_those_of_the_full_run(full: sim.SimResult) -> None:
    found = sim.simulate(case(TOGETHER))
    check_same(found, full, TOGETHER)
    with pytest.raises(
        KeyError, match=r"pin_mass was not asked for, only pin_probability, .*name it in Measure"
    ):
        found["pin_mass"]
    with pytest.raises(KeyError, match="no metric 'pin'"):
        found["pin"]
    for name in ("step_variance", "step_flow_usd_bn", "sample_paths"):
        with pytest.raises(AttributeError, match=f"{name} was not kept"):
            getattr(found, name)
    assert "self_financing_residual" not in found.status
    assert [row[0] for row in found.summary()] == ["paths", "steps", "pin_probability", "realised_vol_pct"]


def test_series_come_along_when_told_so(full: sim.SimResult) -> None:
    found = sim.simulate(case(("touch_probability",), series=True))
    check_same(found, full, ("touch_probability",))
    assert found["touch_probability"] == full["touch_probability"]
    assert (found.step_variance == full.step_variance).all()
    assert (found.step_flow_usd_bn == full.step_flow_usd_bn).all()
    assert (found.sample_paths == full.sample_paths).all()
    assert found.status["self_financing_residual"] < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("name", METRICS)
def test_every_metric_alone_is_that_of_the_full_run(full: sim.SimResult, name: str) -> None:
    check_same(sim.simulate(case((name,))), full, (name,))
