"""What each `kind` in a scenario file stands for: the keys it takes and the object it builds.

A new model is one line here, besides its file in `sim`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gammawall.scenarios.spec.mistakes import Keys
from gammawall.sim import (
    GBM,
    Bachelier,
    Band,
    Catalyst,
    CharmOnly,
    Clearing,
    Clock,
    Heston,
    Jumps,
    LinearImpact,
    NoHedging,
    ObizhaevaWang,
    PowerLaw,
    StochasticLevel,
    Zakamouline,
    ZeroDteFlow,
)
from gammawall.sim.models.surface_motion import SpotVolBeta, StickyMoneyness, StickyStrike
from gammawall.surfaces.errors import InputError

__all__ = [
    "DYNAMICS",
    "FLOWS",
    "HEDGING",
    "IMPACTS",
    "SURFACES",
    "Kind",
    "built",
    "catalysts",
    "keys_of_kinds",
]


@dataclass(frozen=True)
class Kind:
    """One model that a file can name."""

    build: Callable[..., Any]
    needs: tuple[str, ...] = ()
    """keys that must be there"""
    takes: tuple[str, ...] = ()
    """keys that may be there"""


_FLOW_NUMBERS = (
    "contracts_per_day",
    "imbalance",
    "call_share",
    "momentum",
    "trade_contracts",
    "strikes",
    "strike_step",
    "strike_scale",
)

DYNAMICS: dict[str, Kind] = {
    "gbm": Kind(lambda p, vol, common: GBM(vol, **common)),
    "bachelier": Kind(lambda p, vol, common: Bachelier(vol, **common)),
    "heston": Kind(
        lambda p, vol, common: Heston(
            vol, p.mean_reversion, p.long_vol_pct / 100.0, p.vol_of_vol, p.correlation, **common
        ),
        needs=("mean_reversion", "long_vol_pct", "vol_of_vol", "correlation"),
    ),
    "jumps": Kind(
        lambda p, vol, common: Jumps(
            vol, p.jumps_per_year, p.jump_mean_pct / 100.0, p.jump_std_pct / 100.0, **common
        ),
        needs=("jumps_per_year", "jump_mean_pct", "jump_std_pct"),
    ),
}

IMPACTS: dict[str, Kind] = {
    "linear": Kind(lambda p: LinearImpact(p.bp_per_usd_bn)),
    "obizhaeva_wang": Kind(
        lambda p: ObizhaevaWang(p.bp_per_usd_bn, p.transient_bp_per_usd_bn, p.half_life_min),
        needs=("transient_bp_per_usd_bn", "half_life_min"),
    ),
    "power_law": Kind(
        lambda p: PowerLaw(p.bp_per_usd_bn, p.exponent, p.reference_usd_bn_per_min),
        needs=("exponent", "reference_usd_bn_per_min"),
    ),
}

HEDGING: dict[str, Kind] = {
    "clearing": Kind(lambda p: Clearing(p.fraction)),
    "clock": Kind(
        lambda p: Clock(p.interval_min, 1 if p.lag is None else p.lag, p.fraction),
        needs=("interval_min",),
        takes=("lag",),
    ),
    "band": Kind(
        lambda p: Band(p.width_usd_bn, p.cost_bp, p.aversion_per_usd_bn, p.fraction),
        takes=("width_usd_bn", "cost_bp", "aversion_per_usd_bn"),
    ),
    "zakamouline": Kind(
        lambda p: Zakamouline(p.cost_bp, p.aversion_per_usd_bn, p.fraction),
        needs=("cost_bp", "aversion_per_usd_bn"),
    ),
    "charm_only": Kind(lambda p: CharmOnly(p.fraction)),
    "none": Kind(lambda p: NoHedging()),
}

FLOWS: dict[str, Kind] = {
    "none": Kind(lambda p, vol: None),
    "zero_dte": Kind(
        lambda p, vol: ZeroDteFlow(
            (p.vol_pct or vol) / 100.0,
            **{name: getattr(p, name) for name in _FLOW_NUMBERS if getattr(p, name) is not None},
        ),
        takes=("vol_pct", *_FLOW_NUMBERS),
    ),
}

SURFACES: dict[str, Kind] = {
    "sticky_strike": Kind(lambda p: StickyStrike()),
    "sticky_moneyness": Kind(lambda p: StickyMoneyness()),
    "stochastic_level": Kind(
        lambda p: StochasticLevel(p.vol_of_vol, p.mean_reversion or 0.0, p.correlation or 0.0),
        needs=("vol_of_vol",),
        takes=("mean_reversion", "correlation"),
    ),
    "spot_vol_beta": Kind(lambda p: SpotVolBeta(p.vol_points_per_pct), needs=("vol_points_per_pct",)),
}

_TABLES = {
    ("dynamics",): (DYNAMICS, "gbm"),
    ("impact",): (IMPACTS, "linear"),
    ("hedging",): (HEDGING, "clearing"),
    ("surface",): (SURFACES, "sticky_strike"),
    ("flow",): (FLOWS, "none"),
}


def keys_of_kinds(data: Mapping[str, Any]) -> list[tuple[Keys, str]]:
    """Keys that the kind of their table does not take, and those that it needs and does not find."""
    found: list[tuple[Keys, str]] = []
    for keys, (kinds, usual) in _TABLES.items():
        found += _of_table(keys, data.get(keys[0]), kinds, usual)
    hedging = data.get("hedging")
    groups = hedging.get("group", ()) if isinstance(hedging, Mapping) else ()
    for i, group in enumerate(groups if isinstance(groups, (list, tuple)) else ()):
        found += _of_table(("hedging", "group", i), group, HEDGING, "clearing")
    if groups and isinstance(hedging, Mapping):
        for name in sorted(hedging.keys() - {"group"}):
            found.append((("hedging", name), "cannot stand beside [[hedging.group]]: move it into a group"))
    if not found and isinstance(hedging, Mapping):
        found += _of_bands(hedging, groups)
    return found


def _of_table(keys: Keys, table: Any, kinds: dict[str, Kind], usual: str) -> list[tuple[Keys, str]]:
    if not isinstance(table, Mapping) or "group" in table:
        return []
    name = table.get("kind", usual)
    if not isinstance(name, str) or name not in kinds:
        return []  # the schema says so
    kind = kinds[name]
    owners = {key: owner for owner, k in kinds.items() for key in (*k.needs, *k.takes)}
    own = {*kind.needs, *kind.takes}
    found: list[tuple[Keys, str]] = [
        ((*keys, key), f"does nothing with kind = {name!r}, it belongs to {owners[key]!r}; delete it")
        for key in table
        if key in owners and key not in own and table[key] is not None
    ]
    missing = f"is missing: kind = {name!r} needs it"
    found += [((*keys, key), missing) for key in kind.needs if table.get(key) is None]
    return found


def _of_bands(hedging: Mapping[str, Any], groups: Any) -> list[tuple[Keys, str]]:
    """A band is given by its width, or by cost and risk aversion."""
    tables: list[tuple[Keys, Any]] = [(("hedging", "group", i), g) for i, g in enumerate(groups)]
    tables = tables or [(("hedging",), hedging)]
    found: list[tuple[Keys, str]] = []
    for keys, table in tables:
        if not isinstance(table, Mapping) or table.get("kind") != "band":
            continue
        width, optimal = table.get("width_usd_bn"), (table.get("cost_bp"), table.get("aversion_per_usd_bn"))
        if (width is None) == (None in optimal) or (width is not None and optimal != (None, None)):
            found.append((keys, "a band needs either width_usd_bn, or both cost_bp and aversion_per_usd_bn"))
    return found


def catalysts(parts: Any) -> tuple[Catalyst, ...]:
    """The scheduled jumps of [[dynamics.catalyst]]."""
    return tuple(Catalyst(p.when, p.mean_pct / 100.0, p.std_pct / 100.0) for p in parts)


def built(kind: Kind, *arguments: Any, where: str) -> Any:
    """The object of a kind; its own complaint names the table it stands in.

    Raises:
        InputError: the numbers do not go together.
    """
    try:
        return kind.build(*arguments)
    except InputError as error:
        raise InputError(f"[{where}] {error}") from None
