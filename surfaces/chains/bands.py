"""Our own vols of the quotes: between bid and ask, and beside the vendor's."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.smile import chain_columns
from gammawall.surfaces.chains.terms import ChainTerms, chain_terms
from gammawall.surfaces.units import VOL_POINT

__all__ = ["quote_bands", "vendor_vol_report"]


def quote_bands(chain: OptionChain, terms: ChainTerms | None = None) -> pd.DataFrame:
    """Bid, mid and ask vols of the out-of-the-money quotes of a chain.

    Args:
        chain: quotes.
        terms: of `chain_terms`, if at hand.

    Returns:
        One row per out-of-the-money quote with a bid and three vols: ``expiry``, ``root``, ``strike``,
        ``years``, ``forward``, ``bid_vol``, ``mid_vol``, ``ask_vol`` (annual decimals on ACT/365).
    """
    terms = terms or chain_terms(chain)
    q = chain_columns(chain, terms.forwards)
    table = chain.quotes[["expiry", "root", "strike"]].assign(
        years=q.years,
        forward=q.forward,
        bid_vol=q.inverted(q.bid),
        mid_vol=terms.mid_vol,
        ask_vol=q.inverted(q.ask),
    )
    return table.dropna(subset=["bid_vol", "mid_vol", "ask_vol"]).reset_index(drop=True)


def vendor_vol_report(chain: OptionChain, terms: ChainTerms | None = None) -> pd.DataFrame:
    """The vendor's vols beside our own of the same out-of-the-money mids.

    Args:
        chain: quotes.
        terms: of `chain_terms`, if at hand.

    Returns:
        One row per expiry and root of the chain: ``expiry``, ``root``; ``compared``, the quotes with both
        vols; ``median_vol_points`` and ``worst_vol_points`` of vendor minus own (the worst keeps its sign;
        NaN where nothing was compared) and ``worst_strike``.
    """
    own, quotes = (terms or chain_terms(chain)).mid_vol, chain.quotes
    gap = (quotes["vendor_vol"].to_numpy(float) - own) / VOL_POINT
    strike, slices = quotes["strike"].to_numpy(float), quotes.groupby(["expiry", "root"], sort=False).indices
    rows = [_compared(gap[members], strike[members]) for members in slices.values()]
    keys = quotes[["expiry", "root"]].drop_duplicates(ignore_index=True)
    columns = ["compared", "median_vol_points", "worst_vol_points", "worst_strike"]
    return pd.concat([keys, pd.DataFrame(rows, columns=columns)], axis=1)


def _compared(gap: np.ndarray, strike: np.ndarray) -> tuple[int, float, float, float]:
    known = np.flatnonzero(np.isfinite(gap))
    if not known.size:
        return 0, np.nan, np.nan, np.nan
    worst = known[np.argmax(np.abs(gap[known]))]
    return known.size, float(np.median(gap[known])), float(gap[worst]), float(strike[worst])
