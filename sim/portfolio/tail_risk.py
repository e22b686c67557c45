"""VaR and expected shortfall of simulated P&L, with standard errors that respect how the paths were drawn.

With losses L = −P&L, level p and q = VaR_p:

    VaR_p = inf{x : P(L ≤ x) ≥ p}
    ES_p  = q + E[(L − q)⁺] / (1 − p)                                    (Rockafellar and Uryasev 2002)
    C_i   = E[L_i; L beyond q] / (1 − p),   Σ C_i = ES_p                 (Tasche 1999)

An atom of the law at q, such as a pinned close, counts with the share of it that lies beyond p. Each estimate
is, to first order, the mean of its influence function over the paths:

    ψ_VaR = q + (p − 1{L ≤ q}) / f(q),   ψ_ES = q + (L − q)⁺ / (1 − p)
    ψ_C   = m_i + (L_i − m_i) 1{L > q} / (1 − p),   m_i = E[L_i | L = q]

so that errors of estimates, and of differences between two legs on the same shocks, are those of means.
1/f(q) is the distance between the order statistics two binomial standard deviations either side of q, over
the probability between them (Woodruff 1952): no density is estimated. Antithetic pairs and Sobol
randomisations are one observation each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gammawall.sim.types import SimConfig
from gammawall.surfaces.errors import InputError

__all__ = ["Tail", "check_levels", "stderr_of_mean", "tail"]

_REACH = 2.0
"""Binomial standard deviations to either side of the quantile."""
_LEAST_BEYOND = 10
"""Fewest paths beyond a VaR that it is estimated from."""


@dataclass(frozen=True, eq=False)
class Tail:
    """The losses of one leg beyond one level."""

    level: float
    var: float
    es: float
    var_influence: np.ndarray
    """[paths]"""
    es_influence: np.ndarray
    """[paths]"""
    rows: np.ndarray
    """paths at or beyond VaR, [T]"""
    weights: np.ndarray
    """of those paths, summing to 1; ES is their weighted mean loss, [T]"""
    beyond: np.ndarray
    """of those paths, which are strictly beyond, [T]"""
    near: np.ndarray
    """paths whose loss is about VaR, [W]"""


def check_levels(levels: tuple[float, ...], paths: int) -> None:
    """Refuse levels that are none, or that so few paths cannot show."""
    if not levels or len(set(levels)) != len(levels):
        raise InputError(f"levels must be one or more different shares, such as 0.95 and 0.99; got {levels}")
    for level in levels:
        if not (np.isfinite(level) and 0.5 <= level < 1.0):
            raise InputError(f"a level must be a share from 0.5 to below 1, such as 0.99; got {level:g}")
        if paths * (1.0 - level) < _LEAST_BEYOND - 1e-9:
            need = int(np.ceil(_LEAST_BEYOND / (1.0 - level) - 1e-6))
            raise InputError(
                f"level {level:g} needs at least {need:,} paths, of which {_LEAST_BEYOND} lie beyond it; "
                f"got {paths:,}"
            )


def tail(pnl: np.ndarray, level: float) -> Tail:
    """VaR, ES and their influence functions.

    Args:
        pnl: USD, [paths].
        level: p.
    """
    loss, n = -pnl, pnl.size
    order = np.argsort(loss, kind="stable")
    ranked = loss[order]
    # Rounding must not push p N over the next whole number.
    q = float(ranked[min(max(int(np.ceil(level * n - 1e-9)), 1), n) - 1])
    width = _REACH * np.sqrt(level * (1.0 - level) * n)
    low, high = (int(np.clip(round(level * n + s * width), 0, n - 1)) for s in (-1.0, 1.0))
    slope = (ranked[high] - ranked[low]) * n / max(high - low, 1)
    rows = np.flatnonzero(loss >= q)
    beyond = loss[rows] > q
    at = rows.size - int(beyond.sum())
    share = (n * (1.0 - level) - beyond.sum()) / at
    return Tail(
        level=level,
        var=q,
        es=q + float(np.maximum(loss - q, 0.0).mean()) / (1.0 - level),
        var_influence=q + (level - (loss <= q)) * slope,
        es_influence=q + np.maximum(loss - q, 0.0) / (1.0 - level),
        rows=rows,
        weights=np.where(beyond, 1.0, share) / (n * (1.0 - level)),
        beyond=beyond,
        near=order[low : high + 1],
    )


def stderr_of_mean(values: np.ndarray, config: SimConfig) -> np.ndarray:
    """Standard error of a mean over the paths, the last axis, as the paths of a run were drawn."""
    if config.sampling == "sobol":
        groups = config.replicates
    else:
        groups = config.paths // 2 if config.antithetic else config.paths
    means = values.reshape(*values.shape[:-1], groups, -1).mean(axis=-1)
    # A constant has rounding for a spread.
    std = np.where(np.ptp(means, axis=-1) > 0.0, means.std(axis=-1, ddof=1), 0.0)
    return std / np.sqrt(groups)
