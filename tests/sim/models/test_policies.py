"""Hedging policies against their closed forms and against each other (model.md, section 3)."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from gammawall import sim
from gammawall.sim import theory
from gammawall.surfaces.clock import VarianceClock
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.pricing.black import black_price
from tests.helpers.policy_runs import (
    BP,
    UNIT,
    log_moves,
    realised_ratio,
    scale,
    simulate,
    steady_book,
    variance_ratio,
)
from tests.helpers.sim_runs import DAY, SPOT, VOL, make_book, make_market, same_shape

HALVES = [sim.Clearing(0.5), sim.Clearing(0.5)]
"""The whole book, but step by step instead of by the static map."""


# --- clearing ----------------------------------------------------------------------------------------------


SLOW = pytest.mark.slow
OTHER = sim.ObizhaevaWang(BP, 0.0, 30.0)
"""Linear impact by another name, which goes step by step."""


@pytest.mark.parametrize("unwind", ["at_settlement", pytest.param("in_market", marks=pytest.mark.slow)])
def test_step_by_step_agrees_with_the_static_map(unwind: str) -> None:
    """Two solvers and two representations of a book that settles at noon, at the close and later."""
    expiries = ["2026-01-28T16:00:00", "2026-01-28T12:30:00", "2026-02-20T16:00:00"]
    book = make_book([8e3, 6e3, 2e3], [7000.0, 7010.0, 6980.0], is_call=[True, False, True], expiry=expiries)
    market = make_market(unwind=unwind)
    static, stepped = simulate(book, market=market), simulate(book, impact=OTHER, market=market)
    assert np.abs(static.sample_paths - stepped.sample_paths).max() < 1e-3
    names = ("pin_mass", "realised_vol_pct", "gamma_flow_abs_usd_bn", "charm_flow_abs_usd_bn")
    for name in (*names, "dealer_pnl_usd_mn", "dealer_pnl_std_usd_mn"):
        assert stepped[name].value == pytest.approx(static[name].value, rel=1e-4), name
        assert stepped[name].value != 0.0
    assert stepped["dealer_pnl_usd_mn"].baseline != stepped["dealer_pnl_usd_mn"].value


@pytest.mark.slow
def test_the_last_seconds_of_a_short_wall_are_looked_into() -> None:
    """Steps shrink before it settles: .012 as by the static map; .028 if they stayed at ten minutes."""
    book, sizes = make_book([-20_000.0]), {"paths": 16_384, "keep_paths": 0}
    static = simulate(book, impact=sim.LinearImpact(1.0), **sizes)["pin_probability"]
    stepped = simulate(book, impact=sim.ObizhaevaWang(1.0, 0.0, 30.0), **sizes)["pin_probability"]
    assert abs(static.value - stepped.value) < 4.0 * np.hypot(static.stderr, stepped.stderr)
    assert abs(0.028 - stepped.value) > 8.0 * stepped.stderr


@pytest.mark.slow
def test_a_large_book_by_table_agrees_with_the_static_map() -> None:
    """Ninety lines, two expiries, both signs: too many to be summed one by one in every step."""
    strikes = np.arange(6890.0, 7115.0, 5.0)
    size = 900.0 * (1.0 + np.sin(strikes))
    book = make_book(
        np.concatenate([size, size[::-1]]),
        np.tile(strikes, 2),
        expiry=np.repeat(["2026-01-28T16:00:00", "2026-01-30T16:00:00"], strikes.size),
    )
    static, stepped = simulate(book, sim.Clearing()), simulate(book, HALVES)
    gap = np.abs(static.sample_paths - stepped.sample_paths)
    assert stepped.status["table_error_points"] > 0.0
    assert gap.max() < 3.0 * static.status["table_error_points"] + 1e-6
    assert abs(stepped["pin_mass"].value - static["pin_mass"].value) < 1e-12


@pytest.mark.slow
def test_no_impact_and_nobody_leave_the_fundamental_price_bit_for_bit() -> None:
    for hedging, impact in [
        (HALVES, sim.LinearImpact(0.0)),
        (sim.Clock(), sim.LinearImpact(0.0)),
        (sim.Band(0.1), sim.ObizhaevaWang(0.0, 0.0, 10.0)),
        ([sim.NoHedging(), sim.Clock(fraction=0.0)], sim.LinearImpact(BP)),
    ]:
        result = simulate(same_shape(40_000), hedging, impact)
        assert np.array_equal(result.sample_paths, result.sample_baseline)


# --- by the clock ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("feedback", [0.5, -0.5])
@pytest.mark.parametrize("rebalances", [1, *(pytest.param(n, marks=SLOW) for n in (2, 7, 78, 390))])
def test_one_step_late(feedback: float, rebalances: int) -> None:
    """Horizon variance, realised variance 1/(1−g²), autocorrelation −g, and each path by its recursion."""
    minutes = 390.0 / rebalances
    result = simulate(steady_book(feedback), sim.Clock(minutes), steps=rebalances, sample_minutes=minutes)
    assert result.start_feedback == pytest.approx(feedback, rel=3e-3)
    ratio, spread = variance_ratio(result)
    assert ratio == pytest.approx(theory.lag_one_variance(feedback, rebalances), rel=0.02)
    assert abs(ratio - theory.lag_one_variance(feedback, rebalances)) < 4.0 * spread + 0.011 * ratio
    if rebalances >= 78:
        assert realised_ratio(result) == pytest.approx(theory.lag_one_realised_variance(feedback), rel=0.012)
        assert result["return_autocorrelation"].value == pytest.approx(-feedback, abs=0.015)
    r, shock = log_moves(result)
    expected = np.zeros_like(r)
    expected[:, 0] = shock[:, 0]
    for k in range(1, rebalances):
        expected[:, k] = shock[:, k] - feedback * expected[:, k - 1]
    assert np.sqrt(np.mean((r - expected) ** 2) / np.mean(r**2)) < 0.02


@pytest.mark.slow
def test_a_late_hedger_does_not_pin_where_a_continuous_one_does() -> None:
    """The trap of model.md, section 2: lag 1 is a policy, not an integrator."""
    book = same_shape(1.5 * scale() / UNIT / 100.0)
    exact = simulate(book)["pin_probability"].value
    late = [simulate(book, sim.Clock(390.0 / n), steps=n)["pin_probability"].value for n in (39, 390)]
    assert exact > 0.5
    assert max(late) < 0.5 * exact


@pytest.mark.parametrize("minutes", [10.0, 60.0])
def test_trades_fall_on_the_clock(minutes: float) -> None:
    """Between ticks the price is the fundamental price shifted; at a tick the shift moves."""
    result = simulate(steady_book(0.5), sim.Clock(minutes, lag=0), steps=78, paths=1024)
    r, shock = log_moves(result)
    moved = np.abs(r - shock).max(axis=0) > 1e-12
    ticks = np.isclose(np.mod(result.minutes[1:], minutes), 0.0)
    ticks[-1] = True
    assert np.array_equal(moved, ticks)


@pytest.mark.slow
def test_hedging_error_without_impact_falls_with_the_root_of_the_number() -> None:
    """Section 3.9: 6.16/3.63/2.59/1.17 points for 13/39/78/390 rebalances, and the order −½ ± .03."""
    counts = np.array([13, 39, 78, 390])
    found = []
    for n in counts:
        result = simulate(
            make_book(-1.0, SPOT, vol=0.15),
            sim.Clock(390.0 / n, lag=0),
            sim.LinearImpact(0.0),
            vol=0.15,
            steps=int(n),
            paths=16_384,
            keep_paths=0,
        )
        pnl = result["dealer_pnl_usd_mn"]
        assert abs(pnl.value) < 4.0 * pnl.stderr
        found.append(result["dealer_pnl_std_usd_mn"].value * 1e6 / 100.0)
    ratio = np.array(found) / theory.hedging_error_std(SPOT, 0.15, DAY, counts)
    assert ((ratio > 0.93) & (ratio < 1.02)).all()
    assert np.allclose(found, [6.16, 3.63, 2.59, 1.17], rtol=0.025)
    order = np.polyfit(np.log(counts), np.log(found), 1)[0]
    assert order == pytest.approx(-0.5, abs=0.03)


# --- band --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_band_calms_the_day_but_not_the_minute() -> None:
    """Section 3.6 in its units (slope of the delta ½, λ = 1, half width .1): RV .970, variance .450."""
    slope = 0.5 / UNIT
    width = 0.2 * slope * scale() * SPOT / 1e9
    result = simulate(
        steady_book(0.5), sim.Band(width), steps=3900, sample_minutes=0.1, paths=2048, keep_paths=0
    )
    assert realised_ratio(result) == pytest.approx(0.970, rel=0.01)
    assert variance_ratio(result)[0] == pytest.approx(0.450, rel=0.02)


@pytest.mark.slow
def test_a_band_of_no_width_is_continuous_hedging() -> None:
    narrow, exact = simulate(same_shape(40_000), sim.Band(0.0)), simulate(same_shape(40_000), HALVES)
    assert np.abs(narrow.sample_paths - exact.sample_paths).max() < 1e-6


def test_whalley_and_wilmott_width() -> None:
    """At rest on its edge the band leaves ((3/2) cost S Γ²/aversion)^{1/3} unhedged; one step, far strike."""
    book = steady_book(0.5)
    gamma = 0.5 / UNIT / SPOT
    width = np.cbrt(1.5 * 2e-4 * SPOT * gamma**2 / (40.0 / 1e9))
    move = 2.0 * width / gamma
    assert 0.0 < width < 0.5 * gamma * SPOT * scale()
    result = simulate(book, sim.Band(cost_bp=2.0, aversion_per_usd_bn=40.0), sim.LinearImpact(0.0), steps=1)
    traded = result.step_flow_usd_bn[0] * 1e9 / SPOT
    gap = gamma * np.abs(result.baseline_close - SPOT)
    assert traded == pytest.approx(np.maximum(gap - width, 0.0).mean(), rel=0.01)
    assert (gap > width).mean() > 0.3, move


# --- charm only --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alpha", "z0", "stated"),
    [
        pytest.param(0.5, 0.0, 0.18084, marks=pytest.mark.slow),
        pytest.param(1.0, 0.0, 0.32897, marks=pytest.mark.slow),
        (2.0, 0.0, 0.54972),
        pytest.param(4.0, 0.0, 0.79725, marks=pytest.mark.slow),
        pytest.param(1.0, 1.0, 0.21492, marks=pytest.mark.slow),
        pytest.param(4.0, 1.0, 0.62011, marks=pytest.mark.slow),
    ],
)
def test_charm_only_against_avellaneda_and_lipkin(alpha: float, z0: float, stated: float) -> None:
    """On a geometric grid; the formula of full hedging is another law."""
    strike = SPOT * float(np.exp(-z0 * scale()))
    book = make_book(alpha * scale() / UNIT / 100.0, strike)
    sizes: dict[str, Any] = {"measure": sim.Measure(strike), "keep_paths": 0}
    result = simulate(book, sim.CharmOnly(), steps=100, geometric=0.05, **sizes)
    pinned = result["pin_mass"]
    expected = float(theory.charm_only_pin_probability(alpha, z0))
    assert expected == pytest.approx(stated, abs=1e-5)
    assert abs(pinned.value - expected) < 4.0 * pinned.stderr
    assert result.status["capped"] == 0
    if alpha >= 2.0:
        clearing = float(
            theory.pin_mass(np.log(strike), alpha * scale(), log_spot=np.log(SPOT), total_vol=scale())[0]
        )
        assert abs(clearing - expected) > 4.0 * pinned.stderr


def test_charm_of_a_short_wall_repels() -> None:
    sizes: dict[str, Any] = {"steps": 100, "geometric": 0.05, "keep_paths": 0}
    short = simulate(make_book(-10_000.0), sim.CharmOnly(), **sizes)["pin_probability"]
    long = simulate(make_book(10_000.0), sim.CharmOnly(), **sizes)["pin_probability"]
    assert short.difference < -4.0 * short.difference_stderr
    assert long.difference > 4.0 * long.difference_stderr


# --- signs and sums ----------------------------------------------------------------------------------------


POLICIES = [sim.Clearing(), sim.Clock(10.0), sim.Clock(10.0, lag=0), sim.Band(0.05), HALVES]
CHEAP = {
    ("clearing", "linear"),
    ("clock", "power"),
}
"""Pairs that every run tries; each is a compilation of its own."""
IMPACTS = [
    sim.LinearImpact(BP),
    sim.ObizhaevaWang(1.0, 2.0, 30.0),
    sim.PowerLaw(BP, 0.8, 0.1),
    lambda usd_bn, minutes: BP * 1e-4 * usd_bn,
]


PAIRS = [
    pytest.param(policy, impact, id=f"{p}-{i}", marks=() if (p, i) in CHEAP else SLOW)
    for p, policy in zip(["clearing", "late", "clock", "band", "groups"], POLICIES, strict=True)
    for i, impact in zip(["linear", "transient", "power", "function"], IMPACTS, strict=True)
]


@pytest.mark.parametrize(("hedging", "impact"), PAIRS)
def test_long_gamma_trades_against_the_move_and_short_gamma_with_it(hedging: Any, impact: Any) -> None:
    """sign(trade · move) = −sign(gamma): the hedge's push, set against this shock and the last."""
    pushes = []
    for feedback in (0.4, -0.4):
        result = simulate(steady_book(feedback), hedging, impact, paths=1024)
        r, shock = log_moves(result)
        push = r - shock
        late = isinstance(hedging, sim.Clock) and hedging.lag == 1
        cause = r[:, :-1] if late else shock[:, 1:]
        pushes.append((push[:, 1:] * cause).sum())
        realised = result["realised_vol_pct"]
        if not late and not isinstance(hedging, sim.Clock):
            assert np.sign(realised.difference) == -np.sign(feedback)
        variance, _ = variance_ratio(result)
        assert variance < 1.0 if feedback > 0 else variance > 1.0
    assert pushes[0] < 0.0 < pushes[1]


