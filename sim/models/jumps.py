"""Jumps at random times."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri, pdtrc

from gammawall.sim.models.dynamics import (
    Catalyst,
    Shocks,
    catalyst_rows,
    growth,
    known_moments,
    log_bounds,
    require_common,
    with_catalyst,
)
from gammawall.sim.models.protocols import Paths, PerStep, Row, Rows
from gammawall.sim.sampling.schedule import Schedule
from gammawall.sim.types import check_number
from gammawall.surfaces.errors import InputError

__all__ = ["Jumps"]

_MOST_JUMPS = 12
"""Jumps in one step; the probability of more is folded into this many."""
_FINEST = 2.0**-33
"""Smallest tail probability of the simulator's normals, which are made of 32 bits."""
_NEVER = 40.0
"""A threshold that no normal reaches, and a finite one, so that its changes are numbers too."""


@dataclass(frozen=True)
class Jumps:
    """Merton (1976): geometric Brownian motion and a compound Poisson process of normal log jumps.

        dX = (μ − σ²/2 − λ(M − 1)) dt + σ dW + Σ J,   J ~ N(mean, std²),   M = E[e^J] = e^{mean + std²/2}

    The number of jumps of a step comes from one normal and the Poisson law's quantiles. More than 12 count as
    12; a step where that is likelier than 2⁻³³ = 1.2e-10, about one expected jump, is refused.

    Args:
        vol: annual decimal of the diffusion alone.
        rate_per_year: λ, jumps per year of variance time.
        mean: of a log jump.
        std: of a log jump.
        drift: "martingale" (μ = 0) or μ per year of variance time; E[S] grows at μ, jumps included.
        catalysts: scheduled jumps.
    """

    vol: float
    rate_per_year: float
    mean: float
    std: float
    drift: float | str = "martingale"
    catalysts: tuple[Catalyst, ...] = ()

    def __post_init__(self) -> None:
        require_common(self)
        check_number("rate_per_year", self.rate_per_year, self.rate_per_year >= 0.0, "zero or positive")
        check_number("mean", self.mean, abs(self.mean) <= 1.0, "a log move between -1 and 1")
        check_number("std", self.std, 0.0 <= self.std <= 1.0, "a log move between 0 and 1")

    @property
    def factors(self) -> int:
        return 3 + bool(self.catalysts)

    def drive(self, schedule: Schedule, spot: float) -> Rows:
        ones, jumps = np.ones(schedule.steps), np.arange(_MOST_JUMPS)
        expected = self.rate_per_year * schedule.variance
        if pdtrc(_MOST_JUMPS, expected.max()) > _FINEST:
            raise InputError(
                f"rate_per_year {self.rate_per_year:g} means {expected.max():.2g} jumps in one step; at most "
                "about 1 can be drawn: take more steps or a lower rate"
            )
        at_least = pdtrc(jumps, expected[:, None])
        trend = (growth(self.drift) - 0.5 * self.vol**2) * schedule.variance
        return {
            "drift": trend - self._compensation(at_least),
            "std": self.vol * np.sqrt(schedule.variance),
            "thresholds": np.minimum(-ndtri(at_least), _NEVER),
            "jump_mean": self.mean * ones,
            "jump_std": self.std * ones,
            **catalyst_rows(self.catalysts, schedule),
        }

    def _compensation(self, at_least: np.ndarray) -> np.ndarray:
        """ln E[e^{ΣJ}] of each step, of the law that is drawn: E[Mⁿ] = 1 + (M − 1) Σ_k P(n > k) Mᵏ."""
        log_factor = self.mean + 0.5 * self.std**2
        powers = np.exp(log_factor * np.arange(_MOST_JUMPS))
        return np.log1p(np.expm1(log_factor) * (at_least @ powers))

    @staticmethod
    def open(rows: Row, paths: int) -> None:
        return None

    @staticmethod
    def step(state: None, row: Row, z: Shocks) -> tuple[None, Paths]:
        count = jnp.sum(z[1] > row["thresholds"][:, None], axis=0).astype(z.dtype)
        jump = count * row["jump_mean"] + jnp.sqrt(count) * row["jump_std"] * z[2]
        return state, with_catalyst(row["drift"] + row["std"] * z[0] + jump, row, z)

    def log_range(self, schedule: Schedule, spot: float) -> tuple[float, float]:
        total, expected = (schedule.variance.sum() * x for x in (self.vol**2, self.rate_per_year))
        mean, var = self.mean, self.std**2

        def cumulant(u: np.ndarray) -> np.ndarray:
            jumps = np.expm1(mean * u + 0.5 * var * u * u) - u * np.expm1(mean + 0.5 * var)
            return 0.5 * total * (u * u - u) + expected * jumps

        return log_bounds(schedule, growth(self.drift), self.catalysts, cumulant)

    def bridge_std(self, schedule: Schedule) -> PerStep:
        return self.vol * np.sqrt(schedule.variance)

    def exact(self, schedule: Schedule, spot: float) -> dict[str, float]:
        years = schedule.variance.sum()
        expected = self.rate_per_year * years
        mean = (growth(self.drift) - 0.5 * self.vol**2) * years
        mean += expected * (self.mean - np.expm1(self.mean + 0.5 * self.std**2))
        total = self.vol**2 * years + expected * (self.mean**2 + self.std**2)
        return known_moments(self, schedule, spot, mean, total, total)
