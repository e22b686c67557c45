"""Repricing over spot, time and vol; expiry and snapshots; resampled levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from gammawall.surfaces.clock import VarianceClock
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.confidence import bootstrap_levels
from gammawall.surfaces.dealers.exposures import exposures, gex_at
from gammawall.surfaces.dealers.ladder import delta_usd, gex_heatmap, hedge_ladder
from gammawall.surfaces.dealers.rolloff import (
    after_expiry,
    expiry_removal,
    level_summary,
    next_monthly,
    snapshot_difference,
)
from gammawall.surfaces.errors import InputError

NOW = "2026-01-28T09:30"


def make_book(spot: float = 7000.0, as_of: str = NOW, scale: float = 1.0) -> Book:
    return Book.from_positions(
        contracts=scale * np.array([20_000.0, -9_000.0, 4_000.0, -6_000.0, 15_000.0]),
        strike=[7000.0, 6950.0, 7050.0, 6900.0, 7100.0],
        expiry=[
            "2026-01-28T16:00",
            "2026-01-28T16:00",
            "2026-01-30T16:00",
            "2026-02-20T09:30",
            "2026-03-20T16:00",
        ],
        vol=[0.12, 0.13, 0.125, 0.15, 0.14],
        is_call=[True, False, True, False, True],
        spot=spot,
        as_of=as_of,
        rate=0.04,
        carry_rate=0.03,
    )


def index_delta(book: Book, spot: float, vol_shift: float = 0.0) -> float:
    """Σ n m ∂V/∂S by central difference of the Black price: shares no formula with the code under test."""

    def value(s: float) -> float:
        total = 0.0
        for i in range(len(book)):
            f, k = book.carry[i] * s, book.strike[i]
            v = (book.vol[i] + vol_shift) * np.sqrt(book.variance_years[i])
            d1 = np.log(f / k) / v + 0.5 * v
            w = 1.0 if book.is_call[i] else -1.0
            price = book.discount[i] * w * (f * norm.cdf(w * d1) - k * norm.cdf(w * (d1 - v)))
            total += book.contracts[i] * book.multiplier * price
        return total

    h = 1e-3 * spot * 1e-1
    return (8 * (value(spot + h) - value(spot - h)) - (value(spot + 2 * h) - value(spot - 2 * h))) / (12 * h)


@pytest.mark.parametrize("spot", [6880.0, 7000.0, 7090.0])
@pytest.mark.parametrize("vol_shift", [-0.01, 0.0, 0.02])
def test_delta_usd_is_the_slope_of_the_price(spot, vol_shift):
    book = make_book()
    want = spot * index_delta(book, spot, vol_shift)
    assert delta_usd(book, spot, vol_shift) == pytest.approx(want, rel=2e-6)


def test_book_at_a_later_time_has_less_variance_and_no_expired_contracts():
    book, clock = make_book(), VarianceClock("u_shape")
    noon = book.at("2026-01-28T12:45", clock)
    left = clock.variance_years("2026-01-28T12:45", "2026-01-28T16:00")
    np.testing.assert_allclose(noon.total_vol[0], 0.12 * np.sqrt(left), rtol=1e-12)
    assert noon.years[0] == pytest.approx(3.25 / 24 / 365, rel=1e-9)
    np.testing.assert_allclose(noon.carry[4], np.exp(0.03 * noon.years[4]), rtol=1e-12)
    assert len(book.at("2026-01-28T16:00")) == 3
    with pytest.raises(InputError, match="before the book's own time"):
        book.at("2026-01-27T16:00")


def test_heatmap_rows_are_the_profile_of_the_later_book():
    book, spots = make_book(), np.array([6900.0, 7000.0, 7100.0])
    frame = gex_heatmap(book, spots, [NOW, "2026-01-28T15:00", "2026-01-28T16:00"])
    np.testing.assert_allclose(frame.iloc[0], gex_at(book, spots), rtol=1e-12)
    alone = book.select(np.arange(5) == 0).at("2026-01-28T15:00")
    s = 0.12 * np.sqrt(60 / 390 / 252)
    assert gex_at(alone, 7000.0)[0] == pytest.approx(
        0.01 * 7000.0 * 2e6 * norm.pdf(0.5 * s) / s, rel=1e-4
    )  # carry over an hour moves d1 by 2e-3
    np.testing.assert_allclose(
        frame.iloc[2], gex_at(after_expiry(book, book.as_of).at("2026-01-28T16:00"), spots)
    )


def test_ladder_signs_and_attribution():
    book = make_book()
    frame = hedge_ladder(
        book, spot_moves_pct=(-0.05, 0.0, 0.05), vol_moves_points=(-0.1, 0.0, 0.1),
        instants=[NOW, "2026-01-28T09:35"],
    )  # fmt: skip
    still = frame[(frame["spot_points"] == book.spot) & (frame["vol_move_points"] == 0.0)]
    assert abs(still["trade_usd"].iloc[0]) < 1e-3
    gex = exposures(book).totals["gex_usd_per_1pct"]
    assert gex > 0
    rise = frame[(frame["spot_points"] > book.spot) & (frame["vol_move_points"] == 0.0)].iloc[0]
    assert rise["trade_usd"] < 0 < frame.iloc[3]["trade_usd"]
    assert rise["gamma_usd"] == pytest.approx(-0.05 * gex, rel=1e-3)
    parts = frame[["gamma_usd", "vanna_usd", "charm_usd", "residual_usd"]].sum(axis=1)
    np.testing.assert_allclose(parts, frame["trade_usd"], atol=1e-3)
    # Small moves: the greeks explain nearly all of it, whichever of the three moved.
    moved = frame.drop(still.index)
    assert (moved["residual_usd"].abs() < 0.06 * moved["trade_usd"].abs() + 2e6).all()


def test_ladder_attributes_vol_and_time_to_vanna_and_charm():
    book = make_book().select(np.array([False, False, False, True, True]))
    vol = hedge_ladder(book, spot_moves_pct=(0.0,), vol_moves_points=(0.05,)).iloc[0]
    assert vol["trade_usd"] == pytest.approx(vol["vanna_usd"], rel=5e-3)
    # Charm counts real days; a clock on which variance runs off evenly with them makes the two agree.
    later = book.as_of + pd.Timedelta(minutes=30)
    days = 30 / 1440
    total = book.total_vol**2 * (1.0 - days / 365 / book.years)
    shrunk = index_delta_of(book, total, days)
    want = -(shrunk - index_delta(book, book.spot)) * book.spot
    charm = hedge_ladder(book, spot_moves_pct=(0.0,), vol_moves_points=(0.0,), instants=[later]).iloc[0][
        "charm_usd"
    ]
    assert charm == pytest.approx(want, rel=2e-3)


def index_delta_of(book: Book, total_variance: np.ndarray, days: float) -> float:
    left = 1.0 - days / 365 / book.years
    v = np.sqrt(total_variance)
    f = book.spot * book.carry**left
    d1 = np.log(f / book.strike) / v + 0.5 * v
    call = norm.cdf(d1)
    delta = np.where(book.is_call, call, call - 1.0) * (book.carry * book.discount) ** left
    return float(np.sum(book.contracts * book.multiplier * delta))


def test_removal_takes_contracts_away_in_order():
    book = make_book()
    frame = expiry_removal(book)
    totals = frame["gex_usd_per_1pct"].astype(float)
    assert totals["now"] == pytest.approx(gex_at(book, book.spot)[0])
    assert totals["after_today"] == pytest.approx(
        gex_at(book.select(np.array([0, 0, 1, 1, 1], bool)), book.spot)[0]
    )
    assert totals["after_monthly"] == pytest.approx(
        gex_at(book.select(np.array([0, 0, 0, 0, 1], bool)), book.spot)[0]
    )
    empty = level_summary(book.select(np.zeros(5, bool)))
    assert empty["gex_usd_per_1pct"] == 0.0
    assert np.isnan(empty["call_wall"])


@pytest.mark.parametrize(
    ("date", "monthly"),
    [("2026-01-16", "2026-01-16"), ("2026-01-17", "2026-02-20"), ("2025-04-01", "2025-04-17"),
     ("2026-06-19", "2026-07-17"), ("2025-12-20", "2026-01-16")],
)  # fmt: skip
def test_next_monthly(date, monthly):
    # Good Friday 2025 and Juneteenth 2026 fall on third Fridays: the session before takes their place.
    assert next_monthly(pd.Timestamp(date)) == pd.Timestamp(monthly)


def test_difference_splits_exactly():
    before = make_book()
    after = make_book(spot=7010.0, scale=1.5).at("2026-01-28T16:00")
    frame = snapshot_difference(before, after)
    assert all(name.endswith("_usd_per_1pct") for name in frame)
    frame.columns = frame.columns.str.removesuffix("_usd_per_1pct")
    parts = frame[["expired_or_closed", "new", "resized", "repriced"]].sum(axis=1)
    np.testing.assert_allclose(parts, frame["change"], rtol=1e-12, atol=1e-3)
    gone = gex_at(before.select(np.array([1, 1, 0, 0, 0], bool)), before.spot)[0]
    assert frame["expired_or_closed"].sum() == pytest.approx(-gone)
    rest = gex_at(before.select(np.array([0, 0, 1, 1, 1], bool)), before.spot)[0]
    assert frame["resized"].sum() == pytest.approx(0.5 * rest)
    assert frame["change"].sum() == pytest.approx(
        exposures(after).totals["gex_usd_per_1pct"] - exposures(before).totals["gex_usd_per_1pct"]
    )


def test_bootstrap_knows_a_lonely_wall_from_a_tie():
    lonely = make_book().select(np.array([True, False, False, False, False]))
    frame = bootstrap_levels(lonely, draws=50)
    assert frame.loc["call_wall", "agreement"] == 1.0
    assert frame.loc["call_wall", "median_points"] == 7000.0
    assert frame.loc["put_wall", "found"] == 0.0
    assert np.isnan(frame.loc["put_wall", "median_points"])
    tie = Book.from_positions(
        contracts=[5000.0, 5000.0], strike=[6930.0, 7070.0], expiry="2026-02-20T16:00", vol=0.15,
        spot=7000.0, as_of=NOW,
    )  # fmt: skip
    share = bootstrap_levels(tie, draws=400).loc["abs_gamma", "agreement"]
    # Equal sizes under equal weights: each strike wins half of the draws, within 4 standard errors.
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(400) + 0.05


def test_bootstrap_interval_holds_the_zero_gamma_of_the_book():
    book = make_book()
    row = bootstrap_levels(book, draws=200).loc["zero_gamma"]
    assert row["low_points"] <= level_summary(book)["zero_gamma"] <= row["high_points"]
    with pytest.raises(InputError, match="at least one draw"):
        bootstrap_levels(book, draws=0)
