from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gammawall.surfaces.errors import InputError
from gammawall.surfaces.vol_surfaces.svi import (
    SviSurface,
    TotalVariance,
    durrleman,
    raw_svi,
    svi_free,
    svi_parameters,
)
from tests.helpers.synthetic import black

SLICE = (0.01, 0.12, -0.55, 0.04, 0.11)


def surface(count: int = 4) -> SviSurface:
    years = np.array([0.003, 0.1, 0.45, 1.7])[:count]
    return SviSurface(
        years,
        6000.0 * np.exp(0.03 * years),
        0.3 * 0.04 * years,
        0.3 * 0.2 * np.sqrt(years),
        np.linspace(-0.6, -0.4, 4)[:count],
        0.1 * 0.2 * np.sqrt(years),
        0.8 * 0.2 * np.sqrt(years),
    )


def ad_derivatives(shape, k, t):
    """w and its derivatives by automatic differentiation of `total_variance` alone."""
    with jax.enable_x64(True):
        k, t = jnp.asarray(k, jnp.float64), jnp.asarray(t, jnp.float64)

        def w(k, t):
            return shape.total_variance(k, t)

        by_k, by_t = jax.grad(w, 0), jax.grad(w, 1)
        parts = (w, by_k, jax.grad(by_k, 0), by_t)
        return jax.tree.map(np.asarray, jax.jit(jax.vmap(lambda k, t: [part(k, t) for part in parts]))(k, t))


def random_points(shape, count: int = 400, seed: int = 3):
    """Points out to twelve standard deviations, from before the first expiry to beyond the last."""
    random = np.random.default_rng(seed)
    years = np.asarray(shape.years)
    t = np.exp(random.uniform(np.log(0.1 * years[0]), np.log(2.0 * years[-1]), count))
    spread = np.sqrt(shape.total_variance(np.zeros(count), t))
    return random.uniform(-12.0, 12.0, count) * spread, t


def assert_matches_ad(shape):
    k, t = random_points(shape)
    closed, scale = shape.derivatives(k, t), np.sqrt(shape.total_variance(np.zeros_like(t), t))
    # Each relative to its own scale: w, w/s, w/s², w/T.
    units = (1.0, scale, scale**2, t)
    for name, got, expected, unit in zip(
        TotalVariance._fields, closed, ad_derivatives(shape, k, t), units, strict=True
    ):
        error = np.abs(got - expected) * unit / closed.value
        assert error.max() < 1e-10, f"{name}: {error.max():.2e}"


def test_derivatives_match_autodiff_inside_between_and_beyond_the_expiries():
    assert_matches_ad(surface())
    assert_matches_ad(surface(1))


def test_a_slice_is_its_formula():
    a, b, rho, m, sigma = SLICE
    k = np.linspace(-1.0, 1.0, 9)
    with jax.enable_x64(True):
        got = raw_svi(jnp.asarray(k), *SLICE)
    expected = a + b * (rho * (k - m) + np.sqrt((k - m) ** 2 + sigma**2))
    np.testing.assert_allclose(got.value, expected, rtol=1e-15)


def test_durrleman_is_the_density_of_black_prices():
    # ∂²C/∂K² = φ(d₂) g / (K √w), by differences of Black prices on the smile.
    k, step = np.linspace(-0.5, 0.4, 10), 1e-3
    with jax.enable_x64(True):
        w = jax.tree.map(np.asarray, raw_svi(jnp.asarray(k), *SLICE))
        strike = np.exp(k)
        price = []
        for shift in (-step, 0.0, step):
            here = strike + shift
            deviation = np.sqrt(np.asarray(raw_svi(jnp.log(jnp.asarray(here)), *SLICE).value))
            price.append(black(np.ones(10), here, deviation, np.ones(10), np.ones(10, bool))[0])
    density = (price[0] - 2.0 * price[1] + price[2]) / step**2
    d2 = -k / np.sqrt(w.value) - 0.5 * np.sqrt(w.value)
    expected = np.exp(-0.5 * d2**2) / np.sqrt(2.0 * np.pi) * durrleman(k, w) / (strike * np.sqrt(w.value))
    np.testing.assert_allclose(density, expected, rtol=2e-3, atol=1e-4)


