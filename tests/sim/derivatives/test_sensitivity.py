"""Derivatives of metrics against bumped runs on the same shocks, the exact law, and Euler's theorem."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gammawall.sim import (
    GBM,
    Bachelier,
    Catalyst,
    Clearing,
    Clock,
    Experiment,
    LinearImpact,
    Measure,
    NoHedging,
    ObizhaevaWang,
    Sensitivities,
    SimConfig,
    sensitivities,
    simulate,
)
from gammawall.sim.derivatives.sensitivity import SMOOTH_METRICS, StaticCase, value
from gammawall.sim.engine.result import exact_law, scales_of
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError, NumericalError
from tests.helpers.sim_runs import CLOSE, NODES, STEPS, VOL, make_book, make_market

PATHS = 16_384
PIN, BREACH = "pin_probability", "breach_probability"
SIZES = SimConfig(paths=PATHS, steps=STEPS, max_nodes=NODES, sample_minutes=10.0)

STRIKES, PUTS = [6985.0, 7000.0, 7010.0], [False, True, False]
BOOKS = {
    "wall": make_book([0.0, 30_000.0, 0.0], [6999.0, 7000.0, 7001.0]),
    "three-strikes-with-puts": make_book([9000.0, 20_000.0, 5000.0], STRIKES, is_call=PUTS, rate=0.04),
    "long-and-short": make_book(
        [9000.0, 20_000.0, 5000.0, -30_000.0, 12_000.0],
        [*STRIKES, 7020.0, 6990.0],
        is_call=[*PUTS, True, False],
        expiry=[CLOSE] * 3 + ["2026-01-30T16:00:00", "2026-03-20T09:30:00"],
        rate=0.04,
    ),
}


def experiment(book: Book, bp_per_usd_bn: float = 3.0, vol: float = VOL, **options: Any) -> Experiment:
    given: dict[str, Any] = {"market": make_market(), "config": SIZES, "measure": Measure(7000.0)}
    given |= {"dynamics": GBM(vol), "impact": LinearImpact(bp_per_usd_bn), "seed": 5, **options}
    return Experiment(book, **given)


def sense(book: Book, bp_per_usd_bn: float = 3.0, vol: float = VOL, **options: Any) -> Sensitivities:
    chosen = {name: options.pop(name) for name in ("metrics", "smoothing_points") if name in options}
    return sensitivities(experiment(book, bp_per_usd_bn, vol, **options), **chosen)


@pytest.fixture(scope="module", params=list(BOOKS))
def case(request: pytest.FixtureRequest) -> tuple[Book, Sensitivities]:
    return BOOKS[request.param], sense(BOOKS[request.param])


def setting_of(book: Book, bp_per_usd_bn: float = 3.0, vol: float = VOL, **options: Any) -> StaticCase:
    return StaticCase.of(experiment(book, bp_per_usd_bn, vol, **options), None)


def smoothed(book: Book, *args: float, **options: Any) -> np.ndarray:
    """The smoothed metrics alone."""
    setting = setting_of(book, *args, **options)
    made = setting.run()
    found, scales = setting.paths(made), scales_of(made, setting.experiment.market)
    return np.array([value(found, name, scales)[0] for name in SMOOTH_METRICS])


def bumped(book: Book, position: int, by: float = 40.0, **options: Any) -> np.ndarray:
    """Central differences in the contracts of one position."""
    sides = []
    for sign in (1.0, -1.0):
        contracts = book.contracts.copy()
        contracts[position] += sign * by
        sides.append(smoothed(dataclasses.replace(book, contracts=contracts), 3.0, VOL, **options))
    return (sides[0] - sides[1]) / (2.0 * by)


def assert_same(got: pd.Series, differences: np.ndarray, stderr: pd.Series) -> None:
    """Both are of the same paths: far closer than the Monte-Carlo error, which forgives no wrong sign."""
    got, differences = got[list(SMOOTH_METRICS)].to_numpy(), np.asarray(differences)
    error = stderr[list(SMOOTH_METRICS)].to_numpy()
    assert (np.abs(got - differences) < 0.25 * error + 1e-3 * np.abs(differences)).all()


# --- against bumped runs -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_contracts_against_bumped_runs(case: tuple[Book, Sensitivities]) -> None:
    book, found = case
    # A short position of today would fold the map, and with it change the table's shape.
    for position in {1, int(np.flatnonzero(book.contracts)[-1])}:
        differences = bumped(book, position)
        got, error = found.positions.loc[position], found.positions_stderr.loc[position]
        assert_same(got, differences, error)
        with pytest.raises(AssertionError):
            assert_same(-got, differences, error)


def test_impact_and_vol_against_bumped_runs() -> None:
    book = BOOKS["long-and-short"]
    found = sense(book)
    by_impact = (smoothed(book, 3.01, VOL) - smoothed(book, 2.99, VOL)) / 0.02
    by_vol = (smoothed(book, 3.0, VOL + 1e-4) - smoothed(book, 3.0, VOL - 1e-4)) / 0.02
    for name, differences in (("bp_per_usd_bn", by_impact), ("vol_point", by_vol)):
        got, error = found.parameters.loc[name], found.parameters_stderr.loc[name]
        assert_same(got, differences, error)
        with pytest.raises(AssertionError):
            assert_same(-got, differences, error)


@pytest.mark.slow
@pytest.mark.parametrize("unwind", ["at_settlement", pytest.param("in_market", marks=pytest.mark.slow)])
def test_settlements_inside_the_run(unwind: str) -> None:
    """The map starts anew after a settlement: what expires tonight still moves tomorrow's price."""
    expiry = [CLOSE] * 2 + ["2026-01-29T16:00:00"]
    book = make_book([12_000.0, 8000.0, 15_000.0], [7000.0, 7015.0, 7005.0], expiry=expiry)
    config = SimConfig(paths=2048, steps=8, max_nodes=NODES, sample_minutes=97.5)
    options = {"market": make_market(close="2026-01-29T16:00:00", unwind=unwind), "config": config}
    found = sense(book, **options)
    for position in range(3):
        differences = bumped(book, position, **options)
        assert_same(found.positions.loc[position], differences, found.positions_stderr.loc[position])
    assert found.exact_positions is None


