"""Who hedges, when and how far: policies, each a rule for the trade that a group of dealers makes in a step.

A user's own class with the members of `HedgingPolicy` is passed straight to `simulate`; one that remembers
something from step to step has those of `StatefulPolicy` as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol, cast, runtime_checkable

import jax.numpy as jnp
import numpy as np

from gammawall.sim.models.protocols import Numbers, NumbersOfRun, Paths, State, check_protocol
from gammawall.sim.sampling.schedule import Schedule
from gammawall.sim.types import check_number
from gammawall.surfaces.arrays import Array
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import ONE_BP, USD_BN

__all__ = [
    "Band",
    "CharmOnly",
    "Clearing",
    "Clock",
    "HedgingPolicy",
    "NoHedging",
    "Option",
    "StatefulPolicy",
    "View",
    "Zakamouline",
    "hedging_groups",
]


class Option(NamedTuple):
    """Contracts of one expiry and vol, at this instant."""

    delta: Callable[[Paths, Paths], Paths]
    """D as a function of log price and a factor on the hedger's vol, both [P]"""
    vol: Array
    """the hedger's, annual decimal"""
    years: Array
    """variance time left, a trillionth of a year at least"""
    discount: Array
    """of one USD paid at the expiry"""


class View(NamedTuple):
    """What a policy sees in one step; prices in log, deltas of the whole book in index units, [P].

    Example:
        >>> from gammawall import sim
        >>> sim.View._fields
        ('delta', 'delta_before', 'known_delta', 'gamma', 'price', 'option', 'state')
    """

    delta: Callable[[Paths], Paths]
    """D at this instant as a function of log price, contracts settling now included"""
    delta_before: Callable[[Paths], Paths]
    """the same at the instant before"""
    known_delta: Paths
    """D at the last price and instant"""
    gamma: Paths
    """dD/dS before anyone trades, index units per point"""
    price: Paths
    """log price before anyone trades"""
    option: Option | None = None
    """the whole book, where it is one option or several strikes of one expiry and vol under a fixed surface;
    None for any other"""
    state: State = None
    """what the group carries, as `StatefulPolicy` left it in the last step; None for other policies"""


class HedgingPolicy(Protocol):
    """A rule for the trade of one group of dealers, who start the run with their share of the book hedged.

    Its compiled form is kept for later runs: methods read their numbers from `numbers`, never from an object
    that may change.
    """

    @property
    def fraction(self) -> float:
        """Share of the book that the group hedges, in [0, 1]; those of all groups add up to at most 1."""
        ...

    self_consistent: ClassVar[bool]
    """Whether the trade depends on the price that it makes, x of `trade`, which is then solved for."""

    def numbers(self, schedule: Schedule, spot: float) -> NumbersOfRun:
        """What `trade` computes with, by names of the policy's own; its `fraction` is added to them.

        Args:
            schedule: the time grid.
            spot: at the start, index points.

        Returns:
            Scalars, and arrays with one row per step [N, ...].
        """
        ...

    def trade(self, numbers: Numbers, hedge: Paths, view: View, x: Paths) -> Paths:
        """What the group trades in a step, index units bought, [P].

        Args:
            numbers: scalars, and the step's row of the arrays.
            hedge: index units held before the trade, [P].
            view: what is known in the step.
            x: log price after the trades of all groups, [P]; for a self-consistent policy alone, continuous
                in it.
        """
        ...


@runtime_checkable
class StatefulPolicy(HedgingPolicy, Protocol):
    """A policy that carries something from step to step; both members or neither."""

    def open(self, numbers: Numbers, paths: int) -> State:
        """What the group carries at the start: an array [P], or a tuple or dictionary of such.

        Args:
            numbers: those of the first step.
            paths: P.
        """
        ...

    def after(self, numbers: Numbers, view: View, x: Paths, trade: Paths) -> State:
        """What it carries on; `view.state` is what it carried in the step. Not asked where trading is halted.

        Args:
            numbers: those of the step.
            view: as `trade` saw it.
            x: log price after the trades of all groups, [P].
            trade: what the group traded, index units, its share in the hedges of new orders included, [P].
        """
        ...


def _check_fraction(fraction: float) -> None:
    check_number("fraction", fraction, 0.0 <= fraction <= 1.0, "between 0 and 1")


@dataclass(frozen=True)
class Clearing:
    """Continuous, self-consistent delta hedging: the hedge is −fraction × D at the price after the trade.

    Args:
        fraction: share of the book that is hedged, in [0, 1].
    """

    fraction: float = 1.0
    self_consistent: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_fraction(self.fraction)

    def numbers(self, schedule: Schedule, spot: float) -> NumbersOfRun:
        return {}

    @staticmethod
    def trade(numbers: Numbers, hedge: Paths, view: View, x: Paths) -> Paths:
        return -(numbers["fraction"] * view.delta(x) + hedge)


