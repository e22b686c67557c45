"""The measured jobs. Each yields lines with, where there is one, the C loop of the same work beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from climit import CLimit
from measure import Line, repeated, timed

from gammawall import sim
from gammawall.sim.book.positions import prepare_positions
from gammawall.sim.book.table import build_table
from gammawall.sim.sampling.schedule import make_schedule
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.exposures import gex_at
from gammawall.surfaces.precision import compiler_options
from gammawall.surfaces.pricing.black import black_price, price_and_greeks
from gammawall.surfaces.pricing.implied import implied_vol

__all__ = [
    "ELEVEN",
    "GPU_PATHS",
    "array_bytes",
    "at_close",
    "contracts",
    "exposure_book",
    "exposure_lines",
    "fixed_rows",
    "flat_book",
    "greek_lines",
    "path_lines",
    "same_greeks",
    "same_law",
    "same_two_metrics",
    "some_greeks",
    "two_metrics",
    "vol_lines",
]

ELEVEN = (
    "price",
    "delta",
    "gamma",
    "vega",
    "theta",
    "rho",
    "vanna",
    "volga",
    "charm",
    "dual_delta",
    "dual_gamma",
)
"""The outputs of the C loop."""

GPU_PATHS = 2**20
"""Enough to keep a GPU busy."""


@partial(jax.jit, static_argnames="names", compiler_options=compiler_options())
def some_greeks(forward, strike, expiry, vol, rate, is_call, names):
    """Only the named greeks; what is not returned is not computed."""
    greeks = price_and_greeks(forward, strike, expiry, vol, rate, is_call)
    return tuple(getattr(greeks, name) for name in names)


def contracts(count: int, dtype: type = np.float64) -> list[np.ndarray]:
    """F, K, T, σ, r, call flag of a plausible index surface, shuffled by a fixed seed."""
    rng = np.random.default_rng(1)
    expiry = rng.choice(np.array([0.5, 1, 2, 5, 10, 21, 63, 126, 252]) / 252.0, count)
    vol = rng.uniform(0.1, 0.3, count)
    strike = 7000.0 * np.exp(vol * np.sqrt(expiry) * rng.uniform(-3.0, 3.0, count))
    columns = [np.full(count, 7000.0), strike, expiry, vol, np.full(count, 0.04)]
    return [c.astype(dtype) for c in columns] + [rng.random(count) < 0.5]


def greek_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """1, 5, 11 and 16 greeks of whole surfaces; eleven against the C loop."""
    sets = {
        1: ELEVEN[:1],
        5: ELEVEN[:5],
        11: ELEVEN,
        16: (*ELEVEN, "veta", "speed", "zomma", "color", "ultima"),
    }
    for dtype in (np.float64, np.float32):
        for count in (10_000, 200_000) if quick else (10_000, 200_000, 4_000_000):
            columns = contracts(count, dtype)
            c_ns = _c_greeks(limit, columns) if limit.available else None
            with jax.enable_x64(dtype == np.float64):
                given = [jnp.asarray(c) for c in columns]
                for outputs, names in sets.items():
                    yield Line.of(
                        f"greeks, {outputs} outputs, {count:,}, {np.dtype(dtype).name}",
                        timed(lambda g=given, n=names: some_greeks(*g, names=n)),
                        count,
                        "contract",
                        limit_ns=c_ns if outputs == 11 else None,
                        limit="C loop",
                        bytes=count * array_bytes(dtype, outputs),
                    )


def array_bytes(dtype: type, outputs: int) -> int:
    """Bytes of one contract: five numbers and a flag in, the greeks out."""
    return (5 + outputs) * np.dtype(dtype).itemsize + 1


def _c_greeks(limit: CLimit, columns: list[np.ndarray]) -> float:
    *numbers, is_call = columns
    sign = np.where(is_call, 1.0, -1.0).astype(numbers[0].dtype)
    out = np.empty((11, sign.size), numbers[0].dtype)
    seconds = timed(lambda: limit.greeks([*numbers, sign], out)).seconds
    same_greeks("the C loop", out, columns)
    return 1e9 * seconds / sign.size


def same_greeks(peer: str, out: np.ndarray, columns: list[np.ndarray]) -> None:
    """Stop unless a peer's eleven greeks [11, n] are ours."""
    with jax.enable_x64(out.dtype == np.float64):
        same = np.asarray(some_greeks(*map(jnp.asarray, columns), names=ELEVEN))
    scale = np.abs(same).max(axis=1, keepdims=True)
    if not np.allclose(out / scale, same / scale, rtol=0.0, atol=1e-9 if out.dtype == np.float64 else 1e-4):
        raise SystemExit(f"{peer} and the kernel disagree: the comparison would be of different work")