def test_accounts_close_in_every_policy() -> None:
    mixed = [sim.Clearing(0.3), sim.Clock(10.0, fraction=0.3), sim.Band(0.1, fraction=0.4)]
    for hedging in (*POLICIES, mixed):
        result = simulate(same_shape(30_000), hedging, market=make_market(fee_bp=0.5))
        assert result.status["self_financing_residual"] < 1e-12
        # Groups that trade against each other pay fees on more than their net flow.
        fees = 0.5e-4 * result["hedge_flow_abs_usd_bn"].value * 1e3
        assert result["hedge_fees_usd_mn"].value == pytest.approx(fees, rel=0.01) or hedging is mixed
        assert result["hedge_fees_usd_mn"].value > 0.99 * fees


@pytest.mark.slow
@pytest.mark.parametrize("hedging", [None, HALVES, sim.Clock(10.0)], ids=["static", "stepped", "clock"])
def test_a_hedged_book_earns_the_difference_of_its_values(hedging: Any) -> None:
    """Without impact E[profit] of a book hedged at 12 % that lives at 16 % is V(16 %) − V(12 %): hedges gain
    nothing on average. Control: it is not zero."""
    book = make_book([300.0, -100.0], [7000.0, 7030.0], is_call=[True, False])
    result = simulate(book, hedging, sim.LinearImpact(0.0), vol=0.16, paths=16_384, keep_paths=0)
    args = (SPOT, np.array([7000.0, 7030.0]), DAY)
    call = np.array([True, False])
    gained = black_price(*args, 0.16, is_call=call) - black_price(*args, VOL, is_call=call)
    expected = 100.0 * float(np.sum(np.array([300.0, -100.0]) * gained)) / 1e6
    pnl = result["dealer_pnl_usd_mn"]
    assert abs(pnl.value - expected) < 4.0 * pnl.stderr
    assert abs(expected) > 20.0 * pnl.stderr


