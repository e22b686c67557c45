"""Full repricing of a portfolio at any price, time and vol, position by position.

    V = D Black(F, K, s),   F = S e^{b τ},   D = e^{−r τ},   s = σ √w

with τ real time (ACT/365) and w variance time to settlement. A future is its index level: its basis is held
fixed, so that it gains contracts × multiplier × the move of the index. What settles pays at the index level
of its instant; cash earns no interest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np
import pandas as pd

from gammawall.sim.models.surface_motion import Motion, Smile, StickyStrike
from gammawall.sim.portfolio.portfolio import Portfolio
from gammawall.sim.types import Instant, Market
from gammawall.surfaces.arrays import Array
from gammawall.surfaces.clock import calendar_years, new_york
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.precision import top_level
from gammawall.surfaces.pricing.black import black_greeks, price_and_greeks
from gammawall.surfaces.units import ONE_PERCENT, VOL_POINT

__all__ = ["Repricing", "StartGreeks", "Terms", "stress_ladder"]

_LINES, _PATHS, _FEW = 16, 16_384, 1_024
"""Contracts and prices evaluated together; two shapes serve every portfolio."""
_LEAST_VOL = 1e-4
_NODES = 4097
_MOST_VALUES = 5e8


@dataclass(frozen=True)
class Terms:
    """What the positions' values follow from at one instant, [n] each."""

    carry: np.ndarray
    """forward / spot"""
    discount: np.ndarray
    total_vol: np.ndarray
    """s; zero for what has settled and for futures"""


@dataclass(frozen=True)
class StartGreeks:
    """Of each position at the start, USD, [n] each."""

    value: np.ndarray
    delta: np.ndarray
    """per index point"""
    gamma: np.ndarray
    """per index point squared"""
    vega: np.ndarray
    """per 1.00 of vol"""
    vanna: np.ndarray
    """change of delta per 1.00 of vol"""
    time: np.ndarray
    """θ dt: what the time until the end of the window, or the settlement before it, takes at the first
    instant's rate of decay"""


