"""The book's delta evaluated contract by contract: what the tables approximate and the tests trust."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from gammawall.sim.models.surface_motion import Motion, Smile, StickyStrike
from gammawall.sim.sampling.schedule import Schedule
from gammawall.sim.types import Market
from gammawall.surfaces.arrays import Array
from gammawall.surfaces.clock import calendar_years
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.precision import top_level
from gammawall.surfaces.pricing.normal import norm_cdf, norm_pdf

__all__ = [
    "CHUNK",
    "Positions",
    "book_delta",
    "chunks",
    "merge_lines",
    "positions_within",
    "prepare_positions",
    "settled_delta",
    "vol_factor",
]

CHUNK = 128
"""Positions evaluated together; every chunk has this size, so that one compilation serves all books."""
_PIECE, _FEW = 512, (4, 16)
"""Prices of a row of a small question, and how many rows it is filled up to."""
_ROUNDING = 1e-12
"""A share of variance left that is rounding of the clock: no trading time is this short."""


@dataclass(frozen=True)
class Positions:
    """A book reduced to what its delta needs, calls and puts of one strike, expiry and vol merged.

    Delta of position i in index units at log spot x and step k (Black-76 spot delta, forward = carry × spot):

        D = units e^{a f} Φ(d) − puts e^{a f},   d = (x + b f − ln K)/s + s/2,   s = total_vol √v

    with v, f the shares of variance and of real time left at step k, a = ln(carry × discount), b = ln carry
    at the start.
    """

    log_strike: np.ndarray
    units: np.ndarray
    """contracts × multiplier, calls plus puts, [P]"""
    puts: np.ndarray
    """contracts × multiplier of the puts alone, [P]"""
    total_vol: np.ndarray
    log_carry: np.ndarray
    log_factor: np.ndarray
    """a"""
    group: np.ndarray
    """row of `variance_left` and `time_left`, [P]"""
    variance_left: np.ndarray
    """[groups, N + 1], 1 at the start"""
    time_left: np.ndarray
    """[groups, N + 1]"""
    settle_step: np.ndarray
    """instant at which the last variance is spent and the delta becomes a step, N + 1 when after the run,
    [groups]"""
    vol: np.ndarray
    """the hedger's at the start, annual decimal, [P]"""
    smiles: tuple[Smile, ...]
    """vols of each group by log strike"""
    log_spot: float
    motion: Motion

    @property
    def settles_at_close(self) -> np.ndarray:
        """Positions whose variance is spent exactly at the last instant, [P]."""
        return self.settles(self.variance_left.shape[1] - 1)

    def settles(self, step: int) -> np.ndarray:
        """Positions that settle at an instant, [P]."""
        return (self.settle_step == step)[self.group]

    @property
    def settlements(self) -> np.ndarray:
        """Instants of the run at which something settles, ascending."""
        inside = self.settle_step[np.unique(self.group)]
        return np.unique(inside[inside < self.variance_left.shape[1]])


def prepare_positions(
    book: Book, market: Market, schedule: Schedule, motion: Motion | None = None
) -> Positions:
    """Merge and re-time a book for one run; sticky strike when no motion is given.

    Raises:
        InputError: a position expires at or before the start, or the book's spot is not the market's.
    """
    late = np.asarray(book.expiry <= market.start)
    if late.any():
        raise InputError(
            f"expiry {book.expiry[late][0]} is not after the start {market.start} ({int(late.sum())} such "
            "positions): drop them from the book or start earlier"
        )
    rows, line = merge_lines(book)
    held = np.where(book.is_call, 0.0, book.contracts)
    units, puts = (np.bincount(line, weights=w, minlength=rows.size) for w in (book.contracts, held))
    expiries = book.expiry[rows]
    instants = expiries.unique().sort_values()
    group = instants.get_indexer(expiries)
    variance_left, time_left = _remaining(instants, market, schedule)
    total_vol, log_carry = book.total_vol[rows], np.log(book.carry[rows])
    log_factor = log_carry + np.log(book.discount[rows])
    at_start = np.asarray(market.clock.variance_years(market.start, expiries), float)
    if book.as_of != market.start:
        # The book keeps its vols and rates: variance and carry scale with the time that is left.
        at_value = np.asarray(market.clock.variance_years(book.as_of, expiries), float)
        total_vol = total_vol * np.sqrt(
            np.divide(at_start, at_value, out=np.ones_like(at_start), where=at_value > 0.0)
        )
        years = calendar_years(market.start, expiries) / calendar_years(book.as_of, expiries)
        log_carry, log_factor = log_carry * years, log_factor * years
    log_strike = np.log(book.strike[rows])
    vol = total_vol / np.sqrt(np.where(at_start > 0.0, at_start, 1.0))
    return Positions(
        log_strike=log_strike,
        units=units * book.multiplier,
        puts=puts * book.multiplier,
        total_vol=total_vol,
        log_carry=log_carry,
        log_factor=log_factor,
        group=group,
        variance_left=variance_left,
        time_left=time_left,
        settle_step=_first_zero(variance_left),
        vol=vol,
        smiles=tuple(_smile(log_strike[group == g], vol[group == g]) for g in range(len(instants))),
        log_spot=float(np.log(market.spot)),
        motion=motion or StickyStrike(),
    )


