"""Between the nodes of a table: cubics from values and slopes, polynomials from values alone.

Within the step loop prices fall between nodes anew in every step and path (`value_at`, `value_between`); the
roots of a cell's cubic are those of the clearing equation (`root_in_cell`). Tables are carried to other nodes
once, on the host (`refine`, `lagrange_matrix`).
"""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.surfaces.arrays import Array, Shape

__all__ = [
    "barycentric_weights",
    "cubic",
    "hermite",
    "lagrange",
    "lagrange_matrix",
    "refine",
    "root_in_cell",
    "value_at",
    "value_between",
]

Nodes = Annotated[Array, Shape("nodes")]
Paths = Annotated[Array, Shape("paths")]
Cubics = Annotated[Array, Shape("... 4")]

_NEWTON_STEPS = 5


# --- cubics from values and slopes -------------------------------------------------------------------------


def hermite(d0: Array, d1: Array, m0: Array, m1: Array) -> Cubics:
    """Coefficients of the cubic with values d0, d1 and slopes m0, m1 (per cell) at u = 0, 1; last axis."""
    rise = d1 - d0
    return jnp.stack([d0, m0, 3.0 * rise - 2.0 * m0 - m1, m0 + m1 - 2.0 * rise], axis=-1)


def cubic(coefficients: Cubics, u: Array) -> tuple[Array, Array]:
    """Value and u-derivative of a cubic."""
    a0, a1, a2, a3 = (coefficients[..., i] for i in range(4))
    return a0 + u * (a1 + u * (a2 + u * a3)), a1 + u * (2.0 * a2 + u * 3.0 * a3)


def root_in_cell(
    y: Paths,
    x_left: Paths,
    width: Array,
    coefficients: Cubics,
    c: Array | float,
    low: Array | float = 0.0,
    high: Array | float = 1.0,
) -> Paths:
    """u in [low, high] where x_left + u width + c D(u) = y, for a piece of a cell whose ends enclose y."""
    value0, _ = cubic(coefficients, jnp.zeros_like(y))
    value1, _ = cubic(coefficients, jnp.ones_like(y))
    left = x_left + c * value0
    climb = width + c * (value1 - value0)
    u = jnp.clip((y - left) / jnp.where(climb == 0.0, 1.0, climb), low, high)

    def newton(_: Array, bracket: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        u, a, b = bracket
        value, slope = cubic(coefficients, u)
        excess = x_left + u * width + c * value - y
        # Keep the bracket; Newton when it stays inside, bisection otherwise.
        a, b = jnp.where(excess < 0.0, u, a), jnp.where(excess < 0.0, b, u)
        rate = width + c * slope
        guess = u - excess / jnp.where(rate == 0.0, 1.0, rate)
        return jnp.where((guess >= a) & (guess <= b), guess, 0.5 * (a + b)), a, b

    bracket = (u, jnp.broadcast_to(low, u.shape), jnp.broadcast_to(high, u.shape))
    return jax.lax.fori_loop(0, _NEWTON_STEPS, newton, bracket)[0]


def value_at(nodes: Nodes, delta: Nodes, slope: Nodes, x: Paths) -> Paths:
    """Cubic between uniform nodes; straight on beyond them."""
    width = nodes[1] - nodes[0]
    cell = jnp.clip(((x - nodes[0]) / width).astype(jnp.int32), 0, nodes.shape[0] - 2)
    u = (x - nodes[cell]) / width
    inside = jnp.clip(u, 0.0, 1.0)
    value, rate = cubic(
        hermite(delta[cell], delta[cell + 1], slope[cell] * width, slope[cell + 1] * width), inside
    )
    return value + (u - inside) * rate


def value_between(nodes: Nodes, delta: Nodes, slope: Nodes, x: Paths) -> Paths:
    """As `value_at` for uneven nodes, ascending; the value below a vertical piece where two are equal."""
    cell = jnp.clip(jnp.searchsorted(nodes, x) - 1, 0, nodes.shape[0] - 2)
    width = nodes[cell + 1] - nodes[cell]
    u = jnp.clip((x - nodes[cell]) / jnp.where(width == 0.0, 1.0, width), 0.0, 1.0)
    value, _ = cubic(hermite(delta[cell], delta[cell + 1], slope[cell] * width, slope[cell + 1] * width), u)
    return value


def refine(
    coarse: Annotated[np.ndarray, Shape("coarse")],
    delta: Annotated[np.ndarray, Shape("rows coarse")],
    slope: Annotated[np.ndarray, Shape("rows coarse")],
    nodes: Annotated[np.ndarray, Shape("nodes")],
) -> tuple[Annotated[np.ndarray, Shape("rows nodes")], Annotated[np.ndarray, Shape("rows nodes")]]:
    """Values and slopes carried from a uniform grid to other points, many rows at once; on the host."""
    if coarse.size == nodes.size:
        return delta, slope
    width = coarse[1] - coarse[0]
    position = (nodes - coarse[0]) / width
    cell = np.clip(position.astype(int), 0, coarse.size - 2)
    u = position - cell
    u2, u3 = u * u, u * u * u
    d0, d1, m0, m1 = delta[:, cell], delta[:, cell + 1], slope[:, cell] * width, slope[:, cell + 1] * width
    value = d0 + (3 * u2 - 2 * u3) * (d1 - d0) + (u - 2 * u2 + u3) * m0 + (u3 - u2) * m1
    rate = (6 * u - 6 * u2) * (d1 - d0) + (1 - 4 * u + 3 * u2) * m0 + (3 * u2 - 2 * u) * m1
    return value, rate / width


# --- polynomials from values -------------------------------------------------------------------------------


def barycentric_weights(points: Annotated[np.ndarray, Shape("points")]) -> np.ndarray:
    """1/∏(p_i − p_j), scaled so that the largest is 1."""
    gaps = points[:, None] - points[None, :]
    # At length 4 the products of many points neither over- nor underflow; a power of two changes no digit.
    gaps *= 2.0 ** np.round(np.log2(4.0 / np.ptp(points))) if points.size > 1 else 1.0
    np.fill_diagonal(gaps, 1.0)
    weights = 1.0 / np.prod(gaps, axis=1)
    return weights / np.abs(weights).max()


def lagrange(
    points: Annotated[Array, Shape("points")], weights: Annotated[Array, Shape("points")], at: Paths
) -> Annotated[Array, Shape("points paths")]:
    """Shares of the values at `points` in the polynomial's value at `at`; weights are barycentric."""
    gap = at[None, :] - points[:, None]
    hit = gap == 0.0
    share = weights[:, None] / jnp.where(hit, 1.0, gap)
    share = share / jnp.sum(share, axis=0)
    return jnp.where(jnp.any(hit, axis=0), hit.astype(share.dtype), share)


def lagrange_matrix(
    points: Annotated[np.ndarray, Shape("points")], at: Annotated[np.ndarray, Shape("where")]
) -> Annotated[np.ndarray, Shape("where points")]:
    """The same shares for a few points, as a matrix, by products; on the host."""
    shares = np.ones((at.size, points.size))
    for i in range(points.size):
        others = np.delete(points, i)
        shares[:, i] = np.prod((at[:, None] - others) / (points[i] - others), axis=1)
    return shares
