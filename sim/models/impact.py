"""What trading does to the price.

An impact gives, per run and per step,

    numbers(schedule, spot) → arrays it needs, scalars or one row per step
    open(numbers, paths) → state carried by every path
    relax(numbers, state) → (state, log move between two trades)
    move(numbers, trade) → log move of trading `trade` index units in this step; odd and increasing
    after(numbers, state, trade) → state after the trade

and `log_per_usd`, the slope by which the feedback g is reported. Notional is trade × S_ref, S_ref the initial
spot (model.md, section 1). A plain function of (USD bn traded, minutes) also serves: see `FunctionImpact`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np

from gammawall.sim.sampling.schedule import Schedule
from gammawall.sim.types import check_number
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import BP_PER_USD_BN, USD_BN

__all__ = ["FunctionImpact", "Impact", "LinearImpact", "ObizhaevaWang", "PowerLaw", "as_impact"]

_LEAST_USD_BN_PER_MIN = 1e-9
"""Below one dollar a minute trades move the price in proportion: a power's slope at zero may be infinite."""


class Impact(Protocol):
    """See the module's head."""

    @property
    def log_per_usd(self) -> float: ...

    def numbers(self, schedule: Schedule, spot: float) -> dict[str, Any]: ...

    def open(self, numbers: dict[str, Any], paths: int) -> Any: ...

    def relax(self, numbers: dict[str, Any], state: Any) -> tuple[Any, Any]: ...

    def move(self, numbers: dict[str, Any], trade: Any) -> Any: ...

    def after(self, numbers: dict[str, Any], state: Any, trade: Any) -> Any: ...


def _trading_minutes(schedule: Schedule) -> np.ndarray:
    """Of each step; a night takes none, and what is traded at its end is traded within one equal step."""
    minutes = np.diff(schedule.minutes)
    return np.where(minutes > 0.0, minutes, schedule.step_minutes[schedule.session])


class _Memoryless:
    """An impact whose state is nothing."""

    @staticmethod
    def open(numbers: dict[str, Any], paths: int) -> Any:
        return ()

    @staticmethod
    def relax(numbers: dict[str, Any], state: Any) -> tuple[Any, Any]:
        return state, 0.0

    @staticmethod
    def after(numbers: dict[str, Any], state: Any, trade: Any) -> Any:
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

    def numbers(self, schedule: Schedule, spot: float) -> dict[str, Any]:
        return {"slope": np.float64(self.log_per_usd * spot)}

    @staticmethod
    def move(numbers: dict[str, Any], trade: Any) -> Any:
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

    def numbers(self, schedule: Schedule, spot: float) -> dict[str, Any]:
        return {
            "slope": np.float64(self.log_per_usd * spot),
            "transient": np.float64(self.transient_bp_per_usd_bn * BP_PER_USD_BN * spot),
            "kept": np.exp2(-np.diff(schedule.minutes) / self.half_life_min),
        }

    @staticmethod
    def open(numbers: dict[str, Any], paths: int) -> Any:
        return jnp.zeros(paths)

    @staticmethod
    def relax(numbers: dict[str, Any], state: Any) -> tuple[Any, Any]:
        kept = numbers["kept"] * state
        return kept, kept - state

    @staticmethod
    def move(numbers: dict[str, Any], trade: Any) -> Any:
        return numbers["slope"] * trade

    @staticmethod
    def after(numbers: dict[str, Any], state: Any, trade: Any) -> Any:
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

    def numbers(self, schedule: Schedule, spot: float) -> dict[str, Any]:
        minutes = _trading_minutes(schedule)
        return {
            "usd_bn_per_min": spot / USD_BN / minutes / self.reference_usd_bn_per_min,
            "log_move": self.log_per_usd * USD_BN * self.reference_usd_bn_per_min * minutes,
            "exponent": np.float64(self.exponent),
        }

    @staticmethod
    def move(numbers: dict[str, Any], trade: Any) -> Any:
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

    log_move: Callable[[Any, Any], Any]
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

    def numbers(self, schedule: Schedule, spot: float) -> dict[str, Any]:
        return {"usd_bn": np.float64(spot / USD_BN), "minutes": _trading_minutes(schedule)}

    def move(self, numbers: dict[str, Any], trade: Any) -> Any:
        return self.log_move(numbers["usd_bn"] * trade, numbers["minutes"])


def as_impact(impact: Impact | Callable[[Any, Any], Any]) -> Impact:
    """The impact itself, or a plain function wrapped.

    Raises:
        InputError: neither.
    """
    if hasattr(impact, "move"):
        return impact  # pyright: ignore[reportReturnType]
    if callable(impact):
        return FunctionImpact(impact)
    raise InputError(
        f"impact must be one of LinearImpact, ObizhaevaWang, PowerLaw or a function of (USD bn, minutes); "
        f"got {type(impact).__name__}"
    )
