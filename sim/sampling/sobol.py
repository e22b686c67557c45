"""Scrambled Sobol points instead of random numbers, and the bridge that gives the first of them most to say.

The paths of a run are R independent randomisations of the first n = 2^m points of one sequence. The points of
each are exchanged for others by a random linear scramble and a digital shift, so that every single point is
uniform and every average unbiased; the spread between the R averages is the standard error.

Source: Matoušek (1998), On the L2-discrepancy for anchored boxes (the scramble); Caflisch, Morokoff and Owen
(1997), Valuation of mortgage-backed securities using Brownian bridges to reduce effective dimension.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.sim.types import TILE, SimConfig
from gammawall.surfaces.arrays import Array
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.pricing.normal import normal_from_bits

__all__ = ["Bridge", "SobolShocks", "brownian_bridge", "sobol_normals", "sobol_shocks"]

_BITS = 32
_LEAST_SHARE = 1e-12
"""A step of less than this share of the variance is bridged as one of this share; its move is nothing."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Bridge:
    """Brownian motion at N instants built from the last one inwards: W_at = left W_before + right W_after +
    std z, one row per normal, [N]; instant 0 is the start."""

    at: Array
    before: Array
    after: Array
    left: Array
    right: Array
    std: Array
    scale: Array
    """1/√(step), [N]"""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SobolShocks:
    """What the points of a run are made of."""

    directions: Array
    """scrambled direction numbers, uint32 [R, N·F, m]"""
    shift: Array
    """uint32 [R, N·F]"""
    bridge: Bridge


def brownian_bridge(variance: np.ndarray) -> Bridge:
    """The bridge over steps of these variances: the widest gaps first, each split near its middle."""
    steps = np.maximum(variance, _LEAST_SHARE * variance.sum())
    time = np.concatenate([[0.0], np.cumsum(steps)])
    last = steps.size
    rows = [(last, 0, 0, 0.0, 0.0, np.sqrt(time[last]))]
    gaps = [(0, last)]
    for low, high in gaps:
        if high - low < 2:
            continue
        middle = int(np.searchsorted(time, 0.5 * (time[low] + time[high])))
        middle = min(max(middle, low + 1), high - 1)
        right = (time[middle] - time[low]) / (time[high] - time[low])
        std = np.sqrt(right * (time[high] - time[middle]))
        rows.append((middle, low, high, 1.0 - right, right, std))
        gaps += [(low, middle), (middle, high)]
    at, before, after = (np.array([row[i] for row in rows], np.int32) for i in range(3))
    left, right, std = (np.array([row[i] for row in rows]) for i in range(3, 6))
    return Bridge(at, before, after, left, right, std, 1.0 / np.sqrt(np.diff(time)))


def sobol_shocks(seed: int, config: SimConfig, factors: int, variance: np.ndarray) -> SobolShocks:
    """Draw the randomisations of a run.

    Args:
        seed: of the run.
        config: `paths` and `replicates`.
        factors: normals that a step takes.
        variance: of each step, for the bridge, [N].

    Raises:
        InputError: more dimensions than the sequence has.
    """
    from scipy.stats import qmc

    dimensions = variance.size * factors
    if dimensions > qmc.Sobol.MAXDIM:
        raise InputError(
            f'sampling "sobol" has {qmc.Sobol.MAXDIM} dimensions and these {variance.size} steps of '
            f'{factors} normals need {dimensions}; take fewer steps, or sampling "random"'
        )
    points = (config.paths // config.replicates).bit_length() - 1
    plain = _directions(dimensions, points)
    random = np.random.Generator(np.random.Philox(key=seed))
    shape = (config.replicates, dimensions)
    directions = np.stack([_scramble(plain, random) for _ in range(config.replicates)])
    shift = random.integers(0, 2**_BITS, shape, dtype=np.uint32)
    return SobolShocks(directions, shift, brownian_bridge(variance))


@functools.lru_cache(maxsize=4)
def _directions(dimensions: int, points: int) -> np.ndarray:
    """Direction numbers of scipy's sequence, read from its points: V_b = x(2^b) ⊕ V_{b−1}; [D, m]."""
    from scipy.stats import qmc

    columns, before = [], np.zeros(dimensions, np.uint32)
    for b in range(points):
        sequence = qmc.Sobol(dimensions, scramble=False, bits=_BITS)
        point = np.asarray(sequence.fast_forward(2**b).random(1))[0]
        before = (point * 2.0**_BITS).astype(np.uint32) ^ before
        columns.append(before)
    return np.stack(columns, axis=1)


def _scramble(directions: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Each bit becomes itself plus a random choice of the bits above it, modulo 2."""
    place = np.arange(_BITS - 1, -1, -1, dtype=np.uint64)
    own = np.uint64(1) << place
    higher = (np.uint64(2**_BITS) - (own << np.uint64(1))).astype(np.uint32)
    masks = random.integers(0, 2**_BITS, (directions.shape[0], _BITS), dtype=np.uint32) & higher
    masks |= own.astype(np.uint32)
    out = np.zeros_like(directions)
    for i in range(_BITS):
        parity = np.bitwise_count(masks[:, i, None] & directions).astype(np.uint32) & np.uint32(1)
        out |= parity << np.uint32(place[i])
    return out


def sobol_normals(shocks: SobolShocks, paths: Array, factors: int) -> Any:
    """Standard normals of some paths, float64 [N, factors, P].

    Args:
        shocks: of the run.
        paths: uint32 [P], path numbers, a whole number of tiles; those of a tile belong together.
        factors: normals that a step takes.
    """
    replicates, dimensions, points = shocks.directions.shape
    tiles = paths.reshape(-1, TILE)
    # Calls are whole: paths beyond the last of the run repeat its last randomisation.
    mine = jnp.minimum(tiles[:, 0] >> np.uint32(points), np.uint32(replicates - 1))
    index = tiles & np.uint32(2**points - 1)
    gray = index ^ (index >> np.uint32(1))
    directions = jnp.moveaxis(shocks.directions[mine], 0, 1)
    bits = jnp.broadcast_to(shocks.shift[mine].T[:, :, None], (dimensions, *tiles.shape))
    for b in range(points):
        chosen = (gray >> np.uint32(b)) & np.uint32(1)
        bits = bits ^ (directions[:, :, b, None] * chosen)
    z = normal_from_bits(bits).astype(jnp.float64).reshape(-1, factors, paths.shape[0])
    return _bridged(shocks.bridge, z)


def _bridged(bridge: Bridge, z: Array) -> Array:
    """Increments of the Brownian motion over the root of their variance: standard normals, [N, ...]."""
    walk = jnp.zeros((z.shape[0] + 1, *z.shape[1:]))

    def fill(walk: jax.Array, row: tuple[Array, ...]) -> tuple[jax.Array, None]:
        at, before, after, left, right, std, shock = row
        return walk.at[at].set(left * walk[before] + right * walk[after] + std * shock), None

    rows = (bridge.at, bridge.before, bridge.after, bridge.left, bridge.right, bridge.std, z)
    walk, _ = jax.lax.scan(fill, walk, rows)
    return (walk[1:] - walk[:-1]) * bridge.scale[:, None, None]