@pytest.mark.slow
@pytest.mark.parametrize("feedback", [0.5, -0.4])
def test_gamma_profit_with_feedback(feedback: float) -> None:
    """½ Γ S² σ² (1/(1+g) − 1) T for continuous hedgers of constant gamma.

    The options earn ½ Γ S² (σ/(1+g))² T and lose the same at σ; the hedges are filled half-way between the
    price before and after them, g of the realised variance better than at the price after. Control: without
    that share of the fills the number is another.
    """
    result = simulate(steady_book(feedback), steps=390, keep_paths=0, paths=8192)
    worth = 0.5 * feedback / UNIT * SPOT * VOL**2 * DAY / 1e6
    pnl = result["dealer_pnl_usd_mn"]
    assert abs(pnl.value - worth * (1.0 / (1.0 + feedback) - 1.0)) < 4.0 * pnl.stderr + 0.005 * abs(worth)
    assert abs(pnl.value - worth * ((1.0 + feedback) ** -2 - 1.0)) > 8.0 * pnl.stderr


EXTREMES = [(1e7, 7000.0, 100.0), (-1e7, 7000.0, 100.0), (1e7, 6990.0, 1e4), (-2e4, 7000.0, 3.0)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hedging", "impact"),
    [
        pytest.param(policy, impact, marks=() if (k, impact) == (2, "linear") else SLOW)
        for k, policy in enumerate(POLICIES[1:])
        for impact in ("linear", "transient", "power")
    ],
)
def test_extremes_end_with_a_status(hedging: Any, impact: str) -> None:
    """λ = 100 and more, ten million contracts, one minute to expiry: a status for every path-step, no NaN."""
    market = make_market(start="2026-01-28T15:59:00")
    for contracts, strike, bp in EXTREMES:
        force = {
            "linear": sim.LinearImpact(bp),
            "transient": sim.ObizhaevaWang(bp, bp, 1.0),
            "power": sim.PowerLaw(bp, 0.5, 1.0),
        }[impact]
        book = make_book(contracts, strike, as_of="2026-01-28T15:59:00")
        result = simulate(book, hedging, force, market=market, paths=256, steps=12)
        numbers = [v for m in result.metrics for v in vars(m).values() if isinstance(v, float)]
        assert np.isfinite(numbers).all()
        assert np.isfinite(result.sample_paths).all()
        counted = sum(result.status[k] for k in ("stable", "jump", "capped"))
        assert counted == 256 * (result.minutes.size - 1)


