"""From a chain and a convention to the dealers' book."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.terms import ChainTerms, chain_terms
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.conventions import Shares, SignedFlow, signed_sizes
from gammawall.surfaces.errors import InputError

__all__ = ["dealer_book"]


def dealer_book(
    chain: OptionChain,
    convention: str | Shares | SignedFlow = "calls_long_puts_short",
    size: str = "open_interest",
    *,
    terms: ChainTerms | None = None,
) -> Book:
    """The dealers' position in a chain under a stated convention.

    Contracts without a position or a usable vol are left out.

    Args:
        chain: quotes.
        convention: one of `CONVENTIONS` (the default says dealers are long calls and short puts), shares by
            bucket, or signed flow.
        size: one of `SIZES`; signed flow brings its own.
        terms: from `chain_terms`, when several books of one chain are made.

    Raises:
        InputError: see `gammawall.surfaces.dealers.conventions.signed_sizes`; or nothing is left.

    Example:
        >>> mine = surfaces.dealer_book(chain, convention="calls_long_puts_short")
        >>> print(mine.convention, f"{mine.contracts.sum():,.0f}")
        calls_long_puts_short 13,600
    """
    signed, name = signed_sizes(chain, convention, size)
    terms = terms or chain_terms(chain)
    keep = (signed != 0.0) & np.isfinite(terms.vol)
    if not keep.any():
        raise InputError(f"no contract has both a position under {name} and a usable vol: nothing to expose")
    kept = chain.quotes.loc[keep]
    kinds, counts = np.unique(terms.source[keep].astype(str), return_counts=True)
    return Book(
        contracts=signed[keep],
        strike=kept["strike"].to_numpy(float),
        is_call=kept["is_call"].to_numpy(bool),
        expiry=pd.DatetimeIndex(kept["expiry"]),
        vol=terms.vol[keep],
        variance_years=terms.years[keep],
        years=terms.years[keep],
        discount=terms.discount[keep],
        carry=terms.forward[keep] / chain.spot,
        spot=chain.spot,
        as_of=chain.as_of,
        convention=name,
        sources={str(k): int(n) for k, n in zip(kinds, counts, strict=True)},
    )
