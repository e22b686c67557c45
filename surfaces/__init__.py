"""What options are worth: quotes, vols, greeks, dealers' books and their exposures.

Everything is imported on first use.
"""

if __name__ != "gammawall.surfaces":
    raise ImportError(
        "import this package as gammawall.surfaces: a second name would be a second copy of every class"
    )

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gammawall.surfaces.american.implied import american_implied_vol
    from gammawall.surfaces.american.kernel import AmericanGreeks
    from gammawall.surfaces.american.price import american_greeks, american_price
    from gammawall.surfaces.chains.chain import ChainReport, OptionChain
    from gammawall.surfaces.chains.forwards import imply_forwards
    from gammawall.surfaces.chains.read import read_chain
    from gammawall.surfaces.chains.smile import quote_vols
    from gammawall.surfaces.chains.terms import ChainTerms, chain_terms
    from gammawall.surfaces.clock import VarianceClock, calendar_changes
    from gammawall.surfaces.dealers.book import Book
    from gammawall.surfaces.dealers.chain_book import dealer_book
    from gammawall.surfaces.dealers.confidence import bootstrap_levels
    from gammawall.surfaces.dealers.convention_report import convention_report
    from gammawall.surfaces.dealers.conventions import CONVENTIONS, SIZES, ShareRule, Shares, SignedFlow
    from gammawall.surfaces.dealers.exposures import Exposures, exposures, gex_at
    from gammawall.surfaces.dealers.ladder import gex_heatmap, hedge_ladder
    from gammawall.surfaces.dealers.levels import Level, Levels, levels
    from gammawall.surfaces.dealers.rolloff import expiry_removal, snapshot_difference
    from gammawall.surfaces.errors import InputError, NumericalError
    from gammawall.surfaces.precision import compiler_options
    from gammawall.surfaces.pricing.bachelier import bachelier_greeks, bachelier_price
    from gammawall.surfaces.pricing.black import Greeks, black_greeks, black_price
    from gammawall.surfaces.pricing.implied import ImpliedStatus, ImpliedVol, implied_vol
    from gammawall.surfaces.pricing.spot_greeks import SpotGreeks, spot_greeks
    from gammawall.surfaces.vol_surfaces.arbitrage import ArbitrageReport, check_arbitrage
    from gammawall.surfaces.vol_surfaces.essvi import EssviSurface
    from gammawall.surfaces.vol_surfaces.fit import SurfaceFit, fit_surface
    from gammawall.surfaces.vol_surfaces.local_vol import local_vol
    from gammawall.surfaces.vol_surfaces.svi import SviSurface, VolSurface

__all__ = [
    "CONVENTIONS",
    "SIZES",
    "AmericanGreeks",
    "ArbitrageReport",
    "Book",
    "ChainReport",
    "ChainTerms",
    "EssviSurface",
    "Exposures",
    "Greeks",
    "ImpliedStatus",
    "ImpliedVol",
    "InputError",
    "Level",
    "Levels",
    "NumericalError",
    "OptionChain",
    "ShareRule",
    "Shares",
    "SignedFlow",
    "SpotGreeks",
    "SurfaceFit",
    "SviSurface",
    "VarianceClock",
    "VolSurface",
    "american_greeks",
    "american_implied_vol",
    "american_price",
    "bachelier_greeks",
    "bachelier_price",
    "black_greeks",
    "black_price",
    "bootstrap_levels",
    "calendar_changes",
    "chain_terms",
    "check_arbitrage",
    "compiler_options",
    "convention_report",
    "dealer_book",
    "expiry_removal",
    "exposures",
    "fit_surface",
    "gex_at",
    "gex_heatmap",
    "hedge_ladder",
    "implied_vol",
    "imply_forwards",
    "levels",
    "local_vol",
    "quote_vols",
    "read_chain",
    "snapshot_difference",
    "spot_greeks",
]

_HOME = {
    "AmericanGreeks": "american.kernel",
    "ArbitrageReport": "vol_surfaces.arbitrage",
    "Book": "dealers.book",
    "CONVENTIONS": "dealers.conventions",
    "ChainReport": "chains.chain",
    "ChainTerms": "chains.terms",
    "EssviSurface": "vol_surfaces.essvi",
    "Exposures": "dealers.exposures",
    "Greeks": "pricing.black",
    "ImpliedStatus": "pricing.implied",
    "ImpliedVol": "pricing.implied",
    "InputError": "errors",
    "Level": "dealers.levels",
    "Levels": "dealers.levels",
    "NumericalError": "errors",
    "OptionChain": "chains.chain",
    "SIZES": "dealers.conventions",
    "ShareRule": "dealers.conventions",
    "Shares": "dealers.conventions",
    "SignedFlow": "dealers.conventions",
    "SpotGreeks": "pricing.spot_greeks",
    "SurfaceFit": "vol_surfaces.fit",
    "SviSurface": "vol_surfaces.svi",
    "VarianceClock": "clock",
    "VolSurface": "vol_surfaces.svi",
    "american_greeks": "american.price",
    "american_implied_vol": "american.implied",
    "american_price": "american.price",
    "bachelier_greeks": "pricing.bachelier",
    "bachelier_price": "pricing.bachelier",
    "black_greeks": "pricing.black",
    "black_price": "pricing.black",
    "bootstrap_levels": "dealers.confidence",
    "calendar_changes": "clock",
    "chain_terms": "chains.terms",
    "check_arbitrage": "vol_surfaces.arbitrage",
    "compiler_options": "precision",
    "convention_report": "dealers.convention_report",
    "dealer_book": "dealers.chain_book",
    "expiry_removal": "dealers.rolloff",
    "exposures": "dealers.exposures",
    "fit_surface": "vol_surfaces.fit",
    "gex_at": "dealers.exposures",
    "gex_heatmap": "dealers.ladder",
    "hedge_ladder": "dealers.ladder",
    "implied_vol": "pricing.implied",
    "imply_forwards": "chains.forwards",
    "levels": "dealers.levels",
    "local_vol": "vol_surfaces.local_vol",
    "quote_vols": "chains.smile",
    "read_chain": "chains.read",
    "snapshot_difference": "dealers.rolloff",
    "spot_greeks": "pricing.spot_greeks",
}


def __getattr__(name: str) -> object:
    # The command line reads limits, errors and units here and must answer --help before jax is imported.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
