"""Zero gamma where algebra puts it, walls with their confidence, maximum pain by brute force."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.confidence import bootstrap_levels
from gammawall.surfaces.dealers.exposures import exposures, gex_at
from gammawall.surfaces.dealers.levels import levels
from tests.helpers import tolerances as tol


def hand(contracts: Any, strike: Any, **terms: Any) -> Book:
    usual = {"expiry": "2026-02-20T16:00", "vol": 0.12, "spot": 7000.0, "as_of": "2026-01-28T10:00"}
    return Book.from_positions(contracts=contracts, strike=strike, **(usual | terms))


def test_one_crossing_where_two_gammas_balance() -> None:
    # n₁ φ(a₁) = n₂ φ(a₂) with aᵢ = (x − ln Kᵢ)/s + s/2 is linear in x = ln S.
    for long, short in [(1.0, 1.0), (3.0, 1.0), (1.0, 4.0)]:
        book = hand([long, -short], [7100.0, 6900.0], carry_rate=0.03)
        s, growth = book.total_vol[0], np.log(book.carry[0])
        gap, middle = np.log(7100 / 6900), 0.5 * np.log(7100 * 6900)
        expected = np.exp(middle - 0.5 * s * s - growth - s * s * np.log(long / short) / gap)
        assert levels(book).zero_gamma == pytest.approx((expected,), abs=tol.LEVEL_POINTS)
        assert gex_at(book, expected - 10)[0] < 0 < gex_at(book, expected + 10)[0]
        assert levels(book.scaled(-2.0)).zero_gamma == pytest.approx((expected,), abs=tol.LEVEL_POINTS)


def test_two_crossings_around_a_long_body_with_short_wings() -> None:
    # m e^{−u²/2} = n [e^{−(u−β)²/2} + e^{−(u+β)²/2}]  ⇔  cosh(uβ) = m e^{β²/2} / 2n, u = (x − ln K)/s + s/2.
    ratio = 1.03
    book = hand([2.0, -1.0, -1.0], [7000.0, 7000.0 / ratio, 7000.0 * ratio], is_call=[True, False, True])
    s = book.total_vol[0]
    beta = np.log(ratio) / s
    u = np.arccosh(np.exp(0.5 * beta**2)) / beta
    expected = tuple(np.exp(np.log(7000.0) + s * (e * u - 0.5 * s)) for e in (-1, 1))
    assert levels(book).zero_gamma == pytest.approx(expected, abs=tol.LEVEL_POINTS)


def test_no_crossing_is_an_empty_answer() -> None:
    assert levels(hand([1.0, 2.0], [6900.0, 7100.0])).zero_gamma == ()
    assert levels(hand([-1.0, -2.0], [6900.0, 7100.0])).zero_gamma == ()


def test_crossing_on_a_grid_point_or_on_an_unsorted_grid_is_found() -> None:
    book = hand([1.0, -1.0], [7100.0, 6900.0])
    (root,) = levels(book).zero_gamma
    exposed = exposures(book, spots=[7050.0, 6950.0, 7040.0, root, 6960.0])
    exposed.profile.loc[root, "gex_usd_per_1pct"] = 0.0
    assert levels(book, exposed=exposed).zero_gamma == pytest.approx((root,), abs=tol.LEVEL_POINTS)
    assert levels(book, exposed=exposures(book, spots=[root])).zero_gamma == ()
    assert levels(book, exposed=exposures(book, spots=[root + 1, root + 9])).zero_gamma == ()


def test_gamma_of_the_last_seconds_is_not_stepped_over() -> None:
    # One second left: a standard deviation is 0.35 points, the grid's step 3.5.
    strikes = np.array([6991.5, 6995.0, 7002.0, 7005.5])
    book = hand(
        [-3.0, 5.0, -2.0, 4.0, -1.0],
        [*strikes, 7000.0],
        expiry=["2026-01-28T16:00"] * 4 + ["2026-03-20T16:00"],
        as_of="2026-01-28T15:59:59",
    )
    assert book.total_vol[0] * 7000 < 0.4
    grid = exposures(book).profile.index.to_numpy(float)
    assert min(abs(grid - k).min() for k in strikes) > 0.4
    found = levels(book).zero_gamma
    fine = np.linspace(6960.0, 7040.0, 40_001)
    gex = gex_at(book, fine)
    flips = np.flatnonzero(gex[:-1] * gex[1:] < 0)
    np.testing.assert_allclose(found, fine[flips], atol=0.002)
    assert len(found) == 4


def test_book_that_cancels_has_no_levels() -> None:
    rng = np.random.default_rng(3)
    size, strike = rng.normal(size=30), rng.uniform(6800, 7200, 30)
    order = rng.permutation(60)
    found = levels(hand(np.append(size, -size)[order], np.append(strike, strike)[order]))
    assert found.zero_gamma == ()
    assert found.abs_gamma is not None
    nothing = levels(hand([0.0, 0.0], [6900.0, 7100.0]))
    assert nothing == type(nothing)((), None, None, None, None, nothing.exposures, nothing.missing)
    assert nothing.missing["abs_gamma"] == "no strike has any gamma"


def test_walls_are_the_largest_net_gamma_on_their_own_side() -> None:
    strike = [6800.0, 6850.0, 6850.0, 7050.0, 7050.0, 7100.0, 6950.0, 7150.0]
    is_call = [False, False, True, True, False, True, True, False]
    contracts = [-500.0, -900.0, 200.0, 800.0, -300.0, 650.0, 5000.0, -4000.0]
    book = hand(contracts, strike, is_call=is_call, expiry="2026-06-18T16:00")
    found, net = levels(book), exposures(book).by_strike["gex_usd_per_1pct"]
    call, put, peak = found.call_wall, found.put_wall, found.abs_gamma
    assert call is not None
    assert put is not None
    assert peak is not None
    # Longs below spot and shorts above it make no wall; the 800 calls of 7,050 net of 300 puts come second.
    assert (call.strike, call.runner_up) == (7100.0, 7050.0)
    assert (put.strike, put.runner_up) == (6850.0, 6800.0)
    assert (peak.strike, peak.runner_up) == (6950.0, 7150.0)
    for level in (call, put):
        assert level.gex_usd_per_1pct == net[level.strike]
        assert level.confidence == pytest.approx(1 - net[level.runner_up] / net[level.strike], rel=1e-12)
    assert 0 < call.confidence < 1


def test_peak_gamma_counts_both_sides_of_a_strike() -> None:
    book = hand(
        [900.0, -900.0, 1000.0],
        [7000.0, 7000.0, 7010.0],
        expiry=["2026-02-20T16:00", "2026-02-23T16:00", "2026-02-20T16:00"],
    )
    peak = levels(book).abs_gamma
    assert peak is not None
    assert (peak.strike, peak.runner_up) == (7000.0, 7010.0)


def test_strike_at_spot_can_be_either_wall() -> None:
    call, put = levels(hand(1.0, 7000.0)).call_wall, levels(hand(-1.0, 7000.0, is_call=False)).put_wall
    assert call is not None
    assert put is not None
    assert call.strike == put.strike == 7000.0
    assert call.gex_usd_per_1pct > 0 > put.gex_usd_per_1pct
    assert (call.runner_up, call.confidence) == (None, 1.0)


def test_tie_has_no_confidence() -> None:
    book = hand([1.0, 1.0, 0.1], [7050.0, 7150.0, 7200.0])
    gex = exposures(book).by_strike["gex_usd_per_1pct"].to_numpy()
    book = dataclasses.replace(book, contracts=book.contracts * [1.0, gex[0] / gex[1], 1.0])
    wall = levels(book).call_wall
    assert wall is not None
    assert {wall.strike, wall.runner_up} == {7050.0, 7150.0}
    assert wall.confidence == pytest.approx(0.0, abs=1e-12)


def test_empty_side_has_no_wall() -> None:
    below = levels(hand([-1.0, -2.0], [6800.0, 6900.0], is_call=False))
    assert below.call_wall is None
    assert below.missing == {"call_wall": "no strike at or above spot has positive net gamma"}
    assert below.put_wall is not None
    above = levels(hand([1.0, 2.0], [7100.0, 7200.0]))
    assert above.put_wall is None
    assert above.call_wall is not None


def test_crumbs_far_away_are_no_wall() -> None:
    # Dealers short every call that matters; one long contract far out is what is left above spot.
    size, strike = np.array([-800.0, -500.0, -300.0, 30.0]), [6950.0, 7050.0, 7200.0, 10600.0]
    book = hand(size, strike, vol=[0.12, 0.12, 0.12, 0.3])
    gex = np.abs(exposures(book).by_strike["gex_usd_per_1pct"].to_numpy())
    assert 0.0 < gex[3] < 1e-4 * gex.sum()
    found = levels(book)
    assert found.call_wall is None
    assert found.missing["call_wall"].startswith("the largest on its side is the strike 10600, with ")
    assert found.missing["call_wall"].endswith("of the book's gamma: less than 0.1%")
    assert set(found.missing) == {"call_wall"}
    assert np.isnan(bootstrap_levels(book, draws=20).loc["call_wall", "median_points"])
    # The same strike is a wall as soon as it holds a thousandth.
    size[3] *= 1.01e-3 * gex[:3].sum() / gex[3] / (1.0 - 1.01e-3)
    wall = levels(hand(size, strike, vol=[0.12, 0.12, 0.12, 0.3])).call_wall
    assert wall is not None
    assert wall.strike == 10600.0


def test_max_pain_by_brute_force() -> None:
    rng = np.random.default_rng(9)
    for _ in range(10):
        size, strike = rng.normal(0, 1000, 40), 6500.0 + 25.0 * rng.integers(0, 40, 40)
        is_call, late = rng.random(40) < 0.5, rng.random(40) < 0.3
        expiry = np.where(late, "2026-03-20T16:00", "2026-02-20T16:00")
        paid = {}
        for settle in sorted(set(strike[~late])):
            paid[settle] = sum(
                abs(n) * max(settle - k if c else k - settle, 0.0)
                for n, k, c, later in zip(size, strike, is_call, late, strict=True)
                if not later
            )
        book = hand(size, strike, expiry=expiry, is_call=is_call)
        assert levels(book).max_pain == min(paid, key=paid.__getitem__)
