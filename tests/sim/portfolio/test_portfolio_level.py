"""A portfolio marked with vols whose level moves at random, path by path, against plain repricing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gammawall import sim, surfaces
from gammawall.sim.models.stochastic_level import LEVEL
from gammawall.sim.sampling.noise import FUNDAMENTAL
from tests.helpers.portfolio_rows import MIXED, MONTH, table
from tests.helpers.sim_runs import BLOCK, DAY, NODES, SPOT, STEPS, VOL, draw, make_book, make_market

NU, KAPPA, RHO, SEED = 1.5, 40.0, -0.6, 5
DEALERS = table(("call", 20_000, 7000.0, MONTH, 12.0), ("put", -9_000, 7040.0, MONTH, 12.0))


def risk(portfolio: pd.DataFrame, hedging: Any = None, **sizes: Any) -> sim.PortfolioRisk:
    return sim.portfolio_pnl(
        portfolio,
        sim.Experiment(
            make_book([20_000.0, -9_000.0], [7000.0, 7040.0], is_call=[True, False], expiry=MONTH),
            market=make_market(),
            dynamics=sim.GBM(VOL),
            impact=sim.LinearImpact(3.0),
            hedging=hedging or sim.Clock(30.0),
            motion=sim.StochasticLevel(NU, KAPPA, RHO),
            config=sim.SimConfig(
                **{"paths": BLOCK, "steps": STEPS, "keep_paths": 0, "max_nodes": NODES, **sizes}
            ),
            seed=SEED,
        ),
    )


def drawn_levels(paths: np.ndarray) -> np.ndarray:
    """The level at the close of some paths, by its own recursion."""
    dt, level = DAY / STEPS, np.zeros(paths.size)
    spread = NU * np.sqrt((1.0 - np.exp(-2.0 * KAPPA * dt)) / (2.0 * KAPPA))
    shared = draw(SEED, FUNDAMENTAL, paths, STEPS).astype(float)
    for step in range(STEPS):
        own = draw(SEED, LEVEL, paths, 1, step + 1)[0].astype(float)
        shock = RHO * shared[step] + np.sqrt(1.0 - RHO**2) * own
        level = np.exp(-KAPPA * dt) * level + spread * shock
    return level


def test_every_path_is_marked_at_its_own_level() -> None:
    found, paths = risk(MIXED), np.arange(40)
    left = np.sqrt(float(make_market().clock.variance_years(make_market().close, pd.Timestamp(MONTH))))
    factor = np.exp(drawn_levels(paths))
    assert np.ptp(factor) > 0.05
    for close, pnl in (
        (found.result.close, found.pnl_usd),
        (found.result.baseline_close, found.no_feedback_pnl_usd),
    ):
        spot = close[paths]

        def value(scale: Any, spot: np.ndarray = spot) -> np.ndarray:
            call = surfaces.black_price(spot, 7050.0, 1.0, 0.14 * scale * left)
            put = surfaces.black_price(spot, 6900.0, 1.0, 0.16 * scale * left, is_call=False)
            paid = -2000.0 * np.maximum(spot - 7000.0, 0.0) - 6000.0 * np.maximum(6950.0 - spot, 0.0)
            return -150.0 * (spot - SPOT) + paid + 1000.0 * np.asarray(call) + 2500.0 * np.asarray(put)

        start = found.positions["start_value_usd"].sum()
        assert pnl[paths] == pytest.approx(value(factor) - start, abs=1e-5)
        assert np.abs(pnl[paths] - value(1.0) + start).max() > 10_000.0
    parts = [f"{name}_usd" for name in ("delta", "gamma", "vol", "vanna", "time", "residual")]
    worst = found.worst_paths
    assert worst[parts].sum(axis=1).to_numpy() == pytest.approx(worst["pnl_usd"].to_numpy(), rel=1e-12)
    assert worst["vol_usd"].abs().min() > 0.0
    shortfall = found.summary["feedback_usd"].iloc[-1]
    assert found.positions["es_feedback_usd"].sum() == pytest.approx(shortfall, rel=1e-12)


def options_alone(hedging: Any, **sizes: Any) -> None:
    """The dealers' own options, held by the portfolio: the run tells mean and spread without hedging."""
    found = risk(DEALERS, hedging, **sizes)
    pnl = found.no_feedback_pnl_usd / 1e6
    assert pnl.mean() == pytest.approx(found.result["dealer_pnl_usd_mn"].baseline, abs=1e-6)
    assert pnl.std() == pytest.approx(found.result["dealer_pnl_std_usd_mn"].baseline, rel=1e-7)


def test_the_level_is_the_run_s() -> None:
    options_alone(None)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes",
    [{"antithetic": True}, {"sampling": "sobol", "replicates": 4}, {"paths": 6000, "block_paths": 1024}],
)
def test_the_level_is_the_run_s_however_it_was_drawn(sizes: dict[str, Any]) -> None:
    options_alone(sim.Clearing(), **sizes)