def vol_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """Implied vols of a whole surface."""
    for count in (10_000, 200_000):
        forward, strike, expiry, vol, rate, is_call = contracts(count)
        price = black_price(forward, strike, expiry, vol, rate, is_call=is_call)
        timing = timed(
            lambda a=(price, forward, strike, expiry, rate), c=is_call: implied_vol(*a, is_call=c).vol
        )
        yield Line.of(f"implied vol, {count:,}, float64", timing, count, "vol")


def _book(count: int, same_day: int) -> Book:
    rng = np.random.default_rng(2)
    expiry = np.where(np.arange(count) < same_day, "2026-01-28T16:00", "2026-02-20T16:00")
    return Book.from_positions(
        contracts=rng.integers(1, 500, count),
        strike=np.round(rng.uniform(6000.0, 8000.0, count) / 5.0) * 5.0,
        expiry=expiry,
        vol=0.12,
        is_call=rng.random(count) < 0.5,
        spot=7000.0,
        as_of="2026-01-28T09:30",
    )


def exposure_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """GEX of a 24,000-contract book over 1,000 spots."""
    book, spots = exposure_book()
    timing = timed(lambda: gex_at(book, spots), least_runs=5)
    yield Line.of("GEX profile, 24,000 contracts × 1,000 spots", timing, 24e6, "gamma")


def exposure_book() -> tuple[Book, np.ndarray]:
    """24,000 contracts and 1,000 spots."""
    return _book(24_000, 400), np.linspace(6000.0, 8000.0, 1000)


def flat_book() -> tuple[Book, sim.Market]:
    """One strike that settles at the close of one session."""
    book = Book.from_positions(
        contracts=20_000,
        strike=7000.0,
        expiry="2026-01-28T16:00",
        vol=0.12,
        spot=7000.0,
        as_of="2026-01-28T09:30",
    )
    return book, sim.Market(7000.0, "2026-01-28T09:30", "2026-01-28T16:00")


