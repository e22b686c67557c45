"""How the fundamental price moves; `models.jumps` and `models.heston` are two more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
import pandas as pd

from gammawall.sim.models.protocols import Paths, PerStep, Row, Rows, State
from gammawall.sim.sampling.schedule import Schedule
from gammawall.sim.types import Instant, check_number
from gammawall.surfaces.arrays import Array, Shape
from gammawall.surfaces.clock import new_york
from gammawall.surfaces.errors import InputError

__all__ = ["GBM", "Bachelier", "Catalyst", "Dynamics", "NormalDynamics", "NormalMoves"]

Shocks = Annotated[Array, Shape("factors paths")]
"""standard normals of one step"""

_LOG_ODDS = float(np.log(2e15))
"""The two sides of `log_range` leave out 1e-15 of the paths together."""


class NormalMoves(NamedTuple):
    """Moves of X that are normal and independent, step by step, and what they add up to at the close."""

    mean: PerStep
    variance: PerStep
    close_mean: float
    close_std: float

    @classmethod
    def of(cls, mean: PerStep, std: PerStep) -> NormalMoves:
        """From the mean and the standard deviation of every step's move, [N] each."""
        variance = std * std
        return cls(mean, variance, float(mean.sum()), float(np.sqrt(variance.sum())))


class Dynamics(Protocol):
    """The fundamental log price X, drawn step by step, and what is known about it beforehand.

    Its compiled form is kept for later runs: `open` and `step` are best static, and read their numbers from
    the rows, never from an object that may change.
    """

    @property
    def factors(self) -> int:
        """Standard normals that a step of a path takes; depends on choices, never on numbers."""
        ...

    def drive(self, schedule: Schedule, spot: float) -> Rows:
        """Every number the steps need, by names of the model's own.

        Args:
            schedule: the time grid; `schedule.variance` holds the years of variance time of each step, [N].
            spot: at the start, index points.

        Returns:
            Arrays [N, ...]; their shapes do not depend on the numbers.
        """
        ...

    def open(self, rows: Row, paths: int) -> State:
        """What a path carries at the start: None, an array [P], or a tuple or dictionary of such.

        Args:
            rows: those of `drive`.
            paths: P.
        """
        ...

    def step(self, state: State, row: Row, z: Shocks) -> tuple[State, Paths]:
        """What a path carries after a step, and the move of X in it, [P].

        Args:
            state: before the step.
            row: the step's entries of `drive`.
            z: standard normals, [factors, P].
        """
        ...

    def log_range(self, schedule: Schedule, spot: float) -> tuple[float, float]:
        """Bounds of X − X_0 that all but 1e-15 of the paths keep to at every step: a negative and a positive
        number. They are the reach of the table of prices; a price beyond them is capped there."""
        ...

    def bridge_std(self, schedule: Schedule) -> PerStep:
        """Standard deviation of what diffusion adds to X in each step, [N], jumps left out.

        Where a wall settles, the step is refined between its two ends by a Brownian bridge of this width:
        half way, X has a variance of bridge_std²/4 about the mean of the ends. σ√h for a diffusion with vol
        σ over h years; where σ is random or depends on the price, its root mean square will do. Zero where X
        moves by jumps alone.
        """
        ...

    def exact(self, schedule: Schedule, spot: float) -> dict[str, float]:
        """Expectations over the run in closed form; an empty dictionary where none is known.

        Those known of: log_return, log_return_squared, price (at the close, index points) and
        quadratic_variation (of X, jumps included).
        """
        ...


@runtime_checkable
class NormalDynamics(Dynamics, Protocol):
    """A model whose moves are normal and independent of all that went before: one member more.

    With it the close has an exact law under continuous hedging (`SimResult.law`), and `SimConfig.control`
    knows what every return should have been.
    """

    def normal_moves(self, schedule: Schedule) -> NormalMoves:
        """Mean and variance of the moves of X, scheduled jumps included."""
        ...


@dataclass(frozen=True)
class Catalyst:
    """A scheduled jump of the log price, normal with variance std² and E[e^J] = e^mean.

    Args:
        when: its instant; it falls into the step that contains it, at an instant of the grid into the step
            that ends there.
        mean: log of the expected price factor; at 0 a martingale stays one.
        std: standard deviation of the log move.
    """

    when: pd.Timestamp
    mean: float = 0.0
    std: float = 0.0

    if TYPE_CHECKING:

        def __init__(self, when: Instant, mean: float = 0.0, std: float = 0.0) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "when", new_york(self.when, "when"))
        check_number("mean", self.mean, True, "finite, a log move such as -0.01")
        check_number("std", self.std, self.std >= 0.0, "zero or positive, a log move such as 0.01")


