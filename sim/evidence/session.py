"""One recorded session: the prices that were seen, and the open interest that stood before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import pandas as pd

from gammawall.surfaces.clock import VarianceClock, session_bounds, to_new_york
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import SESSION_MINUTES, SESSIONS_PER_YEAR

__all__ = ["Sampled", "Session", "sample", "session_from_paths"]

_LEAST_PRICES = 10
_ROUNDING = 1e-9
_TOLERANCE = 0.02
"""Minutes by which the time of a price may miss the end of a sampling interval."""


@dataclass(frozen=True, eq=False)
class Session:
    """Prices of one trading session and the book that was hedged in it.

    Args:
        instants: of the prices, ascending, within one session; New York time where they have no zone. The
            first is the instant from which the day is counted, as a rule the open.
        price: index points at those instants.
        book: all open interest of the morning, signed **as though dealers were long every contract**: who is
            long what is the answer sought, not an input. It must be valued at or before the first instant.
        clock: variance time, by which the options' variance is spent.

    Raises:
        InputError: what is wrong, with the session's date.
    """

    instants: pd.DatetimeIndex
    price: np.ndarray
    book: Book
    clock: VarianceClock = field(default_factory=VarianceClock)

    def __post_init__(self) -> None:
        instants = pd.DatetimeIndex([to_new_york(t) for t in self.instants]).as_unit("ns")
        price = np.asarray(self.price, float)
        object.__setattr__(self, "instants", instants)
        object.__setattr__(self, "price", price)
        if price.shape != (len(instants),) or price.size < _LEAST_PRICES:
            raise InputError(
                f"a session needs at least {_LEAST_PRICES} prices and one instant for each; got "
                f"{len(instants)} instants and prices of shape {price.shape}"
            )
        first, last = cast(pd.Timestamp, instants[0]), cast(pd.Timestamp, instants[-1])
        day = first.date()
        gaps = np.diff(instants.asi8)
        if (gaps <= 0).any():
            k = int(np.argmax(gaps <= 0))
            what = "twice" if gaps[k] == 0 else "before the one that precedes it"
            raise InputError(
                f"session {day}: the time {instants[k + 1]} stands {what}: sort the prices, keep each once"
            )
        if not (np.isfinite(price).all() and (price > 0.0).all()):
            raise InputError(
                f"session {day}: every price must be finite and positive; got {price[~(price > 0.0)][:1]}"
            )
        opened, closed = session_bounds(day)
        if first < opened or last > closed:
            raise InputError(
                f"session {day}: prices must lie within the session, {opened} to {closed}; got {first} "
                f"to {last}: is the time zone right?"
            )
        if self.book.as_of > first:
            raise InputError(
                f"session {day}: the book was valued at {self.book.as_of}, after the first price at "
                f"{first}: give the open interest and vols from before the session"
            )
        if not len(self.book) or (self.book.contracts < 0.0).any():
            raise InputError(
                f"session {day}: the book must hold open interest, every contract as though dealers were long"
            )
        object.__setattr__(self, "book", self.book.at(first, self.clock))

    @property
    def start(self) -> pd.Timestamp:
        """The first instant."""
        return cast(pd.Timestamp, self.instants[0])

    @property
    def date(self) -> str:
        return str(self.start.date())

    @property
    def open(self) -> float:
        return float(self.price[0])

    @property
    def length_min(self) -> float:
        """Minutes from the first instant to the close of the session."""
        return (session_bounds(self.date)[1] - self.start).total_seconds() / 60.0

    def __repr__(self) -> str:
        return f"Session({self.date}, {self.price.size} prices, {len(self.book):,} contracts)"


@dataclass(frozen=True, eq=False)
class Sampled:
    """A session's log prices on the grid of sampling instants.

    A price that is missing makes one longer step out of two or more; none is made up.
    """

    session: Session
    interval_min: float
    minutes: np.ndarray
    """since the first instant, [K + 1]"""
    log_price: np.ndarray
    """[K + 1]; the last one seen where there is none"""
    seen: np.ndarray
    """whether there is a price, [K + 1]"""

    @property
    def since(self) -> np.ndarray:
        """The last instant before the end of each step that has a price, [K]."""
        return np.maximum.accumulate(np.where(self.seen, np.arange(self.seen.size), 0))[:-1]

    @property
    def years(self) -> np.ndarray:
        """Variance time of each step, one regular session 1/252, [K]."""
        return (self.minutes[1:] - self.minutes[self.since]) / (SESSION_MINUTES * SESSIONS_PER_YEAR)

    def used(self, leave_out_min: float) -> np.ndarray:
        """Whether a step counts: it ends in a price, and not in the last minutes before the close, [K]."""
        return self.seen[1:] & (self.minutes[1:] <= self.session.length_min - leave_out_min + _ROUNDING)

    def coarser(self, factor: int) -> Sampled:
        """Every so many instants."""
        rows = slice(None, None, factor)
        return replace(
            self,
            interval_min=self.interval_min * factor,
            minutes=self.minutes[rows],
            log_price=self.log_price[rows],
            seen=self.seen[rows],
        )


def sample(session: Session, interval_min: float) -> Sampled:
    """Take the price at the end of every sampling interval.

    Args:
        session: its instants may be finer than the interval.
        interval_min: length of a sampling interval, minutes.

    Raises:
        InputError: fewer than ten intervals have a price.
    """
    since = (session.instants.asi8 - session.instants.asi8[0]) / 60e9
    wanted = np.arange(0.0, session.length_min + _ROUNDING, interval_min)
    at = np.clip(np.searchsorted(since, wanted - _TOLERANCE), 0, since.size - 1)
    seen = np.abs(since[at] - wanted) <= _TOLERANCE
    if seen.sum() < _LEAST_PRICES:
        raise InputError(
            f"session {session.date}: only {int(seen.sum())} of {wanted.size} intervals of {interval_min:g} "
            "minutes have a price at their end: choose an interval that its times allow"
        )
    last = np.maximum.accumulate(np.where(seen, np.arange(seen.size), 0))
    return Sampled(session, interval_min, wanted, np.log(session.price[at[last]]), seen)


def session_from_paths(
    prices: np.ndarray, minutes: Sequence[float] | np.ndarray, start: str | pd.Timestamp, book: Book
) -> list[Session]:
    """Simulated paths as sessions, all of one day and one book.

    Args:
        prices: index points, [paths, K + 1], such as `SimResult.sample_paths`.
        minutes: trading minutes since the start, [K + 1], such as `SimResult.minutes`.
        start: first instant of the simulation.
        book: open interest as though dealers were long every contract.
    """
    first = to_new_york(start)
    instants = pd.DatetimeIndex([first + pd.Timedelta(minutes=float(m)) for m in minutes])
    return [Session(instants, path, book) for path in np.asarray(prices, float)]
