"""Implied vol against prices computed at 50 digits, its derivatives, and a reason for every missing vol."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gammawall.surfaces.errors import InputError, NumericalError
from gammawall.surfaces.pricing.implied import ImpliedStatus, implied_vol
from tests.helpers.vol_points import EPS, MINUTE, mp_price, mp_vega, priced, sample

ACCURACY = 1e-13
FLOORS = 4.0  # multiples of the conditioning floor ε·price/(σ·vega)
S = ImpliedStatus


@pytest.fixture(autouse=True)
def fifty_digits() -> Any:
    with mp.workdps(50):
        yield


def inverted(prices: np.ndarray, contracts: dict[str, np.ndarray]) -> Any:
    c = contracts
    return implied_vol(prices, c["forward"], c["strike"], c["expiry"], c["rate"], is_call=c["is_call"])


@pytest.mark.parametrize(
    ("count", "reach", "widest", "least_ok"),
    [(2000, 36.0, 0.8, 0.85), (600, 4.0, 3.0, 0.97)],
    ids=["minute to ten years, 36 sd", "total vol to 9"],
)
def test_every_vol_is_right_or_has_a_reason(count: int, reach: float, widest: float, least_ok: float) -> None:
    contracts = sample(count, 11, reach, widest)
    prices, floors = priced(contracts)
    result = inverted(prices, contracts)
    ok = result.status == S.ok
    error = np.abs(result.vol / contracts["vol"] - 1) / np.maximum(ACCURACY, FLOORS * floors)
    assert error[ok].max() < 1
    assert ok.mean() > least_ok
    # Every price that determines its vol must be solved; the rest must say why and give no number.
    assert ok[floors < 5e-4].all()
    assert not ok[floors > 2e-3].any()
    assert np.isnan(result.vol[~ok]).all()
    # ITM prices that round to, or a rounding below, the intrinsic value.
    assert set(result.status[~ok]) <= {S.low_vega, S.below_intrinsic, S.above_max}
    # The bound is sharp enough to see a vol off by a part in 10¹².
    wrong = np.abs(result.vol * (1 + 1e-12) / contracts["vol"] - 1) / np.maximum(ACCURACY, FLOORS * floors)
    assert (wrong[ok] > 1).mean() > 0.5


def test_total_vols_that_need_more_than_one_step() -> None:
    vol = np.array([3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])[:, None]
    log_moneyness = np.linspace(-36, 36, 13)[None, :]
    vol, strike = np.broadcast_arrays(vol, 100 * np.exp(log_moneyness))
    contracts = {
        "forward": np.full(vol.size, 100.0),
        "strike": strike.ravel(),
        "expiry": np.ones(vol.size),
        "vol": vol.ravel(),
        "rate": np.zeros(vol.size),
        "is_call": strike.ravel() >= 100,
    }
    prices, floors = priced(contracts)
    result = inverted(prices, contracts)
    clear = floors < 5e-4
    assert (result.status[clear] == S.ok).all()
    error = np.abs(result.vol / contracts["vol"] - 1) / np.maximum(ACCURACY, FLOORS * floors)
    assert error[clear].max() < 1
    assert clear.mean() > 0.9


def test_float32_is_right_to_its_own_floor() -> None:
    contracts = sample(1000, 13, 11.0, 0.8)
    narrow = {n: a if a.dtype == bool else a.astype(np.float32) for n, a in contracts.items()}
    narrow["rate"] = np.zeros(1000, np.float32)
    wide = {n: a if a.dtype == bool else a.astype(np.float64) for n, a in narrow.items()}
    prices, _ = priced(wide)
    rounded = prices.astype(np.float32)
    result, reference = inverted(rounded, narrow), inverted(rounded.astype(np.float64), wide)
    assert result.vol.dtype == np.float32
    both = (result.status == S.ok) & (reference.status == S.ok)
    assert both.mean() > 0.8
    vegas = np.array(
        [
            float(mp_vega(f, k, t, v, 0)) if good else 1.0
            for f, k, t, v, good in zip(
                wide["forward"], wide["strike"], wide["expiry"], reference.vol, both, strict=True
            )
        ]
    )
    floors = 2.0**-23 * rounded / (reference.vol * vegas)
    error = np.abs(result.vol / reference.vol - 1) / np.maximum(2e-6, FLOORS * floors)
    assert error[both].max() < 1


@pytest.mark.parametrize(
    ("price", "forward", "strike", "expiry", "is_call", "status"),
    [
        (2.0, 100.0, 100.0, 0.1, True, S.ok),
        (1e-250, 100.0, 130.0, 0.01, True, S.ok),
        (9.9, 110.0, 100.0, 0.1, True, S.below_intrinsic),
        (0.0, 110.0, 100.0, 0.1, True, S.below_intrinsic),
        (9.9, 100.0, 110.0, 0.1, False, S.below_intrinsic),
        (110.0, 110.0, 100.0, 0.1, True, S.above_max),
        (111.0, 110.0, 100.0, 0.1, True, S.above_max),
        (100.0, 110.0, 100.0, 0.1, False, S.above_max),
        (10.0, 110.0, 100.0, 0.1, True, S.low_vega),
        (10.0, 100.0, 110.0, 0.1, False, S.low_vega),
        (0.0, 100.0, 110.0, 0.1, True, S.low_vega),
        (0.0, 100.0, 100.0, 0.1, True, S.low_vega),
        (1e-320, 100.0, 110.0, 0.1, True, S.low_vega),
        (np.nextafter(110.0, 0), 110.0, 100.0, 0.1, True, S.low_vega),
        (10.0 + 1e-14, 110.0, 100.0, 0.1, True, S.low_vega),
        (2.0, 100.0, 100.0, 0.0, True, S.expired),
        (2.0, 100.0, 100.0, -1.0, True, S.expired),
        (-1e-9, 100.0, 100.0, 0.1, True, S.bad_input),
        (np.nan, 100.0, 100.0, 0.1, True, S.bad_input),
        (np.inf, 100.0, 100.0, 0.1, True, S.bad_input),
        (2.0, 0.0, 100.0, 0.1, True, S.bad_input),
        (2.0, -5.0, 100.0, 0.1, True, S.bad_input),
        (2.0, np.nan, 100.0, 0.1, True, S.bad_input),
        (2.0, 100.0, 0.0, 0.1, False, S.bad_input),
        (2.0, 100.0, np.inf, 0.1, False, S.bad_input),
        (2.0, 100.0, 100.0, np.nan, True, S.bad_input),
        (2.0, 100.0, 100.0, np.inf, True, S.bad_input),
        (-2.0, 100.0, 100.0, 0.0, True, S.bad_input),
    ],
)
def test_status(price: float, forward: float, strike: float, expiry: float, is_call: bool, status: S) -> None:
    result = implied_vol(price, forward, strike, expiry, is_call=is_call)
    assert S(int(result.status)) is status
    assert np.isnan(result.vol) == (status is not S.ok)


def test_intrinsic_and_bound_are_discounted() -> None:
    discount = np.exp(-0.05 * 2.0)
    below, inside = implied_vol(np.array([9.9, 10.1]) * discount, 110.0, 100.0, 2.0, 0.05).status
    assert (below, inside) == (S.below_intrinsic, S.ok)
    assert implied_vol(110.01 * discount, 110.0, 100.0, 2.0, 0.05).status == S.above_max
    assert implied_vol(9.9, 110.0, 100.0, 2.0, np.nan).status == S.bad_input


def test_throw_counts_every_reason() -> None:
    prices = np.array([2.0, np.nan, -1.0, 200.0])
    with pytest.raises(NumericalError, match=r"3 of 4 prices have no vol \(above_max 1, bad_input 2\)"):
        implied_vol(prices, 100.0, 100.0, 0.1, throw=True)
    assert implied_vol(prices[:1], 100.0, 100.0, 0.1, throw=True).status[0] == S.ok
    with pytest.raises(InputError, match="throw=True"):
        jax.jit(lambda p: implied_vol(p, 100.0, 100.0, 0.1, throw=True).vol)(2.0)


def test_shapes_broadcast_or_say_so() -> None:
    strikes = np.array([90.0, 100.0, 110.0])
    result = implied_vol(np.full((2, 1), 11.0), 100.0, strikes, 0.5, is_call=np.array([True, True, False]))
    assert result.vol.shape == result.status.shape == (2, 3)
    with pytest.raises(InputError, match=r"price \(2,\), .*strike \(3,\)"):
        implied_vol(np.ones(2), 100.0, strikes, 0.5)


def test_numpy_in_numpy_out_and_the_same_everywhere() -> None:
    contracts = sample(64, 17, 5.0, 0.8)
    prices, _ = priced(contracts)
    before = jax.config.jax_enable_x64
    plain = inverted(prices, contracts)
    assert jax.config.jax_enable_x64 == before
    assert isinstance(plain.vol, np.ndarray)
    assert plain.vol.dtype == np.float64
    with jax.enable_x64(True):
        c = {n: jnp.asarray(a) for n, a in contracts.items()}
        args = (jnp.asarray(prices), c["forward"], c["strike"], c["expiry"], c["rate"])
        jitted = jax.jit(lambda *a: implied_vol(*a, is_call=c["is_call"]))(*args)
        mapped = jax.vmap(lambda k, *a: implied_vol(*a, is_call=k))(c["is_call"], *args)
    for other in (jitted, mapped):
        np.testing.assert_allclose(np.asarray(other.vol), plain.vol, rtol=5e-15)
        np.testing.assert_array_equal(np.asarray(other.status), plain.status)


POINTS = [
    (100.0, 100.0, 0.25, 0.2, 0.03, True),  # exactly at the strike: both sides of the formula meet
    (100.0, 100.0, 0.25, 0.2, 0.03, False),
    (6500.0, 6480.0, 105 / (390 * 252), 0.11, 0.04, False),
    (6500.0, 7000.0, 5 / 252, 0.15, 0.04, True),
    (100.0, 80.0, 1.0, 0.3, 0.0, True),
    (100.0, 250.0, 9.0, 0.9, -0.01, True),
]


@pytest.mark.parametrize("point", POINTS)
def test_derivatives_are_those_of_the_inverse_function(point: tuple[Any, ...]) -> None:
    forward, strike, expiry, vol, rate, is_call = point
    price = mp_price(*point)
    vega = mp_vega(forward, strike, expiry, vol, rate)

    def by(order: tuple[int, ...]) -> Any:
        return mp.diff(lambda *a: mp_price(*a, is_call), (forward, strike, expiry, vol, rate), order)

    exact = [1 / vega] + [
        -by(o) / vega for o in ((1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 0, 1))
    ]
    vomma = by((0, 0, 0, 2, 0))
    gamma, vanna = by((2, 0, 0, 0, 0)), by((1, 0, 0, 1, 0))
    slope = exact[1]
    curvature = -(gamma + 2 * vanna * slope + vomma * slope**2) / vega
    with jax.enable_x64(True):
        args = (float(price), forward, strike, expiry, rate)
        function = lambda *a: implied_vol(*a, is_call=is_call).vol  # noqa: E731
        first = jax.grad(function, argnums=(0, 1, 2, 3, 4))(*args)
        second = jax.grad(jax.grad(function))(*args)
        twice_forward = jax.grad(jax.grad(function, argnums=1), argnums=1)(*args)
    np.testing.assert_allclose(np.array(first), np.array([float(e) for e in exact]), rtol=2e-11)
    np.testing.assert_allclose(float(first[0]), float(1 / vega), rtol=2e-12)
    np.testing.assert_allclose(
        float(second), float(-vomma / vega**3), rtol=1e-10, atol=1e-12 / float(vega) ** 2
    )
    np.testing.assert_allclose(float(twice_forward), float(curvature), rtol=1e-9)


def test_a_masked_element_leaves_the_other_derivatives_alone() -> None:
    prices = jnp.array([2.0, jnp.nan, -1.0, 0.0, 500.0])

    def total(rate: Any, prices: Any) -> Any:
        return jnp.nansum(implied_vol(prices, 100.0, 101.0, 0.1, rate).vol)

    by_rate, by_price = jax.grad(total, argnums=(0, 1))(0.01, prices)
    alone = jax.grad(total, argnums=1)(0.01, prices[:1])
    assert np.isfinite(by_rate)
    assert by_rate != 0
    np.testing.assert_allclose(by_price, [alone[0], 0, 0, 0, 0], rtol=1e-5)


@settings(deadline=None, max_examples=150)
@given(
    distance=st.floats(-8, 8),
    expiry=st.floats(MINUTE, 10),
    vol=st.floats(0.01, 1.5),
    rate=st.floats(-0.1, 0.2),
    forward=st.floats(1e-3, 1e6),
    is_call=st.booleans(),
)
def test_round_trip(
    distance: float, expiry: float, vol: float, rate: float, forward: float, is_call: bool
) -> None:
    strike = forward * float(np.exp(distance * vol * np.sqrt(expiry)))
    price = mp_price(forward, strike, expiry, vol, rate, is_call)
    floor = float(EPS * price / (vol * mp_vega(forward, strike, expiry, vol, rate)))
    result = implied_vol(float(price), forward, strike, expiry, rate, is_call=is_call)
    if result.status == S.ok:
        assert abs(result.vol / vol - 1) < max(ACCURACY, FLOORS * floor)
    else:
        assert np.isnan(result.vol)
        assert floor > 5e-4


@settings(deadline=None, max_examples=60)
@given(low=st.floats(1e-6, 60), factor=st.floats(1.001, 1.6), strike=st.floats(50, 200))
def test_vol_increases_with_price(low: float, factor: float, strike: float) -> None:
    result = implied_vol(np.array([low, low * factor]), 100.0, strike, 0.5, is_call=strike > 100)
    if (result.status == S.ok).all():
        assert result.vol[0] < result.vol[1]
