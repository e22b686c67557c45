"""Vols whose level moves at random, and a market that stops trading."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gammawall import sim
from gammawall.sim.book.level_rows import at_level, level_rows
from gammawall.sim.book.positions import book_delta, prepare_positions
from gammawall.sim.book.rows import table_rows
from gammawall.sim.engine.prepare import prepare_run
from gammawall.sim.sampling.schedule import make_schedule
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.pricing.black import black_price
from tests.helpers.policy_runs import BP, log_moves, simulate
from tests.helpers.sim_runs import SPOT, VOL, make_book, make_market, same_shape

HALVES = [sim.Clearing(0.5), sim.Clearing(0.5)]
LATER = "2026-01-30T16:00:00"


def later_book() -> Book:
    return make_book([20_000.0, -9_000.0], [7000.0, 7040.0], is_call=[True, False], expiry=LATER)


# --- level -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_delta_between_levels_is_the_books_at_that_level() -> None:
    """The polynomial in the level against the sum over contracts, to six standard deviations."""
    market, motion = make_market(), sim.StochasticLevel(2.0)
    schedule = make_schedule(market, 39)
    case = sim.Experiment(
        later_book(),
        market,
        sim.GBM(VOL),
        impact=sim.LinearImpact(BP),
        config=sim.SimConfig(paths=1024, steps=39),
    )
    run = prepare_run(case)
    positions = prepare_positions(later_book(), market, schedule)
    start = book_delta(positions, run.table.nodes, np.array([0]), settling=False)
    rows = level_rows(table_rows(run.table, start, positions), positions, schedule, motion)
    k, x = 20, np.log(np.array([6900.0, 6981.0, 7003.0, 7075.0]))
    for level in (-0.75, -0.2, 0.0, 0.31, 0.7):
        exact, _ = book_delta(at_level(positions, level), x, np.array([k]), settling=False)
        with jax.enable_x64(True):
            at_step = jax.tree_util.tree_map(jnp.asarray, rows.base)
            pair = type(at_step)(
                nodes=at_step.nodes,
                delta=at_step.delta[k - 1 : k + 1],
                slope=at_step.slope[k - 1 : k + 1],
                strikes=None,
                below=None,
                jump=None,
            )
            here = type(rows)(pair, rows.levels, rows.weights, jnp.full((2, x.size), level))
            found = here.living(jnp.asarray(x))
        assert np.asarray(found) == pytest.approx(exact[0], abs=2e-5 * 100 * 29_000)


@pytest.mark.slow
def test_a_level_that_hardly_moves_is_a_fixed_surface() -> None:
    fixed, moving = simulate(later_book(), HALVES), simulate(later_book(), motion=sim.StochasticLevel(1e-6))
    assert np.abs(fixed.sample_paths - moving.sample_paths).max() < 1e-3
    assert moving["vanna_flow_abs_usd_bn"].value < 1e-5


@pytest.mark.slow
def test_vanna_flow_grows_with_the_vol_of_vol_and_profit_with_long_vega() -> None:
    """Twice the vol of vol, twice the flow; a level correlated with the price and vega at its wing."""
    small, large = (
        simulate(later_book(), motion=sim.StochasticLevel(nu, 0.0, -0.7), keep_paths=0) for nu in (0.5, 1.0)
    )
    ratio = large["vanna_flow_abs_usd_bn"].value / small["vanna_flow_abs_usd_bn"].value
    assert ratio == pytest.approx(2.0, rel=0.05)
    assert large.status["self_financing_residual"] < 1e-12
    # E[V(σ e^ℓ)] − V(σ) of an unhedged book without impact: vega and volga, against quadrature in the level.
    book = make_book([1000.0], [7000.0], expiry=LATER)
    motion = sim.StochasticLevel(3.0)
    run = simulate(
        book, sim.Clock(fraction=0.0), sim.LinearImpact(0.0), motion=motion, paths=16_384, keep_paths=0
    )
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    sd = 3.0 / np.sqrt(252.0)
    levels = np.exp(sd * nodes)
    price = [black_price(SPOT, 7000.0, 3.0 / 252.0, np.sqrt((1 + 2 * v * v) / 3) * VOL) for v in levels]
    # The first session's variance is the fundamental's, the two left are at the final level.
    expected = 1e5 * (np.sum(weights * price) / np.sum(weights) - black_price(SPOT, 7000.0, 3.0 / 252.0, VOL))
    pnl = run["dealer_pnl_usd_mn"]
    assert abs(pnl.value - expected / 1e6) < 4.0 * pnl.stderr


def test_mean_reversion_and_correlation_in_the_numbers() -> None:
    """Var ℓ at the close ν²(1 − e^{−2κT})/(2κ), correlation ρ, from the step's own numbers."""
    schedule = make_schedule(make_market(), 39)
    numbers = sim.StochasticLevel(2.0, 300.0, -0.6).numbers(schedule)
    variance = 0.0
    for kept, shared, own in zip(numbers.kept, numbers.shared, numbers.own, strict=True):
        variance = kept**2 * variance + shared**2 + own**2
    years = schedule.variance.sum()
    assert variance == pytest.approx(4.0 * -np.expm1(-600.0 * years) / 600.0, rel=1e-12)
    assert numbers.shared / np.hypot(numbers.shared, numbers.own) == pytest.approx(-0.6)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((0.0,), "vol_of_vol"), ((1.0, -1.0), "mean_reversion"), ((1.0, 0.0, 1.2), "correlation")],
)
def test_bad_levels_are_refused_by_name(arguments: tuple[float, ...], named: str) -> None:
    with pytest.raises(InputError, match=named):
        sim.StochasticLevel(*arguments)


