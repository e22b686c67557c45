"""From a checked scenario to the objects that run: by hand-written positions or by a chain of quotes."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd

from gammawall.scenarios.spec.scenario import Scenario
from gammawall.scenarios.spec.schema import MarketSpec, ScenarioSpec, SimulationSpec
from gammawall.scenarios.spec.tables import built
from gammawall.sim import Market, Measure, SimConfig
from gammawall.sim.models.hedging import hedging_groups
from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.chains.read import read_chain
from gammawall.surfaces.clock import VarianceClock, is_session, new_york, session_bounds
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.chain_book import dealer_book
from gammawall.surfaces.dealers.exposures import position_exposures
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import USD_BN, from_percent, to_percent

__all__ = ["build"]

_BAND_POINTS = 5.0


def build(spec: ScenarioSpec) -> Scenario:
    """Build the objects of a scenario; reads the chain file if it names one.

    With a chain, whatever [market] and [measure] leave out comes from it: spot, the time of the quotes, the
    close of that session, the at-the-money vol of the first expiry, the largest wall of that day, and a band
    too narrow for closes at the strikes next to it.

    Raises:
        InputError: the chain cannot be read or holds nothing to simulate.
    """
    path = spec.book.chain
    chain, digest = (None, None) if path is None else _read(path)
    clock = VarianceClock(spec.dynamics.profile, spec.market.overnight, spec.market.weekend)
    market = _market(spec.market, chain, clock)
    book = _positions(spec, market) if chain is None else _of_chain(spec, chain, market)
    notes: list[str] = []
    vol, strike, band = spec.market.vol_pct, spec.measure.strike, spec.measure.band_points
    if vol is None:
        vol = to_percent(_session_vol(book, market))
        notes.append(f"driving vol {vol:.2f} % is the first expiry's at-the-money vol on trading time")
    if strike is None:
        strike, note = _own_wall(book)
        notes.append(note)
    if band is None and chain is not None:
        band = _half_gap(book, strike)
        notes.append(f"band ±{band:g} points is half the distance to the next strike")
    drive = spec.dynamics.drive(vol)
    groups = spec.hedging.group or (spec.hedging,)
    return Scenario(
        spec=spec,
        market=market,
        chain=chain,
        notes=tuple(notes),
        dynamics=built("dynamics", spec.dynamics, drive),
        vol_pct=vol,
        book=book.scaled(spec.book.scale),
        motion=built("surface", spec.surface),
        flow=built("flow", spec.flow, drive),
        impact=built("impact", spec.impact),
        hedging=hedging_groups([built("hedging", g) for g in groups]),
        config=_config(spec.simulation),
        measure=Measure(
            strike,
            _BAND_POINTS if band is None else band,
            spec.measure.corridor,
            metrics=_metrics(spec),
            # The report draws them.
            series=True,
        ),
        seed=spec.simulation.seed,
        chain_sha256=digest,
    )


def _metrics(spec: ScenarioSpec) -> tuple[str, ...] | None:
    """Those asked for and the one that the claim tests; all when none is named."""
    asked = spec.measure.metrics
    if asked is None:
        return None
    return tuple(dict.fromkeys([*asked, *([spec.claim.metric] if spec.claim else [])]))


def _config(spec: SimulationSpec) -> SimConfig:
    """Every choice of [simulation] that `SimConfig` has too, by name; the seed is not one of them."""
    shared = {field.name for field in dataclasses.fields(SimConfig)} & set(type(spec).model_fields)
    return SimConfig(**{name: getattr(spec, name) for name in shared})


def _read(path: str) -> tuple[OptionChain, str]:
    """A chain and its file's SHA-256; read once for all the cells and settings that ask for it."""
    try:
        state = os.stat(path)
    except OSError:
        return read_chain(path), ""  # which says what is wrong
    return _read_once(path, (state.st_ino, state.st_size, state.st_mtime_ns))


