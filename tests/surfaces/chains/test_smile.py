"""Our own vols of quotes: one per strike, bands that hold the truth, and the vendor's beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gammawall.surfaces.chains.bands import quote_bands, vendor_vol_report
from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.forwards import imply_forwards
from gammawall.surfaces.chains.read import read_chain
from gammawall.surfaces.chains.smile import quote_vols
from tests.helpers.synthetic import AS_OF, make_chain, make_quotes

CHAINS = Path(__file__).parents[4] / "shared" / "chains"


@pytest.fixture(scope="module")
def chain() -> OptionChain:
    return make_chain()


def test_bands_hold_the_vol_the_quotes_were_made_from(chain: OptionChain) -> None:
    bands = quote_bands(chain)
    bands = chain.quotes.merge(bands, on=["expiry", "root", "strike"])
    truth = bands["vendor_vol"].to_numpy()
    assert len(bands) > 400
    assert ((bands["bid_vol"] <= truth) & (truth <= bands["ask_vol"])).all()
    # Parity gives the forward to a fraction of the spread, which far from the money is nothing in vol.
    np.testing.assert_allclose(bands["mid_vol"], truth, atol=2e-4)


def test_call_and_put_of_a_strike_share_a_vol(chain: OptionChain) -> None:
    found = chain.quotes.assign(vol=quote_vols(chain, imply_forwards(chain))["vol"])
    spread = found.groupby(["expiry", "root", "strike"])["vol"].agg(np.ptp)
    assert spread.max() == 0.0


def test_vendor_vols_are_compared_where_there_are_two() -> None:
    quotes = make_quotes()
    expiries = sorted(set(quotes["expiry"]))
    quotes.loc[quotes["expiry"] == expiries[-1], "vendor_vol"] = np.nan
    quotes.loc[quotes["expiry"] == expiries[1], "vendor_vol"] += 0.02
    wrong = quotes.index[(quotes["expiry"] == expiries[1]) & (quotes["strike"] > 6500) & quotes["is_call"]][1]
    quotes.loc[wrong, "vendor_vol"] -= 0.09
    chain = read_chain(quotes, spot=6485.0, as_of=AS_OF)
    report = vendor_vol_report(chain)
    assert len(report) == len(chain.quotes[["expiry", "root"]].drop_duplicates())
    shifted, missing, rest = report.iloc[1], report.iloc[-1], report.iloc[2:-1]
    assert shifted["median_vol_points"] == pytest.approx(2.0, abs=0.02)
    assert shifted["worst_vol_points"] == pytest.approx(-7.0, abs=0.02)
    assert shifted["worst_strike"] == quotes.loc[wrong, "strike"]
    assert missing["compared"] == 0
    assert np.isnan(missing[["median_vol_points", "worst_vol_points", "worst_strike"]].to_numpy(float)).all()
    assert (rest["compared"] > 20).all()
    assert (rest["median_vol_points"].abs() < 0.02).all()


def test_vendor_vols_of_a_real_chain() -> None:
    path = CHAINS / "cboe_csv_spx_2025-09-04.csv"
    if not path.exists():
        pytest.skip("the real chains are not beside this checkout")
    report = vendor_vol_report(read_chain(path))
    assert report["compared"].sum() > 8000
    # From the second day on, what minute the vendor's clock shows no longer matters.
    assert (report["median_vol_points"].iloc[2:].abs() < 0.1).all()
