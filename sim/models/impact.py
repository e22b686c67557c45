"""What trading does to the price.

Notional is trade × S_ref, S_ref the initial spot (model.md, section 1). A user's own class with the
members of `Impact` is passed straight to `simulate`; so is a plain function of (USD bn traded, minutes), see
`FunctionImpact`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import jax.numpy as jnp
import numpy as np

from gammawall.sim.models.protocols import (
    Numbers,
    NumbersOfRun,
    Paths,
    PerStep,
    State,
    check_protocol,
)
from gammawall.sim.sampling.schedule import Schedule
from gammawall.sim.types import check_number
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import BP_PER_USD_BN, USD_BN

__all__ = ["FunctionImpact", "Impact", "LinearImpact", "ObizhaevaWang", "PowerLaw", "as_impact"]

LogMove: TypeAlias = Callable[[Any, Any], Any]
"""Of (USD bn traded, trading minutes): called with arrays [P], and once with two plain numbers."""

_LEAST_USD_BN_PER_MIN = 1e-9
"""Below one dollar a minute trades move the price in proportion: a power's slope at zero may be infinite."""


class Impact(Protocol):
    """How the trades of all groups together move the log price.

    Its compiled form is kept for later runs: methods read their numbers from `numbers`, never from an object
    that may change.
    """

    @property
    def log_per_usd(self) -> float:
        """Log move per USD traded, by which the feedback g is reported; zero or positive."""
        ...

    def numbers(self, schedule: Schedule, spot: float) -> NumbersOfRun:
        """What the other members compute with, by names of the impact's own.

        Args:
            schedule: the time grid.
            spot: at the start, index points; `trade × spot` is the notional of a trade.

        Returns:
            Scalars, and arrays with one row per step [N, ...].
        """
        ...

    def open(self, numbers: Numbers, paths: int) -> State:
        """What every path carries at the start: None, an array [P], or a tuple or dictionary of such.

        Args:
            numbers: those of the first step.
            paths: P.
        """
        ...

    def relax(self, numbers: Numbers, state: State) -> tuple[State, Paths | float]:
        """What becomes of it between the trades of the last step and of this one, and the log move, [P]."""
        ...

    def move(self, numbers: Numbers, trade: Paths) -> Paths:
        """Log move of trading `trade` index units in this step, [P]; continuous, odd and increasing in it."""
        ...

    def after(self, numbers: Numbers, state: State, trade: Paths) -> State:
        """What every path carries on after `trade` index units, [P]."""
        ...


def _trading_minutes(schedule: Schedule) -> PerStep:
    """Of each step; a night takes none, and what is traded at its end is traded within one equal step."""
    minutes = np.diff(schedule.minutes)
    return np.where(minutes > 0.0, minutes, schedule.step_minutes[schedule.session])


class _Memoryless:
    """An impact whose state is nothing."""

    @staticmethod
    def open(numbers: Numbers, paths: int) -> None:
        return None

    @staticmethod
    def relax(numbers: Numbers, state: None) -> tuple[None, float]:
        return state, 0.0

    @staticmethod
    def after(numbers: Numbers, state: None, trade: Paths) -> None:
        return state


@dataclass(frozen=True)
class LinearImpact(_Memoryless):
    """Linear permanent impact: every traded USD moves the log price by a fixed amount.

    Args:
        bp_per_usd_bn: basis points of price per USD bn traded; zero or positive.
    """

    bp_per_usd_bn: float

    def __post_init__(self) -> None:
        check_number("bp_per_usd_bn", self.bp_per_usd_bn, self.bp_per_usd_bn >= 0.0, "zero or positive")

    @property
    def log_per_usd(self) -> float:
        return self.bp_per_usd_bn * BP_PER_USD_BN

    def numbers(self, schedule: Schedule, spot: float) -> NumbersOfRun:
        return {"slope": np.float64(self.log_per_usd * spot)}

    @staticmethod
    def move(numbers: Numbers, trade: Paths) -> Paths:
        return numbers["slope"] * trade


@dataclass(frozen=True)
class ObizhaevaWang:
    """A permanent part, and a transient part that decays exponentially in trading time.

        x moves by (λ + κ) per USD traded, of which κ e^{−ρ t} is given back

    Args:
        bp_per_usd_bn: λ, permanent.
        transient_bp_per_usd_bn: κ, on top of it.
        half_life_min: ln 2/ρ, trading minutes.

    Source: Obizhaeva and Wang (2013), Optimal trading strategy and supply/demand dynamics.
    """

    bp_per_usd_bn: float
    transient_bp_per_usd_bn: float
    half_life_min: float

    def __post_init__(self) -> None:
        for name in ("bp_per_usd_bn", "transient_bp_per_usd_bn"):
            check_number(name, getattr(self, name), getattr(self, name) >= 0.0, "zero or positive")
        check_number("half_life_min", self.half_life_min, self.half_life_min > 0.0, "positive")

    @property
    def log_per_usd(self) -> float:
        return (self.bp_per_usd_bn + self.transient_bp_per_usd_bn) * BP_PER_USD_BN

    def numbers(self, schedule: Schedule, spot: float) -> NumbersOfRun:
        return {
            "slope": np.float64(self.log_per_usd * spot),
            "transient": np.float64(self.transient_bp_per_usd_bn * BP_PER_USD_BN * spot),
            "kept": np.exp2(-np.diff(schedule.minutes) / self.half_life_min),
        }

    @staticmethod
    def open(numbers: Numbers, paths: int) -> Paths:
        return jnp.zeros(paths)

    @staticmethod
    def relax(numbers: Numbers, state: Paths) -> tuple[Paths, Paths]:
        kept = numbers["kept"] * state
        return kept, kept - state

    @staticmethod
    def move(numbers: Numbers, trade: Paths) -> Paths:
        return numbers["slope"] * trade

    @staticmethod
    def after(numbers: Numbers, state: Paths, trade: Paths) -> Paths:
        return state + numbers["transient"] * trade


