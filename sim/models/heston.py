"""Heston's stochastic volatility."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

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
from gammawall.surfaces.arrays import Array
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.pricing.normal import norm_cdf

__all__ = ["Heston"]

_LEAST_VOL_OF_VOL = 1e-6
"""A vol of vol below this is taken as this: the variance then wanders by a millionth of itself."""
_SWITCH = 1.5
"""ψ at which the law of the next variance changes from a squared normal to an exponential with an atom at 0;
either fits from 1 to 2."""
_PSI_LEAST, _PSI_MOST = 1e-30, 1e12
"""Keep the arithmetic finite where a step or the variance vanishes."""


@dataclass(frozen=True)
class Heston:
    """Heston (1993): dX = (μ − v/2) dt + √v dW,  dv = κ(θ − v) dt + ξ √v dB,  d⟨W, B⟩ = ρ dt.

    The next variance is drawn by Andersen's quadratic-exponential scheme, with E[e^{dX}] = e^{μ dt} exactly.

    Args:
        vol: √v at the start, annual decimal on the market's variance clock.
        mean_reversion: κ per year of variance time.
        long_vol: √θ, annual decimal.
        vol_of_vol: ξ, per year.
        correlation: ρ.
        drift: "martingale" (μ = 0) or μ per year of variance time.
        catalysts: scheduled jumps.

    Source: Andersen (2008), Simple and efficient simulation of the Heston stochastic volatility model.
    """

    vol: float
    mean_reversion: float
    long_vol: float
    vol_of_vol: float
    correlation: float
    drift: float | str = "martingale"
    catalysts: tuple[Catalyst, ...] = ()

    def __post_init__(self) -> None:
        require_common(self)
        for name in ("mean_reversion", "long_vol", "vol_of_vol"):
            check_number(name, getattr(self, name), getattr(self, name) >= 0.0, "zero or positive")
        check_number("correlation", self.correlation, abs(self.correlation) <= 1.0, "between -1 and 1")

    @property
    def factors(self) -> int:
        return 2 + bool(self.catalysts)

    @property
    def _xi(self) -> float:
        return max(self.vol_of_vol, _LEAST_VOL_OF_VOL)

    def drive(self, schedule: Schedule, spot: float) -> Rows:
        """Rows of the scheme: v' has mean θ(1 − e^{−κh}) + v e^{−κh} and variance `var_base` + v `var_slope`;
        given v', dX is normal with mean linear in v' (slope `weight`) and variance `share` (v + v')."""
        h, xi, rho, kappa = schedule.variance, self._xi, self.correlation, self.mean_reversion
        ones = np.ones(schedule.steps)
        decay, fade = np.exp(-kappa * h), _fade(kappa, h)
        share = 0.5 * h * (1.0 - rho**2)
        weight = rho / xi * (1.0 + 0.5 * kappa * h) - 0.25 * h
        tilt = weight + 0.5 * share
        if (tilt * xi**2 * fade >= 1.0).any():
            raise InputError(
                f"vol_of_vol {xi:g} with correlation {rho:g} has no finite mean over a step of {h.max():.2g} "
                "years; take more steps"
            )
        return {
            "start_variance": self.vol**2 * ones,
            "decay": decay,
            "pull": kappa * fade * self.long_vol**2,
            "var_slope": xi**2 * decay * fade,
            "var_base": 0.5 * kappa * (self.long_vol * xi * fade) ** 2,
            "weight": weight,
            "tilt": tilt,
            "share": share,
            "root_share": np.sqrt(share),
            "drift": growth(self.drift) * h,
            **catalyst_rows(self.catalysts, schedule),
        }

    @staticmethod
    def open(rows: Row, paths: int) -> Paths:
        return jnp.full(paths, rows["start_variance"][0])

    @staticmethod
    def step(state: Paths, row: Row, z: Shocks) -> tuple[Paths, Paths]:
        v, tilt = state, row["tilt"]
        mean = row["pull"] + row["decay"] * v
        some = jnp.where(mean > 0.0, mean, 1.0)
        psi = (row["var_base"] + row["var_slope"] * v) / some / some
        smooth = _squared_normal(mean, psi, z[1], tilt)
        after, change, log_factor = jax.lax.cond(
            jnp.any(psi > _SWITCH),
            lambda: _choose(psi > _SWITCH, _exponential(some, psi, z[1], tilt), smooth),
            lambda: smooth,
        )
        total = v + after
        width = jnp.where(total > 0.0, jnp.sqrt(jnp.where(total > 0.0, total, 1.0)), 0.0)
        move = row["drift"] - log_factor + row["weight"] * change - 0.5 * row["share"] * (v + mean)
        return after, with_catalyst(move + row["root_share"] * width * z[0], row, z)

    def log_range(self, schedule: Schedule, spot: float) -> tuple[float, float]:
        return log_bounds(
            schedule,
            growth(self.drift),
            self.catalysts,
            lambda u: self._cumulant(u, float(schedule.variance.sum())),
        )

    def bridge_std(self, schedule: Schedule) -> PerStep:
        """Root of the step's expected variance, ∫ E[v] dt = ∫ θ + (v₀ − θ) e^{−κt} dt."""
        h, kappa = schedule.variance, self.mean_reversion
        begin = np.cumsum(h) - h
        share = np.where(h > 0.0, _fade(kappa, h) / np.where(h > 0.0, h, 1.0), 1.0)
        gap = (self.vol**2 - self.long_vol**2) * np.exp(-kappa * begin) * share
        return np.sqrt(self.long_vol**2 + gap) * np.sqrt(h)

    def _cumulant(self, u: np.ndarray, years: float) -> np.ndarray:
        """ln E[e^{uX}] without drift, by the Riccati equation; infinite from where the moment explodes."""
        xi, kappa = self._xi, self.mean_reversion
        b = kappa - self.correlation * xi * u
        square = b * b - xi**2 * (u * u - u)
        d = np.sqrt(np.abs(square))
        half = 0.5 * d * years
        rise = np.where(square > 0.0, np.sinh(half), np.sin(half)) / np.where(d > 0.0, d, 1.0)
        rise = np.where(d > 0.0, rise, 0.5 * years)
        denominator = np.where(square > 0.0, np.cosh(half), np.cos(half)) + b * rise
        explodes = (denominator <= 0.0) | ((square < 0.0) & (half >= 0.5 * np.pi + np.arctan2(b, d)))
        log_denominator = np.log(np.where(explodes, np.nan, denominator))
        level = self.mean_reversion * (self.long_vol / xi) ** 2 * (b * years - 2.0 * log_denominator)
        return level + self.vol**2 * (u * u - u) * rise / denominator

    def exact(self, schedule: Schedule, spot: float) -> dict[str, float]:
        years, xi, kappa = float(schedule.variance.sum()), self._xi, self.mean_reversion
        nodes, weights = np.polynomial.legendre.leggauss(64)
        t, weights = 0.5 * years * (1.0 + nodes), 0.5 * years * weights
        expected = self.long_vol**2 + (self.vol**2 - self.long_vol**2) * np.exp(-kappa * t)
        reach = _fade(kappa, years - t)
        total = float(weights @ expected)
        # Var X = E∫v − Cov(∫v, ∫√v dW) + Var(∫v)/4, where ∫v − E∫v = ξ ∫ (1 − e^{−κ(T−s)})/κ √v dB.
        variance = total + float(weights @ (expected * xi * reach * (0.25 * xi * reach - self.correlation)))
        mean = growth(self.drift) * years - 0.5 * total
        return known_moments(self, schedule, spot, mean, variance, total)


def _fade(kappa: float, t: np.ndarray) -> np.ndarray:
    """(1 − e^{−κt})/κ."""
    return -np.expm1(-kappa * t) / kappa if kappa > 0.0 else np.asarray(t, float)


def _choose(first: Array, a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(jnp.where(first, x, y) for x, y in zip(a, b, strict=True))


def _squared_normal(mean: Paths, psi: Paths, z: Paths, tilt: Array) -> tuple[Paths, Paths, Paths]:
    """v' = a (b + Z)²: v', v' − mean and ln E[e^{tilt (v' − mean)}], without cancellation for small ψ."""
    inverse = 2.0 / jnp.clip(psi, _PSI_LEAST, _SWITCH)
    b2 = inverse - 1.0 + jnp.sqrt(inverse) * jnp.sqrt(inverse - 1.0)
    b, a = jnp.sqrt(b2), mean / (1.0 + b2)
    y = 2.0 * tilt * a
    log_factor = 0.5 * (y * y * b2 / (1.0 - y) - y - jnp.log1p(-y))
    return a * (b + z) ** 2, a * (2.0 * b * z + z * z - 1.0), log_factor


def _exponential(mean: Paths, psi: Paths, z: Paths, tilt: Array) -> tuple[Paths, Paths, Paths]:
    """v' = 0 with probability p, else exponential with rate β; the same three."""
    psi = jnp.clip(psi, _SWITCH, _PSI_MOST)
    some = 2.0 / (psi + 1.0)
    rate = some / mean
    after = jnp.maximum(jnp.log(some / norm_cdf(-z)), 0.0) / rate
    return after, after - mean, jnp.log1p(some * tilt / (rate - tilt)) - tilt * mean