@dataclass(frozen=True)
class Repricing:
    """A portfolio in a market.

    Args:
        portfolio: the positions.
        market: spot, window and clock.
        rate: r and b, continuous, per year, of expiries at which the dealers hold nothing; theirs elsewhere.
        motion: how vols move with the price between the start and the close.
        book: the dealers' positions at the start: forward, discount and, where the surface moves, the smile
            of an expiry are theirs where they have options of it.

    Raises:
        InputError: a position has expired at the start, or has no vol.
    """

    portfolio: Portfolio
    market: Market
    rate: float = 0.0
    motion: Motion = StickyStrike()  # noqa: RUF009 - frozen and without fields
    book: Book | None = None

    def __post_init__(self) -> None:
        p = self.portfolio
        late = np.flatnonzero(np.asarray(p.expiry <= self.market.start))
        if late.size:
            row = int(late[0])
            raise InputError(
                f"row {row + 1}, column expiry: {p.expiry[row]:%Y-%m-%d %H:%M} is not after the start "
                f"{self.market.start:%Y-%m-%d %H:%M}; take the contract out or start earlier"
            )
        bare = np.flatnonzero(np.isnan(p.vol) & ~p.is_future)
        if bare.size:
            raise InputError(
                f"row {int(bare[0]) + 1}, column vol_pct: is missing; give the vol it is marked with"
            )

    @cached_property
    def settlements(self) -> pd.DatetimeIndex:
        """Instants before the close at which something settles, ascending."""
        inside = self.portfolio.expiry[np.asarray(self.portfolio.expiry < self.market.close)]
        return pd.DatetimeIndex(inside).unique().sort_values()

    @cached_property
    def units(self) -> np.ndarray:
        """Contracts × multiplier, USD per index point, [n]."""
        return self.portfolio.contracts * self.portfolio.multiplier

    @cached_property
    def price_row(self) -> np.ndarray:
        """Which of the settlements, or the close after them, each position's result follows from, [n]."""
        row = self.settlements.get_indexer(self.portfolio.expiry)
        return np.where(row < 0, len(self.settlements), row)

    @cached_property
    def _strike(self) -> np.ndarray:
        # A future is a call struck at zero.
        return np.where(self.portfolio.is_future, 0.0, self.portfolio.strike)

    @cached_property
    def _call(self) -> np.ndarray:
        return self.portfolio.kind != "put"

    def terms(self, instant: pd.Timestamp, vol_shift: float = 0.0) -> Terms:
        """Carry, discount and total vol of every position at an instant, all vols shifted by a decimal; no
        vol falls below 0.01 %."""
        expiry = self.portfolio.expiry
        alive = np.asarray(expiry > instant) & ~self.portfolio.is_future
        years, variance = np.zeros(len(expiry)), np.zeros(len(expiry))
        if alive.any():
            years[alive] = calendar_years(instant, expiry[alive])
            variance[alive] = np.maximum(self.market.clock.variance_years(instant, expiry[alive]), 0.0)
        vol = np.where(alive, self.portfolio.vol, 0.0)
        vol = np.where(alive, np.maximum(vol + vol_shift, _LEAST_VOL), 0.0) if vol_shift else vol
        growth, rate = self._rates
        return Terms(np.exp(growth * years), np.exp(-rate * years), vol * np.sqrt(variance))

    @cached_property
    def _rates(self) -> tuple[np.ndarray, np.ndarray]:
        """b and r of every position, [n] each."""
        expiry = self.portfolio.expiry
        growth, rate = np.full(len(expiry), self.rate), np.full(len(expiry), self.rate)
        if self.book is not None and len(self.book):
            instants, first = np.unique(self.book.expiry.as_unit("ns").asi8, return_index=True)
            row = np.minimum(np.searchsorted(instants, expiry.asi8), instants.size - 1)
            same, at = instants[row] == expiry.asi8, first[row]
            growth = np.where(same, np.log(self.book.carry[at]) / self.book.years[at], growth)
            rate = np.where(same, -np.log(self.book.discount[at]) / self.book.years[at], rate)
        return growth, rate

    def unit_values(
        self, rows: np.ndarray, price: np.ndarray, terms: Terms, factor: np.ndarray | None = None
    ) -> np.ndarray:
        """Value of some positions at some prices, index points per unit.

        Args:
            rows: which positions, [R].
            price: index points, [P].
            terms: of all positions.
            factor: vol over its initial value, [R, P]; 1 when not given.

        Returns:
            [R, P].
        """
        strike, call = self._strike[rows, None], self._call[rows, None]
        carry, discount, s = (a[rows] for a in (terms.carry, terms.discount, terms.total_vol))
        gain = carry[:, None] * price[None, :] - strike
        values = discount[:, None] * np.maximum(np.where(call, gain, -gain), 0.0)
        live = np.flatnonzero(s > 0.0)
        size = _FEW if price.size <= _FEW else _PATHS
        for first in range(0, live.size, _LINES):
            at = live[first : first + _LINES]
            lines = [_filled(a, _LINES) for a in (carry[at], discount[at], s[at], strike[at, 0])]
            calls = _filled(call[at, 0], _LINES)
            for begin in range(0, price.size, size):
                span = slice(begin, min(begin + size, price.size))
                moved = None if factor is None else _filled(_filled(factor[at, span].T, size).T, _LINES)
                with jax.enable_x64(True):
                    found = top_level(_black)(_filled(price[span], size), *lines, calls, moved)
                values[at, span] = np.asarray(found)[: at.size, : span.stop - begin]
        return values

    def end_values(self, rows: np.ndarray, prices: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
        """What each of some positions is worth at the close or was paid before it, index points per unit.

        Args:
            rows: which positions, [R].
            prices: index points at the settlements and at the close, [E + 1, P].
            scale: by which all vols at the close are multiplied besides, [P]; 1 when not given.

        Returns:
            [R, P].
        """
        values, terms = np.empty((rows.size, prices.shape[1])), self._close_terms
        for row, chosen in _grouped(self.price_row[rows]):
            values[chosen] = self._values_at_close(rows[chosen], prices[row], terms, scale)
        return values

    @cached_property
    def _close_terms(self) -> Terms:
        return self.terms(self.market.close)

    def _values_at_close(
        self, rows: np.ndarray, price: np.ndarray, terms: Terms, scale: np.ndarray | None
    ) -> np.ndarray:
        if isinstance(self.motion, StickyStrike) and scale is None:
            return self.unit_values(rows, price, terms)
        return self.unit_values(rows, price, terms, self.vol_factor(rows, price, scale))

    def vol_factor(self, rows: np.ndarray, price: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
        """Vol of some positions at other prices over their initial vol, [R, P]; 1 for what has no vol."""
        factor = np.ones((rows.size, price.size))
        moving = self._close_terms.total_vol[rows] > 0.0
        expiry = self.portfolio.expiry[rows].asi8
        move = np.log(price / self.market.spot)
        for which in np.unique(expiry[moving]):
            chosen = np.flatnonzero(moving & (expiry == which))
            own = rows[chosen]
            lines = np.log(self.portfolio.strike[own]), self.portfolio.vol[own]
            factor[chosen] = self.motion.factor(*lines, self._smiles[int(which)], move)[0]
        if scale is not None:
            factor[moving] *= scale
        return factor

    @cached_property
    def _smiles(self) -> dict[int, Smile]:
        """Vols by log strike of each expiry: the dealers', where they have any; the owner's elsewhere."""
        smiles, p = {}, self.portfolio
        for expiry in p.expiry[~p.is_future].unique():
            own = np.asarray(p.expiry == expiry) & ~p.is_future
            strike, vol = p.strike[own], p.vol[own]
            if self.book is not None and (theirs := np.asarray(self.book.expiry == expiry)).any():
                strike, vol = self.book.strike[theirs], self.book.vol[theirs]
            strikes, first = np.unique(np.log(strike), return_index=True)
            smiles[int(expiry.as_unit("ns").value)] = Smile(strikes, vol[first])
        return smiles

    def pnl(
        self, prices: np.ndarray, scale: np.ndarray | None = None, most_values: float = _MOST_VALUES
    ) -> tuple[np.ndarray, float]:
        """P&L of the whole portfolio.

        Args:
            prices: as for `end_values`.
            scale: likewise; there is no spline then.
            most_values: contracts that live beyond the close × prices above which their sum is taken from a
                cubic spline through its values at 4,097 prices.

        Returns:
            USD, [P], and the largest error of the spline half-way between its nodes, USD; zero without one.
        """
        from scipy.interpolate import CubicSpline

        rows, units = self._merged
        live = self._close_terms.total_vol[rows] > 0.0
        if scale is not None or live.sum() * prices.shape[1] <= most_values:
            return self._summed(rows, units, prices, scale), 0.0
        settled = self._summed(rows[~live], units[~live], prices)
        # Ends a little apart also where all prices are one.
        low, high = prices[-1].min() * (1.0 - 1e-6), prices[-1].max() * (1.0 + 1e-6)
        fine = np.linspace(low, high, 2 * _NODES - 1)
        exact = self._summed(rows[live], units[live], np.broadcast_to(fine, (len(prices), fine.size)))
        spline = CubicSpline(fine[::2], exact[::2])
        return settled + spline(prices[-1]), float(np.abs(spline(fine[1::2]) - exact[1::2]).max())

    def _summed(
        self, rows: np.ndarray, units: np.ndarray, prices: np.ndarray, scale: np.ndarray | None = None
    ) -> np.ndarray:
        """P&L of some positions with these units, USD, [P]."""
        start = self.start_values[rows]
        total = np.zeros(prices.shape[1])
        for begin in range(0, total.size, _PATHS):
            span = slice(begin, begin + _PATHS)
            own = None if scale is None else scale[span]
            for first in range(0, rows.size, _LINES * 4):
                part = slice(first, first + _LINES * 4)
                gain = self.end_values(rows[part], prices[:, span], own) - start[part, None]
                # One product after the other: the sum must not depend on a library's threads.
                total[span] += (units[part, None] * gain).sum(axis=0)
        return total

    @cached_property
    def _merged(self) -> tuple[np.ndarray, np.ndarray]:
        """One position of each kind of contract, and the units of all that are alike; settlement first."""
        p, strike, expiry = self.portfolio, self._strike, self.portfolio.expiry.asi8
        keys = np.rec.fromarrays([self.price_row, expiry, strike, self._call, np.nan_to_num(p.vol)])
        _, rows, line = np.unique(keys, return_index=True, return_inverse=True)
        return rows, np.bincount(line.ravel(), weights=self.units, minlength=rows.size)

    def position_pnl(
        self, rows: np.ndarray, prices: np.ndarray, scale: np.ndarray | None = None
    ) -> np.ndarray:
        """P&L of some positions, USD, [R, P]; prices and scale as for `end_values`."""
        gain = self.end_values(rows, prices, scale) - self.start_values[rows, None]
        return self.units[rows, None] * gain

    @cached_property
    def start_values(self) -> np.ndarray:
        """Index points per unit at the start; a future's is spot, [n]."""
        every = np.arange(len(self.portfolio))
        return self.unit_values(every, np.array([self.market.spot]), self.terms(self.market.start))[:, 0]

    @cached_property
    def greeks(self) -> StartGreeks:
        """Of each position at the start."""
        spot, terms, end = self.market.spot, self.terms(self.market.start), self._close_terms
        carry, discount, s = terms.carry, terms.discount, terms.total_vol
        found = black_greeks(carry * spot, self._strike, 1.0, s, 0.0, is_call=self._call)
        price, delta, gamma, vega, vanna = (
            np.asarray(getattr(found, name)) for name in ("price", "delta", "gamma", "vega", "vanna")
        )
        # s = σ √w, so that ∂/∂σ = (s/σ) ∂/∂s.
        by_vol = s / np.where(self.portfolio.vol > 0.0, self.portfolio.vol, 1.0)
        spent = 1.0 - np.divide(end.total_vol, s, out=np.zeros_like(s), where=s > 0.0) ** 2
        growth, rise = np.log(carry / end.carry), np.log(end.discount / discount)
        # Value lost with variance, the forward's fall to spot, the discount's rise to one.
        time = -0.5 * vega * s * spent - delta * carry * spot * growth + price * rise
        u = self.units * discount
        return StartGreeks(
            u * price, u * carry * delta, u * carry**2 * gamma, u * vega * by_vol,
            u * carry * vanna * by_vol, u * time,
        )  # fmt: skip


def stress_ladder(
    repricing: Repricing,
    spot_moves_pct: tuple[float, ...] = (-10.0, -5.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0, 10.0),
    vol_moves_points: tuple[float, ...] = (-5.0, 0.0, 5.0, 10.0),
    instants: Sequence[Instant] | None = None,
) -> pd.DataFrame:
    """P&L of every combination of spot, vol and time, each by full repricing; no simulation is involved.

    Vols move by the stated points alone, not with the spot; what expires by an instant is paid at the moved
    spot.

    Args:
        repricing: portfolio and market.
        spot_moves_pct: percent of spot.
        vol_moves_points: points added to every vol; none falls below 0.01 %.
        instants: from the start on; the start and the close when not given.

    Returns:
        One row per combination: ``time``, ``vol_move_points``, ``spot_move_pct``, ``spot_points``,
        ``pnl_usd``.

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
        >>> ladder = sim.stress_ladder(sim.Repricing(straddle, market), spot_moves_pct=(-1.0, 0.0, 1.0))
        >>> close = ladder[(ladder["time"] == market.close) & (ladder["vol_move_points"] == 0.0)]
        >>> close["pnl_usd"].round(-2).tolist()
        [-27800.0, 42200.0, -27800.0]
    """
    market, rows = repricing.market, np.arange(len(repricing.portfolio))
    price = market.spot * (1.0 + ONE_PERCENT * np.asarray(spot_moves_pct, float))
    if not (np.isfinite(price).all() and (price > 0.0).all()):
        raise InputError(f"spot_moves_pct must be finite and above -100; got {list(spot_moves_pct)}")
    parts = []
    for instant in instants or (market.start, market.close):
        when = new_york(instant, "instants")
        if when < market.start:
            raise InputError(f"instants must not lie before the start {market.start}; got {when}")
        for move in vol_moves_points:
            terms = repricing.terms(when, move * VOL_POINT)
            pnl = np.zeros(price.size)
            for first in range(0, rows.size, _PATHS):
                part = rows[first : first + _PATHS]
                gain = repricing.unit_values(part, price, terms) - repricing.start_values[part, None]
                pnl += (repricing.units[part, None] * gain).sum(axis=0)
            columns = {"time": when, "vol_move_points": move, "spot_move_pct": spot_moves_pct}
            parts.append(pd.DataFrame({**columns, "spot_points": price, "pnl_usd": pnl}))
    return pd.concat(parts, ignore_index=True)


@jax.jit
def _black(price: Array, carry: Array, discount: Array, s: Array, strike: Array, call: Array, factor: Array):
    """[L, P] from prices [P] and lines [L]; factor is [L, P] or None."""
    total = s[:, None] if factor is None else s[:, None] * factor
    forward = carry[:, None] * price[None, :]
    found = price_and_greeks(forward, strike[:, None], 1.0, total, 0.0, call[:, None])
    return discount[:, None] * found.price


def _filled(values: np.ndarray, size: int) -> np.ndarray:
    """The first axis filled up with repeats of its first entry."""
    if values.shape[0] == size:
        return values
    return np.concatenate([values, np.repeat(values[:1], size - values.shape[0], axis=0)])


def _grouped(keys: np.ndarray):
    """(key, positions that have it) for every key."""
    for key in np.unique(keys):
        yield int(key), np.flatnonzero(keys == key)
