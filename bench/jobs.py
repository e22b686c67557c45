"""The measured jobs. Each yields lines with, where there is one, the C loop of the same work beside it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from climit import CLimit
from measure import Line, timed

from gammawall import sim
from gammawall.sim.exact import prepare_positions
from gammawall.sim.schedule import make_schedule
from gammawall.sim.table import build_table
from gammawall.surfaces.black import black_price, price_and_greeks
from gammawall.surfaces.book import Book
from gammawall.surfaces.exposures import gex_at
from gammawall.surfaces.implied import implied_vol

__all__ = [
    "ELEVEN",
    "contracts",
    "exposure_lines",
    "flat_book",
    "greek_lines",
    "path_lines",
    "some_greeks",
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


@partial(jax.jit, static_argnames="names")
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
                    first, seconds, spread = timed(lambda g=given, n=names: some_greeks(*g, names=n))
                    yield Line(
                        f"greeks, {outputs} outputs, {count:,}, {np.dtype(dtype).name}",
                        seconds,
                        spread,
                        count,
                        "contract",
                        first - seconds,
                        c_ns if outputs == 11 else None,
                        "C loop",
                    )


def _c_greeks(limit: CLimit, columns: list[np.ndarray]) -> float:
    *numbers, is_call = columns
    sign = np.where(is_call, 1.0, -1.0).astype(numbers[0].dtype)
    out = np.empty((11, sign.size), numbers[0].dtype)
    _, seconds, _ = timed(lambda: limit.greeks([*numbers, sign], out))
    with jax.enable_x64(out.dtype == np.float64):
        same = np.asarray(some_greeks(*map(jnp.asarray, columns), names=ELEVEN))
    scale = np.abs(same).max(axis=1, keepdims=True)
    if not np.allclose(out / scale, same / scale, rtol=0.0, atol=1e-9 if out.dtype == np.float64 else 1e-4):
        raise SystemExit("the C loop and the kernel disagree: the comparison would be of different work")
    return 1e9 * seconds / sign.size


def vol_lines(limit: CLimit, *, quick: bool) -> Iterator[Line]:
    """Implied vols of a whole surface."""
    for count in (10_000, 200_000):
        forward, strike, expiry, vol, rate, is_call = contracts(count)
        price = black_price(forward, strike, expiry, vol, rate, is_call=is_call)
        first, seconds, spread = timed(
            lambda a=(price, forward, strike, expiry, rate), c=is_call: implied_vol(*a, is_call=c).vol
        )
        yield Line(f"implied vol, {count:,}, float64", seconds, spread, count, "vol", first - seconds)


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
    book, spots = _book(24_000, 400), np.linspace(6000.0, 8000.0, 1000)
    first, seconds, spread = timed(lambda: gex_at(book, spots), least_runs=5)
    yield Line("GEX profile, 24,000 contracts × 1,000 spots", seconds, spread, 24e6, "gamma", first - seconds)


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
    """Path-steps of a fixed book on all cores, and its tables."""
    book, market = flat_book()
    count, steps = 16_384 if quick else 98_304, 390
    config = sim.SimConfig(paths=count, steps=steps, keep_paths=0)

    def run() -> float:
        found = sim.simulate(
            book, market=market, dynamics=sim.GBM(0.12), impact=sim.LinearImpact(3.0), config=config, seed=1
        )
        return found.timing["run_s"]

    run()
    taken = [run() for _ in range(10)]
    low, median, high = np.quantile(taken, [0.25, 0.5, 0.75])
    c_ns = _c_paths(limit, book, market, count, steps) if limit.available else None
    yield Line(
        f"path-steps, one strike, {count:,} × {steps}",
        float(median),
        float((high - low) / (2 * median)),
        count * steps,
        "path-step",
        None,
        c_ns,
        "C loop",
    )
    yield from _table_lines(market, steps, quick)


def _table_lines(market: sim.Market, steps: int, quick: bool) -> Iterator[Line]:
    schedule = make_schedule(market, steps)
    reach = sim.GBM(0.12).log_range(schedule, 7000.0)
    for count in (1_000, 24_000):
        positions = prepare_positions(_book(count, count // 50), market, schedule)
        first, seconds, spread = timed(
            lambda p=positions: (
                build_table(p, schedule, float(np.log(7000.0)), reach, 2.1e-9, sim.SimConfig()).inverse
            ),
            least_runs=3,
        )
        work = count * steps
        yield Line(
            f"tables, {count:,} contracts × {steps}", seconds, spread, work, "contract-step", first - seconds
        )


def _c_paths(limit: CLimit, book: Book, market: sim.Market, count: int, steps: int) -> float:
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
    out = np.empty((count, 2))
    _, seconds, _ = timed(lambda: limit.paths(count, rows, numbers, out))
    # The same law: realised variance of the unhedged leg is σ²T, the hedged leg's below it.
    if not (abs(out[:, 1].mean() / v**2 - 1.0) < 0.01 and out[:, 0].mean() < 0.8 * v**2):
        raise SystemExit("the C paths do not follow the same law: the comparison would be of different work")
    return 1e9 * seconds / (count * steps)
