"""The price that continuous hedging leaves behind: one scalar equation per step.

    M(x) = x + c D(t, eˣ) = y,    y = X_t + c D(0, S₀),    c = λ S_ref

D is known at nodes with its slope and is cubic (Hermite) between them. Where M folds the price walks from
where it was to the first root on the side it is pushed to (model.md, section 2).
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.sim.book.interpolation import Cubics, Nodes, cubic, hermite, root_in_cell
from gammawall.sim.models.protocols import Paths
from gammawall.surfaces.arrays import Array, Shape

__all__ = ["CAPPED", "JUMP", "STABLE", "first_root", "inverse_lookup"]

Cleared: TypeAlias = tuple[Paths, Paths, Paths, Paths]
"""log price, D, feedback, status"""

STABLE, JUMP, CAPPED = np.int32(0), np.int32(1), np.int32(2)
"""Status of one path-step: the root is on the branch the price was on; it lies beyond a fold; there is none
on the grid and the price stands at the edge."""


def inverse_lookup(
    y: Paths, y_first: Array | float, y_width: Array | float, coefficients: Cubics, c: Array | float
) -> Cleared:
    """Clearing by table, for a step whose map is increasing everywhere.

    Args:
        y: [P].
        y_first, y_width: the uniform grid of y.
        coefficients: [B, 4], the cubic of D in each cell of y.
        c: λ S_ref.

    Returns:
        x, D, feedback g = c dD/dx, status; each [P]. With c = 0 x equals y bit for bit.
    """
    cells = coefficients.shape[0]
    position = (y - y_first) / y_width
    cell = jnp.clip(position.astype(jnp.int32), 0, cells - 1)
    inside = (position >= 0.0) & (position <= cells)
    u = jnp.clip(position - cell, 0.0, 1.0)
    delta, slope = cubic(coefficients[cell], u)
    share = c * slope / y_width
    feedback = share / jnp.maximum(1.0 - share, 1e-12)
    return y - c * delta, delta, feedback, jnp.where(inside, STABLE, CAPPED)


def _first_at_least(
    values: Annotated[Array, Shape("2 nodes")], row: Paths, start: Paths, level: Paths
) -> Paths:
    """First index ≥ start where values[row] ≥ level; a row's length where there is none. Binary lifting."""
    length = values.shape[1]
    reaches = 2 ** jnp.arange(length.bit_length(), dtype=jnp.int32)

    def widen(peaks: Array, reach: Array) -> tuple[Array, Array]:
        """Peaks of twice the reach, from those of this one."""
        ahead = jnp.arange(length) + reach
        beyond = jnp.where(ahead < length, peaks[:, jnp.minimum(ahead, length - 1)], -jnp.inf)
        return jnp.maximum(peaks, beyond), peaks

    def leap(index: Paths, rung: tuple[Array, Array]) -> tuple[Paths, None]:
        peaks, reach = rung
        peak = peaks[row, jnp.minimum(index, length - 1)]
        return jnp.where((index < length) & (peak < level), index + reach, index), None

    _, ladder = jax.lax.scan(widen, values, reaches)
    index, _ = jax.lax.scan(leap, start, (ladder, reaches), reverse=True)
    return jnp.minimum(index, length)


def first_root(
    y: Paths, x_previous: Paths, nodes: Nodes, delta: Nodes, slope: Nodes, c: Array | float
) -> Cleared:
    """Clearing by search, for any book: the first root met on the way from the previous price.

    Args:
        y, x_previous: [P].
        nodes: [G] ascending; two equal nodes make a vertical piece of the map (a settled strike).
        delta, slope: D and dD/dx at the nodes, [G].
        c: λ S_ref.

    Returns:
        x, D, feedback, status; each [P].
    """
    last = nodes.shape[0] - 1
    level = nodes + c * delta
    width = jnp.diff(nodes)
    coefficients = hermite(delta[:-1], delta[1:], slope[:-1] * width, slope[1:] * width)
    home = jnp.clip(jnp.searchsorted(nodes, x_previous, side="right") - 1, 0, last - 1).astype(jnp.int32)
    u_home = (x_previous - nodes[home]) / jnp.where(width[home] == 0.0, 1.0, width[home])
    d_home, _ = cubic(coefficients[home], jnp.clip(u_home, 0.0, 1.0))
    rises = y > x_previous + c * d_home

    # Downwards is upwards in the mirror, so that one search serves both.
    found = _first_at_least(
        jnp.stack([level, -level[::-1]]),
        jnp.where(rises, 0, 1),
        jnp.where(rises, home + 1, last - home),
        jnp.where(rises, y, -y),
    )
    cell = jnp.clip(jnp.where(rises, found - 1, last - found), 0, last - 1)
    capped = found > last
    u_home = jnp.clip(u_home, 0.0, 1.0)
    low = jnp.where(rises & (cell == home), u_home, 0.0)
    high = jnp.where(~rises & (cell == home), u_home, 1.0)
    u = root_in_cell(y, nodes[cell], width[cell], coefficients[cell], c, low, high)
    d, d_slope = cubic(coefficients[cell], u)
    vertical = width[cell] == 0.0
    x = jnp.where(vertical, nodes[cell], y - c * d)
    d = jnp.where(vertical, (y - x) / jnp.where(c == 0.0, 1.0, c), d)

    folds = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(jnp.diff(level) < 0.0, dtype=jnp.int32)])
    crossed = jnp.where(rises, folds[cell] - folds[home], folds[home + 1] - folds[cell + 1]) > 0
    edge = jnp.where(rises, last, 0)
    x = jnp.where(capped, nodes[edge], x)
    d = jnp.where(capped, delta[edge], d)
    feedback = jnp.where(vertical | capped, 0.0, c * d_slope / jnp.where(vertical, 1.0, width[cell]))
    return x, d, feedback, jnp.where(capped, CAPPED, jnp.where(crossed, JUMP, STABLE))
