"""The time grid of a run: equal steps of trading time, and the variance of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gammawall.sim.types import Market
from gammawall.surfaces.clock import is_session, session_bounds

__all__ = ["Schedule", "make_schedule"]


@dataclass(frozen=True)
class Schedule:
    """Arrays over the N + 1 instants (first = start, last = close) or the N steps between them."""

    instants: pd.DatetimeIndex
    """[N + 1]"""
    minutes: np.ndarray
    """trading minutes since the start, [N + 1]"""
    variance: np.ndarray
    """variance time of each step, years, [N]"""

    @property
    def steps(self) -> int:
        return self.variance.size

    @property
    def step_minutes(self) -> float:
        return float(self.minutes[-1] / self.steps)


def make_schedule(market: Market, steps: int) -> Schedule:
    """Split the window of a market into equal steps of trading time.

    A step that spans a night carries the night's variance. An instant that falls between two sessions is
    the close of the earlier one, so that contracts expiring at that close settle exactly on a step.
    """
    opens, closes = _sessions(market.start, market.close)
    lengths = np.array([(b - a).total_seconds() for a, b in zip(opens, closes, strict=True)])
    ends = np.cumsum(lengths)
    offsets = ends[-1] * np.arange(steps + 1) / steps
    session = np.minimum(np.searchsorted(ends, offsets, side="left"), lengths.size - 1)
    seconds = offsets - (ends - lengths)[session]
    instants = pd.DatetimeIndex(
        [opens[i] + pd.Timedelta(seconds=s) for i, s in zip(session, seconds, strict=True)]
    )
    cumulative = np.asarray(market.clock.variance_years(market.start, instants), float)
    return Schedule(instants, offsets / 60.0, np.diff(cumulative))


def _sessions(start: pd.Timestamp, close: pd.Timestamp) -> tuple[list[pd.Timestamp], list[pd.Timestamp]]:
    """The parts of trading sessions that lie inside a window."""
    opens, closes = [], []
    for day in pd.date_range(start.normalize(), close.normalize(), freq="D"):
        if not is_session(day):
            continue
        first, last = session_bounds(day)
        if max(first, start) < min(last, close):
            opens.append(max(first, start))
            closes.append(min(last, close))
    return opens, closes
