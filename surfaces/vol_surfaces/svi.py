"""Raw SVI slices, the surface made of them, and what every surface of total variance shares."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.surfaces.arrays import Array, Numbers
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.precision import evaluate, is_traced

__all__ = [
    "SviSurface",
    "TotalVariance",
    "VolSurface",
    "durrleman",
    "raw_svi",
    "svi_free",
    "svi_parameters",
]

_RHO_BOUND = 0.9999


class TotalVariance(NamedTuple):
    """Total implied variance w = σ²T at log-moneyness k = ln(K/F) and T years, with derivatives."""

    value: Array
    """w, dimensionless"""
    by_k: Array
    """∂w/∂k"""
    by_kk: Array
    """∂²w/∂k²"""
    by_t: Array
    """∂w/∂T at fixed k, per year; at an expiry of the surface the derivative to the right"""


class VolSurface(Protocol):
    """What the arbitrage audit and local vol ask of a surface; any object that has it will do."""

    @property
    def years(self) -> Array:
        """Fitted expiries, ACT/365 years, increasing, shape [N]."""
        ...

    def derivatives(self, k: Numbers, t: Numbers) -> TotalVariance:
        """w and its derivatives at k = ln(K/F) and t > 0 years, broadcast."""
        ...

    def forward(self, t: Numbers) -> Array:
        """Forward for delivery in t years, index points."""
        ...


def durrleman(k: Array, w: TotalVariance) -> Array:
    """Durrleman's function, whose sign is that of the risk-neutral density.

    g(k) = (1 − k w′/(2w))² − w′²/4 · (1/w + 1/4) + w″/2

    Args:
        k: ln(K/F), broadcast against ``w``.
        w: total variance, positive, and its k-derivatives.

    Source:
        Gatheral and Jacquier (2014), Arbitrage-free SVI volatility surfaces, equation 2.1.
    """
    value, slope, curvature, _ = w
    return (
        (1.0 - 0.5 * k * slope / value) ** 2 - 0.25 * slope * slope * (1.0 / value + 0.25) + 0.5 * curvature
    )


def raw_svi(k: Array, a: Array, b: Array, rho: Array, m: Array, sigma: Array) -> TotalVariance:
    """One SVI slice, as plain jax expressions; its T-derivative is zero.

    w(k) = a + b [ρ(k − m) + √((k − m)² + σ²)]

    Args:
        k: ln(K/F); all arguments broadcast.
        a: level of variance.
        b: slope of the wings, b(1 + |ρ|) ≤ 2 by Lee's bound.
        rho: asymmetry, in (−1, 1).
        m: position.
        sigma: width of the vertex, positive.

    Source:
        Gatheral (2004), A parsimonious arbitrage-free implied volatility parameterization.
    """
    x = k - m
    root = jnp.sqrt(x * x + sigma * sigma)
    value = a + b * (rho * x + root)
    return TotalVariance(
        value, b * (rho + x / root), b * sigma * sigma / (root * root * root), jnp.zeros_like(value)
    )


def svi_parameters(free: Array, total_vol: Array) -> tuple[Any, ...]:
    """(a, b, ρ, m, σ) of a slice from any five numbers u, as plain jax expressions.

    ρ = tanh u₃, b = 2·logistic(u₂)/(1+|ρ|), σ = s·exp u₅, m = s·u₄, a = s²·exp u₁ − bσ√(1−ρ²): the least
    variance is above zero and the wings keep Lee's bound.

    Args:
        free: real, first axis of 5.
        total_vol: s at the money, the scale of the slice.
    """
    rho = _RHO_BOUND * jnp.tanh(free[2])
    b = 2.0 / (1.0 + jnp.abs(rho)) * jax.nn.sigmoid(free[1])
    sigma = total_vol * jnp.exp(free[4])
    a = total_vol * total_vol * jnp.exp(free[0]) - b * sigma * jnp.sqrt(1.0 - rho * rho)
    return a, b, rho, total_vol * free[3], sigma


def svi_free(
    total_vol: np.ndarray, a: np.ndarray, b: np.ndarray, rho: np.ndarray, m: np.ndarray, sigma: np.ndarray
) -> np.ndarray:
    """The five numbers of `svi_parameters` for given slices, nearest where they are out of bounds; [N, 5]."""
    rho = np.clip(rho, -0.999, 0.999)
    part = np.clip(0.5 * b * (1.0 + np.abs(rho)), 1e-9, 0.999)
    least = np.maximum(a + b * sigma * np.sqrt(1.0 - rho * rho), 1e-6 * total_vol * total_vol)
    columns = (
        np.log(least / total_vol**2),
        np.log(part / (1.0 - part)),
        np.arctanh(rho / _RHO_BOUND),
        m / total_vol,
        np.log(np.maximum(sigma / total_vol, 1e-6)),
    )
    return np.stack(columns, axis=-1)


class Surface:
    """Public methods of the surfaces here. A subclass is a frozen dataclass of arrays that begins with
    ``years`` and ``forwards`` and has a jitted ``_kernel(*fields, k, t) -> TotalVariance``."""

    years: Array
    forwards: Array
    _kernel: Callable[..., TotalVariance]

    def derivatives(self, k: Numbers, t: Numbers) -> TotalVariance:
        """w, ∂w/∂k, ∂²w/∂k² and ∂w/∂T in closed form.

        Args:
            k: ln(K/F).
            t: years, above 0; broadcasts with ``k``.

        Raises:
            InputError: a time is not above zero.
        """
        if not is_traced(t) and not bool(np.all(np.asarray(t) > 0.0)):
            raise InputError("t must be a time to expiry above 0 years; leave expired options out")
        return evaluate(type(self)._kernel, *_fields(self), k, t)

    def total_variance(self, k: Numbers, t: Numbers) -> Array:
        """w = σ²T at k = ln(K/F) and t years above 0, broadcast."""
        return self.derivatives(k, t).value

    def forward(self, t: Numbers) -> Array:
        """Forward for t years: ln F is linear between the expiries and goes on straight beyond them."""
        return evaluate(_forward_kernel, self.years, self.forwards, t)

    def vol(self, strike: Numbers, expiry: Numbers, forward: Numbers | None = None) -> Array:
        """Implied vol, annual decimal.

        Args:
            strike: index points, above 0.
            expiry: years on ACT/365, above 0; broadcasts with ``strike``.
            forward: index points; the surface's own when not given. Another moves the smile with the spot.
        """
        level = self.forward(expiry) if forward is None else forward
        k = evaluate(_log_ratio_kernel, strike, level)
        return evaluate(_vol_kernel, self.total_variance(k, expiry), expiry)


def _fields(surface: Surface) -> tuple[Any, ...]:
    return tuple(getattr(surface, field.name) for field in dataclasses.fields(cast(Any, surface)))


@jax.jit
def _log_ratio_kernel(strike: jax.Array, forward: jax.Array) -> jax.Array:
    return jnp.log(strike / forward)


@jax.jit
def _vol_kernel(w: jax.Array, t: jax.Array) -> jax.Array:
    return jnp.sqrt(w / t)


@jax.jit
def _forward_kernel(years: jax.Array, forwards: jax.Array, t: jax.Array) -> jax.Array:
    years, level = jnp.asarray(years), jnp.log(jnp.asarray(forwards))
    if years.shape[0] == 1:
        return jnp.exp(level[0]) * jnp.ones_like(t)
    low = jnp.clip(jnp.searchsorted(years, t, side="right") - 1, 0, years.shape[0] - 2)
    slope = (level[low + 1] - level[low]) / (years[low + 1] - years[low])
    return jnp.exp(level[low] + slope * (t - years[low]))


def bracket(years: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Expiries around t: indices of the last one not after it and of the next, and the years between."""
    last = years.shape[0] - 1
    low = jnp.clip(jnp.searchsorted(years, t, side="right") - 1, 0, last)
    high = jnp.minimum(low + 1, last)
    return low, high, jnp.where(high > low, years[high] - years[low], 1.0)


