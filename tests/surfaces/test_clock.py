from __future__ import annotations

import dataclasses
import datetime as dt
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gammawall.surfaces.chains.readers.stamp import find_stamp
from gammawall.surfaces.clock import (
    NEW_YORK,
    VarianceClock,
    calendar_changes,
    calendar_years,
    cumulative_profile,
    expiry_instant,
    is_session,
    session_bounds,
    to_new_york,
)
from gammawall.surfaces.errors import InputError

SESSION = 1 / 252

# The exchange's published holiday lists.
HOLIDAYS = {
    2012: "0102 0116 0220 0406 0528 0704 0903 1029 1030 1122 1225",
    2018: "0101 0115 0219 0330 0528 0704 0903 1122 1205 1225",
    2021: "0101 0118 0215 0402 0531 0705 0906 1125 1224",
    2022: "0117 0221 0415 0530 0620 0704 0905 1124 1226",
    2023: "0102 0116 0220 0407 0529 0619 0704 0904 1123 1225",
    2025: "0101 0109 0120 0217 0418 0526 0619 0704 0901 1127 1225",
    2026: "0101 0119 0216 0403 0525 0619 0703 0907 1126 1225",
}
EARLY = {
    2012: "0703 1123 1224",
    2021: "1126",
    2022: "1125",
    2023: "0703 1124",
    2024: "0703 1129 1224",
    2025: "0703 1128 1224",
    2026: "1127 1224",
}


def _weekdays(year: int) -> list[dt.date]:
    return [d.date() for d in pd.date_range(f"{year}-01-01", f"{year}-12-31", freq="B")]


@pytest.mark.parametrize("year", HOLIDAYS)
def test_closed_weekdays_are_the_published_holidays(year):
    closed = [f"{day:%m%d}" for day in _weekdays(year) if not is_session(day)]
    assert closed == HOLIDAYS[year].split()


@pytest.mark.parametrize("year", EARLY)
def test_early_closes_are_the_published_ones(year):
    early = [f"{d:%m%d}" for d in _weekdays(year) if is_session(d) and session_bounds(d)[1].hour == 13]
    expected = EARLY[year].split()
    assert early == expected


def test_weekends_are_closed():
    assert not is_session("2025-09-06")
    assert not is_session(dt.date(2025, 9, 7))


def test_session_bounds_follow_daylight_saving():
    winter, summer = session_bounds("2025-01-08"), session_bounds("2025-07-08")
    assert [t.tz_convert("UTC").hour for t in (*winter, *summer)] == [14, 21, 13, 20]
    with pytest.raises(InputError, match="2025-12-25"):
        session_bounds("2025-12-25")


@pytest.mark.parametrize(
    ("root", "date", "expected"),
    [
        ("SPX", "2025-09-19", "2025-09-19 09:30"),
        ("SPXW", "2025-09-19", "2025-09-19 16:00"),
        ("XSP", "2025-09-19", "2025-09-19 16:00"),
        ("VIX", "2025-09-17", "2025-09-17 09:30"),
        ("NDXP", "2025-09-19", "2025-09-19 16:00"),
        ("SPXW", "2025-11-28", "2025-11-28 13:00"),
        ("SPX", "2014-09-20", "2014-09-19 09:30"),
        ("SPY", "2014-09-20", "2014-09-19 16:00"),
    ],
)
def test_expiry_instants(root, date, expected):
    assert expiry_instant(root, date) == pd.Timestamp(expected, tz=NEW_YORK)


@pytest.mark.parametrize("date", ["1999-01-04", "2101-01-03", "soon", None, 20250904, pd.NaT])
def test_dates_outside_the_calendar_are_refused(date):
    with pytest.raises(InputError):
        is_session(date)


def test_calendar_years_count_real_hours_across_a_clock_change():
    # 2 November 2025 has 25 hours in New York.
    assert calendar_years("2025-11-01 12:00", "2025-11-02 12:00") == pytest.approx(25 / 24 / 365, rel=1e-15)
    column = pd.Series(pd.to_datetime(["2025-09-04 14:15", "2025-09-04 16:00", "2025-09-03 14:15"]))
    years = calendar_years("2025-09-04 14:15", column)
    np.testing.assert_allclose(years * 365 * 24, [0, 1.75, -24], rtol=1e-13)
    assert years.dtype == np.float64


def test_naive_is_new_york_and_aware_is_converted():
    assert to_new_york("2025-09-04 14:15") == pd.Timestamp("2025-09-04 18:15", tz="UTC")
    assert to_new_york(pd.Timestamp("2025-09-04 18:15", tz="UTC")).hour == 14
    index = to_new_york(pd.Series(pd.to_datetime(["2025-11-02 01:30", "2025-03-09 02:30"])))
    assert str(index.tz) == NEW_YORK.key
    with pytest.raises(InputError, match="NaT"):
        to_new_york(pd.Series(pd.to_datetime(["2025-11-02", None])))


