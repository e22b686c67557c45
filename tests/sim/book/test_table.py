"""The tabulated book delta and its inverse against the book summed contract by contract with scipy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

from gammawall.sim import theory
from gammawall.sim.book.positions import book_delta, prepare_positions, settled_delta
from gammawall.sim.book.table import LOOK_UP, SEARCH, SETTLE
from gammawall.sim.book.table_error import table_error
from gammawall.sim.sampling.schedule import make_schedule
from gammawall.sim.step.clearing import first_root, inverse_lookup
from gammawall.surfaces.clock import VarianceClock, calendar_years
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError
from tests.helpers.sim_runs import CLOSE, DAY, SPOT, START, STEPS, VOL, make_book, make_market, make_table

X0 = float(np.log(SPOT))
LATER = ["2026-01-29T16:00:00", "2026-01-30T16:00:00", "2026-02-20T09:30:00"]


def brute_delta(book: Book, spot: np.ndarray, instant: pd.Timestamp, clock: VarianceClock) -> np.ndarray:
    """Spot deltas of Black-76 contract by contract, index units; rates as the book has them."""
    total = np.zeros(spot.size)
    for expiry in book.expiry.unique():
        if expiry < instant:
            continue
        left = float(calendar_years(instant, expiry)) / float(calendar_years(book.as_of, expiry))
        share = clock.variance_years(instant, expiry) / clock.variance_years(book.as_of, expiry)
        for i in np.flatnonzero(book.expiry == expiry):
            s = book.vol[i] * np.sqrt(book.variance_years[i] * share)
            discount, carry = book.discount[i] ** left, book.carry[i] ** left
            if s > 1e-12:
                call = ndtr(np.log(carry * spot / book.strike[i]) / s + 0.5 * s)
            else:
                call = (spot > book.strike[i]).astype(float)
            held = call if book.is_call[i] else call - 1.0
            total += book.contracts[i] * book.multiplier * discount * carry * held
    return total


def chain_book(strikes: int, expiries: int, later_strikes: int | None = None, **fields: Any) -> Book:
    """Calls and puts, long and short; some share strike, expiry and vol."""
    rng = np.random.default_rng(0)
    days = pd.bdate_range("2026-01-28", periods=expiries) + pd.Timedelta(hours=16)
    days = [str(d) for d in days if d.date() != pd.Timestamp("2026-02-16").date()]
    rows = []
    for i, day in enumerate(days):
        count = strikes if i == 0 else later_strikes or strikes
        rows += [(SPOT + 5.0 * (j - count // 2), day, call) for j in range(count) for call in (True, False)]
    k, day, call = (np.array(column) for column in zip(*rows, strict=True))
    smile = 0.12 + 1e-4 * np.abs(k - SPOT) / 5.0 + 0.002 * (call & (k % 2 == 0))
    return make_book(rng.normal(0.0, 60.0, k.size).round(), k, vol=smile, is_call=call, expiry=day, **fields)


@pytest.mark.parametrize("profile", ["flat", "u_shape"])
def test_sum_over_merged_positions_against_scipy(profile: str) -> None:
    """Several chunks; calls and puts of one strike, their vols equal or not; rate and carry."""
    clock = VarianceClock(profile)
    book = chain_book(40, 4, rate=0.05, carry_rate=0.03, clock=clock)
    market = make_market(clock=clock)
    schedule = make_schedule(market, STEPS)
    positions = prepare_positions(book, market, schedule)
    assert len(book) > positions.group.size > 128
    x = np.log(np.linspace(6850.0, 7150.0, 61) + 0.37)
    for k in (0, 17, STEPS - 1, STEPS):
        found, slope = book_delta(positions, x, np.array([k]))
        expected = brute_delta(book, np.exp(x), schedule.instants[k], clock)
        assert found[0] == pytest.approx(expected, abs=1e-10 * np.abs(book.contracts).sum() * 100)
        if k < STEPS:
            higher, _ = book_delta(positions, x + 1e-6, np.array([k]))
            lower, _ = book_delta(positions, x - 1e-6, np.array([k]))
            assert slope[0] == pytest.approx((higher - lower)[0] / 2e-6, rel=1e-4, abs=10.0)


def test_a_book_valued_earlier_keeps_vols_and_rates() -> None:
    fields: dict[str, Any] = {"expiry": "2026-03-20T16:00:00", "rate": 0.05, "carry_rate": 0.02}
    market = make_market()
    schedule = make_schedule(market, 4)
    x = np.array([X0 - 0.01, X0, X0 + 0.02])
    now = prepare_positions(make_book(-900, 7010.0, **fields), market, schedule)
    early = prepare_positions(
        make_book(-900, 7010.0, as_of="2026-01-05T12:00:00", **fields), market, schedule
    )
    for k in (0, 3):
        here, there = (book_delta(p, x, np.array([k]))[0] for p in (now, early))
        assert there == pytest.approx(here, rel=1e-10)


def test_an_empty_book_has_no_delta() -> None:
    empty = make_book(1.0).select(np.array([False]))
    table, positions, _ = make_table(empty, 3.0, STEPS, max_nodes=128)
    assert (np.asarray(table.delta) == 0.0).all()
    assert (table.kind[:-1] == LOOK_UP).all()
    assert table.close_increasing
    assert settled_delta(positions)[0].size == 0


def test_nothing_is_left_at_settlement_whatever_the_rounding() -> None:
    """Expiry at the next open with no variance overnight: the clock's sums leave 1e-16 without care."""
    start = "2026-01-27T09:43:39"
    market = make_market(start=start)
    schedule = make_schedule(market, 1974)
    book = make_book(1.0, expiry="2026-01-29T09:30:00", as_of=start)
    assert prepare_positions(book, market, schedule).settles_at_close.all()


