"""The random numbers: known answers, distribution, independence, one draw per (seed, stream, path, step)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtr

from gammawall.sim.sampling.noise import FUNDAMENTAL, LEAD_IN, philox4x32, split_seed
from tests.helpers.sim_runs import draw

Z_LIMIT = 4.5
PATHS, STEPS = 4096, 256


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    return draw(11, FUNDAMENTAL, np.arange(PATHS), STEPS).astype(np.float64)


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        (("00000000",) * 4, ("00000000",) * 2, ("6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8")),
        (("ffffffff",) * 4, ("ffffffff",) * 2, ("408f276d", "41c83b0e", "a20bc7c6", "6d5451fd")),
        (
            ("243f6a88", "85a308d3", "13198a2e", "03707344"),
            ("a4093822", "299f31d0"),
            ("d16cfe09", "94fdcceb", "5001e420", "24126ea1"),
        ),
    ],
)
def test_philox_gives_the_published_words(
    counter: tuple[str, ...], key: tuple[str, str], answer: tuple[str, ...]
) -> None:
    """Known-answer vectors of the authors' Random123."""
    with jax.enable_x64(True):
        words = philox4x32(
            tuple(jnp.uint32(int(c, 16)) for c in counter),
            (jnp.uint32(int(key[0], 16)), jnp.uint32(int(key[1], 16))),
        )
    assert [f"{int(w):08x}" for w in words] == list(answer)


@pytest.mark.parametrize(
    ("power", "mean", "variance"), [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (5, 0, 945), (6, 15, 10170)]
)
def test_moments_to_the_sixth(sample: np.ndarray, power: int, mean: float, variance: float) -> None:
    z = ((sample**power).mean() - mean) / np.sqrt(variance / sample.size)
    assert abs(z) < Z_LIMIT


def test_a_variance_one_per_cent_too_large_would_be_seen(sample: np.ndarray) -> None:
    wide = sample * np.sqrt(1.01)
    assert abs((wide**2).mean() - 1.0) / np.sqrt(2.0 / sample.size) > Z_LIMIT


def test_shape_of_the_distribution(sample: np.ndarray) -> None:
    counts = np.histogram(ndtr(sample.ravel()), bins=256, range=(0.0, 1.0))[0]
    expected = sample.size / 256
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi2 - 255.0) / np.sqrt(2.0 * 255.0) < Z_LIMIT


@pytest.mark.parametrize("bound", [1.0, 2.0, 3.0, 4.0, 4.5])
def test_tails(sample: np.ndarray, bound: float) -> None:
    p = ndtr(-bound)
    for side in (sample > bound, sample < -bound):
        assert abs(side.sum() - p * sample.size) / np.sqrt(p * (1 - p) * sample.size) < Z_LIMIT


def correlation_z(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.sqrt(a.size))


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 5, 8])
def test_no_serial_or_cross_path_correlation(sample: np.ndarray, lag: int) -> None:
    squares = (sample**2 - 1.0) / np.sqrt(2.0)
    for values in (sample, squares):
        assert abs(correlation_z(values[lag:], values[:-lag])) < Z_LIMIT
        assert abs(correlation_z(values[:, lag:], values[:, :-lag])) < Z_LIMIT


def test_streams_and_seeds_are_unrelated(sample: np.ndarray) -> None:
    others = [
        draw(11, LEAD_IN, np.arange(PATHS), STEPS),
        draw(12, FUNDAMENTAL, np.arange(PATHS), STEPS),
        draw(11 + 2**32, FUNDAMENTAL, np.arange(PATHS), STEPS),
    ]
    for other in others:
        assert not np.array_equal(other, sample)
        assert abs(correlation_z(sample, other)) < Z_LIMIT
        assert np.mean(other == sample) < 1e-5


def test_a_path_is_the_same_whatever_is_drawn_beside_it(sample: np.ndarray) -> None:
    assert np.array_equal(draw(11, FUNDAMENTAL, [17], STEPS)[:, 0], sample[:, 17])
    assert np.array_equal(draw(11, FUNDAMENTAL, np.arange(1000, 1100), STEPS), sample[:, 1000:1100])
    assert np.array_equal(draw(11, FUNDAMENTAL, np.arange(PATHS), 39), sample[:39])


def test_no_word_is_used_twice() -> None:
    values = draw(3, FUNDAMENTAL, np.arange(64), 64).ravel()
    assert np.unique(values).size == values.size


def test_the_last_path_number_is_legal() -> None:
    last = draw(11, FUNDAMENTAL, [2**32 - 1], 8)
    assert np.isfinite(last).all()
    assert not np.array_equal(last[:, 0], draw(11, FUNDAMENTAL, [0], 8)[:, 0])


def test_seeds_keep_all_their_bits() -> None:
    assert split_seed(2**64 - 1).tolist() == [0xFFFFFFFF, 0xFFFFFFFF]
    assert split_seed(0x0123456789ABCDEF).tolist() == [0x89ABCDEF, 0x01234567]
