"""Signed positions: who is long what, with everything needed to reprice them at any spot."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gammawall.surfaces.arguments import CALL_FLAG, anything, check_arguments
from gammawall.surfaces.arrays import Numbers
from gammawall.surfaces.clock import VarianceClock, calendar_years, new_york
from gammawall.surfaces.display import Display
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.sessions import Instant, Instants
from gammawall.surfaces.units import MULTIPLIER

__all__ = ["Book"]


@dataclass(frozen=True, eq=False, repr=False)
class Book(Display):
    """Option positions signed from the dealers' side, as arrays of one length N.

    Forward of position i at spot S: ``carry_i × S``. Total variance to expiry: ``vol_i² × variance_years_i``;
    `vol` therefore belongs to whichever clock measured `variance_years`.
    """

    contracts: np.ndarray
    """signed: + dealers are long the option, call or put"""
    strike: np.ndarray
    """index points"""
    is_call: np.ndarray
    expiry: pd.DatetimeIndex
    """settlement instants, New York"""
    vol: np.ndarray
    """the hedger's vol, annual decimal"""
    variance_years: np.ndarray
    years: np.ndarray
    """real time to expiry, ACT/365"""
    discount: np.ndarray
    carry: np.ndarray
    """forward / spot"""
    spot: float
    as_of: pd.Timestamp
    convention: str = "given"
    multiplier: float = MULTIPLIER
    """USD per index point"""
    sources: dict[str, int] = dataclasses.field(default_factory=dict)
    """how many positions take their vol from which source"""

    def __len__(self) -> int:
        return self.strike.size

    def summary(self) -> list[tuple[str, str]]:
        long, short = self.contracts > 0.0, self.contracts < 0.0
        return [
            ("positions", f"{len(self):,}"),
            ("long", f"{self.contracts[long].sum():,.0f}"),
            ("short", f"{-self.contracts[short].sum():,.0f}"),
            ("expiries", f"{self.expiry.nunique():,}"),
            ("spot", f"{self.spot:,.2f}"),
            ("at", f"{self.as_of:%Y-%m-%d %H:%M}"),
            ("convention", self.convention),
        ]

    def frame(self) -> pd.DataFrame:
        """One row per position, a column per field."""
        return pd.DataFrame({name: getattr(self, name) for name in _ARRAYS})

    @property
    def total_vol(self) -> np.ndarray:
        """s = σ√T of each position, dimensionless."""
        return self.vol * np.sqrt(self.variance_years)

    def select(self, mask: np.ndarray) -> Book:
        """The positions where `mask` is true."""
        fields = {name: getattr(self, name)[mask] for name in _ARRAYS}
        return dataclasses.replace(self, **fields)

    def scaled(self, factor: float) -> Book:
        """The same book with every position multiplied; −1 swaps the dealers' side."""
        return dataclasses.replace(self, contracts=self.contracts * factor)

    def at(self, instant: Instant, clock: VarianceClock | None = None) -> Book:
        """The same positions valued later: what has expired is gone, the rest has less variance and time.

        Each position's total variance shrinks by the share of its variance time on `clock` that has passed;
        carry and discount shrink with real time. Spot stays.

        Args:
            instant: not before `as_of`.
            clock: flat sessions and no overnight variance when not given.

        Raises:
            InputError: `instant` is before the book's own time.
        """
        now = new_york(instant, "instant")
        if now < self.as_of:
            raise InputError(f"instant {now} is before the book's own time {self.as_of}: give a later one")
        if now == self.as_of or not len(self):
            return dataclasses.replace(self, as_of=now)
        book = self.select(np.asarray(self.expiry > now))
        clock = clock or VarianceClock()
        left = np.asarray(clock.variance_years(now, book.expiry), float)
        whole = np.asarray(clock.variance_years(self.as_of, book.expiry), float)
        # A contract without variance time on this clock (a night that carries none) keeps what it has.
        share = np.divide(left, whole, out=np.ones_like(left), where=whole > 0.0)
        time = calendar_years(now, book.expiry) / book.years
        return dataclasses.replace(
            book,
            variance_years=book.variance_years * share,
            years=book.years * time,
            discount=book.discount**time,
            carry=book.carry**time,
            as_of=now,
        )

    def same_day(self) -> np.ndarray:
        """Mask of the positions that expire on the book's own date."""
        return np.asarray(self.expiry.normalize() == self.as_of.normalize())

    @classmethod
    def from_positions(
        cls,
        *,
        contracts: Numbers,
        strike: Numbers,
        expiry: Instant | Instants,
        vol: Numbers,
        spot: float,
        as_of: Instant,
        is_call: Numbers = True,
        rate: float = 0.0,
        carry_rate: float | None = None,
        clock: VarianceClock | None = None,
        multiplier: float = MULTIPLIER,
    ) -> Book:
        """A book written by hand.

        Args:
            contracts: signed numbers, + where dealers are long.
            strike: index points, positive.
            expiry: instants (strings, timestamps); without a zone they are New York time.
            vol: annual decimal on `clock`, where one regular session carries vol²/252.
            spot: index points.
            as_of: the instant the book is valued at.
            is_call: True for calls; the five position arguments broadcast.
            rate: continuous discount rate per year.
            carry_rate: growth of the forward per year (r − q); `rate` when not given.
            clock: variance clock; flat sessions and no overnight variance when not given.
            multiplier: USD per index point.

        Raises:
            InputError: an argument is out of range; names it.
        """
        now = new_york(as_of, "as_of")
        instants = pd.DatetimeIndex(
            [new_york(e, "expiry") for e in np.atleast_1d(np.asarray(expiry, object))]
        )
        given = np.arange(len(instants)) if len(instants) > 1 else 0
        check_arguments(_ALLOWED, contracts=contracts, strike=strike, vol=vol, is_call=is_call, expiry=given)
        growth = rate if carry_rate is None else carry_rate
        check_arguments(_ALLOWED, spot=spot, rate=rate, carry_rate=growth, multiplier=multiplier)
        columns = np.broadcast_arrays(
            np.asarray(contracts, float),
            np.asarray(strike, float),
            np.asarray(vol, float),
            np.asarray(is_call, bool),
            given,
        )
        size, strikes, vols, calls, index = (np.atleast_1d(c).ravel().copy() for c in columns)
        expiries = instants[index]
        late = expiries <= now
        if late.any():
            raise InputError(
                f"expiry {expiries[late][0]} is not after the book's time {now}: drop it or move as_of"
            )
        years = calendar_years(now, expiries)
        variance_years = np.asarray((clock or VarianceClock()).variance_years(now, expiries), float)
        return cls(
            contracts=size,
            strike=strikes,
            is_call=calls,
            expiry=expiries,
            vol=vols,
            variance_years=variance_years,
            years=years,
            discount=np.exp(-rate * years),
            carry=np.exp(growth * years),
            spot=float(spot),
            as_of=now,
            multiplier=multiplier,
        )


def _single(value: np.ndarray) -> np.ndarray:
    return np.full(value.shape, value.ndim == 0)


_ALLOWED = {
    "contracts": ("finite, + where dealers are long", anything),
    "strike": ("finite and positive", lambda v: v > 0.0),
    "vol": ("a finite annual decimal such as 0.12, positive", lambda v: v > 0.0),
    "is_call": CALL_FLAG,
    "expiry": ("one instant or one per position", anything),
    "spot": ("one finite positive number", lambda v: (v > 0.0) & _single(v)),
    "rate": ("one finite number per year, such as 0.04", _single),
    "carry_rate": ("one finite number per year, such as 0.03", _single),
    "multiplier": ("one finite positive number, USD per index point", lambda v: (v > 0.0) & _single(v)),
}

_ARRAYS = ("contracts", "strike", "is_call", "expiry", "vol", "variance_years", "years", "discount", "carry")
