"""Derivatives of path averages by the implicit-function theorem, in reverse: one pass for every position.

    x_k + c D_k(x_k) = X_k + c D_0   ⇒   ẋ_k = (Ẋ_k + ċ D_0 + c Ḋ_0 − ċ D_k − c Ḋ_k)/(1 + g_k)

With x̄ the derivative of a statistic in the prices of a path, w_k = x̄_k/(1 + g_k) weighs what stands on the
right. Summed over paths it is a weight on every node of the delta table, which any position's own delta is
then summed against (see `unit_delta`). A price on an atom does not move: w = 0. Nothing is differentiated
through a root search or a scan, so no step is stored beyond its block.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.sim.book.interpolation import value_at
from gammawall.sim.book.positions import settled_delta
from gammawall.sim.engine.block import FixedMarket
from gammawall.sim.engine.prepare import Run
from gammawall.sim.engine.shard import compiled_block
from gammawall.sim.models.dynamics import GBM
from gammawall.sim.types import TILE, Measure, SimConfig
from gammawall.surfaces.arrays import Array

__all__ = [
    "BATCHES",
    "INPUTS",
    "SHARP",
    "STATISTICS",
    "Adjoint",
    "Outline",
    "path_adjoint",
    "static_market",
]

STATISTICS = (
    "in_band",
    "above",
    "close_move",
    "close_move_squared",
    "log_return",
    "log_return_squared",
    "early_variance",
    "late_variance",
)
"""Averages that are differentiated; the first six depend on the close alone."""
_TERMINAL = 6

INPUTS = (*STATISTICS, "baseline_early_variance", "baseline_late_variance")
"""With those of the unhedged twin that metrics compare with; they move with the vol alone."""

SHARP = ("in_band", "above")
"""Statistics whose edges are smoothed; their sharp twins are summed beside them."""

BATCHES = 16
"""Paths are dealt to so many batches, whose spread is the standard error."""

_PATHS = 2 * TILE
"""Paths of one call."""
_LEAST_CLIMB = 1e-6


@dataclass(frozen=True)
class Outline:
    """The shape of a run: everything that its compiled derivative depends on besides array sizes."""

    settles: tuple[int, ...]
    """steps at which contracts settle"""
    restarts: tuple[int, ...]
    """settlements before the close whose hedges are handed over, so that the map starts anew there"""
    marks: tuple[int, ...]
    """steps that end a sampling interval"""
    late: tuple[bool, ...]
    """whether that interval lies in the last half hour"""
    steps: int

    @classmethod
    def of(cls, run: Run) -> Outline:
        """The outline of a run."""
        steps = run.schedule.steps
        settles = tuple(int(k) for k in run.positions.settlements if k > 0)
        marks = np.flatnonzero(run.given.mark)
        return cls(
            settles=settles,
            restarts=() if run.plan.unwind else tuple(k for k in settles if k < steps),
            marks=tuple((marks + 1).tolist()),
            late=tuple(np.asarray(run.given.late)[marks].tolist()),
            steps=steps,
        )

    @property
    def slots(self) -> tuple[tuple[int, int], ...]:
        """(step, statistic) wherever a statistic depends on the row of a step."""
        own = {(self.steps, j) for j in range(_TERMINAL)}
        for i, (mark, late) in enumerate(zip(self.marks, self.late, strict=True)):
            own.add((mark, _TERMINAL + late))
            if i:
                own.add((self.marks[i - 1], _TERMINAL + late))
        own |= {(k, j) for k in self.restarts for j in range(len(STATISTICS))}
        return tuple(sorted(own))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Terms:
    """Numbers of a run that the derivative needs; log prices."""

    nodes: Array
    delta: Array
    """[N, G]"""
    slope: Array
    impact: Array | float
    start_delta: Array
    strikes: Array
    """that settle, padded with inf, [E, J]"""
    settled: Array
    """D of the settling contracts by the number of strikes passed, [E, J + 1]"""
    vol: Array | float
    trend: Array
    """E[X_k − X_0], [N]"""
    trend_per_vol: Array
    """its derivative in the vol, [N]"""
    spot: Array | float
    strike: Array
    low: Array
    high: Array
    width: Array | float
    """over which an edge of the band rises from 0 to 1, log price"""


@dataclass(frozen=True)
class Adjoint:
    """Sums over the paths of each of B batches."""

    outline: Outline
    count: np.ndarray
    """paths, [B]"""
    value: np.ndarray
    """`INPUTS`, [B, 10]"""
    sharp: np.ndarray
    """`SHARP`, [B, 2]"""
    per_vol: np.ndarray
    """derivative in the driving vol, [B, 10]"""
    per_impact: np.ndarray
    """derivative in c, [B, 10]"""
    start: np.ndarray
    """weight of c D_0 in each of `STATISTICS`, [B, 8]"""
    rows: np.ndarray
    """weight of −c D and −c dD/dx at the nodes, [slots, 2, G, B]"""
    settled: np.ndarray
    """weight of −c D of the settling contracts by the number of strikes passed, [B, E, 8, J + 1]"""
    strikes: np.ndarray
    """[E, J]"""
    jumped: float
    """share of paths with at least one jump"""
    capped: float

    @property
    def paths(self) -> int:
        return int(self.count.sum())


def static_market(run: Run) -> FixedMarket:
    """The arrays of a run by the static map."""
    market = run.given.market
    assert isinstance(market, FixedMarket)
    return market


def path_adjoint(run: Run, dynamics: GBM, config: SimConfig, measure: Measure, smoothing: float) -> Adjoint:
    """Simulate a run, and sum values and derivative weights over its paths.

    Args:
        run: by the static map.
        dynamics: without catalysts.
        config: `paths`.
        measure: band and strike.
        smoothing: half width of an edge, index points.
    """
    outline = Outline.of(run)
    total: dict[str, np.ndarray] = {}
    flags, size = np.zeros(2), min(_PATHS, -(-config.paths // TILE) * TILE)
    plan = dataclasses.replace(run.plan, keep=size)
    with jax.enable_x64(True):
        terms = jax.tree_util.tree_map(jnp.asarray, _terms(run, dynamics, measure, smoothing, outline))
        given = jax.tree_util.tree_map(jnp.asarray, run.given)
        for first in range(0, config.paths, size):
            numbers = np.arange(first, first + size)
            valid = jnp.asarray(numbers < config.paths)
            paths = jnp.asarray(numbers.astype(np.uint32))
            found = compiled_block(plan, run.layout.devices[0], given, paths, valid)(given, paths, valid)
            flags += np.asarray(found.paths_status).sum(axis=0)
            sums = _block(terms, found.kept, valid, outline=outline, pairs=plan.antithetic)
            for name, part in sums.items():
                total[name] = total[name] + np.asarray(part) if name in total else np.array(part)
    return Adjoint(
        outline=outline,
        strikes=np.asarray(terms.strikes),
        jumped=float(flags[0] / config.paths),
        capped=float(flags[1] / config.paths),
        **total,
    )


def _terms(run: Run, dynamics: GBM, measure: Measure, smoothing: float, outline: Outline) -> Terms:
    market = static_market(run)
    parts = [settled_delta(run.positions, k) for k in outline.settles]
    most = max([1, *(strikes.size for strikes, _ in parts)])
    strikes, settled = np.full((len(parts), most), np.inf), np.zeros((len(parts), most + 1))
    for e, (at, jump) in enumerate(parts):
        strikes[e, : at.size] = at
        settled[e] = -run.positions.puts[run.positions.settles(outline.settles[e])].sum()
        settled[e, 1 : at.size + 1] += np.cumsum(jump)
    years = np.cumsum(run.schedule.variance)
    return Terms(
        nodes=market.table.nodes,
        delta=market.rows.delta,
        slope=market.rows.slope,
        impact=market.table.impact,
        start_delta=market.table.start_delta,
        strikes=strikes,
        settled=settled,
        vol=np.float64(dynamics.vol),
        trend=dynamics.log_drift * years,
        trend_per_vol=-dynamics.vol * years,
        spot=run.given.spot,
        strike=run.given.probe.log_strike,
        low=run.given.probe.band_low,
        high=run.given.probe.band_high,
        width=np.float64(2.0 * smoothing / measure.strike),
    )


def _rise(x: Array, begin: Array, width: Array | float) -> Any:
    """From 0 at `begin` to 1 at `begin + width`, with slope 0 at both ends."""
    u = jnp.clip((x - begin) / width, 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


def _of_close(x: Array, terms: Terms) -> Any:
    """The statistics of the close, [6, P]; edges rise outside the set: an atom on one counts whole."""
    move, total = jnp.exp(x) - terms.spot, x - jnp.log(terms.spot)
    low = _rise(x, terms.low - terms.width, terms.width)
    high, above = (_rise(x, edge, terms.width) for edge in (terms.high, terms.strike))
    return jnp.stack([low - high, above, move, move * move, total, total * total])


def _variances(x: Array, outline: Outline) -> tuple[Any, Any]:
    """Early and late sum of squared returns of prices [N + 1, P], and their derivatives in them, [2, P] and
    [2, N, P]."""
    marks = np.array(outline.marks)
    r = jnp.diff(x[np.append(0, marks)], axis=0)
    late = np.array(outline.late)[None, :, None] == np.array([False, True])[:, None, None]
    twice = 2.0 * late * r
    rate = jnp.zeros((2, outline.steps, x.shape[1])).at[:, marks - 1].add(twice)
    return jnp.sum(late * r * r, axis=1), rate.at[:, marks[:-1] - 1].add(-twice[:, 1:])


@functools.partial(jax.jit, static_argnames=("outline", "pairs"))
def _block(terms: Terms, prices: jax.Array, valid: Array, *, outline: Outline, pairs: bool) -> dict[str, Any]:
    """Sums of one block of paths per batch, by the names of `Adjoint`.

    Args:
        terms: numbers of the run.
        prices: log prices, hedged and fundamental, [N + 1, 2, P].
        valid: which paths count, [P].
        outline: shape of the run.
        pairs: whether paths 2 i and 2 i + 1 belong together.
    """
    x, fundamental = prices[:, 0], prices[:, 1]
    close, close_rate = jax.jvp(lambda at: _of_close(at, terms), (x[-1],), (jnp.ones_like(x[-1]),))
    hedged, hedged_rate = _variances(x, outline)
    plain, plain_rate = _variances(fundamental, outline)
    bars = jnp.zeros((_TERMINAL, outline.steps, x.shape[1])).at[:, -1].set(close_rate)
    bars = jnp.concatenate([bars, hedged_rate]) * valid
    values = jnp.concatenate([close, hedged, plain]) * valid
    sharp = jnp.stack([(x[-1] >= terms.low) & (x[-1] <= terms.high), x[-1] > terms.strike]) * valid
    living, climb, settled, passed, free = _deltas(terms, x[1:], outline)
    w, v, start = _weights(bars, free / climb, climb, outline)
    moved = (fundamental[1:] - fundamental[0] - terms.trend[:, None]) / terms.vol
    moved = moved + terms.trend_per_vol[:, None]
    per_vol = jnp.concatenate([jnp.sum(v * moved, axis=1), jnp.sum(plain_rate * moved * valid, axis=1)])
    per_impact = terms.start_delta * start - jnp.sum(v * living + w * settled, axis=1)
    per_impact = jnp.concatenate([per_impact, jnp.zeros_like(plain)])

    batched = functools.partial(_batched, pairs=pairs)

    slots = np.array(outline.slots)
    rows = jax.lax.map(
        lambda slot: _on_nodes(terms, *slot),
        (slots[:, 0] - 1, batched(x[slots[:, 0]]), batched(v[slots[:, 1], slots[:, 0] - 1])),
    )
    bins = jnp.arange(terms.settled.shape[1])
    events = [batched(w[:, k - 1]) for k in outline.settles]
    by_passed = [
        jnp.einsum("jpb,ipb->bji", weight, batched((at == bins[:, None]).astype(x.dtype)))
        for weight, at in zip(events, passed, strict=True)
    ]
    totals = [jnp.sum(batched(a), axis=-2).T for a in (values, 1.0 * sharp, per_vol, per_impact, start)]
    none = jnp.zeros((BATCHES, 0, len(STATISTICS), bins.size))
    return {
        "count": jnp.sum(batched(valid.astype(x.dtype)), axis=-2),
        **dict(zip(("value", "sharp", "per_vol", "per_impact", "start"), totals, strict=True)),
        "rows": rows,
        "settled": jnp.stack(by_passed, axis=1) if by_passed else none,
    }


def _batched(a: Array, *, pairs: bool) -> Any:
    """Paths dealt to the batches in turn, [..., P] → [..., P/B, B]."""
    if pairs:
        a = jnp.swapaxes(a.reshape(*a.shape[:-1], -1, BATCHES, 2), -1, -2)
        a = a.reshape(*a.shape[:-3], -1)
    return a.reshape(*a.shape[:-1], -1, BATCHES)


def _deltas(terms: Terms, x: jax.Array, outline: Outline) -> tuple[Any, Any, Any, list[Any], Any]:
    """At the prices of a block, [N, P]: D of what lives on, 1 + g, D of what settles, at each settlement how
    many strikes lie below the price, and whether the price is free to move."""

    def one(delta: Array, slope: Array, at: Array):
        return jax.jvp(lambda p: value_at(terms.nodes, delta, slope, p), (at,), (jnp.ones_like(at),))

    living, rate = jax.vmap(one)(terms.delta, terms.slope, x)
    settled, passed = jnp.zeros_like(x), []
    # At the grid's edge a price is capped, and stands still like one on an atom.
    free = (x > terms.nodes[0]) & (x < terms.nodes[-1])
    for e, k in enumerate(outline.settles):
        strikes, at = terms.strikes[e], x[k - 1]
        count = jnp.searchsorted(strikes, at, side="left")
        pinned = strikes[jnp.minimum(count, strikes.size - 1)] == at
        passed.append(count)
        settled = settled.at[k - 1].set(terms.settled[e][count])
        free = free.at[k - 1].set(free[k - 1] & ~pinned)
    return living, jnp.maximum(1.0 + terms.impact * rate, _LEAST_CLIMB), settled, passed, free


def _weights(bars: jax.Array, give: Array, climb: Array, outline: Outline) -> tuple[Any, Any, Any]:
    """From x̄ [8, N, P] to w, to w less what the map's later restarts at a step take back, and to the weight
    of the start, [8, P].

    After a handed-over settlement at s the map is x_k + c D_k = X_k + (x_s + c L_s − X_s), L_s the delta that
    lives on there, so that x̄_s gains (1 + c L_s') times all later weights.
    """
    bounds = [0, *outline.restarts, outline.steps]
    w, back = [], []
    later = None
    for begin, end in reversed(list(itertools.pairwise(bounds))):
        bar = bars[:, begin:end]
        taken = jnp.zeros_like(bar)
        if later is not None:
            bar = bar.at[:, -1].add(later * climb[end - 1])
            taken = taken.at[:, -1].set(later)
        w.insert(0, bar * give[begin:end])
        back.insert(0, w[0] - taken)
        later = jnp.sum(w[0], axis=1)
    return jnp.concatenate(w, axis=1), jnp.concatenate(back, axis=1), later


def _on_nodes(terms: Terms, row: Array, x: Array, weight: Array) -> Any:
    """Weights of paths [P/B, B] carried to the nodes between which they read the table, [2, G, B]."""

    def reading(delta: Array, slope: Array, at: Array, size: Array):
        return jnp.sum(size * value_at(terms.nodes, delta, slope, at))

    one = jax.vmap(jax.grad(reading, argnums=(0, 1)), in_axes=(None, None, 1, 1), out_axes=1)
    return jnp.stack(one(terms.delta[row], terms.slope[row], x, weight))
