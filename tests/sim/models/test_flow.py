"""Same-day order flow: what customers do, what dealers are left with, and what hedging does to the price."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtr

from gammawall.sim import (
    GBM,
    Band,
    CharmOnly,
    Clearing,
    Clock,
    LinearImpact,
    Market,
    Measure,
    ObizhaevaWang,
    Orders,
    SimConfig,
    SimResult,
    ZeroDteFlow,
)
from gammawall.sim import simulate as run_simulation
from gammawall.sim.book.rows import LineRows
from gammawall.sim.models.order_flow import PER_STEP, FlowNumbers, flow_numbers
from gammawall.sim.sampling.schedule import Schedule, make_schedule
from gammawall.sim.step.inventory import Inventory, RowsWithInventory, open_inventory, take_orders
from gammawall.surfaces.clock import cumulative_profile
from gammawall.surfaces.errors import InputError
from tests.helpers.sim_runs import DAY, SPOT, STEPS, VOL, bp, draw, make_book, make_market

PATHS = 4096
EMPTY = make_book(1.0).select(np.array([False]))
FLOW = ZeroDteFlow(vol=VOL)


def run(flow: ZeroDteFlow | None, bp_per_usd_bn: float = 3.0, **options: Any) -> SimResult:
    sizes = {"paths": PATHS, "steps": STEPS, "keep_paths": PATHS, "max_nodes": 448}
    config = {name: options.pop(name) for name in list(options) if name in SimConfig.__dataclass_fields__}
    defaults: dict[str, Any] = {
        "book": EMPTY,
        "market": make_market(),
        "dynamics": GBM(VOL),
        "impact": LinearImpact(bp_per_usd_bn),
        "seed": 1,
        "measure": Measure(SPOT),
    }
    chosen = {**defaults, **options}
    return run_simulation(chosen.pop("book"), flow=flow, config=SimConfig(**{**sizes, **config}), **chosen)


def of(result: SimResult, name: str) -> float:
    return result[name].value


# --- customers ---------------------------------------------------------------------------------------------


def volume(flow: ZeroDteFlow, market: Market | None = None, steps: int = 390) -> np.ndarray:
    return flow.volume(make_schedule(market or make_market(), steps))


def test_a_session_brings_the_whole_volume_and_a_part_its_share() -> None:
    assert volume(FLOW).sum() == pytest.approx(2e6, rel=1e-12)
    late = volume(FLOW, make_market(start="2026-01-28T15:00:00"), 60)
    assert late.sum() == pytest.approx(2e6 * (1.0 - cumulative_profile("u_shape", 330 / 390)), rel=1e-12)
    short = volume(FLOW, make_market(start="2026-11-27T09:30:00", close="2026-11-27T13:00:00"), 210)
    assert short.sum() == pytest.approx(2e6 * cumulative_profile("u_shape", 210 / 390), rel=1e-12)
    days = make_market(close="2026-01-30T16:00:00")
    assert volume(FLOW, days, 1170).reshape(3, 390).sum(axis=1) == pytest.approx(np.full(3, 2e6), rel=1e-12)


def test_arrivals_are_u_shaped() -> None:
    per_minute = volume(FLOW)
    midday = per_minute[165:225].mean()
    assert per_minute[:30].mean() > 1.9 * midday
    assert per_minute[-30:].mean() > 1.5 * midday
    assert volume(replace(FLOW, profile="flat")) == pytest.approx(np.full(390, 2e6 / 390), rel=1e-9)


def numbers_of(flow: ZeroDteFlow, step: int, schedule: Schedule | None = None) -> FlowNumbers:
    """Those of one step."""
    whole = flow_numbers(flow, schedule or make_schedule(make_market(), STEPS), SPOT)
    return replace(whole, **{name: getattr(whole, name)[step] for name in PER_STEP if name != "own_rows"})


def ask(flow: ZeroDteFlow, step: int, points: float = 0.0, push: float = 0.0, paths: int = 20_000) -> Any:
    """Purchases of many paths that stand at one price: sums [J, P], puts, Σ puts (K − S₀), share beyond."""
    z = draw(7, 2, np.arange(paths), flow.strikes + 2, section=step)
    y = np.full(paths, np.log1p(points / SPOT), np.float32)
    with jax.enable_x64(True):
        numbers = jax.tree_util.tree_map(jnp.asarray, numbers_of(flow, step))
        found = flow.demand(numbers.for_demand(), jnp.full(paths, push), jnp.asarray(y), jnp.asarray(z))
        assert isinstance(found, Orders)
        return [np.asarray(a, float) for a in found]


def z_score(sample: np.ndarray, expected: Any) -> float:
    return float(
        np.max(np.abs(sample.mean(axis=-1) - expected) / sample.std(axis=-1)) * np.sqrt(sample.shape[-1])
    )


def laplace(flow: ZeroDteFlow, step: int, points: float) -> np.ndarray:
    """Mass of every cell, tails included, written as an integral over strikes in standard distance."""
    left = 1.0 - step / STEPS
    edges = flow.grid(SPOT)[:-1] + 0.5 * flow.strike_step
    z = np.log(edges / (SPOT + points)) / (flow.strike_scale * flow.vol * np.sqrt(DAY * left))
    below = np.where(z < 0.0, 0.5 * np.exp(np.minimum(z, 0.0)), 1.0 - 0.5 * np.exp(-np.maximum(z, 0.0)))
    return np.diff(below, prepend=0.0, append=1.0)


@pytest.mark.parametrize(("step", "points"), [(0, 0.0), (30, 37.0)])
def test_mean_and_variance_of_purchases_by_strike(step: int, points: float) -> None:
    flow = replace(FLOW, imbalance=0.1, call_share=0.6, strikes=41)
    bought, puts, weighted, beyond = ask(flow, step, points)
    mass, contracts = laplace(flow, step, points), volume(flow, steps=STEPS)[step]
    thick = mass > 1e-5
    assert z_score(bought[thick], 0.1 * 100.0 * contracts * mass[thick]) < 4.5
    assert z_score(bought.sum(axis=0), 0.1 * 100.0 * contracts) < 4.0
    assert z_score(bought.sum(axis=0), 0.11 * 100.0 * contracts) > 10.0
    squares = (bought[thick] / 100.0) ** 2
    known = contracts * mass[thick] * (10.0 + 0.01 * contracts * mass[thick])
    assert z_score(squares, known) < 4.5
    assert z_score(puts, 0.4 * 0.1 * 100.0 * contracts) < 4.0
    offsets = flow.grid(SPOT) - SPOT
    assert z_score(weighted, 0.04 * 100.0 * contracts * (mass @ offsets)) < 4.0
    # Puts and calls are independent, so that their sum has the covariance of its puts with them.
    covariance = (puts - puts.mean()) * (bought.sum(axis=0) - bought.sum(axis=0).mean())
    assert z_score(covariance, 0.4 * contracts * 10.0 * 100.0**2) < 4.0
    assert z_score((puts - puts.mean()) ** 2, 0.4 * contracts * 10.0 * 100.0**2) < 4.0
    moment = 0.4 * contracts * 10.0 * 100.0**2 * (mass @ offsets**2)
    assert z_score((weighted - weighted.mean()) ** 2, moment) < 4.0
    ends = np.log((flow.grid(SPOT)[[0, -1]] + [-2.5, 2.5]) / (SPOT + points))
    scale = flow.vol * np.sqrt(DAY * (1.0 - step / STEPS))
    assert beyond == pytest.approx(0.5 * np.exp(-np.abs(ends) / scale).sum(), rel=1e-3)


def test_momentum_buys_calls_after_rises_and_puts_after_falls() -> None:
    flow = replace(FLOW, imbalance=0.01, momentum=0.05)
    contracts = 100.0 * volume(flow, steps=STEPS)[0]
    for push in (2.0, -2.0):
        bought, puts, *_ = ask(flow, 0, push=push)
        calls = bought.sum(axis=0) - puts
        assert z_score(calls, 0.5 * contracts * (0.11 if push > 0.0 else 0.01)) < 4.0
        assert z_score(puts, 0.5 * contracts * (0.01 if push > 0.0 else 0.11)) < 4.0
    assert z_score(ask(flow, 0, push=1000.0)[0].sum(axis=0), 0.5 * contracts * 1.01) < 4.0


# --- dealers' inventory ------------------------------------------------------------------------------------


def a_day(flow: ZeroDteFlow, paths: int = 2048) -> tuple[list[FlowNumbers], list[Inventory], np.ndarray, Any]:
    """Dealers' inventories through a day whose price walks; and what customers bought in all."""
    x = np.log(SPOT) + np.cumsum(VOL * np.sqrt(DAY / STEPS) * draw(3, 0, np.arange(paths), STEPS), axis=0)
    customers, held = [], []
    with jax.enable_x64(True):
        rows = [jax.tree_util.tree_map(jnp.asarray, numbers_of(flow, k)) for k in range(STEPS)]

        @jax.jit
        def fill(n: Any, h: Inventory, x: Any, z: Any) -> Any:
            asked = flow.demand(n.for_demand(), h.push, (x - n.log_spot).astype("f4"), z)
            return take_orders(flow.demand, n, h, x, z), asked

        now = open_inventory(rows[0], paths)
        for k, numbers in enumerate(rows):
            z = draw(7, 2, np.arange(paths), flow.strikes + 2, section=k + 1)
            last = x[k - 1] if k else np.full(paths, np.log(SPOT))
            (now, _), asked = fill(numbers, now, jnp.asarray(last), jnp.asarray(z))
            held.append(now)
            customers.append([np.asarray(a, float) for a in asked])
    return rows, held, x, [sum(asked[i] for asked in customers) for i in range(3)]