def path_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """Path-steps of a fixed book on all cores, and its tables; on a GPU also of as many paths as it wants."""
    steps = 390
    config = sim.SimConfig(paths=16_384 if quick else 98_304, steps=steps, keep_paths=0)
    yield _path_line(limit, config)
    yield _two_metrics_line(limit, config)
    if jax.default_backend() == "gpu":
        wide = dataclasses.replace(config, paths=GPU_PATHS, block_paths=GPU_PATHS // 4)
        yield _path_line(limit, wide)
    yield from _table_lines(flat_book()[1], steps, quick)


def _path_line(limit: CLimit, config: sim.SimConfig) -> Line:
    (book, market), count, steps = flat_book(), config.paths, config.steps

    def run() -> float:
        found = sim.simulate(
            book, market=market, dynamics=sim.GBM(0.12), impact=sim.LinearImpact(3.0), config=config, seed=1
        )
        return found.timing["run_s"]

    timing = repeated(run, 10)
    c_ns = _c_paths(limit, book, market, count, steps) if limit.available else None
    name = f"path-steps, one strike, {count:,} × {steps}"
    return Line.of(name, timing, count * steps, "path-step", limit_ns=c_ns, limit="C loop")


TWO_METRICS = ("pin_probability", "realised_vol_pct")


def at_close() -> tuple[float, ...]:
    """Of the flat book, for the peers: the band's ends and the strike, log prices, and the log move that the
    whole hedge of the strike makes."""
    units = 20_000 * 100.0
    return (*np.log([6995.0, 7005.0, 7000.0]), 3e-13 * 7000.0 * units)


def two_metrics(config: sim.SimConfig) -> sim.SimResult:
    """Two metrics of the flat book and nothing else."""
    book, market = flat_book()
    return sim.simulate(
        book,
        market=market,
        dynamics=sim.GBM(0.12),
        impact=sim.LinearImpact(3.0),
        config=config,
        seed=1,
        measure=sim.Measure(7000.0, metrics=TWO_METRICS),
    )


def _two_metrics_line(limit: CLimit, config: sim.SimConfig) -> Line:
    """C and we draw by Philox, look up the same table and add up the same four numbers and their products."""
    work, c_ns = config.paths * config.steps, None
    timing = repeated(lambda: two_metrics(config).timing["run_s"], 10)
    if limit.available:
        rows, numbers = fixed_rows(*flat_book(), config.steps)
        out, close = np.empty(20), at_close()
        c_ns = 1e9 * timed(lambda: limit.two_metrics(config.paths, rows, numbers, close, out)).seconds / work
        same_two_metrics("the C loop", out[:4] / config.paths, config)
    name = f"path-steps, two metrics, {config.paths:,} × {config.steps}"
    return Line.of(name, timing, work, "path-step", limit_ns=c_ns, limit="C loop of equal work")


def same_two_metrics(peer: str, means: np.ndarray, config: sim.SimConfig) -> None:
    """Stop unless a peer's shares in the band and realised variances, hedged and not, are ours, five standard
    errors apart at most."""
    found = two_metrics(config)
    pin, vol = (found[name] for name in TWO_METRICS)
    theirs = np.array([*means[:2], *(100.0 * np.sqrt(means[2:] * 252.0))])
    ours = np.array([pin.value, pin.baseline, vol.value, vol.baseline])
    error = np.array([pin.stderr, pin.baseline_stderr, vol.stderr, vol.baseline_stderr])
    if not np.all(np.abs(theirs - ours) < 5.0 * np.sqrt(2.0) * error):
        raise SystemExit(f"{peer} finds {theirs}, we {ours}: the comparison would be of different work")


def _table_lines(market: sim.Market, steps: int, quick: bool) -> Iterator[Line]:
    schedule = make_schedule(market, steps)
    reach = sim.GBM(0.12).log_range(schedule, 7000.0)
    for count in (1_000, 24_000):
        positions = prepare_positions(_book(count, count // 50), market, schedule)
        timing = timed(
            lambda p=positions: (
                build_table(p, schedule, float(np.log(7000.0)), reach, 2.1e-9, sim.SimConfig()).inverse
            ),
            least_runs=3,
        )
        yield Line.of(f"tables, {count:,} contracts × {steps}", timing, count * steps, "contract-step")


def fixed_rows(book: Book, market: sim.Market, steps: int) -> tuple[np.ndarray, tuple[float, ...]]:
    """What the loops of c/paths.c take: cubics [steps, cells, 4], and the seven numbers of `CLimit.paths`."""
    schedule = make_schedule(market, steps)
    positions = prepare_positions(book, market, schedule)
    c, v, reach = 3e-13 * 7000.0, 0.12 / np.sqrt(252), sim.GBM(0.12).log_range(schedule, 7000.0)
    table = build_table(positions, schedule, float(np.log(7000.0)), reach, c, sim.SimConfig())
    rows = np.ascontiguousarray(table.inverse[np.minimum(np.arange(steps), steps - 2)])
    numbers = (
        float(table.y_first),
        float(table.y_width),
        v / np.sqrt(steps),
        -0.5 * v * v / steps,
        c,
        c * float(table.start_delta),
        float(np.log(7000.0)),
    )
    return rows, numbers


def _c_paths(limit: CLimit, book: Book, market: sim.Market, count: int, steps: int) -> float:
    rows, numbers = fixed_rows(book, market, steps)
    out = np.empty((count, 2))
    seconds = timed(lambda: limit.paths(count, rows, numbers, out)).seconds
    same_law("the C loop", out)
    return 1e9 * seconds / (count * steps)


def same_law(peer: str, out: np.ndarray) -> None:
    """Stop unless a peer's realised variances [paths, 2] are of the flat book's law."""
    variance = 0.12**2 / 252.0
    # That of the unhedged leg is σ²T, the hedged leg's below it.
    if not (abs(out[:, 1].mean() / variance - 1.0) < 0.01 and out[:, 0].mean() < 0.8 * variance):
        raise SystemExit(f"{peer} does not follow the same law: the comparison would be of different work")
