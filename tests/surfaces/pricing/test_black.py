"""Black-76 against 50 digits, jax's own derivatives, the signs in words, identities, and the limits."""

from __future__ import annotations

import datetime as dt
from typing import Any

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gammawall.surfaces.errors import InputError
from gammawall.surfaces.pricing.black import Greeks, black_greeks, black_price
from gammawall.surfaces.pricing.normalised import log_moneyness
from tests.helpers import tolerances as tol
from tests.helpers.vol_points import MINUTE, mp_price

ORDERS = {
    "price": (0, 0, 0, 0, 0), "delta": (1, 0, 0, 0, 0), "gamma": (2, 0, 0, 0, 0), "vega": (0, 0, 0, 1, 0),
    "theta": (0, 0, 1, 0, 0), "rho": (0, 0, 0, 0, 1), "vanna": (1, 0, 0, 1, 0), "volga": (0, 0, 0, 2, 0),
    "charm": (1, 0, 1, 0, 0), "veta": (0, 0, 1, 1, 0), "dual_delta": (0, 1, 0, 0, 0),
    "dual_gamma": (0, 2, 0, 0, 0), "speed": (3, 0, 0, 0, 0), "zomma": (2, 0, 0, 1, 0),
    "color": (2, 0, 1, 0, 0), "ultima": (0, 0, 0, 3, 0),
}  # fmt: skip
"""Order of differentiation of the price in (F, K, T, σ, r); the T-derivatives are quoted with a minus."""

ARGUMENTS = ("forward", "strike", "expiry", "vol", "rate")


def sample(count: int, seed: int, reach: float, widest: float = 2.0) -> tuple[np.ndarray, ...]:
    """Contracts from one minute to ten years with |d₁|, |d₂| ≤ reach, a twentieth exactly at the money."""
    rng = np.random.default_rng(seed)
    years = MINUTE * (10 / MINUTE) ** rng.uniform(size=count)
    vol = 0.02 * (widest / 0.02) ** rng.uniform(size=count)
    half = 0.5 * vol * np.sqrt(years)
    spread = rng.choice([1.0, 0.2, 0.01, 0.0], count, p=[0.6, 0.2, 0.15, 0.05])
    h = (reach - half) * rng.uniform(-1, 1, count) * spread
    forward = 10 ** rng.uniform(0, 5, count)
    rate = rng.uniform(-0.05, 0.1, count)
    return forward, forward * np.exp(-2 * half * h), years, vol, rate, rng.uniform(size=count) < 0.5


def oracle_terms(f: Any, k: Any, t: Any, v: Any, r: Any, sign: int) -> dict[str, tuple[Any, ...]]:
    """Each greek as the terms that add up to it, in h = ln(F/K)/s and a = s/2: no term cancels in itself."""
    s = v * mp.sqrt(t)
    h, a = mp.log(f / k) / s, s / 2
    up, down = (sign * mp.exp(-r * t) * mp.erfc(-sign * (h + e * a) / mp.sqrt(2)) / 2 for e in (1, -1))
    value = f * up - k * down
    density = mp.exp(-r * t) * mp.npdf(h + a)
    gamma, vega = density / (f * s), density * f * mp.sqrt(t)
    hh, aa, tt = h * h, a * a, 2 * t
    return {
        "price": (value,),
        "delta": (up,),
        "gamma": (gamma,),
        "vega": (vega,),
        "theta": (r * value, -density * f * s / tt),
        "rho": (-t * value,),
        "vanna": (-density * h / v, density * a / v),
        "volga": (vega * hh / v, -vega * aa / v),
        "charm": (r * up, density * h / tt, -density * a / tt),
        "veta": (r * vega, -vega / tt, -vega * hh / tt, vega * aa / tt),
        "dual_delta": (-down,),
        "dual_gamma": (density * f / (k * k * s),),
        "speed": (-gamma / f * 3 / 2, -gamma / f * h / s),
        "zomma": (gamma * hh / v, -gamma * aa / v, -gamma / v),
        "color": (r * gamma, gamma / tt, -gamma * hh / tt, gamma * aa / tt),
        "ultima": tuple(vega / v**2 * x for x in (hh**2, -2 * hh * aa, aa**2, -3 * hh, -aa)),
    }


def exact(contracts: tuple[np.ndarray, ...], i: int) -> tuple[list[Any], int]:
    return [mp.mpf(float(c[i])) for c in contracts[:5]], 1 if contracts[5][i] else -1


