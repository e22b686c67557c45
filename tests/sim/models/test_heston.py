"""Stochastic volatility: the variance, the bias of the step, the moments behind the range."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gammawall.sim.models.dynamics import GBM
from gammawall.sim.models.heston import Heston
from gammawall.sim.sampling.schedule import make_schedule
from tests.helpers.dynamics_runs import (
    CFS,
    DAY_GRID,
    MODELS,
    PATHS,
    Z_LIMIT,
    call_price,
    heston_cf,
    moves,
    sample,
    z_score,
)
from tests.helpers.sim_runs import DAY, SPOT, STEPS, make_market


@pytest.mark.parametrize("name", ["heston", "heston-quarter"])
def test_heston_variance_has_its_mean_and_variance(name: str) -> None:
    m = MODELS[name]
    v, _ = moves(m)
    e, theta = np.exp(-m.mean_reversion * DAY), m.long_vol**2
    mean = theta + (m.vol**2 - theta) * e
    spread = m.vol_of_vol**2 / m.mean_reversion * (1.0 - e) * (m.vol**2 * e + 0.5 * theta * (1.0 - e))
    assert (v >= 0.0).all()
    assert abs(z_score(v, mean)) < Z_LIMIT
    assert abs(z_score((v - mean) ** 2, spread)) < Z_LIMIT
    assert abs(z_score((v - mean) ** 2, 1.1 * spread)) > Z_LIMIT


def test_heston_bias_shows_with_one_step_a_quarter_and_is_gone_with_39() -> None:
    """Calls at 0.5 deviations: 15 %, 4.5 %, 2.1 %, 0.9 % too dear with 1, 2, 4, 8 steps."""
    model = MODELS["heston-quarter"]
    cf, spread = CFS["heston-quarter"], sample("heston-quarter").sum(axis=0).std()
    strikes = SPOT * np.exp(spread * np.array([-1.0, 0.0, 0.5, 1.5]))
    worst = []
    for steps in (1, STEPS):
        x = moves(model, make_schedule(make_market(), steps), seed=6)[1].sum(axis=0)
        payoffs = np.maximum(SPOT * np.exp(x) - strikes[:, None], 0.0)
        scores = [
            z_score(p, call_price(cf, k, spread)) for p, k in zip(payoffs, strikes.tolist(), strict=True)
        ]
        worst.append(np.abs(scores).max())
    assert worst[0] > 2.0 * Z_LIMIT
    assert worst[1] < Z_LIMIT


def test_heston_variance_rises_with_its_normal() -> None:
    """In both laws, so that neighbouring normals give neighbouring paths."""
    model = MODELS["heston-quarter"]
    z = np.stack([np.zeros(2001), np.linspace(-6.0, 6.0, 2001)])
    with jax.enable_x64(True):
        row = {key: jnp.asarray(value[3]) for key, value in model.drive(DAY_GRID, SPOT).items()}
        for start, atom in ((1e-4, True), (10.0, False)):
            after = np.asarray(model.step(jnp.full(2001, start), row, jnp.asarray(z))[0])
            assert (np.diff(after) >= 0.0).all()
            assert (after[:100] == 0.0).all() == atom
            assert after[-1] > 1.1 * start


def test_heston_price_is_a_martingale_whatever_the_step() -> None:
    """The correction makes E[e^{dX}] exact given the variance; without it two steps a quarter miss it."""
    model = MODELS["heston-quarter"]
    _, out = moves(model, make_schedule(make_market(), 2), 2 * PATHS, seed=7)
    for step in np.cumsum(out, axis=0):
        assert abs(z_score(np.exp(step), 1.0)) < Z_LIMIT


@pytest.mark.parametrize("name", ["heston", "heston-quarter", "heston-drift-news"])
def test_heston_moments_agree_with_the_characteristic_function(name: str) -> None:
    model = dataclasses.replace(MODELS[name], drift="martingale", catalysts=())
    u = np.array([-3.0, -0.5, 0.5, 1.0, 1.3, 3.0])
    expected = np.log(heston_cf(model)(-1j * u)).real
    np.testing.assert_allclose(model._cumulant(u, DAY), expected, rtol=1e-7, atol=1e-12)
    # E[e^{uX}] explodes at a power of its own; the bound must not use a number from beyond it.
    with np.errstate(all="ignore"):
        beyond = model._cumulant(np.array([-1e6, 1e6]), DAY)
    assert not np.isfinite(beyond).any()
    h = 0.5
    second = (model._cumulant(np.array([h, -h, 0.0]), DAY) * [1.0, 1.0, -2.0]).sum() / h**2
    exact = model.exact(DAY_GRID, SPOT)
    variance = exact["log_return_squared"] - exact["log_return"] ** 2
    assert second == pytest.approx(variance, rel=0.05)


def test_heston_without_vol_of_vol_is_gbm_path_by_path() -> None:
    heston, gbm = Heston(0.12, 3.0, 0.12, 0.0, 0.0), GBM(0.12)
    paths = np.arange(1000)
    np.testing.assert_allclose(moves(heston, paths=paths)[1], moves(gbm, paths=paths)[1], atol=1e-8)
