"""What options are worth: quotes, vols, greeks, dealers' books and their exposures."""

if __name__ != "gammawall.surfaces":
    raise ImportError(
        "import this package as gammawall.surfaces: a second name would be a second copy of every class"
    )

from gammawall.surfaces.black import Greeks, black_greeks, black_price
from gammawall.surfaces.book import Book, ChainTerms, chain_terms, dealer_book
from gammawall.surfaces.chain import ChainReport, OptionChain, read_chain
from gammawall.surfaces.clock import VarianceClock
from gammawall.surfaces.conventions import CONVENTIONS, SIZES, ShareRule, Shares, SignedFlow
from gammawall.surfaces.errors import InputError, NumericalError
from gammawall.surfaces.exposures import Exposures, exposures, gex_at
from gammawall.surfaces.forwards import imply_forwards
from gammawall.surfaces.implied import ImpliedStatus, ImpliedVol, implied_vol
from gammawall.surfaces.levels import Level, Levels, levels

__all__ = [
    "CONVENTIONS",
    "SIZES",
    "Book",
    "ChainReport",
    "ChainTerms",
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
    "VarianceClock",
    "black_greeks",
    "black_price",
    "chain_terms",
    "dealer_book",
    "exposures",
    "gex_at",
    "implied_vol",
    "imply_forwards",
    "levels",
    "read_chain",
]
