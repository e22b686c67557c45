"""The clearing price: each step against a dense scan of the same map, whole paths against a direct search."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicHermiteSpline
from scipy.special import ndtr

from gammawall.sim import SimResult
from gammawall.sim.book import table as tables
from gammawall.sim.sampling.noise import LEAD_IN
from gammawall.sim.step.clearing import CAPPED, JUMP, STABLE, first_root, inverse_lookup
from tests.helpers.price_walk import Option, hedge_delta, walk
from tests.helpers.sim_runs import (
    BLOCK,
    CLOSE,
    DAY,
    SPOT,
    STEPS,
    VOL,
    bp,
    draw,
    make_book,
    make_table,
    run,
    same_shape,
)

X0 = float(np.log(SPOT))


_first_root = jax.jit(first_root)


def solve(y: Any, x: Any, nodes: Any, delta: Any, slope: Any, c: float) -> list[np.ndarray]:
    with jax.enable_x64(True):
        values = [jnp.asarray(np.asarray(v, float)) for v in (y, x, nodes, delta, slope)]
        return [np.asarray(v) for v in _first_root(*values, c)]


@pytest.fixture(scope="module")
def folded_map() -> tuple[np.ndarray, CubicHermiteSpline]:
    """A map with several folds, on uneven nodes."""
    rng = np.random.default_rng(8)
    nodes = np.cumsum(rng.uniform(0.5, 1.5, 240)) * 1e-2
    phase = 9.0 * nodes
    return nodes, CubicHermiteSpline(nodes, np.sin(phase) + 0.4 * np.sin(2.7 * phase), 0.0 * nodes)


@pytest.mark.parametrize("c", [0.05, 0.3, -0.2])
def test_first_root_in_the_pushed_direction(folded_map: Any, c: float) -> None:
    """Against a scan of the same cubic pieces, 40 points to the cell."""
    nodes, spline = folded_map
    delta = spline(nodes)
    slope = np.gradient(delta, nodes)
    piece = CubicHermiteSpline(nodes, delta, slope)
    rng = np.random.default_rng(1)
    start = rng.uniform(nodes[3], nodes[-4], 1500)
    target = start + c * piece(start) + rng.normal(0.0, 0.25, start.size)
    x, d, g, status = solve(target, start, nodes, delta, slope, c)
    dense = np.unique(np.concatenate([np.linspace(a, b, 41) for a, b in itertools.pairwise(nodes)]))
    level = dense + c * piece(dense)
    at_node = nodes + c * delta
    folds = np.flatnonzero(np.diff(at_node) < 0.0)
    disagree = 0
    for i in range(start.size):
        above = target[i] > start[i] + c * piece(start[i])
        ahead = dense > start[i] if above else dense < start[i]
        meets = ahead & (level >= target[i] if above else level <= target[i])
        if not meets.any():
            assert status[i] == CAPPED
            assert x[i] == (nodes[-1] if above else nodes[0])
            continue
        root = dense[meets].min() if above else dense[meets].max()
        if abs(x[i] - root) > 0.01:  # more than half a cell: the fold turns inside one cell
            disagree += 1
            continue
        assert x[i] + c * piece(x[i]) == pytest.approx(target[i], abs=1e-9)
        assert d[i] == pytest.approx(piece(x[i]), abs=1e-8)
        assert g[i] == pytest.approx(c * piece(x[i], 1), abs=1e-5)
        low, high = sorted((start[i], x[i]))
        inside = (nodes[folds] > low) & (nodes[folds + 1] < high)
        if inside.any():
            assert status[i] == JUMP
        elif status[i] == JUMP:  # then a falling cell at the start was left behind
            home = np.searchsorted(nodes, start[i], "right") - 1
            cell = np.searchsorted(nodes, x[i], "right") - 1
            assert home != cell
            assert home in folds
    assert disagree <= 15


def test_the_branch_rule_on_one_short_strike() -> None:
    """M(x) = x − A Φ(x/s): stays on its branch up to the fold, jumps over it, and comes back another way."""
    s, a = 1.0, 6.0
    nodes = np.linspace(-30.0, 30.0, 6001)
    delta, slope = ndtr(nodes / s), np.exp(-0.5 * (nodes / s) ** 2) / (s * np.sqrt(2 * np.pi))
    turn = s * np.sqrt(2.0 * np.log(a / (s * np.sqrt(2.0 * np.pi))))
    top, bottom = -turn - a * ndtr(-turn / s), turn - a * ndtr(turn / s)

    def settle(y: float, x: float) -> tuple[float, int]:
        found, _, _, status = solve([y], [x], nodes, delta, slope, -a)
        assert found[0] - a * ndtr(found[0] / s) == pytest.approx(y, abs=1e-6)
        return float(found[0]), int(status[0])

    x, status = settle(top - 0.01, -5.0)
    assert (x < -turn, status) == (True, STABLE)
    x, status = settle(top + 0.01, x)
    assert (x > turn, status) == (True, JUMP)
    x, status = settle(top - 0.01, x)
    assert (x > turn, status) == (True, STABLE)
    x, status = settle(bottom + 0.01, x)
    assert (x > turn, status) == (True, STABLE)
    x, status = settle(bottom - 0.01, x)
    assert (x < -turn, status) == (True, JUMP)


def test_a_settled_strike_holds_the_price_exactly() -> None:
    """Two equal nodes: a long strike takes every y of its wall, a short one none."""
    nodes = np.array([-1.0, -0.5, 0.0, 0.0, 0.5, 1.0])
    delta = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    y = np.array([-0.2, 0.0, 0.05, 0.15, 0.2, 0.3])
    for start in (-0.7, 0.0, 0.7):
        x, d, _, status = solve(y, np.full(6, start), nodes, delta, 0.0 * nodes, 0.2)
        assert x == pytest.approx([-0.2, 0.0, 0.0, 0.0, 0.0, 0.1], abs=1e-15)
        assert (x[2:4] == 0.0).all()
        assert d == pytest.approx([0.0, 0.0, 0.25, 0.75, 1.0, 1.0], abs=1e-12)
        assert (status == STABLE).all()
    x, _, _, status = solve([-0.1, -0.1, 0.05], [-0.3, 0.3, -0.3], nodes, delta, 0.0 * nodes, -0.2)
    assert x == pytest.approx([-0.1, 0.1, 0.25], abs=1e-15)
    assert status.tolist() == [STABLE, STABLE, JUMP]


def test_no_impact_returns_the_right_hand_side_bit_for_bit() -> None:
    table, _, _ = make_table(make_book(20_000), 0.0, STEPS, max_nodes=448)
    y = X0 + np.random.default_rng(2).normal(0.0, 0.008, 1500)
    x, _, _, _ = solve(y, y[::-1], table.nodes, table.delta[30], table.slope[30], 0.0)
    assert np.array_equal(x, y)
    with jax.enable_x64(True):
        lookup = inverse_lookup(
            jnp.asarray(y), table.y_first, table.y_width, jnp.asarray(table.inverse[30]), 0.0
        )
    assert np.array_equal(np.asarray(lookup[0]), y)


def test_lookup_and_search_agree_where_both_may_be_used() -> None:
    table, _, _ = make_table(make_book([20_000, -6_000], [7000.0, 7012.0]), 3.0, STEPS, max_nodes=448)
    y = X0 + float(table.impact * table.start_delta) + np.random.default_rng(3).normal(0.0, 0.008, 1500)
    compared = 0
    for k in np.flatnonzero(table.kind == tables.LOOK_UP)[::6]:
        searched = solve(y, y, table.nodes, table.delta[k], table.slope[k], float(table.impact))
        with jax.enable_x64(True):
            looked_up = inverse_lookup(
                jnp.asarray(y), table.y_first, table.y_width, jnp.asarray(table.inverse[k]), table.impact
            )
        assert np.asarray(looked_up[0]) == pytest.approx(searched[0], abs=2e-8)
        assert np.asarray(looked_up[2]) == pytest.approx(searched[2], abs=2e-4)
        compared += 1
    assert compared >= 5


MIXED = [
    Option(20_000, 7000.0, 0.12, True, DAY),
    Option(-12_000, 6990.0, 0.13, False, DAY),
    Option(-15_000, 7015.0, 0.12, True, DAY),
    Option(8_000, 7000.0, 0.12, False, 2 * DAY),
    Option(-9_000, 6950.0, 0.14, False, 6 * DAY),
]
EXPIRIES = {1: CLOSE, 2: "2026-01-29T16:00:00", 6: "2026-02-04T16:00:00"}
EMPTY = [Option(0.0, 6990.0, 0.12, True, DAY), Option(0.0, 7015.0, 0.12, True, DAY)]
"""They change no price, only give the table the shape of the mixed book's."""
WALL = [Option(20_000, 7000.0, 0.12, True, DAY), *EMPTY]
SHORT = [Option(-20_000, 7000.0, 0.12, True, DAY), *EMPTY]


