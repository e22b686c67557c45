"""American prices and greeks on a continuous yield, against others' and against independent methods."""

from __future__ import annotations

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gammawall.surfaces import InputError, american_greeks, american_price, black_price
from tests.helpers.american_reference import COLUMNS, FILE, contracts, most_exact, quantlib_prices


@pytest.fixture(scope="module")
def kept() -> dict[str, np.ndarray]:
    with np.load(FILE) as file:
        points = dict(file)
    priced = np.isfinite(points["price"])
    assert priced.sum() > 2900
    return {name: column[priced] for name, column in points.items()}


def priced(points: dict[str, np.ndarray], **more: str) -> np.ndarray:
    columns = [points[name] for name in COLUMNS[:-1]]
    return american_price(*columns, is_call=points["is_call"], **more)


def binomial(
    spot: float, strike: float, expiry: float, vol: float, rate: float, dividend_yield: float, is_call: bool,
    steps: int,
) -> float:  # fmt: skip
    """Cox, Ross and Rubinstein's tree, the European price of the last step smoothed by Black's formula."""
    dt = expiry / steps
    up = np.exp(vol * np.sqrt(dt))
    growth, discount = np.exp((rate - dividend_yield) * dt), np.exp(-rate * dt)
    chance = (growth - 1.0 / up) / (up - 1.0 / up)
    sign = 1.0 if is_call else -1.0

    def prices(step: int) -> np.ndarray:
        return spot * up ** (2.0 * np.arange(step + 1) - step)

    last = prices(steps - 1)
    value = black_price(last * growth, strike, dt, vol, rate, is_call=is_call)
    value = np.maximum(value, sign * (last - strike))
    for step in range(steps - 2, -1, -1):
        held = discount * (chance * value[1:] + (1.0 - chance) * value[:-1])
        value = np.maximum(held, sign * (prices(step) - strike))
    return float(value[0])


def test_prices_are_those_of_the_most_exact_other_engine(kept: dict[str, np.ndarray]) -> None:
    error = np.abs(priced(kept) - kept["price"]) / kept["spot"]
    assert error.max() < 5e-9
    assert np.quantile(error, 0.99) < 5e-10
    quick = np.abs(priced(kept, accuracy="quick") - kept["price"]) / kept["spot"]
    assert 1e-8 < quick.max() < 1e-5


@pytest.mark.skipif(importlib.util.find_spec("QuantLib") is None, reason="QuantLib is not installed")
def test_the_kept_prices_are_what_quantlib_gives(kept: dict[str, np.ndarray]) -> None:
    ql = importlib.import_module("QuantLib")
    points = contracts(3000, 5)
    priced = ~((points["rate"] < 0.0) & (points["dividend_yield"] < 0.0))
    some = {name: column[priced][:40] for name, column in points.items()}
    scheme = most_exact(ql)
    fresh = quantlib_prices(some, lambda process: ql.QdFpAmericanEngine(process, scheme))
    order = np.searchsorted(np.sort(kept["spot"]), some["spot"])
    np.testing.assert_allclose(fresh, kept["price"][np.argsort(kept["spot"])[order]], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "contract",
    [
        (100.0, 100.0, 1.0, 0.2, 0.05, 0.0, False),
        (90.0, 100.0, 0.5, 0.3, 0.03, 0.06, True),
        (110.0, 100.0, 2.0, 0.25, 0.04, 0.04, True),
        (100.0, 95.0, 0.25, 0.15, 0.0, -0.03, False),
        (100.0, 105.0, 1.0, 0.2, -0.02, 0.01, True),
    ],
)
def test_prices_are_the_limit_of_a_tree(
    contract: tuple[float, float, float, float, float, float, bool],
) -> None:
    *numbers, is_call = contract
    coarse, fine = binomial(*contract, steps=1000), binomial(*contract, steps=2000)
    assert float(american_price(*numbers, is_call=is_call)) == pytest.approx(2 * fine - coarse, abs=4e-4)


def test_a_call_is_a_put_with_everything_exchanged(kept: dict[str, np.ndarray]) -> None:
    some = {name: column[:200] for name, column in kept.items()}
    swapped = {
        "spot": some["strike"], "strike": some["spot"], "expiry": some["expiry"], "vol": some["vol"],
        "rate": some["dividend_yield"], "dividend_yield": some["rate"], "is_call": ~some["is_call"],
    }  # fmt: skip
    np.testing.assert_allclose(priced(swapped), priced(some), rtol=0, atol=1e-11)


def test_options_that_are_never_exercised_are_european() -> None:
    spot = np.array([60.0, 100.0, 140.0])[:, None]
    rate, dividend_yield = np.array([0.0, 0.05, 0.0, 0.03]), np.array([0.0, 0.0, -0.02, -0.01])
    european = black_price(spot * np.exp((rate - dividend_yield) * 2.0), 100.0, 2.0, 0.2, rate)
    found = american_price(spot, 100.0, 2.0, 0.2, rate, dividend_yield)
    np.testing.assert_allclose(found, european, rtol=1e-14)
    put = black_price(spot * np.exp(-0.04 * 2.0), 100.0, 2.0, 0.2, -0.02, is_call=False)
    found = american_price(spot, 100.0, 2.0, 0.2, -0.02, 0.02, is_call=False)
    np.testing.assert_allclose(found, put, rtol=1e-14)
    greeks = american_greeks(spot, 100.0, 2.0, 0.2, 0.05)
    assert np.isposinf(greeks.boundary).all()
    np.testing.assert_allclose(greeks.early_exercise_premium, 0.0, atol=1e-13)


