"""Who is long what: every way of saying it, on a synthetic chain."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gammawall.surfaces.chains.terms import chain_terms
from gammawall.surfaces.dealers.chain_book import dealer_book
from gammawall.surfaces.dealers.convention_report import convention_report
from gammawall.surfaces.dealers.conventions import CONVENTIONS, ShareRule, Shares, SignedFlow
from gammawall.surfaces.dealers.exposures import exposures
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import GEX_UNITS
from tests.helpers.synthetic import make_chain


@pytest.fixture(scope="module")
def chain():
    return make_chain()


@pytest.fixture(scope="module")
def terms(chain):
    return chain_terms(chain)


def test_named_conventions_are_signs_of_one_book(chain, terms):
    books = {name: dealer_book(chain, name, terms=terms) for name in CONVENTIONS}
    sizes = books["all_long"].contracts
    assert (sizes > 0).all()
    np.testing.assert_array_equal(books["all_short"].contracts, -sizes)
    is_call = books["all_long"].is_call
    np.testing.assert_array_equal(books["calls_long_puts_short"].contracts, np.where(is_call, sizes, -sizes))
    np.testing.assert_array_equal(books["calls_short_puts_long"].contracts, np.where(is_call, -sizes, sizes))


def test_shares_take_the_first_rule_that_holds(chain, terms):
    rules = (
        ShareRule(0.0, is_call=True, distance_pct=(3.0, np.inf)),
        ShareRule(0.5, is_call=True),
        ShareRule(-0.25, is_call=False, days=(0.0, 5.0)),
    )
    book = dealer_book(chain, Shares(rules, otherwise=-1.0, name="desk view"), terms=terms)
    assert book.convention == "desk view"
    whole = dealer_book(chain, "all_long", terms=terms)
    far = whole.is_call & (whole.strike >= 1.03 * chain.spot)
    days = np.asarray((whole.expiry - chain.as_of).total_seconds()) / 86400
    share = np.where(whole.is_call, 0.5, np.where(days < 5.0, -0.25, -1.0))
    assert 0 < far.sum() < far.size
    np.testing.assert_allclose(book.contracts, (whole.contracts * share)[~far], rtol=1e-15)


@pytest.mark.parametrize("arguments", [{"share": 1.5}, {"share": np.nan}, {"share": 0.1, "days": (5.0, 5.0)}])
def test_rules_out_of_range_are_refused(arguments):
    with pytest.raises(InputError, match="must"):
        ShareRule(**arguments)


def test_signed_flow_replaces_size_and_sign(chain, terms, tmp_path):
    symbols = chain.quotes["symbol"].iloc[[3, 50, 51]]
    path = tmp_path / "flow.csv"
    pd.DataFrame({"symbol": symbols, "dealer_contracts": [-120.0, 35.0, 0.0]}).to_csv(path, index=False)
    book = dealer_book(chain, SignedFlow.read_csv(path), terms=terms)
    np.testing.assert_array_equal(np.sort(book.contracts), [-120.0, 35.0])
    assert book.convention == "flow.csv"
    assert exposures(book).totals["gex_usd_per_1pct"] != 0.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("symbol,contracts\nA,1\n", "lacks dealer_contracts"),
        ("symbol,dealer_contracts\nA,1\nB,x\n", "line 3"),
        ("symbol,dealer_contracts\nA,1\nA,2\n", "A twice"),
        ("", "cannot be read"),
    ],
)
def test_bad_flow_files_are_refused(text, message, tmp_path):
    path = tmp_path / "flow.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        SignedFlow.read_csv(path)


def test_flow_in_unknown_contracts_is_refused(chain, terms):
    flow = SignedFlow(pd.Series([5.0], index=["SPXW991231C09999000"]))
    with pytest.raises(InputError, match="not in the chain"):
        dealer_book(chain, flow, terms=terms)


def test_report_shows_that_signs_mirror_and_says_what_was_refused(chain):
    frame = convention_report(chain)
    gex = frame["gex_usd_per_1pct"].unstack("size")["open_interest"]
    assert gex["all_short"] == pytest.approx(-gex["all_long"])
    assert gex["calls_short_puts_long"] == pytest.approx(-gex["calls_long_puts_short"])
    assert (
        frame.loc[("all_long", "open_interest"), "put_wall"]
        != frame.loc[("all_long", "open_interest"), "call_wall"]
    )
    silent = chain.quotes.assign(volume=0.0)
    report = convention_report(type(chain)(silent, chain.spot, chain.as_of, chain.report), sizes=("volume",))
    assert report["refused"].str.contains("unusable").all()


def test_unknown_names_are_refused(chain, terms):
    with pytest.raises(InputError, match="calls_long_puts_short"):
        dealer_book(chain, "dealers_win", terms=terms)
    with pytest.raises(InputError, match="open_interest"):
        dealer_book(chain, size="gut_feeling", terms=terms)


def test_gex_units_restate_one_number():
    # Desk notes: 12.25 bn per 1 % at 7,000 makes dealers sell 35,000 E-minis on a rise of 1 %.
    factor = {name: unit(7000.0) for name, unit in GEX_UNITS.items()}
    assert 12.25e9 * factor["eminis_per_1pct"] == pytest.approx(35_000.0)
    assert factor["usd_per_point"] * 70.0 == pytest.approx(factor["usd_per_1pct"])
    assert factor["usd_per_10bp"] * 10.0 == pytest.approx(factor["usd_per_1pct"])
