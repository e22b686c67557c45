"""The figures of a chain, a book, its exposures and levels, and a fitted surface, by name.

These mappings are the entry points that ``figure(name)`` of those objects looks up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from gammawall.scenarios.chains.figures import (
    error_by_expiry,
    gamma_heatmap,
    gex_by_expiry,
    gex_by_strike,
    gex_profile,
    smiles,
    surface_3d,
)
from gammawall.surfaces.chains.bands import quote_bands
from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.clock import is_session, session_bounds
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.exposures import Exposures, exposures
from gammawall.surfaces.dealers.ladder import gex_heatmap
from gammawall.surfaces.dealers.levels import Levels, levels
from gammawall.surfaces.units import USD_BN
from gammawall.surfaces.vol_surfaces.fit import SurfaceFit

__all__ = [
    "BOOK",
    "EXPOSURES",
    "LEVELS",
    "MODEL_NAMES",
    "OPTION_CHAIN",
    "SURFACE_FIT",
    "gamma_profile",
    "session_heatmap",
    "surface_picture",
    "surface_smiles",
]

MODEL_NAMES = {"essvi": "eSSVI", "svi": "SVI"}

_HEAT_SPOTS, _HEAT_MINUTES = 61, 5
_REACH_SD = 3.0


def gamma_profile(exposed: Exposures, marks: Mapping[str, Any] | None = None) -> go.Figure | None:
    """Dealer gamma over the index level.

    Args:
        exposed: exposures of a book.
        marks: levels to mark, as in the record of ``gammawall exposures``; spot alone when not given.
    """
    series = {
        "gex_spot": exposed.profile.index.to_numpy(float),
        "gex_total_bn": exposed.profile["gex_usd_per_1pct"].to_numpy(float) / USD_BN,
        "gex_same_day_bn": exposed.profile["gex_0dte_usd_per_1pct"].to_numpy(float) / USD_BN,
    }
    return gex_profile(series, exposures=marks, spot=exposed.spot)


def session_heatmap(book: Book) -> go.Figure | None:
    """Dealer gamma from now to the close of the session, None where no session is open."""
    if not is_session(book.as_of):
        return None
    first, close = session_bounds(book.as_of)
    if not first <= book.as_of < close:
        return None
    times = pd.date_range(book.as_of, close - pd.Timedelta(minutes=1), freq=f"{_HEAT_MINUTES}min")
    spots = book.spot * np.linspace(0.97, 1.03, _HEAT_SPOTS)
    return gamma_heatmap(gex_heatmap(book, spots, list(times)), book.spot)


def surface_picture(fit: SurfaceFit) -> go.Figure:
    """The fitted surface over moneyness and time."""
    years, sd = np.asarray(fit.surface.years, float), np.linspace(-_REACH_SD, _REACH_SD, 61)
    at_money = np.sqrt(np.asarray(fit.surface.total_variance(np.zeros_like(years), years)))
    variance = np.asarray(fit.surface.total_variance(at_money[:, None] * sd, years[:, None]))
    return surface_3d(sd, years, np.sqrt(variance / years[:, None]))


def surface_smiles(bands: pd.DataFrame, fits: Mapping[str, SurfaceFit]) -> go.Figure | None:
    """Quotes within ±3 sd of the slices that the first fit has, and every fit's vols at the same strikes.

    Args:
        bands: of `quote_bands`.
        fits: by the name shown.
    """
    main = next(iter(fits.values()))
    fitted = main.report.loc[main.report["reason"] == "", ["expiry", "root"]]
    bands = bands.merge(fitted, on=["expiry", "root"])
    t, forward = (bands[name].to_numpy(float) for name in ("years", "forward"))
    k = np.log(bands["strike"].to_numpy(float) / forward)
    near = np.abs(k) <= _REACH_SD * np.sqrt(np.asarray(main.surface.total_variance(np.zeros_like(t), t)))
    bands, t, k = _labelled(bands.loc[near]), t[near], k[near]
    curves = {
        name: bands[["expiry", "strike"]].assign(
            vol=np.sqrt(np.asarray(fit.surface.total_variance(k, t)) / t)
        )
        for name, fit in fits.items()
    }
    return smiles(bands, curves)


def _labelled(bands: pd.DataFrame) -> pd.DataFrame:
    return bands.assign(expiry=[f"{e:%d %b %Y %H:%M}" for e in bands["expiry"]])


def _chain_smiles(chain: OptionChain) -> go.Figure | None:
    return smiles(_labelled(quote_bands(chain)), {})


def _marks(found: Levels) -> dict[str, Any]:
    named = {"call_wall": found.call_wall, "put_wall": found.put_wall, "abs_gamma_strike": found.abs_gamma}
    strikes = {name: None if level is None else level.strike for name, level in named.items()}
    return {"zero_gamma": found.zero_gamma} | strikes


def _book_profile(book: Book) -> go.Figure | None:
    exposed = exposures(book)
    return gamma_profile(exposed, _marks(levels(book, exposed=exposed)))


OPTION_CHAIN: dict[str, Callable[[OptionChain], go.Figure | None]] = {"smiles": _chain_smiles}
BOOK: dict[str, Callable[[Book], go.Figure | None]] = {
    "gamma_profile": _book_profile,
    "gamma_by_strike": lambda book: gex_by_strike(exposures(book).by_strike, book.spot),
    "gamma_by_expiry": lambda book: gex_by_expiry(exposures(book).by_expiry),
    "gamma_heatmap": session_heatmap,
}
EXPOSURES: dict[str, Callable[[Exposures], go.Figure | None]] = {
    "gamma_profile": gamma_profile,
    "gamma_by_strike": lambda exposed: gex_by_strike(exposed.by_strike, exposed.spot),
    "gamma_by_expiry": lambda exposed: gex_by_expiry(exposed.by_expiry),
}
LEVELS: dict[str, Callable[[Levels], go.Figure | None]] = {
    "gamma_profile": lambda found: gamma_profile(found.exposures, _marks(found)),
}
SURFACE_FIT: dict[str, Callable[[SurfaceFit], go.Figure | None]] = {
    "smiles": lambda fit: surface_smiles(fit.bands, {MODEL_NAMES[fit.model]: fit}),
    "surface": surface_picture,
    "errors": lambda fit: error_by_expiry({MODEL_NAMES[fit.model]: fit.report}),
}
