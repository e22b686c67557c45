"""Closed forms against published decimals, and against integrations and simulations that share no code."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import norm

from gammawall.sim import theory
from gammawall.sim.measure.close_law import CloseLaw, close_law
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError
from tests.helpers.sim_runs import DAY, SPOT, VOL, bp, make_book, make_table

V = VOL * np.sqrt(DAY)
K = np.log(7000.0)


@pytest.mark.parametrize(
    ("alpha", "at_strike", "one_sd"),
    [
        (0.25, 0.0995, 0.0554),
        (0.5, 0.1974, 0.1009),
        (1, 0.3829, 0.1673),
        (2, 0.6827, 0.2437),
        (4, 0.9545, 0.3574),
    ],
)
def test_pin_mass_of_one_strike(alpha: float, at_strike: float, one_sd: float) -> None:
    v = 1e-6  # small enough that the drift of a martingale price does not show
    for z0, expected in ((0.0, at_strike), (1.0, one_sd)):
        mass = theory.pin_mass(0.0, alpha * v, log_spot=z0 * v, total_vol=v)
        assert mass == pytest.approx([expected], abs=5.1e-5)
    assert theory.pin_mass(0.0, alpha * v, total_vol=v)[0] == pytest.approx(2 * ndtr(alpha / 2) - 1, abs=1e-6)


def test_pin_mass_of_a_chain_in_any_order() -> None:
    strikes, walls = np.array([-0.5, 0.0, 0.7]), np.array([0.3, 0.8, 0.4])
    expected = np.array([0.0687, 0.3108, 0.0692])
    for order in ([0, 1, 2], [2, 0, 1]):
        mass = theory.pin_mass(strikes[order], walls[order], total_vol=1.0, arithmetic=True)
        assert mass == pytest.approx(expected[order], abs=5.1e-5)


def test_pin_mass_of_a_chain_by_solving_for_the_close() -> None:
    """The set of shocks that close at each strike, found by bisection on the map of the close."""
    strikes, walls = np.array([-0.5, 0.0, 0.7]), np.array([0.3, 0.8, 0.4])
    start = float(np.sum(walls * ndtr(0.0 - strikes)))

    def close(shock: float) -> float:
        def level(x: float, k: float) -> float:  # strictly increasing, steps smoothed over 1e-9
            return x + float(np.sum(walls * np.clip((x - strikes) / 1e-9 + 0.5, 0.0, 1.0))) - k

        return float(brentq(level, -20, 20, args=(shock + start,), xtol=1e-13))

    for k, mass in zip(strikes, theory.pin_mass(strikes, walls, total_vol=1.0, arithmetic=True), strict=True):
        low = brentq(lambda z, k=k: close(z) - (k - 1e-8), -10, 10)
        high = brentq(lambda z, k=k: close(z) - (k + 1e-8), -10, 10)
        assert ndtr(high) - ndtr(low) == pytest.approx(mass, abs=1e-6)


def test_pin_mass_refuses_what_has_no_push_forward() -> None:
    with pytest.raises(InputError, match="wall must be zero or positive"):
        theory.pin_mass([0.0, 1.0], [0.1, -0.1], total_vol=1.0)
    with pytest.raises(InputError, match="total_vol must be positive"):
        theory.pin_mass(0.0, 0.1, total_vol=0.0)


def test_wall_in_log_units() -> None:
    assert theory.log_wall(20_000, 7000.0, 3.0) == pytest.approx(0.0042, rel=1e-12)


@pytest.mark.parametrize(
    ("alpha", "z0", "expected"),
    [(0.5, 0, 0.18084), (1, 0, 0.32897), (2, 0, 0.54972), (4, 0, 0.79725), (1, 1, 0.21492), (4, 1, 0.62011)],
)
def test_charm_only_pin_probability(alpha: float, z0: float, expected: float) -> None:
    assert theory.charm_only_pin_probability(alpha, z0) == pytest.approx(expected, abs=5.1e-6)


def test_charm_and_full_hedging_agree_only_to_first_order() -> None:
    v = 1e-6
    gap = [
        theory.pin_mass(0.0, a * v, total_vol=v)[0] - theory.charm_only_pin_probability(a)
        for a in (0.02, 0.04)
    ]
    assert gap[1] / gap[0] == pytest.approx(4.0, rel=0.05)


def test_effective_vol() -> None:
    assert theory.effective_vol(0.12, 0.5) == pytest.approx(0.08)
    assert theory.effective_vol(0.12, -0.5) == pytest.approx(0.24)
    with pytest.raises(InputError, match="above −1"):
        theory.effective_vol(0.12, -1.0)


@pytest.mark.parametrize(
    ("g", "values"),
    [(-0.5, (1, 1.625, 3.0565, 3.9145, 3.9829)), (0.5, (1, 0.625, 0.5083, 0.4501, 0.4456))],
)
def test_lag_one_variance(g: float, values: tuple[float, ...]) -> None:
    for n, expected in zip((1, 2, 7, 78, 390), values, strict=True):
        assert theory.lag_one_variance(g, n) == pytest.approx(expected, abs=5.1e-5)
        weights = (1.0 - (-g) ** np.arange(1, n + 1)) / (1.0 + g)  # of each shock in the final price
        assert theory.lag_one_variance(g, n) == pytest.approx(np.sum(weights**2) / n, rel=1e-12)
    assert theory.lag_one_variance(g, 10**6) == pytest.approx(1.0 / (1.0 + g) ** 2, rel=1e-5)


@pytest.mark.parametrize("g", [-0.5, 0.5])
def test_lag_one_hedging_simulated(g: float) -> None:
    paths, n = 200_000, 7
    r = np.zeros(paths)
    total, realised, product, last = np.zeros(paths), 0.0, 0.0, r
    rng = np.random.default_rng(5)
    for k in range(60):
        r = rng.standard_normal(paths) - g * last
        if k < n:
            total += r
        if k >= 40:
            realised, product = realised + np.mean(r * r) / 20, product + np.mean(r * last) / 20
        last = r
    variance = total.var() / n
    assert abs(variance - theory.lag_one_variance(g, n)) < 4 * variance * np.sqrt(2 / paths)
    assert realised == pytest.approx(theory.lag_one_realised_variance(g), rel=0.01)
    assert product / realised == pytest.approx(-g, abs=0.01)


def test_lag_one_diverges_outside() -> None:
    for function in (lambda: theory.lag_one_variance(1.0, 5), lambda: theory.lag_one_realised_variance(-1.2)):
        with pytest.raises(InputError, match="diverges"):
            function()


@pytest.mark.parametrize(
    ("inputs", "variance", "realised"),
    [
        ((1, 0.1, 0.4, 5), 0.7173, 0.4444),
        ((-1, 0.1, 0.4, 5), 1.4979, 4.0),
        ((2, 0.3, 0.0, 5), 1 / 2.56, 1 / 2.56),
    ],
)
def test_transient_impact(inputs: tuple[float, ...], variance: float, realised: float) -> None:
    assert theory.transient_variance(*inputs) == pytest.approx(variance, abs=5.1e-5)
    assert theory.transient_realised_variance(*inputs[:3]) == pytest.approx(realised, abs=5.1e-5)


@pytest.mark.parametrize("inputs", [(1, 0.1, 0.4, 5, 1.0), (-1, 0.1, 0.4, 5, 0.3), (0.7, 0.5, 0.9, 2, 2.0)])
def test_transient_variance_by_integrating_the_moments(inputs: tuple[float, ...]) -> None:
    """x = X + λQ + I, Q = −Gx, dI = κ dQ − ρ I dt: linear, so its covariance obeys Ṗ = AP + PAᵀ + bbᵀ."""
    g, permanent, transient, decay, years = inputs
    # Unknowns dx, dI: (1 + Gλ) dx − dI = dW,  κG dx + dI = −ρ I dt.
    mass = np.array([[1.0 + g * permanent, -1.0], [transient * g, 1.0]])
    drift = np.linalg.solve(mass, np.array([[0.0, 0.0], [0.0, -decay]]))
    noise = np.linalg.solve(mass, np.array([1.0, 0.0]))

    def rate(_: float, p: np.ndarray) -> np.ndarray:
        p = p.reshape(2, 2)
        return (drift @ p + p @ drift.T + np.outer(noise, noise)).ravel()

    found = solve_ivp(rate, (0.0, years), np.zeros(4), rtol=1e-10, atol=1e-13).y[0, -1]
    assert theory.transient_variance(*inputs) == pytest.approx(found, rel=1e-8)


def test_transient_impact_needs_stability() -> None:
    with pytest.raises(InputError, match="unstable"):
        theory.transient_variance(-3.0, 0.1, 0.4, 5.0)


def test_fold_time_is_where_the_slope_of_the_map_vanishes() -> None:
    wall = 0.0042
    tau = theory.fold_time(wall, VOL)
    s = VOL * np.sqrt(tau)
    assert 1.0 - wall * norm.pdf(0.0) / s == pytest.approx(0.0, abs=1e-12)
    assert theory.fold_time(-wall, VOL) == tau
    alpha = wall / V
    assert tau / DAY * 390.0 == pytest.approx(390.0 * alpha**2 / (2.0 * np.pi), rel=1e-12)


def law_of(book: Book, bp_per_usd_bn: float) -> CloseLaw:
    _, positions, schedule = make_table(book, bp_per_usd_bn, 1, max_nodes=128)
    return close_law(positions, schedule, bp(bp_per_usd_bn), float(np.log(SPOT)), V, -0.5 * V * V)


CHAIN = (np.array([6985.0, 7000.0, 7020.0]), np.array([9_000.0, 20_000.0, 12_000.0]))


def test_law_of_the_close_against_the_pin_mass_formula() -> None:
    strikes, contracts = CHAIN
    law = law_of(make_book(contracts, strikes, is_call=[True, False, True]), 3.0)
    expected = theory.pin_mass(
        np.log(strikes), theory.log_wall(contracts, SPOT, 3.0), log_spot=np.log(SPOT), total_vol=V
    )
    found = [law.mass(float(np.log(k))) for k in strikes]
    assert found == pytest.approx(expected, abs=1e-12)
    assert law.mass(float(np.log(7001.0))) == 0.0


def test_law_of_the_close_against_integration() -> None:
    """A chain settling at the close beside a position that does not, integrated over the shock."""
    c = bp(3.0)
    settled = [(9e5, np.log(6985.0), 1.0), (2e6, np.log(7000.0), 0.0)]  # units, log strike, is call
    s_later = 0.13 * np.sqrt(3 * DAY)

    def later(x: float, left: float) -> float:
        s = s_later * np.sqrt(left)
        return -1.1e6 * (float(ndtr((x - np.log(6970.0)) / s + 0.5 * s)) - 1.0)

    x0 = float(np.log(SPOT))
    start = later(x0, 1.0)
    for units, k, call in settled:
        start += units * (float(ndtr((x0 - k) / V + 0.5 * V)) - (1.0 - call))

    def close(z: float) -> float:
        y = x0 + c * start - 0.5 * V * V + V * z
        low, high = x0 - 1.0, x0 + 1.0
        for _ in range(70):
            x = 0.5 * (low + high)
            held = later(x, 2 / 3) + sum(u * (float(x > k) - (1.0 - call)) for u, k, call in settled)
            low, high = (x, high) if x + c * held < y else (low, x)
        return 0.5 * (low + high)

    book = make_book(
        [9_000, 20_000, -11_000],
        [6985.0, 7000.0, 6970.0],
        is_call=[True, False, False],
        vol=[VOL, VOL, 0.13],
        expiry=["2026-01-28T16:00:00", "2026-01-28T16:00:00", "2026-01-30T16:00:00"],
    )
    law = law_of(book, 3.0)
    corners = [brentq(lambda z, b=b: close(z) - b, -9, 9, xtol=1e-10) for b in np.log([6985.0, 7000.0])]
    low, high = (brentq(lambda z, b=b: close(z) - np.log(b), -9, 9) for b in (6994.0, 7003.0))
    assert law.between(float(np.log(6994.0)), float(np.log(7003.0))) == pytest.approx(
        ndtr(high) - ndtr(low), abs=1e-9
    )
    limits = {"points": corners, "limit": 400, "epsabs": 1e-10}
    mean_log = quad(lambda z: close(z) * norm.pdf(z), -8, 8, **limits)[0]
    mean = quad(lambda z: np.exp(close(z)) * norm.pdf(z), -8, 8, **limits)[0]
    square = quad(lambda z: (close(z) - mean_log) ** 2 * norm.pdf(z), -8, 8, **limits)[0]
    found_mean, found_spread = law.moments()
    assert found_mean == pytest.approx(mean, abs=1e-3)
    assert found_spread == pytest.approx(np.sqrt(square), rel=1e-4)


@pytest.mark.parametrize("contracts", [-1_000_000, -1_400_000])
def test_moments_of_a_law_wider_than_the_fundamental(contracts: float) -> None:
    """Short gamma far from expiry: the close spreads as σ/(1+g), here many times σ."""
    book = make_book(contracts, 7000.0, expiry="2027-01-29T16:00:00")
    law = law_of(book, 3.0)
    z = np.linspace(-8.0, 8.0, 3201)
    target = ndtr(z)
    x = np.array([brentq(lambda x, p=p: law.cdf(np.array([x]))[0] - p, 4.0, 14.0) for p in target[::20]])
    weights = norm.pdf(z[::20])
    mean_log = float(np.sum(weights * x) / weights.sum())
    spread = float(np.sqrt(np.sum(weights * (x - mean_log) ** 2) / weights.sum()))
    assert spread > 1.2 * V
    assert law.moments()[1] == pytest.approx(spread, rel=1e-3)


@pytest.mark.parametrize(("alpha", "expected"), [(0.5, 0.614), (2.0, 0.232), (-0.2, 1.059), (-0.4, 1.257)])
def test_realised_variance_under_a_gamma_that_grows(alpha: float, expected: float) -> None:
    assert theory.varying_gamma_variance(alpha, 0.1) == pytest.approx(expected, abs=5.1e-4)
    # Without a wall the variance is the time run, and gamma at the start alone is no answer.
    assert theory.varying_gamma_variance(0.0, 0.1) == pytest.approx(0.9, abs=1e-9)
    at_start = 0.9 / (1.0 + alpha / np.sqrt(2.0 * np.pi)) ** 2
    assert abs(at_start - expected) > 0.003


@pytest.mark.parametrize(
    ("alpha", "stop", "message"), [(-1.0, 0.1, "folds"), (0.5, 0.0, "stop"), (0.5, 1.0, "stop")]
)
def test_realised_variance_without_a_law_is_refused(alpha: float, stop: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        theory.varying_gamma_variance(alpha, stop)
