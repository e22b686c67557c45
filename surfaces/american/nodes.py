"""Nodes, weights and interpolation that the integral equation needs: constants, the same for every contract.

Time to expiry runs as the square of a coordinate, so that everything is smooth: the boundary at time τ_i is
known at √τ_i = ζ_i √T, ζ_i Chebyshev points of [0, 1]; an integral over 0 < u < τ runs over an angle θ with
√u = √τ cos θ and √(τ − u) = √τ sin θ, by the rule of Gauss and Legendre.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

__all__ = ["Accuracy", "Angles", "Grid", "Stage", "accuracy_named", "angles", "interpolation", "prepare"]


class Stage(NamedTuple):
    """One collocation grid and how long to iterate on it."""

    points: int
    """collocation points"""
    integral_points: int
    most_steps: int
    """fixed-point steps that are taken at most"""
    tolerance: float
    """what a step may still move the premium, in units of the strike, once settled"""


class Accuracy(NamedTuple):
    """How finely a boundary is solved for and a premium integrated."""

    stages: tuple[Stage, ...]
    """one after another, coarse to fine"""
    premium_points: int
    """points of the integral for the premium"""


_NAMED = {
    "high": Accuracy((Stage(10, 12, 10, 1e-6), Stage(20, 24, 8, 1e-9)), premium_points=56),
    "quick": Accuracy((Stage(7, 8, 6, 3e-6),), premium_points=24),
}


def accuracy_named(name: str) -> Accuracy:
    """The setting of a name, ``high`` or ``quick``."""
    return _NAMED[name]


class Angles(NamedTuple):
    """A rule for integrals over the angle."""

    sine: np.ndarray
    cosine: np.ndarray
    weight: np.ndarray
    """dt over the time of the whole integral: 2 sin θ cos θ dθ"""


class Grid(NamedTuple):
    """A collocation grid with its rule for integrals."""

    zeta: np.ndarray
    """√(τ_i/T), from 1 downwards; the point zero, where the boundary is known, is left out"""
    angles: Angles
    interpolation: np.ndarray
    """values at the points → values at ζ_i cos θ_k, (points × integral points, points)"""

    @property
    def points(self) -> int:
        return len(self.zeta)


def angles(count: int) -> Angles:
    """Gauss–Legendre on 0 < θ < π/2."""
    y, weight = np.polynomial.legendre.leggauss(count)
    theta = 0.25 * np.pi * (1.0 + y)
    sine, cosine = np.sin(theta), np.cos(theta)
    return Angles(sine, cosine, 0.5 * np.pi * weight * sine * cosine)


def interpolation(points: int, where: np.ndarray) -> np.ndarray:
    """Barycentric interpolation from the Chebyshev points of [0, 1], with the value zero at zero.

    Args:
        points: how many points, zero not counted.
        where: positions in [0, 1], any shape.

    Returns:
        matrix of shape ``where.shape + (points,)``.
    """
    nodes = _chebyshev(points)
    weight = (-1.0) ** np.arange(points + 1)
    weight[[0, -1]] *= 0.5
    distance = np.asarray(where)[..., None] - nodes
    exact = np.abs(distance) < 1e-15
    share = weight / np.where(exact, 1.0, distance)
    matrix = share / share.sum(-1, keepdims=True)
    matrix = np.where(exact.any(-1, keepdims=True), exact.astype(float), matrix)
    return matrix[..., :-1]


@functools.cache
def prepare(points: int, integral_points: int) -> Grid:
    """The grid of one stage."""
    zeta, rule = _chebyshev(points)[:-1], angles(integral_points)
    matrix = interpolation(points, zeta[:, None] * rule.cosine)
    return Grid(zeta, rule, matrix.reshape(-1, points))


def _chebyshev(points: int) -> np.ndarray:
    return 0.5 * (1.0 + np.cos(np.pi * np.arange(points + 1) / points))
