"""The early-exercise boundary of an American put, by spectral collocation of its integral equation.

Units of the paper's own scale-free form: strike 1, time in units of variance, w = σ²T, and rates a = r/σ²,
b = q/σ². The boundary is carried as L = ln(B/K); L² about its limit at expiry, as a function of √τ, is smooth
enough to be a polynomial.

Source: Andersen, Lake and Offengenden (2016), High-performance American option pricing, written from its
equations: the fixed-point systems A (smooth pasting) and B (value matching).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gammawall.surfaces.american.nodes import Accuracy, Grid, Stage, interpolation, prepare
from gammawall.surfaces.arrays import Array
from gammawall.surfaces.pricing.normal import (
    ERFCX_SHIFT,
    ERFCX_SPAN,
    INV_SQRT_2PI,
    SQRT_HALF,
    erfcx_coefficients,
    horner,
)
from gammawall.surfaces.pricing.normalised import log_moneyness

__all__ = ["Scaled", "cdf", "limit_at_expiry", "log_boundary"]

_FAR_DRIFT = 0.5
"""(a − b)√w above which system A no longer contracts and B is used"""


class Scaled(NamedTuple):
    """A put in scale-free form, arrays of one dimension."""

    variance: Array
    """w = σ²T"""
    rate: Array
    """a = r/σ²"""
    dividend_yield: Array
    """b = q/σ²"""


@jax.custom_jvp
def cdf(x: Array) -> Array:
    """Φ(x), to ε absolutely and x² ε relatively: one exp, cheaper than `norm_cdf`."""
    size = jnp.minimum(jnp.abs(x), 38.0)
    tail = jnp.exp(-0.5 * size * size) * _half_erfcx(size)
    return jnp.where(x < 0.0, tail, 1.0 - tail)


@cdf.defjvp
def _cdf_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    return cdf(x), _pdf(x) * dx


def _pdf(x: Array) -> Array:
    return INV_SQRT_2PI * jnp.exp(-0.5 * jnp.minimum(x * x, 1440.0))


def _half_erfcx(size: Array) -> Array:
    v = 1.0 / (SQRT_HALF * jnp.asarray(size) + ERFCX_SHIFT)
    return 0.5 * v * horner(erfcx_coefficients(size.dtype), 1.0 - ERFCX_SPAN * v)


def limit_at_expiry(put: Scaled) -> Array:
    """L as τ → 0, ln min(1, r/q): under it interest on the strike outweighs the dividends."""
    capped = put.dividend_yield > put.rate
    ratio = jnp.where(capped, put.rate / jnp.where(capped, put.dividend_yield, 1.0), 1.0)
    return jnp.log(jnp.maximum(ratio, float(jnp.finfo(ratio.dtype).tiny)))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def log_boundary(accuracy: Accuracy, put: Scaled) -> Array:
    """L = ln(B/K) at √τ = ζ_i √w, shape (points, contracts).

    The derivative is that of the implicit-function theorem at the solution, not of the iteration.

    Args:
        accuracy: stages of the solution.
        put: puts with one boundary, r > 0 or q < r = 0.
    """
    limit = limit_at_expiry(put)
    far = (put.rate - put.dividend_yield) * jnp.sqrt(put.variance) > _FAR_DRIFT
    earlier, gap = 0, limit
    for stage in accuracy.stages:
        points = stage.points
        grid = prepare(points, stage.integral_points)
        root = jnp.sqrt(put.variance) * grid.zeta[:, None]
        if not earlier:
            gap = limit - _quadratic_start(put, root)
        else:
            moved = interpolation(earlier, grid.zeta) @ (gap * gap)
            gap = jnp.sqrt(jnp.maximum(moved, 1e-6 * root * root))
        # An error of L moves the premium by about so much of the strike.
        rates = jnp.abs(put.rate) + jnp.abs(put.dividend_yield)
        effect = grid.zeta[:, None] ** 2 * jnp.sqrt(put.variance) * rates
        step = partial(_improve, grid, put, limit, far, earlier > 0)
        gap = _settle(step, gap, effect, stage)
        earlier = points
    return limit - gap


@log_boundary.defjvp
def _log_boundary_jvp(
    accuracy: Accuracy, primals: tuple[Scaled], tangents: tuple[Scaled]
) -> tuple[Array, Array]:
    (put,), (direction,) = primals, tangents
    solution = log_boundary(accuracy, put)
    last = accuracy.stages[-1]
    grid = prepare(last.points, last.integral_points)
    _, moved = jax.jvp(lambda p: _smooth_pasting(grid, solution, p), (put,), (direction,))
    _, slopes = _pasting_and_slopes(grid, solution, put)
    return solution, -jnp.linalg.solve(slopes, moved.T[..., None])[..., 0].T


def _settle(improve: Callable[[Array], Array], gap: Array, effect: Array, stage: Stage) -> Array:
    """Fixed-point steps until the premiums of a batch have settled."""

    def unsettled(state: tuple[Array, Array, Array]) -> Array:
        count, _, size = state
        return (count < stage.most_steps) & (size > stage.tolerance)

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        count, gap, _ = state
        moved = improve(gap)
        return count + 1, moved, jnp.max(jnp.abs(moved - gap) * effect)

    infinite = jnp.asarray(jnp.inf, gap.dtype)
    return jax.lax.while_loop(unsettled, step, (jnp.asarray(0), gap, infinite))[1]


def _quadratic_start(put: Scaled, root: Array) -> Array:
    """L by the quadratic approximation of Barone-Adesi and Whaley (1987), each time for itself.

    (1 − e^{-bτ}Φ(-d₊)) B + λ (1 − B − p(B)) = 0, five Newton steps in L from the barrier of Bjerksund and
    Stensland (1993), B = B∞ + (X − B∞) e^{h}.
    """
    a, b, limit = put.rate, put.dividend_yield, limit_at_expiry(put)
    start, drift, time = jnp.exp(limit), a - b, root * root
    slope = drift - 0.5
    forever = jnp.minimum(-slope - jnp.sqrt(slope * slope + 2.0 * a), -1e-6)
    floor = forever / (forever - 1.0)
    decay = jnp.minimum((drift * time - 2.0 * root) * start / jnp.maximum(start - floor, 1e-12), 0.0)
    gap = limit - jnp.log(floor + (start - floor) * jnp.exp(decay))
    gap = jnp.maximum(gap, 1e-3 * root)
    part = a * time
    # a/h, h = 1 − e^{-aτ}
    over = jnp.where(part < 1e-5, (1.0 + 0.5 * part) / time, a / -jnp.expm1(-jnp.maximum(part, 1e-5)))
    power = -slope - jnp.sqrt(slope * slope + 2.0 * over)
    by_yield, by_rate = jnp.exp(-b * time), jnp.exp(-a * time)

    def newton(_: int, gap: Array) -> Array:
        level = limit - gap
        price = jnp.exp(level)
        upper = level / root + (drift + 0.5) * root
        keep = 1.0 - by_yield * cdf(-upper)
        put_value = by_rate * cdf(root - upper) - by_yield * price * cdf(-upper)
        value = keep * price + power * (1.0 - price - put_value)
        rise = price * (keep * (1.0 - power) + by_yield * _pdf(upper) / root)
        return jnp.clip(gap + value / rise, 0.5 * gap, 2.0 * gap + 0.05 * root)

    return limit - jax.lax.fori_loop(0, 5, newton, gap)


def _improve(grid: Grid, put: Scaled, limit: Array, far: Array, polish: bool, gap: Array) -> Array:
    """One step of the fixed point of system A.

    Where the drift is far A does not contract: system B finds the boundary, Newton's steps on A polish it.
    """
    level = limit - gap
    by_other = _newton if polish else _value_matching
    move = jax.lax.cond(
        jnp.any(far),
        lambda: jnp.where(far, by_other(grid, level, put), _smooth_pasting(grid, level, put)),
        lambda: _smooth_pasting(grid, level, put),
    )
    root = jnp.sqrt(put.variance) * grid.zeta[:, None]
    return jnp.clip(gap - move, 0.3 * gap, 2.0 * gap + 0.1 * root)


class _Kernel(NamedTuple):
    """What both systems need at (points, integral points, contracts)."""

    root: Array
    """√τ_i, (points, 1, contracts)"""
    passed: Array
    """√(τ − u)"""
    earlier: Array
    """u"""
    weight: Array
    """du"""
    inner: Array
    """ln(B(u)/K)"""
    upper: Array
    """d₊(τ − u, B(τ)/B(u))"""


def _kernel(grid: Grid, level: Array, put: Scaled) -> _Kernel:
    limit = limit_at_expiry(put)
    gap = limit - level
    moved = jnp.asarray(grid.interpolation, level.dtype) @ (gap * gap)
    moved = moved.reshape(grid.points, -1, level.shape[1])
    inner = limit - jnp.sqrt(jnp.maximum(moved, 1e-30))
    root = (jnp.sqrt(put.variance) * grid.zeta[:, None])[:, None]
    sine, cosine, weight = (jnp.asarray(v, level.dtype)[:, None] for v in grid.angles)
    passed = root * sine
    upper = (level[:, None] - inner) / passed + (put.rate - put.dividend_yield + 0.5) * passed
    return _Kernel(root, passed, (root * cosine) ** 2, root * root * weight, inner, upper)


def _at_expiry(level: Array, put: Scaled, root: Array) -> Array:
    """d₊(τ, B(τ)/K)."""
    return level / root + (put.rate - put.dividend_yield + 0.5) * root


def _log_ratio(numerator: Array, denominator: Array) -> Array:
    # A step that leaves the range where both are positive is not taken.
    good = (numerator > 0.0) & (denominator > 0.0)
    return jnp.where(
        good, log_moneyness(jnp.where(good, numerator, 1.0), jnp.where(good, denominator, 1.0)), 0.0
    )


def _smooth_pasting(grid: Grid, level: Array, put: Scaled) -> Array:
    """System A, ln(K e^{-(r−q)τ} N/(D B)), zero at the solution.

    With φ(d₋) = φ(d₊) e^{(r−q)τ} B(τ)/K and its like under the integral, N e^{-(r−q)τ} K/B is

        φ(d₊)/√τ + a ∫ e^{bu} φ(d₊) K/B(u) du/√(τ−u),
        D = φ(d₊)/√τ + Φ(d₊) + b ∫ e^{bu} [Φ(d₊) + φ(d₊)/√(τ−u)] du
    """
    return _pasting(grid, level, put).value


class _Pasting(NamedTuple):
    """System A and the parts that its derivative is made of."""

    value: Array
    numerator: Array
    denominator: Array
    first: Array
    """φ(d₊)/√τ"""
    upper: Array
    """d₊(τ, B(τ)/K)"""
    root: Array
    density: Array
    """e^{bu} φ(d₊) du/√(τ−u)"""
    kernel: _Kernel


def _pasting(grid: Grid, level: Array, put: Scaled) -> _Pasting:
    k = _kernel(grid, level, put)
    a, b = put.rate, put.dividend_yield
    grown = jnp.exp(b * k.earlier)
    density = grown * jnp.exp(-0.5 * k.upper * k.upper)
    tail = density * _half_erfcx(jnp.abs(k.upper))
    probability = jnp.where(k.upper < 0.0, tail, grown - tail) * k.weight
    density = INV_SQRT_2PI * density * k.weight / k.passed
    root = k.root[:, 0]
    upper = _at_expiry(level, put, root)
    first = _pdf(upper) / root
    numerator = first + a * jnp.sum(density * jnp.exp(-k.inner), 1)
    denominator = first + cdf(upper) + b * jnp.sum(probability + density, 1)
    return _Pasting(
        _log_ratio(numerator, denominator), numerator, denominator, first, upper, root, density, k
    )


def _pasting_and_slopes(grid: Grid, level: Array, put: Scaled) -> tuple[Array, Array]:
    """System A, (points, contracts), and its derivatives by L, (contracts, points, points)."""
    p = _pasting(grid, level, put)
    k, a, b = p.kernel, put.rate, put.dividend_yield
    limit = limit_at_expiry(put)
    by_strike = p.density * jnp.exp(-k.inner) * (a / p.numerator)[:, None]
    by_spot = p.density * (b / p.denominator)[:, None]
    steepness = k.upper / k.passed
    own = -p.first * p.upper / p.root / p.numerator - p.first * (1.0 - p.upper / p.root) / p.denominator
    own = own - jnp.sum(by_strike * steepness + by_spot * (1.0 - steepness), 1)
    others = (steepness - 1.0) * (by_strike - by_spot) / (limit - k.inner)
    matrix = jnp.asarray(grid.interpolation, level.dtype).reshape(grid.points, -1, grid.points)
    slopes = jnp.einsum("ikc,ikj->cij", others, matrix) * (limit - level).T[:, None, :]
    return p.value, slopes + own.T[:, :, None] * jnp.eye(grid.points)


def _newton(grid: Grid, level: Array, put: Scaled) -> Array:
    """Newton's step of system A, as a change of L."""
    value, slopes = _pasting_and_slopes(grid, level, put)
    return -jnp.linalg.solve(slopes, value.T[..., None])[..., 0].T


def _value_matching(grid: Grid, level: Array, put: Scaled) -> Array:
    """System B, N = Φ(d₋) + a ∫ e^{au} Φ(d₋) du, D = Φ(d₊) + b ∫ e^{bu} Φ(d₊) du; value as for A."""
    k = _kernel(grid, level, put)
    a, b = put.rate, put.dividend_yield
    root = k.root[:, 0]
    upper = _at_expiry(level, put, root)
    lower = cdf(upper - root)
    numerator = lower + a * jnp.sum(jnp.exp(a * k.earlier) * cdf(k.upper - k.passed) * k.weight, 1)
    denominator = cdf(upper) + b * jnp.sum(jnp.exp(b * k.earlier) * cdf(k.upper) * k.weight, 1)
    return _log_ratio(numerator, denominator) - (a - b) * root * root - level