# --- halts -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def halted() -> sim.SimResult:
    return simulate(same_shape(-60_000), vol=0.8, market=make_market(halts=True), steps=390, paths=2048)


def test_trading_stops_at_the_level_for_a_quarter_of_an_hour(halted: sim.SimResult) -> None:
    level = SPOT * 0.93
    stands = np.abs(halted.sample_paths - level) < 1e-9
    paths = np.flatnonzero(stands.any(axis=1))
    assert paths.size > 100
    assert halted["halt_probability"].value == pytest.approx(paths.size / 2048)
    for path in paths[:50]:
        first = int(np.argmax(stands[path]))
        assert (halted.sample_paths[path, :first] > level).all()
        assert stands[path, first : min(first + 15, 390)].all()
        assert halted.minutes[first] < 355.0 or halted.minutes[first] >= 390.0
    assert halted.status["self_financing_residual"] < 1e-12


@pytest.mark.slow
def test_what_waited_meets_the_market() -> None:
    """A hedge of nothing: after the halt the price is the fundamental price again."""
    result = simulate(same_shape(0.0), vol=0.8, market=make_market(halts=True), steps=390, paths=1024)
    level = SPOT * 0.93
    stands = np.abs(result.sample_paths - level) < 1e-9
    early = np.flatnonzero(stands[:, 100:300].any(axis=1) & ~stands[:, :100].any(axis=1))
    assert early.size > 20
    for path in early[:20]:
        after = int(np.argmax(stands[path])) + 16
        gap = np.log(result.sample_paths[path, after:] / result.sample_baseline[path, after:])
        assert abs(gap[0]) < 1e-12 or result.sample_baseline[path, after] <= SPOT * 0.87


@pytest.mark.slow
def test_a_calm_day_has_no_halt() -> None:
    book = later_book()
    stopped, free = simulate(book, market=make_market(halts=True)), simulate(book, HALVES)
    assert np.array_equal(stopped.sample_paths, free.sample_paths)
    assert stopped["halt_probability"].value == 0.0


@pytest.mark.slow
def test_twenty_percent_ends_the_day() -> None:
    result = simulate(same_shape(0.0), vol=3.0, market=make_market(halts=True), steps=78, paths=1024)
    moves, _ = log_moves(result)
    down = np.abs(result.sample_paths - 0.8 * SPOT) < 1e-9
    for path in np.flatnonzero(down.any(axis=1))[:30]:
        first = int(np.argmax(down[path]))
        assert (moves[path, first:] == 0.0).all()
    assert down.any(axis=1).sum() > 50


@pytest.mark.slow
def test_late_in_the_day_only_the_last_level_stops_trading() -> None:
    """A fall of a quarter at 15:40: no halt of a quarter of an hour, but the end of the day."""
    fall = sim.Catalyst("2026-01-28T15:40:30", float(np.log(0.75)), 0.0)
    result = sim.simulate(
        same_shape(0.0),
        market=make_market(halts=True),
        dynamics=sim.GBM(VOL, catalysts=(fall,)),
        impact=sim.LinearImpact(BP),
        config=sim.SimConfig(paths=1024, steps=390, keep_paths=1024),
    )
    assert result["halt_probability"].value == 1.0
    assert result.close == pytest.approx(np.full(1024, 0.8 * SPOT))


@pytest.mark.slow
def test_customers_wait_while_trading_is_halted() -> None:
    """Half of the volume comes after 11:00, when trading stops for good."""
    fall = sim.Catalyst("2026-01-28T11:00:30", float(np.log(0.75)), 0.0)
    flow = sim.ZeroDteFlow(VOL, 200_000.0, imbalance=0.5, strikes=21)
    bought = [
        sim.simulate(
            same_shape(0.0),
            market=make_market(halts=halts),
            dynamics=sim.GBM(VOL, catalysts=(fall,)),
            impact=sim.LinearImpact(0.0),
            flow=flow,
            config=sim.SimConfig(paths=1024, steps=39, keep_paths=0),
        )["information_flow_abs_usd_bn"].value
        for halts in (True, False)
    ]
    assert bought[0] < 0.7 * bought[1]
