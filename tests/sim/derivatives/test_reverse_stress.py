"""Reverse stress against the exact law, the effective vol, and the conditions of a smallest change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

from gammawall.sim import LinearImpact, ReverseStress, reverse_stress
from gammawall.sim.derivatives.search import descend, find_root
from gammawall.sim.engine.result import exact_law
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError
from tests.helpers.sim_runs import CLOSE, make_book
from tests.sim.derivatives.test_sensitivity import BOOKS, experiment, sense, setting_of

PIN = "pin_probability"
YEAR = "2027-01-29T16:00:00"


def solve(book: Book, target: tuple[str, float], **options: Any) -> ReverseStress:
    given = {name: options.pop(name) for name in set(options) & {"measure", "impact", "config", "market"}}
    return reverse_stress(experiment(book, **given), target=target, **{"search_paths": 8192, **options})


def pinned_by_law(book: Book, bp_per_usd_bn: float = 3.0) -> float:
    setting = setting_of(book, bp_per_usd_bn)
    law = exact_law(setting.run(), setting.dynamics)
    assert law is not None
    return law.between(*np.log([6995.0, 7005.0]))


def assert_reached(found: ReverseStress) -> None:
    assert found.converged, found.reason
    error = np.hypot(found.reached_stderr, found.searched_stderr)
    assert abs(found.reached - found.target) < 4.0 * error


@pytest.mark.slow
@pytest.mark.parametrize("by", ["scale", "impact"])
def test_pinning_by_a_factor_against_the_law(by: str) -> None:
    book = BOOKS["three-strikes-with-puts"]
    found = solve(book, (PIN, 0.5), by=by)
    assert_reached(found)
    assert found.exact == pytest.approx(pinned_by_law(found.book, found.impact.bp_per_usd_bn), abs=1e-9)
    assert abs(found.exact - 0.5) < 4.0 * found.searched_stderr
    root = brentq(lambda u: pinned_by_law(book, 3.0 * np.exp(u)) - 0.5, -1.0, 2.0, xtol=1e-4)
    slope = (pinned_by_law(book, 3.0 * np.exp(root + 0.01)) - pinned_by_law(book, 3.0 * np.exp(root))) / 0.01
    assert abs(np.log(found.factor) - root) < 4.0 * found.searched_stderr / slope
    assert root > 0.3
    if by == "scale":
        np.testing.assert_allclose(found.change, book.contracts * (found.factor - 1.0))
        assert found.impact.bp_per_usd_bn == 3.0
    else:
        assert found.impact.bp_per_usd_bn == pytest.approx(3.0 * found.factor)
        assert not found.change.any()


@pytest.mark.slow
@pytest.mark.parametrize("amplification", [1.5, 0.6])
def test_amplification_by_impact_against_the_effective_vol(amplification: float) -> None:
    """A year to expiry, so that feedback hardly moves: 1/(1 + g) = target."""
    sign = 1.0 if amplification < 1.0 else -1.0
    # Next to nothing expires today, which keeps the table's shape.
    contracts, strikes = [1e-3, 1e-3, 1e-3, sign * 100_000.0], [6999.0, 7000.0, 7001.0, 7000.0]
    book = make_book(contracts, strikes, expiry=[CLOSE] * 3 + [YEAR])
    found = solve(book, ("vol_amplification", amplification), by="impact")
    assert_reached(found)
    per_bp = float(setting_of(book).run().start_feedback) / 3.0
    assert found.impact.bp_per_usd_bn == pytest.approx((1.0 / amplification - 1.0) / per_bp, rel=0.01)
    assert found.reached == pytest.approx(amplification, abs=2e-3)


@pytest.mark.slow
def test_the_smallest_change_of_positions() -> None:
    book = BOOKS["three-strikes-with-puts"]
    found = solve(book, (PIN, 0.4), by="positions")
    assert_reached(found)
    # Lagrange: the change by size stands along the gradient by size, here measured anew on other shocks.
    size = np.abs(book.contracts)
    z, gradient = found.change / size, sense(found.book, seed=6).positions[PIN].to_numpy() * size
    assert found.alignment == pytest.approx(1.0, abs=0.01)
    assert z @ gradient / np.linalg.norm(z) / np.linalg.norm(gradient) > 0.99
    assert found.distance == pytest.approx(np.linalg.norm(z))
    assert found.exact == pytest.approx(0.4, abs=4.0 * found.searched_stderr)
    # Scaling the book reaches the target too, but further away.
    scaled = solve(book, (PIN, 0.4), by="scale")
    assert found.distance < 0.8 * scaled.distance


@pytest.mark.slow
def test_weights_decide_which_positions_change() -> None:
    book = BOOKS["three-strikes-with-puts"]
    found = solve(book, (PIN, 0.33), by="positions", size=[10.0, 20_000.0, 10.0])
    assert_reached(found)
    assert np.abs(found.change[[0, 2]]).max() < 1.0 < 1000.0 < found.change[1]


def test_an_unreachable_target_is_said_to_be_so() -> None:
    book = BOOKS["three-strikes-with-puts"]
    found = solve(book, (PIN, 0.02), by="scale", bounds=(0.1, 10.0))
    assert not found.converged
    assert "bound 0.1" in found.reason
    assert found.factor == pytest.approx(0.1)
    assert found.reached == pytest.approx(pinned_by_law(found.book), abs=5.0 * found.reached_stderr)
    few = solve(book, (PIN, 0.9), by="positions", most_evaluations=2)
    assert not few.converged
    assert "nearest value" in few.reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": ("pin_mass", 0.5)}, "metric"),
        ({"target": (PIN, np.nan)}, "target"),
        ({"by": "vol"}, "by must be"),
        ({"bounds": (2.0, 3.0)}, "bounds"),
        ({"size": "gamma", "by": "positions"}, "size"),
        ({"size": [1.0, -1.0, 1.0], "by": "positions"}, "size"),
        ({"impact": LinearImpact(0.0)}, "no hedging"),
        ({"book": BOOKS["wall"].scaled(0.0)}, "no hedging"),
    ],
)
def test_bad_questions_are_refused(options: dict[str, Any], message: str) -> None:
    given = {"book": BOOKS["three-strikes-with-puts"], "target": (PIN, 0.5), **options}
    with pytest.raises(InputError, match=message):
        solve(given.pop("book"), given.pop("target"), **given)


# --- the searches alone ------------------------------------------------------------------------------------


def test_a_root_is_found_through_flat_and_curved_parts() -> None:
    def curve(u: float) -> tuple[float, float]:
        return float(np.tanh(3.0 * (u - 2.0))), float(3.0 / np.cosh(3.0 * (u - 2.0)) ** 2)

    assert find_root(curve, 0.0, (-4.0, 4.0), 1e-9, 40) == pytest.approx(2.0, abs=1e-8)
    assert find_root(curve, 0.0, (-4.0, 1.0), 1e-9, 40) == 1.0
    assert find_root(lambda u: (u * u + 1.0, 2.0 * u), 1.0, (-3.0, 3.0), 1e-9, 40) == -3.0


def test_a_minimum_is_found_from_where_the_cost_is_concave() -> None:
    def cost(z: np.ndarray) -> tuple[float, np.ndarray]:
        far = z - np.array([3.0, -1.0])
        return float(np.log1p(far @ far)), 2.0 * far / (1.0 + far @ far)

    z = descend(cost, np.zeros(2), 200)
    np.testing.assert_allclose(z, [3.0, -1.0], atol=0.1)
