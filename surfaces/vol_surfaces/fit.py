"""Quotes to a vol surface: seeds slice by slice, then one optimisation over all expiries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.scipy.linalg import solve_triangular

from gammawall.surfaces.arrays import Array
from gammawall.surfaces.chains.bands import quote_bands
from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.terms import ChainTerms, chain_terms
from gammawall.surfaces.display import Display
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.minimise import minimise
from gammawall.surfaces.units import VOL_POINT
from gammawall.surfaces.vol_surfaces.essvi import EssviSurface, essvi_free, essvi_parameters, essvi_slice
from gammawall.surfaces.vol_surfaces.svi import SviSurface, durrleman, raw_svi, svi_free, svi_parameters

__all__ = ["MODELS", "SurfaceFit", "fit_surface"]

MODELS = ("essvi", "svi")

_REACH = 3.0
"""Standard deviations from the forward within which quotes are fitted and reported."""

_LEAST_QUOTES = 5
_MODEL_ERROR = 0.0015
"""Vol error that is forgiven beside the half spread: tight quotes at the money must not silence the wings."""

_HUBER = 1.5
_WIDTH = 64
"""Rows of quotes are padded to a multiple of this, so that chains of similar size share compiled code."""

# Standard deviations at which the wings of SVI slices are held near eSSVI, and how firmly.
_WINGS = np.concatenate([-np.geomspace(40.0, 4.0, 8), np.geomspace(4.0, 40.0, 8)])
_LEASH = 0.05

# Where SVI slices are kept from crossing and from negative densities: to 50 standard deviations and far out.
_FAR = np.array([100.0, 300.0, 1e3, 1e5])
_GRID = np.concatenate([-_FAR, np.sinh(np.linspace(-1.0, 1.0, 81) * np.arcsinh(50.0)), _FAR])
_DENSITY_MARGIN, _DENSITY_WEIGHT = 5e-3, 100.0
_CALENDAR_MARGIN, _CALENDAR_WEIGHT = 5e-4, 1000.0
_STAGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 10.0, 100.0, 100.0, 100.0, 1e3, 1e3)
"""Weights of the penalties, one optimisation each: the first find the way, the last leave next to nothing."""


@dataclass(frozen=True, eq=False, repr=False)
class SurfaceFit(Display):
    """A fitted surface and how well it fits.

    Args:
        surface: an `EssviSurface` or a `SviSurface`.
        report: one row per (expiry, root) of the chain: ``expiry``, ``root``, ``years``, ``forward``;
            ``quotes`` used; ``rmse_vol_points``, ``max_error_vol_points`` of model vol − mid vol and
            ``inside``, the share of model vols between bid and ask vol, all over the out-of-the-money
            quotes within ±3 standard deviations of the forward; ``reason``: why a slice was left out.
        loss: mean over expiries of the mean Huber loss.
        free_loss: the same for slices fitted one by one, with nothing to keep them from arbitrage.
        model: one of `MODELS`.
        bands: bid, mid and ask vols of the out-of-the-money quotes, see `quote_bands`.
    """

    surface: EssviSurface | SviSurface
    report: pd.DataFrame
    loss: float
    free_loss: float
    model: str
    bands: pd.DataFrame

    def summary(self) -> list[tuple[str, str]]:
        error, inside, quotes = (
            self.report[name].to_numpy(float) for name in ("rmse_vol_points", "inside", "quotes")
        )
        return [
            ("model", self.model),
            ("expiries fitted", f"{int(np.isfinite(error).sum())} of {len(error)}"),
            ("quotes", f"{quotes[np.isfinite(error)].sum():,.0f}"),
            ("median error", f"{np.nanmedian(error):.3f} vol points"),
            ("inside bid to ask", f"{np.nanmedian(inside):.0%}"),
        ]

    def frame(self) -> pd.DataFrame:
        """A copy of the report."""
        return self.report.copy()


class _Quotes(NamedTuple):
    """Padded rows of quotes, [N, W], in units of each slice's own standard deviation s, [N]."""

    s: Array
    """total vol at the money, σ√T"""
    at_money: Array
    """vol at the money"""
    x: Array
    """ln(K/F)/s"""
    mid: Array
    """vols"""
    low: Array
    high: Array
    scale: Array
    """vol error that counts as one"""
    share: Array
    """1/number of quotes in the row, 0 where padded"""


