from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gammawall.surfaces.chains.forwards import imply_forwards, imply_spot
from gammawall.surfaces.chains.read import read_chain
from gammawall.surfaces.clock import calendar_years
from tests.helpers.synthetic import AS_OF, EXPIRIES, make_chain, make_quotes

CHAINS = Path(__file__).parents[4] / "shared" / "chains"
COLUMNS = [
    "expiry",
    "root",
    "years",
    "forward",
    "discount",
    "residual",
    "gap_points",
    "n_strikes",
    "source",
    "reason",
]


def _expected(years: pd.Series, spot: float, rate: float, dividend: float) -> tuple[np.ndarray, np.ndarray]:
    return spot * np.exp((rate - dividend) * years.to_numpy()), np.exp(-rate * years.to_numpy())


@settings(deadline=None, max_examples=25)
@given(
    rate=st.floats(-0.01, 0.1),
    dividend=st.floats(0, 0.04),
    spot=st.floats(500, 9000),
    half_spread=st.floats(0.03, 0.5),
)
def test_exact_quotes_give_back_forward_and_discount(rate, dividend, spot, half_spread):
    chain = make_chain(spot=spot, rate=rate, dividend=dividend, half_spread=half_spread)
    table = imply_forwards(chain)
    forward, discount = _expected(table["years"], spot, rate, dividend)
    np.testing.assert_allclose(table["forward"], forward, rtol=1e-10)
    np.testing.assert_allclose(table["discount"], discount, rtol=1e-8)
    np.testing.assert_allclose(
        table["gap_points"], spot * (np.exp(-dividend * table["years"]) - 1), atol=1e-6 * spot
    )
    assert table["residual"].max() < 1e-6


def test_one_row_per_expiry_and_root_in_the_chains_order():
    chain = make_chain()
    table = imply_forwards(chain)
    assert list(table.columns) == COLUMNS
    keys = chain.quotes[["expiry", "root"]].drop_duplicates()
    assert list(zip(table["expiry"], table["root"], strict=True)) == list(
        keys.itertuples(index=False, name=None)
    )
    np.testing.assert_array_equal(table["years"], calendar_years(AS_OF, table["expiry"]))
    assert table["source"].tolist() == ["fixed_discount"] * 4 + ["parity"] * 3
    assert (table["reason"] == "").tolist() == (table["source"] == "parity").tolist()


def test_stale_quotes_do_not_move_the_fit():
    quotes = make_quotes()
    hit = quotes.index[quotes["is_call"]][::9]
    quotes.loc[hit, ["bid", "ask"]] += 15.0
    table = imply_forwards(read_chain(quotes, spot=6485.0, as_of=AS_OF))
    forward, discount = _expected(table["years"], 6485.0, 0.0425, 0.0125)
    np.testing.assert_allclose(table["forward"], forward, atol=0.02)
    np.testing.assert_allclose(table["discount"], discount, rtol=2e-4)


def test_noise_within_the_spread_is_averaged_out():
    quotes = make_quotes(half_spread=0.3)
    noise = np.random.default_rng(3).uniform(-0.25, 0.25, len(quotes))
    two_sided = quotes["bid"] > 0.25
    quotes.loc[two_sided, "bid"] += noise[two_sided]
    quotes.loc[two_sided, "ask"] += noise[two_sided]
    table = imply_forwards(read_chain(quotes, spot=6485.0, as_of=AS_OF))
    forward, discount = _expected(table["years"], 6485.0, 0.0425, 0.0125)
    assert np.abs(table["forward"] - forward).max() < 0.25
    assert np.abs(-np.log(table["discount"] / discount) / table["years"]).max() < 0.002
    assert table["residual"].between(0.05, 0.4).all()


def test_a_stale_index_shows_in_the_gap_and_not_in_the_forward():
    chain = read_chain(make_quotes(), spot=6485.0 - 28.0, as_of=AS_OF)
    table = imply_forwards(chain)
    gap = 6485.0 * np.exp(-0.0125 * table["years"]) - 6457.0
    np.testing.assert_allclose(table["gap_points"], gap, atol=1e-4)
    np.testing.assert_allclose(table["forward"], 6485.0 * np.exp(0.03 * table["years"]), rtol=1e-9)


def test_crossed_and_one_sided_quotes_are_not_used():
    quotes = make_quotes(expiries=EXPIRIES[4:])
    calls = quotes.index[quotes["is_call"]]
    quotes.loc[calls[::3], "ask"] = 0.0
    quotes.loc[calls[1::3], "bid"] = 0.0
    table = imply_forwards(read_chain(quotes, spot=6485.0, as_of=AS_OF))
    forward, _ = _expected(table["years"], 6485.0, 0.0425, 0.0125)
    np.testing.assert_allclose(table["forward"], forward, rtol=1e-10)