# --- against theory ----------------------------------------------------------------------------------------


def test_probabilities_against_the_exact_law(case: tuple[Book, Sensitivities]) -> None:
    book, found = case
    assert found.exact_positions is not None
    assert found.exact_parameters is not None
    for got, error, exact in (
        (found.positions, found.positions_stderr, found.exact_positions),
        (found.parameters, found.parameters_stderr, found.exact_parameters),
    ):
        z = (got[exact.columns] - exact) / error[exact.columns]
        assert (z.abs() < 4.0).all(axis=None)
        assert got.attrs["units"][PIN] == exact.attrs["units"][PIN] == "probability"
    # A wrong sign would be seen.
    assert book.contracts[1] > 10_000.0
    both = found.positions.loc[1, PIN] + found.exact_positions.loc[1, PIN]
    assert abs(both) > 4.0 * found.positions_stderr.loc[1, PIN]


def test_the_exact_derivatives_are_those_of_the_law() -> None:
    """Against differences of the law itself."""
    book = BOOKS["three-strikes-with-puts"]
    found = sense(book, config=dataclasses.replace(SIZES, paths=2048))
    assert found.exact_positions is not None
    assert found.exact_parameters is not None

    def pinned(contracts: np.ndarray, bp: float = 3.0, vol: float = VOL) -> np.ndarray:
        setting = setting_of(dataclasses.replace(book, contracts=contracts), bp, vol)
        law = exact_law(setting.run(), setting.dynamics)
        assert law is not None
        low, high, strike = np.log([6995.0, 7005.0, 7000.0])
        return np.array([law.between(low, high), 1.0 - law.cdf(np.array([strike]))[0]])

    n = book.contracts
    for i in range(3):
        step = 5.0 * np.eye(3)[i]
        difference = (pinned(n + step) - pinned(n - step)) / 10.0
        np.testing.assert_allclose(found.exact_positions.loc[i], difference, rtol=1e-4, atol=1e-11)
    by_impact = (pinned(n, 3.001) - pinned(n, 2.999)) / 0.002
    by_vol = (pinned(n, vol=VOL + 1e-5) - pinned(n, vol=VOL - 1e-5)) / 0.002
    np.testing.assert_allclose(found.exact_parameters, [by_impact, by_vol], rtol=1e-5)