@dataclass(frozen=True)
class GBM:
    """Geometric Brownian motion: dX = (μ − σ²/2) dt + σ dW.

    Args:
        vol: annual decimal, on the market's variance clock.
        drift: "martingale" (E[S] constant, μ = 0) or μ per year of variance time.
        catalysts: scheduled jumps.
    """

    vol: float
    drift: float | str = "martingale"
    catalysts: tuple[Catalyst, ...] = ()

    def __post_init__(self) -> None:
        require_common(self)

    @property
    def log_drift(self) -> float:
        """Drift of the log price per year."""
        return growth(self.drift) - 0.5 * self.vol**2

    @property
    def factors(self) -> int:
        return 1 + bool(self.catalysts)

    def drive(self, schedule: Schedule, spot: float) -> Rows:
        return {
            "drift": self.log_drift * schedule.variance,
            "std": self.vol * np.sqrt(schedule.variance),
            **catalyst_rows(self.catalysts, schedule),
        }

    @staticmethod
    def open(rows: Row, paths: int) -> None:
        return None

    @staticmethod
    def step(state: None, row: Row, z: Shocks) -> tuple[None, Paths]:
        return state, with_catalyst(row["drift"] + row["std"] * z[0], row, z)

    def log_range(self, schedule: Schedule, spot: float) -> tuple[float, float]:
        total = self.vol**2 * schedule.variance.sum()
        return log_bounds(schedule, growth(self.drift), self.catalysts, lambda u: 0.5 * total * (u * u - u))

    def bridge_std(self, schedule: Schedule) -> PerStep:
        return self.vol * np.sqrt(schedule.variance)

    def normal_moves(self, schedule: Schedule) -> NormalMoves:
        rows, years = self.drive(schedule, 1.0), float(schedule.variance.sum())
        mean, variance = self.log_drift * years, self.vol**2 * years
        if not self.catalysts:
            return NormalMoves(rows["drift"], rows["std"] ** 2, mean, self.vol * np.sqrt(years))
        jump, std = rows["catalyst_mean"], rows["catalyst_std"]
        return NormalMoves(
            mean=rows["drift"] + jump,
            variance=rows["std"] ** 2 + std**2,
            close_mean=mean + float(jump.sum()),
            close_std=float(np.sqrt(variance + (std**2).sum())),
        )

    def exact(self, schedule: Schedule, spot: float) -> dict[str, float]:
        years = schedule.variance.sum()
        total = self.vol**2 * years
        return known_moments(self, schedule, spot, self.log_drift * years, total, total)


@dataclass(frozen=True)
class Bachelier:
    """Arithmetic Brownian motion of the price: dS = S_0 (μ dt + σ dW); catalysts multiply the price.

    Args:
        vol: annual decimal, of the price at the start.
        drift: "martingale" (μ = 0) or μ per year of variance time.
        catalysts: scheduled jumps.
    """

    vol: float
    drift: float | str = "martingale"
    catalysts: tuple[Catalyst, ...] = ()

    def __post_init__(self) -> None:
        require_common(self)

    @property
    def factors(self) -> int:
        return 1 + bool(self.catalysts)

    def drive(self, schedule: Schedule, spot: float) -> Rows:
        years = float(schedule.variance.sum())
        fall = 8.0 * self.vol * np.sqrt(years) - min(growth(self.drift) * years, 0.0)
        if fall >= 0.9:
            raise InputError(
                f"an arithmetic price with vol {self.vol:g} may fall below zero: 8 standard deviations over "
                f"the window are {fall:.2g} of the spot and must stay below 0.9; lower vol, shorten the "
                "window or take GBM"
            )
        return {
            "drift": growth(self.drift) * schedule.variance,
            "std": self.vol * np.sqrt(schedule.variance),
            **catalyst_rows(self.catalysts, schedule),
        }

    @staticmethod
    def open(rows: Row, paths: int) -> tuple[Paths, Paths]:
        return jnp.ones(paths), jnp.zeros(paths)

    @staticmethod
    def step(state: tuple[Paths, Paths], row: Row, z: Shocks) -> tuple[tuple[Paths, Paths], Paths]:
        level, log_level = state
        level = level + (row["drift"] + row["std"] * z[0])
        after = jnp.log(level)
        return (level, after), with_catalyst(after - log_level, row, z)

    def log_range(self, schedule: Schedule, spot: float) -> tuple[float, float]:
        years = schedule.variance.sum()
        reach = np.sqrt(2.0 * _LOG_ODDS) * self.vol * np.sqrt(years)
        trend = growth(self.drift) * years
        low, high = log_bounds(schedule, 0.0, self.catalysts, np.zeros_like)
        return low + np.log1p(min(trend, 0.0) - reach), high + np.log1p(max(trend, 0.0) + reach)

    def bridge_std(self, schedule: Schedule) -> PerStep:
        # Of the log price near the start; away from it by S₀/S, some per cent at most in a session.
        return self.vol * np.sqrt(schedule.variance)

    def exact(self, schedule: Schedule, spot: float) -> dict[str, float]:
        level = 1.0 + growth(self.drift) * schedule.variance.sum()
        factor = np.exp(sum(c.mean for c in self.catalysts))
        return {"price": float(spot * level * factor)}


