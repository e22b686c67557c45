"""What hedging would have done along a path, against the simulator's own delta; what a session refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from gammawall.sim.book.positions import book_delta, prepare_positions
from gammawall.sim.evidence.buckets import BUCKETS, bucket_weights
from gammawall.sim.evidence.moves import book_lines, hedge_moves
from gammawall.sim.evidence.session import Session, sample
from gammawall.sim.sampling.schedule import make_schedule
from gammawall.sim.types import Market
from gammawall.surfaces.errors import InputError
from tests.helpers.planted_sessions import CLOSE, SPOT, START, open_interest


def session(**changes) -> Session:
    random = np.random.default_rng(1)
    price = SPOT * np.exp(np.concatenate([[0.0], np.cumsum(random.normal(0.0, 6e-4, 78))]))
    given = {"instants": pd.date_range(START, CLOSE, periods=79), "price": price, "book": open_interest(2)}
    return Session(**{**given, **changes})


def test_the_moves_are_the_deltas_of_the_simulator() -> None:
    own = session()
    sampled = sample(own, 5.0)
    push, slope, bounds = hedge_moves(book_lines(own, "calls_plus_puts"), sampled)
    market = Market(SPOT, START, CLOSE)
    positions = prepare_positions(own.book, market, make_schedule(market, 78))
    for step in (0, 10, 60, 77):
        delta, rate = book_delta(positions, sampled.log_price[[step]], np.array([step]))
        assert push[0, step] == pytest.approx(1e-13 * SPOT * delta[0, 0], rel=1e-9)
        if step:
            assert slope[0, step - 1] == pytest.approx(1e-13 * SPOT * rate[0, 0], rel=1e-9)
    assert (bounds[..., 0] <= slope * (1 + 1e-12)).mean() > 0.9
    assert (np.diff(bounds, axis=-1) >= 0.0).all()


def test_buckets_add_up() -> None:
    book = open_interest(3)
    whole = sum(bucket_weights("all", book)[1])
    assert (whole == 1.0).all()
    sign = bucket_weights("calls_minus_puts", book)[1][0]
    assert (bucket_weights("same_day_and_later", book)[1].sum(axis=0) == sign).all()
    assert (bucket_weights(lambda b: {"near": b.strike < 7000.0}, book)[1][0] == (book.strike < 7000.0)).all()
    for wrong in ("puts", lambda b: {"a": np.ones(3)}, lambda b: {}):
        with pytest.raises(InputError, match="bucket"):
            bucket_weights(wrong, book)
    assert set(BUCKETS) >= {"calls_minus_puts", "calls_and_puts", "same_day_and_later", "all"}


def test_strikes_of_another_day_move_with_the_open() -> None:
    own = session()
    higher = session(price=session().price * 1.02)
    lines = book_lines(own, "calls_plus_puts")
    push, slope, _ = hedge_moves(lines, sample(own, 5.0))
    moved, steeper, _ = hedge_moves(lines, sample(higher, 5.0), own=False)
    # The same path over the same strikes, both 2 % up: the same deltas, a move in proportion to the open.
    np.testing.assert_allclose(moved / 1.02, push, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(steeper / 1.02, slope, rtol=1e-7, atol=1e-9)
    shifted = hedge_moves(lines, sample(own, 5.0), shift_points=25.0)[1]
    assert not np.allclose(shifted, slope, rtol=1e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: {"price": s.price[:-1]}, "one instant for each"),
        (lambda s: {"price": np.where(np.arange(79) == 5, np.nan, s.price)}, "finite and positive"),
        (lambda s: {"instants": s.instants[::-1]}, "sort the prices"),
        (lambda s: {"instants": s.instants[[0, 0, *range(2, 79)]]}, "stands twice"),
        (lambda s: {"instants": s.instants.tz_localize(None) + pd.Timedelta(hours=5)}, "time zone"),
        (lambda s: {"book": s.book.scaled(-1.0)}, "as though dealers were long"),
        (lambda s: {"book": open_interest(2).at("2026-01-28T12:00")}, "after the first price"),
    ],
)
def test_a_wrong_session_is_refused_by_a_sentence(change, said: str) -> None:
    with pytest.raises(InputError, match=said):
        session(**change(session()))


def test_a_missing_price_makes_one_longer_step() -> None:
    whole = session()
    rows = np.delete(np.arange(79), [20, 21])
    holed = sample(dataclasses.replace(whole, instants=whole.instants[rows], price=whole.price[rows]), 5.0)
    assert holed.seen.sum() == 77
    used = holed.used(10.0)
    assert not used[19]
    assert not used[20]
    assert used[21]
    assert holed.years[21] == pytest.approx(3.0 * holed.years[0])
    assert used.sum() == 78 - 2 - 2
    with pytest.raises(InputError, match="have a price at their end"):
        sample(whole, 1.3)
