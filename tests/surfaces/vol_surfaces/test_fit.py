from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.read import read_chain
from gammawall.surfaces.clock import calendar_years
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.pricing.black import black_price
from gammawall.surfaces.vol_surfaces.arbitrage import check_arbitrage
from gammawall.surfaces.vol_surfaces.essvi import EssviSurface
from gammawall.surfaces.vol_surfaces.fit import fit_surface
from tests.helpers.synthetic import AS_OF, EXPIRIES, make_quotes

CHAINS = Path(__file__).parents[4] / "shared" / "chains"
SPOT = 6485.0
HALF_SPREAD = 0.02


def true_surface() -> EssviSurface:
    """Admissible by the classic conditions: θ rises faster than ψ, and ψ(1 ± ρ) rises."""
    table = make_quotes(strikes=[SPOT])[["root", "expiry"]].drop_duplicates()
    years = calendar_years(AS_OF, pd.DatetimeIndex(table["expiry"]))
    theta, rho = 0.15**2 * years, -0.6 - 0.05 * np.minimum(years, 1.0)
    shape = EssviSurface(years, SPOT * np.exp(0.03 * years), theta, rho, 0.9 * np.sqrt(theta) * theta**0.02)
    assert check_arbitrage(shape).is_free
    return shape


def true_chain(shape: EssviSurface) -> OptionChain:
    """Quotes whose mids lie on a surface."""
    quotes = make_quotes(vol=0.16)
    years = calendar_years(AS_OF, pd.DatetimeIndex(quotes["expiry"]))
    strike = quotes["strike"].to_numpy(float)
    forward = SPOT * np.exp(0.03 * years)
    vol = np.asarray(shape.vol(strike, years, forward))
    price = black_price(forward, strike, years, vol, 0.0425, is_call=quotes["is_call"].to_numpy(bool))
    quotes["bid"] = np.where(price > HALF_SPREAD, price - HALF_SPREAD, 0.0)
    quotes["ask"] = price + HALF_SPREAD
    return read_chain(quotes, spot=SPOT, as_of=AS_OF)


@pytest.fixture(scope="module")
def chain() -> OptionChain:
    return true_chain(true_surface())


@pytest.fixture(scope="module")
def fits(chain):
    return {model: fit_surface(chain, model) for model in ("essvi", "svi")}


def test_a_known_surface_is_recovered(fits):
    shape, fitted = true_surface(), fits["essvi"].surface
    np.testing.assert_allclose(fitted.years, shape.years, rtol=1e-12)
    np.testing.assert_allclose(fitted.forwards, shape.forwards, rtol=1e-6)
    np.testing.assert_allclose(fitted.theta, shape.theta, rtol=1e-3)
    np.testing.assert_allclose(fitted.rho, shape.rho, atol=0.01)
    np.testing.assert_allclose(fitted.psi, shape.psi, rtol=0.02)


@pytest.mark.parametrize("model", ["essvi", "svi"])
def test_a_known_surface_is_fitted_to_a_hundredth_of_a_vol_point(fits, model):
    report = fits[model].report
    assert report["rmse_vol_points"].max() < 0.01
    assert report["inside"].min() > 0.95
    # Away from the quoted strikes too; between expiries only eSSVI has the interpolation of the truth.
    shape = true_surface()
    t = np.concatenate([shape.years, [0.05, 0.4, 1.2] if model == "essvi" else []])[:, None]
    k = np.linspace(-3.0, 3.0, 25) * np.sqrt(shape.total_variance(0.0, t))
    error = np.sqrt(fits[model].surface.total_variance(k, t) / t) - np.sqrt(shape.total_variance(k, t) / t)
    assert np.abs(error).max() < 2e-4


@pytest.mark.parametrize("model", ["essvi", "svi"])
def test_fitted_surfaces_audit_clean(fits, model):
    report = check_arbitrage(fits[model].surface)
    assert report.is_free, str(report)


