"""Whole runs: what must be exact, what must be honest, and what must not break."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import chi2

from gammawall.sim import Clearing, Measure, NoHedging, SimResult, theory
from gammawall.surfaces.clock import VarianceClock
from tests.helpers.sim_runs import (
    BLOCK,
    CLOSE,
    DAY,
    SPOT,
    STEPS,
    VOL,
    bp,
    make_book,
    make_market,
    run,
    same_shape,
)

COARSE = {"max_nodes": 128}
HEAVY = 40_000
"""Contracts of the wall that most tests look at."""


@pytest.fixture(scope="module")
def pinned() -> SimResult:
    return run(same_shape(HEAVY))


@pytest.fixture(scope="module")
def repelled() -> SimResult:
    return run(same_shape(-HEAVY))


# --- without hedging ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("book", "options"),
    [
        (same_shape(HEAVY), {"bp_per_usd_bn": 0.0}),
        (same_shape(HEAVY), {"hedging": NoHedging()}),
        (same_shape(-HEAVY), {"hedging": Clearing(0.0)}),
        (same_shape(0.0), {}),
        (make_book(1.0).select(np.array([False])), {**COARSE}),
    ],
    ids=["no-impact", "nobody-hedges", "fraction-0", "no-contracts", "empty-book"],
)
def test_without_feedback_the_price_is_the_baseline_bit_for_bit(book: Any, options: dict[str, Any]) -> None:
    result = run(book, **options)
    assert np.array_equal(result.close, result.baseline_close)
    assert np.array_equal(result.sample_paths, result.sample_baseline)
    assert result.status["jump"] == result.status["capped"] == 0
    of_dealers = ("flow", "feedback", "dealer")
    price_metrics = [m for m in result.metrics if not any(word in m.name for word in of_dealers)]
    assert all(m.value == m.baseline and m.difference == 0.0 for m in price_metrics)
    assert all(m.difference_stderr == 0.0 for m in price_metrics)


def test_the_baseline_does_not_depend_on_the_book(pinned: SimResult, repelled: SimResult) -> None:
    assert np.array_equal(pinned.baseline_close, repelled.baseline_close)
    assert np.array_equal(pinned.sample_baseline, repelled.sample_baseline)


def test_the_baseline_is_the_fundamental_price(pinned: SimResult) -> None:
    x = np.log(pinned.sample_baseline / SPOT)
    assert x.shape == (BLOCK, STEPS + 1)
    steps = np.diff(x, axis=1)
    z = (steps / DAY * STEPS + 0.5 * VOL**2) / (VOL / np.sqrt(DAY / STEPS))
    assert abs(z.mean()) * np.sqrt(z.size) < 4.0
    assert abs((z**2).mean() - 1.0) / np.sqrt(2.0 / z.size) < 4.0
    total = (x[:, -1] + 0.5 * VOL**2 * DAY) / (VOL * np.sqrt(DAY))
    assert abs((total**2).mean() - 1.0) / np.sqrt(2.0 / total.size) < 4.0
    assert (pinned.minutes == np.linspace(0.0, 390.0, STEPS + 1)).all()


# --- the close ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_close_of_a_long_book_depends_on_the_fundamental_close_only(steps: int) -> None:
    """Each close against a direct solve of its own equation: a call, a put and two strikes, no table."""
    contracts, strikes, call = [20_000.0, 9_000.0], [7000.0, 6985.0], [True, False]
    book = make_book(contracts, strikes, is_call=call)
    result = run(book, paths=256, block_paths=256, keep_paths=0, steps=steps, **COARSE)
    c, v, x0 = bp(3.0), VOL * np.sqrt(DAY), float(np.log(SPOT))
    k, walls = np.log(strikes), c * 100.0 * np.array(contracts)
    put = np.array([0.0, 1.0])
    start = float(np.sum(walls * (ndtr((x0 - k) / v + 0.5 * v) - put)))
    gaps = []
    for fundamental, close in zip(np.log(result.baseline_close), np.log(result.close), strict=True):

        def excess(x: float, y: float = fundamental + start) -> float:
            return x + float(np.sum(walls * (np.clip((x - k) / 1e-13 + 0.5, 0.0, 1.0) - put))) - y

        gaps.append(abs(close - brentq(excess, x0 - 0.2, x0 + 0.2, xtol=1e-15, rtol=1e-15)))
    assert max(gaps) < 1e-9
    assert 20 < (np.abs(result.close - 7000.0) < 1e-9).sum() < 120


@pytest.mark.parametrize("target", [0.5, -0.5])
def test_constant_gamma_gives_the_effective_vol(target: float) -> None:
    """A year to expiry: feedback hardly moves in a day, so that the horizon vol is σ/(1+g)."""
    contracts = target / bp(3.0) / 100.0 / (np.exp(-0.5 * 0.06**2) / np.sqrt(2 * np.pi) / 0.12)
    year = "2027-01-29T16:00:00"
    book = make_book(contracts, 7000.0, expiry=year)
    result = run(book, paths=2 * BLOCK, keep_paths=2 * BLOCK, **COARSE)
    assert result.start_feedback == pytest.approx(target, rel=0.01)
    vol = result["horizon_vol_pct"]
    expected = 100.0 * theory.effective_vol(VOL, result.start_feedback)
    assert abs(vol.value - expected) < 3.0 * vol.stderr
    assert abs(vol.value - vol.baseline) > 25.0 * vol.stderr
    realised = result["realised_vol_pct"]
    assert realised.value == pytest.approx(expected, rel=0.01)
    assert result["vol_amplification"].value == pytest.approx(1.0 / (1.0 + result.start_feedback), rel=0.01)


def test_signs(pinned: SimResult, repelled: SimResult) -> None:
    """Long gamma pins and calms, short gamma repels and excites; the same shocks without hedging between."""
    assert pinned["pin_probability"].difference > 10 * pinned["pin_probability"].difference_stderr
    assert repelled["pin_probability"].difference < -10 * repelled["pin_probability"].difference_stderr
    for name in ("realised_vol_pct", "horizon_vol_pct", "last_30min_vol_pct", "range_points"):
        assert pinned[name].difference < -10 * pinned[name].difference_stderr
        assert repelled[name].difference > 5 * repelled[name].difference_stderr
    assert pinned["pin_mass"].value > 0.35
    assert repelled["pin_mass"].value == 0.0
    assert pinned.start_feedback == pytest.approx(-repelled.start_feedback, rel=1e-12)
    assert pinned.law is not None
    assert repelled.law is None
    assert repelled.status["jump"] > 0
    assert pinned.status["jump"] == 0


@pytest.mark.slow
def test_step_size_hardly_changes_the_last_half_hour() -> None:
    found = [
        run(make_book(20_000), steps=steps, paths=16 * BLOCK, keep_paths=0, max_nodes=2048)[
            "last_30min_vol_pct"
        ]
        for steps in (195, 390, 780)
    ]
    values = [m.value for m in found]
    assert max(values) / min(values) < 1.01 + 4.0 * max(m.stderr / m.value for m in found)


@pytest.mark.slow
@pytest.mark.parametrize(("contracts", "bp_per_usd_bn"), [(20_000, 3.0), (-20_000, 3.0)])
def test_a_finer_table_changes_no_metric(
    monkeypatch: pytest.MonkeyPatch, contracts: float, bp_per_usd_bn: float
) -> None:
    def metrics() -> dict[str, Any]:
        result = run(make_book(contracts), bp_per_usd_bn, paths=8 * BLOCK, keep_paths=0, max_nodes=2048)
        return {m.name: m for m in result.metrics}

    coarse = metrics()
    for name in ("_SPACING", "_FAR_SPACING"):
        monkeypatch.setattr(f"gammawall.sim.book.table.{name}", 0.125 if name == "_SPACING" else 0.05)
    fine = metrics()
    for name, metric in coarse.items():
        assert abs(fine[name].value - metric.value) <= 0.2 * metric.stderr + 1e-12


# --- what the metrics say ----------------------------------------------------------------------------------


def recomputed(result: SimResult, leg: np.ndarray, every: int, low: float, high: float) -> dict[str, float]:
    """Every price metric from whole paths, by its description."""
    k = 7000.0
    close, last = leg[:, -1], leg.shape[1] - 1
    marks = sorted({*range(0, last, every), last})
    returns = np.diff(np.log(leg[:, marks]), axis=1)
    late = np.array([result.minutes[m] >= 360.0 for m in marks[:-1]])
    failed = np.zeros(len(leg))
    for i, path in enumerate(leg):
        attempting = False
        for before, now in itertools.pairwise(path):
            if attempting and now < low:
                failed[i] += 1
            entered = before < low <= now
            attempting = (attempting or entered) and low <= now <= high
    touched = (leg.min(axis=1) <= k) & (leg.max(axis=1) >= k - 1e-9)
    pinned = np.abs(np.log(close / k)) < 1e-11
    squares = (returns**2).sum(axis=1)
    late_minutes = result.minutes[-1] - result.minutes[np.array(marks[:-1])[late][0]]
    return {
        "pin_probability": np.mean((close >= k - 5 - 1e-9) & (close <= k + 5 + 1e-9)),
        "pin_mass": np.mean(pinned),
        "touch_probability": np.mean(touched),
        "breach_probability": np.mean((close > k) & ~pinned),
        "rejection_probability": np.mean(touched & (close < k) & ~pinned),
        "failed_attempts_mean": failed.mean(),
        "time_in_corridor": np.mean((leg[:, 1:] >= low) & (leg[:, 1:] <= high)),
        "close_mean": close.mean(),
        "close_std_points": close.std(),
        "realised_vol_pct": 100 * np.sqrt(squares.mean() / DAY),
        "horizon_vol_pct": 100 * np.log(close).std() / np.sqrt(DAY),
        "last_30min_vol_pct": 100
        * np.sqrt((returns[:, late] ** 2).sum(axis=1).mean() / (DAY * late_minutes / 390.0)),
        "return_autocorrelation": (returns[:, 1:] * returns[:, :-1]).sum(axis=1).mean()
        / squares.mean()
        * (len(marks) - 1)
        / (len(marks) - 2),
        "range_points": (leg.max(axis=1) - leg.min(axis=1)).mean(),
    }


@pytest.mark.parametrize(("contracts", "sample_minutes", "every"), [(HEAVY, 1.0, 1), (-HEAVY, 20.0, 2)])
def test_every_metric_recomputed_from_the_paths(contracts: float, sample_minutes: float, every: int) -> None:
    low, high = 6990.0, 7015.0
    measure = Measure(7000.0, corridor=(low, high))
    market, book = make_market(6985.0), same_shape(contracts, spot=6985.0)
    result = run(book, market=market, measure=measure, sample_minutes=sample_minutes)
    hedged = recomputed(result, result.sample_paths, every, low, high)
    baseline = recomputed(result, result.sample_baseline, every, low, high)
    for name, value in hedged.items():
        assert result[name].value == pytest.approx(value, rel=1e-9, abs=1e-12), name
        assert result[name].baseline == pytest.approx(baseline[name], rel=1e-9, abs=1e-12), name
        assert result[name].difference == pytest.approx(value - baseline[name], rel=1e-6, abs=1e-9), name
    for name, of in (
        ("vol_amplification", "realised_vol_pct"),
        ("last_30min_amplification", "last_30min_vol_pct"),
    ):
        assert result[name].value == pytest.approx(hedged[of] / baseline[of], rel=1e-9)
    assert hedged["failed_attempts_mean"] > 0.05
    assert 0.2 < hedged["touch_probability"] < 0.9
    assert result.step_variance.shape == (result.sample_ends.size, 2)


@pytest.mark.parametrize("contracts", [HEAVY, -HEAVY])
def test_flows_and_feedback_recomputed_from_the_paths(contracts: float) -> None:
    """Delta from the equation itself, D = D(0, S₀) + (X − x)/c; feedback from the formula of one strike."""
    result = run(same_shape(contracts))
    c, x0, v = bp(3.0), np.log(SPOT), VOL * np.sqrt(DAY)
    x, fundamental = np.log(result.sample_paths), np.log(result.sample_baseline)
    start = 100.0 * contracts * ndtr((x0 - np.log(7000.0)) / v + 0.5 * v)
    delta = start + (fundamental - x) / c
    traded = np.abs(np.diff(delta, axis=1)) * SPOT / 1e9
    assert result["hedge_flow_abs_usd_bn"].value == pytest.approx(traded.sum(axis=1).mean(), rel=1e-6)
    assert result["peak_flow_usd_bn_per_min"].value == pytest.approx(
        traded.max(axis=1).mean() / 10.0, rel=1e-6
    )
    assert result.step_flow_usd_bn == pytest.approx(traded.mean(axis=0), rel=1e-6, abs=1e-9)
    assert result["hedge_flow_abs_usd_bn"].baseline == 0.0
    s = VOL * np.sqrt(DAY * (1.0 - np.arange(STEPS) / STEPS))
    d = (x[:, :-1] - np.log(7000.0)) / s + 0.5 * s
    g = c * 100.0 * contracts * np.exp(-0.5 * d * d) / np.sqrt(2 * np.pi) / s
    assert result["max_feedback"].value == pytest.approx(np.abs(g).max(axis=1).mean(), rel=1e-3)
    assert result.start_feedback == pytest.approx(g[0, 0], rel=1e-9)


def test_series_behind_the_pictures(pinned: SimResult) -> None:
    returns = np.diff(np.log(pinned.sample_paths), axis=1) ** 2
    base = np.diff(np.log(pinned.sample_baseline), axis=1) ** 2
    assert pinned.step_variance[:, 0] == pytest.approx(returns.mean(axis=0) / (DAY / STEPS), rel=1e-9)
    assert pinned.step_variance[:, 1] == pytest.approx(base.mean(axis=0) / (DAY / STEPS), rel=1e-9)
    assert np.array_equal(pinned.sample_ends, pinned.minutes[1:])
    assert np.array_equal(pinned.sample_paths[:, -1], pinned.close)


@pytest.mark.slow
def test_standard_errors_are_the_spread_over_seeds() -> None:
    """Chi-square of 60 seeds: probabilities, ratios, deviations, and differences on shared shocks."""
    seeds = 60
    names = (
        "pin_probability",
        "pin_mass",
        "vol_amplification",
        "return_autocorrelation",
        "close_std_points",
        "horizon_vol_pct",
        "last_30min_vol_pct",
        "hedge_flow_abs_usd_bn",
    )
    results = [run(same_shape(HEAVY), seed=100 + i, keep_paths=BLOCK) for i in range(seeds)]
    low, high = chi2.ppf([1e-4, 1.0 - 1e-4], seeds - 1) / (seeds - 1)
    checked = 0
    for name in names:
        for part in ("", "baseline", "difference"):
            values = np.array([getattr(r[name], part or "value") for r in results])
            reported = np.array([getattr(r[name], f"{part}_stderr" if part else "stderr") for r in results])
            if reported.max() == 0.0:
                assert np.ptp(values) == 0.0
                continue
            ratio = values.var(ddof=1) / np.mean(reported**2)
            assert low < ratio < high, (name, part, ratio)
            checked += 1
    assert checked >= 20


def test_a_difference_is_sharper_than_its_legs(pinned: SimResult) -> None:
    m = pinned["close_std_points"]
    assert m.difference_stderr < 0.5 * np.hypot(m.stderr, m.baseline_stderr)


def test_metrics_where_nothing_moves_are_numbers() -> None:
    """One minute under a wall of 10 million contracts away from the strike: all paths end at one price."""
    market = make_market(start="2026-01-28T15:59:00")
    book = same_shape(1e7, 6990.0, as_of="2026-01-28T15:59:00")
    result = run(book, 100.0, market=market, measure=Measure(6990.0), **COARSE)
    assert_finite(result)
    assert result["close_std_points"].value == pytest.approx(0.0, abs=1e-6)


# --- the same run in pieces --------------------------------------------------------------------------------


def test_blocks_and_workers_change_no_bit(pinned: SimResult) -> None:
    for workers in (1, 2):
        pieces = run(same_shape(HEAVY), block_paths=1024, workers=workers)
        assert np.array_equal(pieces.close, pinned.close)
        assert np.array_equal(pieces.baseline_close, pinned.baseline_close)
        assert np.array_equal(pieces.sample_paths, pinned.sample_paths)
        assert pieces.status == pinned.status
        for a, b in zip(pieces.metrics, pinned.metrics, strict=True):
            assert (a.value, a.stderr) == pytest.approx((b.value, b.stderr), rel=1e-11, abs=1e-14)


def test_more_paths_keep_the_first_ones(pinned: SimResult) -> None:
    more = run(same_shape(HEAVY), paths=5000, keep_paths=5000)
    assert more.close.shape == (5000,)
    assert np.array_equal(more.close[:BLOCK], pinned.close)
    assert more.sample_paths.shape == (5000, STEPS + 1)
    assert np.array_equal(more.sample_paths[:, -1], more.close)
    assert sum(more.status[k] for k in ("stable", "jump", "capped")) == 5000 * STEPS


def test_seeds(pinned: SimResult) -> None:
    for seed in (2, 1 + 2**32):
        other = run(same_shape(HEAVY), seed=seed)
        assert (other.close != pinned.close).mean() > 0.3  # the rest are pinned in both
        assert (other.baseline_close != pinned.baseline_close).all()
    assert np.array_equal(run(same_shape(HEAVY), seed=1).close, pinned.close)


# --- legal extremes ----------------------------------------------------------------------------------------


def assert_finite(result: SimResult) -> None:
    for metric in result.metrics:
        numbers = [v for v in vars(metric).values() if isinstance(v, float)]
        assert np.isfinite(numbers).all(), metric
    for name in ("close", "baseline_close", "sample_paths", "step_variance", "step_flow_usd_bn"):
        assert np.isfinite(getattr(result, name)).all(), name
    counted = sum(result.status[k] for k in ("stable", "jump", "capped"))
    assert counted == result.close.size * (result.minutes.size - 1)


@pytest.mark.parametrize(
    ("contracts", "strike", "drives", "hedges", "bp_per_usd_bn", "nodes"),
    [
        (1e7, 7000.0, VOL, VOL, 100.0, 128),
        (1e7, 6990.0, VOL, VOL, 100.0, 128),
        (-1e7, 7000.0, VOL, VOL, 100.0, 448),
        (20_000, 7000.0, 0.005, 0.005, 3.0, 128),
        (-20_000, 7000.0, 3.0, 3.0, 3.0, 448),
        (-20_000, 7000.0, 3.0, 0.005, 3.0, 448),
        (20_000, 7000.0, 0.005, 3.0, 3.0, 128),
        pytest.param(20_000, 3500.0, VOL, VOL, 3.0, 128, marks=pytest.mark.slow),
        (-20_000, 10_500.0, VOL, VOL, 3.0, 128),
    ],
)
def test_extremes_end_with_a_status(
    contracts: float, strike: float, drives: float, hedges: float, bp_per_usd_bn: float, nodes: int
) -> None:
    book = same_shape(contracts, strike, vol=hedges)
    result = run(book, bp_per_usd_bn, vol=drives, max_nodes=nodes)
    assert_finite(result)
    if contracts == -1e7:
        assert result.status["paths_capped"] == BLOCK
    elif contracts == 1e7:
        assert (np.abs(result.close - strike) < 1e-6).mean() > 0.95
    if abs(strike / SPOT - 1.0) > 0.4:
        assert np.array_equal(result.close, result.baseline_close)


@pytest.mark.slow
@pytest.mark.parametrize("contracts", [20_000, -20_000])
@pytest.mark.parametrize(("steps", "paths"), [(1, 2), (2, 64), (3, 64), (3000, 16)])
def test_few_and_many_steps(contracts: float, steps: int, paths: int) -> None:
    assert_finite(run(make_book(contracts), steps=steps, paths=paths, keep_paths=paths, max_nodes=1024))


@pytest.mark.slow
def test_a_mixed_book_of_ten_million_contracts() -> None:
    assert_finite(run(make_book([1e7, -1e7, 5e6], [7000.0, 6990.0, 7010.0]), 100.0, **COARSE))


# --- settlements before the end ----------------------------------------------------------------------------


@pytest.mark.parametrize("unwind", ["at_settlement", pytest.param("in_market", marks=pytest.mark.slow)])
@pytest.mark.parametrize("contracts", [20_000, pytest.param(-20_000, marks=pytest.mark.slow)])
def test_a_contract_that_expires_at_noon(contracts: float, unwind: str) -> None:
    """After noon x − X keeps what it had if the hedge is handed over, and is c D(0, S₀) if it is unwound."""
    book = make_book(contracts, expiry="2026-01-28T12:00:00")
    result = run(book, market=make_market(unwind=unwind), **COARSE)
    assert_finite(result)
    assert result.status["capped"] == 0
    noon = int(np.flatnonzero(result.minutes == 150.0)[0])
    offset = np.log(result.sample_paths / result.sample_baseline)
    given_back = bp(3.0) * 100.0 * contracts * ndtr(0.5 * VOL * np.sqrt(DAY * 150 / 390))
    after = offset[:, [noon]] if unwind == "at_settlement" else np.full((BLOCK, 1), given_back)
    assert offset[:, noon + 1 :] == pytest.approx(np.repeat(after, STEPS - noon, axis=1), abs=1e-12)
    spread = np.log(result.sample_paths[:, noon]).std() / np.log(result.sample_baseline[:, noon]).std()
    assert spread < 0.75 if contracts > 0 else spread > 1.2
    pinned = (np.abs(result.sample_paths[:, noon] - 7000.0) < 1e-9).mean()
    v, wall = VOL * np.sqrt(DAY * 150 / 390), bp(3.0) * 100.0 * contracts
    if contracts > 0:
        exact = float(theory.pin_mass(np.log(7000.0), wall, log_spot=np.log(SPOT), total_vol=v)[0])
        assert abs(pinned - exact) < 4.0 * np.sqrt(exact * (1.0 - exact) / BLOCK)
        assert exact > 0.2
    else:
        assert pinned == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("night", [0.0, 0.4])
def test_a_window_over_one_night(night: float) -> None:
    """15:00 to 11:45 the next day, expiry at the first close: no NaN, the night's variance in its place."""
    clock = VarianceClock(overnight=night)
    start, end = "2026-01-28T15:00:00", "2026-01-29T11:45:00"
    market = make_market(start=start, close=end, clock=clock)
    book = make_book(20_000, expiry=CLOSE, as_of=start, clock=clock)
    result = run(book, market=market, **COARSE)
    assert_finite(result)
    at_close = int(np.flatnonzero(np.isclose(result.minutes, 60.0))[0])
    variance = np.diff(np.log(result.sample_baseline), axis=1).var(axis=0)
    expected = np.full(STEPS, VOL**2 * DAY * 5.0 / 390.0)
    expected = np.insert(expected, at_close, VOL**2 * DAY * night) if night else expected
    assert variance == pytest.approx(expected, rel=4.5 * np.sqrt(2.0 / BLOCK))
    offset = np.log(result.sample_paths / result.sample_baseline)[:, at_close:]
    assert np.ptp(offset, axis=1).max() < 1e-12
    assert np.ptp(offset) > 1e-3
    assert (np.abs(result.sample_paths[:, at_close] - 7000.0) < 7.0).mean() > 0.6