def test_dealers_hold_the_other_side_and_a_day_adds_up() -> None:
    flow = replace(FLOW, imbalance=0.03, strikes=21)
    _, held, _, (bought, puts, weighted) = a_day(flow)
    last = held[-1]
    assert np.asarray(last.units) == pytest.approx(-bought, rel=1e-4, abs=1.0)
    assert np.asarray(last.puts) == pytest.approx(-puts, rel=1e-9)
    assert np.asarray(last.puts_strike) == pytest.approx(-weighted, rel=1e-9)
    total = -np.asarray(last.units, float).sum(axis=0) / 100.0
    assert z_score(total, 0.03 * 2e6) < 4.0
    assert z_score(total, 0.031 * 2e6) > 4.0
    assert total.std() == pytest.approx(np.sqrt(2e6 * 10.0), rel=4.0 / np.sqrt(2.0 * total.size))


def test_premiums_are_black_s_and_deltas_are_exact_to_a_fraction_of_a_tick() -> None:
    rows, held, x, _ = a_day(FLOW, paths=1024)
    strikes = np.log(FLOW.grid(SPOT))[:, None]
    for k in (0, 20, 37):
        s = VOL * np.sqrt(DAY * (1.0 - (k + 1) / STEPS))
        units = np.asarray(held[k].units, float)
        exact = (units * ndtr((x[k] - strikes) / s + 0.5 * s)).sum(axis=0) - np.asarray(held[k].puts)
        with jax.enable_x64(True):
            empty = jnp.zeros((2, 0))
            none = LineRows(empty[0], empty[0], empty[0], empty, empty, empty, empty[0], empty[0])
            delta = RowsWithInventory(none, rows[k], held[k]).living(jnp.asarray(x[k]))
        points = bp(3.0) * SPOT * np.abs(np.asarray(delta) - exact)
        assert points.max() < 1e-4
        assert np.abs(exact).max() * bp(3.0) * SPOT > 1.0
    s = VOL * np.sqrt(DAY)
    d = -(strikes - np.log(SPOT)) / s + 0.5 * s
    calls = -np.asarray(held[0].units, float).T @ (SPOT * ndtr(d) - np.exp(strikes) * ndtr(d - s))[:, 0]
    puts = -np.asarray(held[0].puts_strike)
    assert np.asarray(held[0].cash) == pytest.approx(calls + puts, rel=1e-4, abs=2_000.0)
    assert np.abs(calls).mean() > 1e6


