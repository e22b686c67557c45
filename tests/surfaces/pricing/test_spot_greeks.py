"""Greeks by spot: 50 digits, the limits, jax's own derivatives, and the columns of a vendor's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import mpmath as mp
import numpy as np
import pandas as pd
import pytest

from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.forwards import imply_forwards
from gammawall.surfaces.chains.read import read_chain
from gammawall.surfaces.clock import calendar_years
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.pricing.spot_greeks import SpotGreeks, spot_greeks
from tests.helpers import tolerances as tol
from tests.helpers.vol_points import mp_price

FILE = Path(__file__).parents[4] / "shared" / "chains" / "cboe_json_rut_2023-09-20.json"

ORDERS = {
    "price": ((0, 0, 0, 0, 0), 1),
    "delta": ((1, 0, 0, 0, 0), 1),
    "gamma": ((2, 0, 0, 0, 0), 1),
    "vega_per_vol_point": ((0, 0, 1, 0, 0), 0.01),
    "theta_per_day": ((0, 1, 0, 0, 0), -1 / mp.mpf(365)),
    "rho_per_pct": ((0, 0, 0, 1, 0), 0.01),
    "dividend_rho_per_pct": ((0, 0, 0, 0, 1), 0.01),
    "vanna_per_vol_point": ((1, 0, 1, 0, 0), 0.01),
    "charm_per_day": ((1, 1, 0, 0, 0), -1 / mp.mpf(365)),
}
"""Order of differentiation of the price in (S, T, σ, r, q), and the unit."""


def oracle(s: Any, t: Any, v: Any, r: Any, q: Any, *, k: Any, is_call: bool) -> Any:
    return mp_price(s * mp.exp((r - q) * t), k, t, v, r, is_call)


def test_every_greek_against_differences_at_fifty_digits() -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        spot, vol, years = 10 ** rng.uniform(0, 4), rng.uniform(0.05, 1.0), 10 ** rng.uniform(-4, 1)
        strike = spot * np.exp(rng.uniform(-4, 4) * vol * np.sqrt(years))
        rate, dividend, is_call = rng.uniform(-0.03, 0.1), rng.uniform(-0.02, 0.08), rng.random() < 0.5
        found = spot_greeks(spot, strike, years, vol, rate, dividend, is_call=is_call)
        point = tuple(map(mp.mpf, (spot, years, vol, rate, dividend)))
        function = lambda *a, k=strike, c=is_call: oracle(*a, k=k, is_call=c)  # noqa: E731
        with mp.workdps(50):
            values = {n: float(mp.diff(function, point, o) * u) for n, (o, u) in ORDERS.items()}
        # Where a greek changes sign, relative to the terms it is made of.
        growth, decay = abs(rate) + abs(dividend), 0.5 * vol / years
        scale = {n: abs(v) for n, v in values.items()}
        scale["theta_per_day"] += (growth * spot + decay * 100 * values["vega_per_vol_point"]) / 365
        scale["vanna_per_vol_point"] += values["gamma"] * spot * np.sqrt(years) / 100
        scale["charm_per_day"] += (growth * (1 + spot * values["gamma"])) / 365
        scale["charm_per_day"] += 100 * decay * scale["vanna_per_vol_point"] / 365
        for name, value in values.items():
            assert abs(getattr(found, name) - value) <= 1e-11 * scale[name], (name, found, point)
        fixed_forward = found.theta_per_day + (rate - dividend) * spot * found.delta / 365
        assert found.forward_theta_per_day == pytest.approx(fixed_forward, rel=1e-9, abs=1e-12 * spot)


def test_call_and_put_differ_by_the_forward() -> None:
    years, rate, dividend, spot = 0.7, 0.05, 0.02, 5000.0
    strike = np.linspace(3000.0, 8000.0, 11)
    call, put = (spot_greeks(spot, strike, years, 0.2, rate, dividend, is_call=c) for c in (True, False))
    share, cash = spot * np.exp(-dividend * years), strike * np.exp(-rate * years)
    expected = {
        "price": share - cash,
        "delta": share / spot,
        "gamma": 0.0,
        "vega_per_vol_point": 0.0,
        "theta_per_day": (dividend * share - rate * cash) / 365,
        "rho_per_pct": 0.01 * years * cash,
        "dividend_rho_per_pct": -0.01 * years * share,
        "charm_per_day": dividend * share / spot / 365,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(call, name) - getattr(put, name), value, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("is_call", [True, False])
def test_limits_are_finite_and_right(is_call: bool) -> None:
    sign = 1.0 if is_call else -1.0
    strike = np.array([0.0, 4000.0, 5000.0, 6000.0])
    still = spot_greeks(5000.0, strike, 0.5, 0.0, 0.05, 0.02, is_call=is_call)
    share, cash = 5000.0 * np.exp(-0.01), strike * np.exp(-0.025)
    inside = sign * (share - cash) > 0
    np.testing.assert_allclose(still.price, np.where(inside, sign * (share - cash), 0.0), rtol=1e-14)
    np.testing.assert_allclose(
        365 * still.theta_per_day, np.where(inside, sign * (0.02 * share - 0.05 * cash), 0.0), rtol=1e-12
    )
    np.testing.assert_allclose(100 * still.rho_per_pct, np.where(inside, sign * 0.5 * cash, 0.0), rtol=1e-12)
    for years in (0.0, -1.0):
        over = spot_greeks(5000.0, strike, years, 0.2, 0.05, 0.02, is_call=is_call)
        np.testing.assert_allclose(over.price, np.maximum(sign * (5000.0 - strike), 0.0), rtol=1e-14)
        np.testing.assert_allclose(over.delta, sign * (1 + sign * np.sign(5000.0 - strike)) / 2)
        rest = [v for n, v in vars(over).items() if n not in ("price", "delta")]
        np.testing.assert_array_equal(np.stack(rest), 0.0)
    for name, value in vars(spot_greeks(5000.0, strike, 1e-6, 0.2, 0.05, 0.02, is_call=is_call)).items():
        assert np.isfinite(value).all(), name


def test_precision_shapes_and_transformations() -> None:
    strike = np.array([[90.0], [100.0], [120.0]])
    expiry = np.array([0.01, 0.5])
    wide = spot_greeks(100.0, strike, expiry, 0.2, 0.04, 0.01)
    narrow = spot_greeks(
        np.float32(100.0), strike.astype(np.float32), expiry.astype(np.float32), 0.2, 0.04, 0.01
    )
    assert wide.delta.shape == (3, 2)
    assert narrow.delta.dtype == np.float32
    np.testing.assert_allclose(narrow.delta, wide.delta, atol=1e-4)
    with jax.enable_x64(True):
        slope = jax.grad(lambda s: spot_greeks(s, 105.0, 0.5, 0.2, 0.04, 0.01).price)(100.0)
        jitted = jax.jit(lambda s: spot_greeks(s, 105.0, 0.5, 0.2, 0.04, 0.01))(100.0)
    assert isinstance(jitted, SpotGreeks)
    assert float(slope) == pytest.approx(float(jitted.delta), rel=1e-10)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InputError, match="spot must be"):
        spot_greeks(-1.0, 100.0, 0.5, 0.2)
    with pytest.raises(InputError, match="dividend_yield must be"):
        spot_greeks(100.0, 100.0, 0.5, 0.2, 0.04, np.nan)


@pytest.fixture(scope="module")
def vendor() -> tuple[OptionChain, pd.DataFrame]:
    if not FILE.exists():
        pytest.skip("the real chains are not beside this checkout")
    chain = read_chain(FILE)
    listed = pd.DataFrame(json.loads(FILE.read_text(encoding="utf-8"))["data"]["options"]).set_index("option")
    return chain, listed.loc[chain.quotes["symbol"].to_numpy()]


def test_vendor_columns(vendor: tuple[OptionChain, pd.DataFrame]) -> None:
    # The greeks of a file saved overnight stand still from the close on.
    chain, listed = vendor
    quotes = chain.quotes.merge(imply_forwards(chain), on=["expiry", "root"], how="left")
    rate = -np.log(quotes["discount"].to_numpy()) / quotes["years"].to_numpy()
    growth = np.log(quotes["forward"].to_numpy() / chain.spot) / quotes["years"].to_numpy()
    years = calendar_years("2023-09-20 16:15", quotes["expiry"])
    vol = listed["iv"].to_numpy(float)
    delta = listed["delta"].abs().to_numpy()
    kept = (vol > 0) & (years > 0.1) & (years < 1.5) & (delta > 0.05) & (delta < 0.95)
    assert kept.sum() > 1500
    found = spot_greeks(
        chain.spot,
        quotes["strike"].to_numpy()[kept],
        years[kept],
        vol[kept],
        rate[kept],
        (rate - growth)[kept],
        is_call=quotes["is_call"].to_numpy()[kept],
    )

    def miss(mine: Any, theirs: str) -> float:
        """Median difference over the median size of the vendor's column."""
        column = listed[theirs].to_numpy(float)[kept]
        return float(np.median(np.abs(mine - column)) / np.median(np.abs(column)))

    gamma_error = np.abs(found.gamma - listed["gamma"].to_numpy(float)[kept])
    assert gamma_error.max() < tol.VENDOR_GAMMA_ROUNDING + tol.VENDOR_GAMMA_NEXT_MONTHS
    assert miss(found.delta, "delta") < tol.VENDOR_GREEK
    assert miss(found.vega_per_vol_point, "vega") < tol.VENDOR_GREEK
    assert miss(found.rho_per_pct, "rho") < tol.VENDOR_GREEK
    assert miss(found.forward_theta_per_day, "theta") < tol.VENDOR_GREEK
    # The theta of the same name in textbooks, at fixed spot, is another number.
    assert miss(found.theta_per_day, "theta") > 20 * tol.VENDOR_GREEK
