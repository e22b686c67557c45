"""The fundamental price: every model against its closed forms, and what the engine may rely on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr
from scipy.stats import poisson

from gammawall.sim.models import dynamics as core
from gammawall.sim.models.dynamics import GBM, Bachelier, Catalyst
from gammawall.sim.models.heston import Heston
from gammawall.sim.models.jumps import Jumps
from gammawall.sim.sampling.schedule import make_schedule
from gammawall.surfaces.clock import VarianceClock
from gammawall.surfaces.errors import InputError
from tests.helpers.dynamics_runs import (
    CFS,
    DAY_GRID,
    MODELS,
    NEWS,
    Z_LIMIT,
    call_price,
    heston_cf,
    jumps_cf,
    moves,
    run_steps,
    sample,
    shocks,
    z_score,
)
from tests.helpers.sim_runs import DAY, SPOT, STEPS, make_market

# --- closed forms ------------------------------------------------------------------------------------------


def simulated(increments: np.ndarray) -> dict[str, np.ndarray]:
    x = increments.sum(axis=0)
    return {
        "log_return": x,
        "log_return_squared": x * x,
        "price": SPOT * np.exp(x),
        "quadratic_variation": (increments**2).sum(axis=0),
    }


@pytest.mark.parametrize("name", MODELS)
def test_expectations_over_the_run(name: str) -> None:
    found, exact = simulated(sample(name)), MODELS[name].exact(DAY_GRID, SPOT)
    assert {"price"} <= set(exact) <= set(found)
    scores = {key: z_score(found[key], value) for key, value in exact.items()}
    assert max(map(abs, scores.values())) < Z_LIMIT, scores


@pytest.mark.parametrize("name", MODELS)
def test_a_model_slightly_off_would_be_seen(name: str) -> None:
    model = MODELS[name]
    wrong = dataclasses.replace(model, vol=1.05 * model.vol, drift=core.growth(model.drift) + 0.1 * model.vol)
    found, exact = simulated(sample(name)), wrong.exact(DAY_GRID, SPOT)
    if isinstance(model, Bachelier):
        exact = dataclasses.replace(model, drift=3.0).exact(DAY_GRID, SPOT)
    assert max(abs(z_score(found[key], value)) for key, value in exact.items()) > Z_LIMIT


@pytest.mark.parametrize("name", CFS)
def test_the_whole_distribution_by_its_characteristic_function(name: str) -> None:
    x = sample(name).sum(axis=0)
    scores = []
    for u in np.array([0.5, 1.0, 2.0, 3.0]) / x.std():
        value = CFS[name](u)
        scores += [z_score(np.cos(u * x), value.real), z_score(np.sin(u * x), value.imag)]
    assert np.abs(scores).max() < Z_LIMIT


def test_the_option_integral_gives_the_black_price() -> None:
    strike, v = 7050.0, 0.12 * np.sqrt(DAY)
    d = np.log(SPOT / strike) / v + 0.5 * v
    black = SPOT * ndtr(d) - strike * ndtr(d - v)
    assert call_price(CFS["gbm"], strike, v) == pytest.approx(black, rel=1e-9)


def option_scores(name: str, cf: Callable[[Any], Any]) -> np.ndarray:
    x = sample(name).sum(axis=0)
    price, spread = SPOT * np.exp(x), x.std()
    strikes = SPOT * np.exp(spread * np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))
    return np.array(
        [z_score(np.maximum(price - k, 0.0), call_price(cf, k, spread)) for k in strikes.tolist()]
    )


@pytest.mark.parametrize("name", CFS)
def test_option_prices_against_the_characteristic_function(name: str) -> None:
    assert np.abs(option_scores(name, CFS[name])).max() < Z_LIMIT


def test_option_prices_tell_the_sign_of_the_skew() -> None:
    for name, field, cf in (("heston-quarter", "correlation", heston_cf), ("jumps", "mean", jumps_cf)):
        model = MODELS[name]
        mirrored = dataclasses.replace(model, **{field: -getattr(model, field)})
        assert np.abs(option_scores(name, cf(mirrored))).max() > 2.0 * Z_LIMIT


# --- jumps, catalysts, arithmetic prices -------------------------------------------------------------------


def test_jump_counts_have_the_poisson_law() -> None:
    rows = MODELS["jumps-drift-news"].drive(DAY_GRID, SPOT)
    expected = poisson.sf(np.arange(12), 900.0 * DAY_GRID.variance[0])
    seen = expected > 1e-12
    np.testing.assert_allclose(ndtr(-rows["thresholds"][0])[seen], expected[seen], rtol=1e-9)


def test_jumps_have_their_skew_and_kurtosis() -> None:
    m, x = MODELS["jumps"], sample("jumps").sum(axis=0)
    rate, v = m.rate_per_year * DAY, m.std**2
    third = rate * (m.mean**3 + 3.0 * m.mean * v)
    fourth = rate * (m.mean**4 + 6.0 * m.mean**2 * v + 3.0 * v**2)
    total = m.vol**2 * DAY + rate * (m.mean**2 + v)
    centred = x - m.exact(DAY_GRID, SPOT)["log_return"]
    assert abs(z_score(centred**3, third)) < Z_LIMIT
    assert abs(z_score(centred**4, fourth + 3.0 * total**2)) < Z_LIMIT
    assert abs(z_score(centred**3, 0.0)) > Z_LIMIT
    assert abs(z_score(centred**4, 3.0 * total**2)) > Z_LIMIT


@pytest.mark.parametrize(
    ("when", "step"),
    [
        ("2026-01-28T09:30:00.000001", 0),
        ("2026-01-28T13:55", 26),
        ("2026-01-28T14:00", 26),
        ("2026-01-28T16:00", 38),
    ],
)
def test_a_catalyst_moves_the_step_that_contains_it(when: str, step: int) -> None:
    catalyst = Catalyst(pd.Timestamp(when), 0.001, 0.006)
    for model in (GBM(0.12), Bachelier(0.12), MODELS["heston"]):
        news = dataclasses.replace(model, catalysts=(catalyst,))
        assert news.factors == model.factors + 1
        added = moves(news, paths=4096)[1] - moves(model, paths=4096)[1]
        assert np.abs(np.delete(added, step, axis=0)).max() < 1e-15
        assert abs(z_score(np.exp(added[step]), np.exp(0.001))) < Z_LIMIT
        assert abs(z_score((added[step] - added[step].mean()) ** 2, 0.006**2)) < Z_LIMIT


def test_catalysts_of_one_step_add_up_and_one_in_the_night_moves_the_night() -> None:
    market = make_market(close="2026-01-29T16:00:00", clock=VarianceClock(overnight=0.3))
    grid = make_schedule(market, 10)
    times = ("2026-01-29T08:30", "2026-01-29T09:30", "2026-01-29T15:00")
    rows = GBM(0.12, catalysts=tuple(Catalyst(pd.Timestamp(t), -0.01, 0.02) for t in times)).drive(grid, SPOT)
    assert np.flatnonzero(grid.night).tolist() == [5]
    assert np.flatnonzero(rows["catalyst_std"]).tolist() == [5, 10]
    np.testing.assert_allclose(rows["catalyst_mean"][[5, 10]], [-0.02 - 0.02**2, -0.01 - 0.5 * 0.02**2])
    np.testing.assert_allclose(rows["catalyst_std"][[5, 10]], [0.02 * np.sqrt(2.0), 0.02])


def test_the_arithmetic_price_is_normal() -> None:
    z = (np.exp(sample("bachelier").sum(axis=0)) - 1.0) / (0.3 * np.sqrt(DAY))
    for power, value in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)):
        assert abs(z_score(z**power, value)) < Z_LIMIT
    skewed = np.exp(3.0 * sample("bachelier").sum(axis=0))
    assert abs(z_score(((skewed - skewed.mean()) / skewed.std()) ** 3, 0.0)) > Z_LIMIT


def test_gbm_increments_are_drift_plus_spread_times_normal_bit_for_bit() -> None:
    model, z = GBM(0.12), shocks(GBM(0.12), DAY_GRID, np.arange(64), 3)
    rows = model.drive(DAY_GRID, SPOT)
    assert np.array_equal(rows["drift"], (0.0 - 0.5 * 0.12**2) * DAY_GRID.variance)
    assert np.array_equal(rows["std"], 0.12 * np.sqrt(DAY_GRID.variance))
    with jax.enable_x64(True):
        row = {key: jnp.asarray(value[7]) for key, value in rows.items()}
        _, move = model.step((), row, jnp.asarray(z[7]))
    assert np.array_equal(np.asarray(move), rows["drift"][7] + rows["std"][7] * z[7, 0])


# --- what the engine relies on -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_path_is_the_same_whatever_runs_beside_it(name: str) -> None:
    alone = moves(MODELS[name], paths=np.arange(1000, 1064))[1]
    np.testing.assert_allclose(alone, sample(name)[:, 1000:1064], rtol=0.0, atol=1e-14)
    assert np.array_equal(alone, moves(MODELS[name], paths=np.arange(1000, 1064))[1])


@pytest.mark.parametrize("name", MODELS)
def test_derivatives_in_vol_match_bumps_and_vmap_matches_one_at_a_time(name: str) -> None:
    model, bump = MODELS[name], 1e-5 * MODELS[name].vol
    z = shocks(model, DAY_GRID, np.arange(256), 9)
    up, down = (dataclasses.replace(model, vol=model.vol + s * bump) for s in (1.0, -1.0))
    with jax.enable_x64(True):
        rows, high, low = (m.drive(DAY_GRID, SPOT) for m in (model, up, down))
        close = lambda r: jnp.sum(run_steps(type(model), r, jnp.asarray(z), 256)[1], axis=0)  # noqa: E731
        direction = {key: (high[key] - low[key]) / (2.0 * bump) for key in rows}
        value, slope = jax.jvp(close, (rows,), (direction,))
        bumped = (close(high) - close(low)) / (2.0 * bump)
        both = jax.vmap(close)({key: np.stack([rows[key], high[key]]) for key in rows})
        np.testing.assert_allclose(both[0], value, rtol=0.0, atol=1e-14)
        np.testing.assert_allclose(both[1], close(high), rtol=0.0, atol=1e-14)
    wrong = np.abs(np.asarray(slope - bumped)) > 1e-6 * np.abs(bumped).max()
    # Within a bump of the switch between its two laws the next variance is not smooth.
    assert wrong.mean() <= (0.02 if name in ("heston-quarter", "heston-one-factor") else 0.0)
    assert np.isfinite(slope).all()
    assert np.abs(slope).max() > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_numbers_change_without_a_new_compilation(name: str) -> None:
    model = MODELS[name]
    other = dataclasses.replace(model, vol=1.3 * model.vol, drift=-0.2)
    one, two = (m.drive(DAY_GRID, SPOT) for m in (model, other))
    assert {k: v.shape for k, v in one.items()} == {k: v.shape for k, v in two.items()}
    assert all(np.isfinite(v).all() and v.dtype == np.float64 for v in one.values())
    moves(model, paths=512)
    compiled = run_steps._cache_size()
    moves(other, paths=512)
    assert run_steps._cache_size() == compiled


@pytest.mark.parametrize("name", MODELS)
def test_range_holds_what_it_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bound asked to leave out one path in a hundred leaves out fewer, and not none."""
    x = np.cumsum(sample(name), axis=0)
    low, high = MODELS[name].log_range(DAY_GRID, SPOT)
    assert low < x.min() < 0.0 < x.max() < high
    monkeypatch.setattr(core, "_LOG_ODDS", float(np.log(200.0)))
    low, high = MODELS[name].log_range(DAY_GRID, SPOT)
    for outside in ((x < low).any(axis=0).mean(), (x > high).any(axis=0).mean()):
        assert outside < 0.005
    if name != "bachelier-drift-news":  # bounds of the diffusion and of the news, added
        assert ((x < low) | (x > high)).any(axis=0).mean() > 1e-5


