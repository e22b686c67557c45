from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gammawall.surfaces.clock import (
    NEW_YORK,
    VarianceClock,
    calendar_years,
    cumulative_profile,
    expiry_instant,
    is_session,
    session_bounds,
    to_new_york,
)
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.readers.stamp import find_stamp

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


MOMENTS = st.datetimes(dt.datetime(2023, 1, 1), dt.datetime(2026, 12, 31))


@settings(deadline=None, max_examples=150)
@given(
    a=MOMENTS,
    b=MOMENTS,
    c=MOMENTS,
    night=st.floats(0, 2),
    weekend=st.floats(0, 2),
    shape=st.sampled_from(["flat", "u_shape"]),
)
def test_variance_time_adds_up_and_never_runs_backwards(a, b, c, night, weekend, shape):
    clock = VarianceClock(shape, night, weekend)
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