@pytest.mark.parametrize("profile", ["flat", "u_shape"])
def test_one_session_is_one_252nd_whatever_the_profile(profile):
    clock = VarianceClock(profile)
    assert clock.variance_years("2025-09-04 09:30", "2025-09-04 16:00") == pytest.approx(SESSION, rel=1e-14)
    assert clock.variance_years("2025-09-04 09:30", "2025-09-11 09:30") == pytest.approx(
        5 * SESSION, rel=1e-12
    )
    assert clock.variance_years("2025-09-04 16:00", "2025-09-05 09:30") == 0.0


def test_gaps_have_their_own_weights():
    clock = VarianceClock("u_shape", overnight=0.2, weekend=0.5)
    sessions = 252 * clock.variance_years(
        "2025-08-28 16:00", ["2025-08-29 09:30", "2025-09-02 09:30", "2025-09-03 09:30"]
    )
    np.testing.assert_allclose(sessions, [0.2, 0.2 + 1 + 0.5, 0.2 + 1 + 0.5 + 1 + 0.2], rtol=1e-12)
    # Thanksgiving: a holiday inside the week is a long gap; the half day after it covers 210 of 390 minutes.
    holiday = 252 * clock.variance_years("2025-11-26 16:00", ["2025-11-28 09:30", "2025-11-28 13:00"])
    np.testing.assert_allclose(holiday, [0.5, 0.5 + cumulative_profile("u_shape", 210 / 390)], rtol=1e-12)
    half_night = 252 * clock.variance_years("2025-09-03 16:00", "2025-09-04 00:45")
    assert half_night == pytest.approx(0.1, rel=1e-12)


def test_flat_session_is_split_by_minutes_with_full_precision():
    clock = VarianceClock()
    assert clock.variance_years("2025-09-04 15:59", "2025-09-04 16:00") == pytest.approx(
        SESSION / 390, rel=1e-13
    )
    assert clock.variance_years("2025-09-04 14:15", "2025-09-04 16:00") == pytest.approx(
        SESSION * 105 / 390, rel=1e-13
    )


def test_u_shape_has_the_documented_half_hours():
    knots = np.array([0, 30, 180, 210, 360, 390]) / 390
    share = np.diff(cumulative_profile("u_shape", knots)) / np.diff(knots)
    assert share[0] / share[2] == pytest.approx(2.0, abs=0.02)
    assert share[-1] / share[2] == pytest.approx(1.6, abs=0.02)


@pytest.mark.parametrize("profile", ["flat", "u_shape"])
def test_profiles_are_distributions(profile):
    u = np.linspace(-0.1, 1.1, 2001)
    share = cumulative_profile(profile, u)
    assert cumulative_profile(profile, 0.0) == 0.0
    assert cumulative_profile(profile, 1.0) == 1.0
    assert np.all(np.diff(share[(u >= 0) & (u <= 1)]) > 0)


MINUTE = SESSION / 390
FOMC = {"2026-01-28 14:00": 0.6, "2026-01-30 08:30": 0.4, "2026-02-04": 0.5}


def test_event_at_an_instant_comes_all_at_once():
    clock = VarianceClock(events=FOMC)
    day = "2026-01-28 "
    assert clock.variance_years(day + "13:58", day + "13:59") == pytest.approx(MINUTE, rel=1e-13)
    assert clock.variance_years(day + "13:59", day + "14:00") == pytest.approx(
        MINUTE + 0.6 * SESSION, rel=1e-14
    )
    assert clock.variance_years(day + "14:00", day + "14:01") == pytest.approx(MINUTE, rel=1e-13)
    # Before the open, when nothing else passes.
    night = ("2026-01-30 08:00", ["2026-01-30 08:29", "2026-01-30 08:30", "2026-01-30 09:30"])
    np.testing.assert_allclose(clock.variance_years(*night), np.array([0, 0.4, 0.4]) * SESSION, rtol=1e-13)
    whole = clock.variance_years("2026-01-28 09:30", "2026-02-05 09:30")
    assert whole == pytest.approx((6 + 0.6 + 0.4 + 0.5) * SESSION, rel=1e-13)
    # The same instant written in another zone.
    assert VarianceClock(events={pd.Timestamp("2026-01-28 19:00", tz="UTC"): 0.6}) == VarianceClock(
        events={"2026-01-28 14:00": 0.6}
    )


