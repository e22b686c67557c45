"""Sessions of a market in which dealers are known to hedge: simulated paths beside made-up open interest."""

from __future__ import annotations

import functools

import numpy as np

from gammawall.sim import GBM, Experiment, LinearImpact, Market, SimConfig, simulate
from gammawall.sim.evidence.session import Session, session_from_paths
from gammawall.surfaces.dealers.book import Book

START, CLOSE = "2026-01-28T09:30", "2026-01-28T16:00"
VOL, SPOT = 0.12, 7000.0


def open_interest(seed: int) -> Book:
    """Calls above and puts below the spot, same-day and two days on, all as though dealers were long."""
    random = np.random.default_rng(seed)
    ladder = np.arange(6800.0, 7201.0, 20.0)
    strike, is_call, size, expiry = [], [], [], []
    for when, scale in ((CLOSE, 1.0), ("2026-01-30T16:00", 0.6)):
        for call, centre in ((True, 7015.0), (False, 6955.0)):
            bell = np.exp(-0.5 * ((ladder - centre) / 60.0) ** 2)
            strike.append(ladder)
            is_call.append(np.full(ladder.size, call))
            size.append(scale * 8000.0 * bell * random.gamma(1.2, 1.0, ladder.size))
            expiry += [when] * ladder.size
    return Book.from_positions(
        contracts=np.concatenate(size),
        strike=np.concatenate(strike),
        expiry=np.array(expiry, object),
        vol=VOL,
        spot=SPOT,
        as_of=START,
        is_call=np.concatenate(is_call),
    )


@functools.lru_cache(maxsize=8)
def planted(theta: float, count: int, book_seed: int = 0, seed: int = 5) -> tuple[Session, ...]:
    """Sessions whose dealers hold θ's sign times calls less puts, hedged at |θ| bp per USD bn."""
    interest = open_interest(book_seed)
    side = np.where(interest.is_call, 1.0, -1.0) * (-1.0 if theta < 0.0 else 1.0)
    held = Book.from_positions(
        contracts=interest.contracts * side,
        strike=interest.strike,
        expiry=np.array([t.isoformat() for t in interest.expiry], object),
        vol=VOL,
        spot=SPOT,
        as_of=START,
        is_call=interest.is_call,
    )
    run = Experiment(
        book=held,
        market=Market(SPOT, START, CLOSE),
        dynamics=GBM(VOL),
        impact=LinearImpact(abs(theta)),
        config=SimConfig(paths=4096, keep_paths=count, steps=78),
        seed=seed,
    )
    found = simulate(run)
    return tuple(session_from_paths(found.sample_paths, found.minutes, START, interest))