def test_contracts_and_impact_are_one_scale(case: tuple[Book, Sensitivities]) -> None:
    """Only λ n enters the map: Σ n ∂/∂n = λ ∂/∂λ, one side contract by contract, the other by table."""
    book, found = case
    by_contracts = found.positions.T @ book.contracts
    by_impact = 3.0 * found.parameters.loc["bp_per_usd_bn"]
    np.testing.assert_allclose(by_contracts, by_impact, rtol=1e-4)


@pytest.mark.slow
def test_values_are_the_simulator_s(case: tuple[Book, Sensitivities]) -> None:
    book, found = case
    result = simulate(
        book, market=make_market(), dynamics=GBM(VOL), impact=LinearImpact(3.0), config=SIZES, seed=5,
        measure=Measure(7000.0),
    )  # fmt: skip
    for name in SMOOTH_METRICS:
        assert found.metrics.loc[name, "sharp"] == pytest.approx(result[name].value, rel=1e-9)
        assert found.positions.attrs["units"][name] == result[name].unit
        ratio = found.metrics.loc[name, "stderr"] / result[name].stderr
        assert 0.4 < ratio < 2.0
        gap = abs(found.metrics.loc[name, "value"] - result[name].value)
        assert gap < 1e-9 or (name in (PIN, BREACH) and gap < 0.02)


def test_a_part_of_the_book_hedged() -> None:
    book = BOOKS["three-strikes-with-puts"]
    half, whole = sense(book.scaled(2.0), hedging=Clearing(0.5)), sense(book)
    np.testing.assert_allclose(half.positions, 0.5 * whole.positions, rtol=1e-9)
    np.testing.assert_allclose(half.parameters, whole.parameters, rtol=1e-9)


def test_calls_and_puts_of_a_strike_differ_by_the_forward() -> None:
    """Without rates a put is a call less one index unit, whose hedge never trades."""
    book = make_book([9000.0, 20_000.0, 5000.0, 0.0], [*STRIKES, 7000.0], is_call=[*PUTS, False])
    found = sense(book)
    np.testing.assert_allclose(found.positions.loc[1], found.positions.loc[3], rtol=1e-9)


def test_without_impact_contracts_do_not_matter_but_impact_does() -> None:
    found = sense(BOOKS["three-strikes-with-puts"], 0.0)
    assert (found.positions == 0.0).all(axis=None)
    assert found.parameters.loc["bp_per_usd_bn", PIN] > 0.0
    assert found.parameters.loc["vol_point", "realised_vol_pct"] == pytest.approx(1.0, rel=0.02)


# --- folds, and what is refused ----------------------------------------------------------------------------


@pytest.mark.slow
def test_jumps_are_reported_and_too_many_refused() -> None:
    def short(contracts: float) -> Book:
        expiry = [CLOSE] * 3 + ["2026-01-29T16:00:00"]
        # Next to nothing expires today, which keeps the table's shape.
        return make_book([1e-3, 1e-3, 1e-3, contracts], [*STRIKES, 7000.0], expiry=expiry)

    found = sense(short(-100_000.0))
    assert 0.0 < found.status["paths_with_jump"] < 0.5
    assert "jump" in found.status["note"]
    assert sense(short(-20_000.0)).status["paths_with_jump"] == 0.0
    with pytest.raises(NumericalError, match="jump"):
        sense(short(-250_000.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hedging": Clock()}, "hedging"),
        ({"hedging": NoHedging()}, "hedging"),
        ({"hedging": (Clearing(0.5), Clearing(0.5))}, "hedging"),
        ({"impact": ObizhaevaWang(3.0, 1.0, 10.0)}, "impact"),
        ({"dynamics": Bachelier(VOL)}, "dynamics"),
        ({"dynamics": GBM(VOL, catalysts=(Catalyst(pd.Timestamp("2026-01-28T14:00"), std=0.01),))}, "GBM"),
        ({"metrics": ("pin_mass",)}, "metrics"),
        ({"smoothing_points": 0.0}, "smoothing_points"),
        ({"config": SimConfig(paths=16 * 1024, sampling="sobol")}, "sampling"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_has_no_such_derivative_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sense(BOOKS["wall"], **options)
