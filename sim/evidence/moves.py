"""What hedging would have done to a price: the move it makes and its slope, along a path.

    u_b(t, x) = 1e-13 S₀ Σ w_b,i n_i m δ_i(t, eˣ),   G_b = ∂u_b/∂x

u_b is the log move that hedging bucket b makes at 1 bp of price per USD bn traded, all its open interest
counted with the weights w_b. The deltas are those of the simulator (`book.positions`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from gammawall.sim.book.positions import merge_lines
from gammawall.sim.evidence.buckets import Buckets, bucket_weights
from gammawall.sim.evidence.session import Sampled, Session
from gammawall.surfaces.arrays import Array, Shape
from gammawall.surfaces.clock import calendar_years
from gammawall.surfaces.pricing.normal import norm_cdf, norm_pdf
from gammawall.surfaces.units import BP_PER_USD_BN

__all__ = ["Lines", "book_lines", "hedge_moves"]

_PIECE = 512
"""Lines are filled up to a multiple of this, so that few programs are compiled."""
_GROUPS = 8
_ROUNDING = 1e-12
"""A share of variance left that is rounding of the clock."""


@dataclass(frozen=True, eq=False)
class Lines:
    """A session's open interest, calls and puts of one strike, expiry and vol merged."""

    names: tuple[str, ...]
    """of the buckets"""
    session: Session
    log_strike: np.ndarray
    total_vol: np.ndarray
    """at the first instant, [lines]"""
    log_carry: np.ndarray
    log_factor: np.ndarray
    """ln(carry × discount), [lines]"""
    group: np.ndarray
    """row of the expiry, [lines]"""
    units: np.ndarray
    """index units of calls and puts, [lines, buckets]"""
    puts: np.ndarray
    """index units of the puts alone, [lines, buckets]"""
    _left: dict[bytes, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def expiries(self) -> pd.DatetimeIndex:
        return self.session.book.expiry.unique().sort_values()

    def left(self, minutes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shares of variance and of real time left after so many minutes, [groups, K + 1] each."""
        key = minutes.tobytes()
        if key not in self._left:
            start, clock = self.session.start, self.session.clock
            instants = pd.DatetimeIndex(start + np.array(minutes * 60e9, "timedelta64[ns]"))
            spent = np.asarray(clock.variance_years(start, instants), float)
            total = np.asarray(clock.variance_years(start, self.expiries), float)[:, None]
            share = np.clip((total - spent) / np.where(total > 0.0, total, 1.0), 0.0, 1.0)
            share[(share < _ROUNDING) | (total <= 0.0)] = 0.0
            whole = np.asarray(calendar_years(start, self.expiries), float)[:, None]
            passed = np.asarray(calendar_years(start, instants), float)
            self._left[key] = share, np.clip(1.0 - passed / whole, 0.0, 1.0)
        return self._left[key]


def book_lines(session: Session, buckets: Buckets) -> Lines:
    """Merge a session's book for its buckets."""
    book = session.book
    names, weights = bucket_weights(buckets, book)
    rows, line = merge_lines(book)
    size = book.contracts * book.multiplier
    put = np.where(book.is_call, 0.0, 1.0)

    def summed(held: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(line, weights=w * held, minlength=rows.size) for w in weights], axis=1)

    log_carry = np.log(book.carry[rows])
    expiries = book.expiry.unique().sort_values()
    return Lines(
        names=names,
        session=session,
        log_strike=np.log(book.strike[rows]),
        total_vol=book.total_vol[rows],
        log_carry=log_carry,
        log_factor=log_carry + np.log(book.discount[rows]),
        group=expiries.get_indexer(book.expiry[rows]),
        units=summed(size),
        puts=summed(size * put),
    )


@functools.partial(jax.jit, static_argnames=("reach",))
def _moves(
    x: Annotated[Array, Shape("prices")],
    step: Annotated[Array, Shape("prices")],
    variance: Annotated[Array, Shape("groups prices")],
    time: Annotated[Array, Shape("groups prices")],
    lines: tuple[Array, ...],
    *,
    reach: float,
) -> tuple[Array, Array, Array, Array]:
    log_strike, total_vol, log_carry, log_factor, group, units, puts = lines
    s = total_vol[None, :] * jnp.sqrt(variance[group].T)
    left = time[group].T
    live = s > 0.0
    safe = jnp.where(live, s, 1.0)
    factor = jnp.exp(log_factor * left) * jnp.where(variance[group].T > 0.0, 1.0, 0.0)

    def distance(at: Array) -> Array:
        return (at[:, None] + log_carry * left - log_strike) / safe + 0.5 * safe

    def slope(at: Array) -> Array:
        return (factor * jnp.where(live, norm_pdf(distance(at)) / safe, 0.0)) @ units

    delta = (factor * norm_cdf(distance(x))) @ units - factor @ puts
    # What the slope may be at the end of a step, seen from its beginning.
    before = jnp.concatenate([x[:1], x[:-1]])
    seen = jnp.stack([slope(before + way * reach * step) for way in (-1.0, 0.0, 1.0)])
    return delta.T, slope(x).T, jnp.min(seen, axis=0).T, jnp.max(seen, axis=0).T


def hedge_moves(
    lines: Lines,
    sampled: Sampled,
    *,
    shift_points: float = 0.0,
    own: bool = True,
    grid_points: float = 0.0,
    step_std: float = 0.001,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The moves that a book would have made along a path.

    Args:
        lines: of the book.
        sampled: of the path, of the same session or another.
        shift_points: added to every strike, index points.
        own: whether the book is the path's own; another's strikes are scaled by the ratio of the opens.
        grid_points: strikes scaled so are rounded to a multiple of this; 0 leaves them.
        step_std: standard deviation of the log price over a regular step, for the bounds of the slope.

    Returns:
        u [buckets, K + 1], G at the end of each step [buckets, K], and its bounds [buckets, K, 2] over prices
        within three standard deviations of the step's beginning. All at 1 bp per USD bn.
    """
    log_strike = lines.log_strike
    if not own:
        log_strike = log_strike + np.log(sampled.session.open / lines.session.open)
        if grid_points:
            log_strike = np.log(np.maximum(np.round(np.exp(log_strike) / grid_points), 1.0) * grid_points)
    if shift_points:
        log_strike = np.log(np.exp(log_strike) + shift_points)
    variance, time = lines.left(sampled.minutes)
    step = step_std * np.sqrt(
        np.diff(sampled.minutes, prepend=sampled.minutes[0]) / np.median(np.diff(sampled.minutes))
    )
    fill, more = -log_strike.size % _PIECE, -variance.shape[0] % _GROUPS
    wide = [np.pad(a, (0, fill)) for a in (log_strike, lines.total_vol, lines.log_carry, lines.log_factor)]
    wide += [
        np.pad(lines.group, (0, fill)),
        np.pad(lines.units, ((0, fill), (0, 0))),
        np.pad(lines.puts, ((0, fill), (0, 0))),
    ]
    rows = [np.pad(a, ((0, more), (0, 0))) for a in (variance, time)]
    with jax.enable_x64(True):
        found = _moves(sampled.log_price, step, *rows, tuple(wide), reach=3.0)
        delta, slope, low, high = (np.asarray(a) for a in found)
    unit = BP_PER_USD_BN * sampled.session.open
    bounds = np.stack([low[:, 1:], high[:, 1:]], axis=-1)
    return unit * delta, unit * slope[:, 1:], unit * bounds
