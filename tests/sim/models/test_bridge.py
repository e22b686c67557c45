"""The width of the Brownian bridge inside a settling step comes from the dynamics' own contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gammawall import sim
from gammawall.sim.models.dynamics import Dynamics
from gammawall.surfaces.errors import InputError
from tests.helpers.dynamics_runs import DAY_GRID, MODELS, moves, z_score
from tests.helpers.sim_runs import STEPS, make_book, make_market


class Mine:
    """Geometric Brownian motion of a user's own: meets the protocol, and has no attribute `vol`."""

    def __init__(self, vol: float) -> None:
        self._own = sim.GBM(vol)

    @property
    def factors(self) -> int:
        return self._own.factors

    open = staticmethod(sim.GBM.open)
    step = staticmethod(sim.GBM.step)

    def drive(self, *given: Any) -> Any:
        return self._own.drive(*given)

    def log_range(self, *given: Any) -> Any:
        return self._own.log_range(*given)

    def exact(self, *given: Any) -> Any:
        return self._own.exact(*given)

    def bridge_std(self, *given: Any) -> Any:
        return self._own.bridge_std(*given)


class NoBridge(Mine):
    """What was taken for granted of a class without `vol`."""

    def bridge_std(self, schedule: Any) -> Any:
        return np.zeros(schedule.steps)


def short_wall(dynamics: Dynamics) -> sim.SimResult:
    return sim.simulate(
        make_book(-20_000.0),
        market=make_market(),
        dynamics=dynamics,
        impact=sim.LinearImpact(1.0),
        config=sim.SimConfig(paths=16_384, steps=STEPS),
        seed=7,
    )


def test_a_class_of_ones_own_has_the_numbers_of_the_model_it_delegates_to() -> None:
    ours, mine, none = (short_wall(d) for d in (sim.GBM(0.12), Mine(0.12), NoBridge(0.12)))
    assert mine.metrics == ours.metrics
    assert (mine.close == ours.close).all()
    # The control: without the bridge the same shocks lead elsewhere.
    assert (np.abs(none.close - ours.close) > 1.0).mean() > 0.01


def test_dynamics_without_a_bridge_are_refused() -> None:
    class Lacking(Mine):
        bridge_std = None  # pyright: ignore[reportAssignmentType]

    with pytest.raises(
        InputError, match=r"dynamics must have every member of sim\.Dynamics; Lacking lacks bridge_std$"
    ):
        short_wall(Lacking(0.12))


def step_variance(model: Any) -> np.ndarray:
    """Of the steps' moves, by the bridge and what jumps add, [N]."""
    jumps = DAY_GRID.variance * getattr(model, "rate_per_year", 0.0)
    size = getattr(model, "mean", 0.0) ** 2 + getattr(model, "std", 0.0) ** 2
    return model.bridge_std(DAY_GRID) ** 2 + jumps * size


def scores(model: Any, variance: np.ndarray) -> np.ndarray:
    drawn = moves(model)[1]
    squares = (drawn - drawn.mean(axis=1, keepdims=True)) ** 2
    return np.array([z_score(own, expected) for own, expected in zip(squares, variance, strict=True)])


QUICK = sim.Heston(0.12, 400.0, 0.2, 1.0, -0.7)
"""Its variance is half way to another level within the session."""


@pytest.mark.parametrize(
    "model",
    [*(MODELS[n] for n in ("gbm", "bachelier", "jumps", "heston-one-factor", "heston-quarter")), QUICK],
)
def test_the_bridge_is_as_wide_as_the_moves_are(model: Any) -> None:
    """All 39 steps of 65,536 paths within 4.5 standard errors."""
    assert np.abs(scores(model, step_variance(model))).max() < 4.5


def test_the_initial_vol_is_not_the_width_where_the_variance_reverts() -> None:
    """The control: σ₀√h, which was the width once."""
    assert np.abs(scores(QUICK, QUICK.vol**2 * DAY_GRID.variance)).max() > 20.0


def test_a_variance_at_its_long_run_level_has_the_bridge_of_its_vol_to_the_last_bit() -> None:
    model = sim.Heston(0.12, 5.0, 0.12, 1.0, -0.7)
    assert (model.bridge_std(DAY_GRID) == sim.GBM(0.12).bridge_std(DAY_GRID)).all()
