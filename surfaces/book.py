"""Signed positions: who is long what, with everything needed to reprice them at any spot."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gammawall.surfaces.chain import OptionChain
from gammawall.surfaces.clock import VarianceClock, calendar_years, to_new_york
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.forwards import imply_forwards
from gammawall.surfaces.smile import quote_vols
from gammawall.surfaces.units import MULTIPLIER

__all__ = ["CONVENTIONS", "SIZES", "Book", "dealer_book"]

CONVENTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "calls_long_puts_short": lambda is_call: np.where(is_call, 1.0, -1.0),
    "calls_short_puts_long": lambda is_call: np.where(is_call, -1.0, 1.0),
    "all_long": lambda is_call: np.ones(is_call.shape),
    "all_short": lambda is_call: -np.ones(is_call.shape),
}
"""Sign of the dealers' position in each contract, from whether it is a call."""

SIZES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "open_interest": lambda quotes: quotes["open_interest"],
    "volume": lambda quotes: quotes["volume"],
    "max": lambda quotes: quotes[["open_interest", "volume"]].max(axis=1),
}

_LEAST_COVERAGE = 0.25
"""Below this share of contracts with a size, the column is broken rather than sparse: whole chains read
from a working feed show 75-80 %, and the one broken feed that was met showed 3 %."""


@dataclass(frozen=True, eq=False)
class Book:
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

    def same_day(self) -> np.ndarray:
        """Mask of the positions that expire on the book's own date."""
        return np.asarray(self.expiry.normalize() == self.as_of.normalize())

    @classmethod
    def from_positions(
        cls,
        *,
        contracts: Any,
        strike: Any,
        expiry: Any,
        vol: Any,
        spot: float,
        as_of: Any,
        is_call: Any = True,
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
        columns = np.broadcast_arrays(
            np.asarray(contracts, float),
            np.asarray(strike, float),
            np.asarray(vol, float),
            np.asarray(is_call, bool),
            np.arange(len(instants)),
        )
        size, strikes, vols, calls, index = (np.atleast_1d(c).ravel().copy() for c in columns)
        expiries = instants[index]
        require("contracts", size, np.isfinite(size), "finite")
        require("strike", strikes, np.isfinite(strikes) & (strikes > 0.0), "positive")
        require("vol", vols, np.isfinite(vols) & (vols > 0.0), "positive, an annual decimal such as 0.12")
        require(
            "spot", np.asarray([spot], float), np.isfinite([spot]) & (np.asarray([spot]) > 0.0), "positive"
        )
        late = expiries <= now
        if late.any():
            raise InputError(
                f"expiry {expiries[late][0]} is not after the book's time {now}: drop it or move as_of"
            )
        years = calendar_years(now, expiries)
        variance_years = np.asarray((clock or VarianceClock()).variance_years(now, expiries), float)
        growth = rate if carry_rate is None else carry_rate
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


_ARRAYS = ("contracts", "strike", "is_call", "expiry", "vol", "variance_years", "years", "discount", "carry")


def new_york(instant: Any, name: str = "instant") -> pd.Timestamp:
    """One instant in New York time, with the argument named when it is not one."""
    try:
        return to_new_york(instant)
    except InputError:
        raise InputError(
            f"{name} must be a date and time such as 2026-01-28T16:00:00; got {instant!r}"
        ) from None


def require(name: str, values: np.ndarray, good: np.ndarray, allowed: str) -> None:
    """Refuse an array with the first offending value named."""
    if not good.all():
        raise InputError(f"{name} must be {allowed}; got {values[~good].flat[0]:g}")


def dealer_book(
    chain: OptionChain, convention: str = "calls_long_puts_short", size: str = "open_interest"
) -> Book:
    """The dealers' position in a chain under a stated convention.

    Forwards come from put-call parity, vols from our own inversion of out-of-the-money mid quotes on real
    time (ACT/365). Contracts without a size or a usable vol are left out.

    Args:
        chain: quotes.
        convention: one of `CONVENTIONS`; the default says dealers are long calls and short puts.
        size: one of `SIZES`.

    Raises:
        InputError: unknown convention or size, or a size column that is mostly empty: exposures
            computed from it would be wrong without looking wrong.
    """
    if convention not in CONVENTIONS:
        raise InputError(f"convention {convention!r} is unknown; use one of {', '.join(CONVENTIONS)}")
    if size not in SIZES:
        raise InputError(f"size {size!r} is unknown; use one of {', '.join(SIZES)}")
    quotes = chain.quotes
    amount = np.asarray(SIZES[size](quotes), float)
    covered = float(np.mean(np.nan_to_num(amount) > 0.0)) if amount.size else 0.0
    if covered < _LEAST_COVERAGE:
        raise InputError(
            f"{size} is unusable: only {covered:.0%} of {amount.size} contracts have any, at least "
            f"{_LEAST_COVERAGE:.0%} is needed; use a chain whose {size} column is filled, or another size"
        )
    forwards = imply_forwards(chain)
    vols = quote_vols(chain, forwards)
    keep = (np.nan_to_num(amount) > 0.0) & np.isfinite(vols["vol"].to_numpy())
    kept, vols = quotes.loc[keep], vols.loc[keep]
    terms = kept[["expiry", "root"]].merge(
        forwards, on=["expiry", "root"], how="left", validate="many_to_one"
    )
    is_call = kept["is_call"].to_numpy(bool)
    return Book(
        contracts=amount[keep] * CONVENTIONS[convention](is_call),
        strike=kept["strike"].to_numpy(float),
        is_call=is_call,
        expiry=pd.DatetimeIndex(kept["expiry"]),
        vol=vols["vol"].to_numpy(float),
        variance_years=terms["years"].to_numpy(float),
        years=terms["years"].to_numpy(float),
        discount=terms["discount"].to_numpy(float),
        carry=terms["forward"].to_numpy(float) / chain.spot,
        spot=chain.spot,
        as_of=chain.as_of,
        convention=convention,
        sources={str(k): int(v) for k, v in vols["source"].value_counts().items()},
    )
