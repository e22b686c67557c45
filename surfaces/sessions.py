"""When the New York Stock Exchange trades: rules for 2004 to 2100, and changes to them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast, overload
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from pandas.api.typing import NaTType
from pandas.tseries.holiday import (
    AbstractHolidayCalendar,
    GoodFriday,
    Holiday,
    USLaborDay,
    USMartinLutherKingJr,
    USMemorialDay,
    USPresidentsDay,
    USThanksgivingDay,
    nearest_workday,
    sunday_to_monday,
)

from gammawall.surfaces.errors import InputError

__all__ = [
    "FIRST_YEAR",
    "LAST_YEAR",
    "NEW_YORK",
    "Changes",
    "SessionTable",
    "as_pairs",
    "calendar_changes",
    "calendar_day",
    "checked_changes",
    "session_table",
    "to_new_york",
]

NEW_YORK = ZoneInfo("America/New_York")

Changes = tuple[tuple[str, str | None], ...]
"""Dates, ascending, with the closing time of their session, None where the exchange is closed."""

FIRST_YEAR, LAST_YEAR = 2004, 2100
_OPEN, _CLOSE, _EARLY_CLOSE = 9 * 60 + 30, 16 * 60, 13 * 60  # minutes of the day
_UNSCHEDULED_CLOSURES = (
    "2004-06-11",
    "2007-01-02",
    "2012-10-29",
    "2012-10-30",
    "2018-12-05",
    "2025-01-09",
)


class _NyseCalendar(AbstractHolidayCalendar):
    # The holiday rules leave a New Year's Day that falls on a Saturday unobserved.
    rules = [  # noqa: RUF012 - the base class declares it as a plain list
        Holiday("New Year's Day", month=1, day=1, observance=sunday_to_monday),
        USMartinLutherKingJr,
        USPresidentsDay,
        GoodFriday,
        USMemorialDay,
        Holiday("Juneteenth", month=6, day=19, start_date="2022-01-01", observance=nearest_workday),
        Holiday("Independence Day", month=7, day=4, observance=nearest_workday),
        USLaborDay,
        USThanksgivingDay,
        Holiday("Christmas", month=12, day=25, observance=nearest_workday),
    ]


class SessionTable(NamedTuple):
    days: np.ndarray  # datetime64[D], one per session
    opens: np.ndarray  # int64 ns since the epoch, UTC
    closes: np.ndarray


@lru_cache(maxsize=8)
def session_table(changes: Changes = ()) -> SessionTable:
    """Every session from 2004 to 2100, by the exchange's rules and these changes to them."""
    days, close = _by_rules()
    if changes:
        changed = np.array([day for day, _ in changes], "M8[D]")
        added = [(day, _minutes(when)) for day, when in changes if when is not None]
        kept = ~np.isin(days, changed)
        days = np.append(days[kept], np.array([day for day, _ in added], "M8[D]"))
        close = np.append(close[kept], np.array([minute for _, minute in added], int))
        order = np.argsort(days)
        days, close = days[order], close[order]
    return SessionTable(days, _utc_ns(days, _OPEN), _utc_ns(days, close))


@lru_cache(maxsize=1)
def _by_rules() -> tuple[np.ndarray, np.ndarray]:
    """Sessions and the minute of the day they close at."""
    first, last = pd.Timestamp(FIRST_YEAR, 1, 1), pd.Timestamp(LAST_YEAR, 12, 31)
    holidays = _NyseCalendar().holidays(first, last).append(pd.DatetimeIndex(_UNSCHEDULED_CLOSURES))
    every_day = np.arange(
        first.to_datetime64().astype("M8[D]"), last.to_datetime64().astype("M8[D]") + np.timedelta64(1, "D")
    )
    days = every_day[np.is_busday(every_day, holidays=holidays.to_numpy().astype("M8[D]"))]
    dates = pd.DatetimeIndex(days)
    month, day, weekday = dates.month, dates.day, dates.day_of_week
    # The fourth Thursday is the 22nd to the 28th, so the day after it is a Friday from the 23rd to the 29th.
    after_thanksgiving = (month == 11) & (weekday == 4) & (day >= 23) & (day <= 29)
    # When the 24th or the 3rd is a Friday the holiday itself is observed on it: not a session, not listed.
    eve = ((month == 12) & (day == 24)) | ((month == 7) & (day == 3))
    return days, np.where(np.asarray(after_thanksgiving | eve), _EARLY_CLOSE, _CLOSE)


def _utc_ns(days: np.ndarray, minute: int | np.ndarray) -> np.ndarray:
    local = days.astype("M8[ns]") + np.asarray(minute, "m8[m]")
    return pd.DatetimeIndex(local).tz_localize(NEW_YORK).as_unit("ns").asi8


def _minutes(clock_time: str) -> int:
    hour, minute = clock_time.split(":")
    return 60 * int(hour) + int(minute)


def checked_changes(changes: Mapping[Any, str | None] | Changes) -> Changes:
    """Changes to the calendar in order, dates and times as text.

    Raises:
        InputError: a date that cannot be read or is given twice, a closing time outside 09:31 to 16:00.
    """
    found: dict[str, str | None] = {}
    for date, close in as_pairs("calendar", changes).items():
        day = str(calendar_day(date))
        if day in found:
            raise InputError(f"the calendar changes {day} twice; give each date once")
        if close is not None:
            try:
                close = f"{dt.datetime.strptime(close, '%H:%M'):%H:%M}"
                good = _OPEN < _minutes(close) <= _CLOSE
            except (TypeError, ValueError):
                good = False
            if not good:
                raise InputError(
                    f"the calendar closes {day} at {close!r}; give a New York time after 09:30 and up to "
                    "16:00 such as '13:00', or None where the exchange is closed"
                )
        found[day] = close
    return tuple(sorted(found.items()))