@pytest.mark.parametrize("profile", ["flat", "u_shape"])
def test_event_on_a_date_is_spread_like_the_session(profile):
    plain, clock = VarianceClock(profile), VarianceClock(profile, events=FOMC)
    times = [f"2026-02-04 {h}" for h in ("10:00", "12:34", "16:00")]
    ratio = clock.variance_years("2026-02-04 09:30", times) / plain.variance_years("2026-02-04 09:30", times)
    np.testing.assert_allclose(ratio, 1.5, rtol=1e-13)
    # On a half day the whole weight still comes.
    half = VarianceClock(profile, events={"2026-11-27": 0.7})
    extra = half.variance_years("2026-11-27 09:30", "2026-11-27 13:00") - plain.variance_years(
        "2026-11-27 09:30", "2026-11-27 13:00"
    )
    assert extra == pytest.approx(0.7 * SESSION, rel=1e-12)


def test_calendar_can_be_changed():
    clock = VarianceClock(
        overnight=0.1,
        weekend=0.3,
        calendar={"2026-03-11": None, "2026-03-12": "13:00", "2026-07-03": "16:00"},
    )

    def sessions(start, end):
        return 252 * clock.variance_years(start, end)

    # A closed Wednesday makes a long gap; the Thursday after it is short.
    assert sessions("2026-03-10 16:00", "2026-03-12 09:30") == pytest.approx(0.3, rel=1e-12)
    assert sessions("2026-03-12 09:30", "2026-03-12 13:00") == pytest.approx(210 / 390, rel=1e-12)
    assert sessions("2026-03-12 13:00", "2026-03-13 09:30") == pytest.approx(0.1, rel=1e-12)
    # The observed holiday becomes a session, and the nights about it short.
    assert sessions("2026-07-02 16:00", "2026-07-03 16:00") == pytest.approx(0.1 + 1.0, rel=1e-12)
    assert not is_session("2026-07-03")
    # Saturdays too.
    weekend = VarianceClock(calendar={"2026-03-14": "12:00"})
    assert 252 * weekend.variance_years("2026-03-13 16:00", "2026-03-16 09:30") == pytest.approx(150 / 390)


def test_clocks_of_one_meaning_are_one():
    one = VarianceClock(events=FOMC, calendar={"2026-03-12": "9:45", dt.date(2026, 3, 11): None})
    other = VarianceClock(
        events=tuple(reversed(FOMC.items())), calendar={"2026-03-11": None, "2026-03-12": "09:45"}
    )
    assert one == other
    assert hash(one) == hash(other)
    assert dataclasses.replace(one, overnight=0.1).events == one.events
    assert one != VarianceClock()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"events": {"2026-01-28 14:00": -0.5}}, "the event of 2026-01-28 14:00 is -0.5"),
        ({"events": {"2026-01-28 14:00": "big"}}, "is 'big'; it must be a finite number"),
        ({"events": {"2026-01-31": 0.5}}, "without a session; give its instant"),
        ({"events": {"soon": 0.5}}, "a time cannot be read"),
        ({"events": {"1999-01-04": 0.5}}, "2004 to 2100"),
        ({"events": {"2026-01-28 14:00": 0.5, "2026-01-28T19:00Z": 0.1}}, "given twice"),
        ({"events": 0.5}, "events is 0.5"),
        ({"calendar": {"2026-01-28": "17:00"}}, "closes 2026-01-28 at '17:00'"),
        ({"calendar": {"2026-01-28": "1 pm"}}, "such as '13:00'"),
        ({"calendar": {"2026-01-28": 13}}, "None where the exchange is closed"),
        ({"calendar": {"2026-01-28": None, dt.date(2026, 1, 28): None}}, "2026-01-28 twice"),
        ({"calendar": {"2026-03-11": None}, "events": {"2026-03-11": 0.5}}, "without a session"),
        ({"calendar": ["2026-03-11"]}, "calendar is"),
    ],
)
def test_bad_events_and_changes_are_refused(given, words):
    with pytest.raises(InputError, match=re.escape(words)):
        VarianceClock(**given)


def _schedule(closed=(), early=()):
    """As a kept calendar would give 2026, with changes."""
    days = [d for d in _weekdays(2026) if is_session(d) and f"{d:%m%d}" not in closed]
    bounds = [session_bounds(d) for d in days]
    ends = [c.replace(hour=12) if f"{d:%m%d}" in early else c for d, (_, c) in zip(days, bounds, strict=True)]
    table = {"open": [o for o, _ in bounds], "close": ends}
    return pd.DataFrame(table, index=pd.DatetimeIndex(days)).apply(lambda c: c.dt.tz_convert("UTC"))