def fit_surface(
    chain: OptionChain,
    model: str = "essvi",
    *,
    terms: ChainTerms | None = None,
    seed: SurfaceFit | None = None,
) -> SurfaceFit:
    """Fit a vol surface to the out-of-the-money mids of a chain, all expiries at once.

    Minimises the mean over expiries of the mean Huber loss of (σ_model − σ_mid)/√(h² + ε²), h half the
    bid–ask width in vol and ε = 0.15 vol points, so a quote counts by its vega. Time is ACT/365 to the exact
    expiry instant: the AM and PM twins of a third Friday are two slices.

    ``essvi`` is free of butterfly and calendar arbitrage whatever the quotes. ``svi`` has five numbers per
    expiry and fits closer; penalties keep its slices from crossing and from negative densities, and beyond
    the quotes its wings are held near those of eSSVI. What arbitrage is left, `check_arbitrage` tells.

    Args:
        chain: quotes.
        model: ``essvi`` or ``svi``.
        terms: of `chain_terms`, if at hand.
        seed: an eSSVI fit of the same chain, if at hand: ``svi`` starts from one, and would fit it first.

    Returns:
        Surface and report. Slices with fewer than 5 usable quotes are left out; the report says so.

    Raises:
        InputError: unknown model, no slice with enough quotes, or a seed that is no eSSVI fit of this chain.

    Example:
        >>> fit = surfaces.fit_surface(chain)
        >>> fit.report["quotes"].tolist(), bool(fit.report["rmse_vol_points"].max() < 0.1)
        ([11, 17], True)
    """
    if model not in MODELS:
        raise InputError(f"model {model!r} is unknown; use one of {', '.join(MODELS)}")
    if seed is None:
        terms = terms or chain_terms(chain)
        bands, forwards = quote_bands(chain, terms), terms.forwards
    else:
        _check_seed(chain, model, seed)
        bands, forwards = seed.bands, seed.report
    table, rows = _usable(bands, forwards)
    kept = table.loc[table["reason"] == ""]
    if kept.empty:
        raise InputError(
            f"no expiry has {_LEAST_QUOTES} out-of-the-money quotes with bid and ask within {_REACH:g} "
            "standard deviations of the forward; check the quotes, spot and as_of"
        )
    quotes = _padded([rows[i] for i in kept.index], kept["years"].to_numpy(float))
    years, levels = kept["years"].to_numpy(float), kept["forward"].to_numpy(float)
    with jax.enable_x64(True):
        if seed is not None and isinstance(seed.surface, EssviSurface):
            free, slices = seed.free_loss, (seed.surface.theta, seed.surface.rho, seed.surface.psi)
        else:
            free, seeds = _essvi_seeds(quotes)
            slices = _fit_essvi(quotes, years, *map(np.asarray, seeds))
        theta, rho, psi = map(np.asarray, slices)
        surface: EssviSurface | SviSurface = EssviSurface(years, levels, theta, rho, psi)
        if model == "svi":
            free, parameters = _fit_svi(quotes, theta, rho, psi)
            surface = SviSurface(years, levels, *map(np.asarray, parameters))
        vol = np.sqrt(surface.total_variance(quotes.x * quotes.s[:, None], years[:, None]) / years[:, None])
        loss = float(jnp.mean(_loss(vol, quotes)))
    report = _report(table, kept.index, quotes, vol)
    return SurfaceFit(surface, report, loss, float(free), model, bands)


def _check_seed(chain: OptionChain, model: str, seed: SurfaceFit) -> None:
    same = set(seed.report["expiry"]) == set(chain.quotes["expiry"])
    if model != "svi" or seed.model != "essvi" or not same:
        raise InputError(
            f"seed is a fit of {seed.model} to {len(seed.report)} slices for {model}; it must be an essvi "
            "fit of the same chain, for svi: leave it out"
        )


def _usable(bands: pd.DataFrame, forwards: pd.DataFrame) -> tuple[pd.DataFrame, dict[int, np.ndarray]]:
    """The table of forwards with counts and reasons, and per row of it (x, mid, low, high, s), [5, n]."""
    table = forwards[["expiry", "root", "years", "forward"]].assign(quotes=0, reason="")
    groups = bands.groupby(["expiry", "root"], sort=False).indices
    k = np.log(bands["strike"].to_numpy(float) / bands["forward"].to_numpy(float))
    vols = bands[["mid_vol", "bid_vol", "ask_vol"]].to_numpy(float).T
    rows: dict[int, np.ndarray] = {}
    for i, (expiry, root) in enumerate(zip(table["expiry"], table["root"], strict=True)):
        members = groups.get((expiry, root))
        if members is not None:
            at_money = np.interp(0.0, k[members], vols[0, members]) * np.sqrt(table["years"].iloc[i])
            near = members[np.abs(k[members]) <= _REACH * at_money]
            rows[i] = np.vstack([k[near] / at_money, vols[:, near], np.full(near.size, at_money)])
    counts = np.array([rows[i].shape[1] if i in rows else 0 for i in table.index])
    table["quotes"] = counts
    # Two roots can settle at one instant; time has to increase from slice to slice.
    fullest = table.groupby("years")["quotes"].transform("max").to_numpy()
    shadowed = (counts < fullest) | table.duplicated(["years", "quotes"]).to_numpy()
    table.loc[shadowed, "reason"] = "another root has more quotes for the same instant"
    table.loc[counts < _LEAST_QUOTES, "reason"] = f"fewer than {_LEAST_QUOTES} usable quotes"
    return table, rows