def _smile(log_strike: np.ndarray, vol: np.ndarray) -> Smile:
    strikes, first = np.unique(log_strike, return_index=True)
    return Smile(strikes, vol[first])


def _first_zero(variance_left: np.ndarray) -> np.ndarray:
    spent = variance_left == 0.0
    return np.where(spent.any(axis=1), np.argmax(spent, axis=1), variance_left.shape[1])


def merge_lines(book: Book) -> tuple[np.ndarray, np.ndarray]:
    """Contracts alike in all but call or put and size are one line: the first contract of each, and the line
    of each contract."""
    keys = np.rec.fromarrays([book.expiry.asi8, book.strike, book.total_vol, book.carry, book.discount])
    _, rows, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return rows, inverse.ravel()


def _remaining(
    instants: pd.DatetimeIndex, market: Market, schedule: Schedule
) -> tuple[np.ndarray, np.ndarray]:
    steps, groups = schedule.steps + 1, len(instants)
    variance, time = np.zeros((groups, steps)), np.zeros((groups, steps))
    spent = np.concatenate([[0.0], np.cumsum(schedule.variance)])
    for row, expiry in enumerate(instants):
        total = float(market.clock.variance_years(market.start, expiry))
        seconds = (expiry - schedule.instants).total_seconds().to_numpy()
        time[row] = np.maximum(seconds, 0.0) / seconds[0]
        left = np.maximum(total - spent, 0.0)
        # The sum of the steps and the clock's total differ by rounding; at settlement nothing may be left,
        # nor at the last close before a settlement at the next open when the night carries no variance.
        left[(seconds <= 0.0) | (left < _ROUNDING * total)] = 0.0
        variance[row] = left / total if total > 0.0 else 0.0
    return variance, time


@jax.jit
def _sum_moving(
    x: Array,
    log_strike: Array,
    units: Array,
    puts: Array,
    s: Array,
    shift: Array,
    factor: Array,
    stretch: Array,
    rate: Array,
):
    """As `_sum_chunk`, with vols that depend on the price: stretch and its slope are [C, G]. Also returns the
    slope at fixed vols."""

    def at_step(terms: tuple[Array, ...]):
        s_k, shift_k, factor_k = terms
        live = (s_k > 0.0)[:, None]
        initial = jnp.where(live, s_k[:, None], 1.0)
        safe, bend = initial * stretch, initial * rate
        distance = x[None, :] + (shift_k - log_strike)[:, None]
        d = jnp.where(live, distance / safe + 0.5 * safe, jnp.sign(distance) * 40.0)
        weight = (units * factor_k)[:, None]
        frozen = jnp.where(live, norm_pdf(d) / safe, 0.0)
        moving = jnp.where(live, norm_pdf(d) * bend * (0.5 - distance / (safe * safe)), 0.0)
        value = jnp.sum(weight * norm_cdf(d), axis=0) - jnp.sum(puts * factor_k)
        still = jnp.sum(weight * frozen, axis=0)
        return value, still + jnp.sum(weight * moving, axis=0), still

    return jax.lax.map(at_step, (s, shift, factor))


@jax.jit
def _sum_chunk(x: Array, log_strike: Array, units: Array, puts: Array, s: Array, shift: Array, factor: Array):
    """D and dD/dx of one chunk of positions, row by row: x is [N, G]; s, shift, factor are [N, C]."""

    def at_step(terms: tuple[Array, ...]):
        x_k, s_k, shift_k, factor_k = terms
        live = s_k > 0.0
        safe = jnp.where(live, s_k, 1.0)[:, None]
        distance = x_k[None, :] + (shift_k - log_strike)[:, None]
        d = jnp.where(live[:, None], distance / safe + 0.5 * safe, jnp.sign(distance) * 40.0)
        weight = (units * factor_k)[:, None]
        slope = jnp.where(live[:, None], norm_pdf(d) / safe, 0.0)
        constant = jnp.sum(puts * factor_k)
        return jnp.sum(weight * norm_cdf(d), axis=0) - constant, jnp.sum(weight * slope, axis=0)

    return jax.lax.map(at_step, (x, s, shift, factor))


