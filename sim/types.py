"""What a simulation is given and what it gives back."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from gammawall.surfaces.clock import VarianceClock, new_york
from gammawall.surfaces.errors import InputError

if TYPE_CHECKING:
    from pandas.api.typing import NaTType

__all__ = ["TILE", "Instant", "Market", "Measure", "SimConfig", "check_number"]

Instant: TypeAlias = "str | dt.date | np.datetime64 | NaTType"
"""What may be given for an instant; without a zone New York time. To a type checker pd.Timestamp(…) may be
NaT, which is refused."""

TILE = 1024
"""Paths summed together. Sums of tiles are added in order of their paths, so that no sum depends on how many
paths are simulated at once, or where."""

SAMPLINGS = ("random", "sobol")

UNWINDS = ("at_settlement", "in_market")


def check_number(name: str, value: float, good: bool, allowed: str) -> None:
    """Refuse a number that is not finite or not `good`; `allowed` says in words what is."""
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
        fee_bp: what a hedge trade costs besides its price, basis points of its value.
        unwind: where the hedge of a contract goes when it settles inside the window: "at_settlement", back to
            the customers at the settlement price, or "in_market", bought and sold like any other trade.
        halts: whether trading stops for a quarter of an hour when the index has lost 7 or 13 % since the
            start, and for good at 20 %; see `sim.step.halts`.
    """

    spot: float
    start: pd.Timestamp
    close: pd.Timestamp
    clock: VarianceClock = field(default_factory=VarianceClock)
    fee_bp: float = 0.0
    unwind: str = "at_settlement"
    halts: bool = False

    if TYPE_CHECKING:
        # Given as text or as any instant, kept as timestamps.
        def __init__(
            self,
            spot: float,
            start: Instant,
            close: Instant,
            clock: VarianceClock = ...,
            fee_bp: float = 0.0,
            unwind: str = "at_settlement",
            halts: bool = False,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", new_york(self.start, "start"))
        object.__setattr__(self, "close", new_york(self.close, "close"))
        check_number("spot", self.spot, self.spot > 0.0, "positive")
        check_number("fee_bp", self.fee_bp, self.fee_bp >= 0.0, "zero or positive")
        if self.unwind not in UNWINDS:
            raise InputError(f"unwind must be one of {', '.join(UNWINDS)}; got {self.unwind!r}")
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
class Measure:
    """What is asked of the price.

    Args:
        strike: the level that may pin, index points.
        band_points: half width of "closed near the strike".
        corridor: (low, high), index points: where an attempt to break out is held.
        metrics: names of `METRICS`; what is not named is neither measured nor compiled. Every one when not
            given. The paths are the same bit for bit, and metrics equal those of a full run up to the last
            digits, as the compiler joins products and sums. (Not a choice of `SimConfig`, which is the size
            of a run.)
        series: whether a run of named metrics also keeps what is drawn of it (series over time, whole paths)
            and checks the dealers' accounts. A run of all metrics always does.
    """

    strike: float
    band_points: float = 5.0
    corridor: tuple[float, float] | None = None
    metrics: tuple[str, ...] | None = None
    series: bool = False

    def __post_init__(self) -> None:
        check_number("strike", self.strike, self.strike > 0.0, "positive")
        check_number(
            "band_points", self.band_points, 0.0 < self.band_points < self.strike, "between 0 and the strike"
        )
        low, high = self.corridor if self.corridor is not None else (self.strike, self.strike + 20.0)
        if not (np.isfinite([low, high]).all() and 0.0 < low < high):
            raise InputError(
                f"corridor must be two positive levels, low before high; got [{low:g}, {high:g}]"
            )
        object.__setattr__(self, "corridor", (float(low), float(high)))
        if isinstance(self.metrics, str):
            raise InputError(
                f"metrics must be a tuple of names; got {self.metrics!r}: write ({self.metrics!r},)"
            )
        if self.metrics is not None:
            object.__setattr__(self, "metrics", tuple(self.metrics))

    @property
    def whole(self) -> bool:
        """Whether series, whole paths and accounts are kept."""
        return self.metrics is None or self.series


@dataclass(frozen=True)
class SimConfig:
    """Size of a run. No number here changes a path: path i at step k has one set of shocks per seed.

    Args:
        paths: how many.
        steps: equal steps of trading time from start to close.
        geometric: η in (0, 0.5] lets steps shrink to η × the time left before every settlement, as hedging by
            time decay alone needs; not given, steps are equal.
        antithetic: whether path 2 i + 1 takes the shocks of path 2 i with the opposite sign.
        control: whether averages are corrected by regression on what the unhedged twin should have done; its
            own numbers are then exact where a closed form is known.
        sampling: "random", or "sobol": scrambled Sobol points through a Brownian bridge, in independent
            randomisations of 2^m points each.
        replicates: how many randomisations; their spread is the standard error.
        sample_minutes: returns, realised vol and hedge trades are measured over this interval (whole steps,
            at least one), so that the numbers of coarse and fine runs mean the same.
        block_paths: paths between two reports of progress, and in one file of a checkpoint; on a GPU also the
            paths of one call. Rounded to whole calls.
        keep_paths: how many of the paths to return whole, for pictures.
        workers: threads running blocks on one device; 0 means one per core.
        devices: how many of this process's devices share the paths; 0 means all.
        max_nodes: most nodes of the price grid.
    """

    paths: int = 100_000
    steps: int = 390
    geometric: float | None = None
    antithetic: bool = False
    control: bool = False
    sampling: str = "random"
    replicates: int = 16
    sample_minutes: float = 1.0
    block_paths: int = 8192
    keep_paths: int = 2_000
    workers: int = 0
    devices: int = 0
    max_nodes: int = 8192

    def __post_init__(self) -> None:
        check_number("sample_minutes", self.sample_minutes, self.sample_minutes > 0.0, "positive")
        limits = {
            "paths": (2, 2**32),
            "steps": (1, 10**6),
            "block_paths": (1, 2**24),
            "keep_paths": (0, 10**6),
            "workers": (0, 1024),
            "devices": (0, 2**16),
            "replicates": (4, 1024),
            "max_nodes": (64, 2**20),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or not low <= value <= high:
                raise InputError(f"{name} must be a whole number from {low} to {high:,}; got {value!r}")
        if self.geometric is not None:
            check_number("geometric", self.geometric, 0.0 < self.geometric <= 0.5, "in (0, 0.5]")
        if self.antithetic and self.paths % 2:
            raise InputError(f"antithetic paths come in pairs: paths must be even; got {self.paths}")
        if self.sampling not in SAMPLINGS:
            raise InputError(f"sampling must be one of {', '.join(SAMPLINGS)}; got {self.sampling!r}")
        if self.sampling == "sobol":
            self._check_points()

    def _check_points(self) -> None:
        if self.antithetic or self.control:
            other = "antithetic" if self.antithetic else "control"
            raise InputError(f'{other} and sampling "sobol" exclude each other: choose one')
        each = self.paths // self.replicates
        if each * self.replicates != self.paths or each < TILE or each & (each - 1):
            near = self.replicates * max(TILE, 2 ** round(np.log2(max(each, 1))))
            raise InputError(
                f'paths under sampling "sobol" must be replicates ({self.replicates}) times a power of two '
                f"of at least {TILE}; got {self.paths}: take {near}"
            )
