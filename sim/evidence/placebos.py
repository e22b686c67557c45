"""Which day's book stands in for each session's own, in a placebo."""

from __future__ import annotations

import numpy as np

__all__ = ["neighbours", "other_days"]

_NEAR = 5
"""Sessions within which a neighbour is drawn."""


def other_days(random: np.random.Generator, days: int) -> np.ndarray:
    """A permutation of the days that leaves none in its place, [days]."""
    while True:
        drawn = random.permutation(days)
        if (drawn != np.arange(days)).all():
            return drawn


def neighbours(random: np.random.Generator, days: int) -> np.ndarray:
    """A day within five sessions of each, never the day itself, [days]: the same state of the market, other
    strikes. Some books serve twice."""
    own = np.arange(days)
    steps = random.integers(1, _NEAR + 1, days) * random.choice([-1, 1], days)
    drawn = own + steps
    outside = (drawn < 0) | (drawn >= days)
    near = np.where(outside, own - steps, drawn).clip(0, days - 1)
    return np.where(near == own, (own + 1) % days, near)