@dataclass(frozen=True)
class NoHedging:
    """Nobody hedges: the price is the fundamental price."""

    fraction: float = field(default=0.0, init=False)
    self_consistent: ClassVar[bool] = False

    def numbers(self, schedule: Schedule, spot: float) -> NumbersOfRun:
        return {}

    @staticmethod
    def trade(numbers: Numbers, hedge: Paths, view: View, x: Paths) -> Paths:
        return jnp.zeros_like(x)


@dataclass(frozen=True)
class Clock:
    """Hedging by the clock: every interval the hedge is set to −D at a price that the trade then moves.

        r_k = ε_k − g r_{k−1} for constant feedback g, one rebalance a step and lag 1 (model.md, section 3.4)

    Args:
        minutes: trading minutes between rebalances; every step when shorter than one.
        lag: steps between the price that is hedged and the trade: 1, the price at the end of the last step;
            or 0, the price of this step before anyone trades.
        fraction: share of the book that is hedged, in [0, 1].
    """

    minutes: float = 1.0
    lag: int = 1
    fraction: float = 1.0
    self_consistent: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_fraction(self.fraction)
        check_number("minutes", self.minutes, self.minutes > 0.0, "positive")
        if self.lag not in (0, 1):
            raise InputError(f"lag must be 0 or 1 step; got {self.lag!r}")

    def numbers(self, schedule: Schedule, spot: float) -> NumbersOfRun:
        return {
            "tick": schedule.marks(self.minutes),
            "late": np.float64(self.lag),
        }

    @staticmethod
    def trade(numbers: Numbers, hedge: Paths, view: View, x: Paths) -> Paths:
        seen = jnp.where(numbers["late"] > 0.0, view.known_delta, view.delta(view.price))
        return jnp.where(numbers["tick"], -(numbers["fraction"] * seen + hedge), 0.0)


@dataclass(frozen=True)
class Band:
    """Hedging only what lies outside a band of tolerated delta, back to its edge.

    The half width is `width_usd_bn`, or Whalley and Wilmott's for a proportional cost and a risk aversion,

        w = ((3/2) cost S Γ² / aversion)^{1/3}   index units

    Args:
        width_usd_bn: tolerated delta either side, USD bn at the initial spot; ≥ 0.
        cost_bp: proportional cost of trading, basis points, > 0; with the aversion, instead of a width.
        aversion_per_usd_bn: absolute risk aversion, per USD bn of wealth, > 0.
        fraction: share of the book that is hedged, in [0, 1].

    Source: Whalley and Wilmott (1997), An asymptotic analysis of an optimal hedging model for option pricing
    with transaction costs.
    """

    width_usd_bn: float | None = None
    cost_bp: float | None = None
    aversion_per_usd_bn: float | None = None
    fraction: float = 1.0
    self_consistent: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_fraction(self.fraction)
        optimal = (self.cost_bp, self.aversion_per_usd_bn)
        if (None in optimal) if self.width_usd_bn is None else optimal != (None, None):
            raise InputError(
                "a band needs either width_usd_bn, or both cost_bp and aversion_per_usd_bn; "
                f"got {self.width_usd_bn}, {self.cost_bp} and {self.aversion_per_usd_bn}"
            )
        if self.width_usd_bn is not None:
            check_number("width_usd_bn", self.width_usd_bn, self.width_usd_bn >= 0.0, "zero or positive")
        else:
            for name in ("cost_bp", "aversion_per_usd_bn"):
                check_number(name, getattr(self, name), getattr(self, name) > 0.0, "positive")

    def numbers(self, schedule: Schedule, spot: float) -> NumbersOfRun:
        cost, aversion = self.cost_bp or 0.0, (self.aversion_per_usd_bn or 1.0) / USD_BN
        return {
            "width": np.float64((self.width_usd_bn or 0.0) * USD_BN / spot),
            "cost_over_aversion": np.float64(1.5 * ONE_BP * cost / aversion),
        }

    @staticmethod
    def trade(numbers: Numbers, hedge: Paths, view: View, x: Paths) -> Paths:
        gamma = numbers["fraction"] * view.gamma
        optimal = jnp.cbrt(numbers["cost_over_aversion"] * jnp.exp(view.price) * gamma * gamma)
        gap = numbers["fraction"] * view.delta(x) + hedge
        return -jnp.sign(gap) * jnp.maximum(jnp.abs(gap) - numbers["width"] - optimal, 0.0)