def test_an_implausible_slope_takes_its_discount_from_the_other_expiries():
    quotes = make_quotes()
    bent = (quotes["expiry"].dt.year == 2026) & quotes["is_call"]
    quotes.loc[bent, ["bid", "ask"]] = quotes.loc[bent, ["bid", "ask"]].add(
        0.4 * (quotes.loc[bent, "strike"] - 6485.0).clip(lower=-900.0) + 360.0, axis=0
    )
    row = imply_forwards(read_chain(quotes, spot=6485.0, as_of=AS_OF)).iloc[5]
    assert row["source"] == "fixed_discount"
    assert "outside" in row["reason"]
    assert row["discount"] == pytest.approx(np.exp(-0.0425 * row["years"]), rel=1e-6)


def test_slices_without_two_sided_quotes_follow_their_neighbours():
    quotes = make_quotes()
    silent = quotes["expiry"].dt.date.isin(
        [dt.date(2025, 9, 4), dt.date(2025, 12, 19), dt.date(2027, 12, 17)]
    )
    quotes.loc[silent, "bid"] = 0.0
    table = imply_forwards(read_chain(quotes, spot=6485.0, as_of=AS_OF))
    forward, discount = _expected(table["years"], 6485.0, 0.0425, 0.0125)
    assert table["source"].tolist() == ["carry", *["fixed_discount"] * 3, "carry", "parity", "carry"]
    np.testing.assert_allclose(table["forward"], forward, rtol=1e-8)
    np.testing.assert_allclose(table["discount"], discount, rtol=1e-6)
    assert table.loc[table["source"] == "carry", "n_strikes"].eq(0).all()
    assert table.loc[table["source"] == "carry", "reason"].str.contains("too few").all()


def test_few_strikes_fit_the_forward_alone():
    wide = make_quotes(expiries=EXPIRIES[4:])
    few = make_quotes(expiries=[("SPXW", dt.date(2026, 3, 31))], strikes=[6400.0, 6500.0, 6600.0])
    table = imply_forwards(read_chain(pd.concat([wide, few]), spot=6485.0, as_of=AS_OF))
    row = table[table["root"] == "SPXW"].iloc[0]
    assert (row["source"], row["n_strikes"]) == ("fixed_discount", 3)
    assert row["forward"] == pytest.approx(6485.0 * np.exp(0.03 * row["years"]), rel=1e-7)


def test_with_no_quotes_at_all_the_index_is_used_and_said():
    table = imply_forwards(read_chain(make_quotes().assign(bid=0.0), spot=6485.0, as_of=AS_OF))
    assert table["source"].eq("carry").all()
    assert table["reason"].str.contains("quoted index is used").all()
    assert table["forward"].eq(6485.0).all() or np.allclose(table["forward"], 6485.0, rtol=1e-12)


def test_a_same_day_slice_alone_has_a_forward():
    table = imply_forwards(make_chain(expiries=EXPIRIES[:1]))
    assert table["forward"].iloc[0] == pytest.approx(6485.0, abs=0.1)
    assert table["discount"].iloc[0] == pytest.approx(1.0, abs=1e-4)


def test_the_implied_index_is_the_one_behind_the_quotes():
    quotes = make_quotes(spot=6123.4)
    assert imply_spot(quotes, pd.Timestamp(AS_OF, tz="America/New_York")) == pytest.approx(6123.4, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "low", "high", "gap"),
    [
        # Money-market rates of the day were 4.4, 4.4 and 5.1 percent; parity pays up to 0.6 points more.
        ("cboe_csv_spx_2025-09-04.csv", 0.036, 0.050, (-1.0, 0.5)),
        ("cboe_csv_spx_2025-08-28.csv", 0.036, 0.050, (1.0, 5.0)),
        ("cboe_csv_spx_2023-06-09.csv", 0.039, 0.055, (-1.5, 0.5)),
        # Quotes of the night and of the early morning beside yesterday's close.
        ("cboe_csv_spx_2025-08-27.csv", 0.036, 0.050, (-18.0, -12.0)),
        ("cboe_csv_spx_2024-11-11_es.csv", 0.03, 0.06, (26.0, 31.0)),
    ],
)
def test_real_forwards_have_the_rates_of_their_day(name, low, high, gap):
    if not (CHAINS / name).exists():
        pytest.skip("the folder of real chains is not beside the project")
    table = imply_forwards(read_chain(CHAINS / name))
    rates = -np.log(table["discount"]) / table["years"]
    assert rates.between(low, high).all(), rates.describe()
    assert gap[0] < table["gap_points"].iloc[0] < gap[1]
    assert table["source"].isin(["parity", "fixed_discount"]).all()
    # Neighbouring forwards grow smoothly: nothing within a year jumps by more than a few points.
    near = table[table["years"] < 1.0]
    trend = np.polynomial.Polynomial.fit(near["years"], near["forward"], 3)(near["years"].to_numpy())
    assert np.abs(near["forward"] - trend).max() < 4.0
    assert near["residual"].median() < 0.3
