"""The arrays of a fit: paths and controls once, the moves of every book along every path worked out once."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
import pandas as pd

from gammawall.sim.evidence.buckets import Buckets
from gammawall.sim.evidence.controls import LEVELS, Panel, control_rows, level_of
from gammawall.sim.evidence.likelihood import Data, Fit, Level, first_guess, fit, fit_many, log_likelihood
from gammawall.sim.evidence.moves import Lines, book_lines, hedge_moves
from gammawall.sim.evidence.session import Sampled
from gammawall.surfaces.errors import InputError

__all__ = ["Moves", "Problem"]

_FLOOR = 0.05
"""A step counts only where the map's slope stays above this for every θ of the range, at any price near."""
_FIRST_SCORED = 20
"""Sessions that the first forecast out of sample is fitted to."""
_PIECE = 64
"""Placebos fitted together."""

_fit = jax.jit(fit, static_argnames="level")
_fit_many = jax.jit(fit_many, static_argnames=("level", "hedged"))
_scores = jax.jit(log_likelihood, static_argnames="level")


class Moves:
    """Moves of every book along every path, worked out once."""

    def __init__(self, sampled: list[Sampled], buckets: Buckets, grid_points: float) -> None:
        self.sampled, self.grid = sampled, grid_points
        self.lines: list[Lines] = [book_lines(s.session, buckets) for s in sampled]
        names = {lines.names for lines in self.lines}
        if len(names) > 1:
            raise InputError(f"every session must have the same buckets; got {sorted(names)}")
        self.names = self.lines[0].names
        returns = np.concatenate([np.diff(s.log_price) for s in sampled])
        self.std = float(np.sqrt(np.mean(returns**2)))
        self._kept: dict[tuple[int, int, float], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def of(self, path: int, book: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """u, G and its bounds of a session's book along a session's path."""
        key = (path, book, shift)
        if key not in self._kept:
            self._kept[key] = hedge_moves(
                self.lines[book],
                self.sampled[path],
                shift_points=shift,
                own=path == book,
                grid_points=self.grid,
                step_std=self.std,
            )
        return self._kept[key]


class Problem:
    """Arrays of the fits: paths and controls once, moves for any assignment of books to paths."""

    def __init__(
        self,
        work: Moves,
        controls: Sequence[str],
        leave_out_min: float,
        theta_range: tuple[float, float],
        factor: int = 1,
    ) -> None:
        self.work, self.factor, self.range = work, factor, theta_range
        self.sampled = [s.coarser(factor) for s in work.sampled] if factor > 1 else work.sampled
        days = self.sampled
        rows = np.arange(days[0].minutes.size - 1)
        since = [s.since for s in days]
        move = np.array([s.log_price[1:] - s.log_price[k] for s, k in zip(days, since, strict=True)])
        self.ends = np.array([s.used(leave_out_min) for s in days])
        self.panel = Panel(
            move=move,
            years=np.array([np.maximum(s.years, 1e-12) for s in days]),
            minute=np.array([s.minutes[1 + rows] for s in days]),
            used=self.ends,
            interval_min=days[0].interval_min,
            open=np.array([s.session.open for s in days]),
        )
        self.level: Level = level_of(controls)
        self.controls = control_rows(controls, self.panel)

    def moves(self, books: np.ndarray, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Δu and G of a book for every path, [buckets, sessions, steps], and which steps count."""
        pushes, slopes, used = [], [], []
        for path, book in enumerate(books):
            u, slope, bounds = self.work.of(path, int(book), shift)
            u = u[:, :: self.factor]
            slope, bounds = (
                slope[:, self.factor - 1 :: self.factor],
                bounds[:, self.factor - 1 :: self.factor],
            )
            pushes.append(u[:, 1:] - u[:, self.sampled[path].since])
            slopes.append(slope)
            low, high = self.range
            worst = np.minimum(np.minimum(low * bounds, high * bounds).min(axis=-1), 0.0).sum(axis=0)
            used.append(self.ends[path] & (1.0 + worst >= _FLOOR))
        return np.stack(pushes, axis=1), np.stack(slopes, axis=1), np.array(used, float)

    def data(self, books: np.ndarray, shift: float = 0.0) -> Data:
        push, slope, weight = self.moves(books, shift)
        return Data(self.panel.move, self.panel.years, weight, self.controls, push, slope)

    def fit(self, books: np.ndarray, shift: float = 0.0) -> tuple[Fit, Fit]:
        """The fit with hedging, and without."""
        data = self.data(books, shift)
        with jax.enable_x64(True):
            base = _host(_fit(_without(data), self.level, first_guess(data, self.level)))
            return _host(_fit(data, self.level, base.controls)), base

    def fit_draws(self, draws: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Gains in log-likelihood and θ, [draws], [draws, buckets]."""
        gains, thetas = [], []
        data = self.data(np.arange(len(self.sampled)))
        with jax.enable_x64(True):
            start = _fit(_without(data), self.level, first_guess(data, self.level)).controls
            for first in range(0, len(draws), _PIECE):
                some = draws[first : first + _PIECE]
                # Filled up, so that every piece has one shape.
                some = some + [some[-1]] * (_PIECE - len(some))
                push, slope, weight = (np.stack(a) for a in zip(*(self.moves(d) for d in some), strict=True))
                found = _fit_many(data, push, slope, weight, self.level, start, hedged=True)
                base = _fit_many(data, push, slope, weight, self.level, start, hedged=False)
                gains.append(np.asarray(found.log_likelihood - base.log_likelihood))
                thetas.append(np.asarray(found.theta))
        count = len(draws)
        return np.concatenate(gains)[:count], np.concatenate(thetas)[:count]

    def left_out(self, books: np.ndarray) -> dict[str, int]:
        """Steps that do not count, by reason."""
        weight = self.moves(books)[2]
        seen = np.array([s.seen[1:] for s in self.sampled])
        reasons = {
            "steps_without_price": int((~seen).sum()),
            "steps_before_close": int((seen & ~self.ends).sum()),
            "steps_that_may_fold": int((self.ends & (weight == 0.0)).sum()),
        }
        return {why: count for why, count in reasons.items() if count}

    def by_session(self, books: np.ndarray, found: Fit, base: Fit) -> pd.DataFrame:
        data = self.data(books)
        with jax.enable_x64(True):
            gain = np.asarray(_scores(data, found.theta, found.controls, self.level))
            gain = gain - np.asarray(_scores(_without(data), base.theta, base.controls, self.level))
        return pd.DataFrame(
            {
                "session": [s.session.date for s in self.sampled],
                "steps": data.weight.sum(axis=1).astype(int),
                "gain_log_likelihood": gain,
            }
        )

    def out_of_sample(self, books: np.ndarray, controls: Sequence[str]) -> dict[str, float]:
        """Log score of each session with parameters of the sessions before it, hedging less none."""
        names = tuple(name for name in controls if name not in LEVELS)
        rows = control_rows(names, self.panel)
        data, days = self.data(books)._replace(controls=rows), len(self.sampled)
        first = min(_FIRST_SCORED, days // 2)
        weights = np.array([data.weight * (np.arange(days) < d)[:, None] for d in range(first, days)])
        push, slope = (np.broadcast_to(a, (len(weights), *a.shape)) for a in (data.push, data.slope))
        with jax.enable_x64(True):
            start = first_guess(data, "same")
            found = _fit_many(data, push, slope, weights, "same", start, hedged=True)
            base = _fit_many(data, push, slope, weights, "same", start, hedged=False)
            gains = []
            for k, day in enumerate(range(first, days)):
                new = _scores(data, found.theta[k], found.controls[k], "same")[day]
                old = _scores(data, base.theta[k], base.controls[k], "same")[day]
                gains.append(float(new - old))
        values = np.array(gains)
        return {
            "gain_per_session": float(values.mean()),
            "stderr": float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else np.nan,
            "sessions": int(values.size),
        }


def _without(data: Data) -> Data:
    return data._replace(push=data.push[:0], slope=data.slope[:0])


def _host(found: Fit) -> Fit:
    return Fit(*(np.asarray(a) for a in found))