@dataclass(frozen=True)
class Zakamouline:
    """Hedging what lies outside a band around the delta at a modified vol, back to its edge.

        σ_m² = σ² (1 ∓ K),   K = 4.76 c^{0.78} τ^{−0.02} (e^{−rτ}/σ)^{0.25} (γ S² |Γ|)^{0.15}
        w = H₀ + H₁,   H₁ = 1.12 c^{0.31} τ^{0.05} (e^{−rτ}/σ)^{0.25} (|Γ|/γ)^{0.5},   H₀ = c/(γ S σ² τ)

    with cost c and aversion γ; − for options that are long, + for short ones. Fitted to the exact solution of
    Hodges and Neuberger's problem for one option, hence for books of one expiry and vol only. H₀ keeps the
    hedge where it is at the very end. σ_m² is kept above σ²/100.

    Args:
        cost_bp: proportional cost of trading, basis points, > 0.
        aversion_per_usd_bn: absolute risk aversion, per USD bn of wealth, > 0.
        fraction: share of the book that is hedged, in [0, 1].

    Source: Zakamouline (2006), Efficient analytic approximation of the optimal hedging strategy for a
    European call option with transaction costs.
    """

    cost_bp: float
    aversion_per_usd_bn: float
    fraction: float = 1.0
    self_consistent: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_fraction(self.fraction)
        for name in ("cost_bp", "aversion_per_usd_bn"):
            check_number(name, getattr(self, name), getattr(self, name) > 0.0, "positive")

    def numbers(self, schedule: Schedule, spot: float) -> NumbersOfRun:
        return {
            "cost": np.float64(self.cost_bp * ONE_BP),
            "aversion": np.float64(self.aversion_per_usd_bn / USD_BN),
        }

    @staticmethod
    def trade(numbers: Numbers, hedge: Paths, view: View, x: Paths) -> Paths:
        if view.option is None:
            raise InputError(
                "Zakamouline's band is made for options of one expiry and one vol, few strikes, under a "
                "fixed surface and without order flow: choose Band for this book"
            )
        _, vol, years, discount = view.option
        cost, aversion, fraction = numbers["cost"], numbers["aversion"], numbers["fraction"]
        spot, gamma = jnp.exp(view.price), fraction * view.gamma
        common = (discount / vol) ** 0.25
        tilt = 4.76 * cost**0.78 * years**-0.02 * common * (aversion * spot**2 * jnp.abs(gamma)) ** 0.15
        stretch = jnp.sqrt(jnp.maximum(1.0 - jnp.sign(gamma) * tilt, 0.01))
        width = 1.12 * cost**0.31 * years**0.05 * common * jnp.sqrt(jnp.abs(gamma) / aversion)
        width = width + cost / (aversion * spot * vol**2 * years)
        gap = fraction * view.option.delta(x, stretch) + hedge
        return -jnp.sign(gap) * jnp.maximum(jnp.abs(gap) - width, 0.0)


@dataclass(frozen=True)
class CharmOnly:
    """Only the time decay of the hedge is traded: −fraction × (D_k − D_{k−1}) at the price after the trade.

    Backward in time within the step, hence stable however fast the decay; needs steps that shrink towards
    settlement (`SimConfig.geometric`). Source: Avellaneda and Lipkin (2003), A market-induced mechanism for
    stock pinning.

    Args:
        fraction: share of the book that is hedged, in [0, 1].
    """

    fraction: float = 1.0
    self_consistent: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_fraction(self.fraction)

    def numbers(self, schedule: Schedule, spot: float) -> NumbersOfRun:
        return {}

    @staticmethod
    def trade(numbers: Numbers, hedge: Paths, view: View, x: Paths) -> Paths:
        return -numbers["fraction"] * (view.delta(x) - view.delta_before(x))


def hedging_groups(hedging: HedgingPolicy | Sequence[HedgingPolicy] | None) -> tuple[HedgingPolicy, ...]:
    """The groups of dealers of a run: one policy, several whose fractions add up to at most 1, or Clearing().

    Raises:
        InputError: the fractions exceed the book, or a policy lacks a member.
    """
    if hedging is None:
        return (Clearing(),)
    several = isinstance(hedging, Sequence) and not isinstance(hedging, str)
    groups = tuple(cast(Sequence[HedgingPolicy], hedging)) if several else (cast(HedgingPolicy, hedging),)
    for group in groups:
        stateful = any(hasattr(group, name) for name in ("open", "after"))
        known = "a policy such as Clearing() or Clock(10), or several"
        check_protocol(group, StatefulPolicy if stateful else HedgingPolicy, "hedging", known)
    total = sum(g.fraction for g in groups)
    if not groups or total > 1.0 + 1e-12:
        raise InputError(
            f"the hedged fractions must add up to at most 1; got {total:g} from {len(groups)} groups"
        )
    return groups