_PATTERN = np.zeros(101)
_PATTERN[[48, 50, 53]] = [-3_000.0, -9_000.0, -4_000.0]


def _open_delta() -> float:
    s = VOL * np.sqrt(DAY)
    return float(_PATTERN @ ndtr(np.log(SPOT / FLOW.grid(SPOT)) / s + 0.5 * s))


class Burst(ZeroDteFlow):
    """One order at the open, with as many puts at the money as make it neutral."""

    def volume(self, schedule: Schedule) -> np.ndarray:
        return np.eye(1, schedule.steps)[0]

    @staticmethod
    def demand(numbers: dict[str, Any], push: Any, y: Any, z: Any) -> Any:
        units = numbers["volume"]
        bought = jnp.asarray(_PATTERN, jnp.float32)[:, None] * units + jnp.zeros_like(z[:-2])
        puts = _open_delta() * units + jnp.zeros_like(push)
        return bought, puts, jnp.zeros_like(push), jnp.zeros_like(push)


@pytest.mark.slow
def test_orders_at_the_open_are_a_static_book() -> None:
    """Customers sell a wall in one order: the static map of the same book gives every price."""
    strikes, puts = FLOW.grid(SPOT)[[48, 50, 53, 50]], -_open_delta()
    book = make_book(
        [*-_PATTERN[[48, 50, 53]] - [0.0, puts, 0.0], puts], strikes, is_call=[True, True, True, False]
    )
    static, arrived = run(None, book=book, max_nodes=1024), run(Burst(vol=VOL))
    assert np.abs(arrived.close - static.close).max() < 1e-6
    assert np.abs(arrived.sample_paths - static.sample_paths).max() < 1e-4
    assert static["pin_probability"].difference > 20.0 * static["pin_probability"].difference_stderr
    for name in (
        "dealer_pnl_usd_mn",
        "dealer_pnl_std_usd_mn",
        "gamma_flow_abs_usd_bn",
        "charm_flow_abs_usd_bn",
    ):
        assert of(arrived, name) == pytest.approx(of(static, name), rel=1e-3)
    assert of(arrived, "information_flow_abs_usd_bn") < 1e-3


