"""What is known of a step's vol before the step: the controls of the likelihood, chosen by name.

Each control adds terms to the logarithm of h, the inverse vol of a step. All but the day's level are
predetermined: they use what was seen before the step. Without them a market whose vol depends on its own
return, and on nothing else, is taken for one that is hedged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gammawall.sim.evidence.likelihood import Level
from gammawall.surfaces.errors import InputError

__all__ = ["CONTROLS", "DEFAULT_CONTROLS", "LEVELS", "MORE_CONTROLS", "Panel", "control_rows", "level_of"]

_DECAY_PER_5_MIN = 0.9
_PERCENT = 100.0


@dataclass(frozen=True, eq=False)
class Panel:
    """The steps of all sessions, filled up to the longest; what is filled up does not count."""

    move: np.ndarray
    """ΔX of each step, log, [sessions, steps]"""
    years: np.ndarray
    """variance time, [sessions, steps]; 1/252 a session"""
    minute: np.ndarray
    """since the open at the end of each step, [sessions, steps]"""
    used: np.ndarray
    """whether the step counts, [sessions, steps]"""
    interval_min: float
    open: np.ndarray
    """first price, [sessions]"""

    @property
    def since_open(self) -> np.ndarray:
        """Log return from the open to the beginning of each step, [sessions, steps]."""
        return np.cumsum(self.move, axis=1) - self.move

    @property
    def level(self) -> np.ndarray:
        """Mean squared return over variance time of each session, [sessions]."""
        squares = np.where(self.used, self.move**2 / self.years, 0.0)
        return squares.sum(axis=1) / np.maximum(self.used.sum(axis=1), 1)


def _profile(panel: Panel) -> list[np.ndarray]:
    u = panel.minute / 390.0
    return [np.exp(-u / 0.06), np.exp(-u / 0.25), u, u**2, np.exp(-np.maximum(1.0 - u, 0.0) / 0.1)]


def _past_squares(panel: Panel) -> list[np.ndarray]:
    squares, level = panel.move**2 / panel.years, panel.level
    decay = _DECAY_PER_5_MIN ** (panel.interval_min / 5.0)
    found = np.empty_like(squares)
    for day in range(squares.shape[0]):
        # The first session has none before it: the mean of all stands for it.
        average = level[day - 1] if day else level.mean()
        for step in range(squares.shape[1]):
            found[day, step] = 0.5 * np.log(average)
            if panel.used[day, step]:
                average = decay * average + (1.0 - decay) * squares[day, step]
    return [found]


def _return(panel: Panel) -> list[np.ndarray]:
    return [_PERCENT * panel.since_open]


def _return_size(panel: Panel) -> list[np.ndarray]:
    return [np.abs(_PERCENT * panel.since_open)]


def _return_by_level(panel: Panel) -> list[np.ndarray]:
    level = _standard(np.log(_before(panel.level)))[:, None]
    gain = _PERCENT * panel.since_open
    return [gain * level, np.abs(gain) * level]


def _return_by_past(panel: Panel) -> list[np.ndarray]:
    price, gain = np.log(panel.open), _PERCENT * panel.since_open
    days = np.arange(price.size)
    week, day = (price - price[np.maximum(days - lag, 0)] for lag in (5, 1))
    return [gain * (30.0 * week)[:, None], gain * (50.0 * day)[:, None]]


def _return_squared(panel: Panel) -> list[np.ndarray]:
    gain = _PERCENT * panel.since_open
    return [gain**2 * np.sign(gain)]


def _before(values: np.ndarray) -> np.ndarray:
    """The value of the session before; the first has its mean."""
    return np.concatenate([[values.mean()], values[:-1]])


def _standard(values: np.ndarray) -> np.ndarray:
    spread = values.std()
    return (values - values.mean()) / spread if spread > 0.0 else np.zeros_like(values)


CONTROLS: dict[str, Callable[[Panel], list[np.ndarray]]] = {
    "profile": _profile,
    "past_squares": _past_squares,
    "return": _return,
    "return_size": _return_size,
    "return_by_level": _return_by_level,
    "return_by_past": _return_by_past,
    "return_squared": _return_squared,
}
"""Besides `LEVELS`, which the likelihood itself takes care of."""
LEVELS: dict[str, Level] = {"day_level": "fitted", "drawn_level": "drawn"}
"""A level for each session; without one of them all have the same."""

DEFAULT_CONTROLS = ("day_level", "profile", "past_squares", "return", "return_size")
"""Fixed in advance; what others give stands beside it in a table."""
MORE_CONTROLS = (*DEFAULT_CONTROLS, "return_by_level", "return_by_past", "return_squared")


def level_of(names: Sequence[str]) -> Level:
    """What the controls say of the level of each day."""
    for name, level in LEVELS.items():
        if name in names:
            return level
    return "same"


def control_rows(names: Sequence[str], panel: Panel) -> np.ndarray:
    """The terms of the controls, [terms, sessions, steps], each of mean zero over the steps that count.

    Raises:
        InputError: no such control, or one is named twice.
    """
    allowed = (*LEVELS, *CONTROLS)
    for name in names:
        if name not in allowed or list(names).count(name) > 1:
            raise InputError(
                f"controls must be some of {', '.join(allowed)}, each once; got {', '.join(names)}"
            )
    rows = [row for name in names if name in CONTROLS for row in CONTROLS[name](panel)]
    if level_of(names) == "same":
        # The level of all days is the last term.
        rows.append(np.ones_like(panel.move))
    found = np.array(rows).reshape(-1, *panel.move.shape)
    centre = np.where(panel.used, found, 0.0).sum(axis=(1, 2), keepdims=True) / panel.used.sum()
    keeps = np.ptp(np.where(panel.used, found, centre), axis=(1, 2)) > 0.0
    return np.where(panel.used, np.where(keeps[:, None, None], found - centre, found), 0.0)