def test_expired_positions_are_refused() -> None:
    book = make_book(1.0, expiry="2026-01-28T12:00:00")
    market = make_market(start="2026-01-28T12:00:00")
    schedule = make_schedule(market, 4)
    with pytest.raises(InputError, match="not after the start"):
        prepare_positions(book, market, schedule)


def price_errors(table: Any, positions: Any, k: int, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Price error in points of the table at step k where the root is unique, and dM/dx there."""
    c = float(table.impact)
    with jax.enable_x64(True):
        if table.kind[k - 1] == LOOK_UP:
            coefficients = jnp.asarray(table.inverse[k - 1])
            x = np.asarray(inverse_lookup(jnp.asarray(y), table.y_first, table.y_width, coefficients, c)[0])
        else:
            row = [jnp.asarray(a) for a in (table.nodes, table.delta[k - 1], table.slope[k - 1])]
            x = np.asarray(first_root(jnp.asarray(y), jnp.asarray(y), *row, c)[0])
    z = x.copy()
    for _ in range(8):  # Newton from the table's price: stays on its root
        d, s = book_delta(positions, z, np.array([k]))
        z = z - (z + c * d[0] - y) / (1.0 + c * s[0])
    slope = 1.0 + c * book_delta(positions, z, np.array([k]))[1][0]
    return np.abs(x - z) * SPOT, slope


@pytest.mark.parametrize(
    ("contracts", "strikes", "expiry", "bp_per_usd_bn"),
    [
        ([20_000], [7000.0], [CLOSE], 3.0),
        ([60_000], [6990.0], [CLOSE], 6.0),
        ([9_000, -6_000, 18_000], [7000.0, 7020.0, 6980.0], [CLOSE, CLOSE, LATER[2]], 3.0),
        ([20_000, -30_000], [7000.0, 6990.0], LATER[:2], 3.0),
        pytest.param([-20_000], [7000.0], [CLOSE], 3.0, marks=pytest.mark.slow),
    ],
    ids=["wall", "heavy", "mixed", "far", "short"],
)
def test_reported_error_bounds_the_real_one(
    contracts: list[float], strikes: list[float], expiry: list[str], bp_per_usd_bn: float
) -> None:
    table, positions, schedule = make_table(
        make_book(contracts, strikes, expiry=expiry), bp_per_usd_bn, STEPS, max_nodes=448
    )
    reported = table_error(table, positions, schedule, SPOT)
    rng = np.random.default_rng(4)
    worst, checked = 0.0, 0
    for k in range(1, STEPS):
        shift = float(table.impact * table.start_delta)
        y = X0 + shift + VOL * np.sqrt(DAY * k / STEPS) * rng.uniform(-4.0, 4.0, 448)
        gap, slope = price_errors(table, positions, k, y)
        clear = slope > 0.1  # nearer to a fold the root is as uncertain as the fold
        worst, checked = max(worst, gap[clear].max()), checked + clear.sum()
    assert checked > 0.9 * 448 * (STEPS - 1)
    assert worst <= 1.3 * reported
    assert reported < 0.2
    if contracts[0] > 0:
        assert reported < 2e-3


@pytest.mark.slow
def test_the_inverse_is_left_before_the_map_folds() -> None:
    """At 10-minute steps the slope of the map passes through 0.3, 0.2 and 0.02 before it folds."""
    table, positions, _ = make_table(make_book(-20_000), 3.0, STEPS, max_nodes=448)
    lowest = 1.0 + float(table.impact) * np.array(
        [
            book_delta(positions, np.linspace(X0 - 2e-3, X0 + 2e-3, 401), np.array([k]))[1].min()
            for k in range(1, STEPS)
        ]
    )
    near = (lowest < 0.4) & (lowest > 0.0)
    assert near.sum() >= 3
    assert not (table.kind[:-1][near] == LOOK_UP).any()
    assert (table.kind[:-1][lowest > 0.6] != SEARCH).all()
    for k in np.flatnonzero(near) + 1:
        y = X0 + float(table.impact * table.start_delta) + np.linspace(-0.01, 0.01, 448)
        gap, slope = price_errors(table, positions, int(k), y)
        assert gap[slope > 0.3].max() < 3e-3


@pytest.mark.parametrize("bp_per_usd_bn", [1.0, 3.0])
def test_a_short_strike_at_the_money_folds_at_its_time(bp_per_usd_bn: float) -> None:
    """Where the steepest feedback on the grid passes −1; its inverse square is linear in time."""
    table, positions, schedule = make_table(make_book(-20_000), bp_per_usd_bn, 390, max_nodes=128)
    expected = theory.fold_time(theory.log_wall(20_000, SPOT, bp_per_usd_bn), VOL) / DAY * 390.0
    left = schedule.minutes[-1] - schedule.minutes[1:-1]
    near = np.flatnonzero(np.abs(left - expected) < 4.0)
    x = X0 + np.linspace(-1e-4, 1e-4, 65)
    steepest = float(table.impact) * book_delta(positions, x, near + 1)[1].min(axis=1)
    found = np.interp(1.0, steepest[::-1] ** -2.0, left[near][::-1])
    assert found == pytest.approx(expected, rel=0.01)
    folded = np.array([(np.diff(table.nodes + table.impact * row) < 0.0).any() for row in table.delta[:-1]])
    assert not folded[left > expected].any()


@pytest.mark.parametrize("steps", [14, 18, STEPS])
@pytest.mark.parametrize("profile", ["flat", "u_shape"])
def test_far_expiries_between_their_instants(steps: int, profile: str) -> None:
    """Their delta is interpolated in time; the sharpest has a quarter of its variance left at the close."""
    clock = VarianceClock(profile)
    book = make_book(
        [20_000, 20_000, -30_000],
        [7000.0, 6990.0, 7010.0],
        expiry=["2026-01-29T11:30:00", "2026-01-29T16:00:00", LATER[2]],
        is_call=[True, False, False],
        rate=0.04,
        clock=clock,
    )
    table, positions, _ = make_table(book, 3.0, steps, make_market(clock=clock), max_nodes=448)
    every = np.arange(1, steps + 1)
    exact, _ = book_delta(positions, table.nodes, every)
    assert float(table.impact) * np.abs(exact - table.delta).max() * SPOT < 1e-3


@pytest.mark.parametrize("contracts", [20_000, -1_000])
def test_an_expiry_soon_after_the_close_is_resolved_at_the_close(contracts: float) -> None:
    """One minute after a close at 15:59, with steps of ten minutes."""
    market = make_market(close="2026-01-28T15:59:00")
    table, positions, schedule = make_table(make_book(contracts), 3.0, STEPS, market)
    nodes, delta = table.settle_nodes[-1, -1], table.settle_delta[-1, -1]
    assert nodes[1] - nodes[0] < 0.26 * VOL * np.sqrt(DAY / 390.0)
    middle = 0.5 * (nodes[1:] + nodes[:-1])
    exact, _ = book_delta(positions, middle, np.array([STEPS]))
    width, slope = np.diff(nodes), table.settle_slope[-1, -1]
    cubic = 0.5 * (delta[1:] + delta[:-1]) + width / 8.0 * (slope[:-1] - slope[1:])
    assert np.abs(cubic - exact[0]).max() < 3e-5 * 100.0 * abs(contracts)
    assert table_error(table, positions, schedule, SPOT) < 2e-3


@pytest.mark.slow
def test_a_whole_chain() -> None:
    """401 strikes of the same day and 50 expiries: delta, atoms, error and shapes."""
    book = chain_book(401, 50, later_strikes=31)
    table, positions, schedule = make_table(book, 3.0, 4, max_nodes=2048)
    assert np.unique(positions.group).size > 45
    x = np.log(np.array([6850.3, 6990.1, 7003.7, 7120.9]))
    delta, _ = book_delta(positions, x, np.array([2]))
    expected = brute_delta(book, np.exp(x), schedule.instants[2], VarianceClock())
    assert delta[0] == pytest.approx(expected, abs=1e-9 * np.abs(book.contracts).sum() * 100)
    at_nodes = np.interp(x, table.nodes, table.delta[1])
    assert at_nodes == pytest.approx(expected, rel=2e-3, abs=2e4)
    same_day = book.same_day()
    for strike in (6995.0, 7000.0, 7025.0):
        at = np.flatnonzero(table.settle_nodes[-1, -1] == np.log(strike))
        jump = table.settle_delta[-1, -1][at[-1]] - table.settle_delta[-1, -1][at[0]]
        assert jump == pytest.approx(
            100.0 * book.contracts[same_day & (book.strike == strike)].sum(), abs=1e-6
        )
    assert np.isfinite(table.settle_delta).all()
    assert table_error(table, positions, schedule, SPOT) < 0.5


def test_the_delta_at_the_close_counts_every_contract() -> None:
    """Puts, strikes beyond the grid, later expiries: D on both sides of every settled strike."""
    book = make_book(
        [5_000, -3_000, 7_000, 2_000, -4_000, 6_000],
        [7000.0, 7000.0, 7015.0, 5000.0, 9000.0, 6980.0],
        is_call=[True, False, False, True, False, True],
        expiry=[CLOSE] * 5 + [LATER[0]],
    )
    table, _, schedule = make_table(book, 3.0, STEPS, max_nodes=448)
    nodes, delta = table.settle_nodes[-1, -1], table.settle_delta[-1, -1]
    off_strike = ~np.isin(nodes, np.log([7000.0, 7015.0]))
    expected = brute_delta(book, np.exp(nodes[off_strike]), schedule.instants[-1], VarianceClock())
    assert delta[off_strike] == pytest.approx(expected, abs=1.0)


@pytest.mark.parametrize("contracts", [20_000, -20_000])
def test_a_settlement_during_the_run_is_as_exact_as_the_close(contracts: float) -> None:
    """A contract that expires at noon: a step at its strike then, and nothing left of it afterwards."""
    book = make_book([contracts, 1_000.0], expiry=["2026-01-28T12:00:00", LATER[0]])
    table, positions, schedule = make_table(book, 3.0, STEPS, max_nodes=448)
    noon = int(np.flatnonzero(schedule.minutes == 150.0)[0]) - 1
    assert np.flatnonzero(table.kind == SETTLE).tolist() == [noon, STEPS - 1]
    nodes, delta = (a[table.settlement[noon], -1] for a in (table.settle_nodes, table.settle_delta))
    at = np.flatnonzero(nodes == np.log(7000.0))
    assert delta[at[-1]] - delta[at[0]] == pytest.approx(100.0 * contracts)
    later = table.delta[noon + 1]
    assert np.ptp(later) <= 100.0 * 1_000.0 < 0.1 * np.ptp(table.delta[noon - 1])
    assert table_error(table, positions, schedule, SPOT) < (1e-3 if contracts > 0 else 0.02)


def test_start_of_the_table() -> None:
    book = make_book([20_000, -5_000], [7000.0, 7010.0], is_call=[True, False])
    table, _, _ = make_table(book, 3.0, STEPS, max_nodes=448)
    there = brute_delta(
        book,
        np.array([SPOT, SPOT * np.exp(1e-6)]),
        pd.Timestamp(START, tz="America/New_York"),
        VarianceClock(),
    )
    assert table.start_delta == pytest.approx(there[0], rel=1e-12)
    assert table.start_feedback == pytest.approx(3e-13 * SPOT * (there[1] - there[0]) / 1e-6, rel=1e-4)