@pytest.mark.slow
def test_errors_of_the_mean_fall_with_the_root_of_the_paths() -> None:
    """Order −½ ± .05 of the stated standard error, which is the actual spread over seeds."""
    counts = np.array([1024, 4096, 16_384])
    book, exact = same_shape(30_000), simulate(same_shape(30_000), paths=65_536, keep_paths=0)
    for name in ("pin_probability", "realised_vol_pct"):
        spread, stated = [], []
        for n in counts:
            found = [
                sim.simulate(
                    book, market=make_market(), dynamics=sim.GBM(VOL), impact=sim.LinearImpact(BP),
                    config=sim.SimConfig(paths=int(n), steps=39, keep_paths=0, block_paths=4096),
                    seed=100 + i, measure=sim.Measure(7000.0),
                )[name]
                for i in range(24)
            ]  # fmt: skip
            values = np.array([m.value for m in found])
            spread.append(np.sqrt(np.mean((values - exact[name].value) ** 2)))
            stated.append(np.mean([m.stderr for m in found]))
            assert 0.6 < spread[-1] / stated[-1] < 1.5, (name, n)
        assert np.polyfit(np.log(counts), np.log(stated), 1)[0] == pytest.approx(-0.5, abs=0.05), name
        assert np.polyfit(np.log(counts), np.log(spread), 1)[0] == pytest.approx(-0.5, abs=0.25), name