def as_pairs(name: str, given: object) -> dict[Any, Any]:
    """A table given as a mapping or as pairs.

    Raises:
        InputError: it is neither.
    """
    try:
        return dict(cast(Any, given))
    except (TypeError, ValueError):
        raise InputError(f"{name} is {given!r}; it must map dates or instants to values") from None


def calendar_changes(schedule: pd.DataFrame) -> dict[str, str | None]:
    """Where a kept calendar differs from the rules here, as the `calendar` of a `VarianceClock`.

    Args:
        schedule: one row per session, indexed by date, with the instants ``open`` and ``close``, such as
            ``exchange_calendars.get_calendar("XNYS").schedule``. Weekdays between its first and last row that
            it does not list are closed.

    Returns:
        Date → closing time in New York, None where the exchange is closed; empty where both agree.

    Raises:
        InputError: no such columns, no rows, or an exchange that does not open at 09:30 in New York.

    Example:
        >>> at = pd.Timestamp("2026-11-27", tz="America/New_York")  # the day after Thanksgiving
        >>> hours = {"open": [at + pd.Timedelta(hours=9.5)], "close": [at + pd.Timedelta(hours=16)]}
        >>> surfaces.calendar_changes(pd.DataFrame(hours, index=[at.normalize().tz_localize(None)]))
        {'2026-11-27': '16:00'}
    """
    if schedule.empty or not {"open", "close"} <= set(schedule.columns):
        raise InputError(
            f"a schedule needs rows and the columns open and close; got {len(schedule)} rows of "
            f"{', '.join(map(str, schedule.columns))}"
        )
    opens, closes = to_new_york(list(schedule["open"])), to_new_york(list(schedule["close"]))
    late = (opens.hour * 60 + opens.minute).to_numpy() != _OPEN
    if late.any():
        raise InputError(
            f"the schedule opens at {opens[late][0]:%H:%M} New York on {opens[late][0]:%Y-%m-%d}; only "
            "sessions that open at 09:30 can be taken over: use the calendar XNYS"
        )
    theirs = dict(zip(opens.strftime("%Y-%m-%d"), closes.strftime("%H:%M"), strict=True))
    days, close = _by_rules()
    within = (days >= np.datetime64(min(theirs))) & (days <= np.datetime64(max(theirs)))
    ours = {str(d): f"{m // 60:02d}:{m % 60:02d}" for d, m in zip(days[within], close[within], strict=True)}
    either = sorted(ours.keys() | theirs.keys())
    return {day: theirs.get(day) for day in either if theirs.get(day) != ours.get(day)}


Instant: TypeAlias = str | dt.date | np.datetime64
"""a time as text, date, datetime or Timestamp"""
Instants: TypeAlias = pd.Series | pd.Index | np.ndarray | Sequence[Any]
"""a column of them"""


@overload
def to_new_york(when: Instants) -> pd.DatetimeIndex: ...  # pyright: ignore[reportOverlappingOverload]
@overload
def to_new_york(when: Instant) -> pd.Timestamp: ...


def to_new_york(when: object) -> pd.Timestamp | pd.DatetimeIndex:
    """Instants in New York time; naive ones are taken as New York already.

    Args:
        when: a timestamp (string, date, datetime, Timestamp) or a column of them.

    Returns:
        A tz-aware Timestamp, or a DatetimeIndex for a column.

    Raises:
        InputError: not a time, or missing.
    """
    try:
        if isinstance(when, (pd.Series, pd.Index, np.ndarray, list, tuple)):
            stamps = pd.DatetimeIndex(when)
            ambiguous: Any = np.ones(len(stamps), bool)
            missing = bool(stamps.hasnans)
        elif isinstance(when, (str, dt.date, np.datetime64)):
            stamps = pd.Timestamp(when)
            ambiguous, missing = True, False
        else:
            raise TypeError(f"a {type(when).__name__}")
        if missing or isinstance(stamps, NaTType):
            raise ValueError("missing (NaT)")
        if stamps.tz is not None:
            return cast(Any, stamps.tz_convert(NEW_YORK))
        return cast(Any, stamps.tz_localize(NEW_YORK, ambiguous=ambiguous, nonexistent="shift_forward"))
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"a time cannot be read: got {_brief(when)} ({error}); give an ISO time such as 2025-09-04T14:15"
        ) from None


def calendar_day(date: str | dt.date) -> np.datetime64:
    """A date within the calendar.

    Raises:
        InputError: no date, or before 2004 or after 2100.
    """
    day = np.datetime64(to_new_york(date).date(), "D")
    if not np.datetime64(f"{FIRST_YEAR}-01-01") <= day <= np.datetime64(f"{LAST_YEAR}-12-31"):
        raise InputError(
            f"the date is {day}; the trading calendar runs from {FIRST_YEAR} to {LAST_YEAR}: check the year"
        )
    return day


def _brief(value: object) -> str:
    text = repr(value) if isinstance(value, (str, int, float, dt.date)) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