def worst_errors(contracts: tuple[np.ndarray, ...], smallest: float) -> dict[str, float]:
    """Largest relative error of each greek; where half of its terms cancel, relative to their sum."""
    greeks = black_greeks(*contracts[:5], is_call=contracts[5])
    worst = dict.fromkeys(ORDERS, 0.0)
    with mp.workdps(50):
        for i in range(len(contracts[0])):
            values, sign = exact(contracts, i)
            for name, parts in oracle_terms(*values, sign).items():
                total, scale = mp.fsum(parts), mp.fsum(abs(p) for p in parts)
                bar = scale if abs(total) < scale / 2 else abs(total)
                if bar > smallest:
                    error = abs(mp.mpf(float(getattr(greeks, name)[i])) - total) / bar
                    worst[name] = max(worst[name], float(error))
    return worst


@pytest.mark.slow
def test_closed_forms_of_the_oracle_are_the_derivatives_of_the_price() -> None:
    contracts = sample(100, 5, 12.0)
    with mp.workdps(50):
        for i in range(100):
            values, sign = exact(contracts, i)
            parts = oracle_terms(*values, sign)
            for name, orders in ORDERS.items():
                slope = mp.diff(lambda *x, sign=sign: mp_price(*x, is_call=sign > 0), tuple(values), orders)
                slope *= -1 if orders[2] else 1
                error = abs(mp.fsum(parts[name]) - slope) / mp.fsum(abs(p) for p in parts[name])
                assert error < tol.CLOSED_FORM, (name, [float(v) for v in values], sign)


@pytest.mark.parametrize(
    ("count", "reach", "bound"), [(1200, 8.0, tol.GREEK_NEAR), (1200, 37.0, tol.GREEK_FAR)]
)
def test_every_greek_to_the_last_digits(count: int, reach: float, bound: float) -> None:
    worst = worst_errors(sample(count, int(reach), reach), smallest=1e-300)
    assert {name: error for name, error in worst.items() if error > bound} == {}
    assert min(worst.values()) > 0.0


def test_every_greek_in_single_precision() -> None:
    contracts = tuple(c if c.dtype == bool else c.astype(np.float32) for c in sample(600, 3, 6.0))
    assert black_greeks(*contracts[:5]).price.dtype == np.float32
    worst = worst_errors(contracts, smallest=1e-36)
    assert {name: error for name, error in worst.items() if error > tol.GREEK_SINGLE} == {}


def test_log_moneyness_near_the_money_keeps_its_digits() -> None:
    forward = 7000.0 * (1 + np.array([1e-15, 1e-9, -1e-6, 0.01, 0.29, 0.31, -0.29, -0.31, 5.0]))
    with jax.enable_x64(True), mp.workdps(40):
        got = np.asarray(log_moneyness(forward, 7000.0))
        want = [mp.log(mp.mpf(float(f)) / 7000) for f in forward]
    assert max(abs(float(mp.mpf(float(g)) / w - 1)) for g, w in zip(got, want, strict=True)) < 1e-14


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize(
    ("greek", "of", "argument", "sign"),
    [
        ("delta", "price", "forward", 1), ("gamma", "delta", "forward", 1),
        ("vega", "price", "vol", 1),  # per 1.00 of vol
        ("theta", "price", "expiry", -1),  # a day that passes is a shorter expiry
        ("rho", "price", "rate", 1),  # the forward does not follow the rate
        ("vanna", "delta", "vol", 1), ("vanna", "vega", "forward", 1), ("volga", "vega", "vol", 1),
        ("charm", "delta", "expiry", -1), ("charm", "theta", "forward", 1),
        ("veta", "vega", "expiry", -1), ("veta", "theta", "vol", 1),
        ("dual_delta", "price", "strike", 1), ("dual_gamma", "dual_delta", "strike", 1),
        ("speed", "gamma", "forward", 1), ("zomma", "gamma", "vol", 1), ("ultima", "volga", "vol", 1),
        ("color", "gamma", "expiry", -1), ("color", "charm", "forward", 1),
    ],
)  # fmt: skip
def test_sign_and_unit_of_each_greek(greek: str, of: str, argument: str, sign: int, is_call: bool) -> None:
    at = {"forward": 6990.0, "strike": 7000.0, "expiry": 0.08, "vol": 0.13, "rate": 0.0425}
    step = 1e-4 * at[argument] * (0.02 if argument in ("forward", "strike") else 1.0)
    up, down = (
        getattr(black_greeks(**(at | {argument: at[argument] + e * step}), is_call=is_call), of)
        for e in (1, -1)
    )
    got = getattr(black_greeks(**at, is_call=is_call), greek)
    assert got == pytest.approx(sign * (up - down) / (2 * step), rel=tol.FINITE_DIFFERENCE)


