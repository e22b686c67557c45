"""Conversions between the units people write and the units the kernels use. The only place for them.

Inside: index points; years; annual decimal vol; contracts signed from the dealers' side; USD.
At the border the unit is in the name: ``vol_pct``, ``bp_per_usd_bn``, ``gex_usd_per_1pct``.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = [
    "BP_PER_USD_BN",
    "DAYS_PER_YEAR",
    "EMINI_MULTIPLIER",
    "GEX_UNITS",
    "MULTIPLIER",
    "ONE_BP",
    "ONE_PERCENT",
    "PERCENT",
    "SESSIONS_PER_YEAR",
    "SESSION_MINUTES",
    "USD_BN",
    "USD_MN",
    "VOL_POINT",
    "from_percent",
    "gamma_feedback",
    "to_percent",
]

MULTIPLIER = 100.0
"""USD per index point of one index option."""

EMINI_MULTIPLIER = 50.0
"""USD per index point of one E-mini future."""

ONE_BP = 1e-4
ONE_PERCENT = 0.01
PERCENT = 100.0
"""Percent in one: a share times this is in percent."""
VOL_POINT = 0.01
"""One vol point as a decimal vol: 12 % to 13 %."""

USD_BN = 1e9
USD_MN = 1e6
BP_PER_USD_BN = 1e-4 / USD_BN
"""Log price move per USD traded, for an impact of one basis point per USD bn."""

SESSION_MINUTES = 390.0
SESSIONS_PER_YEAR = 252.0
DAYS_PER_YEAR = 365.0
"""Discounting counts real time, ACT/365."""

GEX_UNITS: dict[str, Callable[[float], float]] = {
    "usd_per_1pct": lambda spot: 1.0,
    "usd_per_10bp": lambda spot: 0.1,
    "usd_per_point": lambda spot: 1.0 / (ONE_PERCENT * spot),
    "eminis_per_1pct": lambda spot: 1.0 / (EMINI_MULTIPLIER * spot),
}
"""Unit → factor on GEX in USD per 1 %, given spot."""


def from_percent(percent: float) -> float:
    """12 → 0.12."""
    return percent / 100.0


def to_percent(decimal: float) -> float:
    """0.12 → 12."""
    return 100.0 * decimal


def gamma_feedback(bp_per_usd_bn: float, gex_usd_bn_per_1pct: float) -> float:
    """What hedging adds to a small move, as a share of it: g = 0.01 λ GEX.

    Hedging a move of 1 % trades GEX, which moves the price by λ GEX basis points.
    """
    return ONE_PERCENT * bp_per_usd_bn * gex_usd_bn_per_1pct
