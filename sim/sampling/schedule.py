"""The time grid of a run: instants of trading time, and the variance of each step between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gammawall.sim.types import Market
from gammawall.surfaces.clock import NEW_YORK, to_new_york
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.sessions import session_table

__all__ = ["Schedule", "make_schedule"]

_NO_VARIANCE = 1e-12
"""Years; a night's variance below this is rounding of the clock."""
_LAST_LEFT = 4e-10
"""Share of the window's trading time at which a geometric grid ends. The variance rate there is at most 2.5
times the average under any profile, so that at most 1e-9 of the variance is left."""
_SHORTEST_NS = 5.0
"""No step is shorter than this: instants are whole nanoseconds."""


@dataclass(frozen=True)
class Schedule:
    """Arrays over the N + 1 instants (first = start, last = close) or the N steps between them.

    A step that spans a night without variance is the first of its session; a night that counts has a step of
    its own, which ends at the next open and takes no trading time.
    """

    instants: pd.DatetimeIndex
    """[N + 1]"""
    minutes: np.ndarray
    """trading minutes since the start, [N + 1]"""
    variance: np.ndarray
    """variance time of each step, years, [N]"""
    session: np.ndarray
    """session that each step belongs to, from 0; a night belongs to the next one, if there is one, [N]"""
    night: np.ndarray
    """whether the step is a night, [N]"""
    step_minutes: np.ndarray
    """equal step of each session, before settlements or the approach to the close change some, [sessions]"""

    @property
    def steps(self) -> int:
        return self.variance.size

    def marks(self, sample_minutes: float) -> np.ndarray:
        """Which steps are the last of a sampling interval, bool [N].

        Intervals are whole equal steps, at least one, counted from each open; where steps are unequal, the
        instant nearest to an interval's end stands for it. No interval spans a night.

        Args:
            sample_minutes: length wanted, trading minutes.
        """
        ends = ~self.night & np.append(self.night[1:] | (np.diff(self.session) > 0), True)
        mark = ends | (self.night & np.append(~self.night[1:], True))
        for i, equal in enumerate(self.step_minutes):
            own = np.flatnonzero((self.session == i) & ~self.night)
            since = self.minutes[own + 1] - self.minutes[own[0]]
            length = max(round(sample_minutes / equal), 1) * equal
            wanted = length * np.arange(1, int(since[-1] / length + 1e-6) + 1)
            after = np.clip(np.searchsorted(since, wanted), 1, max(own.size - 1, 1))
            before = wanted - since[after - 1] <= since[np.minimum(after, own.size - 1)] - wanted
            mark[own[np.minimum(np.where(before, after - 1, after), own.size - 1)]] = True
        return mark


def make_schedule(
    market: Market,
    steps: int,
    *,
    settlements: Iterable[pd.Timestamp] = (),
    geometric: float | None = None,
) -> Schedule:
    """Split the window of a market into steps.

    Sessions share the steps in proportion to their trading time and split them equally, so that every close
    is an instant. A night with variance, or with a settlement in it, adds a step that ends at the next open.

    Args:
        market: window and variance clock.
        steps: equal steps of trading time, over all sessions.
        settlements: instants at which contracts expire; those inside the window become instants of the grid:
            the nearest equal step's end moves there, or a step is added. Others do not matter.
        geometric: η in (0, 0.5] makes every step min(equal step, η × time left to the next settlement or the
            close), down to 1e-9 of the variance; the grid then has more than `steps` steps.

    Raises:
        InputError: fewer steps than sessions, no session in the window, or η out of range.
    """
    if geometric is not None and not 0.0 < geometric <= 0.5:
        raise InputError(f"geometric must be a share of the time left in (0, 0.5]; got {geometric:g}")
    sessions = _sessions(market)
    lengths = np.array([(b - a).total_seconds() for a, b in sessions])
    if not 1 <= lengths.size <= steps:
        raise InputError(
            f"steps must be at least 1 for each of the {lengths.size} sessions from {market.start} to "
            f"{market.close}, and there must be one; got {steps}"
        )
    settling = np.unique([to_new_york(t).as_unit("ns").value for t in settlements]).astype(np.int64)
    share = _shares(steps, lengths)
    elapsed = np.concatenate([[0.0], np.cumsum(lengths)])
    nights = _nights(market, sessions, settling)
    grid = _Grid(_ns(market.start if nights[0].size else sessions[0][0]))
    goals = _goals(sessions, elapsed, settling)
    for i, (first, last) in enumerate(sessions):
        grid.add(nights[i], np.full(nights[i].size, elapsed[i]), i, night=True)
        inside = settling[(settling > _ns(first)) & (settling < _ns(last))] - _ns(first)
        if geometric is None:
            since, seconds = _equal(lengths[i], share[i], inside)
        else:
            ahead = goals[goals > elapsed[i] + 1e-9] - elapsed[i]
            since, seconds = _approach(lengths[i], share[i], inside, ahead, geometric, elapsed[-1])
        since[-1] = _ns(last) - _ns(first)
        grid.add(_ns(first) + since, elapsed[i] + seconds, i, night=False)
    grid.add(nights[-1], np.full(nights[-1].size, elapsed[-1]), lengths.size - 1, night=True)
    return grid.schedule(market, lengths / share / 60.0)


