"""Exposures against differences of a revalued book, their sums and signs, and the real chains."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.read import read_chain
from gammawall.surfaces.clock import VarianceClock, calendar_years
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.chain_book import dealer_book
from gammawall.surfaces.dealers.exposures import COLUMNS, exposures, gex_at, position_exposures
from gammawall.surfaces.dealers.levels import levels
from gammawall.surfaces.errors import InputError
from tests.helpers import tolerances as tol
from tests.helpers.synthetic import black, make_chain

CHAINS = Path(__file__).parents[4] / "shared" / "chains"
GEX, DEX, VEX, CEX = COLUMNS


@pytest.fixture(scope="module", params=["by hand", "from a chain"])
def book(request: pytest.FixtureRequest) -> Book:
    if request.param == "from a chain":
        return dealer_book(make_chain())
    rng = np.random.default_rng(4)
    days = ["2026-01-28T16:00", "2026-01-30T16:00", "2026-02-20T09:30", "2027-01-15T09:30"]
    return Book.from_positions(
        contracts=rng.normal(0.0, 3e4, 60),
        strike=7000 + 25 * rng.integers(-12, 13, 60),
        expiry=rng.choice(days, 60),
        vol=rng.uniform(0.08, 0.3, 60),
        is_call=rng.random(60) < 0.5,
        spot=6990.0,
        as_of="2026-01-28T13:17",
        rate=0.0425,
        carry_rate=0.0305,
        clock=VarianceClock(profile="u_shape", overnight=0.25, weekend=0.4),
    )


def revalued(book: Book, spot: float, *, vol: float = 0.0, years: float = 0.0) -> tuple[float, float]:
    """Value, USD, and spot delta, USD per point; later by `years`, each option with its share of variance."""
    left = 1.0 - years / book.years
    carry, discount = book.carry**left, book.discount**left
    deviation = (book.vol + vol) * np.sqrt(book.variance_years * left)
    price, delta, _ = black(carry * spot, book.strike, deviation, discount, book.is_call)
    units = book.contracts * book.multiplier
    return float(units @ price), float(units @ (carry * delta))


def slope(function: Any, step: float) -> float:
    """Central difference, with the leading error removed."""
    wide, narrow = ((function(h) - function(-h)) / (2 * h) for h in (2 * step, step))
    return (4 * narrow - wide) / 3


def test_totals_are_the_slopes_of_the_revalued_book(book: Book) -> None:
    spot, totals = book.spot, exposures(book).totals
    point = slope(lambda h: revalued(book, spot + h)[0], 0.5)
    gamma = slope(lambda h: revalued(book, spot + h)[1], 0.5)
    vanna = slope(lambda h: revalued(book, spot, vol=h)[1], 1e-5)
    charm = slope(lambda h: revalued(book, spot, years=h)[1], 1e-4 * book.years.min())
    expected = {GEX: 0.01 * spot**2 * gamma, DEX: spot * point, VEX: 0.01 * spot * vanna}
    expected[CEX] = spot * charm / 365
    sizes = position_exposures(book).abs().sum()
    for name, value in expected.items():
        assert abs(totals[name] - value) < tol.REPRICED * sizes[name], name
        # The difference must not hide in a gross sum that dwarfs the total.
        assert abs(totals[name]) > 100 * tol.REPRICED * sizes[name], name


def test_vex_of_a_whole_vol_point_and_cex_of_a_day_are_moves_of_the_delta() -> None:
    book = Book.from_positions(
        contracts=[900.0, -400.0],
        strike=[7100.0, 6800.0],
        is_call=[True, False],
        expiry="2026-06-18T16:00",
        vol=0.15,
        spot=7000.0,
        as_of="2026-01-28T16:00",
        rate=0.04,
        carry_rate=0.025,
    )
    totals = exposures(book).totals
    delta = [7000.0 * revalued(book, 7000.0, vol=v)[1] for v in (-0.005, 0.005)]
    assert totals[VEX] == pytest.approx(delta[1] - delta[0], rel=2e-3)
    delta = [7000.0 * revalued(book, 7000.0, years=y / 365)[1] for y in (-0.5, 0.5)]
    assert totals[CEX] == pytest.approx(delta[1] - delta[0], rel=2e-3)


def test_carry_moves_the_delta_even_where_vol_does_not() -> None:
    # Deep in the money δ is e^{(g−r)T}: as T falls it grows at the dividend yield r − g.
    book = Book.from_positions(
        contracts=1.0,
        strike=1.0,
        expiry="2027-01-28T16:00",
        vol=0.1,
        spot=7000.0,
        as_of="2026-01-28T16:00",
        rate=0.05,
        carry_rate=0.02,
    )
    totals = exposures(book).totals
    years = float(book.years[0])
    assert totals[DEX] == pytest.approx(700_000 * np.exp(-0.03 * years), rel=1e-12)
    assert totals[CEX] == pytest.approx(0.03 / 365 * totals[DEX], rel=1e-12)


def test_signs_of_single_positions() -> None:
    def totals(**position: Any) -> dict[str, float]:
        terms = {"expiry": "2026-02-20T16:00", "vol": 0.15, "spot": 7000.0, "as_of": "2026-01-28T10:00"}
        return exposures(Book.from_positions(**(terms | {"contracts": 1.0} | position))).totals

    for strike in (6900.0, 7100.0):
        call, put = totals(strike=strike), totals(strike=strike, is_call=False)
        assert call[GEX] == pytest.approx(put[GEX], rel=1e-12)
        assert call[GEX] > 0
        assert put[DEX] < 0 < call[DEX]
        assert call[DEX] - put[DEX] == pytest.approx(700_000, rel=1e-12)
        assert call["gex_calls_usd_per_1pct"] == call[GEX]
        assert put["gex_puts_usd_per_1pct"] == put[GEX]
        assert call["gex_puts_usd_per_1pct"] == put["gex_calls_usd_per_1pct"] == 0.0
    # Above spot a higher vol raises every delta, and time lowers it.
    high, low = totals(strike=7300.0), totals(strike=6700.0)
    assert low[VEX] < 0 < high[VEX]
    assert high[CEX] < 0 < low[CEX]


def test_sums_agree(book: Book) -> None:
    exposed = exposures(book)
    rows = position_exposures(book)
    for name in COLUMNS:
        slack = tol.SUM * rows[name].abs().sum()
        for total in (exposed.by_strike[name].sum(), exposed.by_expiry[name].sum(), rows[name].sum()):
            assert abs(total - exposed.totals[name]) < slack
    assert list(exposed.by_strike.index) == sorted(set(book.strike))
    assert list(exposed.by_expiry.index) == sorted(set(book.expiry))
    slack = tol.SUM * rows[GEX].abs().sum()
    parts = [
        ("gex_calls_usd_per_1pct", "gex_puts_usd_per_1pct"),
        ("gex_0dte_usd_per_1pct", "ex_0dte_gex_usd_per_1pct"),
    ]
    for pair in parts:
        assert abs(sum(exposed.totals[p] for p in pair) - exposed.totals[GEX]) < slack
    today = exposed.by_expiry.index.normalize() == book.as_of.normalize()
    assert today.sum() == 1
    assert abs(exposed.by_expiry[GEX][today].sum() - exposed.totals["gex_0dte_usd_per_1pct"]) < slack
    strike = float(book.strike[0])
    assert exposed.by_strike[GEX][strike] == pytest.approx(rows[GEX][book.strike == strike].sum(), rel=1e-9)


def test_profile_is_the_book_revalued_at_other_spots(book: Book) -> None:
    assert gex_at(book, book.spot)[0] == pytest.approx(exposures(book).totals[GEX], rel=tol.SUM)
    spots = book.spot * np.array([0.9, 0.97, 1.004, 1.1])
    exposed = exposures(book, spots=spots)
    for spot, got in exposed.profile["gex_usd_per_1pct"].items():
        gamma = slope(lambda h, s=spot: revalued(book, s + h)[1], 0.5)
        size = gex_at(dataclasses.replace(book, contracts=np.abs(book.contracts)), spot)[0]
        assert abs(got - 0.01 * spot**2 * gamma) < tol.REPRICED * size
        today = book.select(book.same_day())
        assert exposed.profile["gex_0dte_usd_per_1pct"][spot] == pytest.approx(
            gex_at(today, spot)[0], rel=1e-12
        )
    # The number of spots decides how they are cut into pieces, never what comes out.
    many = np.linspace(spots[0], spots[-1], 130)
    np.testing.assert_allclose(gex_at(book, many), [gex_at(book, s)[0] for s in many], rtol=1e-12)


def test_flip_and_scale(book: Book) -> None:
    here = exposures(book)
    flipped = exposures(book.scaled(-1.0))
    doubled = exposures(dataclasses.replace(book, multiplier=2 * book.multiplier))
    for name, value in here.totals.items():
        assert flipped.totals[name] == -value
        assert doubled.totals[name] == pytest.approx(2 * value, rel=tol.SUM)
    np.testing.assert_array_equal(flipped.by_strike, -here.by_strike)
    np.testing.assert_array_equal(flipped.profile, -here.profile)
    np.testing.assert_allclose(doubled.profile, 2 * here.profile, rtol=tol.SUM)
    assert levels(book.scaled(-1.0)).zero_gamma == levels(book).zero_gamma


def test_conventions_only_change_signs() -> None:
    chain = make_chain()
    totals = {
        name: exposures(dealer_book(chain, name)).totals
        for name in ("calls_long_puts_short", "calls_short_puts_long", "all_long", "all_short")
    }
    for name in COLUMNS:
        assert totals["calls_short_puts_long"][name] == -totals["calls_long_puts_short"][name]
        assert totals["all_short"][name] == -totals["all_long"][name]
    calls, puts = "gex_calls_usd_per_1pct", "gex_puts_usd_per_1pct"
    assert totals["all_long"][calls] == totals["calls_long_puts_short"][calls] > 0
    assert totals["all_long"][puts] == -totals["calls_long_puts_short"][puts] > 0


def test_public_figure_of_futures_sold_into_a_one_percent_rise() -> None:
    """USD 12.25 bn per 1 % at 7,000 is 35,000 E-minis of USD 50 per point, and a rise is sold into."""
    terms = {"strike": 7000.0, "expiry": "2026-02-20T16:00", "vol": 0.12, "as_of": "2026-01-28T10:00"}
    one = Book.from_positions(contracts=1.0, spot=7000.0, **terms)
    book = one.scaled(12.25e9 / exposures(one).totals[GEX])
    assert exposures(book).totals[GEX] == pytest.approx(12.25e9, rel=1e-12)
    hedge = [-revalued(book, s)[1] / 50 for s in (7000.0 * 0.9999, 7000.0 * 1.0001)]
    assert 50 * (hedge[1] - hedge[0]) == pytest.approx(-35_000, rel=tol.PUBLIC_FIGURE)


def test_position_without_variance_left_has_no_gamma() -> None:
    # After the close of the day before an opening settlement, on a clock without nights.
    book = Book.from_positions(
        contracts=[1.0, 1.0],
        strike=[7000.0, 7000.0],
        expiry=["2026-01-29T09:30", "2026-01-30T16:00"],
        vol=0.12,
        spot=7000.0,
        as_of="2026-01-28T17:00",
    )
    assert book.variance_years[0] == 0.0
    exposed = exposures(book)
    assert exposed.by_expiry[GEX].iloc[0] == 0.0
    assert np.isfinite(exposed.profile.to_numpy()).all()
    assert gex_at(book, 7000.0)[0] == pytest.approx(exposed.totals[GEX], rel=tol.SUM)


@pytest.mark.parametrize("spots", [[0.0], [7000.0, -1.0], [np.nan], [np.inf], [], [[7000.0, 7010.0]]])
def test_impossible_spots_are_refused(spots: Any) -> None:
    book = dealer_book(make_chain(strikes=[6400.0, 6450.0, 6500.0, 6550.0, 6600.0]))
    for function in (lambda: exposures(book, spots=spots), lambda: gex_at(book, spots)):
        with pytest.raises(InputError, match=r"^spots must be .* index levels; got "):
            function()


def test_empty_book_is_refused() -> None:
    book = dealer_book(make_chain(strikes=[6400.0, 6450.0, 6500.0, 6550.0, 6600.0]))
    with pytest.raises(InputError, match="the book is empty"):
        exposures(book.select(np.zeros(len(book), bool)))


REFERENCE = {
    "2025-09-04": {
        "rates": (0.0425, 0.0125), "gex": 98.1, "calls": 258.5, "puts": -160.4, "same day": 52.5,
        "vanna": 36.8, "zero": 6437.9, "walls": (6500.0, 6300.0),
    },
    "2023-06-09": {
        "rates": (0.052, 0.016), "gex": 62.7, "same day": 12.9, "zero": 4228.8, "walls": (4320.0, 4000.0),
    },
}  # fmt: skip
"""Published with the chains, USD bn: exact expiry instants, F = S e^{(r−q)T}."""

NAMES = {
    "gex": GEX, "calls": "gex_calls_usd_per_1pct", "puts": "gex_puts_usd_per_1pct",
    "same day": "gex_0dte_usd_per_1pct", "vanna": VEX,
}  # fmt: skip


@pytest.fixture(scope="module", params=list(REFERENCE))
def real(request: pytest.FixtureRequest) -> tuple[str, OptionChain, Book]:
    path = CHAINS / f"cboe_csv_spx_{request.param}.csv"
    if not path.exists():
        pytest.skip(f"the real chain {path.name} is not beside the project")
    chain = read_chain(path)
    return request.param, chain, dealer_book(chain)


def vendor_book(chain: OptionChain, rate: float, dividend: float) -> Book:
    """The reference's convention: the vendor's vol contract by contract, one flat rate and dividend yield."""
    quotes = chain.quotes[(chain.quotes["open_interest"] > 0) & (chain.quotes["vendor_vol"] > 0)]
    years = calendar_years(chain.as_of, quotes["expiry"])
    is_call = quotes["is_call"].to_numpy(bool)
    return Book(
        contracts=quotes["open_interest"].to_numpy(float) * np.where(is_call, 1.0, -1.0),
        strike=quotes["strike"].to_numpy(float),
        is_call=is_call,
        expiry=pd.DatetimeIndex(quotes["expiry"]),
        vol=quotes["vendor_vol"].to_numpy(float),
        variance_years=years,
        years=years,
        discount=np.exp(-rate * years),
        carry=np.exp((rate - dividend) * years),
        spot=chain.spot,
        as_of=chain.as_of,
    )


def test_reference_values_in_the_reference_convention(real: tuple[str, OptionChain, Book]) -> None:
    date, chain, _ = real
    reference: dict[str, Any] = REFERENCE[date]
    book = vendor_book(chain, *reference["rates"])
    totals, found = exposures(book).totals, levels(book)
    for name in NAMES.keys() & reference.keys():
        assert totals[NAMES[name]] / 1e9 == pytest.approx(reference[name], abs=tol.PRINTED_USD_BN), name
    assert [round(z, 1) for z in found.zero_gamma] == [
        pytest.approx(reference["zero"], abs=tol.PRINTED_POINTS)
    ]
    assert found.call_wall is not None
    assert found.put_wall is not None
    assert (found.call_wall.strike, found.put_wall.strike) == reference["walls"]


def test_reference_values_in_our_convention(real: tuple[str, OptionChain, Book]) -> None:
    date, _, book = real
    reference: dict[str, Any] = REFERENCE[date]
    totals, found = exposures(book).totals, levels(book)
    for name in NAMES.keys() & reference.keys():
        # 12.40 instead of 12.9: on 9 June 2023 the flat-rate forward lies 0.38 points above the parity of the
        # expiring quotes (0.26 bn), and the vendor's vols lie below their mids (0.24 bn). The vendor's own
        # gammas give 12.39; they decide below.
        if (date, name) != ("2023-06-09", "same day"):
            assert totals[NAMES[name]] / 1e9 == pytest.approx(reference[name], rel=tol.CHAIN_TOTAL), name
    assert list(found.zero_gamma) == [pytest.approx(reference["zero"], abs=tol.CHAIN_LEVEL_POINTS)]
    assert found.call_wall is not None
    assert found.put_wall is not None
    assert (found.call_wall.strike, found.put_wall.strike) == reference["walls"]


def test_vendor_gamma(real: tuple[str, OptionChain, Book]) -> None:
    _, chain, book = real
    kept = chain.quotes[chain.quotes["open_interest"] > 0]
    assert len(kept) == len(book)
    vendor = kept["vendor_gamma"].to_numpy(float)
    gex = position_exposures(book)[GEX].to_numpy(float)
    units = 0.01 * book.spot**2 * book.contracts * book.multiplier
    gamma = gex / units
    distance = np.abs(np.log(book.strike / (book.carry * book.spot))) / book.total_vol
    later = (book.years > 7 / 365) & (distance < 3.0)
    assert later.sum() > 10_000
    error = np.abs(gamma - vendor)
    assert error[later].max() < tol.VENDOR_GAMMA_ROUNDING + tol.VENDOR_GAMMA
    assert np.mean(error[later] <= tol.VENDOR_GAMMA_ROUNDING) > 0.9
    today = book.same_day() & (distance < 1.0)
    assert today.sum() >= 10
    assert np.abs(vendor[today] / gamma[today] - 1.0).max() < tol.VENDOR_GAMMA_SAME_DAY
    # Rounding averages out in a sum: this is what the same-day total of 2023 is judged by.
    day = book.same_day()
    assert units[day] @ vendor[day] == pytest.approx(gex[day].sum(), rel=tol.VENDOR_GAMMA_TOTAL)