class Late:
    """A policy of a user's own: half of the hedge, at the price before anyone trades."""

    fraction = 1.0
    self_consistent = False

    def numbers(self, schedule: Any, spot: float) -> dict[str, Any]:
        return {}

    @staticmethod
    def trade(numbers: Any, hedge: Any, view: Any, x: Any) -> Any:
        return -(view.delta(view.price) + hedge)


@pytest.mark.slow
def test_a_policy_of_the_users_own_starts_hedged() -> None:
    own = simulate(steady_book(0.3), Late())
    clock = simulate(steady_book(0.3), sim.Clock(1.0, lag=0))
    assert np.abs(own.sample_paths - clock.sample_paths).max() < 1e-9
    assert own["max_feedback"].value == pytest.approx(clock["max_feedback"].value)


@pytest.mark.slow
def test_a_function_is_the_power_it_spells_out_also_over_a_night() -> None:
    market = make_market(close="2026-01-29T16:00:00", clock=VarianceClock(overnight=0.3))
    book = make_book(2e4, expiry="2026-01-30T16:00:00")
    power = simulate(book, impact=sim.PowerLaw(BP, 0.5), market=market, steps=26, paths=1024)
    own = simulate(
        book,
        impact=lambda q, m: BP * 1e-4 * m * jnp.sign(q) * jnp.sqrt(jnp.abs(q) / m),
        market=market,
        steps=26,
        paths=1024,
    )
    assert np.isfinite(own.sample_paths).all()
    assert np.abs(own.sample_paths - power.sample_paths).max() < 1e-3
    assert own.status["capped"] == 0


