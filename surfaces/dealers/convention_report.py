"""How far exposures and levels depend on who is said to be long: one chain under every convention."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.terms import ChainTerms, chain_terms
from gammawall.surfaces.dealers.chain_book import dealer_book
from gammawall.surfaces.dealers.conventions import CONVENTIONS, SIZES, Shares, SignedFlow
from gammawall.surfaces.dealers.rolloff import level_summary
from gammawall.surfaces.errors import InputError

__all__ = ["convention_report"]


def convention_report(
    chain: OptionChain,
    *,
    conventions: Sequence[str | Shares | SignedFlow] = tuple(CONVENTIONS),
    sizes: Sequence[str] = tuple(SIZES),
    terms: ChainTerms | None = None,
) -> pd.DataFrame:
    """Exposures and levels of one chain under each convention and size.

    Args:
        chain: quotes.
        conventions: names, shares by bucket or signed flow, as `dealer_book` takes them.
        sizes: some of `SIZES`; signed flow brings its own.
        terms: of `chain_terms`, if at hand.

    Returns:
        A frame indexed by (convention, size) with the columns of `level_summary` and ``refused``: the reason
        where a size cannot be used, empty otherwise.

    Example:
        >>> table = surfaces.convention_report(chain, sizes=["open_interest"])
        >>> (table["gex_usd_per_1pct"] / 1e9).round(1).droplevel("size").to_dict()
        {'calls_long_puts_short': 1.3, 'calls_short_puts_long': -1.3, 'all_long': 4.6, 'all_short': -4.6}
    """
    terms = terms or chain_terms(chain)
    rows, keys = [], []
    for convention in conventions:
        for size in sizes if not isinstance(convention, SignedFlow) else ("own",):
            name = convention if isinstance(convention, str) else convention.name
            keys.append((name, size))
            try:
                book = dealer_book(chain, convention, size, terms=terms)
                rows.append(level_summary(book) | {"refused": ""})
            except InputError as error:
                rows.append({"refused": str(error)})
    return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(keys, names=["convention", "size"]))
