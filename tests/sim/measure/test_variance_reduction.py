"""Antithetic pairs, control variates and Sobol points: unbiased, honest about their error, and worth it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import chi2, qmc

from gammawall.sim import (
    GBM,
    Band,
    Catalyst,
    Heston,
    Jumps,
    LinearImpact,
    Measure,
    SimConfig,
    SimResult,
    simulate,
)
from gammawall.sim.measure.control_variates import adjust, known_baseline
from gammawall.sim.measure.statistics import STATISTICS, Probe
from gammawall.sim.sampling.schedule import make_schedule
from gammawall.sim.sampling.sobol import SobolShocks, _bridged, brownian_bridge, sobol_normals, sobol_shocks
from gammawall.surfaces.errors import InputError
from tests.helpers.sim_runs import SPOT, STEPS, VOL, make_market, run, same_shape

WALL = 20_000.0
PATHS = 32_768
METHODS: dict[str, dict[str, Any]] = {
    "plain": {},
    "antithetic": {"antithetic": True},
    "control": {"control": True},
    "both": {"antithetic": True, "control": True},
    "sobol": {"sampling": "sobol"},
}


def wall(seed: int = 3, paths: int = PATHS, **config: Any) -> SimResult:
    return run(same_shape(WALL), seed=seed, paths=paths, keep_paths=0, **config)


@pytest.fixture(scope="module")
def results() -> dict[str, SimResult]:
    return {name: wall(**config) for name, config in METHODS.items()}


def z_scores(result: SimResult, vol: float = VOL) -> dict[str, float]:
    """Against the exact law of the close, or that of another vol."""
    law = result.law
    assert law is not None
    total_vol = law.total_vol * vol / VOL
    law = type(law)(law.positions, law.last, law.impact, law.centre, total_vol, law.log_spot)
    mean, log_std = law.moments()
    exact = {
        "pin_probability": law.between(np.log(6995.0), np.log(7005.0)),
        "pin_mass": law.mass(np.log(7000.0)),
        "close_mean": mean,
        "horizon_vol_pct": 100.0 * log_std * np.sqrt(252.0),
    }
    return {name: (result[name].value - value) / result[name].stderr for name, value in exact.items()}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_the_close_has_its_law(results: dict[str, SimResult], method: str) -> None:
    z = z_scores(results[method])
    assert max(map(abs, z.values())) < 4.0, z


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_another_law_is_told_apart(results: dict[str, SimResult], method: str) -> None:
    z = z_scores(results[method], vol=1.06 * VOL)
    assert abs(z["pin_probability"]) > 4.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "least"),
    [
        ("antithetic", {"close_mean": 50.0}),
        (
            "control",
            {"pin_probability": 1.3, "close_mean": 50.0, "realised_vol_pct": 4.0, "vol_amplification": 1.5},
        ),
        ("both", {"close_mean": 300.0, "realised_vol_pct": 4.0}),
        (
            "sobol",
            {
                "pin_probability": 100.0,
                "close_mean": 100.0,
                "realised_vol_pct": 10.0,
                "vol_amplification": 5.0,
            },
        ),
    ],
)
def test_variance_saved(results: dict[str, SimResult], method: str, least: dict[str, float]) -> None:
    """At equal numbers of paths; a tenth to a half of what is found."""
    for name, factor in least.items():
        saved = (results["plain"][name].stderr / results[method][name].stderr) ** 2
        assert saved > factor, (name, saved)


@pytest.mark.slow
def test_pairs_do_not_help_what_is_even_in_the_price(results: dict[str, SimResult]) -> None:
    """Spot at the strike: both paths of a pair close in the band, or neither."""
    pair, plain = (results[name]["pin_probability"].stderr for name in ("antithetic", "plain"))
    assert 1.5 < (pair / plain) ** 2 < 2.1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["antithetic", "control", "both", "sobol"])
def test_standard_errors_are_the_spread_over_seeds(method: str) -> None:
    seeds, paths = (16, 16 * 1024) if method == "sobol" else (40, 4096)
    found = [wall(100 + i, paths, **METHODS[method]) for i in range(seeds)]
    # Of the Sobol runs each error has itself 15 degrees of freedom; their mean has enough.
    low, high = chi2.ppf([1e-4, 1.0 - 1e-4], seeds - 1) / (seeds - 1)
    low, high = (0.8 * low, 1.25 * high) if method == "sobol" else (low, high)
    for name in ("pin_probability", "realised_vol_pct", "vol_amplification", "hedge_flow_abs_usd_bn"):
        values = np.array([r[name].value for r in found])
        errors = np.array([r[name].stderr for r in found])
        assert low < values.var(ddof=1) / np.mean(errors**2) < high, name


# --- controls ----------------------------------------------------------------------------------------------


def expectations(dynamics: Any) -> dict[str, float]:
    market = make_market()
    schedule = make_schedule(market, STEPS)
    mark = schedule.marks(20.0)
    late = np.arange(STEPS) >= STEPS - 2
    probe = Probe(*np.log([SPOT, 7000.0, 6995.0, 7005.0, 7000.0, 7020.0]))
    return known_baseline(dynamics, schedule, probe, SPOT, mark, late)


CATALYST = Catalyst(when="2026-01-28T14:00:00", mean=0.001, std=0.004)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "dynamics", [GBM(0.12, drift=3.0), GBM(0.12, catalysts=(CATALYST,))], ids=["drift", "event"]
)
def test_what_the_twin_should_do(dynamics: GBM) -> None:
    """Against paths drawn here."""
    market = make_market()
    schedule = make_schedule(market, STEPS)
    rows = dynamics.drive(schedule, SPOT)
    mean = rows["drift"] + rows.get("catalyst_mean", 0.0)
    spread = np.sqrt(rows["std"] ** 2 + rows.get("catalyst_std", 0.0) ** 2)
    moves = mean + spread * np.random.default_rng(4).standard_normal((200_000, STEPS))
    x = np.cumsum(moves, axis=1) + np.log(SPOT)
    end = np.flatnonzero(schedule.marks(20.0))
    returns = np.diff(x[:, end], axis=1, prepend=np.log(SPOT))
    late = np.arange(STEPS) >= STEPS - 2
    price = np.exp(x[:, -1])
    drawn = {
        "log_return": x[:, -1] - np.log(SPOT),
        "log_return_squared": (x[:, -1] - np.log(SPOT)) ** 2,
        "close_move": price - SPOT,
        "close_move_squared": (price - SPOT) ** 2,
        "in_band": (price >= 6995.0) & (price <= 7005.0),
        "above": price > 7000.0,
        "in_corridor": ((x >= np.log(7000.0)) & (x <= np.log(7020.0))).mean(axis=1),
        "realised_variance": (returns**2).sum(axis=1),
        "last_variance": (returns[:, late[end]] ** 2).sum(axis=1),
        "lag_product": (returns[:, 1:] * returns[:, :-1]).sum(axis=1),
    }
    known, other = expectations(dynamics), expectations(GBM(0.125, drift=6.0))
    assert set(known) == set(drawn)
    z = {n: (v.mean() - known[n]) / (v.std() / np.sqrt(v.size)) for n, v in drawn.items()}
    assert max(map(abs, z.values())) < 4.0, z
    wrong = {n: abs(v.mean() - other[n]) / (v.std() / np.sqrt(v.size)) for n, v in drawn.items()}
    assert sum(value > 4.0 for value in wrong.values()) >= 8, wrong


def test_other_models_give_what_they_know() -> None:
    assert set(expectations(Heston(0.12, 5.0, 0.12, 1.0, -0.6))) == {
        "log_return",
        "log_return_squared",
        "close_move",
    }
    assert set(expectations(Jumps(0.1, 100.0, 0.0, 0.002))) == {
        "log_return",
        "log_return_squared",
        "close_move",
    }


@pytest.mark.slow
def test_the_twin_is_exact_where_it_is_known(results: dict[str, SimResult]) -> None:
    for method in ("control", "both"):
        for name in (
            "pin_probability",
            "breach_probability",
            "close_mean",
            "close_std_points",
            "realised_vol_pct",
        ):
            metric = results[method][name]
            assert metric.baseline_stderr == 0.0
            assert metric.difference_stderr == pytest.approx(metric.stderr, rel=1e-9)
            plain = results["plain"][name]
            assert abs(plain.baseline - metric.baseline) < 4.0 * plain.baseline_stderr
        assert results[method]["close_mean"].baseline == pytest.approx(SPOT, abs=1e-9)
        assert results[method]["range_points"].baseline_stderr > 0.0


def test_regression_on_copies_and_constants() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal((2, 5_000))
    values = np.stack([a + 0.5 * b, a, 2.0 * a, np.full(a.size, 3.0)])
    mean, covariance = values.mean(axis=1), np.cov(values) / a.size
    adjusted, left = adjust(mean, covariance, np.array([1, 2, 3]), np.array([0.0, 0.0, 3.0]), a.size)
    beta = covariance[0, 1] / covariance[1, 1]
    assert adjusted[0] == pytest.approx(mean[0] - beta * mean[1], abs=1e-12)
    assert left[0, 0] == pytest.approx(covariance[0, 0] - beta * covariance[0, 1], rel=1e-9)
    assert left[0, 0] < 0.25 * covariance[0, 0]
    assert np.array_equal(adjusted[1:], [0.0, 0.0, 3.0])
    assert not left[1:].any()
    wrong, _ = adjust(mean, covariance, np.array([1]), np.array([1.0]), a.size)
    assert abs(wrong[0]) > 4.0 * np.sqrt(left[0, 0])
    assert set(STATISTICS) >= set(expectations(GBM(0.12)))


# --- Sobol points ------------------------------------------------------------------------------------------


def test_without_scrambling_they_are_scipys_points() -> None:
    """Five dimensions, built as one step of five normals."""
    config = SimConfig(paths=4096, replicates=4, sampling="sobol")
    shocks = sobol_shocks(1, config, 5, np.ones(1))
    plain = [qmc.Sobol(5, scramble=False).fast_forward(2**b).random(1)[0] for b in range(10)]
    columns = np.bitwise_xor.accumulate((np.array(plain) * 2**32).astype(np.uint32), axis=0).T
    bare = SobolShocks(np.stack([columns] * 4), np.zeros_like(shocks.shift), shocks.bridge)
    with jax.enable_x64(True):
        z = np.asarray(sobol_normals(bare, jnp.arange(4096, dtype=jnp.uint32), 5))[0]
    points = qmc.Sobol(5, scramble=False).random(1024).T
    assert np.abs(z[:, :1024] - ndtri(points + 0.5 / 2**32)).max() < 1e-5
    assert np.array_equal(z[:, :1024], z[:, 3072:])


def test_every_replicate_is_a_net() -> None:
    """Of 2^m points one lies in each of 2^m equal intervals, in every dimension; replicates differ."""
    config = SimConfig(paths=4096, replicates=4, sampling="sobol")
    shocks = sobol_shocks(9, config, 3, np.ones(1))
    with jax.enable_x64(True):
        z = np.asarray(sobol_normals(shocks, jnp.arange(4096, dtype=jnp.uint32), 3))[0]
    cells = np.searchsorted(ndtri(np.arange(1, 1024) / 1024), z).reshape(3, 4, 1024)
    assert np.array_equal(np.sort(cells, axis=-1), np.broadcast_to(np.arange(1024), (3, 4, 1024)))
    assert len({cell.tobytes() for cell in cells.reshape(12, 1024)}) == 12
    random = np.random.default_rng(0).integers(0, 1024, 1024)
    assert not np.array_equal(np.sort(random), np.arange(1024))
    other = sobol_shocks(10, config, 3, np.ones(1))
    assert not np.array_equal(other.shift, shocks.shift)


def test_the_bridge_keeps_normals_independent() -> None:
    """Its matrix is orthogonal, whatever the steps, and its first normal moves the end alone."""
    for variance in (np.ones(1), np.full(39, 1e-5), np.array([3.0, 0.0, 1e-9, 1.0, 5.0, 0.1, 0.0])):
        steps = variance.size
        with jax.enable_x64(True):
            matrix = np.asarray(_bridged(brownian_bridge(variance), jnp.eye(steps)[:, None, :]))[:, 0]
        assert np.abs(matrix @ matrix.T - np.eye(steps)).max() < 1e-8
        root = np.sqrt(np.maximum(variance, 1e-12 * variance.sum()))
        end = root @ matrix
        assert end[0] == pytest.approx(np.sqrt(variance.sum()), rel=1e-6)
        assert np.abs(end[1:]).max(initial=0.0) < 1e-6 * end[0]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"paths": 100_000}, "paths under sampling"),
        ({"paths": 16 * 512}, "take 16384"),
        ({"paths": 16 * 3072}, "take"),
        ({"paths": 16_384, "antithetic": True}, "antithetic and sampling"),
        ({"paths": 16_384, "control": True}, "control and sampling"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(config: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        SimConfig(sampling="sobol", **config)
    with pytest.raises(InputError, match="sampling must be one of random, sobol"):
        SimConfig(sampling="halton")


def test_too_many_dimensions_are_refused() -> None:
    config = SimConfig(paths=4096, replicates=4, sampling="sobol")
    with pytest.raises(InputError, match="take fewer steps"):
        sobol_shocks(0, config, 2, np.ones(11_000))


@pytest.mark.slow
def test_heston_by_every_method() -> None:
    """Two normals a step, a step that solves for the price: the same numbers within their errors."""
    found = {
        name: simulate(
            same_shape(WALL),
            market=make_market(),
            dynamics=Heston(0.12, 5.0, 0.12, 1.0, -0.6),
            hedging=Band(2.0),
            impact=LinearImpact(3.0),
            config=SimConfig(paths=16_384, steps=13, keep_paths=0, **METHODS[name]),
            seed=5,
            measure=Measure(7000.0),
        )
        for name in ("plain", "control", "sobol")
    }
    for name in ("pin_probability", "realised_vol_pct", "close_mean"):
        plain = found["plain"][name]
        for method in ("control", "sobol"):
            other = found[method][name]
            assert other.stderr < plain.stderr
            assert abs(other.value - plain.value) < 4.0 * np.hypot(plain.stderr, other.stderr)
