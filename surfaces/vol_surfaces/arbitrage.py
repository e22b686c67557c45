"""Audit of a vol surface for static arbitrage: butterflies, calendars, and the slope of the wings."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from gammawall.surfaces.arrays import Array, Numbers
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.vol_surfaces.svi import VolSurface, durrleman

__all__ = ["ArbitrageCheck", "ArbitrageReport", "arbitrage_margins", "check_arbitrage"]

LEE_BOUND = 2.0
"""Largest slope of total variance in log-moneyness (Lee 2004, The moment formula for implied volatility)."""

_FAR_K = 1e6
"""Log-moneyness at which the slope of a wing is read."""

_REACH = 300.0
_POINTS = 601
_PER_INTERVAL = 5


@dataclass(frozen=True)
class ArbitrageCheck:
    """One condition over the whole grid; its margin is dimensionless and must not be negative.

    Args:
        violations: grid points below minus the tolerance.
        share: of all grid points, 0 to 1.
        worst: smallest margin; NaN if the surface is NaN somewhere, which counts as a violation.
        k: log-moneyness of the smallest margin.
        years: its time to expiry.
    """

    violations: int
    share: float
    worst: float
    k: float
    years: float


@dataclass(frozen=True)
class ArbitrageReport:
    """What `check_arbitrage` found.

    Args:
        butterfly: margin g(k), Durrleman's function: the density is negative where it is.
        calendar: margin T·∂_T w/w at fixed k.
        lee: margin 2 − |∂_k w| in the limit of either wing.
        by_time: one row per time of the grid: ``years``; smallest margin, number of violations and
            log-moneyness of the smallest margin for each condition.
        points: size of the grid.
        tolerance: what rounding is allowed.
    """

    butterfly: ArbitrageCheck
    calendar: ArbitrageCheck
    lee: ArbitrageCheck
    by_time: pd.DataFrame
    points: int
    tolerance: float

    @property
    def is_free(self) -> bool:
        """True when no point violates any of the conditions."""
        return not (self.butterfly.violations or self.calendar.violations or self.lee.violations)

    def __str__(self) -> str:
        lines = [f"static arbitrage on {self.points} points: {'none' if self.is_free else 'found'}"]
        for name in ("butterfly", "calendar", "lee"):
            check = getattr(self, name)
            lines.append(
                f"  {name}: {check.violations} violations ({check.share:.2%}), smallest margin "
                f"{check.worst:.3g} at k = {check.k:.4g}, T = {check.years:.4g} years"
            )
        return "\n".join(lines)


def check_arbitrage(
    surface: VolSurface, *, k: Numbers | None = None, years: Numbers | None = None, tolerance: float = 1e-10
) -> ArbitrageReport:
    """Search a surface for static arbitrage on a dense grid.

    Conditions: g ≥ 0 (Durrleman), ∂_T w ≥ 0 at fixed log-moneyness, and wings no steeper than 2.

    Args:
        surface: any object with ``years`` and ``derivatives(k, t)``, see `VolSurface`.
        k: log-moneyness, [M] for all times or [T, M]; by default 601 points per time out to 300 standard
            deviations at the money, dense at the money.
        years: times, shape [T]; by default every expiry, five times between each two, three before the
            first and two beyond the last.
        tolerance: margin below zero that is taken for rounding.

    Raises:
        InputError: a grid of the wrong shape or with values that are not finite.

    Example:
        >>> audit = surfaces.check_arbitrage(surfaces.fit_surface(chain).surface)
        >>> audit.butterfly.violations, audit.calendar.violations, audit.lee.violations
        (0, 0, 0)
    """
    times = _default_times(surface.years) if years is None else np.atleast_1d(np.asarray(years, float))
    if k is None:
        at_money = np.sqrt(np.asarray(surface.derivatives(np.zeros_like(times), times).value, float))
        reach = np.arcsinh(_REACH)
        grid = at_money[:, None] * np.sinh(np.linspace(-reach, reach, _POINTS))
    else:
        grid = np.asarray(k, float)
        grid = np.tile(grid, (times.size, 1)) if grid.ndim == 1 else grid
    if grid.ndim != 2 or grid.shape[0] != times.size or not (np.isfinite(grid).all() and times.min() > 0.0):
        raise InputError(
            f"the grid has times of shape {times.shape} and k of shape {grid.shape}; k must be [M] or "
            "[T, M], everything finite and times above 0"
        )
    butterfly, calendar, lee = (np.asarray(v) for v in arbitrage_margins(surface, grid, times))
    wings = np.broadcast_to([-np.inf, np.inf], lee.shape)
    checks = {"butterfly": (butterfly, grid), "calendar": (calendar, grid), "lee": (lee, wings)}
    columns: dict[str, Any] = {"years": times}
    for name, (margin, where) in checks.items():
        columns.update(_by_time(name, margin, where, tolerance))
    return ArbitrageReport(
        **{name: _check(margin, where, times, tolerance) for name, (margin, where) in checks.items()},
        by_time=pd.DataFrame(columns),
        points=grid.size,
        tolerance=tolerance,
    )


def arbitrage_margins(surface: VolSurface, k: Array, years: Array) -> tuple[Any, Any, Any]:
    """The three margins on a grid, each negative where there is arbitrage; works under ``jit`` and ``vmap``.

    Args:
        surface: see `VolSurface`.
        k: log-moneyness, [T, M].
        years: times, [T].

    Returns:
        g, [T, M]; T·∂_T w/w, [T, M]; 2 − |∂_k w| of the left and the right wing, [T, 2].
    """
    numpy = jnp if isinstance(years, jax.Array) or isinstance(k, jax.Array) else np
    t = numpy.asarray(years)[:, None]
    w = surface.derivatives(k, t)
    wings = surface.derivatives(numpy.asarray([[-_FAR_K, _FAR_K]]), t)
    return durrleman(k, w), t * w.by_t / w.value, LEE_BOUND - abs(wings.by_k)


def _default_times(years: Array) -> np.ndarray:
    knots = np.asarray(years, float)
    inside = [np.linspace(a, b, _PER_INTERVAL + 2)[1:-1] for a, b in pairwise(knots)]
    ends = [knots[0] * np.array([0.05, 0.4, 0.8]), knots[-1] * np.array([1.2, 2.0])]
    return np.sort(np.concatenate([knots, *inside, *ends]))


def _violated(margin: np.ndarray, tolerance: float) -> np.ndarray:
    return ~(margin >= -tolerance)


def _by_time(name: str, margin: np.ndarray, where: np.ndarray, tolerance: float) -> dict[str, np.ndarray]:
    least = np.argmin(margin, axis=1)[:, None]
    return {
        f"{name}_margin": np.take_along_axis(margin, least, 1)[:, 0],
        f"{name}_k": np.take_along_axis(where, least, 1)[:, 0],
        f"{name}_violations": _violated(margin, tolerance).sum(axis=1),
    }


def _check(margin: np.ndarray, where: np.ndarray, times: np.ndarray, tolerance: float) -> ArbitrageCheck:
    row, column = np.unravel_index(int(np.argmin(margin)), margin.shape)
    bad = _violated(margin, tolerance)
    return ArbitrageCheck(
        violations=int(bad.sum()),
        share=float(bad.mean()),
        worst=float(margin[row, column]),
        k=float(where[row, column]),
        years=float(times[row]),
    )
