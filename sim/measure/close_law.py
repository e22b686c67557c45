"""The exact law of the close, when the map at the close is increasing: a push-forward of X_T.

    P(x_T ≤ x) = Φ((M(x) − f)/v),   f = x_0 + c D(0, S_0) + E[X_T − X_0],   v = σ√T

Increasing M has one root, so neither the path nor the time step matters (model.md, section 3.1). M sums every
contract; no table is involved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from gammawall.sim.book.positions import Positions, book_delta, settled_delta
from gammawall.sim.sampling.schedule import Schedule

__all__ = ["CloseLaw", "close_law"]

_FINE = 4001


@dataclass(frozen=True)
class CloseLaw:
    """Distribution of the closing log price under clearing with linear permanent impact."""

    positions: Positions
    last: int
    impact: float
    centre: float
    """f"""
    total_vol: float
    """v"""
    log_spot: float

    def level(self, x: np.ndarray, side: str = "right") -> np.ndarray:
        """M(x) just right or left of x: the two differ where a contract settles."""
        x = np.atleast_1d(np.asarray(x, float))
        settling = self.positions.settles_at_close
        smooth, _ = book_delta(self.positions, x, np.array([self.last]), ~settling)
        strikes, jumps = settled_delta(self.positions)
        passed = np.searchsorted(strikes, x, side="right" if side == "right" else "left")
        steps = np.concatenate([[0.0], np.cumsum(jumps)])[passed] - self.positions.puts[settling].sum()
        return x + self.impact * (smooth[0] + steps)

    def cdf(self, x: np.ndarray, side: str = "right") -> np.ndarray:
        """P(x_T ≤ x), or P(x_T < x) with side="left"."""
        return ndtr((self.level(x, side) - self.centre) / self.total_vol)

    def mass(self, x: float) -> float:
        """P(x_T = x)."""
        return float((self.cdf(np.array([x])) - self.cdf(np.array([x]), "left"))[0])

    def between(self, low: float, high: float) -> float:
        """P(low ≤ x_T ≤ high)."""
        return float((self.cdf(np.array([high])) - self.cdf(np.array([low]), "left"))[0])

    def moments(self) -> tuple[float, float]:
        """Mean of the closing price in points, and standard deviation of the log price.

        Sums the distribution over a fine grid of prices; the atoms are taken whole.
        """
        strikes, _ = settled_delta(self.positions)
        x = np.linspace(*self._range(), _FINE)
        x = np.sort(np.concatenate([x, strikes, strikes]))
        left, right = self.cdf(x, "left"), self.cdf(x)
        atoms = right - left
        atoms[1:][np.diff(x) == 0.0] = 0.0
        rise = np.maximum(left[1:] - right[:-1], 0.0)
        middle = 0.5 * (x[1:] + x[:-1])
        mean_log = float((atoms * x).sum() + (rise * middle).sum())
        mean = float((atoms * np.exp(x)).sum() + (rise * np.exp(middle)).sum())
        var = float((atoms * (x - mean_log) ** 2).sum() + (rise * (middle - mean_log) ** 2).sum())
        return mean, float(np.sqrt(var))

    def _range(self) -> tuple[float, float]:
        """Log prices that hold all but 1e-12 of the mass; short gamma spreads the close beyond v."""
        reach = 18.0 * self.total_vol
        for _ in range(6):
            low, high = self.cdf(self.log_spot + np.array([-reach, reach]))
            if low < 1e-12 and high > 1.0 - 1e-12:
                break
            reach *= 2.0
        return self.log_spot - reach, self.log_spot + reach


def close_law(
    positions: Positions,
    schedule: Schedule,
    impact: float,
    log_spot: float,
    total_vol: float,
    log_drift: float,
) -> CloseLaw:
    """The law of the close; meaningful only where the map at the close is increasing, the fundamental log
    price at the close normal, and nothing settles before it."""
    start, _ = book_delta(positions, np.array([log_spot]), np.array([0]), settling=False)
    return CloseLaw(
        positions,
        schedule.steps,
        impact,
        log_spot + impact * float(start[0, 0]) + log_drift,
        total_vol,
        log_spot,
    )