def test_changes_are_what_a_kept_calendar_says_otherwise():
    assert calendar_changes(_schedule()) == {}
    changes = calendar_changes(_schedule(closed=("0311",), early=("0312", "1127")))
    assert changes == {"2026-03-11": None, "2026-03-12": "12:00", "2026-11-27": "12:00"}
    VarianceClock(calendar=changes)
    extra = _schedule().iloc[:40]
    extra.loc[pd.Timestamp("2026-01-03")] = pd.to_datetime(["2026-01-03 14:30Z", "2026-01-03 21:00Z"])
    assert calendar_changes(extra) == {"2026-01-03": "16:00"}
    with pytest.raises(InputError, match="columns open and close"):
        calendar_changes(pd.DataFrame({"market_open": []}))
    with pytest.raises(InputError, match="opens at 10:30 New York on 2026-01-02"):
        calendar_changes(_schedule().assign(open=lambda t: t["open"] + pd.Timedelta(hours=1)))


def test_rules_agree_with_a_kept_calendar():
    calendars = pytest.importorskip("exchange_calendars", reason="exchange_calendars is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, about pandas
        exchange = calendars.get_calendar("XNYS", start="2004-01-01", end="2026-12-31")
    assert calendar_changes(exchange.schedule) == {}
    changed = exchange.schedule.drop(exchange.schedule.index[100])
    assert list(calendar_changes(changed).values()) == [None]


MOMENTS = st.datetimes(dt.datetime(2023, 1, 1), dt.datetime(2026, 12, 31))


@settings(deadline=None, max_examples=150)
@given(
    a=MOMENTS,
    b=MOMENTS,
    c=MOMENTS,
    night=st.floats(0, 2),
    weekend=st.floats(0, 2),
    shape=st.sampled_from(["flat", "u_shape"]),
    eventful=st.booleans(),
)
def test_variance_time_adds_up_and_never_runs_backwards(a, b, c, night, weekend, shape, eventful):
    calendar = {"2024-05-15": None, "2025-03-03": "11:00"}
    clock = VarianceClock(
        shape, night, weekend, FOMC | {"2024-03-20 14:00": night} if eventful else {}, calendar
    )
    a, b, c = sorted((a, b, c))
    ab, bc, ac = clock.variance_years(a, b), clock.variance_years(b, c), clock.variance_years(a, c)
    assert min(ab, bc) >= -1e-12
    assert ab + bc == pytest.approx(ac, abs=1e-11)
    assert clock.variance_years(c, a) == pytest.approx(-ac, abs=1e-12)


@pytest.mark.parametrize("bad", [{"profile": "w"}, {"overnight": -0.1}, {"weekend": float("nan")}])
def test_bad_clocks_are_refused(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        VarianceClock(**bad)


def test_times_outside_the_calendar_are_refused():
    with pytest.raises(InputError, match="2004 to 2100"):
        VarianceClock().variance_years("2003-06-02", "2025-06-02")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Date: 9 June 2023, 1:40 PM EDT,Bid: 4299.3", "2023-06-09 13:40"),
        ("Date: 5 de setembro de 2025 às 10:16 GMT-4,Bid: 1", "2025-09-05 10:16"),
        ("Date: 17 April 2023, 22:53 UTC−4,Bid: 1", "2023-04-17 22:53"),
        ("Date: 9 декабря 2023 г. в 13:49 GMT-5,Bid: 1", "2023-12-09 13:49"),
        ("Date: 5 мая 2025 г. в 13:49 GMT-4", "2025-05-05 13:49"),
        ('"Date: 11 de noviembre de 2024, 8:02 GMT-5",Bid: 1', "2024-11-11 08:02"),
        ('"Date: 11 de noviembre de 2024, 8:02 p. m. GMT-5"', "2024-11-11 20:02"),
        ("Date: 4. März 2025 um 15:00 MEZ", None),
        ("Date: 4. März 2025 um 15:00 CET", "2025-03-04 09:00"),
        ("Date: 1 août 2025 à 20:30 UTC+2", "2025-08-01 14:30"),
        ("Date: 4 février 2025 à 12:30 AM ET", "2025-02-04 00:30"),
        ("Date: 2023年12月9日 GMT-5 13:49,Bid: 1", "2023-12-09 13:49"),
        ("Date: 2025-09-04 14:30", "2025-09-04 14:30"),
        ("Date: 04/09/2025 14:30 ET", None),
        ("Date: 31 June 2023, 1:40 PM EDT", None),
        ("Date: 9 June 2023, 13:40 PM EDT", None),
        ("S&P 500 INDEX,Last: 6485.6401,Change:  37.3801", None),
        ("martes, 4 de marzo de 2025, 9:00 GMT-5", "2025-03-04 09:00"),
    ],
)
def test_date_lines(line, expected):
    assert find_stamp(line) == (None if expected is None else pd.Timestamp(expected, tz=NEW_YORK))
