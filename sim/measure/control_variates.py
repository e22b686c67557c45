"""What the unhedged twin is expected to do, known in closed form, and the regression on it.

    x̄' = x̄ − C_{·K} C_{KK}⁻¹ (x̄_K − μ_K)

Source: Glasserman (2003), Monte Carlo Methods in Financial Engineering, section 4.1.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from gammawall.sim.measure.statistics import Probe
from gammawall.sim.models.dynamics import Dynamics, NormalDynamics, NormalMoves
from gammawall.sim.sampling.schedule import Schedule
from gammawall.surfaces.arrays import Array

__all__ = ["adjust", "known_baseline"]

_ROUNDING = 1e-12
"""A control whose variance is below this share of its mean square does not vary."""
_LEAST_EIGENVALUE = 1e-9
"""Directions in which the controls vary less than this, in units of their own spread, are left alone: there
they are copies of one another."""


def known_baseline(
    dynamics: Dynamics, schedule: Schedule, probe: Probe, spot: float, mark: np.ndarray, late: np.ndarray
) -> dict[str, float]:
    """Expectations of the baseline's statistics, as far as they are known.

    Args:
        dynamics: the fundamental price; by its `exact`, and where its moves are normal everything that
            depends on the price at one step, or on two returns.
        schedule: the time grid.
        probe: levels.
        spot: at the start.
        mark, late: steps that end a sampling interval, and those of the last half hour, bool [N].

    Returns:
        Expectations by the names of `reduce.STATISTICS`.
    """
    exact = dynamics.exact(schedule, spot)
    known = {name: exact[name] for name in ("log_return", "log_return_squared") if name in exact}
    if "price" in exact:
        known["close_move"] = exact["price"] - spot
    if isinstance(dynamics, NormalDynamics):
        known |= _normal(dynamics.normal_moves(schedule), probe, spot, mark, late)
    return known


def _normal(
    moves: NormalMoves, probe: Probe, spot: float, mark: np.ndarray, late: np.ndarray
) -> dict[str, float]:
    """Of independent normal increments."""
    mean, variance = np.cumsum(moves.mean), np.cumsum(moves.variance)
    std = np.sqrt(variance)

    def below(level: Array) -> np.ndarray:
        # A step of no variance leaves the price where it was.
        distance = level - probe.log_spot - mean
        return ndtr(distance / np.where(std > 0.0, std, np.where(distance == 0.0, 1.0, 1e-300)))

    end = np.flatnonzero(mark)
    moved, spent = (np.diff(total[end], prepend=0.0) for total in (mean, variance))
    squares = spent + moved**2
    growth = np.exp(mean[-1] + 0.5 * variance[-1])
    return {
        "in_band": float((below(probe.band_high) - below(probe.band_low))[-1]),
        "above": float(1.0 - below(probe.log_strike)[-1]),
        "in_corridor": float(np.mean(below(probe.corridor_high) - below(probe.corridor_low))),
        "close_move_squared": float(spot**2 * (growth**2 * np.exp(variance[-1]) - 2.0 * growth + 1.0)),
        "realised_variance": float(squares.sum()),
        "last_variance": float(squares[late[end]].sum()),
        "lag_product": float((moved[1:] * moved[:-1]).sum()),
    }


def adjust(
    mean: np.ndarray, covariance: np.ndarray, at: np.ndarray, expected: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and its covariance after the regression on the entries `at`, whose expectations are known.

    The inverse is the pseudo-inverse of the controls' correlations: a control that never varies, or one that
    repeats others, takes no part. The entries themselves become their expectations, without error.

    Args:
        mean: [V].
        covariance: of the mean, [V, V].
        at: controls, [K].
        expected: their expectations, [K].
        count: observations.
    """
    variance = np.diagonal(covariance)[at]
    varies = variance * count > _ROUNDING * mean[at] ** 2
    scale = np.where(varies, 1.0 / np.sqrt(np.where(varies, variance, 1.0)), 0.0)
    values, vectors = np.linalg.eigh(covariance[np.ix_(at, at)] * np.outer(scale, scale))
    keep = values > _LEAST_EIGENVALUE
    basis = scale[:, None] * vectors[:, keep] / np.sqrt(values[keep])
    loads = covariance[:, at] @ basis
    adjusted = mean - loads @ (basis.T @ (mean[at] - expected))
    left = covariance - loads @ loads.T
    adjusted[at] = expected
    left[at, :] = left[:, at] = 0.0
    return adjusted, left
