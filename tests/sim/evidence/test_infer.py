"""The estimate on markets in which the truth is planted, and on one in which nobody hedges."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from scipy.stats import norm

from gammawall.sim.evidence.controls import DEFAULT_CONTROLS, control_rows
from gammawall.sim.evidence.infer import infer
from gammawall.sim.evidence.likelihood import Data, log_likelihood
from gammawall.sim.evidence.placebos import neighbours, other_days
from gammawall.sim.evidence.problem import Moves, Problem
from gammawall.sim.evidence.session import sample
from gammawall.surfaces.errors import InputError
from tests.helpers.planted_sessions import planted

PANELS, DAYS = 24, 40


def estimates(theta: float, controls: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """θ and its error by the Hessian, of some panels of planted days."""
    found = []
    days = planted(theta, PANELS * DAYS)
    for first in range(0, len(days), DAYS):
        moves = Moves([sample(s, 5.0) for s in days[first : first + DAYS]], "calls_minus_puts", 0.0)
        fitted, base = Problem(moves, controls, 10.0, (-1.5, 4.0)).fit(np.arange(DAYS))
        assert fitted.converged
        assert fitted.log_likelihood >= base.log_likelihood
        found.append((fitted.theta[0], np.sqrt(fitted.covariance[0, 0])))
    return tuple(np.array(found).T)


@pytest.mark.slow
@pytest.mark.parametrize("theta", [-1.0, 0.0, 3.0])
def test_what_was_planted_is_found_without_bias(theta: float) -> None:
    value, error = estimates(theta, ("drawn_level",))
    z = (value.mean() - theta) / (value.std(ddof=1) / np.sqrt(PANELS))
    assert abs(z) < 4.0
    assert np.mean(np.abs(value - theta) < 1.96 * error) > 0.8
    # The control: a market of another strength is seen to be one.
    assert abs(value.mean() - (theta + 0.3)) / (value.std(ddof=1) / np.sqrt(PANELS)) > 4.0


def test_the_likelihood_is_the_density_of_the_path() -> None:
    """One step, no controls: the density of x integrates to one over x, with hedging and without."""
    grid = np.linspace(-0.01, 0.01, 4001)
    strike, units = 0.0008, 0.004
    # u(x) = units Φ((x − strike)/width), a step smoothed out.
    width, years = 0.002, 1.0 / 252.0 / 78.0
    push = units * (norm.cdf((grid - strike) / width) - norm.cdf(-strike / width))
    slope = units * norm.pdf((grid - strike) / width) / width
    shape = (grid.size, 1)
    data = Data(
        move=grid.reshape(shape),
        years=np.full(shape, years),
        weight=np.ones(shape),
        controls=np.ones((1, *shape)),
        push=push.reshape(1, *shape),
        slope=slope.reshape(1, *shape),
    )
    level = -0.5 * np.log(0.12**2)
    with jax.enable_x64(True):
        for theta, whole in ((0.0, 1.0), (1.0, 1.0), (-0.4, 1.0)):
            logs = log_likelihood(data, np.array([theta]), np.array([level]), "same")
            assert np.trapezoid(np.exp(np.asarray(logs)), grid) == pytest.approx(whole, abs=1e-6)
        # The control: without the Jacobian it is no density.
        flat = data._replace(slope=0.0 * data.slope)
        wrong = log_likelihood(flat, np.array([1.0]), np.array([level]), "same")
        assert abs(np.trapezoid(np.exp(np.asarray(wrong)), grid) - 1.0) > 0.05


def test_a_level_drawn_by_nature_is_integrated_exactly() -> None:
    random = np.random.default_rng(4)
    shape, scale, n = 3.0, 0.02, 7
    move, years = random.normal(0.0, 5e-4, (1, n)), np.full((1, n), 1.0 / 252.0 / 78.0)
    data = Data(
        move=move,
        years=years,
        weight=np.ones((1, n)),
        controls=np.zeros((0, 1, n)),
        push=np.zeros((0, 1, n)),
        slope=np.zeros((0, 1, n)),
    )
    with jax.enable_x64(True):
        found = log_likelihood(data, np.zeros(0), np.log([shape, scale]), "drawn")
    from scipy.integrate import quad
    from scipy.stats import invgamma

    def joint(variance: float) -> float:
        logs = norm.logpdf(move[0], 0.0, np.sqrt(variance * years[0])).sum()
        return float(np.exp(logs - 40.0) * invgamma.pdf(variance, shape, scale=shape * scale))

    total = quad(joint, 1e-5, 1.0, limit=400, points=[0.002, 0.01, 0.05])[0]
    assert float(found[0]) == pytest.approx(np.log(total) + 40.0, rel=1e-7)


@pytest.mark.slow
def test_a_planted_market_is_told_from_its_placebos() -> None:
    """Days of three books: the true books gain more than those of other days."""
    days = []
    for book in range(3):
        days += planted(3.0, 8, book_seed=book)
    found = infer(days, placebos=39, seed=1, theta_range=(-0.5, 5.0))
    row = found.theta.iloc[0]
    assert row["p_placebo"] <= 0.1
    assert abs(row["value"] - 3.0) < 4.0 * row["stderr_hessian"]
    assert found.converged
    peak = found.shifts.loc[found.shifts["gain_log_likelihood"].idxmax(), "points"]
    assert abs(peak) <= 25.0
    assert {"as fixed", "more controls", "no day level"} <= set(found.forks["controls"])
    assert found.left_out["steps_before_close"] == 2 * len(days)
    assert list(found.placebos["kind"].value_counts()) == [39, 39]
    assert "calls_minus_puts" in repr(found)


def test_draws_leave_no_day_its_own_book() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        drawn, near = other_days(random, 12), neighbours(random, 12)
        assert sorted(drawn) == list(range(12))
        assert (drawn != np.arange(12)).all()
        assert (near != np.arange(12)).all()
        assert (np.abs(near - np.arange(12)) <= 5).all()


def test_what_cannot_be_is_refused() -> None:
    days = list(planted(3.0, 8, book_seed=0))
    for asked, said in (
        ({"placebos": 5}, "at least 19"),
        ({"theta_range": (1.0, 2.0)}, "must hold zero"),
        ({"controls": ("vix",)}, "controls must be some of"),
        ({"buckets": "puts"}, "buckets must be one of"),
    ):
        with pytest.raises(InputError, match=said):
            infer(days, **{"placebos": 19, **asked})
    with pytest.raises(InputError, match="at least 5 sessions"):
        infer(days[:3])


def test_controls_do_not_look_ahead() -> None:
    """A change of a step's own return changes no control of it or of the steps before."""
    days = planted(3.0, 8, book_seed=0)
    moves = Moves([sample(s, 5.0) for s in days], "calls_minus_puts", 0.0)
    panel = Problem(moves, DEFAULT_CONTROLS, 10.0, (-0.5, 5.0)).panel
    before = control_rows(("past_squares", "return", "return_size"), panel)
    panel.move[3, 40] += 0.002
    after = control_rows(("past_squares", "return", "return_size"), panel)
    change = np.abs((after - after[:, 3:4, :1]) - (before - before[:, 3:4, :1])).max(axis=0)[3]
    assert change[:41].max() < 1e-9
    assert change[41] > 1e-3
