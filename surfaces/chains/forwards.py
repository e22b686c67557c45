"""Forward and discount factor of every expiry, from put-call parity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.clock import calendar_years
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import DAYS_PER_YEAR

__all__ = ["imply_forwards", "imply_spot"]

RATE_BOUNDS = (-0.02, 0.15)
"""Continuous rates outside are artefacts of the quotes, not rates."""

_LEAST_STRIKES = 5
"""Strikes needed to estimate a slope; two are enough once the discount factor is known."""

_DISCOUNT_NOISE = 3e-4
"""Systematic error of a regressed discount factor. In-the-money quotes are wide and skewed about the parity
price: neighbouring expiries of real chains differ by this much, ten times their statistical error."""

_OWN_RATE_ERROR = 0.0015
"""A slice whose rate is less certain takes its discount factor from the curve through all slices."""

_CURVE_MISFIT = 0.001
_WINDOW = 1.5
"""Straddles either side of the forward, about 1.2 standard deviations. Three make neighbouring rates of real
chains a quarter rougher: the skewed quotes far from the money come in."""

_HUBER = 1.345
_ROUNDS = 50
_TICK = 0.05
_NEAR = 2 / DAYS_PER_YEAR
_LEAST_RATE_KNOWLEDGE = 0.02


class _Pairs(NamedTuple):
    strike: np.ndarray  # points
    parity: np.ndarray  # call mid less put mid, points
    spread: np.ndarray  # of call and put together, points
    straddle: np.ndarray  # call mid plus put mid, points


@dataclass
class _Slice:
    expiry: pd.Timestamp
    root: str
    years: float
    pairs: _Pairs
    rate: float = np.nan
    rate_error: float = np.nan
    forward: float = np.nan
    discount: float = np.nan
    residual: float = np.nan
    n_strikes: int = 0
    source: str = ""
    reason: str = ""


def imply_forwards(chain: OptionChain) -> pd.DataFrame:
    """Forward and discount factor of each expiry from C − P = D·(F − K).

    A Huber regression of the mid of C − P on K within 1.5 straddles of the money, weighted by 1/spread²,
    gives D and F. Where it cannot tell the rate to 0.15 % (hours or weeks to expiry, few strikes, a rate
    outside −2 % to 15 %), D = exp(−rT) comes from a curve r(T) through all expiries, and
    only F is fitted. A slice without two usable strikes takes F from its neighbours, ln F linear in time.

    Args:
        chain: quotes.

    Returns:
        One row per (expiry, root), in the chain's order:
        ``years`` ACT/365 to the exact instant; ``forward``, points; ``discount``;
        ``residual``, robust rms (1.4826 × median |residual|) of C − P over the strikes used, points;
        ``gap_points``, forward × discount − quoted index: minus the present value of dividends to expiry,
        plus whatever the index is stale by, which alone is left in the nearest expiries;
        ``n_strikes`` used; ``source``: ``parity`` (D and F fitted), ``fixed_discount`` (F fitted) or
        ``carry`` (neither); ``reason``: why it is not ``parity``, else empty.

    Example:
        >>> surfaces.imply_forwards(chain)[["years", "forward", "discount"]].round(3)
           years  forward  discount
        0  0.001   7000.0       1.0
        1  0.064   7000.0       1.0
    """
    slices = _fit(chain.quotes, chain.as_of)
    _fill_from_carry(slices, chain.spot)
    table = pd.DataFrame(
        {
            "expiry": pd.DatetimeIndex([s.expiry for s in slices]),
            **{
                name: [getattr(s, name) for s in slices]
                for name in ("root", "years", "forward", "discount", "residual")
            },
        }
    )
    table["gap_points"] = table["forward"] * table["discount"] - chain.spot
    for name in ("n_strikes", "source", "reason"):
        table[name] = [getattr(s, name) for s in slices]
    return table


def imply_spot(quotes: pd.DataFrame, as_of: pd.Timestamp) -> float:
    """Index level at which the parity forwards start: ln F of the next three months carried back to T = 0.

    Where the expiries lie too close together for that, the nearest forward discounted (no dividends).

    Args:
        quotes: quotes as in ``OptionChain``.
        as_of: instant of the quotes.

    Returns:
        Index level, points.

    Raises:
        InputError: no expiry has two strikes with two-sided call and put quotes.
    """
    fitted = [s for s in _fit(quotes, as_of) if s.n_strikes]
    near = [s for s in fitted if s.years <= 0.25] or fitted[:1]
    if not near:
        raise InputError(
            "no index level is given and none can be implied, because no expiry has two strikes where call "
            "and put both have a bid and an ask; give it: spot=… or --spot …"
        )
    years, level = np.array([s.years for s in near]), np.log([s.forward for s in near])
    if np.ptp(years) < years[0] / 2:
        return near[0].forward * near[0].discount
    # Dividends come in lumps, so a forward says less about the start the later it is.
    return float(np.exp(_huber_line(years, level, 1.0 / (_NEAR + years) ** 2).intercept))


def _fit(quotes: pd.DataFrame, as_of: pd.Timestamp) -> list[_Slice]:
    groups = cast("dict[Any, np.ndarray]", quotes.groupby(["expiry", "root"], sort=True).indices)
    keys = list(groups)
    years = calendar_years(as_of, pd.DatetimeIndex([expiry for expiry, _ in keys]))
    columns = {name: quotes[name].to_numpy() for name in ("strike", "is_call", "bid", "ask")}
    slices = []
    for (expiry, root), t in zip(keys, years, strict=True):
        rows = {name: values[groups[expiry, root]] for name, values in columns.items()}
        slices.append(_Slice(expiry, root, float(t), _near_the_money(_pairs(rows))))
    for piece in slices:
        _fit_rate(piece)
    curve = _rate_curve([s for s in slices if np.isfinite(s.rate)])
    for piece in slices:
        _fit_forward(piece, curve)
    return slices


def _pairs(rows: dict[str, np.ndarray]) -> _Pairs:
    usable = (rows["bid"] > 0) & (rows["ask"] >= rows["bid"])
    calls = np.flatnonzero(usable & rows["is_call"])
    puts = np.flatnonzero(usable & ~rows["is_call"])
    strike, i, j = np.intersect1d(rows["strike"][calls], rows["strike"][puts], return_indices=True)
    mid, spread = (rows["bid"] + rows["ask"]) / 2, rows["ask"] - rows["bid"]
    call, put = calls[i], puts[j]
    return _Pairs(
        strike, mid[call] - mid[put], np.maximum(spread[call] + spread[put], _TICK), mid[call] + mid[put]
    )


def _near_the_money(pairs: _Pairs) -> _Pairs:
    if pairs.strike.size == 0:
        return pairs
    # Medians of a handful, so that one stale quote cannot move the window.
    nearest = np.argsort(np.abs(pairs.parity) + pairs.spread, kind="stable")[:5]
    distance = np.abs(pairs.strike - np.median((pairs.strike + pairs.parity)[nearest]))
    reach = max(_WINDOW * np.median(pairs.straddle[nearest]), np.sort(distance)[:8][-1])
    return _Pairs(*(values[distance <= reach] for values in pairs))


def _fit_rate(piece: _Slice) -> None:
    pairs = piece.pairs
    if pairs.strike.size < _LEAST_STRIKES:
        piece.reason = f"{pairs.strike.size} strikes have two-sided calls and puts: too few for a slope"
        return
    line = _huber_line(pairs.strike, pairs.parity, pairs.spread**-2.0)
    rate = -np.log(-line.slope) / piece.years if line.slope < 0 else np.nan
    if not RATE_BOUNDS[0] <= rate <= RATE_BOUNDS[1]:
        piece.reason = f"the slope's rate is {rate:.1%}, outside {RATE_BOUNDS[0]:.0%} to {RATE_BOUNDS[1]:.0%}"
        return
    piece.rate = rate
    piece.rate_error = float(np.hypot(line.slope_error / -line.slope, _DISCOUNT_NOISE) / piece.years)
    if piece.rate_error > _OWN_RATE_ERROR:
        piece.reason = f"the slope's rate is known to {piece.rate_error:.2%} only"
        return
    piece.source = "parity"
    piece.discount, piece.forward = -line.slope, line.intercept / -line.slope
    piece.residual, piece.n_strikes = line.residual, pairs.strike.size


def _rate_curve(known: list[_Slice]) -> Callable[[float], float]:
    """Rate as a function of years, r(T) = a + b·L + c·(L − e^−T), L = (1 − e^−T)/T, or flat."""
    if not known:
        return lambda years: 0.0
    years, rates = np.array([s.years for s in known]), np.array([s.rate for s in known])
    weight = 1.0 / (np.array([s.rate_error for s in known]) ** 2 + _CURVE_MISFIT**2)
    if weight.sum() ** -0.5 > _LEAST_RATE_KNOWLEDGE:
        return lambda years: 0.0
    if len(known) < 6 or years.max() < 0.5 or np.ptp(years) < 0.25:
        level = _huber_mean(rates, weight)
        return lambda t: level
    shape, trust, terms = _curve_shape(years), np.ones_like(weight), np.zeros(3)
    for _ in range(_ROUNDS):
        root = np.sqrt(weight * trust)
        terms = np.linalg.lstsq(shape * root[:, None], rates * root, rcond=None)[0]
        before, (trust, _) = trust, _huber_trust(rates - shape @ terms, weight)
        if np.max(np.abs(trust - before)) < 1e-6:
            break
    # Flat outside the maturities that say something.
    first, last = years.min(), years.max()
    return lambda t: float(np.clip(_curve_shape(np.clip([t], first, last)) @ terms, *RATE_BOUNDS)[0])


def _curve_shape(years: np.ndarray) -> np.ndarray:
    decay = -np.expm1(-years) / years
    return np.stack([np.ones_like(years), decay, decay - np.exp(-years)], axis=1)


def _fit_forward(piece: _Slice, curve: Callable[[float], float]) -> None:
    if piece.source:
        return
    piece.discount = float(np.exp(-curve(piece.years) * piece.years))
    pairs = piece.pairs
    if pairs.strike.size < 2:
        piece.source = "carry"
        piece.reason = f"{pairs.strike.size} strikes have two-sided calls and puts: too few for a forward"
        return
    forwards = pairs.strike + pairs.parity / piece.discount
    piece.forward = _huber_mean(forwards, pairs.spread**-2.0)
    piece.residual = 1.4826 * piece.discount * float(np.median(np.abs(forwards - piece.forward)))
    piece.source, piece.n_strikes = "fixed_discount", pairs.strike.size


def _fill_from_carry(slices: list[_Slice], spot: float) -> None:
    nodes = [(s.years, np.log(s.forward)) for s in slices if s.n_strikes]
    if len(nodes) < 2:
        nodes = [(0.0, np.log(spot)), *nodes]
    years, level = np.array(nodes).T
    carry = (level[-1] - level[0]) / (years[-1] - years[0]) if years[-1] > years[0] else 0.0
    for piece in slices:
        if not piece.n_strikes:
            inside = np.interp(piece.years, years, level)
            beyond = piece.years - np.clip(piece.years, years[0], years[-1])
            piece.forward = float(np.exp(inside + carry * beyond))
            piece.reason += "" if len(nodes) > 1 else ", nor has any other expiry: the quoted index is used"


class _Line(NamedTuple):
    slope: float
    intercept: float  # at x = 0
    slope_error: float
    residual: float  # robust rms


def _huber_line(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> _Line:
    trust = np.ones_like(weight)
    for _ in range(_ROUNDS):
        _, residual, _ = _weighted_line(x, y, weight * trust)
        before, (trust, _) = trust, _huber_trust(residual, weight)
        if np.max(np.abs(trust - before)) < 1e-6:
            break
    line, residual, moment = _weighted_line(x, y, weight * trust)
    _, scale = _huber_trust(residual, weight)
    return _Line(*line, float(scale / np.sqrt(moment)), float(1.4826 * np.median(np.abs(residual))))


def _weighted_line(
    x: np.ndarray, y: np.ndarray, w: np.ndarray
) -> tuple[tuple[float, float], np.ndarray, float]:
    x0, y0 = np.average(x, weights=w), np.average(y, weights=w)
    moment = float(np.sum(w * (x - x0) ** 2))
    slope = float(np.sum(w * (x - x0) * (y - y0))) / moment
    return (slope, float(y0 - slope * x0)), y - y0 - slope * (x - x0), moment


def _huber_mean(values: np.ndarray, weight: np.ndarray) -> float:
    mean = float(np.average(values, weights=weight))
    for _ in range(_ROUNDS):
        trust, _ = _huber_trust(values - mean, weight)
        before, mean = mean, float(np.average(values, weights=weight * trust))
        if abs(mean - before) < 1e-9 * abs(mean):
            break
    return mean


def _huber_trust(residual: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, float]:
    z = np.abs(residual) * np.sqrt(weight)
    scale = 1.4826 * float(np.median(z))
    # An exact fit of most points leaves no scale: rounding alone must not decide who is trusted.
    floor = max(scale, 1e-9 * float(np.max(np.sqrt(weight))))
    return np.minimum(1.0, _HUBER * floor / np.maximum(z, 1e-300)), scale