def simulate_and_walk(
    options: list[Option], bp_per_usd_bn: float, paths: int
) -> tuple[SimResult, np.ndarray]:
    """A run, and the prices [paths, STEPS] of the direct search fed with the same fundamental paths."""
    seed, c = 3, bp(bp_per_usd_bn)
    book = make_book(
        [o.contracts for o in options],
        [o.strike for o in options],
        vol=[o.vol for o in options],
        is_call=[o.is_call for o in options],
        expiry=[EXPIRIES[round(o.years / DAY)] for o in options],
    )
    result = run(book, bp_per_usd_bn, seed=seed)
    fundamental = np.log(result.sample_baseline[:paths]).T
    full = np.array([o.years for o in options])
    left = [full - DAY * k / STEPS for k in range(1, STEPS)]
    levels = list(fundamental[1:-1])
    if result.law is None:  # the map folds at the close
        shocks = draw(seed, LEAD_IN, np.arange(paths), tables._LEAD_IN_SHARES.size, STEPS)
        now, before = fundamental[-2], 1.0
        for share, z in zip(tables._LEAD_IN_SHARES, shocks, strict=True):
            pull = share / before
            spread = VOL * np.sqrt(DAY / STEPS * before * pull * (1.0 - pull))
            now, before = pull * now + (1.0 - pull) * fundamental[-1] + spread * z, share
            left.append(full - DAY + DAY / STEPS * share)
            levels.append(now)
    at_close = full - DAY
    left.append(np.where(np.abs(at_close) < 1e-15, 0.0, at_close))
    levels.append(fundamental[-1])
    start = hedge_delta(np.array([X0]), options, full, np.zeros(1))[0]
    x = walk(options, np.array(left), np.array(levels) + c * start, X0, c)
    return result, np.exp(np.vstack([x[: STEPS - 1], x[-1:]])).T


