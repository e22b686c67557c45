"""A scenario ready to run: the checked file, and the objects that `build` makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from gammawall.scenarios.spec.registry import OURS, TABLES, find_kind
from gammawall.scenarios.spec.schema import ScenarioSpec
from gammawall.scenarios.spec.tables import unknown_here
from gammawall.sim import (
    Dynamics,
    Experiment,
    HedgingPolicy,
    Impact,
    Market,
    Measure,
    SimConfig,
    StochasticLevel,
    ZeroDteFlow,
)
from gammawall.sim.models.surface_motion import Motion
from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError

__all__ = ["Scenario"]


@dataclass(frozen=True)
class Scenario:
    """A scenario ready to run: the checked file and the objects built from it."""

    spec: ScenarioSpec
    market: Market
    dynamics: Dynamics
    book: Book
    motion: Motion | StochasticLevel
    flow: ZeroDteFlow | None
    impact: Impact
    hedging: tuple[HedgingPolicy, ...]
    config: SimConfig
    measure: Measure
    seed: int
    vol_pct: float
    """of the fundamental price"""
    chain: OptionChain | None = None
    notes: tuple[str, ...] = ()
    """what was taken from the chain rather than from the file"""
    chain_sha256: str | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    def experiment(self) -> Experiment:
        """What `simulate`, `sensitivities`, `reverse_stress` and `portfolio_pnl` take."""
        return Experiment(
            self.book, self.market, self.dynamics, self.hedging, impact=self.impact, flow=self.flow,
            motion=self.motion, measure=self.measure, config=self.config, seed=self.seed,
        )  # fmt: skip

    @property
    def bp_per_usd_bn(self) -> float | None:
        """Lasting impact of the trades; None where the kind of [impact] has no such key."""
        return self.spec.impact.get("bp_per_usd_bn")

    def foreign_code(self) -> dict[str, dict[str, str | None]]:
        """Kinds of other packages that this scenario names, ``impact.mine``: package, version, source digest.

        Raises:
            InputError: this process does not know a kind.
        """
        hedging = self.spec.hedging.group or (self.spec.hedging,)
        tables = [(table, getattr(self.spec, table)) for table in TABLES if table != "hedging"]
        found = {}
        for table, spec in [*tables, *(("hedging", group) for group in hedging)]:
            kind = find_kind(table, spec.kind)
            if kind is None:
                raise InputError(unknown_here(table, spec.kind))
            if kind.package is not OURS:
                found[f"{table}.{spec.kind}"] = kind.code()
        return found

    def resolved(self) -> dict[str, Any]:
        """The scenario as plain data with every default and every value taken from a chain filled in."""
        # What is claimed of a run is not part of what makes it.
        data = self.spec.model_dump(mode="json", exclude_none=True, exclude={"claim"})
        data["market"] |= {
            "spot": self.market.spot,
            "vol_pct": self.vol_pct,
            "start": _plain(self.market.start),
            "close": _plain(self.market.close),
        }
        data["measure"] |= {
            "strike": self.measure.strike,
            "band_points": self.measure.band_points,
            "corridor": list(self.measure.corridor or ()),
        }
        return data


def _plain(stamp: pd.Timestamp) -> str:
    return stamp.tz_localize(None).isoformat()
