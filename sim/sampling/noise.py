"""Counter-based random numbers: one draw is a pure function of (seed, stream, path, step).

Philox4x32-10, Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3. The counter holds the path,
the step block and the stream, so that a path is the same whatever else is simulated beside it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.surfaces.arrays import Array
from gammawall.surfaces.pricing.normal import normal_from_bits

__all__ = ["FACTORS", "FUNDAMENTAL", "LEAD_IN", "normals", "philox4x32", "split_seed"]

FUNDAMENTAL = 0
"""Stream of the shocks that drive the fundamental price."""

LEAD_IN = 1
"""Stream of the bridge between the last step and a settlement."""

FACTORS = 16
"""Stream of the second factor of the fundamental price; further factors follow."""

_ROUNDS = 10
_MULTIPLIER = (np.uint32(0xD2511F53), np.uint32(0xCD9E8D57))
_WEYL = (np.uint32(0x9E3779B9), np.uint32(0xBB67AE85))


def split_seed(seed: int) -> np.ndarray:
    """A seed in [0, 2⁶⁴) as the two key words of the generator."""
    return np.array([seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF], dtype=np.uint32)


def _multiply(a: jax.Array, b: np.uint32) -> tuple[jax.Array, jax.Array]:
    """High and low word of a 32 × 32 bit product; needs 64-bit integers to be enabled."""
    wide = a.astype(jnp.uint64) * np.uint64(b)
    return (wide >> np.uint64(32)).astype(jnp.uint32), wide.astype(jnp.uint32)


def philox4x32(counter: tuple[jax.Array, ...], key: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
    """Four random words from a four-word counter and a two-word key, all uint32 of one shape."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        high0, low0 = _multiply(c0, _MULTIPLIER[0])
        high1, low1 = _multiply(c2, _MULTIPLIER[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + _WEYL[0], k1 + _WEYL[1]
    return c0, c1, c2, c3


def normals(seed: Array, stream: int, paths: Array, steps: int, section: Array | int = 0) -> jax.Array:
    """Standard normals of some paths, float32 [steps, paths].

    Args:
        seed: uint32 [2], from `split_seed`.
        stream: which independent sequence; static.
        paths: uint32 [P], path numbers.
        steps: how many per path; static. Step k comes from word k mod 4 of counter block k div 4.
        section: an independent part of the stream, < 2³².
    """
    blocks = jnp.arange(-(-steps // 4), dtype=jnp.uint32)[:, None]
    shape = (blocks.shape[0], paths.shape[0])
    counter = (
        jnp.broadcast_to(paths[None, :], shape),
        jnp.full(shape, section, jnp.uint32),
        jnp.broadcast_to(blocks, shape),
        jnp.full(shape, stream, jnp.uint32),
    )
    words = philox4x32(counter, (seed[0], seed[1]))
    # Written row by row: of words stacked, XLA works out all four for each (5.4 against 1.6 ns a number).
    z = jnp.zeros((shape[0], 4, shape[1]), jnp.float32)
    for i, word in enumerate(words):
        z = z.at[:, i].set(normal_from_bits(word))
    return z.reshape(-1, shape[1])[:steps]