def check_expiries(years: Array, *columns: Array) -> None:
    """Refuse concrete expiries that do not increase from above zero, and columns of another length."""
    # Inside a transformation a leaf may be a tracer or a placeholder without numbers.
    if not all(isinstance(v, (np.ndarray, list, tuple)) for v in (years, *columns)):
        return
    t = np.asarray(years, float)
    if t.ndim != 1 or t.size == 0 or t[0] <= 0.0 or not bool(np.all(np.diff(t) > 0.0)):
        raise InputError("years must be one increasing column of expiries above 0")
    for column in columns:
        if np.shape(column) != t.shape:
            raise InputError(f"every column needs one value per expiry: {t.shape} and {np.shape(column)} met")


@jax.jit
def _svi_kernel(
    years: jax.Array,
    forwards: jax.Array,
    a: jax.Array,
    b: jax.Array,
    rho: jax.Array,
    m: jax.Array,
    sigma: jax.Array,
    k: jax.Array,
    t: jax.Array,
) -> TotalVariance:
    del forwards
    years, a, b, rho, m, sigma = map(jnp.asarray, (years, a, b, rho, m, sigma))
    k, t = jnp.broadcast_arrays(jnp.asarray(k, years.dtype), jnp.asarray(t, years.dtype))
    low, high, span = bracket(years, t)
    # Before the first expiry w(k, T) = λ w₁(k/√λ), λ = T/T₁: the smile in standard deviations stays.
    scale = jnp.minimum(t / years[0], 1.0)
    root = jnp.sqrt(scale)
    near = raw_svi(k / root, a[low], b[low], rho[low], m[low], sigma[low])
    far = raw_svi(k, a[high], b[high], rho[high], m[high], sigma[high])
    centre = raw_svi(jnp.zeros_like(k), a[-1], b[-1], rho[-1], m[-1], sigma[-1]).value
    before, beyond = t < years[0], t >= years[-1]
    inside = ~(before | beyond)
    share = jnp.where(inside, (t - years[low]) / span, 0.0)
    by_t = jnp.where(
        before,
        (near.value - 0.5 * k / root * near.by_k) / years[0],
        # Beyond the last the whole smile rises at the rate that keeps the money's vol.
        jnp.where(beyond, centre / years[-1], (far.value - near.value) / span),
    )
    return TotalVariance(
        scale * near.value
        + share * (far.value - near.value)
        + jnp.where(beyond, (t - years[-1]) * centre / years[-1], 0.0),
        root * near.by_k + share * (far.by_k - near.by_k),
        near.by_kk + share * (far.by_kk - near.by_kk),
        by_t,
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class SviSurface(Surface):
    """Raw SVI slices, total variance linear in time at fixed k between them.

    Before the first expiry T₁ the smile keeps its shape in standard deviations, w(k,T) = λ w₁(k/√λ) with
    λ = T/T₁; beyond the last it rises in parallel. Both keep the slopes of the wings, so Lee's bound holds
    at every time if it holds at the expiries. Nothing else is promised: see `check_arbitrage`.

    Args:
        years: expiries, ACT/365, increasing, shape [N] like every field.
        forwards: index points.
        a, b, rho, m, sigma: parameters of `raw_svi`.
    """

    years: Array
    forwards: Array
    a: Array
    b: Array
    rho: Array
    m: Array
    sigma: Array

    _kernel = staticmethod(_svi_kernel)

    def __post_init__(self) -> None:
        check_expiries(self.years, self.forwards, self.a, self.b, self.rho, self.m, self.sigma)
