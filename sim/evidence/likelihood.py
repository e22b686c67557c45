"""The exact likelihood of the paths, and its maximum.

The price of a market whose dealers hedge continuously is a change of variable of the price without them:

    ΔX_k = Δx_k + Σ_b θ_b Δu_b,k ,   ΔX_k | past ~ N(0, v_k/h_k²),   dX_k/dx_k = 1 + Σ_b θ_b G_b,k = J_k
    log p = Σ_k [ log h_k + log J_k − ½ h_k² ΔX_k² / v_k ],   log h_k = s_day + Σ_c q_c z_c,k

With Q = Σ_k (h_k/e^s)² ΔX_k²/v_k over the n steps of a day, its level s is one of three:

- fitted to each day: e^{−2s} = Q/n, so that only what happens within a day speaks. Levels fitted to some
  eighty steps pull θ down by about .05 bp, whatever the number of days;
- drawn by nature: e^{−2s} is inverse gamma with shape a and scale a m, integrated out in closed form,
  ln Γ(a + n/2) − ln Γ(a) + a ln(a m) − (a + n/2) ln(a m + Q/2) in place of −(n/2) ln(Q/n) − n/2. No such
  pull, but days of much gamma that are calm for another reason then speak for hedging;
- the same every day.

θ = λ × (dealers' net share of the bucket); λ and the share are not identified apart.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from gammawall.surfaces.arrays import Array, Shape

__all__ = ["Data", "Fit", "first_guess", "fit", "fit_many", "log_likelihood"]

_STEPS, _HALVINGS = 60, 40
_FLAT = 1e-7
"""Largest slope of the log-likelihood, per unit of a scaled parameter, at which a fit has converged."""
_CURVED = 1e-8
_LONGEST = 2.0
"""Largest change of a scaled parameter in one step."""
_SHAPE = 5.0


Level = Literal["fitted", "drawn", "same"]
"""The level of vol of each day."""


class Data(NamedTuple):
    """What a fit looks at; θ has a row of moves and slopes each, a lagged row has slopes of zero."""

    move: Annotated[Array, Shape("sessions steps")]
    years: Annotated[Array, Shape("sessions steps")]
    weight: Annotated[Array, Shape("sessions steps")]
    """1 where the step counts, 0 where not"""
    controls: Annotated[Array, Shape("terms sessions steps")]
    push: Annotated[Array, Shape("thetas sessions steps")]
    """Δu"""
    slope: Annotated[Array, Shape("thetas sessions steps")]
    """G"""


class Fit(NamedTuple):
    """A maximum of the likelihood."""

    theta: Annotated[Array, Shape("thetas")]
    controls: Annotated[Array, Shape("coefficients")]
    log_likelihood: Array
    converged: Array
    covariance: Annotated[Array, Shape("thetas thetas")]
    """inverse of the negative Hessian, its block of θ"""
    clustered: Annotated[Array, Shape("thetas thetas")]
    """sandwich by session"""


def log_likelihood(
    data: Data,
    theta: Annotated[Array, Shape("thetas")],
    q: Annotated[Array, Shape("coefficients")],
    level: Level,
) -> Annotated[Array, Shape("sessions")]:
    """Log-likelihood of every session; minus infinity where some step has J ≤ 0.

    Args:
        data: of the sessions.
        theta: bp per USD bn × dealers' share.
        q: coefficients of the controls, then ln a and ln m where the levels are drawn.
        level: what is known of the level of each day.
    """
    counts = data.weight
    tilt = jnp.einsum("c,cdk->dk", q[: data.controls.shape[0]], data.controls)
    jacobian = 1.0 + jnp.einsum("b,bdk->dk", theta, data.slope)
    inside = (jacobian > 0.0) | (counts == 0.0)
    x = data.move + jnp.einsum("b,bdk->dk", theta, data.push)
    square = jnp.where(counts > 0.0, jnp.exp(2.0 * tilt) * x * x / data.years, 0.0)
    logs = jnp.where(counts > 0.0, tilt + jnp.log(jnp.where(inside, jacobian, 1.0)), 0.0)
    logs = logs - jnp.where(counts > 0.0, 0.5 * jnp.log(2.0 * jnp.pi * data.years), 0.0)
    n, total = jnp.sum(counts, axis=1), jnp.sum(square, axis=1)
    if level == "fitted":
        mean = jnp.where(n > 0.0, total / jnp.maximum(n, 1.0), 1.0)
        spread = -0.5 * n * (jnp.log(mean) + 1.0)
    elif level == "drawn":
        shape, scale = jnp.exp(q[-2]), jnp.exp(q[-2] + q[-1])
        spread = gammaln(shape + 0.5 * n) - gammaln(shape) + shape * jnp.log(scale)
        spread = spread - (shape + 0.5 * n) * jnp.log(scale + 0.5 * total)
    else:
        spread = -0.5 * total
    found = jnp.sum(logs, axis=1) + jnp.where(n > 0.0, spread, 0.0)
    return jnp.where(jnp.all(inside, axis=1), found, -jnp.inf)


def fit(data: Data, level: Level, start: Annotated[Array, Shape("coefficients")]) -> Fit:
    """The maximum of the likelihood by Newton's method with step halving.

    Args:
        data: of the sessions.
        level: what is known of the level of each day.
        start: coefficients of the controls to begin with, from `first_guess` or another fit.
    """
    thetas, terms = data.push.shape[0], start.shape[0]
    # In units in which the slopes are of order one.
    unit = jnp.sqrt(
        jnp.mean(jnp.square(data.slope) + jnp.square(data.push) / jnp.mean(data.years), axis=(1, 2))
    )
    scale = jnp.concatenate([1.0 / jnp.maximum(unit, 1e-12), jnp.ones(terms)])
    count = jnp.sum(data.weight)

    def days(p: Array) -> Array:
        p = p * scale
        return log_likelihood(data, p[:thetas], p[thetas:], level)

    def loss(p: Array) -> Array:
        return -jnp.sum(days(p)) / count

    gradient, hessian = jax.value_and_grad(loss), jax.hessian(loss)

    def unfinished(carry: tuple[Array, ...]) -> Array:
        return (carry[1] < _STEPS) & (carry[2] > _FLAT)

    def step(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        p, k, _ = carry
        value, slope = gradient(p)
        curves, axes = jnp.linalg.eigh(hessian(p))
        # Downhill also where the loss is not convex.
        way = -axes @ ((axes.T @ slope) / jnp.maximum(jnp.abs(curves), _CURVED))
        # A parameter that the data leave open, such as the shape where all days are alike, does not run away.
        way = way * jnp.minimum(1.0, _LONGEST / jnp.maximum(jnp.max(jnp.abs(way)), 1e-300))
        gain = jnp.vdot(slope, way)

        def longer(state: tuple[Array, Array]) -> Array:
            size, tries = state
            new = loss(p + size * way)
            good = jnp.isfinite(new) & (new <= value + 1e-4 * size * gain)
            return ~good & (tries < _HALVINGS)

        size, tries = jax.lax.while_loop(
            longer, lambda s: (0.5 * s[0], s[1] + 1), (jnp.ones(()), jnp.zeros((), int))
        )
        moved = jnp.where(tries < _HALVINGS, p + size * way, p)
        steepness = jnp.max(jnp.abs(gradient(moved)[1]))
        stuck = (tries >= _HALVINGS) | (jnp.abs(gain) < 1e-15)
        return moved, jnp.where(stuck, _STEPS, k + 1), steepness

    if not thetas + terms:
        none = jnp.zeros((0, 0))
        return Fit(jnp.zeros(0), jnp.zeros(0), -loss(jnp.zeros(0)) * count, jnp.asarray(True), none, none)
    first = jnp.concatenate([jnp.zeros(thetas), start]) / scale
    p, _, steepness = jax.lax.while_loop(unfinished, step, (first, jnp.zeros((), int), jnp.full((), jnp.inf)))
    information = hessian(p) * count
    inverse = jnp.linalg.pinv(information, hermitian=True)
    scores = jax.jacobian(days)(p)
    sandwich = inverse @ (scores.T @ scores) @ inverse
    block = scale[:thetas, None] * scale[None, :thetas]
    return Fit(
        theta=p[:thetas] * scale[:thetas],
        controls=p[thetas:] * scale[thetas:],
        log_likelihood=jnp.sum(days(p)),
        converged=steepness <= 10.0 * _FLAT,
        covariance=inverse[:thetas, :thetas] * block,
        clustered=sandwich[:thetas, :thetas] * block,
    )


def first_guess(data: Data, level: Level) -> Annotated[Array, Shape("coefficients")]:
    """Coefficients to begin with: controls without effect, and the average level."""
    used = jnp.where(data.weight > 0.0, data.move**2 / data.years, 0.0)
    average = jnp.log(jnp.sum(used) / jnp.sum(data.weight))
    none = jnp.zeros(data.controls.shape[0])
    if level == "drawn":
        return jnp.concatenate([none, jnp.array([jnp.log(_SHAPE), average])])
    return none if level == "fitted" else none.at[-1].set(-0.5 * average)


def fit_many(
    data: Data, pushes: Array, slopes: Array, weights: Array, level: Level, start: Array, *, hedged: bool
) -> Fit:
    """`fit` of many books at once.

    Args:
        data: what all have in common.
        pushes: Δu, [fits, thetas, sessions, steps].
        slopes: G, likewise.
        weights: [fits, sessions, steps].
        level: see `fit`.
        start: coefficients of the controls to begin with.
        hedged: whether θ is fitted; it is zero otherwise.
    """

    def one(own: tuple[Array, Array, Array]) -> Fit:
        push, slope, weight = own
        mine = data._replace(push=push, slope=slope, weight=weight)
        if hedged:
            return fit(mine, level, start)
        found = fit(mine._replace(push=push[:0], slope=slope[:0]), level, start)
        none = jnp.zeros(push.shape[0])
        square = none[:, None] + none
        return found._replace(theta=none, covariance=square, clustered=square)

    return jax.lax.map(one, (pushes, slopes, weights), batch_size=16)
