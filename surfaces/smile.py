"""Our own implied vols of a chain's quotes, one per contract, with the source of each."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gammawall.surfaces.chain import OptionChain
from gammawall.surfaces.implied import implied_vol

__all__ = ["quote_bands", "quote_vols"]


def quote_vols(chain: OptionChain, forwards: pd.DataFrame) -> pd.DataFrame:
    """Implied vol of every contract of a chain, from out-of-the-money mid quotes.

    A call and a put of one strike and expiry share one vol: the out-of-the-money one's, whose time value is
    not buried under intrinsic value. Strikes whose quote has no bid or no solution take the vol between
    their neighbours (linear in strike, flat beyond the last quoted strike); expiries without a single
    usable quote take the vendor's vol.

    Args:
        chain: quotes.
        forwards: the table of `imply_forwards`.

    Returns:
        A frame in the chain's row order: ``vol`` (annual decimal on ACT/365, NaN where nothing is known) and
        ``source`` ("mid", "interpolated", "vendor" or "none").
    """
    quotes = chain.quotes
    terms = quotes[["expiry", "root"]].merge(
        forwards, on=["expiry", "root"], how="left", validate="many_to_one"
    )
    forward, years = terms["forward"].to_numpy(float), terms["years"].to_numpy(float)
    discount = terms["discount"].to_numpy(float)
    strike, is_call = quotes["strike"].to_numpy(float), quotes["is_call"].to_numpy(bool)
    bid, ask = quotes["bid"].to_numpy(float), quotes["ask"].to_numpy(float)
    usable = (is_call == (strike >= forward)) & (bid > 0.0) & (ask >= bid)
    inverted = np.full(len(quotes), np.nan)
    if usable.any():
        rate = -np.log(discount[usable]) / years[usable]
        mid = 0.5 * (bid[usable] + ask[usable])
        inverted[usable] = implied_vol(
            mid, forward[usable], strike[usable], years[usable], rate, is_call=is_call[usable]
        ).vol
    slices = quotes.groupby(["expiry", "root"], sort=False).indices
    vol, source = np.full(len(quotes), np.nan), np.full(len(quotes), "none", dtype=object)
    vendor = quotes["vendor_vol"].to_numpy(float)
    for rows in slices.values():
        vol[rows], source[rows] = _slice_vols(strike[rows], inverted[rows], vendor[rows])
    return pd.DataFrame({"vol": vol, "source": source}, index=quotes.index)


def _slice_vols(
    strike: np.ndarray, inverted: np.ndarray, vendor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(inverted) & (inverted > 0.0)
    if not known.any():
        usable = np.isfinite(vendor) & (vendor > 0.0)
        return np.where(usable, vendor, np.nan), np.where(usable, "vendor", "none")
    strikes, first = np.unique(strike[known], return_index=True)
    vols = inverted[known][first]
    source = np.where(np.isin(strike, strikes), "mid", "interpolated")
    return np.interp(strike, strikes, vols), source


def quote_bands(chain: OptionChain, forwards: pd.DataFrame) -> pd.DataFrame:
    """Bid, mid and ask vols of the out-of-the-money quotes of a chain.

    Args:
        chain: quotes.
        forwards: the table of `imply_forwards`.

    Returns:
        One row per out-of-the-money quote with a bid and three vols: ``expiry``, ``root``, ``strike``,
        ``years``, ``forward``, ``bid_vol``, ``mid_vol``, ``ask_vol`` (annual decimals on ACT/365).
    """
    quotes = chain.quotes
    terms = quotes[["expiry", "root"]].merge(
        forwards, on=["expiry", "root"], how="left", validate="many_to_one"
    )
    forward, years = terms["forward"].to_numpy(float), terms["years"].to_numpy(float)
    rate = -np.log(terms["discount"].to_numpy(float)) / years
    strike, is_call = quotes["strike"].to_numpy(float), quotes["is_call"].to_numpy(bool)
    bid, ask = quotes["bid"].to_numpy(float), quotes["ask"].to_numpy(float)
    good = (is_call == (strike >= forward)) & (bid > 0.0) & (ask >= bid)
    table = quotes.loc[good, ["expiry", "root", "strike"]].assign(years=years[good], forward=forward[good])
    for name, price in (("bid_vol", bid), ("mid_vol", 0.5 * (bid + ask)), ("ask_vol", ask)):
        table[name] = implied_vol(
            price[good], forward[good], strike[good], years[good], rate[good], is_call=is_call[good]
        ).vol
    return table.dropna(subset=["bid_vol", "mid_vol", "ask_vol"]).reset_index(drop=True)