def test_slices_are_met_at_the_expiries_and_variance_is_linear_between():
    shape, k = surface(), np.linspace(-0.3, 0.3, 7)
    at = [shape.total_variance(k, t) for t in shape.years]
    fields = [np.asarray(getattr(shape, f.name))[2] for f in dataclasses.fields(shape)][2:]
    with jax.enable_x64(True):
        np.testing.assert_allclose(at[2], raw_svi(jnp.asarray(k), *fields).value, rtol=1e-14)
    middle = 0.5 * (shape.years[1] + shape.years[2])
    np.testing.assert_allclose(shape.total_variance(k, middle), 0.5 * (at[1] + at[2]), rtol=1e-13)


def test_the_smile_keeps_its_shape_in_standard_deviations_before_the_first_expiry():
    shape, k = surface(), np.linspace(-0.02, 0.02, 5)
    first = shape.years[0]
    np.testing.assert_allclose(
        shape.total_variance(k * 0.5, 0.25 * first) / (0.25 * first),
        shape.total_variance(k, first) / first,
        rtol=1e-13,
    )


def test_vol_and_forward_of_strikes():
    shape = surface()
    assert shape.forward(0.1) == pytest.approx(shape.forwards[1], rel=1e-14)
    assert shape.forward(0.2) == pytest.approx(6000.0 * np.exp(0.03 * 0.2), rel=1e-13)
    assert shape.forward(3.0) == pytest.approx(6000.0 * np.exp(0.03 * 3.0), rel=1e-13)
    strike = np.array([5000.0, 6000.0, 7000.0])
    k = np.log(strike / shape.forward(0.2))
    np.testing.assert_allclose(shape.vol(strike, 0.2), np.sqrt(shape.total_variance(k, 0.2) / 0.2))
    moved = shape.vol(strike * 1.01, 0.2, shape.forward(0.2) * 1.01)
    np.testing.assert_allclose(moved, shape.vol(strike, 0.2), rtol=1e-12)


@settings(deadline=None, max_examples=100)
@given(
    free=st.lists(st.floats(-4.0, 4.0), min_size=5, max_size=5),
    spread=st.floats(1e-3, 0.5),
)
def test_any_five_numbers_give_positive_variance_and_lees_bound(free, spread):
    with jax.enable_x64(True):
        a, b, rho, _, sigma = (
            float(v) for v in svi_parameters(jnp.asarray(free, jnp.float64), jnp.asarray(spread, jnp.float64))
        )
    assert b * (1.0 + abs(rho)) <= 2.0
    assert a + b * sigma * np.sqrt(1.0 - rho**2) > 0.0


def test_free_numbers_of_a_slice_give_it_back():
    spread = np.array([0.1, 0.2])
    columns = [np.full(2, v) for v in SLICE]
    with jax.enable_x64(True):
        back = svi_parameters(jnp.asarray(svi_free(spread, *columns)).T, jnp.asarray(spread))
    for got, expected in zip(back, columns, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-10)


def test_float64_outside_and_no_recompile_when_numbers_change():
    shape = surface()
    assert shape.total_variance(0.1, 0.2).dtype == np.float64
    count = SviSurface._kernel._cache_size()
    other = dataclasses.replace(shape, a=np.asarray(shape.a) * 1.1)
    assert other.total_variance(0.3, 0.4) != shape.total_variance(0.3, 0.4)
    assert SviSurface._kernel._cache_size() == count


@pytest.mark.parametrize("years", [[0.1, 0.1], [0.0, 0.1], [0.2, 0.1], [0.1, 0.2, 0.3]])
def test_bad_expiries_are_refused(years):
    with pytest.raises(InputError, match="expir"):
        SviSurface(years, *([np.ones(2)] * 6))


def test_time_zero_is_refused():
    with pytest.raises(InputError, match="above 0"):
        surface().total_variance(0.0, 0.0)
