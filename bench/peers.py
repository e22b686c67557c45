"""Implied vols and greeks beside other libraries on the same points; none of them need be installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import jax
import numpy as np
from jobs import contracts, some_greeks
from measure import Line, Timing, timed

from gammawall.surfaces.pricing.implied import implied_vol

__all__ = ["HEADER", "VolRecord", "greek_peer_lines", "missing_peers", "vol_records"]

NAMES = ("forward", "strike", "expiry", "vol", "rate", "is_call")
FIVE = ("delta", "gamma", "vega", "theta", "rho")

WELL_CONDITIONED = 1e-8
"""A price whose rounding moves its vol by less than this part determines the vol."""

WRONG = 1e-6
"""Relative error of a vol from such a price that counts as a failure."""

Points = dict[str, np.ndarray]
Solver = Callable[[np.ndarray, Points], np.ndarray]


@dataclass(frozen=True)
class VolRecord:
    """One library's vols of one set of points. Errors are relative to the vol the prices were made from."""

    points: str
    library: str
    count: int
    determined: int
    """points whose price determines the vol to 1e-8"""
    worst: float
    """largest error of the vols it gave there"""
    median: float
    worst_over_bound: float
    """largest error in units of max(1e-13, 4 × what the rounding of the price costs)"""
    silent: int
    """vols there that are wrong by more than 1e-6 with nothing to tell: no NaN, status or exception"""
    silent_large: int
    """those whose price is over 1e-8 of the forward: the rest are worth less than any tick"""
    refused: int
    """no vol there, and said so"""
    invented: int
    """of all points: vols off by more than 1 %, with nothing to tell"""
    ns_per_vol: float
    spread: float

    def row(self) -> str:
        return (
            f"{self.points:<10} {self.library:<25} {self.worst:9.1e} {self.median:9.1e} "
            f"{self.worst_over_bound:9.2g} {self.silent:7,d} {self.silent_large:7,d} {self.refused:8,d} "
            f"{self.invented:9,d} {self.ns_per_vol:10.0f} ± {self.spread:3.0%}"
        )


HEADER = (
    f"{'vols of':<10} {'by':<25} {'worst':>9} {'median':>9} {'/ bound':>9} {'silent':>7} {'> 1e-8F':>7} "
    f"{'refused':>8} {'off > 1 %':>9} {'ns per vol':>10}"
)


