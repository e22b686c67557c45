"""Books by hand and from chains: what is kept, what is refused, and never a silent zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.read import read_chain
from gammawall.surfaces.clock import VarianceClock
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.chain_book import dealer_book
from gammawall.surfaces.dealers.exposures import exposures
from gammawall.surfaces.errors import InputError
from tests.helpers.synthetic import AS_OF, black, make_chain, make_quotes

CHAINS = Path(__file__).parents[4] / "shared" / "chains"
USUAL = {
    "contracts": 20_000,
    "strike": 7000.0,
    "expiry": "2026-01-28T16:00",
    "vol": 0.12,
    "spot": 6990.0,
    "as_of": "2026-01-28T09:30",
}


def test_one_session_at_the_money() -> None:
    book = Book.from_positions(**USUAL)
    assert len(book) == 1
    assert book.is_call[0]
    assert book.variance_years[0] == pytest.approx(1 / 252, rel=1e-12)
    assert book.total_vol[0] == pytest.approx(0.12 / np.sqrt(252), rel=1e-12)
    assert book.years[0] == pytest.approx(6.5 / (24 * 365), rel=1e-12)
    assert (book.discount[0], book.carry[0], book.multiplier) == (1.0, 1.0, 100.0)
    assert str(book.as_of.tzinfo) == str(book.expiry.tz) == "America/New_York"
    # 20,000 contracts are USD 7.4 bn per 1 % at the open.
    at_money = exposures(Book.from_positions(**(USUAL | {"spot": 7000.0}))).totals
    assert at_money["gex_usd_per_1pct"] / 1e9 == pytest.approx(7.4, abs=0.05)


def test_rates_and_clock() -> None:
    late = USUAL | {"expiry": "2026-07-28T16:00", "rate": 0.05}
    plain, carried = Book.from_positions(**late), Book.from_positions(**late, carry_rate=0.02)
    np.testing.assert_allclose(plain.carry, np.exp(0.05 * plain.years), rtol=1e-14)
    np.testing.assert_allclose(carried.carry, np.exp(0.02 * plain.years), rtol=1e-14)
    np.testing.assert_allclose(carried.discount, np.exp(-0.05 * plain.years), rtol=1e-14)
    slow = Book.from_positions(**late, clock=VarianceClock(overnight=0.2, weekend=0.3))
    assert slow.variance_years[0] > plain.variance_years[0]
    zero = Book.from_positions(**late, carry_rate=0.0)
    assert zero.carry[0] == 1.0


def test_arguments_broadcast_and_expiries_know_their_zone() -> None:
    book = Book.from_positions(
        **USUAL
        | {
            "strike": [6900.0, 7000.0],
            "expiry": ["2026-01-28T16:00", pd.Timestamp("2026-02-20T14:30", tz="UTC")],
            "is_call": [True, False],
        }
    )
    assert list(book.contracts) == [20_000, 20_000]
    assert [str(e) for e in book.expiry] == ["2026-01-28 16:00:00-05:00", "2026-02-20 09:30:00-05:00"]
    assert list(book.same_day()) == [True, False]
    part = book.select(~book.is_call)
    assert (len(part), part.strike[0], str(part.expiry[0].date())) == (1, 7000.0, "2026-02-20")
    assert list(book.scaled(-0.5).contracts) == [-10_000, -10_000]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("contracts", np.nan), ("contracts", [1.0, np.inf]), ("strike", 0.0), ("strike", -7000.0),
        ("strike", np.nan), ("vol", 0.0), ("vol", -0.1), ("vol", np.inf), ("spot", 0.0), ("spot", np.nan),
        ("expiry", "never"), ("expiry", None), ("as_of", "soon"), ("as_of", None),
        ("expiry", "2026-01-28T09:30"), ("expiry", "2026-01-27T16:00"),
    ],
)  # fmt: skip
def test_impossible_positions_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{name} "):
        Book.from_positions(**(USUAL | {name: value}))


def test_chain_book_prices_the_quotes_it_came_from() -> None:
    quotes = make_quotes()
    chain = make_chain()
    book = dealer_book(chain)
    kept = chain.quotes[chain.quotes["open_interest"] > 0].reset_index(drop=True)
    assert len(book) == len(kept) < len(quotes)
    sign = np.where(book.is_call, 1.0, -1.0)
    np.testing.assert_array_equal(book.contracts, sign * kept["open_interest"])
    np.testing.assert_array_equal(book.strike, kept["strike"])
    np.testing.assert_array_equal(book.variance_years, book.years)
    assert (book.expiry == pd.DatetimeIndex(kept["expiry"])).all()
    assert sum(book.sources.values()) == len(book)
    forward = book.carry * book.spot
    price, _, _ = black(forward, book.strike, book.total_vol, book.discount, book.is_call)
    quoted = ((kept["bid"] > 0) & (book.is_call == (book.strike >= forward))).to_numpy(bool)
    mid = 0.5 * (kept["bid"] + kept["ask"]).to_numpy(float)
    assert quoted.sum() > 0.3 * len(book)
    np.testing.assert_allclose(price[quoted], mid[quoted], rtol=1e-9)
    # In the money the same vol holds, so parity holds: the mids were Black's exactly.
    np.testing.assert_allclose(price[mid > 1.0], mid[mid > 1.0], rtol=2e-3)


def test_sizes() -> None:
    chain = make_chain()
    q = chain.quotes
    sizes = {"open_interest": q["open_interest"], "volume": q["volume"]}
    sizes["max"] = np.maximum(q["open_interest"], q["volume"])
    for name, amount in sizes.items():
        book = dealer_book(chain, "all_long", size=name)
        np.testing.assert_array_equal(book.contracts, amount[amount > 0])
        assert (dealer_book(chain, "all_short", size=name).contracts == -book.contracts).all()


def with_open_interest(share: float) -> OptionChain:
    quotes = make_quotes()
    keep = np.random.default_rng(1).permutation(len(quotes)) < share * len(quotes)
    quotes["open_interest"] = np.where(keep, 100.0, 0.0)
    return read_chain(quotes, spot=6485.0, as_of=AS_OF)


@pytest.mark.parametrize(("share", "shown"), [(0.0, "0%"), (0.03, "3%"), (0.2, "20%")])
def test_unusable_open_interest_is_refused(share: float, shown: str) -> None:
    with pytest.raises(InputError, match=rf"^open_interest is unusable: only {shown} of \d+ contracts"):
        dealer_book(with_open_interest(share))
    # Volume is filled, and may be asked for.
    chain = with_open_interest(share)
    assert len(dealer_book(chain, size="volume")) == (chain.quotes["volume"] > 0).sum() > 500


def test_sparse_open_interest_is_used() -> None:
    book = dealer_book(with_open_interest(0.3))
    assert exposures(book).totals["gex_calls_usd_per_1pct"] > 0


def test_volume_that_was_never_given_is_refused() -> None:
    quotes = make_quotes().drop(columns="volume")
    chain = read_chain(quotes, spot=6485.0, as_of=AS_OF)
    with pytest.raises(InputError, match=r"^volume is unusable: only 0% of"):
        dealer_book(chain, size="volume")


def test_real_chain_with_its_open_interest_broken_is_refused() -> None:
    path = CHAINS / "cboe_csv_spx_2025-09-04.csv"
    if not path.exists():
        pytest.skip(f"the real chain {path.name} is not beside the project")
    chain = read_chain(path)
    keep = np.random.default_rng(2).random(len(chain.quotes)) < 0.03
    quotes = chain.quotes.assign(open_interest=chain.quotes["open_interest"].where(keep, 0.0))
    with pytest.raises(InputError, match="open_interest is unusable: only 2% of 24040"):
        dealer_book(OptionChain(quotes, chain.spot, chain.as_of))