@pytest.mark.parametrize(
    ("options", "bp_per_usd_bn", "off_by_a_fold", "tolerance"),
    [
        (WALL, 3.0, 0, 1e-4),
        (SHORT, 1.0, 3, 2e-3),
        (SHORT, 3.0, 4, 2e-3),
        (MIXED, 6.0, 6, 2e-3),
        pytest.param(MIXED, 1.0, 3, 2e-3, marks=pytest.mark.slow),
    ],
    ids=["wall", "short-1bp", "short-3bp", "mixed-6bp", "mixed-1bp"],
)
def test_every_path_against_a_direct_search(
    options: list[Option], bp_per_usd_bn: float, off_by_a_fold: int, tolerance: float
) -> None:
    paths = 1500
    result, direct = simulate_and_walk(options, bp_per_usd_bn, paths)
    gap = np.abs(result.sample_paths[:paths, 1:] - direct)
    assert np.array_equal(result.sample_paths[:, -1], result.close)
    assert (gap.max(axis=1) > tolerance).sum() <= off_by_a_fold
    assert np.quantile(gap, 0.99) < 1e-4
    assert result.status["table_error_points"] > 0.5 * np.quantile(gap, 0.99)
    if options is WALL:
        assert result.status["jump"] == 0
        assert gap.max() < 1.3 * result.status["table_error_points"]
    else:
        assert result.status["paths_with_jump"] > 20
    assert result.status["stable"] + result.status["jump"] + result.status["capped"] == BLOCK * STEPS


def test_the_wrong_sign_of_the_hedge_would_be_seen() -> None:
    """Negative control of the test above: the direct search with the sign of the position turned."""
    bp_per_usd_bn, options = 0.5, SHORT
    result = run(same_shape(20_000), bp_per_usd_bn, seed=3)
    fundamental = np.log(result.sample_baseline[:200]).T
    c, full = bp(bp_per_usd_bn), np.full(3, DAY)
    start = hedge_delta(np.array([X0]), options, full, np.zeros(1))[0]
    left = np.array([full - DAY * k / STEPS for k in range(1, STEPS - 5)])
    wrong = np.exp(walk(options, left, fundamental[1 : STEPS - 5] + c * start, X0, c)).T
    assert np.median(np.abs(wrong - result.sample_paths[:200, 1 : STEPS - 5])) > 0.1