@pytest.fixture(scope="module")
def sold() -> SimResult:
    """Customers are net buyers."""
    return run(FLOW)


@pytest.mark.slow
def test_without_impact_the_price_is_the_baseline_and_fair_options_earn_nothing() -> None:
    fair = run(replace(FLOW, imbalance=0.05), 0.0)
    assert np.array_equal(fair.sample_paths, fair.sample_baseline)
    assert np.array_equal(fair.close, fair.baseline_close)
    profit = fair["dealer_pnl_usd_mn"]
    assert abs(profit.value) < 4.0 * profit.stderr
    dear = run(replace(FLOW, imbalance=0.05, vol=0.13), 0.0)["dealer_pnl_usd_mn"]
    assert dear.value > 10.0 * dear.stderr
    nobody = run(replace(FLOW, imbalance=0.05), 0.0, hedging=Clearing(0.0))
    assert abs(of(nobody, "dealer_pnl_usd_mn")) < 4.0 * nobody["dealer_pnl_usd_mn"].stderr
    assert of(nobody, "dealer_pnl_std_usd_mn") > 3.5 * of(fair, "dealer_pnl_std_usd_mn")
    assert of(nobody, "information_flow_abs_usd_bn") == of(nobody, "hedge_flow_abs_usd_bn") == 0.0


def test_buyers_excite_sellers_calm(sold: SimResult) -> None:
    bought, even = run(replace(FLOW, imbalance=-0.02)), run(replace(FLOW, imbalance=0.0))
    for name in ("vol_amplification", "last_30min_amplification"):
        assert sold[name].difference > 30.0 * sold[name].difference_stderr
        assert bought[name].difference < -30.0 * bought[name].difference_stderr
    assert sold["vol_amplification"].value > 1.2
    assert bought["vol_amplification"].value < 0.9
    # Random inventories of either sign: 1/(1+g)² is convex in g, and that is all.
    assert abs(even["vol_amplification"].difference) < 0.01
    assert abs(even["close_mean"].difference) < 4.0 * even["close_mean"].difference_stderr
    for result in (sold, bought, even):
        assert result.status["self_financing_residual"] < 1e-9
        assert result.status["capped"] == 0
        assert 0.001 < result.status["flow_beyond_grid"] < 0.01
        assert np.isfinite([v for m in result.metrics for v in (m.value, m.stderr)]).all()
    narrow = run(replace(FLOW, strike_step=1.0), paths=1024)
    assert 0.2 < narrow.status["flow_beyond_grid"] < 0.6


def test_momentum_chasing_makes_returns_persist() -> None:
    for momentum in (0.1, -0.1):
        found = run(replace(FLOW, imbalance=0.0, momentum=momentum))["return_autocorrelation"]
        assert np.sign(momentum) * found.difference > 20.0 * found.difference_stderr


def test_channels_split_the_demand_for_hedges(sold: SimResult) -> None:
    """With half of the book hedged, half is asked for, in every channel."""
    half = run(FLOW, 0.0, hedging=Clearing(0.5))
    full = run(FLOW, 0.0)
    for name in ("information", "gamma", "charm", "hedge"):
        name = f"{name}_flow_abs_usd_bn"
        assert of(half, name) == pytest.approx(0.5 * of(full, name), rel=1e-9)
        assert of(full, name) > 0.5
    assert sold.step_demand_usd_bn.sum(axis=0)[2] == pytest.approx(of(sold, "information_flow_abs_usd_bn"))