def _rows(x: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prices and instant of each row to be summed. Small questions become a few rows of one length, whatever
    their numbers of prices and instants, so that they share compiled code: three programs, not eight, and a
    second less of a first run."""
    pieces = -(-x.size // _PIECE)
    count = steps.size * pieces
    if count > _FEW[-1]:
        return np.broadcast_to(x, (steps.size, x.size)), steps
    at = np.pad(x, (0, pieces * _PIECE - x.size), mode="edge").reshape(pieces, _PIECE)
    fill = (0, next(size for size in _FEW if size >= count) - count)
    when = np.pad(np.repeat(steps, pieces), fill, mode="edge")
    return np.pad(np.tile(at, (steps.size, 1)), (fill, (0, 0)), mode="edge"), when


def book_delta(
    positions: Positions,
    log_spot: np.ndarray,
    steps: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    settling: bool = True,
    frozen: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Delta of a book and its derivative in log spot, by summing every contract.

    Args:
        positions: from `prepare_positions`.
        log_spot: [G].
        steps: which instants, [M].
        mask: which positions to include; all when not given.
        settling: whether contracts that settle at an instant still count there.
        frozen: whether the derivative is taken at fixed vols, where the surface moves.

    Returns:
        (D, dD/dx), index units, float64 [M, G]. A settling contract counts ½ of its step at the strike.
    """
    steps, x = np.asarray(steps), np.asarray(log_spot, float)
    moving = not isinstance(positions.motion, StickyStrike)
    at, when = (x[None], steps) if moving else _rows(x, steps)
    total, slope = np.zeros((when.size, at.shape[1])), np.zeros((when.size, at.shape[1]))
    chosen = np.flatnonzero(np.ones(positions.group.size, bool) if mask is None else mask)
    for rows in chunks(positions, chosen, by_group=moving):
        fill = (0, CHUNK - rows.size)
        group = positions.group[rows]
        last = positions.settle_step[group]
        alive = (when[:, None] <= last) if settling else (when[:, None] < last)
        left = positions.time_left[group][:, when].T
        s = positions.total_vol[rows] * np.sqrt(positions.variance_left[group][:, when].T)
        factor = alive * np.exp(positions.log_factor[rows] * left)
        wide = [np.pad(a, ((0, 0), fill)) for a in (s, positions.log_carry[rows] * left, factor)]
        narrow = [np.pad(a[rows], fill) for a in (positions.log_strike, positions.units, positions.puts)]
        with jax.enable_x64(True):
            if moving:
                stretch, rate = (
                    np.pad(a, (fill, (0, 0)), constant_values=1.0) for a in vol_factor(positions, rows, x)
                )
                d, dx, still = top_level(_sum_moving)(x, *narrow, *wide, stretch, rate)
                dx = still if frozen else dx
            else:
                d, dx = top_level(_sum_chunk)(at, *narrow, *wide)
        total += np.asarray(d)
        slope += np.asarray(dx)
    asked = steps.size * -(-x.size // at.shape[1])
    delta, rate = (found[:asked].reshape(steps.size, -1)[:, : x.size] for found in (total, slope))
    return delta, rate


def vol_factor(positions: Positions, rows: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vol of some lines of one group at other prices over their initial vol, and its slope; [C, G] each."""
    smile = positions.smiles[positions.group[rows[0]]]
    return positions.motion.factor(
        positions.log_strike[rows], positions.vol[rows], smile, x - positions.log_spot
    )


def chunks(positions: Positions, chosen: np.ndarray, *, by_group: bool) -> Iterator[np.ndarray]:
    """Positions to be summed together; of one group each where its smile is asked for."""
    parts = [chosen]
    if by_group and chosen.size:
        order = chosen[np.argsort(positions.group[chosen], kind="stable")]
        parts = np.split(order, np.flatnonzero(np.diff(positions.group[order])) + 1)
    for part in parts:
        for first in range(0, part.size, CHUNK):
            yield part[first : first + CHUNK]


def positions_within(positions: Positions, step: int, left: np.ndarray) -> Positions:
    """The positions alive in a step, at instants inside it with shares `left` of the step still to come."""

    def inside(values: np.ndarray) -> np.ndarray:
        begin, end = values[:, [step - 1]], values[:, [step]]
        return end + (begin - end) * left

    return dataclasses.replace(
        positions,
        variance_left=inside(positions.variance_left),
        time_left=inside(positions.time_left),
        settle_step=np.where(positions.settle_step < step, -1, left.size),
    )


def settled_delta(positions: Positions, step: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The steps that contracts settling at an instant, the close when not given, put into the book's delta.

    Returns:
        (log strikes ascending, jump of D in index units at each, with calls and puts of a strike summed).
    """
    chosen = positions.settles_at_close if step is None else positions.settles(step)
    strikes, inverse = np.unique(positions.log_strike[chosen], return_inverse=True)
    return strikes, np.bincount(inverse.ravel(), weights=positions.units[chosen], minlength=strikes.size)