# --- shared by every model ---------------------------------------------------------------------------------


class _Common(Protocol):
    """What every model has."""

    @property
    def vol(self) -> float: ...
    @property
    def drift(self) -> float | str: ...
    @property
    def catalysts(self) -> tuple[Catalyst, ...]: ...


def require_common(model: _Common) -> None:
    """Check vol, drift and catalysts."""
    check_number("vol", model.vol, model.vol > 0.0, "positive, an annual decimal such as 0.12")
    if not isinstance(model.drift, str):
        check_number("drift", model.drift, True, "finite")
    elif model.drift != "martingale":
        raise InputError(f'drift must be "martingale" or a number per year; got {model.drift!r}')
    object.__setattr__(model, "catalysts", tuple(model.catalysts))


def growth(drift: float | str) -> float:
    """μ, the growth of the expected price per year."""
    return 0.0 if isinstance(drift, str) else drift


def catalyst_rows(catalysts: tuple[Catalyst, ...], schedule: Schedule) -> dict[str, np.ndarray]:
    """Mean and standard deviation of the scheduled log jumps of each step; nothing where there are none.

    Raises:
        InputError: a catalyst lies outside the window.
    """
    if not catalysts:
        return {}
    mean, variance = np.zeros(schedule.steps), np.zeros(schedule.steps)
    instants = schedule.instants.as_unit("ns").asi8
    for catalyst in catalysts:
        when = catalyst.when.as_unit("ns").value
        if not instants[0] < when <= instants[-1]:
            raise InputError(
                f"a catalyst must fall after the start {schedule.instants[0]} and not after the close "
                f"{schedule.instants[-1]}; got {catalyst.when}: move it or the window"
            )
        step = np.searchsorted(instants, when, side="left") - 1
        mean[step] += catalyst.mean - 0.5 * catalyst.std**2
        variance[step] += catalyst.std**2
    return {"catalyst_mean": mean, "catalyst_std": np.sqrt(variance)}


def with_catalyst(move: Paths, row: Row, z: Shocks) -> Paths:
    """Add the step's scheduled jump, which takes the last normal."""
    if "catalyst_mean" not in row:
        return move
    return move + (row["catalyst_mean"] + row["catalyst_std"] * z[-1])


def log_bounds(
    schedule: Schedule,
    rate: float,
    catalysts: tuple[Catalyst, ...],
    cumulant: Callable[[np.ndarray], np.ndarray],
) -> tuple[float, float]:
    """Bounds of X − X_0 from its moments: Doob's inequality for the powers of the martingale e^M in e^X.

        P(max_t M_t ≥ a) ≤ e^{K(u) − u a}, u ≥ 1;   P(min_t M_t ≤ −a) ≤ e^{K(−u) − u a}, u > 0

    Args:
        schedule: the time grid.
        rate: μ, growth of the expected price per year.
        catalysts: added here, with the growth.
        cumulant: K(u) = ln E[e^{uM}] at the close, without catalysts; infinite or NaN where there is none.
    """
    rows = catalyst_rows(catalysts, schedule)
    variance = sum(c.std**2 for c in catalysts)
    trend = np.cumsum(rate * schedule.variance)
    if rows:
        trend += np.cumsum(rows["catalyst_mean"] + 0.5 * rows["catalyst_std"] ** 2)
    u = np.geomspace(1e-3, 1e8, 1000)
    reach = []
    with np.errstate(all="ignore"):
        for power, size in ((-u, u), (1.0 + u, 1.0 + u)):
            bound = (cumulant(power) + 0.5 * variance * (power * power - power) + _LOG_ODDS) / size
            reach.append(float(np.where(np.isfinite(bound), bound, np.inf).min()))
    return float(min(trend.min(), 0.0)) - reach[0], float(max(trend.max(), 0.0)) + reach[1]


def known_moments(
    model: _Common, schedule: Schedule, spot: float, mean: float, variance: float, quadratic: float
) -> dict[str, float]:
    """`Dynamics.exact` from mean, variance and quadratic variation of X without its catalysts."""
    rows = catalyst_rows(model.catalysts, schedule)
    jump, std = rows.get("catalyst_mean", np.zeros(1)), rows.get("catalyst_std", np.zeros(1))
    years = schedule.variance.sum()
    mean, variance = mean + jump.sum(), variance + (std**2).sum()
    rise = growth(model.drift) * years + sum(c.mean for c in model.catalysts)
    return {
        "log_return": float(mean),
        "log_return_squared": float(variance + mean**2),
        "price": float(spot * np.exp(rise)),
        "quadratic_variation": float(quadratic + (std**2 + jump**2).sum()),
    }