@pytest.mark.slow
def test_every_policy_hedges_new_orders_at_once(sold: SimResult) -> None:
    """Beside a book, under transient impact, with antithetic paths."""
    found = run(
        FLOW,
        book=make_book(5_000.0),
        hedging=(Clearing(0.2), Clock(30.0, fraction=0.3), CharmOnly(0.3), Band(0.5, fraction=0.2)),
        impact=ObizhaevaWang(2.0, 2.0, 10.0),
        antithetic=True,
        paths=1024,
    )
    assert found.status["self_financing_residual"] < 1e-9
    assert found.status["capped"] == 0
    name = "information_flow_abs_usd_bn"
    assert of(found, name) == pytest.approx(of(sold, name), rel=0.03)


@pytest.mark.slow
def test_two_sessions_are_two_days_and_finer_steps_hedge_better() -> None:
    """Yesterday's options are gone: both days see the same flow, and fair options earn nothing on either."""
    two = run(FLOW, 0.0, market=make_market(close="2026-01-29T16:00:00"), steps=2 * STEPS)
    one = run(FLOW, 0.0)
    assert np.array_equal(two.sample_paths, two.sample_baseline)
    by_day = two.step_demand_usd_bn.reshape(2, STEPS, -1).sum(axis=1)
    assert by_day[1] == pytest.approx(by_day[0], rel=0.03)
    assert by_day[0] == pytest.approx(one.step_demand_usd_bn.sum(axis=0), rel=0.03)
    profit = two["dealer_pnl_usd_mn"]
    assert abs(profit.value) < 4.0 * profit.stderr
    spread = of(two, "dealer_pnl_std_usd_mn") / of(one, "dealer_pnl_std_usd_mn")
    assert spread == pytest.approx(np.sqrt(2.0), rel=0.1)
    fine = of(run(FLOW, 0.0, steps=2 * STEPS), "dealer_pnl_std_usd_mn")
    assert fine / of(one, "dealer_pnl_std_usd_mn") == pytest.approx(np.sqrt(0.5), rel=0.1)


def test_the_same_run_in_pieces(sold: SimResult) -> None:
    again = run(FLOW, block_paths=2048, workers=1)
    assert np.array_equal(again.sample_paths, sold.sample_paths)
    assert again.status == sold.status
    fewer = run(FLOW, paths=2048)
    assert np.array_equal(fewer.sample_paths, sold.sample_paths[:2048])
    other = run(FLOW, seed=2, paths=1024)
    assert (other.close != sold.close[:1024]).all()


@pytest.mark.slow
def test_no_orders_change_nothing_and_extremes_end_with_a_status() -> None:
    none = run(replace(FLOW, contracts_per_day=0.0), paths=1024)
    assert np.array_equal(none.sample_paths, none.sample_baseline)
    assert of(none, "dealer_pnl_std_usd_mn") == none.status["flow_beyond_grid"] == 0.0
    for flow in (replace(FLOW, contracts_per_day=1e7, imbalance=b) for b in (1.0, -1.0)):
        found = run(flow, 100.0, paths=1024)
        assert np.isfinite([v for m in found.metrics for v in (m.value, m.stderr)]).all()
        assert np.isfinite(found.sample_paths).all()
        assert sum(found.status[k] for k in ("stable", "jump", "capped")) == 1024 * STEPS
        assert (found.status["paths_capped"] == 1024) == (flow.imbalance > 0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vol", 0.0),
        ("vol", np.nan),
        ("contracts_per_day", -1.0),
        ("imbalance", 1.2),
        ("call_share", -0.1),
        ("momentum", 2.0),
        ("trade_contracts", -1.0),
        ("strikes", 100),
        ("strikes", 101.5),
        ("strike_step", 0.0),
        ("strike_scale", -1.0),
        ("profile", "bell"),
    ],
)
def test_bad_parameters_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=name):
        ZeroDteFlow(**{"vol": VOL, name: value})


def test_strikes_below_zero_and_a_window_that_ends_early_are_refused() -> None:
    with pytest.raises(InputError, match="strike_step"):
        run(replace(FLOW, strike_step=200.0))
    with pytest.raises(InputError, match="ends with a session"):
        run(FLOW, market=make_market(close="2026-01-28T15:00:00"))
