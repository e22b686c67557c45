"""The time grid: sessions, nights, settlements, the approach to the close, sampling intervals."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gammawall.sim.sampling.schedule import Schedule, make_schedule
from gammawall.sim.types import Market
from gammawall.surfaces.clock import NEW_YORK, VarianceClock, is_session, session_bounds
from gammawall.surfaces.errors import InputError
from tests.helpers.sim_runs import CLOSE, START, make_market

WEEK = {"start": "2026-01-28T09:30:00", "close": "2026-02-03T16:00:00"}
"""Wednesday to Tuesday: five sessions, three nights and a weekend."""
NIGHTS = VarianceClock("u_shape", overnight=0.2, weekend=0.5)


def at(when: str) -> pd.Timestamp:
    return pd.Timestamp(when, tz=NEW_YORK)


def grid(steps: int, settlements: Any = (), geometric: float | None = None, **market: Any) -> Schedule:
    return make_schedule(make_market(**market), steps, settlements=settlements, geometric=geometric)


# --- one session -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 7, 39, 1000])
@pytest.mark.parametrize(("start", "close"), [(START, CLOSE), ("2025-11-28T09:30:00", "2025-11-28T13:00:00")])
@pytest.mark.parametrize("profile", ["flat", "u_shape"])
def test_one_session_is_split_into_equal_steps(steps: int, start: str, close: str, profile: str) -> None:
    market = make_market(start=start, close=close, clock=VarianceClock(profile))
    schedule = make_schedule(market, steps)
    seconds = (market.close - market.start).total_seconds() * np.arange(steps + 1) / steps
    instants = pd.DatetimeIndex([market.start + pd.Timedelta(seconds=s) for s in seconds])
    assert (schedule.instants == instants).all()
    assert np.array_equal(schedule.minutes, seconds / 60.0)
    assert np.array_equal(
        schedule.variance, np.diff(market.clock.variance_years(market.start, schedule.instants))
    )
    assert schedule.steps == steps
    assert not schedule.session.any()
    assert not schedule.night.any()


@pytest.mark.parametrize("steps", [1, 7, 39, 390, 780, 1000])
@pytest.mark.parametrize("sample", [0.1, 1.0, 2.5, 5.0, 30.0, 1000.0])
def test_equal_steps_are_marked_every_so_many(steps: int, sample: float) -> None:
    every = max(round(sample / (390.0 / steps)), 1)
    expected = np.arange(1, steps + 1) % every == 0
    expected[-1] = True
    assert np.array_equal(grid(steps).marks(sample), expected)


# --- sessions and nights -----------------------------------------------------------------------------------


def test_a_week_without_night_variance_has_sessions_only() -> None:
    schedule = grid(40, **WEEK)
    assert schedule.steps == 40
    assert np.bincount(schedule.session).tolist() == [8] * 5
    assert not schedule.night.any()
    closes = [f"2026-{d} 16:00" for d in ("01-28", "01-29", "01-30", "02-02", "02-03")]
    assert [at(c) for c in closes] == list(schedule.instants[8::8])
    np.testing.assert_allclose(schedule.variance, 1.0 / 252.0 / 8.0, rtol=1e-12)
    np.testing.assert_allclose(np.diff(schedule.minutes), 390.0 / 8.0, rtol=1e-12)


def test_a_night_with_variance_has_a_step_of_its_own() -> None:
    schedule = grid(40, **WEEK, clock=NIGHTS)
    assert schedule.steps == 44
    nights = np.flatnonzero(schedule.night)
    opens = [f"2026-{d} 09:30" for d in ("01-29", "01-30", "02-02", "02-03")]
    assert list(schedule.instants[nights + 1]) == [at(o) for o in opens]
    np.testing.assert_allclose(252.0 * schedule.variance[nights], [0.2, 0.2, 0.5, 0.2], rtol=1e-11)
    assert schedule.session[nights].tolist() == [1, 2, 3, 4]
    assert not np.diff(schedule.minutes)[nights].any()
    assert schedule.minutes[-1] == 5 * 390.0


def test_steps_are_shared_by_trading_time() -> None:
    """Thanksgiving 2025: a whole day, a holiday, 210 minutes."""
    schedule = grid(11, start="2025-11-26T09:30:00", close="2025-11-28T13:00:00")
    assert np.bincount(schedule.session).tolist() == [7, 4]
    assert schedule.instants[7] == at("2025-11-26 16:00")
    assert schedule.instants[-1] == at("2025-11-28 13:00")
    late = grid(3, start="2026-01-28T15:59:00", close="2026-01-30T16:00:00")
    assert np.bincount(late.session).tolist() == [1, 1, 1]


def test_the_close_is_an_instant_to_the_nanosecond() -> None:
    """From this start the seconds to the close, times 1e9, are just below a whole number."""
    schedule = grid(7, start="2026-01-28T09:30:00.000021")
    assert schedule.instants[-1] == at("2026-01-28 16:00")


def test_fewer_steps_than_sessions_are_refused() -> None:
    with pytest.raises(InputError, match=r"each of the 5 sessions.*got 4"):
        grid(4, **WEEK)


def test_a_window_of_night_alone_is_refused() -> None:
    with pytest.raises(InputError, match="there must be one"):
        grid(4, start="2026-01-28T16:00:00", close="2026-01-29T09:30:00", clock=NIGHTS)


def test_the_part_of_a_night_before_the_first_open_and_after_the_last_close_counts() -> None:
    schedule = grid(10, start="2026-01-27T18:00:00", close="2026-01-29T09:30:00", clock=NIGHTS)
    assert np.flatnonzero(schedule.night).tolist() == [0, 11]
    assert schedule.session[[0, 11]].tolist() == [0, 0]
    assert [schedule.instants[i] for i in (0, 1, 11, 12)] == [
        at(t) for t in ("2026-01-27 18:00", "2026-01-28 09:30", "2026-01-28 16:00", "2026-01-29 09:30")
    ]
    np.testing.assert_allclose(252.0 * schedule.variance.sum(), 0.2 * 15.5 / 17.5 + 1.2, rtol=1e-12)
    flat = grid(10, start="2026-01-27T18:00:00", close="2026-01-28T20:00:00")
    assert (flat.instants[0], flat.instants[-1]) == (at("2026-01-28 09:30"), at("2026-01-28 16:00"))


def test_clock_changes_leave_sessions_whole() -> None:
    """New York put its clocks forward on Sunday 8 March 2026."""
    schedule = grid(4, start="2026-03-06T09:30:00", close="2026-03-09T16:00:00", clock=NIGHTS)
    assert [t.hour for t in schedule.instants[[0, 2, 3, 5]]] == [9, 16, 9, 16]
    hours = np.diff(schedule.instants.asi8)[schedule.night] / 3.6e12
    assert hours.tolist() == [17.5 + 47.0]
    np.testing.assert_allclose(252.0 * schedule.variance.sum(), 2.5, rtol=1e-12)


# --- settlements -------------------------------------------------------------------------------------------


def test_the_nearest_instant_moves_to_a_settlement() -> None:
    schedule = grid(39, [at("2026-01-28 12:03")])
    plain = grid(39)
    moved = np.flatnonzero(schedule.instants != plain.instants)
    assert schedule.steps == 39
    assert schedule.instants[moved].tolist() == [at("2026-01-28 12:03")]
    assert plain.instants[moved].tolist() == [at("2026-01-28 12:00")]
    assert schedule.minutes[moved] == 153.0


def test_a_step_is_added_where_no_instant_is_free() -> None:
    wanted = [at(f"2026-01-28 {t}") for t in ("09:30:01", "12:01", "12:02", "15:59:59")]
    schedule = grid(39, wanted)
    assert schedule.steps == 42
    assert schedule.instants.isin(wanted).sum() == 4
    assert (np.diff(schedule.minutes) > 0.0).all()


def test_settlements_at_closes_and_outside_the_window_change_nothing() -> None:
    plain = grid(40, **WEEK)
    times = (
        "2026-01-28 09:30",
        "2026-01-29 16:00",
        "2026-02-03 16:00",
        "2026-02-04 16:00",
        "2026-01-05 12:00",
    )
    assert (grid(40, [at(t) for t in times], **WEEK).instants == plain.instants).all()


def test_a_morning_settlement_adds_the_night_before_it() -> None:
    schedule = grid(40, [at("2026-01-30 09:30")], **WEEK)
    assert schedule.steps == 41
    assert np.flatnonzero(schedule.night).tolist() == [16]
    assert list(schedule.instants[16:18]) == [at("2026-01-29 16:00"), at("2026-01-30 09:30")]
    assert schedule.variance[16] == 0.0
    last = grid(8, [at("2026-01-29 09:30")], close="2026-01-29T09:30:00")
    assert (last.steps, last.instants[-1]) == (9, at("2026-01-29 09:30"))


def test_a_night_without_variance_has_exactly_none() -> None:
    """210 of 390 minutes are no binary fraction: the clock leaves 1e-15 years after an early close."""
    schedule = grid(4, [at("2025-12-01 09:30")], start="2025-11-28T09:30:00", close="2025-12-01T16:00:00")
    assert schedule.variance[schedule.night].tolist() == [0.0]


def test_a_settlement_in_the_night_splits_it() -> None:
    schedule = grid(10, [at("2026-01-28 20:45")], close="2026-01-29T16:00:00", clock=NIGHTS)
    assert np.flatnonzero(schedule.night).tolist() == [5, 6]
    np.testing.assert_allclose(252.0 * schedule.variance[5:7], 0.2 * np.array([4.75, 12.75]) / 17.5)


# --- towards the close -------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.5, 0.05, 0.01])
@pytest.mark.parametrize("profile", ["flat", "u_shape"])
def test_steps_shrink_with_the_time_left(share: float, profile: str) -> None:
    schedule = grid(39, geometric=share, clock=VarianceClock(profile))
    step, left = np.diff(schedule.minutes), 390.0 - schedule.minutes[:-1]
    np.testing.assert_allclose(step[:-1], np.minimum(10.0, share * left[:-1]), rtol=1e-5, atol=2e-13)
    np.testing.assert_allclose(schedule.minutes[:2], [0.0, min(10.0, share * 390.0)], rtol=1e-12)
    assert 1e-10 < schedule.variance[-1] / schedule.variance.sum() <= 1e-9
    assert schedule.instants[-1] == at("2026-01-28 16:00")
    assert schedule.steps < 39 + np.log(1e10) / -np.log1p(-share)


def test_steps_shrink_towards_every_settlement() -> None:
    wanted = [at("2026-01-28 12:00"), at("2026-01-29 16:00"), at("2026-02-02 09:30")]
    schedule = grid(40, wanted, 0.1, **WEEK)
    goals = np.array([150.0, 780.0, 1170.0, 1950.0])
    step, begin = np.diff(schedule.minutes), schedule.minutes[:-1]
    left = goals[np.searchsorted(goals, begin, side="right").clip(max=3)] - begin
    live = ~schedule.night
    longest = np.minimum(390.0 / 8.0, np.where(left < 1950.0 * 1e-9, left, 0.1 * left))
    assert (step[live] <= longest[live] * (1.0 + 1e-3)).all()
    assert schedule.instants.isin(wanted).sum() == 3
    for goal in goals:
        last = np.flatnonzero(schedule.minutes[1:] == goal)[0]
        assert 0.0 < schedule.variance[last] <= 1e-9 * schedule.variance.sum()


@pytest.mark.parametrize("share", [0.0, -0.1, 0.51, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="geometric must be"):
        grid(39, geometric=share)


# --- sampling intervals ------------------------------------------------------------------------------------


def test_no_sampling_interval_spans_a_night() -> None:
    schedule = grid(50, [at("2026-01-29 12:31")], **WEEK, clock=NIGHTS)
    marks = schedule.marks(117.0)
    ends = schedule.instants[1:][marks].strftime("%d %H:%M").tolist()
    assert ends[:6] == ["28 11:27", "28 13:24", "28 15:21", "28 16:00", "29 09:30", "29 11:27"]
    # The instant that stood at 12:45 moved to 12:31; the intervals did not.
    assert ends[6:9] == ["29 13:24", "29 15:21", "29 16:00"]


def test_unequal_steps_are_marked_at_the_nearest_instant() -> None:
    schedule = grid(39, [at("2026-01-28 10:03")], geometric=0.05)
    marks = schedule.minutes[1:][schedule.marks(30.0)]
    assert np.abs(marks - 30.0 * np.arange(1, 14)).max() <= 5.0
    assert marks.size == 13
    assert marks[-1] == 390.0
    moved = grid(39, [at("2026-01-28 10:03")])
    assert moved.marks(10.0).all()


# --- whatever the window -----------------------------------------------------------------------------------

DAYS = st.dates(dt.date(2025, 10, 27), dt.date(2026, 3, 20))
"""Both changes of the clocks, the holidays and early closes of a winter."""


@settings(deadline=None, max_examples=150)
@given(
    first=DAYS,
    length=st.integers(1, 9),
    minutes=st.tuples(st.integers(0, 1439), st.integers(0, 1439)),
    night=st.sampled_from([0.0, 0.2]),
    weekend=st.sampled_from([0.0, 0.6]),
    profile=st.sampled_from(["flat", "u_shape"]),
    extra=st.integers(0, 60),
    share=st.sampled_from([None, None, 0.3]),
    wanted=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1439)), max_size=4),
    sample=st.floats(0.5, 200.0),
)
def test_every_grid_is_sound(
    first: dt.date,
    length: int,
    minutes: tuple[int, int],
    night: float,
    weekend: float,
    profile: str,
    extra: int,
    share: float | None,
    wanted: list[tuple[int, int]],
    sample: float,
) -> None:
    midnight = pd.Timestamp(first, tz=NEW_YORK)

    def instant(days: int, minute: int) -> pd.Timestamp:
        return pd.Timestamp(first + dt.timedelta(days), tz=NEW_YORK) + pd.Timedelta(minutes=minute)

    start, close = instant(0, minutes[0]), instant(length, minutes[1])
    days = [d for d in pd.date_range(midnight, close.normalize(), tz=NEW_YORK) if is_session(d)]
    bounds = [session_bounds(d) for d in days]
    inside = [(max(a, start), min(b, close)) for a, b in bounds if max(a, start) < min(b, close)]
    if not inside:
        return
    market = Market(100.0, start, close, VarianceClock(profile, night, weekend))
    settling = [instant(*w) for w in wanted]
    schedule = make_schedule(market, len(inside) + extra, settlements=settling, geometric=share)

    instants, step = schedule.instants, np.diff(schedule.minutes)
    assert (np.diff(instants.asi8) > 0).all()
    assert (step[~schedule.night] > 0.0).all()
    assert (step[schedule.night] == 0.0).all()
    assert (schedule.variance[~schedule.night] > 0.0).all()
    assert (schedule.variance >= 0.0).all()
    assert schedule.variance.sum() == pytest.approx(market.variance_years, rel=1e-11)
    assert all(b in instants for _, b in inside)
    assert all(t in instants for t in settling if start < t <= close)
    assert schedule.minutes[-1] * 60.0 == pytest.approx(sum((b - a).total_seconds() for a, b in inside))
    assert np.array_equal(np.unique(schedule.session), np.arange(len(inside)))
    marks = schedule.marks(sample)
    ends = np.append((np.diff(schedule.session) > 0) | np.diff(schedule.night), True)
    assert marks.dtype == bool
    assert marks[ends].all()


def test_the_calendar_of_the_clock_is_followed() -> None:
    """A day closed by the user's calendar has no step; a day closed early by it ends there."""
    start, close = "2026-01-27T09:30:00", "2026-01-29T16:00:00"
    changes = {"2026-01-28": None, "2026-01-27": "13:00"}
    usual = make_schedule(make_market(start=start, close=close), 39)
    changed = make_schedule(make_market(start=start, close=close, clock=VarianceClock(calendar=changes)), 39)
    assert usual.minutes[-1] == 3 * 390.0
    assert changed.minutes[-1] == 210.0 + 390.0
    assert pd.Timestamp("2026-01-27 13:00", tz="America/New_York") in changed.instants
    assert not (changed.instants.strftime("%d") == "28").any()