def _padded(rows: list[np.ndarray], years: np.ndarray) -> _Quotes:
    width = -(-max(r.shape[1] for r in rows) // _WIDTH) * _WIDTH
    s = np.array([r[4, 0] for r in rows])
    at_money = s / np.sqrt(years)
    columns = np.zeros((4, len(rows), width))
    columns[1:] = at_money[:, None]
    share = np.zeros((len(rows), width))
    for i, row in enumerate(rows):
        columns[:, i, : row.shape[1]] = row[:4]
        share[i, : row.shape[1]] = 1.0 / row.shape[1]
    x, mid, low, high = columns
    scale = np.hypot(0.5 * (high - low), _MODEL_ERROR)
    return _Quotes(s, at_money, x, mid, low, high, scale, share)


def _report(table: pd.DataFrame, kept: pd.Index, quotes: _Quotes, vol: np.ndarray) -> pd.DataFrame:
    error = (vol - quotes.mid) / VOL_POINT
    columns = {
        "rmse_vol_points": np.sqrt(np.sum(quotes.share * error**2, axis=1)),
        "max_error_vol_points": np.max(np.abs(error) * (quotes.share > 0.0), axis=1),
        "inside": np.sum(quotes.share * ((vol >= quotes.low) & (vol <= quotes.high)), axis=1),
    }
    fitted = pd.concat([table.drop(columns="reason"), pd.DataFrame(columns, index=kept)], axis=1)
    return fitted.assign(reason=table["reason"])


def _loss(vol: Array, q: _Quotes) -> jax.Array:
    """Mean Huber loss of each slice."""
    return 0.5 * jnp.sum(_residual(vol, q) ** 2, axis=-1)


def _residual(vol: Array, q: _Quotes) -> jax.Array:
    """Numbers r with Σ r²/2 = `_loss`: the error, and beyond the Huber threshold ± the root of its loss."""
    error = (vol - q.mid) / q.scale
    far = jnp.abs(error) > _HUBER
    size = jnp.where(far, jnp.abs(error), _HUBER)
    rooted = jnp.sign(error) * jnp.sqrt(2.0 * _HUBER * size - _HUBER**2)
    return jnp.sqrt(q.share) * jnp.where(far, rooted, error)


def _minimise_scaled(
    loss: Callable[[jax.Array], jax.Array], start: jax.Array, hessian: jax.Array, steps: int
) -> tuple[jax.Array, jax.Array]:
    """Minimum and value by L-BFGS, in coordinates where a positive matrix near the Hessian is I."""
    factor = jnp.linalg.cholesky(hessian).T

    def point(z: jax.Array) -> jax.Array:
        return start + solve_triangular(factor, z, lower=False).reshape(start.shape)

    def scaled(z: jax.Array) -> jax.Array:
        return loss(point(z))

    origin = jnp.zeros(start.size)
    z = minimise(scaled, origin, steps)[0]
    before, after = jax.lax.map(scaled, jnp.stack([origin, z]))
    better = after <= before
    return jnp.where(better, point(z), start), jnp.where(better, after, before)


def _fit_slice(
    residual: Callable[[jax.Array], jax.Array], start: jax.Array, steps: int
) -> tuple[jax.Array, jax.Array]:
    """Minimum and value of Σ r²/2 for a handful of parameters, by damped Gauss–Newton steps."""

    # L-BFGS finds the same minima here, but its line search takes four times as long to compile.
    def half_square(u: jax.Array) -> jax.Array:
        value = 0.5 * jnp.sum(residual(u) ** 2)
        return jnp.where(jnp.isfinite(value), value, jnp.inf)

    def step(_: int, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        u, value, damping = carry
        slopes = jax.jacfwd(residual)(u)
        normal = slopes.T @ slopes
        scale = jnp.diag(damping * jnp.diag(normal) + 1e-9)
        new = u - jnp.linalg.solve(normal + scale, slopes.T @ residual(u))
        new_value = half_square(new)
        better = new_value < value
        damping = jnp.clip(jnp.where(better, 0.3 * damping, 4.0 * damping), 1e-9, 1e9)
        return jnp.where(better, new, u), jnp.where(better, new_value, value), damping

    return jax.lax.fori_loop(0, steps, step, (start, half_square(start), jnp.ones(())))[:2]


def _best(points: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    return points[jnp.argmin(values)], jnp.min(values)


_ESSVI_STARTS = np.array([[0.0, -0.5, -0.5], [0.0, -1.0, 0.0], [0.0, 0.2, -1.0]])
_SMOOTHING = (1e-3, 0.1, 0.3)  # widths in ln T over which ρ is averaged before a start


def _essvi_vol(quotes: _Quotes, theta: Array, rho: Array, psi: Array) -> Array:
    """Model vols of one slice."""
    w = essvi_slice(quotes.s * quotes.x, theta, psi * (1.0 - rho), psi * (1.0 + rho))[0]
    return quotes.at_money / quotes.s * jnp.sqrt(w)


@jax.jit
def _essvi_seeds(quotes: _Quotes) -> tuple[jax.Array, tuple[Array, jax.Array, Array]]:
    """Slices fitted one by one: the mean loss, and (θ, ρ, ψ) of each."""

    def parameters(u: jax.Array, s: Array) -> tuple[Array, jax.Array, Array]:
        return s * s * jnp.exp(u[0]), 0.999 * jnp.tanh(u[1]), s * jnp.exp(u[2])

    def fit(q: _Quotes) -> tuple[jax.Array, jax.Array]:
        run = partial(_fit_slice, lambda u: _residual(_essvi_vol(q, *parameters(u, q.s)), q), steps=30)
        return _best(*jax.vmap(run)(jnp.asarray(_ESSVI_STARTS)))

    u, value = jax.vmap(fit)(quotes)
    return jnp.mean(value), parameters(u.T, quotes.s)


def _fit_essvi(
    quotes: _Quotes, years: np.ndarray, theta: np.ndarray, rho: np.ndarray, psi: np.ndarray
) -> tuple[jax.Array, ...]:
    distance = np.subtract.outer(np.log(years), np.log(years))
    weights = [np.exp(-0.5 * (distance / width) ** 2) for width in _SMOOTHING]
    starts = [essvi_free(theta, weight @ rho / weight.sum(axis=1), psi) for weight in weights]
    return _fit_essvi_jointly(quotes, np.stack(starts))


@jax.jit
def _fit_essvi_jointly(quotes: _Quotes, starts: jax.Array) -> tuple[jax.Array, ...]:
    count = starts.shape[-1]

    def vol(u: jax.Array) -> Array:
        return jax.vmap(_essvi_vol)(quotes, *essvi_parameters(*u.reshape(3, count)))

    def run(start: jax.Array) -> tuple[jax.Array, jax.Array]:
        slopes = jax.jacfwd(lambda u: _residual(vol(u), quotes).ravel())(start.ravel()) / np.sqrt(count)
        hessian = slopes.T @ slopes + 1e-6 * jnp.eye(start.size)
        return _minimise_scaled(lambda u: jnp.mean(_loss(vol(u), quotes)), start, hessian, 150)

    return essvi_parameters(*_best(*jax.lax.map(run, jnp.asarray(starts)))[0])


def _svi_starts(quotes: _Quotes, theta: np.ndarray, rho: np.ndarray, psi: np.ndarray) -> np.ndarray:
    """The eSSVI slices, which are SVI slices, and two generic shapes; [N, 3, 5]."""
    s = np.asarray(quotes.s)
    psi = np.maximum(psi, 1e-3 * s)
    root = np.sqrt(1.0 - rho * rho)
    own = (0.5 * theta * root**2, 0.5 * psi, rho, -rho * theta / psi, root * theta / psi)
    flat, one = np.zeros_like(s), np.ones_like(s)
    shapes = [
        (s * s * (0.6 - b * width * np.sqrt(0.75)), s * b, -0.5 * one, s * m, s * width)
        for b, m, width in ((0.4 + flat, 0.3, 1.0), (0.3 + flat, 0.0, 0.4))
    ]
    return np.stack([svi_free(s, *parameters) for parameters in (own, *shapes)], axis=1)


def _fit_svi(
    quotes: _Quotes, theta: np.ndarray, rho: np.ndarray, psi: np.ndarray
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    columns = (c[:, None] for c in (theta, psi * (1.0 - rho), psi * (1.0 + rho)))
    wings = essvi_slice(quotes.s[:, None] * _WINGS, *columns)[0]
    free, u = _svi_slices(quotes, wings, _svi_starts(quotes, theta, rho, psi))
    for weight in _STAGES:
        u = _svi_stage(quotes, wings, u, weight)
    return free, svi_parameters(u.T, quotes.s)


def _svi_vol(u: jax.Array, q: _Quotes) -> Array:
    return q.at_money / q.s * jnp.sqrt(raw_svi(q.s * q.x, *svi_parameters(u, q.s)).value)


def _svi_own(u: jax.Array, q: _Quotes, wings: jax.Array, weight: float | jax.Array) -> jax.Array:
    """Residuals of one slice: quotes, leash, and where the density is negative."""
    parameters = svi_parameters(u, q.s)
    far = raw_svi(q.s * _WINGS, *parameters).value / wings
    density = durrleman(q.s * _GRID, raw_svi(q.s * _GRID, *parameters))
    lack = jax.nn.relu(_DENSITY_MARGIN - density)
    return jnp.concatenate(
        [
            _residual(_svi_vol(u, q), q),
            np.sqrt(0.5 * _LEASH / far.size) * jnp.log(far),
            jnp.sqrt(2.0 * weight / lack.size) * _DENSITY_WEIGHT * lack,
        ]
    )


def _svi_pair(u: jax.Array, s: jax.Array, weight: float | jax.Array) -> jax.Array:
    """Residuals of two neighbours, u [10] and s [2]: where the later has less total variance."""
    k = (s[:, None] * _GRID).ravel()
    early, late = (raw_svi(k, *svi_parameters(u[5 * i : 5 * i + 5], s[i])).value for i in (0, 1))
    lack = jax.nn.relu(0.5 * (1.0 - late / early) + _CALENDAR_MARGIN)
    return jnp.sqrt(2.0 * weight / k.size) * _CALENDAR_WEIGHT * lack


@jax.jit
def _svi_slices(quotes: _Quotes, wings: jax.Array, starts: jax.Array) -> tuple[jax.Array, jax.Array]:
    def fit(q: _Quotes, w: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        return _best(*jax.vmap(lambda u: _fit_slice(lambda z: _svi_own(z, q, w, 0.0), u, 40))(u))

    u = jax.vmap(fit)(quotes, wings, starts)[0]
    return jnp.mean(jax.vmap(lambda u, q: _loss(_svi_vol(u, q), q))(u, quotes)), u


@jax.jit
def _svi_stage(quotes: _Quotes, wings: jax.Array, start: jax.Array, weight: float | jax.Array) -> jax.Array:
    """All slices together under penalties of one weight, from ``start``, [N, 5]."""
    n = start.shape[0]

    def pairs(values: Array) -> jax.Array:
        return jnp.concatenate([values[:-1], values[1:]], axis=1)

    spreads = pairs(quotes.s[:, None])
    own = jax.vmap(lambda u, q, w: _svi_own(u, q, w, weight))
    between = jax.vmap(lambda u, s: _svi_pair(u, s, weight))

    def loss(u: jax.Array) -> jax.Array:
        squares = jnp.sum(own(u, quotes, wings) ** 2) + jnp.sum(between(pairs(u), spreads) ** 2)
        return 0.5 * squares / n

    slopes = jax.vmap(jax.jacfwd(lambda u, q, w: _svi_own(u, q, w, weight)))(start, quotes, wings)
    couplings = jax.vmap(jax.jacfwd(lambda u, s: _svi_pair(u, s, weight)))(pairs(start), spreads)
    blocks = jnp.einsum("nri,nrj->nij", slopes, slopes) + 1e-3 * jnp.eye(5)
    couples = jnp.einsum("nri,nrj->nij", couplings, couplings).reshape(n - 1, 2, 5, 2, 5)
    first = jnp.arange(n - 1)
    hessian = jnp.zeros((n, 5, n, 5)).at[jnp.arange(n), :, jnp.arange(n)].add(blocks)
    for i in (0, 1):
        for j in (0, 1):
            hessian = hessian.at[first + i, :, first + j].add(couples[:, i, :, j])
    return _minimise_scaled(loss, start, hessian.reshape(5 * n, 5 * n) / n, 50)[0]