@functools.lru_cache(maxsize=4)
def _read_once(path: str, state: tuple[int, ...]) -> tuple[OptionChain, str]:
    return read_chain(path), hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _positions(spec: ScenarioSpec, market: Market) -> Book:
    rows = spec.book.position
    return Book.from_positions(
        contracts=[p.contracts for p in rows],
        strike=[p.strike for p in rows],
        expiry=[p.expiry for p in rows],
        vol=[from_percent(p.vol_pct) for p in rows],
        is_call=[p.type == "call" for p in rows],
        spot=market.spot,
        as_of=market.start,
        rate=from_percent(spec.market.rate_pct),
        clock=market.clock,
    )


def _of_chain(spec: ScenarioSpec, chain: OptionChain, market: Market) -> Book:
    """The dealers' book of a chain as it stands when the run begins, at the run's spot."""
    if market.start < chain.as_of:
        raise InputError(
            f"market.start is {market.start:%Y-%m-%d %H:%M}, before the quotes, which are of "
            f"{chain.as_of:%Y-%m-%d %H:%M}: start then or later"
        )
    book = dealer_book(chain, spec.book.convention, spec.book.size).at(market.start, market.clock)
    if not len(book):
        raise InputError(f"no contract of {spec.book.chain} expires after {market.start}: start earlier")
    return dataclasses.replace(book, spot=market.spot)


def _market(spec: MarketSpec, chain: OptionChain | None, clock: VarianceClock) -> Market:
    if chain is None:
        assert spec.spot is not None
        start, close = new_york(spec.start, "start"), new_york(spec.close, "close")
        return Market(spec.spot, start, close, clock, spec.fee_bp, spec.unwind, spec.halts)
    start = chain.as_of if spec.start is None else new_york(spec.start, "start")
    close = _session_close(start) if spec.close is None else new_york(spec.close, "close")
    spot = spec.spot if spec.spot is not None else chain.spot
    return Market(spot, start, close, clock, spec.fee_bp, spec.unwind, spec.halts)


def _session_close(start: pd.Timestamp) -> pd.Timestamp:
    if is_session(start) and start < session_bounds(start)[1]:
        return session_bounds(start)[1]
    day = start.date() + dt.timedelta(days=1)
    while not is_session(day):
        day += dt.timedelta(days=1)
    raise InputError(
        f"the run would start at {start:%A %Y-%m-%d %H:%M} New York, when no session is left that day: "
        f"start in the next one with --set market.start={session_bounds(day)[0]:%Y-%m-%dT%H:%M:%S}"
    )


def _session_vol(book: Book, market: Market) -> float:
    """At-the-money vol of the first expiry, restated so that trading time carries its whole variance."""
    first = book.select(np.asarray(book.expiry == book.expiry.min()))
    distance = np.abs(np.log(first.strike / (first.carry * book.spot)))
    nearest = np.argsort(distance, kind="stable")[:2]
    total = float(np.mean(first.total_vol[nearest]))
    years = float(market.clock.variance_years(market.start, first.expiry[0]))
    if years <= 0.0:
        raise InputError(
            "market.vol_pct is needed: the first expiry has no trading time left to imply it from"
        )
    return total / np.sqrt(years)


def _own_wall(book: Book) -> tuple[float, str]:
    """The strike with the largest net gamma of the day's own contracts, of all contracts if none expire."""
    same_day = book.same_day()
    chosen = book.select(same_day) if same_day.any() else book
    strikes, inverse = np.unique(chosen.strike, return_inverse=True)
    net = np.bincount(inverse, weights=position_exposures(chosen)["gex_usd_per_1pct"].to_numpy(float))
    largest = int(np.argmax(np.abs(net)))
    which = "same-day contracts" if same_day.any() else "all contracts, none expiring the same day"
    note = f"strike {strikes[largest]:,.10g} has the largest net gamma of {which}"
    return float(strikes[largest]), f"{note}: {net[largest] / USD_BN:+.2f} USD bn per 1 %"


def _half_gap(book: Book, strike: float) -> float:
    """Half the distance to the nearest other strike: closes at that one then do not count as at this one."""
    gaps = np.abs(np.unique(book.strike) - strike)
    return float(min(0.5 * gaps[gaps > 0.0].min(initial=2.0 * _BAND_POINTS), _BAND_POINTS))
