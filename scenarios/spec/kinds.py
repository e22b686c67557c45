"""Our own kinds: the keys that each takes in a scenario file, and the object of `sim` that it stands for.

A new model with numbers of its own is a dataclass and one `_ours` here, besides its file in `sim`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from gammawall.scenarios.spec.registry import Drive, Kind, add_kind
from gammawall.sim import (
    GBM,
    Bachelier,
    Band,
    CharmOnly,
    Clearing,
    Clock,
    Heston,
    Jumps,
    LinearImpact,
    NoHedging,
    ObizhaevaWang,
    PowerLaw,
    SpotVolBeta,
    StickyMoneyness,
    StickyStrike,
    StochasticLevel,
    Zakamouline,
    ZeroDteFlow,
)
from gammawall.surfaces.units import from_percent

__all__ = ["NoParameters"]

_POSITIVE = {"above": 0.0, "at_most": 1e6}
_AT_LEAST_0 = {"at_least": 0.0, "at_most": 1e9}
_CORRELATION = {"at_least": -1.0, "at_most": 1.0}
_VOL = {"at_least": 0.01, "at_most": 1000.0, "unit": "% a year"}
_SHARE = {"at_least": 0.0, "at_most": 1.0}
_IMPACT = {"at_least": 0.0, "at_most": 1e6, "unit": "bp of price per USD bn traded"}


def _ours(table: str, name: str, parameters: type, build: Callable[..., Any]) -> None:
    add_kind(Kind(table, name, parameters, build))


@dataclass(frozen=True)
class NoParameters:
    """For a kind without numbers of its own."""


@dataclass(frozen=True)
class HestonParameters:
    mean_reversion: float = field(metadata=_AT_LEAST_0 | {"unit": "per year"})
    long_vol_pct: float = field(metadata=_VOL)
    vol_of_vol: float = field(metadata=_AT_LEAST_0)
    correlation: float = field(metadata=_CORRELATION)


@dataclass(frozen=True)
class JumpsParameters:
    jumps_per_year: float = field(metadata=_AT_LEAST_0)
    jump_mean_pct: float = field(metadata={"at_least": -100.0, "at_most": 100.0})
    jump_std_pct: float = field(metadata={"at_least": 0.0, "at_most": 100.0})


def _common(drive: Drive) -> dict[str, Any]:
    return {"drift": drive.drift, "catalysts": drive.catalysts}


def _heston(p: HestonParameters, drive: Drive) -> Heston:
    long_vol = from_percent(p.long_vol_pct)
    return Heston(drive.vol, p.mean_reversion, long_vol, p.vol_of_vol, p.correlation, **_common(drive))


def _jumps(p: JumpsParameters, drive: Drive) -> Jumps:
    mean, std = from_percent(p.jump_mean_pct), from_percent(p.jump_std_pct)
    return Jumps(drive.vol, p.jumps_per_year, mean, std, **_common(drive))


_ours("dynamics", "gbm", NoParameters, lambda p, drive: GBM(drive.vol, **_common(drive)))
_ours("dynamics", "bachelier", NoParameters, lambda p, drive: Bachelier(drive.vol, **_common(drive)))
_ours("dynamics", "heston", HestonParameters, _heston)
_ours("dynamics", "jumps", JumpsParameters, _jumps)


@dataclass(frozen=True)
class LinearParameters:
    bp_per_usd_bn: float = field(metadata=_IMPACT)


@dataclass(frozen=True)
class ObizhaevaWangParameters:
    bp_per_usd_bn: float = field(metadata=_IMPACT)
    transient_bp_per_usd_bn: float = field(metadata=_IMPACT)
    half_life_min: float = field(metadata=_POSITIVE | {"unit": "minutes"})


@dataclass(frozen=True)
class PowerLawParameters:
    bp_per_usd_bn: float = field(metadata=_IMPACT)
    exponent: float = field(metadata={"above": 0.0, "at_most": 10.0})
    reference_usd_bn_per_min: float = field(metadata=_POSITIVE | {"unit": "USD bn a minute"})


_ours("impact", "linear", LinearParameters, lambda p: LinearImpact(**asdict(p)))
_ours("impact", "obizhaeva_wang", ObizhaevaWangParameters, lambda p: ObizhaevaWang(**asdict(p)))
_ours("impact", "power_law", PowerLawParameters, lambda p: PowerLaw(**asdict(p)))


@dataclass(frozen=True, kw_only=True)
class HedgedShare:
    """What every group of dealers has; "none" takes it too, so that any file can be set to it."""

    fraction: float = field(default=1.0, metadata=_SHARE | {"unit": "share of the book"})


@dataclass(frozen=True)
class ClockParameters(HedgedShare):
    interval_min: float = field(metadata=_POSITIVE | {"unit": "minutes"})
    lag: int = field(default=1, metadata={"at_least": 0, "at_most": 1, "unit": "steps"})


_COST = {"above": 0.0, "at_most": 1e4, "unit": "bp"}
_AVERSION = {"above": 0.0, "at_most": 1e12, "unit": "per USD bn of wealth"}


@dataclass(frozen=True)
class BandParameters(HedgedShare):
    width_usd_bn: float | None = field(default=None, metadata=_AT_LEAST_0)
    cost_bp: float | None = field(default=None, metadata=_COST)
    aversion_per_usd_bn: float | None = field(default=None, metadata=_AVERSION)


@dataclass(frozen=True)
class ZakamoulineParameters(HedgedShare):
    cost_bp: float = field(metadata=_COST)
    aversion_per_usd_bn: float = field(metadata=_AVERSION)


_ours("hedging", "clearing", HedgedShare, lambda p: Clearing(p.fraction))
_ours("hedging", "clock", ClockParameters, lambda p: Clock(p.interval_min, p.lag, p.fraction))
_ours("hedging", "band", BandParameters, lambda p: Band(**asdict(p)))
_ours("hedging", "zakamouline", ZakamoulineParameters, lambda p: Zakamouline(**asdict(p)))
_ours("hedging", "charm_only", HedgedShare, lambda p: CharmOnly(p.fraction))
_ours("hedging", "none", HedgedShare, lambda p: NoHedging())


@dataclass(frozen=True)
class StochasticLevelParameters:
    vol_of_vol: float = field(metadata={"above": 0.0, "at_most": 1e3})
    mean_reversion: float = field(default=0.0, metadata=_AT_LEAST_0 | {"unit": "per year"})
    correlation: float = field(default=0.0, metadata=_CORRELATION)


@dataclass(frozen=True)
class SpotVolBetaParameters:
    vol_points_per_pct: float = field(metadata={"at_least": -100.0, "at_most": 100.0})


_ours("surface", "sticky_strike", NoParameters, lambda p: StickyStrike())
_ours("surface", "sticky_moneyness", NoParameters, lambda p: StickyMoneyness())
_ours("surface", "stochastic_level", StochasticLevelParameters, lambda p: StochasticLevel(**asdict(p)))
_ours("surface", "spot_vol_beta", SpotVolBetaParameters, lambda p: SpotVolBeta(**asdict(p)))


@dataclass(frozen=True)
class ZeroDteParameters:
    vol_pct: float | None = field(default=None, metadata=_VOL)
    """the hedgers'; the market's where not given"""
    contracts_per_day: float = field(default=ZeroDteFlow.contracts_per_day, metadata=_AT_LEAST_0)
    imbalance: float = field(default=ZeroDteFlow.imbalance, metadata=_CORRELATION)
    call_share: float = field(default=ZeroDteFlow.call_share, metadata=_SHARE)
    momentum: float = field(default=ZeroDteFlow.momentum, metadata=_CORRELATION)
    trade_contracts: float = field(default=ZeroDteFlow.trade_contracts, metadata=_POSITIVE)
    strikes: int = field(default=ZeroDteFlow.strikes, metadata={"at_least": 3, "at_most": 1001})
    strike_step: float = field(default=ZeroDteFlow.strike_step, metadata={"above": 0.0, "at_most": 1e4})
    strike_scale: float = field(default=ZeroDteFlow.strike_scale, metadata={"above": 0.0, "at_most": 100.0})


def _zero_dte(p: ZeroDteParameters, drive: Drive) -> ZeroDteFlow:
    numbers = asdict(p)
    vol_pct = numbers.pop("vol_pct")
    return ZeroDteFlow(drive.vol if vol_pct is None else from_percent(vol_pct), **numbers)


_ours("flow", "none", NoParameters, lambda p, drive: None)
_ours("flow", "zero_dte", ZeroDteParameters, _zero_dte)
