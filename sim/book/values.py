"""What the book's options are worth at the start, pay at their settlement, and are worth at the close."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr

from gammawall.sim.book.interpolation import lagrange, value_at
from gammawall.sim.book.positions import Positions, book_delta, chunks, vol_factor
from gammawall.sim.models.protocols import Paths
from gammawall.sim.models.surface_motion import StickyStrike
from gammawall.surfaces.arrays import Array

__all__ = ["BookValues", "book_value", "book_values"]

_NODES = 513


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class BookValues:
    """USD, as functions of the log price."""

    start: Array
    nodes: Array
    """[G]"""
    close: Array
    """value at the close of what lives beyond it, [G]"""
    close_slope: Array
    strikes: Array
    """strikes that settle at each settlement, ascending, padded with inf, [E, J]"""
    units: Array
    """index units of the strikes below each, summed; one more than strikes, [E, J + 1]"""
    units_strike: Array
    """the same weighted with the strike"""
    puts: Array
    """index units of the puts that settle, and the same weighted with the strike, [E, 2]"""
    levels: Array | None = None
    """log levels of the vols and their barycentric weights, [2, M]; values at the close are then [M, G]"""

    def payoff(self, settlement: Array, x: Paths) -> Paths:
        """Σ units (S − K)⁺ − puts (S − K) of one settlement: calls as calls, puts by parity."""
        price = jnp.exp(x)
        passed = jnp.searchsorted(self.strikes[settlement], price, side="left")
        calls = self.units[settlement, passed] * price - self.units_strike[settlement, passed]
        return calls - (self.puts[settlement, 0] * price - self.puts[settlement, 1])

    def at_close(self, x: Paths, level: Paths | None = None) -> Paths:
        """Value of what lives beyond the close, at the log level of the vols if that moves."""
        if self.levels is None:
            return value_at(self.nodes, self.close, self.close_slope, x)
        assert level is not None
        shares = lagrange(self.levels[0], self.levels[1], level)
        values = [value_at(self.nodes, v, s, x) for v, s in zip(self.close, self.close_slope, strict=True)]
        return jnp.sum(shares * jnp.stack(values), axis=0)


def book_value(positions: Positions, log_spot: np.ndarray, step: int) -> np.ndarray:
    """Black-76 value of the contracts that live beyond an instant, USD, [G]; each summed by itself."""
    chosen = np.flatnonzero(positions.settle_step[positions.group] > step)
    x = np.asarray(log_spot, float)
    total = np.zeros(x.size)
    for rows in chunks(positions, chosen, by_group=True):
        group = positions.group[rows]
        left = positions.time_left[group, step]
        s = (positions.total_vol[rows] * np.sqrt(positions.variance_left[group, step]))[:, None]
        s = s * vol_factor(positions, rows, x)[0]
        strike = np.exp(positions.log_strike[rows])[:, None]
        discount = np.exp((positions.log_factor[rows] - positions.log_carry[rows]) * left)[:, None]
        forward = np.exp(x[None, :] + (positions.log_carry[rows] * left)[:, None])
        d = np.log(forward / strike) / s + 0.5 * s
        call = forward * ndtr(d) - strike * ndtr(d - s)
        units, puts = positions.units[rows, None], positions.puts[rows, None]
        total += (discount * (units * call - puts * (forward - strike))).sum(axis=0)
    return total


def book_values(
    positions: Positions, settling: np.ndarray, log_spot: float, low: float, high: float
) -> BookValues:
    """Tabulate the values of a book; `settling` are the instants of the settlement rows."""
    last = positions.variance_left.shape[1] - 1
    nodes = np.linspace(low, high, _NODES)
    close = book_value(positions, nodes, last)
    sums = [_settled(positions, int(k)) for k in settling]
    most = max(strikes.size for strikes, *_ in sums)
    pad = lambda a, fill: np.concatenate([a, np.full(most + (fill != np.inf) - a.size, fill)])  # noqa: E731
    return BookValues(
        start=book_value(positions, np.array([log_spot]), 0)[0],
        nodes=nodes,
        close=close,
        close_slope=_slope(positions, nodes, close),
        strikes=np.stack([pad(strikes, np.inf) for strikes, *_ in sums]),
        units=np.stack([pad(units, units[-1]) for _, units, *_ in sums]),
        units_strike=np.stack([pad(weighted, weighted[-1]) for _, _, weighted, _ in sums]),
        puts=np.stack([puts for *_, puts in sums]),
    )


def _slope(positions: Positions, nodes: np.ndarray, value: np.ndarray) -> np.ndarray:
    """dV/dx at the close: the delta where vols stand still, a spline's through the values where they move."""
    from scipy.interpolate import CubicSpline

    if not isinstance(positions.motion, StickyStrike):
        return CubicSpline(nodes, value)(nodes, 1)
    delta, _ = book_delta(positions, nodes, np.array([positions.variance_left.shape[1] - 1]), settling=False)
    return delta[0] * np.exp(nodes)


def _settled(positions: Positions, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    chosen = positions.settles(step)
    strikes, which = np.unique(np.exp(positions.log_strike[chosen]), return_inverse=True)
    units = np.bincount(which.ravel(), weights=positions.units[chosen], minlength=strikes.size)
    puts = positions.puts[chosen]
    return (
        strikes,
        np.concatenate([[0.0], np.cumsum(units)]),
        np.concatenate([[0.0], np.cumsum(units * strikes)]),
        np.array([puts.sum(), (puts * np.exp(positions.log_strike[chosen])).sum()]),
    )
