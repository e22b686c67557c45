"""Contracts with an exact vol, their price at 50 digits, and what a float64 price can say about the vol."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np

__all__ = ["EPS", "MINUTE", "mp_price", "mp_vega", "priced", "sample"]

EPS = 2.0**-52
MINUTE = 1 / (252 * 390)


def mp_price(forward: Any, strike: Any, expiry: Any, vol: Any, rate: Any, is_call: bool) -> Any:
    """Discounted Black-76 price at the working precision of mpmath."""
    f, k, t, v, r = (mp.mpf(a) for a in (forward, strike, expiry, vol, rate))
    s = v * mp.sqrt(t)
    sign = 1 if is_call else -1
    d1 = mp.log(f / k) / s + s / 2
    n1, n2 = (mp.erfc(-sign * d / mp.sqrt(2)) / 2 for d in (d1, d1 - s))
    return mp.exp(-r * t) * sign * (f * n1 - k * n2)


def mp_vega(forward: Any, strike: Any, expiry: Any, vol: Any, rate: Any) -> Any:
    f, k, t, v, r = (mp.mpf(a) for a in (forward, strike, expiry, vol, rate))
    d1 = mp.log(f / k) / (v * mp.sqrt(t)) + v * mp.sqrt(t) / 2
    return mp.exp(-r * t) * f * mp.npdf(d1) * mp.sqrt(t)


def sample(count: int, seed: int, reach: float, widest: float) -> dict[str, np.ndarray]:
    """Contracts from one minute to ten years, out to `reach` standard deviations, calls and puts."""
    rng = np.random.default_rng(seed)
    expiry = MINUTE * (10 / MINUTE) ** rng.uniform(size=count)
    vol = 0.02 * (widest / 0.02) ** rng.uniform(size=count)
    distance = (
        reach * rng.uniform(-1, 1, count) * rng.choice([1.0, 0.2, 0.01, 0.0], count, p=[0.6, 0.2, 0.15, 0.05])
    )
    forward = 10 ** rng.uniform(-1, 5, count)
    strike = forward * np.exp(distance * vol * np.sqrt(expiry))
    rate = rng.uniform(-0.05, 0.1, count)
    # Mostly the side that is out of the money: in the money far out there is no vol left in a float.
    is_call = (strike > forward) ^ (rng.uniform(size=count) < 0.15)
    return {
        "forward": forward,
        "strike": strike,
        "expiry": expiry,
        "vol": vol,
        "rate": rate,
        "is_call": is_call,
    }


def priced(contracts: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Correctly rounded prices and the conditioning floor of their vols."""
    prices, floors = [], []
    for f, k, t, v, r, c in zip(*contracts.values(), strict=True):
        price = mp_price(f, k, t, v, r, c)
        prices.append(float(price))
        floors.append(float(min(EPS * price / (v * mp_vega(f, k, t, v, r)), mp.mpf(1e9))))
    return np.array(prices), np.array(floors)
