"""Our own implied vols of a chain's quotes, one per contract."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.forwards import imply_forwards
from gammawall.surfaces.pricing.implied import implied_vol

__all__ = ["ChainColumns", "chain_columns", "quote_vols"]


class ChainColumns(NamedTuple):
    """Columns of a chain with the terms of its forwards, in the chain's row order."""

    strike: np.ndarray
    is_call: np.ndarray
    bid: np.ndarray
    ask: np.ndarray
    forward: np.ndarray
    years: np.ndarray
    rate: np.ndarray
    usable: np.ndarray
    """out of the money, with a bid, not crossed"""

    def inverted(self, price: np.ndarray) -> np.ndarray:
        """Implied vols of usable quotes at these prices; NaN elsewhere and where there is none."""
        vol, at = np.full(price.size, np.nan), self.usable
        if at.any():
            terms = (price, self.forward, self.strike, self.years, self.rate)
            vol[at] = implied_vol(*(column[at] for column in terms), is_call=self.is_call[at]).vol
        return np.where(vol > 0.0, vol, np.nan)


def chain_columns(chain: OptionChain, forwards: pd.DataFrame) -> ChainColumns:
    """The columns of a chain beside the forwards of its expiries."""
    quotes = chain.quotes
    terms = quotes[["expiry", "root"]].merge(
        forwards, on=["expiry", "root"], how="left", validate="many_to_one"
    )
    strike, bid, ask = (quotes[name].to_numpy(float) for name in ("strike", "bid", "ask"))
    forward, years, discount = (terms[name].to_numpy(float) for name in ("forward", "years", "discount"))
    is_call = quotes["is_call"].to_numpy(bool)
    usable = (is_call == (strike >= forward)) & (bid > 0.0) & (ask >= bid)
    return ChainColumns(strike, is_call, bid, ask, forward, years, -np.log(discount) / years, usable)


def quote_vols(chain: OptionChain, forwards: pd.DataFrame | None = None) -> pd.DataFrame:
    """Implied vol of every contract of a chain, from out-of-the-money mid quotes.

    A call and a put of one strike and expiry share one vol: the out-of-the-money one's, whose time value is
    not buried under intrinsic value. Strikes whose quote has no bid or no solution take the vol between
    their neighbours (linear in strike, flat beyond the last quoted strike); expiries without a single
    usable quote take the vendor's vol.

    Args:
        chain: quotes.
        forwards: the table of `imply_forwards`, if at hand.

    Returns:
        A frame in the chain's row order: ``vol`` (annual decimal on ACT/365, NaN where nothing is known),
        ``source`` ("mid", "interpolated", "vendor" or "none"), and ``mid_vol``, the vol of the contract's own
        mid, NaN where it is in the money or has no bid or no solution.

    Example:
        >>> vols = surfaces.quote_vols(chain, surfaces.imply_forwards(chain))
        >>> vols["source"].value_counts().to_dict()
        {'mid': 56, 'interpolated': 12}
    """
    quotes = chain.quotes
    q = chain_columns(chain, imply_forwards(chain) if forwards is None else forwards)
    inverted = q.inverted(0.5 * (q.bid + q.ask))
    slices = quotes.groupby(["expiry", "root"], sort=False).indices
    vol, source = np.full(len(quotes), np.nan), np.full(len(quotes), "none", dtype=object)
    vendor = quotes["vendor_vol"].to_numpy(float)
    for rows in slices.values():
        vol[rows], source[rows] = _slice_vols(q.strike[rows], inverted[rows], vendor[rows])
    return pd.DataFrame({"vol": vol, "source": source, "mid_vol": inverted}, index=quotes.index)


def _slice_vols(
    strike: np.ndarray, inverted: np.ndarray, vendor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(inverted)
    if not known.any():
        usable = np.isfinite(vendor) & (vendor > 0.0)
        return np.where(usable, vendor, np.nan), np.where(usable, "vendor", "none")
    strikes, first = np.unique(strike[known], return_index=True)
    vols = inverted[known][first]
    source = np.where(np.isin(strike, strikes), "mid", "interpolated")
    return np.interp(strike, strikes, vols), source
