"""Bachelier price and greeks against mpmath's own derivatives of the price."""

from __future__ import annotations

import functools

import jax
import mpmath as mp
import numpy as np
import pytest

from gammawall.surfaces.errors import InputError
from gammawall.surfaces.pricing.bachelier import bachelier_greeks, bachelier_price

ORDERS = {
    "price": (0, 0, 0, 0, 0), "delta": (1, 0, 0, 0, 0), "gamma": (2, 0, 0, 0, 0), "vega": (0, 0, 0, 1, 0),
    "theta": (0, 0, 1, 0, 0), "rho": (0, 0, 0, 0, 1), "vanna": (1, 0, 0, 1, 0), "volga": (0, 0, 0, 2, 0),
    "charm": (1, 0, 1, 0, 0), "veta": (0, 0, 1, 1, 0), "dual_delta": (0, 1, 0, 0, 0),
    "dual_gamma": (0, 2, 0, 0, 0), "speed": (3, 0, 0, 0, 0), "zomma": (2, 0, 0, 1, 0),
    "color": (2, 0, 1, 0, 0), "ultima": (0, 0, 0, 3, 0),
}  # fmt: skip
"""Order of differentiation in (F, K, T, σ, r)."""


def oracle(f, k, t, v, r, sign):
    s = v * mp.sqrt(t)
    d = (f - k) / s
    return mp.exp(-r * t) * (sign * (f - k) * mp.ncdf(sign * d) + s * mp.npdf(d))


@pytest.mark.parametrize("sign", [1, -1])
def test_every_greek_is_the_derivative_of_the_price(sign):
    rng = np.random.default_rng(11)
    with mp.workdps(60):
        for _ in range(20):
            t, v, r = rng.uniform(0.002, 3.0), rng.uniform(5.0, 900.0), rng.uniform(-0.02, 0.08)
            f = rng.uniform(-100.0, 7000.0)
            k = f + rng.uniform(-6.0, 6.0) * v * np.sqrt(t)
            greeks = bachelier_greeks(f, k, t, v, r, is_call=sign > 0)
            at = tuple(mp.mpf(float(x)) for x in (f, k, t, v, r))
            for name, orders in ORDERS.items():
                want = mp.diff(lambda *x: oracle(*x, sign), at, orders, h=mp.mpf(10) ** -14)
                want = -want if orders[2] else want
                got = float(getattr(greeks, name))
                s = v * np.sqrt(t)
                size = (
                    abs(float(greeks.gamma))
                    * s ** (2 - orders[0] - orders[1])
                    / (t ** orders[2] * v ** orders[3])
                )
                scale = abs(float(want)) + 1e-3 * size
                assert abs(got - float(want)) <= 1e-12 * scale, (name, f, k, t, v, r, got, float(want))


def test_far_strikes_keep_their_digits():
    # 1 − d √(π/2) erfcx(d/√2) ≈ 1/d²: erfcx is good to 6e-16 and two roundings join it.
    with mp.workdps(60):
        for d in (0.5, 3.0, 8.0, 20.0, 36.0):
            want = oracle(mp.mpf(0), mp.mpf(d), mp.mpf(1), mp.mpf(1), mp.mpf(0), 1)
            assert abs(bachelier_price(0.0, d, 1.0, 1.0) / float(want) - 1.0) <= 1e-15 * (5.0 + d * d)


def test_expired_and_zero_vol_options_settle():
    for t, v in ((0.0, 10.0), (1.0, 0.0), (-1.0, 10.0)):
        greeks = bachelier_greeks([101.0, 99.0, 100.0], 100.0, t, v)
        np.testing.assert_array_equal(greeks.price, [1.0, 0.0, 0.0])
        np.testing.assert_array_equal(greeks.delta, [1.0, 0.0, 0.5])
        np.testing.assert_array_equal(greeks.dual_delta, [-1.0, -0.0, -0.5])
        assert all(
            not np.any(g) for name, g in vars(greeks).items() if name not in ("price", "delta", "dual_delta")
        )


def test_parity_and_gradient():
    f, k = np.array([90.0, 100.0, 130.0]), 105.0
    call, put = (bachelier_price(f, k, 0.5, 12.0, 0.03, is_call=c) for c in (True, False))
    np.testing.assert_allclose(call - put, np.exp(-0.015) * (f - k), rtol=1e-13)
    with jax.enable_x64(True):
        slope = jax.grad(bachelier_price)(90.0, k, 0.5, 12.0, 0.03)
    assert abs(slope - bachelier_greeks(90.0, k, 0.5, 12.0, 0.03).delta) < 1e-12


@pytest.mark.parametrize("is_call", [True, False])
def test_gradients_are_the_greeks(is_call):
    """In forward, strike, time, vol and rate; time is not a year, so that vol and total vol differ."""
    point = (90.0, 95.0, 0.3, 12.0, 0.03)
    with jax.enable_x64(True):
        slopes = jax.grad(lambda *v: bachelier_price(*v, is_call=is_call), argnums=range(5))(*point)
        own = bachelier_greeks(*point, is_call=is_call)
    expected = (own.delta, own.dual_delta, -own.theta, own.vega, own.rho)
    assert [float(x) for x in slopes] == pytest.approx([float(x) for x in expected], rel=1e-13)


def test_gradient_at_the_strike_keeps_its_kink():
    with jax.enable_x64(True):
        for is_call, delta in ((True, 0.5), (False, -0.5)):
            price = functools.partial(bachelier_price, strike=100.0, expiry=1.0, vol=10.0, is_call=is_call)
            assert abs(jax.grad(price)(100.0) - delta) < 1e-14
            assert (
                abs(jax.grad(jax.grad(price))(100.0) - bachelier_greeks(100.0, 100.0, 1.0, 10.0).gamma)
                < 1e-14
            )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("is_call", -1),
        ("is_call", "put"),
        ("vol", -1.0),
        ("forward", np.nan),
        ("expiry", np.inf),
    ],
)
def test_bad_values_are_named(name, value):
    arguments = {"forward": 1.0, "strike": 1.0, "expiry": 1.0, "vol": 1.0} | {name: value}
    with pytest.raises(InputError, match=name):
        bachelier_greeks(**arguments)
