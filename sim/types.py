"""What a simulation is given and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from gammawall.surfaces.book import new_york
from gammawall.surfaces.clock import VarianceClock
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import BP_PER_USD_BN

__all__ = ["GBM", "Clearing", "LinearImpact", "Market", "Measure", "NoHedging", "SimConfig"]


def _finite(name: str, value: float, good: bool, allowed: str) -> None:
    if not (np.isfinite(value) and good):
        raise InputError(f"{name} must be {allowed}; got {value:g}")


@dataclass(frozen=True)
class Market:
    """The index at the start and the window that is simulated.

    Args:
        spot: index points.
        start: first instant; without a zone New York time.
        close: last instant, where contracts expiring then settle.
        clock: how variance is spread over time.
    """

    spot: float
    start: pd.Timestamp
    close: pd.Timestamp
    clock: VarianceClock = field(default_factory=VarianceClock)

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", new_york(self.start, "start"))
        object.__setattr__(self, "close", new_york(self.close, "close"))
        _finite("spot", self.spot, self.spot > 0.0, "positive")
        if self.close <= self.start:
            raise InputError(f"close {self.close} must be after start {self.start}")
        if self.variance_years <= 0.0:
            raise InputError(
                f"there is no trading time between start {self.start} and close {self.close}; "
                "give a window that overlaps a session (09:30-16:00 New York on a trading day)"
            )

    @property
    def variance_years(self) -> float:
        """Variance time of the window: 1/252 for one regular session."""
        return float(self.clock.variance_years(self.start, self.close))


@dataclass(frozen=True)
class GBM:
    """Geometric Brownian motion of the fundamental price: dX = (μ − σ²/2) dt + σ dW in log price.

    Args:
        vol: annual decimal, on the market's variance clock.
        drift: "martingale" (E[S] constant, μ = 0) or μ per year of variance time.
    """

    vol: float
    drift: float | str = "martingale"

    def __post_init__(self) -> None:
        _finite("vol", self.vol, self.vol > 0.0, "positive, an annual decimal such as 0.12")
        if isinstance(self.drift, str):
            if self.drift != "martingale":
                raise InputError(f'drift must be "martingale" or a number per year; got {self.drift!r}')
        else:
            _finite("drift", self.drift, True, "finite")

    @property
    def log_drift(self) -> float:
        """Drift of the log price per year."""
        growth = 0.0 if isinstance(self.drift, str) else self.drift
        return growth - 0.5 * self.vol**2


@dataclass(frozen=True)
class LinearImpact:
    """Linear permanent impact: every traded USD moves the log price by a fixed amount.

    Args:
        bp_per_usd_bn: basis points of price per USD bn traded; zero or positive.
    """

    bp_per_usd_bn: float

    def __post_init__(self) -> None:
        _finite("bp_per_usd_bn", self.bp_per_usd_bn, self.bp_per_usd_bn >= 0.0, "zero or positive")

    @property
    def log_per_usd(self) -> float:
        return self.bp_per_usd_bn * BP_PER_USD_BN


@dataclass(frozen=True)
class Clearing:
    """Continuous, self-consistent delta hedging: the hedge is −fraction × D at the price after the trade.

    Args:
        fraction: share of the book that is hedged, in [0, 1].
    """

    fraction: float = 1.0

    def __post_init__(self) -> None:
        _finite("fraction", self.fraction, 0.0 <= self.fraction <= 1.0, "between 0 and 1")


@dataclass(frozen=True)
class NoHedging:
    """Nobody hedges: the price is the fundamental price."""

    fraction: float = field(default=0.0, init=False)


@dataclass(frozen=True)
class Measure:
    """What is asked of the price.

    Args:
        strike: the level that may pin, index points.
        band_points: half width of "closed near the strike".
        corridor: (low, high), index points: where an attempt to break out is held.
    """

    strike: float
    band_points: float = 5.0
    corridor: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _finite("strike", self.strike, self.strike > 0.0, "positive")
        _finite(
            "band_points", self.band_points, 0.0 < self.band_points < self.strike, "between 0 and the strike"
        )
        low, high = self.corridor if self.corridor is not None else (self.strike, self.strike + 20.0)
        if not (np.isfinite([low, high]).all() and 0.0 < low < high):
            raise InputError(
                f"corridor must be two positive levels, low before high; got [{low:g}, {high:g}]"
            )
        object.__setattr__(self, "corridor", (float(low), float(high)))


@dataclass(frozen=True)
class SimConfig:
    """Size of a run. No number here changes a path: path i at step k has one set of shocks per seed.

    Args:
        paths: how many.
        steps: equal steps of real time from start to close.
        sample_minutes: returns, realised vol and hedge trades are measured over this interval (whole steps,
            at least one), so that the numbers of coarse and fine runs mean the same.
        block_paths: paths simulated together in one call of the compiled step loop.
        keep_paths: how many of the paths to return whole, for pictures.
        workers: threads running blocks; 0 means one per core.
        max_nodes: most nodes of the price grid.
    """

    paths: int = 100_000
    steps: int = 390
    sample_minutes: float = 1.0
    block_paths: int = 8192
    keep_paths: int = 2_000
    workers: int = 0
    max_nodes: int = 8192

    def __post_init__(self) -> None:
        _finite("sample_minutes", self.sample_minutes, self.sample_minutes > 0.0, "positive")
        limits = {
            "paths": (2, 2**32),
            "steps": (1, 10**6),
            "block_paths": (1, 2**24),
            "keep_paths": (0, 10**6),
            "workers": (0, 1024),
            "max_nodes": (64, 2**20),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or not low <= value <= high:
                raise InputError(f"{name} must be a whole number from {low} to {high:,}; got {value!r}")
