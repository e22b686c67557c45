"""From a checked scenario to the objects that run: by hand-written positions or by a chain of quotes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gammawall.scenarios.schema import MarketPart, Scenario, ScenarioPart
from gammawall.sim import GBM, Clearing, LinearImpact, Market, Measure, NoHedging, SimConfig
from gammawall.surfaces.book import Book, dealer_book
from gammawall.surfaces.chain import OptionChain, read_chain
from gammawall.surfaces.clock import VarianceClock, is_session, session_bounds
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.exposures import position_exposures

__all__ = ["build"]


def build(part: ScenarioPart) -> Scenario:
    """Build the objects of a scenario; reads the chain file if it names one.

    With a chain, whatever [market] and [measure] leave out comes from it: spot, the time of the quotes, the
    close of that session, the at-the-money vol of the first expiry, and the largest wall of that day.

    Raises:
        InputError: the chain cannot be read or holds nothing to simulate.
    """
    chain = read_chain(part.book.chain) if part.book.chain is not None else None
    book = _positions(part) if chain is None else dealer_book(chain, part.book.convention, part.book.size)
    clock = VarianceClock(part.dynamics.profile, part.market.overnight, part.market.weekend)
    market = _market(part.market, chain, clock)
    notes: list[str] = []
    if chain is not None:
        book = book.select(np.asarray(book.expiry > market.start))
        if not len(book):
            raise InputError(f"no contract of {part.book.chain} expires after {market.start}: start earlier")
    vol = part.market.vol_pct
    if vol is None:
        vol = 100.0 * _session_vol(book, market)
        notes.append(
            f"driving vol {vol:.2f} % is the first expiry's own at-the-money implied vol on trading time"
        )
    strike = part.measure.strike
    if strike is None:
        strike, note = _own_wall(book)
        notes.append(note)
    kinds = {"clearing": lambda: Clearing(part.hedging.fraction), "none": NoHedging}
    drift = part.dynamics.drift
    return Scenario(
        part=part,
        market=market,
        chain=chain,
        notes=tuple(notes),
        dynamics=GBM(vol / 100.0, drift if isinstance(drift, str) else drift / 100.0),
        book=book.scaled(part.book.scale),
        impact=LinearImpact(part.impact.bp_per_usd_bn),
        hedging=kinds[part.hedging.kind](),
        config=SimConfig(
            paths=part.simulation.paths,
            steps=part.simulation.steps,
            sample_minutes=part.simulation.sample_minutes,
        ),
        measure=Measure(strike, part.measure.band_points, part.measure.corridor),
        seed=part.simulation.seed,
    )


def _positions(part: ScenarioPart) -> Book:
    rows, market = part.book.position, part.market
    clock = VarianceClock(part.dynamics.profile, market.overnight, market.weekend)
    assert market.spot is not None
    return Book.from_positions(
        contracts=[p.contracts for p in rows],
        strike=[p.strike for p in rows],
        expiry=[p.expiry for p in rows],
        vol=[p.vol_pct / 100.0 for p in rows],
        is_call=[p.type == "call" for p in rows],
        spot=market.spot,
        as_of=market.start,
        rate=market.rate_pct / 100.0,
        clock=clock,
    )


def _market(part: MarketPart, chain: OptionChain | None, clock: VarianceClock) -> Market:
    if chain is None:
        assert part.spot is not None
        return Market(part.spot, pd.Timestamp(part.start), pd.Timestamp(part.close), clock)
    start = pd.Timestamp(part.start) if part.start is not None else chain.as_of
    if part.close is not None:
        close = pd.Timestamp(part.close)
    else:
        day = (start.tz_localize("America/New_York") if start.tzinfo is None else start).normalize()
        if not is_session(day) or (session_bounds(day)[1] <= chain.as_of and part.start is None):
            raise InputError(
                f"the quotes are of {chain.as_of:%Y-%m-%d %H:%M} New York, when no session was left to simulate: "
                "give a window with --set market.start=... (and market.close=...)"
            )
        close = session_bounds(day)[1]
    return Market(part.spot if part.spot is not None else chain.spot, start, close, clock)


def _session_vol(book: Book, market: Market) -> float:
    """At-the-money vol of the first expiry, restated so that trading time carries its whole variance."""
    first = book.select(np.asarray(book.expiry == book.expiry.min()))
    distance = np.abs(np.log(first.strike / (first.carry * book.spot)))
    nearest = np.argsort(distance, kind="stable")[:2]
    total = float(np.mean(first.total_vol[nearest]))
    years = float(market.clock.variance_years(book.as_of, first.expiry[0]))
    if years <= 0.0:
        raise InputError(
            "market.vol_pct is needed: the first expiry has no trading time left to imply it from"
        )
    return total / np.sqrt(years)


def _own_wall(book: Book) -> tuple[float, str]:
    """The strike with the largest net gamma of the day's own contracts, of all contracts if none expire."""
    same_day = book.same_day()
    chosen = book.select(same_day) if same_day.any() else book
    net = position_exposures(chosen)["gex_usd_per_1pct"].groupby(chosen.strike).sum()
    strike = float(net.abs().idxmax())
    which = "same-day contracts" if same_day.any() else "all contracts, none expiring the same day"
    return (
        strike,
        f"strike {strike:,.10g} has the largest net gamma of {which}: {net[strike] / 1e9:+.2f} USD bn per 1 %",
    )
