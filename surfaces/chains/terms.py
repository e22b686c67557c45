"""What pricing a chain needs beyond its quotes: forwards, discounts, times and vols, worked out once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.forwards import imply_forwards
from gammawall.surfaces.chains.smile import quote_vols

__all__ = ["ChainTerms", "chain_terms"]


@dataclass(frozen=True, eq=False)
class ChainTerms:
    """What pricing a chain needs beyond its quotes, in the chain's row order."""

    forward: np.ndarray
    discount: np.ndarray
    years: np.ndarray
    """ACT/365"""
    vol: np.ndarray
    """annual decimal on `years`; NaN where nothing is known"""
    source: np.ndarray
    """where each vol comes from, see `quote_vols`"""


def chain_terms(chain: OptionChain) -> ChainTerms:
    """Forwards from put-call parity and vols from our own inversion of out-of-the-money mid quotes."""
    forwards = imply_forwards(chain)
    vols = quote_vols(chain, forwards)
    terms = chain.quotes[["expiry", "root"]].merge(
        forwards, on=["expiry", "root"], how="left", validate="many_to_one"
    )
    return ChainTerms(
        *(terms[name].to_numpy(float) for name in ("forward", "discount", "years")),
        vol=vols["vol"].to_numpy(float),
        source=vols["source"].to_numpy(),
    )
