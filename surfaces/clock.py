"""Exchange time: expiry instants, trading sessions, and the two clocks (calendar and variance)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, cast, overload
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
from gammawall.surfaces.units import DAYS_PER_YEAR, SESSION_MINUTES, SESSIONS_PER_YEAR

__all__ = [
    "AM_SETTLED",
    "NEW_YORK",
    "PROFILES",
    "VarianceClock",
    "calendar_years",
    "cumulative_profile",
    "expiry_instant",
    "is_session",
    "session_bounds",
    "to_new_york",
]

NEW_YORK = ZoneInfo("America/New_York")

AM_SETTLED = frozenset({"SPX", "NDX", "RUT", "DJX", "VIX", "VIXW", "RUI", "RLG", "RLV", "MNX"})
"""Roots that settle on the opening prices of their expiry date; XSP, MRUT, XND and OEX do at the close."""

PROFILES = ("flat", "u_shape")

_FIRST_YEAR, _LAST_YEAR = 2004, 2100
_OPEN, _CLOSE, _EARLY_CLOSE = 9 * 60 + 30, 16 * 60, 13 * 60  # minutes of the day
_NS_PER_YEAR = DAYS_PER_YEAR * 86400e9
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


class _Sessions(NamedTuple):
    days: np.ndarray  # datetime64[D], one per session
    opens: np.ndarray  # int64 ns since the epoch, UTC
    closes: np.ndarray


@lru_cache(maxsize=1)
def _sessions() -> _Sessions:
    first, last = pd.Timestamp(_FIRST_YEAR, 1, 1), pd.Timestamp(_LAST_YEAR, 12, 31)
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
    early = np.asarray(after_thanksgiving | eve)
    return _Sessions(days, _utc_ns(days, _OPEN), _utc_ns(days, np.where(early, _EARLY_CLOSE, _CLOSE)))


def _utc_ns(days: np.ndarray, minute: int | np.ndarray) -> np.ndarray:
    local = days.astype("M8[ns]") + np.asarray(minute, "m8[m]")
    return pd.DatetimeIndex(local).tz_localize(NEW_YORK).as_unit("ns").asi8


@overload
def to_new_york(when: pd.Series | pd.Index | np.ndarray | Sequence[Any]) -> pd.DatetimeIndex: ...  # pyright: ignore[reportOverlappingOverload]
@overload
def to_new_york(when: str | dt.date | np.datetime64) -> pd.Timestamp: ...


def to_new_york(when: Any) -> pd.Timestamp | pd.DatetimeIndex:
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


def is_session(date: str | dt.date) -> bool:
    """True when the New York Stock Exchange trades on that date (2004 to 2100)."""
    day = _day(date)
    days = _sessions().days
    return bool(days[np.searchsorted(days, day, side="right") - 1] == day)


def session_bounds(date: str | dt.date) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Open and close of the regular session on a date: 09:30 to 16:00, or 13:00 on early-close days.

    Raises:
        InputError: the exchange is closed on that date.
    """
    if not is_session(date):
        raise InputError(f"the exchange is closed on {_day(date)}; give a trading day")
    table = _sessions()
    i = int(np.searchsorted(table.days, _day(date)))
    return _instant(table.opens[i]), _instant(table.closes[i])


def expiry_instant(root: str, date: str | dt.date) -> pd.Timestamp:
    """Instant at which an option's settlement price is known.

    AM-settled roots settle at the open, all others at the close of the session (13:00 on early-close days). A
    date without a session (the Saturdays of older listings) settles with the last session before it.

    Args:
        root: option root as in the OCC symbol, such as ``SPX`` or ``SPXW``.
        date: expiry date of the contract.
    """
    table = _sessions()
    i = int(np.searchsorted(table.days, _day(date), side="right")) - 1
    return _instant(table.opens[i] if root in AM_SETTLED else table.closes[i])


def calendar_years(as_of: str | dt.date, expiry: Any) -> Any:
    """Years of real time between exact instants, (expiry − as_of) / 365 days; negative once expired.

    Args:
        as_of: the instant counted from.
        expiry: one instant or a column of them.

    Returns:
        A float, or a float64 array for a column.
    """
    start = int(to_new_york(as_of).as_unit("ns").value)
    if isinstance(end := to_new_york(expiry), pd.DatetimeIndex):
        return (end.as_unit("ns").asi8 - start) / _NS_PER_YEAR
    return (int(end.as_unit("ns").value) - start) / _NS_PER_YEAR


