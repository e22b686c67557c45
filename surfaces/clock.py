"""Exchange time: expiry instants, trading sessions, and the two clocks (calendar and variance)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from gammawall.surfaces.errors import InputError
from gammawall.surfaces.sessions import (
    FIRST_YEAR,
    LAST_YEAR,
    NEW_YORK,
    Changes,
    Instant,
    Instants,
    as_pairs,
    calendar_changes,
    calendar_day,
    checked_changes,
    session_table,
    to_new_york,
)
from gammawall.surfaces.units import DAYS_PER_YEAR, SESSION_MINUTES, SESSIONS_PER_YEAR

__all__ = [
    "AM_SETTLED",
    "NEW_YORK",
    "PROFILES",
    "VarianceClock",
    "calendar_changes",
    "calendar_years",
    "cumulative_profile",
    "expiry_instant",
    "is_session",
    "new_york",
    "session_bounds",
    "to_new_york",
]

AM_SETTLED = frozenset({"SPX", "NDX", "RUT", "DJX", "VIX", "VIXW", "RUI", "RLG", "RLV", "MNX"})
"""Roots that settle on the opening prices of their expiry date; XSP, MRUT, XND and OEX do at the close."""

PROFILES = ("flat", "u_shape")

_NS_PER_YEAR = DAYS_PER_YEAR * 86400e9


def new_york(instant: object, name: str = "instant") -> pd.Timestamp:
    """One instant in New York time, with the argument named when it is not one."""
    try:
        return to_new_york(cast(Instant, instant))
    except InputError:
        raise InputError(
            f"{name} must be a date and time such as 2026-01-28T16:00:00; got {instant!r}"
        ) from None


def is_session(date: str | dt.date) -> bool:
    """True when the New York Stock Exchange trades on that date (2004 to 2100)."""
    day = calendar_day(date)
    days = session_table().days
    return bool(days[np.searchsorted(days, day, side="right") - 1] == day)


def session_bounds(date: str | dt.date) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Open and close of the regular session on a date: 09:30 to 16:00, or 13:00 on early-close days.

    Raises:
        InputError: the exchange is closed on that date.
    """
    if not is_session(date):
        raise InputError(f"the exchange is closed on {calendar_day(date)}; give a trading day")
    table = session_table()
    i = int(np.searchsorted(table.days, calendar_day(date)))
    return _instant(table.opens[i]), _instant(table.closes[i])


def expiry_instant(root: str, date: str | dt.date) -> pd.Timestamp:
    """Instant at which an option's settlement price is known.

    AM-settled roots settle at the open, all others at the close of the session (13:00 on early-close days). A
    date without a session (the Saturdays of older listings) settles with the last session before it.

    Args:
        root: option root as in the OCC symbol, such as ``SPX`` or ``SPXW``.
        date: expiry date of the contract.
    """
    table = session_table()
    i = int(np.searchsorted(table.days, calendar_day(date), side="right")) - 1
    return _instant(table.opens[i] if root in AM_SETTLED else table.closes[i])


def calendar_years(as_of: str | dt.date, expiry: Instant | Instants) -> Any:
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


def cumulative_profile(profile: str, fraction_of_session: npt.ArrayLike) -> Any:
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


Events = tuple[tuple[str, float], ...]
"""Instants or dates, ascending as text, with their variance in sessions."""