def test_range_of_gbm_is_a_little_over_eight_deviations() -> None:
    low, high = GBM(0.12).log_range(DAY_GRID, SPOT)
    assert 8.3 < high / (0.12 * np.sqrt(DAY)) < -low / (0.12 * np.sqrt(DAY)) < 8.5


def test_news_widen_the_range_like_variance_and_move_it_by_their_mean() -> None:
    plain = GBM(np.sqrt(0.12**2 + 0.01**2 / DAY)).log_range(DAY_GRID, SPOT)
    when = NEWS[0].when
    for mean, shift in ((0.0, (0.0, 0.0)), (0.004, (0.0, 0.004)), (-0.004, (-0.004, 0.0))):
        news = GBM(0.12, catalysts=(Catalyst(when, mean, 0.01),)).log_range(DAY_GRID, SPOT)
        np.testing.assert_allclose(np.subtract(news, plain), shift, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_without_variance_does_not_move_the_price(name: str) -> None:
    model = dataclasses.replace(MODELS[name], catalysts=())
    market = make_market(close="2026-01-29T16:00:00")
    grid = make_schedule(market, STEPS - 1, settlements=[pd.Timestamp("2026-01-29T09:30")])
    assert grid.steps == STEPS
    assert grid.variance[grid.night].tolist() == [0.0]
    _, out = moves(model, grid, 256)
    assert np.isfinite(out).all()
    assert np.abs(out[grid.night]).max() < 1e-10
    assert np.abs(out[~grid.night]).max() > 1e-4


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GBM(0.0), "vol must be positive"),
        (lambda: GBM(float("nan")), "vol must be positive"),
        (lambda: GBM(0.12, "up"), 'drift must be "martingale" or a number'),
        (lambda: GBM(0.12, float("inf")), "drift must be finite"),
        (lambda: Bachelier(-0.1), "vol must be positive"),
        (lambda: Jumps(0.12, -1.0, 0.0, 0.1), "rate_per_year must be zero or positive"),
        (lambda: Jumps(0.12, 1.0, 3.0, 0.1), "mean must be a log move"),
        (lambda: Jumps(0.12, 1.0, 0.0, -0.1), "std must be a log move"),
        (lambda: Heston(0.12, -1.0, 0.2, 1.0, 0.0), "mean_reversion must be zero or positive"),
        (lambda: Heston(0.12, 1.0, -0.2, 1.0, 0.0), "long_vol must be zero or positive"),
        (lambda: Heston(0.12, 1.0, 0.2, -1.0, 0.0), "vol_of_vol must be zero or positive"),
        (lambda: Heston(0.12, 1.0, 0.2, 1.0, -1.1), "correlation must be between -1 and 1"),
        (lambda: Catalyst(pd.Timestamp("2026-01-28T14:00"), 0.0, -0.1), "std must be zero or positive"),
        (lambda: Bachelier(1.8).drive(DAY_GRID, SPOT), "arithmetic price with vol 1.8"),
        (lambda: Bachelier(0.12, -220.0).drive(DAY_GRID, SPOT), "below 0.9"),
        (lambda: Jumps(0.12, 2e4, 0.0, 0.1).drive(DAY_GRID, SPOT), "rate_per_year 20000 means 2 jumps"),
        (lambda: Heston(0.12, 2e4, 0.2, 4e4, 0.99).drive(DAY_GRID, SPOT), "take more steps"),
    ],
)
def test_bad_input_is_refused_in_words(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize("when", ["2026-01-28T09:30", "2026-01-28T16:00:01", "2026-01-27T14:00"])
def test_a_catalyst_outside_the_window_is_refused(when: str) -> None:
    news = (Catalyst(pd.Timestamp(when), 0.0, 0.01),)
    for model in (GBM(0.12, catalysts=news), Jumps(0.12, 1.0, 0.0, 0.1, catalysts=news)):
        with pytest.raises(InputError, match="catalyst must fall after the start"):
            model.drive(DAY_GRID, SPOT)
