"""Runs of every policy and impact on a book whose gamma hardly moves in a day."""

from __future__ import annotations

from typing import Any

import numpy as np

from gammawall import sim
from tests.helpers.sim_runs import DAY, SPOT, VOL, bp, make_book, make_market

FAR = "2027-01-29T16:00:00"
BP = 3.0
UNIT = bp(BP)
"""c = λ S_ref at 3 bp per USD bn."""


def steady_book(feedback: float) -> Any:
    """One strike at the money with a year to go: g = feedback at 3 bp per USD bn, all day within 1 %."""
    years = 253.0 / 252.0
    slope = np.exp(-0.125 * VOL**2 * years) / np.sqrt(2.0 * np.pi * years) / VOL
    return make_book(feedback / UNIT / 100.0 / slope, SPOT, expiry=FAR)


def simulate(
    book: Any, hedging: Any = None, impact: Any = None, *, vol: float = VOL, **sizes: Any
) -> sim.SimResult:
    """One session at 7,000; every path is kept."""
    paths = sizes.setdefault("paths", 4096)
    measure, market = sizes.pop("measure", sim.Measure(7000.0)), sizes.pop("market", make_market())
    motion = sizes.pop("motion", None)
    defaults = {"steps": 39, "keep_paths": paths, "block_paths": 4096}
    return sim.simulate(
        book,
        market=market,
        dynamics=sim.GBM(vol),
        hedging=hedging,
        impact=sim.LinearImpact(BP) if impact is None else impact,
        motion=motion,
        config=sim.SimConfig(**{**defaults, **sizes}),
        seed=3,
        measure=measure,
    )


def log_moves(result: sim.SimResult) -> tuple[np.ndarray, np.ndarray]:
    """Log returns of every step, hedged and fundamental, [P, N]."""
    return (
        np.diff(np.log(result.sample_paths), axis=1),
        np.diff(np.log(result.sample_baseline), axis=1),
    )


def variance_ratio(result: sim.SimResult) -> tuple[float, float]:
    """Var x_T over the fundamental price's on the same shocks, and the standard error of the ratio."""
    x, y = np.log(result.close / SPOT), np.log(result.baseline_close / SPOT)
    x, y = x - x.mean(), y - y.mean()
    ratio = float((x * x).sum() / (y * y).sum())
    spread = (x * x - ratio * y * y).std() / (y * y).mean() / np.sqrt(x.size)
    return ratio, float(spread)


def realised_ratio(result: sim.SimResult) -> float:
    """Realised variance over the fundamental price's."""
    vol = result["realised_vol_pct"]
    return (vol.value / vol.baseline) ** 2


def scale() -> float:
    """σ√T of the session."""
    return VOL * float(np.sqrt(DAY))