@dataclass(frozen=True)
class VarianceClock:
    """Time as volatility sees it: one regular session carries 1/252 year, whatever its profile.

    Args:
        profile: how a session's variance is spread over its minutes, ``flat`` or ``u_shape``.
        overnight: variance of the gap between two sessions on consecutive days, in sessions.
        weekend: variance of a longer gap (weekend or holiday), in sessions.
        events: extra variance in sessions. At an instant, ``{"2026-01-28 14:00": 0.5}``, it comes all at
            once, in any interval that begins before the instant and ends at or after it; on a date, which
            must be a session, it is spread over that session like its own variance.
        calendar: changes to the exchange's rules, date → closing time such as ``"13:00"``, or None where it
            is closed; `calendar_changes` makes them from a kept calendar. Expiries are instants of their own
            and do not move with it.

    A gap's variance accrues evenly over the closed hours. An early-close session carries the share of the
    profile that it covers.

    Raises:
        InputError: an unknown profile, a weight that is negative or not finite, an event or a change that
            cannot be read or is given twice, an event on a date without a session.
    """

    profile: str = "flat"
    overnight: float = 0.0
    weekend: float = 0.0
    events: Mapping[Any, float] | Events = ()
    calendar: Mapping[Any, str | None] | Changes = ()

    def __post_init__(self) -> None:
        cumulative_profile(self.profile, 0.0)
        for name in ("overnight", "weekend"):
            _check_weight(name, getattr(self, name))
        # As sorted tuples: clocks of one meaning are equal, have a hash, and share their tables.
        object.__setattr__(self, "calendar", checked_changes(self.calendar))
        object.__setattr__(self, "events", self._checked_events())

    def _checked_events(self) -> Events:
        days = session_table(cast(Changes, self.calendar)).days
        found: dict[str, float] = {}
        for when, weight in as_pairs("events", self.events).items():
            stamp = to_new_york(when)
            day = calendar_day(stamp)
            is_date = stamp == stamp.normalize()
            if is_date and day not in days:
                raise InputError(
                    f"the event of {day} is on a day without a session; give its instant, such as {day} 08:30"
                )
            _check_weight(f"the event of {when}", weight)
            key = str(day) if is_date else stamp.isoformat()
            if key in found:
                raise InputError(f"the event of {key} is given twice; give the sum once")
            found[key] = float(weight)
        return tuple(sorted(found.items()))

    def variance_years(self, start: str | dt.date, end: Instant | Instants) -> Any:
        """Variance time from start to end, in years of 252 sessions; negative when end comes first.

        Args:
            start: one instant.
            end: one instant, or a column of them.

        Returns:
            A float, or a float64 array for a column.
        """
        stop = to_new_york(end)
        column = isinstance(stop, pd.DatetimeIndex)
        first = self._elapsed(np.asarray(to_new_york(start).as_unit("ns").value))
        last = self._elapsed(stop.as_unit("ns").asi8 if column else np.asarray(stop.as_unit("ns").value))
        # Whole sessions and past events cancel before the parts are added: one minute keeps its precision.
        sessions, part, events = (b - a for a, b in zip(first, last, strict=True))
        years = (sessions + part + events) / SESSIONS_PER_YEAR
        return years if column else float(years)

    def _elapsed(self, ns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sessions before the last open, the part since, and the events so far."""
        table, weights = session_table(cast(Changes, self.calendar)), _weights(self)
        i = np.searchsorted(table.opens, ns, side="right") - 1
        if np.any(i < 0) or np.any(i >= len(table.opens) - 1):
            raise InputError(
                f"a time lies outside the trading calendar, which runs {FIRST_YEAR} to {LAST_YEAR}"
            )
        inside = cumulative_profile(self.profile, (ns - table.opens[i]) / (SESSION_MINUTES * 60e9))
        closed = (ns - table.closes[i]) / (table.opens[i + 1] - table.closes[i])
        part = weights.density[i] * np.minimum(inside, weights.length[i])
        part = part + weights.gap[i] * np.clip(closed, 0.0, 1.0)
        return weights.before[i], part, weights.jumped[np.searchsorted(weights.jumps, ns, side="right")]


class _Weights(NamedTuple):
    before: np.ndarray
    """sessions elapsed before each open"""
    length: np.ndarray
    """share of the profile that each session covers"""
    density: np.ndarray
    """variance of the session over that share: 1 but on event days"""
    gap: np.ndarray
    """sessions of the gap that follows"""
    jumps: np.ndarray
    """instants of events, ns"""
    jumped: np.ndarray
    """sum of the first j events, j = 0, 1, …"""


@lru_cache(maxsize=32)
def _weights(clock: VarianceClock) -> _Weights:
    table = session_table(cast(Changes, clock.calendar))
    length = cumulative_profile(clock.profile, (table.closes - table.opens) / (SESSION_MINUTES * 60e9))
    nights = np.append(np.diff(table.days).astype(int), 1)
    gap = np.where(nights > 1, clock.weekend, clock.overnight)
    events = dict(clock.events)
    dates = {day: weight for day, weight in events.items() if "T" not in day}
    density = np.ones_like(length)
    at = np.searchsorted(table.days, np.array(list(dates), "M8[D]"))
    density[at] += np.array(list(dates.values()), float) / length[at]
    jumps = sorted(
        (int(to_new_york(when).as_unit("ns").value), w) for when, w in events.items() if "T" in when
    )
    before = np.concatenate(([0.0], np.cumsum(density * length + gap)[:-1]))
    return _Weights(
        before,
        length,
        density,
        gap,
        np.array([ns for ns, _ in jumps], np.int64),
        np.concatenate(([0.0], np.cumsum([weight for _, weight in jumps]))),
    )


def _check_weight(name: str, value: float) -> None:
    try:
        good = bool(np.isfinite(value) and value >= 0.0)
    except TypeError:
        good = False
    if not good:
        raise InputError(f"{name} is {value!r}; it must be a finite number of sessions, 0 or more")


def _instant(ns: int | np.integer) -> pd.Timestamp:
    return cast(pd.Timestamp, pd.Timestamp(int(ns), tz="UTC").tz_convert(NEW_YORK))
