"""The same work in plain NumPy and SciPy, checked against ours before it is timed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jobs import (
    array_bytes,
    at_close,
    contracts,
    exposure_book,
    fixed_rows,
    flat_book,
    same_greeks,
    same_two_metrics,
)
from measure import Line, beside, timed
from scipy.special import ndtr

from gammawall import sim
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.exposures import gex_at

__all__ = ["numpy_gex", "numpy_greeks", "numpy_lines", "numpy_paths", "numpy_two_metrics"]


def numpy_lines(lines: list[Line], *, quick: bool) -> Iterator[Line]:
    """NumPy beside `lines`, those of the same jobs in this run."""
    yield _greek_line(lines)
    yield _exposure_line(lines)
    yield _path_line(lines, 2048 if quick else 8192)
    yield _two_metrics_line(lines, 2048 if quick else 8192)


def _greek_line(lines: list[Line]) -> Line:
    columns = contracts(200_000)
    same_greeks("NumPy", numpy_greeks(*columns), columns)
    timing = timed(lambda: numpy_greeks(*columns))
    name, count = "greeks, 11 outputs, 200,000, float64", columns[0].size
    moved = count * array_bytes(np.float64, 11)
    return Line.of(f"{name}, NumPy", timing, count, "contract", bytes=moved, **beside(lines, name))


def _exposure_line(lines: list[Line]) -> Line:
    book, spots = exposure_book()
    found, own = numpy_gex(book, spots), gex_at(book, spots)
    if not np.allclose(found, own, rtol=0.0, atol=1e-10 * np.abs(own).max()):
        raise SystemExit("NumPy and gammawall give different profiles: not the same work")
    name, work = "GEX profile, 24,000 contracts × 1,000 spots", len(book) * spots.size
    timing = timed(lambda: numpy_gex(book, spots), least_runs=5)
    return Line.of(f"{name}, NumPy", timing, work, "gamma", **beside(lines, name))


def _path_line(lines: list[Line], count: int) -> Line:
    steps = 390
    book, market = flat_book()
    rows, numbers = fixed_rows(book, market, steps)
    config = sim.SimConfig(paths=count, steps=steps, keep_paths=0)
    found = sim.simulate(
        book, market=market, dynamics=sim.GBM(0.12), impact=sim.LinearImpact(3.0), config=config, seed=1
    )
    hedged, base = numpy_paths(count, rows, numbers).mean(axis=0)
    own = found["realised_vol_pct"]
    # Four standard errors of either ratio at 2,048 paths.
    if not abs(np.sqrt(hedged / base) / (own.value / own.baseline) - 1.0) < 0.01:
        raise SystemExit("NumPy's paths do not follow the same law: not the same work")
    timing = timed(lambda: numpy_paths(count, rows, numbers), least_runs=5)
    name, start = f"path-steps, one strike, {count:,} × {steps}, NumPy", "path-steps, one strike"
    return Line.of(name, timing, count * steps, "path-step", **beside(lines, start))


def numpy_greeks(
    f: np.ndarray, k: np.ndarray, t: np.ndarray, vol: np.ndarray, r: np.ndarray, is_call: np.ndarray
) -> np.ndarray:
    """The eleven greeks of the C loop, [11, n]."""
    w, root = np.where(is_call, 1.0, -1.0), np.sqrt(t)
    s = vol * root
    d1 = np.log(f / k) / s + 0.5 * s
    d2 = d1 - s
    discount = np.exp(-r * t)
    phi = discount * np.exp(-0.5 * d1 * d1) / np.sqrt(2.0 * np.pi)
    n1, n2 = ndtr(w * d1), ndtr(w * d2)
    price, delta, vega = discount * w * (f * n1 - k * n2), w * discount * n1, phi * f * root
    return np.stack(
        [
            price,
            delta,
            phi / (f * s),
            vega,
            r * price - phi * f * vol / (2.0 * root),
            -t * price,
            -phi * d2 / vol,
            vega * d1 * d2 / vol,
            r * delta + phi * d2 / (2.0 * t),
            -w * discount * n2,
            phi * f / (k * k * s),
        ]
    )


def numpy_gex(book: Book, spots: np.ndarray) -> np.ndarray:
    """USD per 1 % at each spot, one spot at a time: its arrays stay in the cache."""
    s = book.total_vol
    shift = np.log(book.carry / book.strike) / s + 0.5 * s
    units = book.contracts * book.multiplier * book.discount * book.carry / (s * np.sqrt(2.0 * np.pi))
    gex = np.empty(spots.size)
    for i, spot in enumerate(spots):
        d1 = np.log(spot) / s + shift
        gex[i] = 0.01 * spot * (units @ np.exp(-0.5 * d1 * d1))
    return gex


def _two_metrics_line(lines: list[Line], count: int) -> Line:
    steps = 390
    rows, numbers = fixed_rows(*flat_book(), steps)
    same_two_metrics(
        "NumPy",
        numpy_two_metrics(count, rows, numbers)[:4] / count,
        sim.SimConfig(paths=count, steps=steps, keep_paths=0),
    )
    timing = timed(lambda: numpy_two_metrics(count, rows, numbers), least_runs=5)
    name = f"path-steps, two metrics, {count:,} × {steps}, NumPy"
    return Line.of(name, timing, count * steps, "path-step", **beside(lines, "path-steps, two metrics"))


def numpy_two_metrics(count: int, rows: np.ndarray, numbers: tuple[float, ...]) -> np.ndarray:
    """The sums of `CLimit.two_metrics`, [20]."""
    low, high, *settled = at_close()
    out, last, base = _numpy_walk(count, rows, numbers, (settled[0], settled[1]))
    inside = [(x >= low) & (x <= high) for x in (last, base)]
    vector = np.stack([*inside, *out])
    return np.concatenate([vector.sum(axis=1), (vector @ vector.T).ravel()])


def numpy_paths(count: int, rows: np.ndarray, numbers: tuple[float, ...]) -> np.ndarray:
    """Realised variance of both legs as in c/paths.c, [count, 2]; arguments as `CLimit.paths` takes them."""
    return _numpy_walk(count, rows, numbers)[0].T


def _numpy_walk(
    count: int, rows: np.ndarray, numbers: tuple[float, ...], settled: tuple[float, float] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Realised variances [2, count] and both log prices at the close, where a strike may settle."""
    y_first, y_width, spread, drift, impact, shift, start = numbers
    rng = np.random.Generator(np.random.Philox(1))
    base, last = np.full(count, start), np.full(count, start)
    out = np.zeros((2, count))
    for k, row in enumerate(rows):
        move = drift + spread * rng.standard_normal(count)
        base += move
        at = (base + shift - y_first) / y_width
        cell = np.clip(at.astype(np.int64), 0, len(row) - 1)
        c, q = row[cell].T, at - cell
        now = base + shift - impact * (c[0] + q * (c[1] + q * (c[2] + q * c[3])))
        if settled is not None and k == len(rows) - 1:
            strike, jump = settled
            now = base + shift - np.clip(base + shift - strike, 0.0, jump)
        out += np.square([now - last, move])
        last = now
    return out, last, base