def test_time_decay_is_a_loss_and_a_call_rises_with_the_forward() -> None:
    call = black_greeks(7000.0, 7000.0, 30 / 365, 0.15)
    put = black_greeks(7000.0, 7000.0, 30 / 365, 0.15, is_call=False)
    assert call.theta < 0 < call.vega
    assert put.delta < 0 < call.delta
    assert call.dual_delta < 0 < put.dual_delta
    # One vol point on a 30-day straddle leg at the money is about S √T φ(0) / 100.
    assert call.vega / 100 == pytest.approx(7000 * np.sqrt(30 / 365) * 0.3989 / 100, rel=1e-3)
    # Out of the money, delta decays towards 0; in the money, towards 1.
    assert black_greeks(6900.0, 7000.0, 0.02, 0.15).charm < 0 < black_greeks(7100.0, 7000.0, 0.02, 0.15).charm


def test_autodiff_of_the_price_gives_every_greek_also_at_the_strike() -> None:
    contracts = sample(60, 21, 5.0, widest=0.8)
    assert 3 <= (contracts[0] == contracts[1]).sum() < 10

    def derivative(orders: tuple[int, ...]) -> Any:
        def function(f: Any, k: Any, t: Any, v: Any, r: Any, call: Any) -> Any:
            return black_price(f, k, t, v, r, is_call=call)

        for argument, times in enumerate(orders):
            for _ in range(times):
                function = jax.grad(function, argnums=argument)
        return function

    with jax.enable_x64(True):
        columns = [jnp.asarray(c) for c in contracts]
        every = jax.jit(
            lambda *a: {name: jax.vmap(derivative(orders))(*a) for name, orders in ORDERS.items()}
        )(*columns)
    greeks = black_greeks(*contracts[:5], is_call=contracts[5])
    for name, orders in ORDERS.items():
        got = np.asarray(every[name]) * (-1 if orders[2] else 1)
        want = getattr(greeks, name)
        scale = scales(contracts, name)
        assert np.max(np.abs(got - want) / scale) < tol.AUTODIFF, name


def scales(contracts: tuple[np.ndarray, ...], name: str) -> np.ndarray:
    with mp.workdps(30):
        rows = (exact(contracts, i) for i in range(len(contracts[0])))
        return np.array([float(mp.fsum(abs(p) for p in oracle_terms(*v, s)[name])) for v, s in rows])


def test_transformations_agree_with_the_plain_call() -> None:
    forward, strike, years, vol, rate, call = sample(30, 8, 4.0)
    plain = black_greeks(forward, strike, years, vol, rate, is_call=call)
    with jax.enable_x64(True):
        mapped = jax.jit(jax.vmap(lambda *a: black_greeks(*a[:5], is_call=a[5])))(
            forward, strike, years, vol, rate, call
        )
        crossed = jax.vmap(jax.vmap(black_price, (None, 0, None, None)), (0, None, None, None))(
            jnp.asarray(forward), jnp.asarray(strike), 0.1, 0.2
        )
    for a, b in zip(plain, mapped, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)
    np.testing.assert_allclose(
        crossed, black_price(forward[:, None], strike[None, :], 0.1, 0.2), rtol=1e-12, atol=1e-300
    )


MARKET = {
    "forward": st.floats(1.0, 1e5),
    "moneyness": st.floats(-6.0, 6.0),
    "expiry": st.floats(MINUTE, 10.0),
    "vol": st.floats(0.02, 1.5),
    "rate": st.floats(-0.05, 0.15),
}


def contract(forward: float, moneyness: float, expiry: float, vol: float, rate: float) -> dict[str, float]:
    strike = forward * np.exp(-moneyness * vol * np.sqrt(expiry))
    return {"forward": forward, "strike": float(strike), "expiry": expiry, "vol": vol, "rate": rate}


def balance(*terms: Any) -> float:
    """Sum of terms relative to the largest of them."""
    return abs(float(sum(terms))) / (max(abs(float(t)) for t in terms) + 1e-290)


