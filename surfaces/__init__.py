"""What options are worth: quotes, vols, greeks, dealers' books and their exposures."""

if __name__ != "gammawall.surfaces":
    raise ImportError(
        "import this package as gammawall.surfaces: a second name would be a second copy of every class"
    )

from gammawall.surfaces.arbitrage import ArbitrageReport, check_arbitrage
from gammawall.surfaces.bachelier import bachelier_greeks, bachelier_price
from gammawall.surfaces.black import Greeks, black_greeks, black_price
from gammawall.surfaces.book import Book, ChainTerms, chain_terms, dealer_book
from gammawall.surfaces.chain import ChainReport, OptionChain, read_chain
from gammawall.surfaces.clock import VarianceClock, calendar_changes
from gammawall.surfaces.confidence import bootstrap_levels
from gammawall.surfaces.convention_report import convention_report
from gammawall.surfaces.conventions import CONVENTIONS, SIZES, ShareRule, Shares, SignedFlow
from gammawall.surfaces.errors import InputError, NumericalError
from gammawall.surfaces.essvi import EssviSurface
from gammawall.surfaces.exposures import Exposures, exposures, gex_at
from gammawall.surfaces.fit import SurfaceFit, fit_surface
from gammawall.surfaces.forwards import imply_forwards
from gammawall.surfaces.implied import ImpliedStatus, ImpliedVol, implied_vol
from gammawall.surfaces.ladder import gex_heatmap, hedge_ladder
from gammawall.surfaces.levels import Level, Levels, levels
from gammawall.surfaces.precision import compiler_options
from gammawall.surfaces.rolloff import expiry_removal, snapshot_difference
from gammawall.surfaces.spot_greeks import SpotGreeks, spot_greeks
from gammawall.surfaces.svi import SviSurface

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
