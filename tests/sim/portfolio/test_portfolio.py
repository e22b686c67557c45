"""Risk of a portfolio against exact laws, by its own errors, and to the cent where sums must be exact."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from gammawall import sim, surfaces
from gammawall.sim import GBM, LinearImpact, Measure, PortfolioRisk, SimConfig
from gammawall.sim.portfolio.repricing import Repricing
from gammawall.sim.portfolio.tail_risk import stderr_of_mean, tail
from gammawall.surfaces.clock import calendar_years
from gammawall.surfaces.errors import InputError
from tests.helpers.portfolio_rows import EARLY, FUTURE, MIXED, MONTH, NOON, STRADDLE, table
from tests.helpers.sim_runs import BLOCK, CLOSE, DAY, NODES, SPOT, START, STEPS, VOL, make_book, make_market

PATHS = 4 * BLOCK
LEVELS = (0.95, 0.99)
SPREAD = VOL * np.sqrt(DAY)


def risk(portfolio: Any, bp_per_usd_bn: float = 3.0, **changes: Any) -> PortfolioRisk:
    """Under one session with a wall at 7,000."""
    own = {name: changes.pop(name) for name in {"rate_pct", "vol_pct", "levels", "worst"} & set(changes)}
    run = {name: changes.pop(name) for name in {"motion", "seed"} & set(changes)}
    sizes = {"paths": PATHS, "steps": STEPS, "block_paths": BLOCK, "keep_paths": 16, "max_nodes": NODES}
    settings: dict[str, Any] = {"levels": LEVELS, **own}
    whole = isinstance(portfolio, pd.DataFrame) and not (portfolio["expiry"] == NOON).any()
    return sim.portfolio_pnl(
        pd.concat([portfolio, EARLY]) if whole else portfolio,
        sim.Experiment(
            make_book([0.0, 20_000.0, 0.0], [6999.0, 7000.0, 7001.0]),
            market=make_market(),
            dynamics=GBM(VOL),
            impact=LinearImpact(bp_per_usd_bn),
            config=SimConfig(**{**sizes, **changes}),
            measure=Measure(7000.0),
            **{"seed": 5, **run},
        ),
        **settings,
    )


def row(found: PortfolioRisk, measure: str, level: float) -> pd.Series:
    chosen = found.summary[(found.summary["measure"] == measure) & (found.summary["level"] == level)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def z(found: PortfolioRisk, measure: str, level: float, exact: float, leg: str = "no_feedback") -> float:
    entry = row(found, measure, level)
    error = entry[f"{leg}_stderr_usd"]
    assert 0.0 < error < 0.1 * abs(exact)
    return (entry[f"{leg}_usd"] - exact) / error


@pytest.fixture(scope="module")
def mixed() -> PortfolioRisk:
    return risk(MIXED)


# --- exact laws --------------------------------------------------------------------------------------------


def gbm_close(u: Any) -> Any:
    """Quantile of the close without hedging."""
    return SPOT * np.exp(-0.5 * SPREAD**2 + SPREAD * norm.ppf(u))


def test_a_future_has_the_lognormal_s_var_and_es_without_feedback():
    found, units = risk(FUTURE), 10 * 50.0
    for level in LEVELS:
        below = 1.0 - level
        shortfall = SPOT * (1.0 - norm.cdf(norm.ppf(below) - SPREAD) / below)
        assert abs(z(found, "VaR", level, units * (SPOT - gbm_close(below)))) < 4.0
        assert abs(z(found, "ES", level, units * shortfall)) < 4.0
        # A law wider by a tenth is told apart.
        assert abs(z(found, "ES", level, 1.1 * units * shortfall)) > 4.0


def test_errors_are_the_asymptotic_ones_of_a_known_law():
    found, units = risk(FUTURE), 10 * 50.0
    for level in LEVELS:
        at = norm.ppf(1.0 - level)
        edge, spread = gbm_close(1.0 - level), np.sqrt(level * (1.0 - level) / PATHS)
        # The density of the close at its quantile; the order statistics around it are that many.
        exact = units * spread * edge * SPREAD / norm.pdf(at)
        few = 4.0 * np.sqrt(level * (1.0 - level) * PATHS)
        stated = row(found, "VaR", level)["no_feedback_stderr_usd"]
        assert abs(stated / exact - 1.0) < 4.0 / np.sqrt(few)
        over = lambda u, power, edge=edge: (edge - gbm_close(u)) ** power  # noqa: E731
        first, second = (quad(over, 1e-13, 1.0 - level, args=(power,))[0] for power in (1, 2))
        exact = units * np.sqrt((second - first**2) / PATHS) / (1.0 - level)
        assert row(found, "ES", level)["no_feedback_stderr_usd"] == pytest.approx(exact, rel=0.25)


@pytest.mark.parametrize("contracts", [10.0, -10.0])
def test_a_future_has_the_exact_law_s_var_and_es_with_feedback(contracts: float):
    found, units = risk(FUTURE.assign(contracts=contracts)), 50.0 * contracts
    law = found.result.law
    assert law is not None
    cdf = lambda x: float(law.cdf(np.array([x]))[0])  # noqa: E731
    quantile = lambda u: brentq(lambda x: cdf(x) - u, *np.log([6000.0, 8000.0]), xtol=1e-13)  # noqa: E731
    for level in LEVELS:
        lower = contracts > 0.0
        edge = quantile(1.0 - level if lower else level)
        # E[S; S beyond the edge] from the law's tail, by parts.
        tail_of = (lambda x: cdf(x) * np.exp(x)) if lower else (lambda x: (1.0 - cdf(x)) * np.exp(x))
        ends = (np.log(6000.0), edge) if lower else (edge, np.log(8000.0))
        beyond = quad(tail_of, *ends, epsabs=1e-12, epsrel=1e-10)[0] / (1.0 - level)
        var = -units * (np.exp(edge) - SPOT)
        assert abs(z(found, "VaR", level, var, "feedback")) < 4.0
        assert abs(z(found, "ES", level, var + abs(units) * beyond, "feedback")) < 4.0
        assert abs(z(found, "VaR", level, var, "no_feedback")) > 4.0


def test_a_short_straddle_has_the_exact_var_and_es():
    found = risk(STRADDLE)
    premium = sum(
        float(surfaces.black_price(SPOT, SPOT, 1.0, SPREAD, is_call=call)) for call in (True, False)
    )
    moved = lambda y: float(  # noqa: E731 - P(|S − K| > y)
        1.0 - norm.cdf((np.log1p(y / SPOT) + 0.5 * SPREAD**2) / SPREAD)
        + norm.cdf((np.log1p(-y / SPOT) + 0.5 * SPREAD**2) / SPREAD)
    )  # fmt: skip
    for level in LEVELS:
        y = brentq(lambda y, level=level: moved(y) - (1.0 - level), 0.0, 1000.0)
        shortfall = y + quad(moved, y, 1500.0)[0] / (1.0 - level)
        assert abs(z(found, "VaR", level, 2000.0 * (y - premium))) < 4.0
        assert abs(z(found, "ES", level, 2000.0 * (shortfall - premium))) < 4.0


@pytest.mark.parametrize("rate", [0.0, 0.05])
def test_a_call_that_lives_on_is_worth_its_price_at_the_close(rate: float):
    rows = table(("call", 30, 7100.0, MONTH, 15.0))
    found, market = risk(rows, rate_pct=100.0 * rate), make_market()

    def value(spot: float, when: pd.Timestamp) -> float:
        years = float(calendar_years(when, pd.DatetimeIndex([market.close]).shift(30, "D"))[0])
        variance = float(market.clock.variance_years(when, pd.Timestamp(MONTH)))
        forward = spot * np.exp(rate * years)
        price = surfaces.black_price(forward, 7100.0, 1.0, 0.15 * np.sqrt(variance))
        return 3000.0 * float(np.exp(-rate * years) * price)

    start = value(SPOT, market.start)
    assert found.positions["start_value_usd"][0] == pytest.approx(start, rel=1e-12)
    loss = lambda u: start - value(float(gbm_close(u)), market.close)  # noqa: E731
    for level in LEVELS:
        below = 1.0 - level
        shortfall = quad(loss, 1e-12, below, epsrel=1e-6)[0] / below
        assert abs(z(found, "VaR", level, loss(below))) < 4.0
        assert abs(z(found, "ES", level, shortfall)) < 4.0
    expected = [value(s, market.close) - start for s in found.result.close[:50]]
    assert found.pnl_usd[:50] == pytest.approx(expected, abs=1e-6)


def test_a_pinned_close_is_an_atom_of_the_loss():
    # Long the straddle where the close pins at its strike on more than 5 % of paths: all of it is lost there.
    found = risk(STRADDLE.assign(contracts=20.0))
    premium = found.positions["start_value_usd"].sum()
    assert (found.result.close == SPOT).mean() > 0.15 or np.isclose(found.result.close, SPOT).mean() > 0.15
    for level in LEVELS:
        for measure in ("VaR", "ES"):
            entry = row(found, measure, level)
            assert entry["feedback_usd"] == pytest.approx(premium, rel=1e-6)
            assert entry["feedback_stderr_usd"] < 1e-6 * premium
            assert entry["no_feedback_usd"] < 0.999 * premium
    assert found.positions["es_feedback_usd"].sum() == pytest.approx(row(found, "ES", 0.99)["feedback_usd"])


# --- settlements inside the window -------------------------------------------------------------------------


def test_a_settlement_inside_the_window_pays_at_the_price_of_its_instant():
    rows = table(
        ("call", 10, 7005.0, NOON, 12.0),
        ("put", -4, 7010.0, "2026-01-28T10:30", 12.0),
        ("future", 2, None, NOON, None),
    )
    found = risk(rows)
    early, noon = (int(np.flatnonzero(found.result.minutes == m)[0]) for m in (60.0, 150.0))
    for pnl, whole in (
        (found.pnl_usd, found.result.sample_paths),
        (found.no_feedback_pnl_usd, found.result.sample_baseline),
    ):
        spot = whole[:, noon]
        paid = 1000.0 * np.maximum(spot - 7005.0, 0.0) - 400.0 * np.maximum(7010.0 - whole[:, early], 0.0)
        expected = paid - found.positions["start_value_usd"].sum() + 100.0 * (spot - SPOT)
        assert pnl[:16] == pytest.approx(expected, abs=1e-6)
        assert np.abs(whole[:, -1] - spot).max() > 10.0


def snapshots(paths: int = PATHS - 1, **more: Any) -> sim.SimResult:
    sizes = {"paths": paths, "steps": STEPS, "keep_paths": 16, "max_nodes": NODES, "block_paths": BLOCK}
    options = {name: more.pop(name) for name in ("snapshots", "checkpoint", "hedging") if name in more}
    return sim.simulate(
        make_book([0.0, 20_000.0, 0.0], [6999.0, 7000.0, 7001.0]),
        market=make_market(),
        dynamics=GBM(VOL),
        impact=LinearImpact(3.0),
        config=SimConfig(**{**sizes, **more}),
        seed=5,
        **options,
    )


@pytest.mark.parametrize("hedging", [None, pytest.param(sim.Clock(30.0), marks=pytest.mark.slow)])
def test_snapshots_are_the_paths_at_their_instants_however_a_run_is_split(tmp_path, hedging: Any):
    when = [NOON, "2026-01-28T10:30", NOON]
    found = snapshots(snapshots=when, hedging=hedging)
    assert found.snapshots.shape == (2, 2, PATHS - 1)
    for place, minute in enumerate((60.0, 150.0)):
        at = int(np.flatnonzero(found.minutes == minute)[0])
        assert np.array_equal(found.snapshots[place, 0, :16], found.sample_paths[:, at])
        assert np.array_equal(found.snapshots[place, 1, :16], found.sample_baseline[:, at])
    kept = tmp_path / "blocks"
    again = snapshots(snapshots=when, hedging=hedging, block_paths=2 * BLOCK, workers=2, checkpoint=kept)
    assert np.array_equal(again.snapshots, found.snapshots)
    for file in sorted(kept.glob("*.npz"))[1:]:
        file.unlink()
    resumed = snapshots(snapshots=when, hedging=hedging, block_paths=2 * BLOCK, checkpoint=kept)
    assert np.array_equal(resumed.snapshots, found.snapshots)
    with pytest.raises(InputError, match="belongs to another run"):
        snapshots(snapshots=when[1:2], hedging=hedging, block_paths=2 * BLOCK, checkpoint=kept)


@pytest.mark.slow
def test_snapshots_change_no_price():
    plain = snapshots()
    assert plain.snapshots.shape == (0, 2, PATHS - 1)
    assert np.array_equal(plain.close, snapshots(snapshots=[NOON]).close)


def test_a_snapshot_outside_the_window_is_refused():
    for when in (START, "2026-01-28T16:01"):
        with pytest.raises(InputError, match="snapshots must lie after the start"):
            snapshots(snapshots=[when])


# --- sums, signs, components -------------------------------------------------------------------------------


def test_components_sum_to_es_and_moves_sum_to_the_pnl(mixed: PortfolioRisk):
    for leg in ("feedback", "no_feedback"):
        total = mixed.positions[f"es_{leg}_usd"].sum()
        assert total == pytest.approx(row(mixed, "ES", 0.99)[f"{leg}_usd"], rel=1e-12)
    worst = mixed.worst_paths
    parts = [f"{n}_usd" for n in ("delta", "gamma", "vol", "vanna", "time", "residual")]
    assert worst[parts].sum(axis=1).to_numpy() == pytest.approx(worst["pnl_usd"].to_numpy(), rel=1e-12)
    assert np.array_equal(np.sort(mixed.pnl_usd)[: len(worst)], worst["pnl_usd"])
    assert np.array_equal(mixed.result.close[worst["path"]], worst["close_points"])
    cost = mixed.cost_of_ignoring_feedback
    legs = [row(mixed, "ES", 0.99)[f"{leg}_usd"] for leg in ("feedback", "no_feedback")]
    assert cost["difference_usd"] == legs[0] - legs[1]


def test_components_are_each_position_s_mean_loss_in_the_tail(mixed: PortfolioRisk):
    beyond = tail(mixed.pnl_usd, 0.99)
    assert -(beyond.weights * mixed.pnl_usd[beyond.rows]).sum() == pytest.approx(beyond.es, rel=1e-12)
    moved = mixed.result.close[beyond.rows] - SPOT
    assert mixed.positions["es_feedback_usd"][0] == pytest.approx((150.0 * moved * beyond.weights).sum())


def test_nothing_held_loses_nothing():
    found = risk(MIXED.assign(contracts=0))
    numbers = found.summary.drop(columns=["measure", "level"])
    assert (numbers == 0.0).all(axis=None)
    assert (found.positions.filter(like="es_") == 0.0).all(axis=None)
    assert (found.ladder["pnl_usd"] == 0.0).all()


def test_the_other_side_has_the_other_tail(mixed: PortfolioRisk):
    other = risk(MIXED.assign(contracts=-MIXED["contracts"]))
    assert np.array_equal(other.pnl_usd, -mixed.pnl_usd)
    n = PATHS
    assert row(other, "VaR", 0.95)["feedback_usd"] == np.sort(mixed.pnl_usd)[int(np.ceil(0.95 * n)) - 1]
    assert other.summary["feedback_usd"][0] == -mixed.summary["feedback_usd"][0]
    assert np.array_equal(other.ladder["pnl_usd"], -mixed.ladder["pnl_usd"])


def test_without_impact_feedback_costs_nothing():
    found = risk(MIXED, bp_per_usd_bn=0.0)
    assert np.array_equal(found.pnl_usd, found.no_feedback_pnl_usd)
    cost = found.cost_of_ignoring_feedback
    assert (cost["difference_usd"], cost["difference_stderr_usd"]) == (0.0, 0.0)


# --- errors ------------------------------------------------------------------------------------------------


def over_seeds(seeds: int, **changes: Any) -> None:
    """Spread over seeds against the stated errors: of VaR, ES, their differences and the parts of ES."""
    runs = [risk(MIXED, seed=100 + s, **changes) for s in range(seeds)]
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for measure in ("VaR", "ES"):
        for name in ("feedback", "difference"):
            entries = [row(r, measure, 0.95 if measure == "VaR" else 0.99) for r in runs]
            values = np.array([e[f"{name}_usd"] for e in entries])
            found[f"{measure} {name}"] = values, np.array([e[f"{name}_stderr_usd"] for e in entries])
    for i in range(len(MIXED)):
        rows = [r.positions.iloc[i] for r in runs]
        values = np.array([r["es_feedback_usd"] for r in rows])
        found[f"part {i}"] = values, np.array([r["es_feedback_stderr_usd"] for r in rows])
    # The ratio of a spread over n seeds to the truth has an error of 1/√(2(n − 1)).
    room = 4.0 / np.sqrt(2.0 * (seeds - 1))
    for name, (values, stated) in found.items():
        ratio = values.std(ddof=1) / np.sqrt((stated**2).mean())
        assert 1.0 - room < ratio < 1.0 + room + 0.1, (name, ratio)
    # Errors that forgot the pairing would be far off.
    gap, legs = found["ES difference"][1], found["ES feedback"][1]
    assert gap.mean() < 0.6 * legs.mean()


@pytest.mark.slow
def test_stated_errors_are_the_spread_over_seeds():
    over_seeds(20, paths=BLOCK)


@pytest.mark.slow
@pytest.mark.parametrize("extra", [{"antithetic": True}, {"sampling": "sobol", "replicates": 16}])
def test_stated_errors_under_variance_reduction(extra: dict[str, Any]):
    over_seeds(60, **extra)


def test_a_mean_s_error_follows_how_the_paths_were_drawn():
    values = np.arange(8.0)
    error = lambda **more: float(stderr_of_mean(values, SimConfig(paths=8, **more)))  # noqa: E731
    assert error() == pytest.approx(values.std(ddof=1) / np.sqrt(8.0))
    pairs = np.array([0.5, 2.5, 4.5, 6.5])
    assert error(antithetic=True) == pytest.approx(pairs.std(ddof=1) / 2.0)
    sobol = SimConfig(paths=4096, sampling="sobol", replicates=4)
    groups = np.repeat([1.0, 2.0, 4.0, 1.0], 1024)
    assert stderr_of_mean(groups, sobol) == pytest.approx(np.std([1, 2, 4, 1], ddof=1) / 2.0)


@pytest.mark.slow
def test_a_surface_in_motion_through_a_whole_run():
    motion = sim.SpotVolBeta(-1.0)
    found = risk(MIXED, motion=motion, paths=BLOCK)
    here = Repricing(found.portfolio, make_market(), motion=motion)
    prices = np.stack([*found.result.snapshots[:, 0], found.result.close])
    assert np.array_equal(here.pnl(prices)[0], found.pnl_usd)
    assert found.worst_paths["vol_usd"].abs().min() > 0.0


@pytest.mark.slow
def test_a_thousand_positions_on_a_hundred_thousand_paths():
    rng, n = np.random.default_rng(3), 1000
    rows = pd.DataFrame(
        {
            "type": rng.choice(["call", "put"], n),
            "contracts": rng.integers(-50, 50, n),
            "strike": np.round(rng.uniform(6500.0, 7500.0, n)),
            "expiry": rng.choice([NOON, CLOSE, MONTH, "2026-03-20T09:30:00"], n),
            "vol_pct": rng.uniform(10.0, 20.0, n),
        }
    )
    began = time.process_time()
    found = risk(rows, paths=100_000)
    assert time.process_time() - began < 60.0
    assert found.positions["es_feedback_usd"].sum() == pytest.approx(row(found, "ES", 0.99)["feedback_usd"])


# --- what is refused ---------------------------------------------------------------------------------------


def test_vols_that_are_not_given_are_the_market_s_and_it_is_said():
    bare = risk(STRADDLE.assign(vol_pct=[None, 12.0]), vol_pct=12.0, paths=BLOCK)
    assert np.array_equal(bare.pnl_usd, risk(STRADDLE, paths=BLOCK).pnl_usd)
    assert "Options without vol_pct, 1 in all, are marked with 12.00 %." in bare.notes
    with pytest.raises(InputError, match="row 1, column vol_pct: is missing"):
        risk(STRADDLE.assign(vol_pct=None))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"levels": ()}, "levels must be one or more"),
        ({"levels": (0.95, 0.95)}, "levels must be one or more different"),
        ({"levels": (95.0,)}, "a level must be a share from 0.5 to below 1"),
        ({"levels": (np.nan,)}, "a level must be a share"),
        ({"levels": (0.9999,)}, "level 0.9999 needs at least 100,000 paths"),
        ({"worst": -1}, "worst must be a whole number"),
    ],
)
def test_bad_choices_are_refused(changes: dict[str, Any], said: str):
    with pytest.raises(InputError, match=said):
        risk(STRADDLE, **changes)


def test_an_expired_contract_is_refused():
    for when in (START, "2026-01-27T16:00:00"):
        with pytest.raises(InputError, match=r"row 2, column expiry: .* is not after the start"):
            risk(STRADDLE.assign(expiry=[CLOSE, when]))