@settings(deadline=None, max_examples=150)
@given(**MARKET)
def test_parity_of_calls_and_puts(**market: float) -> None:
    c = contract(**market)
    call, put = (black_greeks(**c, is_call=side) for side in (True, False))
    discount = np.exp(-c["rate"] * c["expiry"])
    assert balance(call.price, -put.price, -discount * c["forward"], discount * c["strike"]) < tol.IDENTITY
    assert balance(call.delta, -put.delta, -discount) < tol.IDENTITY
    assert balance(call.dual_delta, -put.dual_delta, discount) < tol.IDENTITY
    assert balance(call.charm, -put.charm, -c["rate"] * discount, -call.delta, call.delta) < tol.IDENTITY
    for name in (
        "gamma",
        "vega",
        "vanna",
        "volga",
        "veta",
        "dual_gamma",
        "speed",
        "zomma",
        "color",
        "ultima",
    ):
        assert getattr(call, name) == getattr(put, name)


@settings(deadline=None, max_examples=150)
@given(is_call=st.booleans(), **MARKET)
def test_pricing_equation_and_its_derivatives(is_call: bool, **market: float) -> None:
    c = contract(**market)
    g = black_greeks(**c, is_call=is_call)
    f, k, t, v, r = (c[name] for name in ARGUMENTS)
    half = 0.5 * v * v * f * f
    identities = {
        "theta = rV − ½σ²F²Γ": (g.theta, -r * g.price, half * g.gamma),
        "the same in strikes": (g.theta, -r * g.price, 0.5 * v * v * k * k * g.dual_gamma),
        "its F-derivative": (g.charm, -r * g.delta, 2 * half / f * g.gamma, half * g.speed),
        "its σ-derivative": (g.veta, -r * g.vega, 2 * half / v * g.gamma, half * g.zomma),
        "vega = σT F²Γ": (g.vega, -v * t * f * f * g.gamma),
        "its F-derivative ": (g.vanna, -v * t * 2 * f * g.gamma, -v * t * f * f * g.speed),
        "its σ-derivative ": (g.volga, -t * f * f * g.gamma, -v * t * f * f * g.zomma),
        "its T-derivative": (g.veta, v * f * f * g.gamma, -v * t * f * f * g.color),
        "homogeneity": (f * g.delta, k * g.dual_delta, -g.price),
        "rho = −TV": (g.rho, t * g.price),
    }
    assert {
        name: balance(*terms) for name, terms in identities.items() if balance(*terms) > tol.IDENTITY
    } == {}


@settings(deadline=None, max_examples=100)
@given(is_call=st.booleans(), factor=st.floats(1e-3, 1e3), **MARKET)
def test_homogeneity_monotonicity_and_convexity(is_call: bool, factor: float, **market: float) -> None:
    c = contract(**market)
    price = black_price(**c, is_call=is_call)
    scaled = black_price(**(c | {n: c[n] * factor for n in ("forward", "strike")}), is_call=is_call)
    # Far from the money a rounded strike alone moves the price by |d| ε.
    assert scaled == pytest.approx(price * factor, rel=1e-11)
    strikes = c["strike"] * np.linspace(0.97, 1.03, 41)
    ladder = black_price(**(c | {"strike": strikes}), is_call=is_call)
    slack = 1e-13 * max(ladder)
    assert (np.diff(ladder) * (-1 if is_call else 1) >= -slack).all()
    assert (np.diff(ladder, 2) >= -slack).all()
    vols = black_price(**(c | {"vol": c["vol"] * np.linspace(1.0, 1.5, 21)}), is_call=is_call)
    assert (np.diff(vols) >= -1e-13 * vols[1:]).all()
    discount = np.exp(-c["rate"] * c["expiry"])
    bound = discount * (c["forward"] if is_call else c["strike"])
    intrinsic = discount * max((c["forward"] - c["strike"]) * (1 if is_call else -1), 0.0)
    assert intrinsic * (1 - 1e-14) <= price <= bound * (1 + 1e-14)


def others(greeks: Greeks) -> list[float]:
    step = ("price", "delta", "dual_delta")
    return [float(getattr(greeks, name)) for name in ORDERS if name not in step]


