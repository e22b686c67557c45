"""Orders in same-day options that arrive during a run: the contract, and what the engine itself needs of one.

Customers trade at the start of every step; dealers take the other side at Black's value, hold the
options to the close of the session, and hedge them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Protocol

import jax
import numpy as np

from gammawall.sim.models.protocols import Numbers, Paths, PerStep
from gammawall.sim.sampling.schedule import Schedule
from gammawall.surfaces.arrays import Array, Shape
from gammawall.surfaces.units import MULTIPLIER

__all__ = ["CUSTOMERS", "PER_STEP", "FlowNumbers", "OrderFlow", "Orders", "flow_numbers", "flow_strides"]

CUSTOMERS = 2
"""Stream of the customers' orders; see `sim.sampling.noise`."""

Strikes = Annotated[np.ndarray, Shape("strikes")]
"""one number per strike, on the host"""


class Orders(NamedTuple):
    """What customers buy, net of what they sell, in one step; index units, which are contracts × 100."""

    bought: Annotated[Array, Shape("strikes paths")]
    """calls and puts of each strike, [J, P]"""
    puts: Paths
    """the puts among them, [P]"""
    puts_strike: Paths
    """Σ puts (K − S₀), index units × points, [P]"""
    beyond: Paths
    """share of the volume that lies beyond the strikes, [P]"""


class OrderFlow(Protocol):
    """Customers' orders in options that expire at the close of the session.

    Its compiled form is kept for later runs: `demand` reads its numbers from `numbers`, never from an object
    that may change.
    """

    @property
    def vol(self) -> float:
        """σ by which the options are priced and hedged, annual decimal on the market's variance clock."""
        ...

    def grid(self, spot: float) -> Strikes:
        """Strikes, index points, ascending, [J].

        Args:
            spot: at the start, index points.
        """
        ...

    def volume(self, schedule: Schedule) -> PerStep:
        """Contracts bought and sold in each step, [N]; of it the share beyond the strikes is reported."""
        ...

    def most_units(self, schedule: Schedule) -> float:
        """Index units (contracts × 100) that the dealers' inventory hardly ever exceeds; it widens the range
        of prices by what hedging so much would move them."""
        ...

    def constants(self, spot: float) -> dict[str, Any]:
        """What `demand` computes with and is the same in every step, by names of the flow's own: scalars and
        arrays of any shape; an empty dictionary where there is nothing."""
        ...

    def rows(self, schedule: Schedule) -> dict[str, np.ndarray]:
        """What `demand` computes with and changes from step to step, arrays [N, ...]; may be empty."""
        ...

    def demand(
        self,
        numbers: Numbers,
        push: Paths,
        y: Paths,
        z: Annotated[Array, Shape("draws paths")],
    ) -> Orders:
        """What customers buy in a step.

        Args:
            numbers: `constants`, the step's row of `rows`, and three that the engine adds: `volume` of the
                step, index units; `offsets`, K − S₀, points [J]; `total_vol`, σ√τ to the close of the session
                at the beginning and at the end of the step, [2].
            push: the last step's return over its standard deviation, [P].
            y: ln(S/S₀) at which they trade, float32 [P].
            z: standard normals, two more than strikes, float32 [J + 2, P].
        """
        ...


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FlowNumbers:
    """Numbers of an order flow; per step [N, ...] those that say so."""

    own: Numbers
    """`OrderFlow.constants`"""
    own_rows: Numbers
    """`OrderFlow.rows`; per step"""
    offsets: Annotated[Array, Shape("strikes")]
    """K − S₀, index points, float32"""
    log_strikes: Annotated[Array, Shape("strikes")]
    spot: Array
    """index points"""
    log_spot: Array
    volume: Array
    """index units bought and sold, float32; per step"""
    total_vol: Annotated[Array, Shape("... 2")]
    """σ√τ at the beginning and the end, 0 at the close, float32; per step"""
    deviation: Array
    """of a return of the step, log price; inf where it has none; per step"""
    closes: Array
    """whether a session ends with the step; per step"""
    carried: Array
    """1 where the options held before the step live on, 0 where they expired, float32; per step"""

    def for_demand(self) -> Numbers:
        """What `OrderFlow.demand` is given."""
        return {
            "volume": self.volume,
            "offsets": self.offsets,
            "total_vol": self.total_vol,
            **self.own,
            **self.own_rows,
        }


PER_STEP = ("own_rows", "volume", "total_vol", "deviation", "closes", "carried")


def flow_numbers(flow: OrderFlow, schedule: Schedule, spot: float) -> FlowNumbers:
    """The numbers of a run."""
    strikes, deviation, ends = flow.grid(spot), flow.vol * np.sqrt(schedule.variance), closes(schedule)
    return FlowNumbers(
        own=flow.constants(spot),
        own_rows=flow.rows(schedule),
        offsets=np.asarray(strikes - spot, np.float32),
        log_strikes=np.log(strikes),
        spot=np.asarray(spot, np.float64),
        log_spot=np.asarray(np.log(spot)),
        volume=np.asarray(flow.volume(schedule) * MULTIPLIER, np.float32),
        total_vol=np.asarray(flow.vol * np.sqrt(_variance_left(schedule)), np.float32),
        deviation=np.where(deviation > 0.0, deviation, np.inf),
        closes=ends,
        carried=np.append(False, ~ends[:-1]).astype(np.float32),
    )


def flow_strides(total_vol: np.ndarray) -> PerStep:
    """How far apart the walk to a balance looks at prices, log price, [N]; as `strides` for a book."""
    sharpest = np.where(total_vol[:, 1] > 0.0, total_vol[:, 1], total_vol[:, 0])
    return np.where(sharpest > 0.0, 0.25 * sharpest, np.inf)


def closes(schedule: Schedule) -> PerStep:
    """Whether a session ends with the step, bool [N]."""
    day = np.where(schedule.night, -1, schedule.session)
    return (day >= 0) & (np.append(day[1:], -1) != day)


def _variance_left(schedule: Schedule) -> Annotated[Array, Shape("steps 2")]:
    """Variance years from the beginning and the end of each step to the close of its session, [N, 2]."""
    left = np.zeros((schedule.steps, 2))
    for i in range(schedule.session[-1] + 1):
        own = np.flatnonzero((schedule.session == i) & ~schedule.night)
        left[own, 0] = np.cumsum(schedule.variance[own][::-1])[::-1]
        left[own[:-1], 1] = left[own[1:], 0]
    return left
