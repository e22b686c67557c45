"""Vols of American prices: there and back, and a reason where there is none."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.surfaces import ImpliedStatus, american_greeks, american_implied_vol, american_price
from tests.helpers.american_reference import COLUMNS, contracts


def test_there_and_back_and_no_silent_failure() -> None:
    points = contracts(300, 11)
    columns = [points[name] for name in COLUMNS[:-1]]
    price = american_price(*columns, is_call=points["is_call"])
    priced = np.isfinite(price)
    found = american_implied_vol(
        price, points["spot"], points["strike"], points["expiry"], points["rate"], points["dividend_yield"],
        is_call=points["is_call"],
    )  # fmt: skip
    ok = found.status == ImpliedStatus.ok
    assert ok.sum() > 200
    assert np.abs(found.vol - points["vol"])[ok].max() < 1e-7
    assert np.isnan(found.vol[~ok]).all()
    assert (found.status[~priced] == ImpliedStatus.bad_input).all()
    # What is not ok is exercised at once or hardly moved by vol.
    vega = american_greeks(*columns, is_call=points["is_call"]).vega
    assert set(found.status[priced & ~ok]) <= {ImpliedStatus.low_vega}
    assert (vega[priced & ~ok] < 2e-4 * 100.0 * 2.0).all()


def test_prices_without_a_vol_say_why() -> None:
    price = np.array([6.09037059, 19.9, 20.0, 100.0, -1.0, np.nan])
    spot = np.array([100.0, 80.0, 80.0, 100.0, 100.0, 100.0])
    found = american_implied_vol(price, spot, 100.0, 1.0, 0.05, is_call=False)
    names = [ImpliedStatus(s).name for s in found.status]
    assert names == ["ok", "below_intrinsic", "low_vega", "above_max", "bad_input", "bad_input"]
    assert ImpliedStatus(int(american_implied_vol(6.0, 100.0, 100.0, 0.0).status)).name == "expired"
    both = american_implied_vol(6.0, 100.0, 100.0, 1.0, -0.01, -0.03, is_call=False)
    assert ImpliedStatus(int(both.status)).name == "not_converged"


def test_the_derivative_is_that_of_the_inverse() -> None:
    with jax.enable_x64(True):
        slope = jax.grad(lambda p: american_implied_vol(p, 100.0, 100.0, 1.0, 0.05, is_call=False).vol)(
            jnp.asarray(6.09037059)
        )
    vega = american_greeks(100.0, 100.0, 1.0, 0.2, 0.05, is_call=False).vega
    np.testing.assert_allclose(float(slope) * vega, 1.0, rtol=1e-6)
