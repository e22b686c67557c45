"""What a book of index options and futures can lose, with and without the dealers' feedback on the price.

The portfolio's owner is a price taker: neither the portfolio nor its own hedging moves the price.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gammawall.sim.engine.experiment import Experiment
from gammawall.sim.engine.result import SimResult
from gammawall.sim.engine.simulate import simulate
from gammawall.sim.models.stochastic_level import StochasticLevel
from gammawall.sim.models.surface_motion import Motion, StickyMoneyness, StickyStrike
from gammawall.sim.portfolio.portfolio import Portfolio
from gammawall.sim.portfolio.repricing import Repricing, stress_ladder
from gammawall.sim.portfolio.tail_risk import Tail, check_levels, stderr_of_mean, tail
from gammawall.sim.types import Market, SimConfig
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError

__all__ = ["PortfolioRisk", "portfolio_pnl"]

_LEGS = ("feedback", "no_feedback")
_WORST = 10
_TOGETHER = 2_000_000
"""Entries of positions × paths that are held at once."""


@dataclass(frozen=True, eq=False)
class PortfolioRisk:
    """What `portfolio_pnl` found. Losses are positive, gains negative, except where the name says P&L."""

    summary: pd.DataFrame
    """one row per measure (mean P&L, VaR, ES) and level, with ``feedback_usd``, ``no_feedback_usd``, their
    ``difference_usd`` and a standard error of each"""
    positions: pd.DataFrame
    """one row per position: the position, its value and greeks at the start, and its part of ES at the
    highest level, with and without feedback, summing to ES"""
    worst_paths: pd.DataFrame
    """the paths with the largest loss under feedback: P&L by full repricing, and the greeks of the start
    times the moves, which with ``residual_usd`` sum to it"""
    ladder: pd.DataFrame
    """see `gammawall.sim.portfolio.repricing.stress_ladder`"""
    pnl_usd: np.ndarray
    """[paths]"""
    no_feedback_pnl_usd: np.ndarray
    """[paths]"""
    result: SimResult
    """the simulation"""
    portfolio: Portfolio
    notes: tuple[str, ...]

    @property
    def cost_of_ignoring_feedback(self) -> pd.Series:
        """ES at the highest level with feedback less without, on the same shocks: ``level``,
        ``difference_usd`` (positive where ignoring feedback understates the risk) and
        ``difference_stderr_usd``."""
        row = self.summary[self.summary["measure"] == "ES"].iloc[-1]
        return row[["level", "difference_usd", "difference_stderr_usd"]]


def portfolio_pnl(
    portfolio: Portfolio | pd.DataFrame,
    experiment: Experiment,
    *,
    rate_pct: float = 0.0,
    vol_pct: float | None = None,
    levels: tuple[float, ...] = (0.95, 0.99),
    worst: int = _WORST,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: str | Path | None = None,
) -> PortfolioRisk:
    """P&L of a portfolio from the start of a simulation to its close, with and without dealers' hedging.

        P&L = Σ units (value at the close, or payoff when it settled before) − value at the start

    at the simulated price and the vols that the owner marks with; cash earns no interest. VaR, ES, components
    and their errors: see `gammawall.sim.portfolio.tail_risk`.

    Args:
        portfolio: positions, or a table of them, see `Portfolio.from_frame`.
        experiment: the dealers' book, which feeds back on the price, and the rest of the run. Its motion
            moves the portfolio's vols as well as the dealers'; the smile that moves is the dealers' where
            they have options of an expiry.
        rate_pct: continuous, percent per year, for discounting and forwards of expiries at which the dealers
            hold nothing; elsewhere theirs are taken.
        vol_pct: vol of options whose own is not given, percent per year.
        levels: of VaR and ES.
        worst: how many of the worst paths to explain.
        progress, checkpoint: as for `simulate`.

    Raises:
        InputError: as `simulate` does; a position that has expired or has no vol; a level that the paths
            cannot show.

    Example:
        >>> straddle = sim.Portfolio.from_frame(
        ...     pd.DataFrame(
        ...         {
        ...             "type": ["call", "put"],
        ...             "contracts": [-10, -10],
        ...             "strike": 7000.0,
        ...             "expiry": "2026-01-28T16:00",
        ...             "vol_pct": 12.0,
        ...         }
        ...     )
        ... )
        >>> case = sim.Experiment(
        ...     book,
        ...     market=market,
        ...     dynamics=sim.GBM(0.12),
        ...     impact=sim.LinearImpact(3.0),
        ...     config=sim.SimConfig(paths=2048, steps=39),
        ...     seed=7,
        ... )
        >>> found = sim.portfolio_pnl(straddle, case, levels=(0.9,))
        >>> bool(found.cost_of_ignoring_feedback["difference_usd"] < 0.0)  # the wall helps a short straddle
        True
    """
    book, market, motion = experiment.book, experiment.market, experiment.motion
    config, levels = experiment.config, tuple(sorted(levels))
    check_levels(levels, config.paths)
    if isinstance(worst, bool) or int(worst) != worst or not 0 <= worst <= config.paths:
        raise InputError(f"worst must be a whole number from 0 to the number of paths; got {worst!r}")
    held = portfolio if isinstance(portfolio, Portfolio) else Portfolio.from_frame(portfolio)
    notes = _notes(held, market, vol_pct, motion, book)
    held = _marked(held, vol_pct)
    by_price = StickyStrike() if motion is None or isinstance(motion, StochasticLevel) else motion
    repricing = Repricing(held, market, rate_pct / 100.0, by_price, book)
    instants = tuple(repricing.settlements)
    found = simulate(experiment, snapshots=instants, progress=progress, checkpoint=checkpoint)
    prices = [
        np.concatenate([found.snapshots[:, leg], close[None]])
        for leg, close in enumerate((found.close, found.baseline_close))
    ]
    scale = found.close_vol_factor
    (hedged, error), (unhedged, other) = (repricing.pnl(p, scale) for p in prices)
    pnl = [hedged, unhedged]
    if error or other:
        notes += (f"P&L is interpolated in price: at most USD {max(error, other):.2g} off on any path.",)
    tails = [[tail(leg, level) for leg in pnl] for level in levels]
    return PortfolioRisk(
        summary=_summary(pnl, tails, config),
        positions=_positions(repricing, prices, scale, tails[-1], config),
        worst_paths=_worst_paths(repricing, prices[0], pnl[0], worst, scale),
        ladder=stress_ladder(repricing),
        pnl_usd=pnl[0],
        no_feedback_pnl_usd=pnl[1],
        result=found,
        portfolio=held,
        notes=notes,
    )


def _marked(portfolio: Portfolio, vol_pct: float | None) -> Portfolio:
    """With the vol that stands in for those not given."""
    if vol_pct is None:
        return portfolio
    frame = portfolio.frame()
    bare = frame["vol_pct"].isna() & ~portfolio.is_future
    return Portfolio.from_frame(frame.assign(vol_pct=frame["vol_pct"].mask(bare, vol_pct)))


def _notes(
    portfolio: Portfolio,
    market: Market,
    vol_pct: float | None,
    motion: Motion | StochasticLevel | None,
    book: Book,
) -> tuple[str, ...]:
    notes = []
    bare = int((np.isnan(portfolio.vol) & ~portfolio.is_future).sum())
    if bare and vol_pct is not None:
        notes.append(f"Options without vol_pct, {bare:,} in all, are marked with {vol_pct:.2f} %.")
    if portfolio.ignored:
        notes.append(f"Columns that were not read: {', '.join(portfolio.ignored)}.")
    early = int((np.asarray(portfolio.expiry < market.close)).sum())
    if early:
        notes.append(
            f"Positions that settle before the close, {early:,} in all, do so at the price of their instant."
        )
    if portfolio.is_future.any():
        notes.append("A future gains its multiplier times the move of the index: its basis is held fixed.")
    if isinstance(motion, StickyMoneyness):
        theirs, own = set(book.expiry), portfolio.expiry[~portfolio.is_future]
        alone = sum(e not in theirs and int((own == e).sum()) == 1 for e in own.unique())
        if alone:
            notes.append(
                f"Expiries with one strike, {alone:,} in all, have a flat smile, which does not move."
            )
    return tuple(notes)


def _summary(pnl: list[np.ndarray], tails: list[list[Tail]], config: SimConfig) -> pd.DataFrame:
    rows = [_row("mean P&L", np.nan, [float(p.mean()) for p in pnl], pnl, config)]
    for name, attribute in (("VaR", "var"), ("ES", "es")):
        for legs in tails:
            values = [getattr(t, attribute) for t in legs]
            influences = [getattr(t, f"{attribute}_influence") for t in legs]
            rows.append(_row(name, legs[0].level, values, influences, config))
    return pd.DataFrame(rows)


def _row(
    measure: str, level: float, values: list[float], influences: list[np.ndarray], config: SimConfig
) -> dict[str, Any]:
    row: dict[str, Any] = {"measure": measure, "level": level}
    for leg, value, influence in zip(_LEGS, values, influences, strict=True):
        row |= {f"{leg}_usd": value, f"{leg}_stderr_usd": float(stderr_of_mean(influence, config))}
    gap = stderr_of_mean(influences[0] - influences[1], config)
    return row | {"difference_usd": values[0] - values[1], "difference_stderr_usd": float(gap)}


def _positions(
    repricing: Repricing,
    prices: list[np.ndarray],
    scale: np.ndarray | None,
    tails: list[Tail],
    config: SimConfig,
) -> pd.DataFrame:
    p, greeks = repricing.portfolio, repricing.greeks
    frame = p.frame()
    frame.insert(0, "label", frame.pop("label"))
    # A future is marked to market: entered at its price, it is worth nothing yet.
    frame["start_value_usd"] = np.where(p.is_future, 0.0, greeks.value)
    frame["delta_usd_per_point"] = greeks.delta
    frame["gamma_usd_per_point2"] = greeks.gamma
    frame["vega_usd_per_vol_point"] = 0.01 * greeks.vega
    for leg, price, beyond in zip(_LEGS, prices, tails, strict=True):
        parts, errors = _components(repricing, price, scale, beyond, config)
        frame[f"es_{leg}_usd"], frame[f"es_{leg}_stderr_usd"] = parts, errors
    return frame


def _components(
    repricing: Repricing, prices: np.ndarray, scale: np.ndarray | None, beyond: Tail, config: SimConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Each position's part of ES and its standard error, USD, [n]."""
    at = [(prices[:, p], None if scale is None else scale[p]) for p in (beyond.rows, beyond.near)]
    size, paths = len(repricing.portfolio), prices.shape[1]
    parts, errors = np.zeros(size), np.zeros(size)
    together = max(_TOGETHER // paths, 1)
    for first in range(0, size, together):
        rows = np.arange(first, min(first + together, size))
        loss, middle = (-repricing.position_pnl(rows, *ends) for ends in at)
        parts[rows] = (loss * beyond.weights).sum(axis=1)
        middle = middle.mean(axis=1, keepdims=True)
        influence = np.zeros((rows.size, paths))
        influence[:, beyond.rows[beyond.beyond]] = (loss - middle)[:, beyond.beyond] / (1.0 - beyond.level)
        errors[rows] = stderr_of_mean(influence, config)
    return parts, errors


def _worst_paths(
    repricing: Repricing, prices: np.ndarray, pnl: np.ndarray, worst: int, scale: np.ndarray | None = None
) -> pd.DataFrame:
    """The worst paths by the greeks of the start: Σ Δ dS + ½ Γ dS² + vega dσ + vanna dS dσ + θ dt + residual,
    with each position's own dS, to the close or to its settlement."""
    paths = np.argsort(pnl, kind="stable")[:worst]
    at, greeks, every = prices[:, paths], repricing.greeks, np.arange(len(repricing.portfolio))
    terms = {name: np.zeros(paths.size) for name in ("delta", "gamma", "vol", "vanna", "time")}
    scale = None if scale is None else scale[paths]
    together = max(_TOGETHER // max(paths.size, 1), 1)
    for first in range(0, every.size, together):
        rows = every[first : first + together]
        own = at[repricing.price_row[rows]]
        move = own - repricing.market.spot
        vol = repricing.portfolio.vol[rows, None]
        factor = repricing.vol_factor(rows, at[-1], scale)
        change = np.where(np.isnan(vol), 0.0, vol) * (factor - 1.0)
        column = lambda values, rows=rows: values[rows, None]  # noqa: E731
        terms["delta"] += (column(greeks.delta) * move).sum(axis=0)
        terms["gamma"] += (0.5 * column(greeks.gamma) * move**2).sum(axis=0)
        terms["vol"] += (column(greeks.vega) * change).sum(axis=0)
        terms["vanna"] += (column(greeks.vanna) * move * change).sum(axis=0)
        terms["time"] += greeks.time[rows].sum()
    found = {f"{name}_usd": values for name, values in terms.items()}
    frame = pd.DataFrame({"path": paths, "close_points": at[-1], "pnl_usd": pnl[paths], **found})
    return frame.assign(residual_usd=frame["pnl_usd"] - frame[list(found)].sum(axis=1))
