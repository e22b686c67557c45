"""Every tolerance of the greeks, exposures and levels, by the name of what it bounds."""

from __future__ import annotations

GREEK_NEAR = 1e-13
"""Greeks in float64 against 50 digits, |d₁|, |d₂| ≤ 8: relative; near a zero, to the sum of the terms."""

GREEK_FAR = 5e-13
"""The same out to 37 standard deviations."""

GREEK_SINGLE = 1e-5
"""Greeks in float32, |d₁|, |d₂| ≤ 6, of the inputs as float32 holds them."""

CLOSED_FORM = 1e-18
"""The oracle's closed forms against its numerical derivatives of the price, both in many digits."""

AUTODIFF = 1e-10
"""jax's derivatives of the price to third order against the greeks."""

FINITE_DIFFERENCE = 1e-6
"""Central differences of a float64 price or delta with a step of about 1e-4 of the argument."""

IDENTITY = 1e-12
"""Identities between greeks of one call, relative to the largest term."""

SUM = 1e-12
"""The same numbers added in another order."""

REPRICED = 1e-5
"""Exposures against differences of a whole book revalued with other code."""

PUBLIC_FIGURE = 0.01
"""The published number of futures is rounded to thousands."""

CHAIN_TOTAL = 0.03
CHAIN_LEVEL_POINTS = 5.0
"""What careful implementations of one convention differ by on a real chain."""

PRINTED_USD_BN = 0.06
PRINTED_POINTS = 0.11
"""The reference is printed to 0.1."""

VENDOR_GAMMA_ROUNDING = 5e-5
"""The vendor prints four decimals."""

VENDOR_GAMMA = 3e-5
"""What is left of the difference between our gamma and the vendor's beyond that, from a week to expiry on."""

VENDOR_GAMMA_SAME_DAY = 0.03
"""Relative difference within one standard deviation on the last day, where the quotes' minute matters."""

VENDOR_GAMMA_TOTAL = 0.012
"""Same-day GEX from the vendor's gammas against ours: the roundings of some hundred contracts average out."""

VENDOR_GAMMA_NEXT_MONTHS = 5e-5
"""The same for small-cap options of one month to 18, whose forward is only implied."""

VENDOR_GREEK = 0.012
"""Median difference from a vendor's delta, vega, rho and theta: its spot and rates are not in its file."""

LEVEL_POINTS = 1e-5
"""A solved zero-gamma level against one that is known."""