@pytest.mark.parametrize(
    ("expiry", "vol"), [(0.0, 0.2), (-0.01, 0.2), (1e-100, 0.2), (0.5, 0.0), (0.5, 1e-100), (0.0, 0.0)]
)
@pytest.mark.parametrize(("forward", "step"), [(6990.0, 0.0), (7000.0, 0.5), (7010.0, 1.0)])
def test_nothing_left_to_integrate(expiry: float, vol: float, forward: float, step: float) -> None:
    discount = np.exp(-0.04 * max(expiry, 0.0))
    call, put = (black_greeks(forward, 7000.0, expiry, vol, 0.04, is_call=c) for c in (True, False))
    assert call.price == pytest.approx(discount * max(forward - 7000.0, 0.0), rel=1e-15)
    assert put.price == pytest.approx(discount * max(7000.0 - forward, 0.0), rel=1e-15)
    assert call.delta == pytest.approx(discount * step, rel=1e-15)
    assert put.delta == pytest.approx(-discount * (1.0 - step), rel=1e-15)
    assert call.dual_delta == pytest.approx(-discount * step, rel=1e-15)
    assert put.dual_delta == pytest.approx(discount * (1.0 - step), rel=1e-15)
    assert others(call) == [0.0] * 13
    assert others(put) == [0.0] * 13


def test_zero_strike_is_the_forward_itself() -> None:
    call, put = (black_greeks(100.0, 0.0, 2.0, 0.2, 0.05, is_call=side) for side in (True, False))
    discount = np.exp(-0.1)
    want = {"price": 100 * discount, "delta": discount, "dual_delta": -discount}
    want |= {"rho": -200 * discount, "theta": 5 * discount, "charm": 0.05 * discount}
    for name in ORDERS:
        assert float(getattr(call, name)) == pytest.approx(want.get(name, 0.0), rel=1e-14), name
        assert float(getattr(put, name)) == 0.0, name
    assert black_price(1e-250, 1e-250, 1.0, 0.2) == pytest.approx(7.965567455405798e-252, rel=1e-14)
    near = black_greeks(100.0, 1e-12, 2.0, 0.2, 0.05)
    for a, b in zip(call, near, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_always_finite(dtype: Any) -> None:
    tiny = 1e-60 if dtype == np.float64 else 1e-8
    large = 1 / tiny
    scale = np.array([1.0, 1e-2, 7000.0, 1e6])
    grids = np.meshgrid(
        scale,
        np.array([0.0, tiny, 1.0, 6999.0, 7000.0, 1e6, large]),
        np.array([-1.0, 0.0, tiny, MINUTE, 1.0, 100.0]),
        np.array([0.0, tiny, 1e-4, 0.2, 5.0, 1e4]),
        np.array([-0.05, 0.0, 0.1]),
    )
    columns = [g.ravel().astype(dtype) for g in grids]
    for is_call in (True, False):
        for name, values in zip(ORDERS, black_greeks(*columns, is_call=is_call), strict=True):
            assert np.isfinite(values).all(), name


def test_gradients_are_finite_where_nothing_is_left() -> None:
    with jax.enable_x64(True):
        curvature = jax.jit(jax.hessian(black_price, argnums=(0, 1, 2, 3)))
        for terms in [(100.0, 100.0, 0.0, 0.2), (100.0, 0.0, 1.0, 0.2), (9.0, 8.0, 1.0, 0.0)]:
            second = curvature(*terms)
            assert np.isfinite(jax.tree_util.tree_leaves(second)).all()


BAD = [
    ("forward", 0.0), ("forward", -1.0), ("forward", np.nan), ("forward", np.inf), ("forward", None),
    ("forward", 1j), ("strike", -1.0), ("strike", np.nan), ("strike", [7000.0, -np.inf]),
    ("expiry", np.nan), ("expiry", np.inf), ("expiry", np.datetime64("2026-01-28")),
    ("expiry", dt.timedelta(days=1)), ("vol", -0.1), ("vol", np.nan), ("vol", "0.2"), ("rate", np.nan),
    ("rate", -np.inf), ("is_call", "put"), ("is_call", -1), ("is_call", np.nan), ("is_call", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_input_is_refused_by_name(name: str, value: Any) -> None:
    arguments: dict[str, Any] = {"forward": 7000.0, "strike": 7000.0, "expiry": 0.1, "vol": 0.2, "rate": 0.0}
    for function in (black_price, black_greeks):
        with pytest.raises(InputError, match=rf"^{name} must be .*; got "):
            function(**(arguments | {name: value}))


def test_shapes_broadcast_or_are_refused() -> None:
    greeks = black_greeks(np.full((3, 1), 100.0), np.full(2, 90.0), 1.0, 0.2, is_call=[True, False])
    assert {np.shape(v) for v in greeks} == {(3, 2)}
    assert black_price(np.array([]), 100.0, 1.0, 0.2).shape == (0,)
    with pytest.raises(InputError, match=r"forward \(2,\), strike \(3,\) do not broadcast"):
        black_price(np.ones(2), np.ones(3), 1.0, 0.2)
