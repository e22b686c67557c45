from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.surfaces.vol_surfaces.essvi import EssviSurface
from gammawall.surfaces.vol_surfaces.local_vol import local_variance, local_vol
from gammawall.surfaces.vol_surfaces.svi import SviSurface
from tests.helpers.synthetic import black
from tests.surfaces.vol_surfaces.test_arbitrage import VOGT
from tests.surfaces.vol_surfaces.test_essvi import surface

YEARS = np.array([0.02, 0.25, 1.0, 2.0])


def without_smile(theta: np.ndarray) -> EssviSurface:
    return EssviSurface(YEARS, 100.0 * np.exp(0.02 * YEARS), theta, np.full(4, -0.5), np.zeros(4))


def test_local_vol_of_a_flat_surface_is_flat():
    strike, t = np.linspace(60.0, 170.0, 7), np.array([[0.001], [0.02], [0.1], [1.0], [1.7], [4.0]])
    np.testing.assert_allclose(local_vol(without_smile(0.04 * YEARS), strike, t), 0.2, rtol=1e-12)


def test_without_a_smile_it_is_the_forward_variance_of_each_interval():
    theta = np.array([0.001, 0.008, 0.05, 0.07])
    rates = np.diff(theta) / np.diff(YEARS)
    t = np.array([0.01, 0.1, 0.6, 1.5, 3.0])
    expected = np.array([theta[0] / YEARS[0], *rates, theta[-1] / YEARS[-1]])
    np.testing.assert_allclose(
        local_variance(without_smile(theta), np.array([[-0.3], [0.2]]), t), np.stack([expected] * 2)
    )


def test_it_is_dupires_ratio_of_derivatives_of_prices():
    # 2 ∂_T C / (K² ∂_KK C) of undiscounted calls at fixed moneyness, by differences.
    rho, psi = np.array([-0.6, -0.6, -0.55, -0.5]), 0.8 * np.sqrt(0.04 * YEARS)
    shape, t, step = EssviSurface(YEARS, np.ones(4), 0.04 * YEARS, rho, psi), 0.4, 1e-4
    strike = np.exp(np.linspace(-0.3, 0.2, 11))
    calls, unit = np.ones(11, bool), np.ones(11)

    def price(strike, t):
        return black(unit, strike, np.sqrt(shape.total_variance(np.log(strike), t)), unit, calls)[0]

    by_t = (price(strike, t + step) - price(strike, t - step)) / (2.0 * step)
    by_kk = (price(strike + step, t) - 2.0 * price(strike, t) + price(strike - step, t)) / step**2
    np.testing.assert_allclose(
        local_variance(shape, np.log(strike), t), 2.0 * by_t / (strike**2 * by_kk), rtol=1e-4
    )


def test_it_is_positive_everywhere_on_an_arbitrage_free_surface():
    shape = surface(2)
    t = np.geomspace(0.1 * shape.years[0], 2.0 * shape.years[-1], 40)[:, None]
    k = np.linspace(-10.0, 10.0, 81) * np.sqrt(shape.total_variance(0.0, t))
    assert (local_variance(shape, k, t) > 0.0).all()


def test_it_is_nan_exactly_where_there_is_arbitrage():
    columns = [np.array([VOGT[n]]) for n in ("a", "b", "rho", "m", "sigma")]
    shape = SviSurface(np.ones(1), np.ones(1), *columns)
    assert np.isnan(local_variance(shape, 0.8, 1.0))
    assert local_variance(shape, 0.0, 1.0) > 0.0


def test_under_jit_vmap_and_grad():
    shape = surface(2)
    with jax.enable_x64(True):
        strike = jnp.asarray([5900.0, 6000.0, 6100.0])
        t = jnp.asarray(0.2)
        plain = jnp.asarray(local_vol(shape, strike, t))
        mapped = jax.jit(jax.vmap(lambda s: local_vol(shape, s, t)))(strike)
        slope = jax.grad(lambda s: local_vol(shape, s, t))(strike[1])
        step = 0.5
        difference = (local_vol(shape, 6000.0 + step, 0.2) - local_vol(shape, 6000.0 - step, 0.2)) / (
            2.0 * step
        )
    np.testing.assert_allclose(plain, mapped, rtol=1e-12)
    np.testing.assert_allclose(slope, difference, rtol=1e-5)
