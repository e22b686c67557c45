"""What options are worth: quotes, vols, greeks, dealers' books and their exposures."""

if __name__ != "gammawall.surfaces":
    raise ImportError(
        "import this package as gammawall.surfaces: a second name would be a second copy of every class"
    )

from gammawall.surfaces.chains.chain import ChainReport, OptionChain, read_chain
from gammawall.surfaces.chains.forwards import imply_forwards
from gammawall.surfaces.clock import VarianceClock, calendar_changes
from gammawall.surfaces.dealers.book import Book, ChainTerms, chain_terms, dealer_book
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
from gammawall.surfaces.vol_surfaces.svi import SviSurface

__all__ = [
    "CONVENTIONS",
    "SIZES",
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
    "read_chain",
    "snapshot_difference",
    "spot_greeks",
]
