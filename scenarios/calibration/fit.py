"""Price impact of dealers' hedging from a daily record: the vol of the next day against today's gamma."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq, minimize_scalar

from gammawall.scenarios.calibration.file import LEAST_DAYS, History
from gammawall.surfaces.arrays import Array
from gammawall.surfaces.errors import InputError, NumericalError
from gammawall.surfaces.minimise import minimise
from gammawall.surfaces.units import SESSIONS_PER_YEAR

__all__ = [
    "BLOCK_DAYS",
    "DRAWS",
    "ERRORS",
    "SEED",
    "ImpactFit",
    "annual_vol_pct",
    "best_on_profile",
    "fit_impact",
    "log_likelihood",
    "profile_interval",
    "resampled_days",
]

ERRORS = {"laplace": 1.0, "gaussian": 2.0}
"""Law of the return → power p of |return| in its density, ∝ exp(−(|r|/scale)^p / p) / scale."""

BLOCK_DAYS, DRAWS, SEED = 20, 400, 20260128

Scale = TypeVar("Scale", float, np.ndarray)

_PER_BN = 0.01
"""Feedback g = 0.01 λ GEX: hedging a move of 1 % trades GEX, which moves the price by λ GEX bp."""

_MOST_STEPS = 200
_WIDTH = 1280
"""Days are padded to a multiple of this, so that periods of similar length share compiled code."""

_HALF_CHI2_95 = 1.920729
_WIDEST = 1e4
"""bp per USD bn: how far an interval is searched where no day bounds it."""


@dataclass(frozen=True)
class ImpactFit:
    """Maximum likelihood of scale σ0 (past vol)^β / (1 + 0.01 λ GEX), on the days given and on resamples."""

    days: History
    errors: str
    bp_per_usd_bn: float
    """λ"""
    scale: float
    """σ0: daily, at gamma zero (and past vol at its geometric mean)"""
    vol_exponent: float | None
    """β, None where past vol was not used"""
    past_vol_mean: float
    """geometric mean that past vol is divided by"""
    draws: np.ndarray
    """λ of the resamples, NaN where none was found, [B]"""

    @cached_property
    def log_likelihood(self) -> float:
        """Of |return| on the days fitted, nats."""
        return float(log_likelihood(self.days.absolute_return, self.scales(self.days), self.errors).sum())

    @property
    def constant_scale(self) -> float:
        """The best scale if it were the same every day."""
        p = ERRORS[self.errors]
        return float(np.mean(self.days.absolute_return**p) ** (1.0 / p))

    @property
    def gain(self) -> float:
        """Log-likelihood over that of one scale for all days, nats."""
        same = log_likelihood(self.days.absolute_return, self.constant_scale, self.errors)
        return self.log_likelihood - float(same.sum())

    @property
    def vol_pct(self) -> float:
        """Annual vol at gamma zero, percent."""
        return annual_vol_pct(self.scale, self.errors)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of λ from the resamples."""
        low, high = np.nanquantile(self.draws, [0.025, 0.975])
        return float(low), float(high)

    @property
    def largest_bp(self) -> float | None:
        """λ that would make vol infinite on the day of most negative gamma; None where no day is negative."""
        return _domain(self.days.gex)[1]

    def scales(self, days: History) -> np.ndarray:
        """Scale of the return of each day, NaN where 1 + 0.01 λ GEX is not positive."""
        slope = 1.0 + _PER_BN * self.bp_per_usd_bn * days.gex
        level = self.scale / np.where(slope > 0.0, slope, np.nan)
        return level * (days.past_vol / self.past_vol_mean) ** (self.vol_exponent or 0.0)

    def vol_curve_pct(self, gex: np.ndarray) -> np.ndarray:
        """Annual vol against gamma in USD bn per 1 %, percent; NaN where the price would have no clearing."""
        slope = 1.0 + _PER_BN * self.bp_per_usd_bn * np.asarray(gex, float)
        return self.vol_pct / np.where(slope > 0.0, slope, np.nan)


