"""The hedger's vol as the price moves: a surface in motion turns moves of the price into vanna flow.

Each motion scales the total vol of every line of the book by a factor that depends on the log price alone, so
that the book's delta stays a function of time and price, and the static map of model.md, section 2, holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple, Protocol, TypeAlias

import numpy as np

from gammawall.sim.types import check_number
from gammawall.surfaces.arrays import Shape

__all__ = ["Motion", "Smile", "SpotVolBeta", "StickyMoneyness", "StickyStrike"]

_LEAST = 0.1
"""No motion takes a vol below this share of what it was, where the straight line or the smile would."""

Lines: TypeAlias = Annotated[np.ndarray, Shape("lines")]
"""one number per line of the book, a line being the contracts of one strike and vol"""
Moves: TypeAlias = Annotated[np.ndarray, Shape("nodes")]
Factor: TypeAlias = Annotated[np.ndarray, Shape("lines nodes")]


class Smile(NamedTuple):
    """Initial vols of one expiry, by ascending log strike."""

    log_strike: Annotated[np.ndarray, Shape("strikes")]
    """ln K, K in index points"""
    vol: Annotated[np.ndarray, Shape("strikes")]
    """annual decimal"""


class Motion(Protocol):
    """How the vols of one expiry move with the price."""

    def factor(self, log_strike: Lines, vol: Lines, smile: Smile, move: Moves) -> tuple[Factor, Factor]:
        """Vol over its initial value, and the derivative of that in the log price.

        Args:
            log_strike: of some lines of one expiry, [C].
            vol: their initial vols, annual decimal, [C].
            smile: initial vols of the whole expiry.
            move: log price less the initial one, [G].

        Returns:
            [C, G] each, positive the first.
        """
        ...


@dataclass(frozen=True)
class StickyStrike:
    """The vol of a contract does not move with the price."""

    def factor(self, log_strike: Lines, vol: Lines, smile: Smile, move: Moves) -> tuple[Factor, Factor]:
        shape = (vol.size, move.size)
        return np.ones(shape), np.zeros(shape)


@dataclass(frozen=True)
class SpotVolBeta:
    """Every vol moves by the same number of vol points per 1 % of the index: σ = σ₀ + β (x − x₀).

    Args:
        vol_points_per_pct: β; about −1 for an index, whose vol rises as it falls.
    """

    vol_points_per_pct: float

    def __post_init__(self) -> None:
        value = self.vol_points_per_pct
        check_number("vol_points_per_pct", value, abs(value) <= 100.0, "between -100 and 100")

    def factor(self, log_strike: Lines, vol: Lines, smile: Smile, move: Moves) -> tuple[Factor, Factor]:
        # A vol point per 1 % is a decimal vol per unit of log price.
        rate = (self.vol_points_per_pct / vol)[:, None]
        return _bounded(1.0 + rate * move[None, :], np.broadcast_to(rate, (vol.size, move.size)))


@dataclass(frozen=True)
class StickyMoneyness:
    """The smile travels with the price: σ(K, S) = smile(ln K − ln S).

    The smile is a monotone cubic between the strikes of an expiry and flat beyond the outermost.
    """

    def factor(self, log_strike: Lines, vol: Lines, smile: Smile, move: Moves) -> tuple[Factor, Factor]:
        from scipy.interpolate import PchipInterpolator

        strikes, vols = smile
        if strikes.size == 1:
            return StickyStrike().factor(log_strike, vol, smile, move)
        at = log_strike[:, None] - move[None, :]
        curve = PchipInterpolator(strikes, vols)
        # Relative to the smile at its own strike, so that two contracts of one strike may differ in vol.
        own, within = curve(log_strike)[:, None], np.clip(at, strikes[0], strikes[-1])
        slope = np.where(at == within, curve(within, 1), 0.0)
        return _bounded(curve(within) / own, -slope / own)


def _bounded(factor: Factor, rate: Factor) -> tuple[Factor, Factor]:
    return np.maximum(factor, _LEAST), np.where(factor > _LEAST, rate, 0.0)