def optional(name: str) -> ModuleType | None:
    """A module that need not be installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def missing_peers() -> list[str]:
    """What is not installed of the comparison."""
    needed = {"fast_vollib": "fast-vollib", "QuantLib": "QuantLib", "vollib": "vollib", "mpmath": "mpmath"}
    return [package for module, package in needed.items() if optional(module) is None]


def vol_records(*, quick: bool) -> Iterator[VolRecord]:
    """Error, silence and speed of every library on the same prices, rounded from 50 digits.

    ``wide`` is the set of the tests: one minute to ten years, out to 36 standard deviations. ``plausible`` is
    an index surface within three.
    """
    oracle = optional("tests.helpers.vol_points")
    if oracle is None:
        return
    count = 500 if quick else 2000
    plausible = dict(zip(NAMES, contracts(count), strict=True))
    sets = {"wide": oracle.sample(count, 11, 36.0, 0.8), "plausible": plausible}
    for name, points in sets.items():
        with optional("mpmath").workdps(50):
            price, floor = oracle.priced(points)
        for library, (solve, whole_arrays) in solvers().items():
            yield _measure(name, library, solve, price, points, floor, 50_000 if whole_arrays else count)


def _measure(
    name: str, library: str, solve: Solver, price: np.ndarray, points: Points, floor: np.ndarray, work: int
) -> VolRecord:
    determined = floor < WELL_CONDITIONED
    with np.errstate(all="ignore"):
        vol = np.asarray(solve(price, points), float)
        given = determined & np.isfinite(vol)
        error = np.abs(vol / points["vol"] - 1.0)
        bound = np.maximum(1e-13, 4.0 * floor)
        many = {key: np.resize(column, work) for key, column in points.items()}
        prices = np.resize(price, work)
        timing = timed(lambda: solve(prices, many), least_runs=5)
    return VolRecord(
        name,
        library,
        price.size,
        int(determined.sum()),
        float(error[given].max()),
        float(np.median(error[given])),
        float((error / bound)[given].max()),
        int(np.sum(given & (error > WRONG))),
        int(np.sum(given & (error > WRONG) & (price > 1e-8 * points["forward"]))),
        int(np.sum(determined & ~given)),
        int(np.sum(error > 0.01)),
        1e9 * timing.seconds / work,
        timing.spread,
    )


def solvers() -> dict[str, tuple[Solver, bool]]:
    """Library → its solver, NumPy in and out with NaN for a refusal, and whether it takes whole arrays."""
    found: dict[str, tuple[Solver, bool]] = {"gammawall": (_own_vols, True)}
    if (fast := optional("fast_vollib")) is not None:
        for mode in ("jax", "numpy"):
            found[f"fast-vollib {mode}"] = (_fast_vols(fast, mode), True)
            # The same package ships a second, more careful solver beside its default one.
            careful = optional(f"fast_vollib.jackel.{mode}_backend")
            if careful is not None:
                found[f"fast-vollib Jäckel {mode}"] = (_fast_careful_vols(careful), True)
    if (black := optional("vollib.black.implied_volatility")) is not None:
        found["vollib (py_vollib)"] = (_one_by_one(black.implied_volatility, _vollib_arguments), False)
    if (ql := optional("QuantLib")) is not None:
        found["QuantLib"] = (
            _one_by_one(ql.blackFormulaImpliedStdDev, _quantlib_arguments(ql), per_year=True),
            False,
        )
    return found


def _own_vols(price: np.ndarray, p: Points) -> np.ndarray:
    return implied_vol(price, p["forward"], p["strike"], p["expiry"], p["rate"], is_call=p["is_call"]).vol


def _flags(p: Points) -> np.ndarray:
    return np.where(p["is_call"], "c", "p")


def _fast_vols(fast: Any, mode: str) -> Solver:
    def solve(price: np.ndarray, p: Points) -> np.ndarray:
        return fast.fast_implied_volatility_black(
            price, p["forward"], p["strike"], p["rate"], p["expiry"], _flags(p), on_error="ignore",
            return_as="numpy", backend=mode,
        )  # fmt: skip

    return solve


def _fast_careful_vols(module: Any) -> Solver:
    def solve(price: np.ndarray, p: Points) -> np.ndarray:
        return module.implied_volatility(
            "black", price, p["forward"], p["strike"], p["expiry"], p["rate"], _flags(p), on_error="ignore"
        )

    return solve


def _one_by_one(
    function: Any, arguments: Callable[..., tuple[Any, ...]], *, per_year: bool = False
) -> Solver:
    """A scalar solver in a loop; an exception is a refusal. `per_year`: it returns total vol."""

    def solve(price: np.ndarray, p: Points) -> np.ndarray:
        out = np.full(price.size, np.nan)
        rows = zip(price.tolist(), *(p[name].tolist() for name in NAMES if name != "vol"), strict=True)
        for i, row in enumerate(rows):
            try:
                out[i] = function(*arguments(*row))
            except Exception:  # every library has its own
                continue
        return out / np.sqrt(p["expiry"]) if per_year else out

    return solve


def _vollib_arguments(price: float, f: float, k: float, t: float, r: float, is_call: bool) -> tuple[Any, ...]:
    return price, f, k, r, t, "c" if is_call else "p"


def _quantlib_arguments(ql: Any) -> Callable[..., tuple[Any, ...]]:
    def arguments(price: float, f: float, k: float, t: float, r: float, is_call: bool) -> tuple[Any, ...]:
        side = ql.Option.Call if is_call else ql.Option.Put
        # Left alone it stops within 1e-6 of total vol.
        return side, k, f, price, float(np.exp(-r * t)), 0.0, ql.nullDouble(), 1e-15, 100

    return arguments


def greek_peer_lines(*, quick: bool) -> Iterator[Line]:
    """Delta, gamma, vega, theta and rho of a plausible surface, NumPy in and out; QuantLib one by one."""
    columns = contracts(10_000 if quick else 100_000)
    ours, _ = _timed_greeks(_own_greeks, columns)
    rows: dict[str, tuple[Callable[..., Any], int]] = {"gammawall": (_own_greeks, len(columns[0]))}
    if (fast := optional("fast_vollib")) is not None:
        for mode in ("jax", "numpy"):
            rows[f"fast-vollib {mode}"] = (_fast_greeks(fast, mode), len(columns[0]))
    if (ql := optional("QuantLib")) is not None:
        rows["QuantLib"] = (_quantlib_greeks(ql), 2000)
    for library, (function, count) in rows.items():
        found, timing = _timed_greeks(function, [c[:count] for c in columns])
        for name in ("delta", "gamma"):
            if not np.allclose(found[name], ours[name][:count], rtol=1e-7, atol=1e-12):
                raise SystemExit(f"{library} and gammawall give different {name}: not the same work")
        yield Line.of(f"5 greeks, {count:,}, {library}", timing, count, "contract")


def _timed_greeks(function: Callable[..., Any], columns: list[np.ndarray]) -> tuple[Any, Timing]:
    return function(*columns), timed(lambda: list(function(*columns).values()), least_runs=5)


def _own_greeks(*columns: np.ndarray) -> dict[str, np.ndarray]:
    with jax.enable_x64(True):
        return dict(zip(FIVE, map(np.asarray, some_greeks(*columns, names=FIVE)), strict=True))


def _fast_greeks(fast: Any, mode: str) -> Callable[..., Any]:
    def greeks(f: Any, k: Any, t: Any, vol: Any, r: Any, is_call: Any) -> Any:
        flags = np.where(is_call, "c", "p")
        return fast.get_all_greeks(flags, f, k, t, r, vol, model="black", return_as="dict", backend=mode)

    return greeks


def _quantlib_greeks(ql: Any) -> Callable[..., Any]:
    def greeks(*columns: np.ndarray) -> dict[str, np.ndarray]:
        out = np.empty((len(FIVE), columns[0].size))
        for i, (f, k, t, vol, r, is_call) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
            payoff = ql.PlainVanillaPayoff(ql.Option.Call if is_call else ql.Option.Put, k)
            black = ql.BlackCalculator(payoff, f, vol * t**0.5, float(np.exp(-r * t)))
            out[:, i] = (
                black.deltaForward(), black.gammaForward(), black.vega(t), black.theta(f, t), black.rho(t)
            )  # fmt: skip
        return dict(zip(FIVE, out, strict=True))

    return greeks