def annual_vol_pct(scale: Scale, errors: str) -> Scale:
    """Standard deviation per year, percent, of daily returns with a scale: a Laplace law has √2 of it."""
    return 100.0 * math.sqrt(SESSIONS_PER_YEAR * (2.0 if errors == "laplace" else 1.0)) * scale


def log_likelihood(absolute_return: np.ndarray, scale: float | np.ndarray, errors: str) -> np.ndarray:
    """ln density of |r| day by day: c_p − ln s − (|r|/s)^p / p, c_1 = 0, c_2 = ln √(2/π)."""
    p = ERRORS[errors]
    constant = 0.5 * math.log(2.0 / math.pi) if errors == "gaussian" else 0.0
    return constant - np.log(scale) - (absolute_return / scale) ** p / p


def resampled_days(count: int, draws: int, *, block: int = BLOCK_DAYS, seed: int = SEED) -> np.ndarray:
    """Days of circular block resamples, [draws, count].

    Source: Politis and Romano (1992), A circular block-resampling procedure for stationary data.
    """
    blocks = -(-count // block)
    starts = np.random.default_rng(seed).integers(count, size=(draws, blocks, 1))
    return ((starts + np.arange(block)).reshape(draws, blocks * block) % count)[:, :count]


def fit_impact(
    days: History, errors: str = "laplace", *, past_vol: bool = False, draws: int = DRAWS, seed: int = SEED
) -> ImpactFit:
    """λ by maximum likelihood from |return| of the next day, with resamples of blocks of 20 days.

        |r| ~ scale σ0 v^β / (1 + 0.01 λ GEX),   β = 0 unless `past_vol`

    1/scale is linear in GEX, so without past vol the problem is convex. It is solved for 1/scale at the
    least and at the largest GEX (zero included), both positive: then 1 + 0.01 λ GEX > 0 on every day and
    σ0 > 0 without any bound, and λ may have either sign.

    Args:
        days: gamma and the returns that followed.
        errors: "laplace" or "gaussian".
        past_vol: whether the scale also goes with a power of past vol v.
        draws: resamples for the interval.
        seed: of the resamples; the same days give the same resamples.

    Raises:
        InputError: too few days, or an unknown law.
        NumericalError: the likelihood has no maximum, as where vol falls without limit towards gamma zero.
    """
    if errors not in ERRORS:
        raise InputError(f"errors must be one of {', '.join(ERRORS)}; got {errors!r}")
    count = len(days)
    if count < LEAST_DAYS:
        raise InputError(f"an impact needs at least {LEAST_DAYS} days with a return; got {count}")
    p, unit = ERRORS[errors], float(days.absolute_return.mean())
    if not unit > 0.0:
        raise InputError("the index never moves in these days: there is no volatility to explain")
    if np.ptp(days.gex) == 0.0 and days.gex.any():
        raise InputError(f"gamma is {days.gex[0]:g} bn on every one of these days: take a longer period")
    mean = float(np.exp(np.mean(np.log(days.past_vol)))) if past_vol else 1.0
    log_vol = np.log(days.past_vol / mean) if past_vol else np.zeros(count)
    rows = np.stack([(days.absolute_return / unit) ** p, days.gex, log_vol])
    index = np.vstack([np.arange(count), resampled_days(count, draws, seed=seed)])
    width = -(-count // _WIDTH) * _WIDTH
    rows, index = (np.pad(a, [(0, 0), (0, width - count)]) for a in (rows, index))
    with jax.enable_x64(True):
        found = _fit_draws(rows, index, np.arange(width) < count, p, float(past_vol))
    inverse, slope, exponent, steepness = map(np.asarray, found)
    if not steepness[0] <= 1e-5:
        raise NumericalError(
            f"the likelihood of {count} days has no maximum in the impact (slope {steepness[0]:.1e} after "
            f"{_MOST_STEPS} steps): gamma may hardly change in them; take a longer period"
        )
    impact = np.where(steepness <= 1e-4, slope / inverse / _PER_BN, np.nan)
    return ImpactFit(
        days=days,
        errors=errors,
        bp_per_usd_bn=float(impact[0]),
        scale=unit / float(inverse[0]),
        vol_exponent=float(exponent[0]) if past_vol else None,
        past_vol_mean=mean,
        draws=impact[1:],
    )


@jax.jit
def _fit_draws(
    rows: Array, index: Array, used: Array, power: float, with_vol: float
) -> tuple[jax.Array, ...]:
    """1/scale at gamma zero, its slope, β, and the largest gradient left; one of each per resample."""
    share = used / jnp.sum(used)

    def fit_one(days: Array) -> tuple[jax.Array, ...]:
        size, gex, log_vol = rows[0, days], rows[1, days], rows[2, days]
        low, high = jnp.minimum(jnp.min(gex), 0.0), jnp.maximum(jnp.max(gex), 0.0)
        # Without any gamma the impact is zero by definition, and the rest is still fitted.
        spread = jnp.where(high > low, high - low, jnp.inf)
        place = (gex - low) / spread

        def loss(u: jax.Array) -> jax.Array:
            line = jnp.exp(u[0]) * (1.0 - place) + jnp.exp(u[1]) * place
            log_inverse = jnp.log(line) - with_vol * u[2] * log_vol
            return jnp.sum(share * (size * jnp.exp(power * log_inverse) / power - log_inverse))

        u, steepness = minimise(loss, jnp.zeros(3), _MOST_STEPS)
        ends = jnp.exp(u[:2])
        slope = (ends[1] - ends[0]) / spread
        return ends[0] - slope * low, slope, u[2], steepness

    return jax.vmap(fit_one)(index)


def _domain(gex: np.ndarray) -> tuple[float | None, float | None]:
    """λ between which 1 + 0.01 λ GEX is positive on every day; None where nothing bounds it."""
    low, high = float(gex.min()), float(gex.max())
    return (-1.0 / (_PER_BN * high) if high > 0.0 else None), (-1.0 / (_PER_BN * low) if low < 0.0 else None)


def _profile(days: History, errors: str, bp_per_usd_bn: float) -> float:
    """Log-likelihood at a λ with the best σ0 for it, σ0^p = mean (|r| (1 + 0.01 λ GEX))^p."""
    p, slope = ERRORS[errors], 1.0 + _PER_BN * bp_per_usd_bn * days.gex
    scale = float(np.mean((days.absolute_return * slope) ** p) ** (1.0 / p))
    return float(log_likelihood(days.absolute_return, scale / slope, errors).sum())


def _ends(days: History) -> tuple[float, float]:
    low, high = _domain(days.gex)
    margin = 1.0 - 1e-9
    return (-_WIDEST if low is None else low * margin), (_WIDEST if high is None else high * margin)


def best_on_profile(days: History, errors: str) -> float:
    """λ of largest profile likelihood: the same estimate without past vol, by a search in one number."""
    low, high = _ends(days)
    best = minimize_scalar(lambda bp: -_profile(days, errors, bp), bounds=(low, high), method="bounded")
    return float(best.x)


def profile_interval(fit: ImpactFit) -> tuple[float, float]:
    """95 % interval of λ, the profile likelihood within 1.92 of its best; takes days as independent."""
    if fit.vol_exponent is not None:
        raise InputError("the profile interval is for a fit without past vol")
    floor = fit.log_likelihood - _HALF_CHI2_95

    def excess(bp: float) -> float:
        return _profile(fit.days, fit.errors, bp) - floor

    low, high = _ends(fit.days)
    return (
        low if excess(low) > 0.0 else float(brentq(excess, low, fit.bp_per_usd_bn)),  # pyright: ignore[reportArgumentType]
        high if excess(high) > 0.0 else float(brentq(excess, fit.bp_per_usd_bn, high)),  # pyright: ignore[reportArgumentType]
    )
