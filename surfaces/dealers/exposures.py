"""Dealers' exposures of a book: what a move of spot, vol or time makes their hedge do.

Spot greeks of Black-76 with forward F = c S and discount D, times signed size n and multiplier m:

    GEX(S) = 0.01 S² Σ n m Γ          USD traded against a 1 % rise (dealers sell when positive)
    DEX(S) = S Σ n m Δ                USD delta of the options
    VEX(S) = 0.01 S Σ n m ∂Δ/∂σ       USD delta gained per vol point
    CEX(S) = S Σ n m charm / 365      USD delta gained per calendar day
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from gammawall.surfaces.arrays import Numbers
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.display import Display
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.precision import top_level
from gammawall.surfaces.pricing.normal import norm_pdf
from gammawall.surfaces.pricing.spot_greeks import spot_greeks
from gammawall.surfaces.units import ONE_PERCENT, USD_BN

__all__ = ["COLUMNS", "Exposures", "exposures", "gex_at", "position_exposures"]

COLUMNS = ("gex_usd_per_1pct", "dex_usd", "vex_usd_per_vol_point", "cex_usd_per_day")

_SPOTS_AT_ONCE, _POSITIONS_AT_ONCE = 64, 128


@dataclass(frozen=True, eq=False, repr=False)
class Exposures(Display):
    """Exposures of one book at its own spot, and its GEX over a range of spots."""

    by_strike: pd.DataFrame
    """indexed by strike; `COLUMNS`, and the call and put parts of GEX"""
    by_expiry: pd.DataFrame
    """indexed by expiry instant; `COLUMNS`"""
    by_position: pd.DataFrame
    """`COLUMNS` of every position of the book, in its order"""
    totals: dict[str, float]
    """`COLUMNS`; the call and put parts of GEX; ``gex_0dte_usd_per_1pct`` of the contracts expiring the
    same day, and ``ex_0dte_gex_usd_per_1pct`` of the rest"""
    profile: pd.DataFrame
    """indexed by ``spot_points``: ``gex_usd_per_1pct`` and ``gex_0dte_usd_per_1pct`` repriced there, sticky
    strike"""
    convention: str
    spot: float

    def summary(self) -> list[tuple[str, str]]:
        names = ("gamma per 1 %", "delta", "vanna per vol point", "charm per day")
        billions = [f"{self.totals[name] / USD_BN:,.2f} USD bn" for name in COLUMNS]
        return [
            ("spot", f"{self.spot:,.2f}"),
            *zip(names, billions, strict=True),
            ("strikes", f"{len(self.by_strike):,}"),
            ("expiries", f"{len(self.by_expiry):,}"),
            ("convention", self.convention),
        ]

    def frame(self) -> pd.DataFrame:
        """A copy of the table by strike; `by_expiry` and `profile` are the others."""
        return self.by_strike.copy()


def exposures(book: Book, *, spots: Numbers | None = None) -> Exposures:
    """Gamma, delta, vanna and charm exposures of a book, by strike, by expiry and over spot.

    Args:
        book: dealers' positions.
        spots: where to reprice GEX, index points; 481 points within ±12 % of spot when not given. Each
            option keeps its own vol as spot moves (sticky strike).

    Raises:
        InputError: the book is empty, or a spot is not positive.

    Example:
        >>> totals = surfaces.exposures(book).totals
        >>> print(f"{totals['gex_usd_per_1pct'] / 1e9:.2f} USD bn per 1 %")
        7.39 USD bn per 1 %
    """
    if not len(book):
        raise InputError("the book is empty: there is nothing to expose")
    grid = _spot_grid(book.spot * np.linspace(0.88, 1.12, 481) if spots is None else spots)
    positions = position_exposures(book)
    frame = positions.copy()
    same_day = book.same_day()
    gex = frame["gex_usd_per_1pct"]
    frame["gex_calls_usd_per_1pct"] = gex.where(book.is_call, 0.0)
    frame["gex_puts_usd_per_1pct"] = gex.where(~book.is_call, 0.0)
    totals = {str(name): float(np.sum(values)) for name, values in frame.items()}
    totals["gex_0dte_usd_per_1pct"] = float(np.sum(gex[same_day]))
    totals["ex_0dte_gex_usd_per_1pct"] = float(np.sum(gex[~same_day]))
    profile = pd.DataFrame(
        {
            "gex_usd_per_1pct": gex_at(book, grid),
            "gex_0dte_usd_per_1pct": gex_at(book.select(same_day), grid) if same_day.any() else 0.0,
        },
        index=pd.Index(grid, name="spot_points"),
    )
    return Exposures(
        by_strike=_summed(frame, pd.Index(book.strike, name="strike")),
        by_expiry=_summed(positions, pd.DatetimeIndex(book.expiry, name="expiry")),
        by_position=positions,
        totals=totals,
        profile=profile,
        convention=book.convention,
        spot=book.spot,
    )


def _summed(frame: pd.DataFrame, key: pd.Index) -> pd.DataFrame:
    return cast(pd.DataFrame, frame.groupby(key).sum())


def _spot_grid(spots: Numbers) -> np.ndarray:
    grid = np.atleast_1d(np.asarray(spots, float))
    bad = grid[~(np.isfinite(grid) & (grid > 0.0))]
    if grid.ndim != 1 or not grid.size or bad.size:
        got = f"{bad[0]:g}" if bad.size else f"an array of shape {grid.shape}"
        raise InputError(f"spots must be a column of positive index levels; got {got}")
    return grid


def position_exposures(book: Book) -> pd.DataFrame:
    """`COLUMNS` of every position of a book at its own spot, one row per position.

    Vanna and charm are those of the book's own vols and clocks: vol moves with `variance_years` held, and a
    day passes on real time with its share of variance (the vol stays).
    """
    spot, units = book.spot, book.contracts * book.multiplier
    rate, growth = -np.log(book.discount) / book.years, np.log(book.carry) / book.years
    # On the clock of `years` the same total variance belongs to vol s/√years.
    vol = book.total_vol / np.sqrt(book.years)
    greeks = spot_greeks(spot, book.strike, book.years, vol, rate, rate - growth, is_call=book.is_call)
    # One unit of the book's own vol is √(variance_years/years) of the vol above.
    vanna = greeks.vanna_per_vol_point * np.sqrt(book.variance_years / book.years)
    return pd.DataFrame(
        {
            "gex_usd_per_1pct": ONE_PERCENT * spot**2 * units * greeks.gamma,
            "dex_usd": spot * units * greeks.delta,
            "vex_usd_per_vol_point": spot * units * vanna,
            "cex_usd_per_day": spot * units * greeks.charm_per_day,
        }
    )


@jax.jit
def _gamma_sum(x: jax.Array, positions: tuple[jax.Array, ...]):
    """Σ n m D c φ(d₁)/s at each log spot, which is S Σ n m Γ; [G]. Positions are rows of
    `_POSITIONS_AT_ONCE`: ln(K/c), 1/s, s/2, n m D c/s."""

    def add(total: jax.Array, some: tuple[jax.Array, ...]):
        level, per_s, half_s, weight = (column[:, None] for column in some)
        # A product with the weights is added up in vector registers, a sum over an axis number by number: it
        # takes a sixth of the time.
        return total + weight[:, 0] @ norm_pdf((x[None, :] - level) * per_s + half_s), None

    return jax.lax.scan(add, jnp.zeros_like(x), positions)[0]


def gex_at(book: Book, spots: Numbers) -> np.ndarray:
    """GEX of a book repriced at other spots, every option at its own vol; USD per 1 %, [G].

    Args:
        book: dealers' positions.
        spots: index points, [G].

    Raises:
        InputError: a spot is not positive.

    Example:
        >>> (surfaces.gex_at(book, np.array([6930.0, 7000.0, 7070.0])) / 1e9).round(2)
        array([3.04, 7.39, 3.12])
    """
    grid = _spot_grid(spots)
    padded = np.log(np.pad(grid, (0, -grid.size % _SPOTS_AT_ONCE), mode="edge"))
    # A position with no variance left has no gamma, not 0/0 of it.
    live, s = book.total_vol > 0.0, np.where(book.total_vol > 0.0, book.total_vol, 1.0)
    units = np.where(live, book.contracts * book.multiplier * book.discount * book.carry, 0.0)
    columns = np.stack([np.log(book.strike / book.carry), 1.0 / s, 0.5 * s, units / s])
    fill = -len(book) % _POSITIONS_AT_ONCE
    positions = tuple(np.pad(columns, ((0, 0), (0, fill))).reshape(4, -1, _POSITIONS_AT_ONCE))
    summed = top_level(_gamma_sum)
    with jax.enable_x64(True):
        rows = [np.asarray(summed(part, positions)) for part in padded.reshape(-1, _SPOTS_AT_ONCE)]
    return ONE_PERCENT * grid * np.concatenate(rows)[: grid.size]