def cumulative_profile(profile: str, fraction_of_session: Any) -> Any:
    """Share of a session's variance that has passed, from 0 at the open to 1 at the close.

    flat: G(u) = u. u_shape: G(u) = ∫₀ᵘ g / ∫₀¹ g with g(u) = 1 + a·exp(−u/τ) + b·exp(−(1−u)/τ), τ = 30
    minutes, and a, b such that the first half hour averages 2 times and the last 1.6 times the midday rate.

    Args:
        profile: ``flat`` or ``u_shape``.
        fraction_of_session: u in [0, 1] of 390 minutes; values outside are clipped.
    """
    u = np.clip(np.asarray(fraction_of_session, float), 0.0, 1.0)
    if profile == "flat":
        return u if u.ndim else float(u)
    if profile != "u_shape":
        raise InputError(f"profile is {profile!r}; it must be one of {', '.join(PROFILES)}")
    tau = 30.0 / SESSION_MINUTES
    morning, evening = np.array([1.0, 0.6]) / -np.expm1(-1.0)

    def integral(x: np.ndarray) -> np.ndarray:
        fall = -morning * tau * np.expm1(-x / tau)
        return x + fall + evening * tau * (np.exp((x - 1.0) / tau) - np.exp(-1.0 / tau))

    share = np.clip(integral(u) / integral(np.ones_like(u)), 0.0, 1.0)
    return share if u.ndim else float(share)


@dataclass(frozen=True)
class VarianceClock:
    """Time as volatility sees it: one regular session carries 1/252 year, whatever its profile.

    Args:
        profile: how a session's variance is spread over its minutes, ``flat`` or ``u_shape``.
        overnight: variance of the gap between two sessions on consecutive days, in sessions.
        weekend: variance of a longer gap (weekend or holiday), in sessions.

    A gap's variance accrues evenly over the closed hours. An early-close session carries the share of the
    profile that it covers.
    """

    profile: str = "flat"
    overnight: float = 0.0
    weekend: float = 0.0

    def __post_init__(self) -> None:
        cumulative_profile(self.profile, 0.0)
        for name in ("overnight", "weekend"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0.0):
                raise InputError(f"{name} is {value}; it must be a finite number of sessions, 0 or more")

    def variance_years(self, start: str | dt.date, end: Any) -> Any:
        """Variance time from start to end, in years of 252 sessions; negative when end comes first.

        Args:
            start: one instant.
            end: one instant, or a column of them.

        Returns:
            A float, or a float64 array for a column.
        """
        days0, part0 = self._elapsed(np.asarray(to_new_york(start).as_unit("ns").value))
        stop = to_new_york(end)
        column = isinstance(stop, pd.DatetimeIndex)
        days, part = self._elapsed(
            stop.as_unit("ns").asi8 if column else np.asarray(stop.as_unit("ns").value)
        )
        # Whole sessions cancel before the parts are added, so that one minute keeps its full precision.
        years = ((days - days0) + (part - part0)) / SESSIONS_PER_YEAR
        return years if column else float(years)

    def _elapsed(self, ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        table = _sessions()
        before, length, gap = _weights(self.profile, self.overnight, self.weekend)
        i = np.searchsorted(table.opens, ns, side="right") - 1
        if np.any(i < 0) or np.any(i >= len(table.opens) - 1):
            raise InputError(
                f"a time lies outside the trading calendar, which runs {_FIRST_YEAR} to {_LAST_YEAR}"
            )
        inside = cumulative_profile(self.profile, (ns - table.opens[i]) / (SESSION_MINUTES * 60e9))
        closed = (ns - table.closes[i]) / (table.opens[i + 1] - table.closes[i])
        return before[i], np.minimum(inside, length[i]) + gap[i] * np.clip(closed, 0.0, 1.0)


@lru_cache(maxsize=32)
def _weights(profile: str, overnight: float, weekend: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Sessions elapsed before each open, the session's own weight, and the weight of the gap that follows it.
    table = _sessions()
    length = cumulative_profile(profile, (table.closes - table.opens) / (SESSION_MINUTES * 60e9))
    nights = np.append(np.diff(table.days).astype(int), 1)
    gap = np.where(nights > 1, weekend, overnight)
    before = np.concatenate(([0.0], np.cumsum(length + gap)[:-1]))
    return before, length, gap


def _day(date: str | dt.date) -> np.datetime64:
    day = np.datetime64(to_new_york(date).date(), "D")
    if not np.datetime64(f"{_FIRST_YEAR}-01-01") <= day <= np.datetime64(f"{_LAST_YEAR}-12-31"):
        raise InputError(
            f"the date is {day}; the trading calendar runs from {_FIRST_YEAR} to {_LAST_YEAR}: check the year"
        )
    return day


def _instant(ns: Any) -> pd.Timestamp:
    return cast(pd.Timestamp, pd.Timestamp(int(ns), tz="UTC").tz_convert(NEW_YORK))


def _brief(value: Any) -> str:
    text = repr(value) if isinstance(value, (str, int, float, dt.date)) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