def test_without_time_or_vol_the_best_moment_of_the_known_path_is_taken() -> None:
    spot = np.array([80.0, 100.0, 120.0])
    assert american_price(spot, 100.0, 0.0, 0.2, 0.05, is_call=False).tolist() == [20.0, 0.0, 0.0]
    assert american_price(spot, 100.0, -1.0, 0.2, 0.05).tolist() == [0.0, 0.0, 20.0]
    # Interest on the strike against the yield of the spot: worth waiting for only where the spot falls.
    times = np.linspace(0.0, 3.0, 200_001)
    for rate, dividend_yield in ((0.05, 0.0), (0.02, 0.08), (-0.01, -0.04), (0.03, 0.03)):
        path = 100.0 * np.exp(-rate * times) - spot[:, None] * np.exp(-dividend_yield * times)
        certain = american_price(spot, 100.0, 3.0, 0.0, rate, dividend_yield, is_call=False)
        np.testing.assert_allclose(certain, np.maximum(path, 0.0).max(1), atol=1e-8)
    # Vol, as it falls, leads there; the price rises with it.
    falling = american_price(100.0, 100.0, 3.0, np.array([1e-6, 1e-4, 1e-3, 0.01, 0.02]), 0.02, 0.08)
    assert (np.diff(falling) > 0.0).all()
    assert falling[0] == pytest.approx(float(american_price(100.0, 100.0, 3.0, 0.0, 0.02, 0.08)), abs=1e-4)


def test_wings_are_exercised_or_worth_nothing() -> None:
    low = american_price(np.array([1e-8, 1.0, 40.0]), 100.0, 1.0, 0.2, 0.05, is_call=False)
    np.testing.assert_array_equal(low, 100.0 - np.array([1e-8, 1.0, 40.0]))
    high = american_price(np.array([300.0, 1e4, 1e8]), 100.0, 1.0, 0.2, 0.05, is_call=False)
    assert (high >= 0.0).all()
    assert (high < 1e-6).all()


def test_greeks_are_the_derivatives_of_the_price(kept: dict[str, np.ndarray]) -> None:
    held = (kept["vol"] > 0.08) & (kept["expiry"] > 0.02)
    points = {name: column[held][:150] for name, column in kept.items()}
    greeks = american_greeks(*(points[name] for name in COLUMNS[:-1]), is_call=points["is_call"])
    edge = np.clip(greeks.boundary, 1e-3, 1e6)
    away = np.abs(np.log(points["spot"] / edge)) > 0.02
    assert away.sum() > 100

    def slope(name: str, step: np.ndarray | float) -> np.ndarray:
        at = lambda k: priced(points | {name: points[name] + k * step})  # noqa: E731
        return (8.0 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12.0 * step)

    scale = points["spot"]
    expected = {
        "delta": (slope("spot", 1e-3 * points["spot"]), 1.0),
        "vega": (slope("vol", 1e-3 * points["vol"]), scale * np.sqrt(points["expiry"])),
        "theta": (
            -slope("expiry", 1e-3 * points["expiry"]),
            scale * points["vol"] / np.sqrt(points["expiry"]),
        ),
        "rho": (slope("rate", 1e-5), scale * points["expiry"]),
    }
    # Futures options and the limits q = 0 and r = 0 are corners that a difference cannot cross.
    smooth = away & (points["rate"] != points["dividend_yield"])
    smooth &= (np.abs(points["rate"]) > 1e-3) & (np.abs(points["dividend_yield"]) > 1e-3)
    for name, (value, unit) in expected.items():
        error = np.abs(getattr(greeks, name) - value) / unit
        assert error[smooth].max() < 1e-5, name


def test_jit_vmap_and_grad_agree_with_the_plain_call() -> None:
    with jax.enable_x64(True):
        spot, vol = jnp.array([85.0, 95.0, 105.0]), jnp.array([0.3, 0.25, 0.2])

        def price(s: jax.Array, v: jax.Array) -> jax.Array:
            return american_price(s, 100.0, 0.75, v, 0.04, 0.01, is_call=False, accuracy="quick")

        value, slopes = jax.jit(jax.vmap(jax.value_and_grad(price, argnums=(0, 1))))(spot, vol)
        greeks = american_greeks(spot, 100.0, 0.75, vol, 0.04, 0.01, is_call=False, accuracy="quick")
    # The iteration of a batch ends when all of it has settled.
    np.testing.assert_allclose(value, greeks.price, atol=1e-6)
    np.testing.assert_allclose(slopes[0], greeks.delta, atol=1e-6)
    np.testing.assert_allclose(slopes[1], greeks.vega, rtol=1e-5)


def test_precision_follows_the_inputs_and_shapes_broadcast() -> None:
    narrow = american_price(np.float32([90, 100]), np.float32(100), np.float32(1), np.float32(0.2), 0.05)
    assert narrow.dtype == np.float32
    wide = american_price(np.array([90.0, 100.0])[:, None], np.full(3, 100.0), 1.0, 0.2, 0.05)
    assert wide.shape == (2, 3)
    assert wide.dtype == np.float64
    assert american_price(np.zeros((0,)) + 1.0, 100.0, 1.0, 0.2).shape == (0,)


def test_what_is_wrong_is_refused() -> None:
    with pytest.raises(InputError, match="spot must be finite and positive; got -1"):
        american_price(-1.0, 100.0, 1.0, 0.2)
    with pytest.raises(InputError, match="accuracy must be"):
        american_price(100.0, 100.0, 1.0, 0.2, accuracy="low")
