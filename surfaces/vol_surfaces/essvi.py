"""The eSSVI surface in Mingone's global parametrisation: free of static arbitrage for any parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.surfaces.arrays import Array
from gammawall.surfaces.precision import evaluate
from gammawall.surfaces.vol_surfaces.svi import Surface, TotalVariance, bracket, check_expiries

__all__ = ["EssviSurface", "essvi_free", "essvi_parameters", "essvi_slice"]

_RHO_BOUND = 1.0 - 1e-6
"""tanh reaches 1 in floating point, where ratios of 1 ± ρ have no value."""


def essvi_slice(k: Array, theta: Array, left: Array, right: Array) -> tuple[Array, ...]:
    """One slice as plain jax expressions, with its derivatives in k and in its three parameters.

    w = ½(z + R),  z = θ + (right − left)k/2,  R = √(z² + left·right·k²)

    Args:
        k: ln(K/F); all arguments broadcast.
        theta: total variance at the money, θ > 0.
        left: ψ(1 − ρ), minus twice the slope of the left wing.
        right: ψ(1 + ρ), twice the slope of the right wing.

    Returns:
        (w, ∂k w, ∂kk w, ∂θ w, ∂left w, ∂right w), without cancellation in either wing.

    Source:
        Hendriks and Martini (2019), The extended SSVI volatility surface, with φ = ψ/θ.
    """
    product = left * right
    chi = 0.5 * (right - left)
    z = theta + chi * k
    root = jnp.sqrt(z * z + product * k * k)
    rising = z > 0.0
    w = jnp.where(
        rising, 0.5 * (z + root), 0.5 * product * k * k / jnp.where(rising, 1.0, root - jnp.minimum(z, 0.0))
    )
    # 2w + left·k and 2w − right·k have the product 4wθ: each is exact on its own side of the money.
    upper, lower = 2.0 * w + left * k, 2.0 * w - right * k
    positive = k > 0.0
    upper = jnp.where(positive, upper, 4.0 * w * theta / jnp.where(positive, 1.0, lower))
    lower = jnp.where(positive, 4.0 * w * theta / jnp.where(positive, upper, 1.0), lower)
    return (
        w,
        (chi * w + 0.5 * product * k) / root,
        0.5 * theta * theta * product / (root * root * root),
        w / root,
        -0.25 * k * lower / root,
        0.25 * k * upper / root,
    )


def essvi_parameters(
    rho_free: Array, theta_free: Array, psi_free: Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(θ, ρ, ψ) of every expiry from any 3N real numbers, free of butterfly and calendar arbitrage.

    ρ = tanh, a = exp and c = logistic of the three arguments;
    p_i = max((1+ρ_{i−1})/(1+ρ_i), (1−ρ_{i−1})/(1−ρ_i)),  θ_i = θ_{i−1}p_i + a_i,
    ψ_i = A_i + c_i(C_i − A_i),  A_1 = 0,  A_i = ψ_{i−1}p_i,
    C_i = min(ψ_{i−1}θ_i/θ_{i−1}, f_i, f_{i+1}/p_{i+1}, f_{i+2}/(p_{i+1}p_{i+2}), …), the first not for i = 1,
    f_i = min(4/(1+|ρ_i|), 2√(θ_i/(1+|ρ_i|))).

    Args:
        rho_free: real, shape [N].
        theta_free: real, shape [N].
        psi_free: real, shape [N].

    Returns:
        θ, ρ and ψ, each of shape [N]; plain jax expressions.

    Source:
        Mingone (2022), No arbitrage global parametrization for the eSSVI volatility surface.
    """
    rho = _RHO_BOUND * jnp.tanh(rho_free)
    growth = _growth(rho)
    theta = _theta(growth, jnp.exp(theta_free))
    share = jax.nn.sigmoid(psi_free)

    def step(
        carry: tuple[jax.Array, jax.Array], row: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        psi_before, theta_before = carry
        p, ceiling, theta_here, c = row
        least = psi_before * p
        most = jnp.minimum(psi_before * (theta_here / theta_before), ceiling)
        psi = least + c * jnp.maximum(most - least, 0.0)
        return (psi, theta_here), psi

    ceiling = _ceiling(growth, theta, rho)
    first = share[0] * ceiling[0]
    _, rest = jax.lax.scan(step, (first, theta[0]), (growth[1:], ceiling[1:], theta[1:], share[1:]))
    return theta, rho, jnp.concatenate([first[None], rest])


def essvi_free(theta: np.ndarray, rho: np.ndarray, psi: np.ndarray, *, room: float = 1e-3) -> np.ndarray:
    """The 3N numbers whose `essvi_parameters` are nearest to given ones, slice after slice.

    Args:
        theta: total variance at the money, shape [N] like the others.
        rho: asymmetry.
        psi: θφ.
        room: smallest rise of θ, relative, and smallest distance of the logistic from 0 and 1, so that a
            slice that has to be moved into the admissible range keeps a gradient.

    Returns:
        Shape [3, N]: rows for ρ, θ and ψ.
    """
    rho = np.clip(rho, -0.995, 0.995)
    growth = np.asarray(_growth(rho))
    increments = np.empty_like(theta)
    level = 0.0
    for i in range(theta.size):
        floor = level * growth[i]
        increments[i] = max(theta[i] - floor, room * theta[i])
        level = floor + increments[i]
    kept = np.asarray(_theta(growth, increments))
    ceiling = np.asarray(_ceiling(growth, kept, rho))
    share, before = np.empty_like(theta), 0.0
    for i in range(theta.size):
        least = before * growth[i] if i else 0.0
        most = min(before * kept[i] / kept[i - 1], ceiling[i]) if i else ceiling[i]
        share[i] = np.clip((psi[i] - least) / max(most - least, 1e-300), room, 1.0 - room)
        before = least + share[i] * max(most - least, 0.0)
    return np.stack([np.arctanh(rho / _RHO_BOUND), np.log(increments), np.log(share / (1.0 - share))])


def _growth(rho: Array) -> jax.Array:
    rho = jnp.asarray(rho)
    p = jnp.maximum((1.0 + rho[:-1]) / (1.0 + rho[1:]), (1.0 - rho[:-1]) / (1.0 - rho[1:]))
    return jnp.concatenate([jnp.ones_like(rho[:1]), p])


def _theta(growth: Array, increments: Array) -> jax.Array:
    def step(level: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        level = level * row[0] + row[1]
        return level, level

    increments = jnp.asarray(increments)
    return jax.lax.scan(step, jnp.zeros_like(increments[0]), (jnp.asarray(growth), increments))[1]


def _ceiling(growth: Array, theta: Array, rho: Array) -> jax.Array:
    """min(f_i, f_{i+1}/p_{i+1}, …): what this slice and every later one leave room for."""
    wide = 1.0 + jnp.abs(jnp.asarray(rho))
    own = jnp.minimum(4.0 / wide, 2.0 * jnp.sqrt(theta / wide))

    def step(later: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        here = jnp.minimum(row[0], later / row[1])
        return here, here

    last, following = own[-1], jnp.asarray(growth)[1:]
    rest = jax.lax.scan(step, last, (own[:-1], following), reverse=True)[1]
    return jnp.concatenate([rest, last[None]])


@jax.jit
def _essvi_kernel(
    years: jax.Array,
    forwards: jax.Array,
    theta: jax.Array,
    rho: jax.Array,
    psi: jax.Array,
    k: jax.Array,
    t: jax.Array,
) -> TotalVariance:
    del forwards
    years, theta, rho, psi = map(jnp.asarray, (years, theta, rho, psi))
    k, t = jnp.broadcast_arrays(jnp.asarray(k, years.dtype), jnp.asarray(t, years.dtype))
    columns = jnp.stack([theta, psi * (1.0 - rho), psi * (1.0 + rho)])
    low, high, span = bracket(years, t)
    before, beyond = t < years[0], t >= years[-1]
    at, rate = columns[:, low], (columns[:, high] - columns[:, low]) / span
    # θ goes on at the slope that keeps the money's vol; the wings keep theirs.
    last_rate = jnp.array([1.0, 0.0, 0.0]).astype(years.dtype) * theta[-1] / years[-1]
    rate = jnp.where(beyond, last_rate.reshape((3,) + (1,) * k.ndim), rate)
    at = at + rate * (t - years[low])
    # Before the first expiry θ ∝ T and ψ ∝ √T: the smile in standard deviations stays.
    scale = t / years[0]
    root = jnp.sqrt(scale)
    early = jnp.stack([theta[0] * scale, columns[1, 0] * root, columns[2, 0] * root])
    early_rate = early / t * jnp.array([1.0, 0.5, 0.5]).astype(years.dtype).reshape((3,) + (1,) * k.ndim)
    at, rate = jnp.where(before, early, at), jnp.where(before, early_rate, rate)
    w, by_k, by_kk, *by_parameter = essvi_slice(k, *at)
    by_t = sum(d * r for d, r in zip(by_parameter, rate, strict=True))
    return TotalVariance(w, by_k, by_kk, cast(jax.Array, by_t))


@jax.jit
def _from_free_kernel(
    rho_free: jax.Array, theta_free: jax.Array, psi_free: jax.Array
) -> tuple[jax.Array, ...]:
    return essvi_parameters(rho_free, theta_free, psi_free)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class EssviSurface(Surface):
    """eSSVI slices, (θ, ρψ, ψ) linear in time between them.

    w(k) = ½[θ + ρψk + √((ψk + ρθ)² + θ²(1 − ρ²))]. Made by `from_free` it has no butterfly and no calendar
    arbitrage at any time: before the first expiry θ ∝ T and ψ ∝ √T, beyond the last θ ∝ T and ρ, ψ stay.

    Args:
        years: expiries, ACT/365, increasing, shape [N] like every field.
        forwards: index points.
        theta: total variance at the money.
        rho: asymmetry, in (−1, 1).
        psi: θφ, sum of the slopes of the two wings.
    """

    years: Array
    forwards: Array
    theta: Array
    rho: Array
    psi: Array

    _kernel = staticmethod(_essvi_kernel)

    def __post_init__(self) -> None:
        check_expiries(self.years, self.forwards, self.theta, self.rho, self.psi)

    @classmethod
    def from_free(
        cls, years: Array, forwards: Array, rho_free: Array, theta_free: Array, psi_free: Array
    ) -> EssviSurface:
        """Arbitrage-free surface of any real numbers, by `essvi_parameters`."""
        theta, rho, psi = evaluate(_from_free_kernel, rho_free, theta_free, psi_free)
        return cls(years, forwards, theta, rho, psi)