class _Grid:
    """The instants gathered so far, and the steps that end at them."""

    def __init__(self, first: int) -> None:
        self.ns, self.seconds = [np.array([first])], [np.zeros(1)]
        self.session: list[np.ndarray] = []
        self.night: list[np.ndarray] = []

    def add(self, ns: np.ndarray, seconds: np.ndarray, session: int, *, night: bool) -> None:
        self.ns.append(ns)
        self.seconds.append(seconds)
        self.session.append(np.full(ns.size, session))
        self.night.append(np.full(ns.size, night))

    def schedule(self, market: Market, step_minutes: np.ndarray) -> Schedule:
        instants = pd.DatetimeIndex(np.concatenate(self.ns).astype("M8[ns]"), tz="UTC").tz_convert(NEW_YORK)
        variance = np.diff(np.asarray(market.clock.variance_years(market.start, instants), float))
        night = np.concatenate(self.night)
        variance[night & (variance < _NO_VARIANCE)] = 0.0
        minutes = np.concatenate(self.seconds) / 60.0
        return Schedule(instants, minutes, variance, np.concatenate(self.session), night, step_minutes)


def _ns(when: pd.Timestamp) -> int:
    return int(when.as_unit("ns").value)


def _sessions(market: Market) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """The parts of trading sessions, by the calendar of the market's clock, that lie inside its window."""
    table = session_table(market.clock.calendar)  # pyright: ignore[reportArgumentType]
    first, last = np.maximum(table.opens, _ns(market.start)), np.minimum(table.closes, _ns(market.close))
    inside = first < last
    opens, closes = (
        pd.DatetimeIndex(ns[inside], tz="UTC").tz_convert(NEW_YORK).as_unit("ns") for ns in (first, last)
    )
    return list(zip(opens, closes, strict=True))


def _shares(steps: int, lengths: np.ndarray) -> np.ndarray:
    """Whole steps of each session: one each, the rest by largest remainder of the proportional share."""
    exact = steps * lengths / lengths.sum()
    share = np.maximum(np.floor(exact), 1.0).astype(int)
    while (left := steps - share.sum()) != 0:
        surplus = exact - share
        if left > 0:
            share[np.argmax(surplus)] += 1
        else:
            share[np.argmin(np.where(share > 1, surplus, np.inf))] -= 1
    return share


def _nights(
    market: Market, sessions: list[tuple[pd.Timestamp, pd.Timestamp]], settling: np.ndarray
) -> list[np.ndarray]:
    """Ends of the steps of each gap: before every session, and after the last; ns since the epoch.

    A gap is left out unless it has variance or a settlement.
    """
    begins = [market.start, *(last for _, last in sessions)]
    ends = [*(first for first, _ in sessions), market.close]
    nights = []
    for begin, end in zip(begins, ends, strict=True):
        inside = settling[(settling > _ns(begin)) & (settling <= _ns(end))]
        counts = float(market.clock.variance_years(begin, end)) > _NO_VARIANCE
        wanted = end > begin and (inside.size or counts)
        nights.append(np.union1d(inside, [_ns(end)]) if wanted else np.zeros(0, np.int64))
    return nights


def _goals(
    sessions: list[tuple[pd.Timestamp, pd.Timestamp]], elapsed: np.ndarray, settling: np.ndarray
) -> np.ndarray:
    """Trading seconds from the start to each settlement and to the close; in a night, to its beginning."""
    opens = np.array([_ns(first) for first, _ in sessions])
    inside = settling[settling > opens[0]]
    i = np.searchsorted(opens, inside, side="left") - 1
    at = np.minimum(elapsed[i] + (inside - opens[i]) / 1e9, elapsed[i + 1])
    return np.union1d(at, elapsed[-1:])


def _equal(length: float, steps: int, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of equal steps, the nearest moved to each settlement; ns and seconds since the open."""
    seconds = length * np.arange(1, steps + 1) / steps
    ns = (seconds * 1e9).astype(np.int64)
    free = np.ones(steps, bool)
    free[-1] = False
    added = []
    for settlement in inside:
        nearest = round(settlement / 1e9 / length * steps) - 1
        if nearest >= 0 and free[nearest]:
            free[nearest], ns[nearest], seconds[nearest] = False, settlement, settlement / 1e9
        else:
            added.append(settlement)
    ns, order = np.unique(np.append(ns, np.array(added, np.int64)), return_index=True)
    return ns, np.append(seconds, np.array(added) / 1e9)[order]


def _approach(
    length: float, steps: int, inside: np.ndarray, goals: np.ndarray, share: float, window: float
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of steps that shrink towards every goal; ns and seconds since the open.

    Args:
        goals: seconds from the open to the settlements and the close ahead, in this session or later.
        window: trading seconds of all sessions.
    """
    equal = length / steps
    floor = max(_LAST_LEFT * window, _SHORTEST_NS * 1e-9 / share)
    stops = np.append(inside / 1e9, length)
    begin, ends = 0.0, []
    for stop in stops:
        distance = goals[np.searchsorted(goals, stop - 1e-6)] - begin
        uniform = max(int(np.ceil(distance / equal - 1.0 / share)), 0)
        left = distance - uniform * equal
        shrinking = max(int(np.ceil(np.log(floor / left) / np.log1p(-share))), 0)
        left = left * (1.0 - share) ** np.arange(shrinking + 1)
        times = begin + np.concatenate([equal * np.arange(1, uniform), distance - left])
        ends += [times[(times > begin) & (times < stop - _SHORTEST_NS * 1e-9)], [stop]]
        begin = stop
    seconds = np.concatenate(ends)
    ns = np.rint(seconds * 1e9).astype(np.int64)
    return ns, seconds