def test_report_counts_what_it_says(chain, fits):
    report = fits["essvi"].report
    assert list(report.columns) == [
        "expiry",
        "root",
        "years",
        "forward",
        "quotes",
        "rmse_vol_points",
        "max_error_vol_points",
        "inside",
        "reason",
    ]
    assert list(report["root"]) == [root for root, _ in EXPIRIES]
    assert np.all(np.diff(report["years"]) > 0.0)
    assert (report["reason"] == "").all()
    row = report.iloc[3]
    quotes = chain.quotes[(chain.quotes["expiry"] == row["expiry"]) & (chain.quotes["root"] == row["root"])]
    money = quotes["is_call"] == (quotes["strike"] >= row["forward"])
    spread = 3.0 * 0.15 * np.sqrt(row["years"])
    near = np.abs(np.log(quotes["strike"] / row["forward"])) <= spread
    assert abs(int((money & near & (quotes["bid"] > 0)).sum()) - row["quotes"]) <= 2


def test_quotes_no_surface_can_meet_still_give_one_without_arbitrage(chain):
    # The second expiry's options cost less than the first's: total variance falls.
    quotes = chain.quotes.copy()
    expiries = quotes["expiry"].unique()
    early = (quotes["expiry"] == expiries[4]).to_numpy()
    for side in ("bid", "ask"):
        value = quotes[side].to_numpy(float)
        middle = 0.5 * (quotes["bid"] + quotes["ask"]).to_numpy(float)
        intrinsic = np.maximum(np.where(quotes["is_call"], 1, -1) * (SPOT - quotes["strike"]), 0.0)
        quotes[side] = np.where(early, value + 0.6 * np.maximum(middle - intrinsic, 0.0), value)
    fit = fit_surface(read_chain(quotes, spot=SPOT, as_of=AS_OF))
    assert fit.report["rmse_vol_points"].max() > 0.5
    assert fit.loss > fit.free_loss
    assert check_arbitrage(fit.surface).is_free


@pytest.mark.slow
@pytest.mark.parametrize("model", ["essvi", "svi"])
def test_slices_without_quotes_are_left_out_and_one_is_enough(chain, model):
    quotes = chain.quotes.copy()
    alive = (quotes["expiry"] == quotes["expiry"].unique()[4]).to_numpy()
    quotes.loc[~alive, "bid"] = 0.0
    fit = fit_surface(read_chain(quotes, spot=SPOT, as_of=AS_OF), model)
    left_out = np.arange(len(EXPIRIES)) != 4
    assert fit.report.loc[left_out, "reason"].str.contains("fewer than 5").all()
    assert fit.report.loc[left_out, "rmse_vol_points"].isna().all()
    assert fit.report.loc[4, "rmse_vol_points"] < 0.01
    assert fit.surface.years.size == 1
    assert check_arbitrage(fit.surface).is_free


def test_what_cannot_be_fitted_is_refused(chain):
    with pytest.raises(InputError, match="unknown"):
        fit_surface(chain, "sabr")
    quotes = chain.quotes.copy()
    quotes["bid"] = 0.0
    with pytest.raises(InputError, match="no expiry has 5"):
        fit_surface(read_chain(quotes, spot=SPOT, as_of=AS_OF))


@pytest.mark.slow
@pytest.mark.parametrize("day", ["2025-09-04", "2023-06-09"])
@pytest.mark.parametrize(("model", "median", "largest"), [("essvi", 0.30, 0.9), ("svi", 0.10, 0.4)])
def test_real_chains(day, model, median, largest):
    path = CHAINS / f"cboe_csv_spx_{day}.csv"
    if not path.exists():
        pytest.skip(f"the chain {path.name} is not beside the project")
    fit = fit_surface(read_chain(path), model)
    assert (fit.report["reason"] == "").all()
    assert fit.report["rmse_vol_points"].median() <= median
    assert fit.report["rmse_vol_points"].max() <= largest
    assert check_arbitrage(fit.surface).is_free