@dataclass(frozen=True)
class PowerLaw(_Memoryless):
    """Permanent impact of the flow rate v: dx/dt = λ sign(v) |v|^p v₀^{1−p}.

    Args:
        bp_per_usd_bn: λ, as felt at the reference rate v₀.
        exponent: p > 0; 1 is linear, ½ the square root.
        reference_usd_bn_per_min: v₀ > 0.

    Source: Avellaneda, Kasyan and Lipkin (2012), Mathematical models for stock pinning near option expiration
    dates.
    """

    bp_per_usd_bn: float
    exponent: float
    reference_usd_bn_per_min: float = 1.0

    def __post_init__(self) -> None:
        check_number("bp_per_usd_bn", self.bp_per_usd_bn, self.bp_per_usd_bn >= 0.0, "zero or positive")
        for name in ("exponent", "reference_usd_bn_per_min"):
            check_number(name, getattr(self, name), getattr(self, name) > 0.0, "positive")

    @property
    def log_per_usd(self) -> float:
        return self.bp_per_usd_bn * BP_PER_USD_BN

    def numbers(self, schedule: Schedule, spot: float) -> NumbersOfRun:
        minutes = _trading_minutes(schedule)
        return {
            "usd_bn_per_min": spot / USD_BN / minutes / self.reference_usd_bn_per_min,
            "log_move": self.log_per_usd * USD_BN * self.reference_usd_bn_per_min * minutes,
            "exponent": np.float64(self.exponent),
        }

    @staticmethod
    def move(numbers: Numbers, trade: Paths) -> Paths:
        rate = numbers["usd_bn_per_min"] * trade
        size = jnp.abs(rate)
        # The double where keeps the derivative at zero finite.
        large = size > _LEAST_USD_BN_PER_MIN
        power = jnp.where(large, size, 1.0) ** (numbers["exponent"] - 1.0)
        return (
            numbers["log_move"]
            * rate
            * jnp.where(large, power, _LEAST_USD_BN_PER_MIN ** (numbers["exponent"] - 1.0))
        )


@dataclass(frozen=True)
class FunctionImpact(_Memoryless):
    """A function of the user's own.

    Args:
        log_move: of (trade in USD bn at the initial spot [P], trading minutes of the step) → log move [P];
            plain jax.numpy, odd and increasing in the trade.
        bp_per_usd_bn: slope by which the feedback g is reported; the function's own over the first USD bn
            traded in a minute when not given.
    """

    log_move: LogMove
    bp_per_usd_bn: float | None = None

    @property
    def log_per_usd(self) -> float:
        if self.bp_per_usd_bn is not None:
            return self.bp_per_usd_bn * BP_PER_USD_BN
        rise, fall = float(self.log_move(1.0, 1.0)), float(self.log_move(-1.0, 1.0))
        if not (np.isfinite([rise, fall]).all() and rise >= 0.0 >= fall):
            raise InputError(
                "an impact function must move the price up when USD bn are bought and down when sold; "
                f"got {rise:g} for 1 and {fall:g} for -1 in one minute"
            )
        return (rise - fall) / (2.0 * USD_BN)

    def numbers(self, schedule: Schedule, spot: float) -> NumbersOfRun:
        return {"usd_bn": np.float64(spot / USD_BN), "minutes": _trading_minutes(schedule)}

    def move(self, numbers: Numbers, trade: Paths) -> Paths:
        return jnp.asarray(self.log_move(numbers["usd_bn"] * trade, numbers["minutes"]))


def as_impact(impact: Impact | LogMove) -> Impact:
    """The impact itself, or a plain function wrapped.

    Raises:
        InputError: neither, or a member is lacking.
    """
    if callable(impact) and not isinstance(impact, type) and not hasattr(impact, "move"):
        return FunctionImpact(impact)
    known = "one of LinearImpact, ObizhaevaWang and PowerLaw, a function of (USD bn, minutes)"
    check_protocol(impact, Impact, "impact", known)
    return impact  # pyright: ignore[reportReturnType]
