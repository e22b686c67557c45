"""Everything that decides the numbers of a run, in one object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from gammawall.sim.models.dynamics import Dynamics
from gammawall.sim.models.hedging import HedgingPolicy, hedging_groups
from gammawall.sim.models.impact import Impact, as_impact
from gammawall.sim.models.order_flow import OrderFlow
from gammawall.sim.models.protocols import check_protocol
from gammawall.sim.models.stochastic_level import StochasticLevel
from gammawall.sim.models.surface_motion import Motion
from gammawall.sim.types import Market, Measure, SimConfig
from gammawall.surfaces.arrays import ArrayLike
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError

__all__ = ["Experiment"]

_MOST_MOVED = 0.5
"""A book valued further from the market's spot than this share of it is taken for a mistake."""


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Experiment:
    """Everything that decides the numbers of a run, checked once.

    `simulate`, `sensitivities`, `reverse_stress` and `portfolio_pnl` all take one. Change a part with
    `dataclasses.replace`.

    Args:
        book: dealers' positions; may be empty.
        market: spot, window and variance clock.
        dynamics: the fundamental price.
        hedging: who hedges: a policy, or several for groups of dealers; all of the book, continuously, when
            not given.
        impact: what trading does to the price; a function of (USD bn, minutes) also serves.
        flow: orders in same-day options that arrive during the run, if any.
        motion: how the hedger's vols move, with the price or at random; not at all (sticky strike) when not
            given.
        measure: level, band and corridor; the strike with most contracts when not given.
        config: size of the run.
        seed: whole number in [0, 2⁶⁴); the same seed gives the same shocks to every experiment.

    Raises:
        InputError: an argument is of the wrong kind, the book was valued at a spot far from the market's, or
            the seed is out of range.

    Example:
        >>> import dataclasses
        >>> from gammawall import sim, surfaces
        >>> wall = surfaces.Book.from_positions(
        ...     contracts=20_000, strike=7000.0, expiry="2026-01-28T16:00", vol=0.12, spot=6990.0,
        ...     as_of="2026-01-28T09:30",
        ... )
        >>> case = sim.Experiment(
        ...     wall,
        ...     market=sim.Market(6990.0, "2026-01-28T09:30", "2026-01-28T16:00"),
        ...     dynamics=sim.GBM(0.12),
        ...     impact=sim.LinearImpact(3.0),
        ...     config=sim.SimConfig(paths=2048, steps=78),
        ...     seed=7,
        ... )
        >>> case.hedging, case.measure.strike
        ((Clearing(fraction=1.0),), 7000.0)
        >>> stronger = dataclasses.replace(case, impact=sim.LinearImpact(6.0))
        >>> sim.simulate(stronger)["pin_probability"].value > sim.simulate(case)["pin_probability"].value
        True
    """

    book: Book
    market: Market
    dynamics: Dynamics
    hedging: tuple[HedgingPolicy, ...]
    """one per group of dealers"""
    impact: Impact
    flow: OrderFlow | None
    motion: Motion | StochasticLevel | None
    measure: Measure
    config: SimConfig
    seed: int

    def __init__(
        self,
        book: Book,
        market: Market,
        dynamics: Dynamics,
        hedging: HedgingPolicy | Sequence[HedgingPolicy] | None = None,
        *,
        impact: Impact | Callable[[ArrayLike, ArrayLike], ArrayLike],
        flow: OrderFlow | None = None,
        motion: Motion | StochasticLevel | None = None,
        measure: Measure | None = None,
        config: SimConfig | None = None,
        seed: int = 0,
    ) -> None:
        # By hand, because more is taken than is kept: one policy for a tuple, a function for an impact.
        whole = {
            "book": book,
            "market": market,
            "dynamics": dynamics,
            "hedging": hedging_groups(hedging),
            "impact": as_impact(impact),
            "flow": flow,
            "motion": motion,
            "measure": measure or _strike_with_most(book, market),
            "config": config or SimConfig(),
            "seed": seed,
        }
        for name, value in whole.items():
            object.__setattr__(self, name, value)
        check_protocol(dynamics, Dynamics, "dynamics")
        if flow is not None:
            check_protocol(flow, OrderFlow, "flow")
        if motion is not None and not isinstance(motion, StochasticLevel):
            check_protocol(motion, Motion, "motion", "a motion such as SpotVolBeta(-1.0), or StochasticLevel")
        if isinstance(seed, bool) or int(seed) != seed or not 0 <= seed < 2**64:
            raise InputError(f"seed must be a whole number from 0 to 2**64 - 1; got {seed!r}")
        if len(book) and abs(book.spot / market.spot - 1.0) > _MOST_MOVED:
            raise InputError(
                f"the book was valued at spot {book.spot:g}, the market starts at {market.spot:g}: "
                "give both the same spot"
            )

    def __repr__(self) -> str:
        said = {f.name: getattr(self, f.name) for f in fields(self)} | {"book": f"{len(self.book)} positions"}
        return f"Experiment({', '.join(f'{k}={v}' for k, v in said.items() if v is not None)})"


def _strike_with_most(book: Book, market: Market) -> Measure:
    if not len(book):
        return Measure(strike=market.spot)
    strikes, inverse = np.unique(book.strike, return_inverse=True)
    return Measure(strike=float(strikes[np.argmax(np.abs(np.bincount(inverse, weights=book.contracts)))]))
