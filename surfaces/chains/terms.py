"""What pricing a chain needs beyond its quotes: forwards, discounts, times and vols, worked out once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.forwards import imply_forwards
from gammawall.surfaces.chains.smile import quote_vols

__all__ = ["ChainTerms", "chain_terms"]


@dataclass(frozen=True, eq=False)
class ChainTerms:
    """What pricing a chain needs beyond its quotes, in the chain's row order."""

    forwards: pd.DataFrame
    """table of `imply_forwards`: one row per expiry and root"""
    forward: np.ndarray
    discount: np.ndarray
    years: np.ndarray
    """ACT/365"""
    vol: np.ndarray
    """annual decimal on `years`; NaN where nothing is known"""
    source: np.ndarray
    """where each vol comes from, see `quote_vols`"""
    mid_vol: np.ndarray
    """vol of each out-of-the-money mid with a bid, NaN elsewhere"""


def chain_terms(chain: OptionChain) -> ChainTerms:
    """Forwards from put-call parity and vols from our own inversion of out-of-the-money mid quotes.

    Worked out once and handed on: `dealer_book`, `fit_surface`, `quote_bands`, `vendor_vol_report` and
    `convention_report` take them as ``terms``.

    Example:
        >>> terms = surfaces.chain_terms(chain)
        >>> names = ("calls_long_puts_short", "all_long")
        >>> [len(surfaces.dealer_book(chain, name, terms=terms)) for name in names]  # vols found once
        [68, 68]
    """
    forwards = imply_forwards(chain)
    vols = quote_vols(chain, forwards)
    by_row = chain.quotes[["expiry", "root"]].merge(
        forwards, on=["expiry", "root"], how="left", validate="many_to_one"
    )
    return ChainTerms(
        forwards,
        *(by_row[name].to_numpy(float) for name in ("forward", "discount", "years")),
        vol=vols["vol"].to_numpy(float),
        source=vols["source"].to_numpy(),
        mid_vol=vols["mid_vol"].to_numpy(float),
    )
