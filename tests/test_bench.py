"""The comparison of vols counts what it says: wrong vols, refusals and inventions."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gammawall.surfaces.black import black_price


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "bench"))
    return importlib.import_module("peers")


def test_wrong_vols_refusals_and_inventions_are_told_apart(
    peers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "timed", lambda call, **_: (0.0, 2e-6, 0.0))
    vol = np.array([0.2, 0.2, 0.2, 0.2, 0.2, 0.2])
    floor = np.array([1e-15, 1e-15, 1e-15, 1e-15, 1e-2, 1e-2])
    answer = vol * [1 + 4e-13, 1 + 2e-6, np.nan, 2.0, 1.5, np.nan]
    points = dict.fromkeys(peers.NAMES, vol)
    price = np.array([0.1, 1e-10, 0.1, 0.1, 0.1, 0.1])
    record = peers._measure("six", "fake", lambda *_: answer, price, points, floor, 20)
    assert (record.count, record.determined) == (6, 4)
    assert record.silent_large == 1
    assert (record.silent, record.refused, record.invented) == (2, 1, 2)
    assert record.worst == pytest.approx(1.0)
    assert record.median == pytest.approx(2e-6)
    assert record.worst_over_bound == pytest.approx(1e13)
    assert record.ns_per_vol == pytest.approx(100.0)


def test_scalar_solvers_refuse_by_raising(peers: Any) -> None:
    def solver(price: float) -> float:
        if price > 1.0:
            raise ValueError
        return price

    points = {name: np.full(2, 4.0) for name in peers.NAMES}
    found = peers._one_by_one(solver, lambda price, *_: (price,), per_year=True)(np.array([0.5, 2.0]), points)
    np.testing.assert_array_equal(found, [0.25, np.nan])


def test_our_own_vols_need_no_peer(peers: Any) -> None:
    solve, whole_arrays = peers.solvers()["gammawall"]
    forward, strike, expiry, vol, rate, is_call = peers.contracts(100)
    price = black_price(forward, strike, expiry, vol, rate, is_call=is_call)
    points = dict(zip(peers.NAMES, (forward, strike, expiry, vol, rate, is_call), strict=True))
    np.testing.assert_allclose(solve(price, points), vol, rtol=1e-9)
    assert whole_arrays
