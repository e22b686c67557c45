"""The normal distribution functions and the normalised price, against mpmath at 50 digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from scipy.special import ndtri

from gammawall.surfaces.pricing.normal import erfcx, norm_cdf, norm_pdf, normal_from_bits
from gammawall.surfaces.pricing.normalised import normalised_black_pair

EPS = {np.float64: 2.0**-52, np.float32: 2.0**-23}
DTYPES = [np.float64, np.float32]
GRID_EDGES = [0.0, -0.0, 9.2, 9.3, 9.41, 26.54, 26.55, 26.6, 26.63, 26.65]  # where exp(x²)erfc(x) breaks down


@pytest.fixture(autouse=True)
def fifty_digits() -> Any:
    with mp.workdps(50):
        yield


def mp_erfcx(x: float) -> Any:
    z = mp.mpf(x)
    if z < 100:
        return mp.exp(z * z) * mp.erfc(z)
    return mp.hyperu(mp.mpf(1) / 2, mp.mpf(1) / 2, z * z) / mp.sqrt(mp.pi)


def mp_cdf(x: Any) -> Any:
    return mp.erfc(-mp.mpf(x) / mp.sqrt(2)) / 2


def mp_normalised(x: Any, s: Any) -> Any:
    h, t = mp.mpf(x) / mp.mpf(s), mp.mpf(s) / 2
    return mp.exp(mp.mpf(x) / 2) * mp_cdf(h + t) - mp.exp(-mp.mpf(x) / 2) * mp_cdf(h - t)


def evaluate(function: Callable[..., Any], dtype: Any, *arrays: np.ndarray) -> np.ndarray:
    """The jitted function at a precision; checks that the result has that precision."""
    with jax.enable_x64(dtype == np.float64):
        out = np.asarray(jax.jit(function)(*arrays))
    assert out.dtype == dtype
    return out


def worst(got: np.ndarray, reference: list[Any]) -> float:
    return max(abs(float((mp.mpf(float(g)) - r) / r)) for g, r in zip(got.ravel(), reference, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_erfcx_is_right_everywhere(dtype: Any) -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.uniform(-5, 30, 800), 10 ** rng.uniform(-8, 8, 300), GRID_EDGES]).astype(dtype)
    assert worst(evaluate(erfcx, dtype, x), [mp_erfcx(float(v)) for v in x]) < 6 * EPS[dtype]


def test_erfcx_slope_does_not_cancel() -> None:
    x = np.concatenate([np.linspace(-4, 30, 200), 10.0 ** np.arange(2, 9)])
    slope = evaluate(jax.vmap(jax.grad(erfcx)), np.float64, x)
    reference = [2 * mp.mpf(v) * mp_erfcx(v) - 2 / mp.sqrt(mp.pi) for v in x]
    assert worst(slope, reference) < 2e-14


def test_erfcx_limits() -> None:
    out = evaluate(erfcx, np.float64, np.array([np.inf, -30.0, -np.inf, np.nan]))
    np.testing.assert_array_equal(out, [0.0, np.inf, np.inf, np.nan])


@pytest.mark.parametrize(("dtype", "low"), [(np.float64, -37.4), (np.float32, -12.9)])
def test_cdf_and_pdf_keep_relative_accuracy_in_the_tail(dtype: Any, low: float) -> None:
    x = np.random.default_rng(2).uniform(low, 9, 1000).astype(dtype)
    assert worst(evaluate(norm_cdf, dtype, x), [mp_cdf(float(v)) for v in x]) < 6 * EPS[dtype]
    assert worst(evaluate(norm_pdf, dtype, x), [mp.npdf(float(v)) for v in x]) < 4 * EPS[dtype]


def test_cdf_and_pdf_derivatives() -> None:
    x = np.linspace(-30, 8, 77)
    density = [mp.npdf(v) for v in x]
    first = evaluate(jax.vmap(jax.grad(norm_cdf)), np.float64, x)
    second = evaluate(jax.vmap(jax.grad(jax.grad(norm_cdf))), np.float64, x[x != 0])
    assert worst(first, density) < 1e-15
    assert worst(second, [-mp.mpf(v) * mp.npdf(v) for v in x if v != 0]) < 2e-15


def test_cdf_and_pdf_limits() -> None:
    ends = np.array([-np.inf, 0.0, np.inf, np.nan])
    np.testing.assert_allclose(evaluate(norm_cdf, np.float64, ends), [0, 0.5, 1, np.nan], rtol=4e-16)
    np.testing.assert_array_equal(evaluate(norm_pdf, np.float64, ends)[[0, 2, 3]], [0, 0, np.nan])
    np.testing.assert_array_equal(
        evaluate(jax.vmap(jax.grad(norm_pdf)), np.float64, ends)[[0, 2]], [0.0, 0.0]
    )


@pytest.fixture(scope="module")
def bits() -> np.ndarray:
    ends = np.arange(3000)
    rng = np.random.default_rng(4)
    parts = [ends, 2**32 - 1 - ends, 2**31 + ends, 2**31 - 1 - ends, 2 ** np.arange(32)]
    return np.concatenate([*parts, rng.integers(0, 2**32, 200_000)]).astype(np.uint32)


def test_normal_from_bits_is_the_inverse_cdf(bits: np.ndarray) -> None:
    z = np.asarray(jax.jit(normal_from_bits)(jnp.asarray(bits)))
    assert z.dtype == np.float32
    lower = bits < 2**31
    tail = (np.where(lower, bits, ~bits).astype(np.float64) + 0.5) / 2**32
    # Near the median ndtri of p would cancel: there the reference is the odd series in the distance to ½.
    distance = np.sqrt(2 * np.pi) * (0.5 - tail)
    series = distance + distance**3 / 6 + 7 * distance**5 / 120
    reference = np.where(distance < 1e-2, series, -ndtri(tail)) * np.where(lower, -1, 1)
    error = np.abs(z / reference - 1)
    assert error.max() < 1e-6
    assert z.max() > 6.3
    assert z.min() < -6.3


def test_normal_from_bits_is_antisymmetric_bit_for_bit(bits: np.ndarray) -> None:
    z = np.asarray(normal_from_bits(jnp.asarray(bits)))
    np.testing.assert_array_equal(np.asarray(normal_from_bits(jnp.asarray(~bits))), -z)


def test_normal_from_bits_has_the_moments_of_a_normal() -> None:
    # Midpoints of 2^20 equal cells: deterministic, so the tolerance is the quadrature's and not a sample's.
    middle = (np.arange(2**20, dtype=np.uint64) * 2**12 + 2**11).astype(np.uint32)
    z = np.asarray(normal_from_bits(jnp.asarray(middle))).astype(np.float64)
    for power, moment, error in [(2, 1.0, 2e-5), (4, 3.0, 2e-4), (6, 15.0, 2e-3)]:
        assert np.mean(z**power) == pytest.approx(moment, rel=error)


@pytest.mark.parametrize(
    ("dtype", "reach", "bound"),
    [(np.float64, 8.0, 2e-14), (np.float64, 37.0, 3e-13), (np.float32, 6.0, 6e-6)],
)
def test_normalised_black(dtype: Any, reach: float, bound: float) -> None:
    rng = np.random.default_rng(5)
    s = 10 ** rng.uniform(-5.5, 1, 1500)
    x = -s * rng.uniform(0, reach, 1500) * rng.choice([1.0, 0.1, 0.001, 0.0], 1500)
    keep = x / s - s / 2 > -reach
    x, s = x[keep].astype(dtype), s[keep].astype(dtype)
    assert keep.sum() > 800
    reference = [mp_normalised(float(a), float(b)) for a, b in zip(x, s, strict=True)]
    assert worst(evaluate(lambda a, b: normalised_black_pair(a, b)[0], dtype, x, s), reference) < bound


def test_distance_to_the_bound_does_not_cancel() -> None:
    s = np.linspace(3, 14, 40)
    x = -np.linspace(0, 2, 40)
    rest = evaluate(lambda a, b: normalised_black_pair(a, b)[1], np.float64, x, s)
    with mp.workdps(80):
        reference = [mp.exp(mp.mpf(a) / 2) - mp_normalised(a, b) for a, b in zip(x, s, strict=True)]
    assert worst(rest, reference) < 2e-14