def test_what_is_no_number_is_counted_and_the_price_stands() -> None:
    impact = sim.FunctionImpact(lambda q, m: jnp.where(jnp.abs(q) > 0.05, jnp.nan, BP * 1e-4 * q), BP)
    result = simulate(same_shape(40_000), sim.Clock(30.0), impact, paths=1024)
    assert np.isfinite(result.sample_paths).all()
    assert result.status["capped"] > 0


@pytest.mark.slow
def test_the_last_half_hour_of_long_sampling_intervals() -> None:
    result = simulate(steady_book(0.0), sim.NoHedging(), steps=390, sample_minutes=130.0, paths=4096)
    vol = result["last_30min_vol_pct"]
    assert abs(vol.value - 12.0) < 4.0 * vol.stderr


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: sim.Clock(0.0), "minutes"),
        (lambda: sim.Clock(1.0, lag=2), "lag"),
        (lambda: sim.Band(-0.1), "width_usd_bn"),
        (lambda: sim.Band(), "width_usd_bn"),
        (lambda: sim.Band(0.1, cost_bp=1.0, aversion_per_usd_bn=1.0), "either"),
        (lambda: sim.Band(cost_bp=0.0, aversion_per_usd_bn=1.0), "cost_bp"),
        (lambda: sim.CharmOnly(1.5), "fraction"),
        (lambda: sim.Clearing(-0.1), "fraction"),
        (lambda: simulate(steady_book(0.1), [sim.Clearing(0.7), sim.Clock(fraction=0.7)]), "add up"),
        (lambda: simulate(steady_book(0.1), []), "add up"),
        (lambda: sim.LinearImpact(-1.0), "bp_per_usd_bn"),
        (lambda: sim.LinearImpact(float("nan")), "bp_per_usd_bn"),
        (lambda: sim.ObizhaevaWang(1.0, -1.0, 5.0), "transient_bp_per_usd_bn"),
        (lambda: sim.ObizhaevaWang(1.0, 1.0, 0.0), "half_life_min"),
        (lambda: sim.PowerLaw(1.0, 0.0), "exponent"),
        (lambda: simulate(steady_book(0.1), impact=3.0), "impact"),
        (lambda: simulate(steady_book(0.1), impact=lambda q, m: -q), "move the price up"),
        (lambda: simulate(steady_book(0.1), "clearing"), "hedging must be a policy"),
        (lambda: simulate(make_book(np.ones(60), np.linspace(6900, 7100, 60)), geometric=0.1), "48 lines"),
        (lambda: sim.SimConfig(geometric=0.9), "geometric"),
        (lambda: sim.SimConfig(paths=3, antithetic=True), "even"),
    ],
)
def test_bad_parameters_are_refused_by_name(make: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        make()
