"""Orders in options that expire the same day: customers trade all session, dealers take the other side.

A path, step and strike cost 20 to 30 ns on one core: a day of 390 steps over 101 strikes on 100,000 paths
takes about a minute on two. A step evaluates about ten normal distribution functions per strike, in float32;
its normal numbers are drawn as they are needed, one per strike, and nothing is kept but the inventory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, cast

import jax.numpy as jnp
import numpy as np
import pandas as pd

from gammawall.sim.models.order_flow import Orders, Strikes
from gammawall.sim.models.protocols import Numbers, Paths, PerStep
from gammawall.sim.sampling.schedule import Schedule
from gammawall.sim.types import check_number
from gammawall.surfaces.arrays import Array, Shape
from gammawall.surfaces.clock import PROFILES, cumulative_profile, session_bounds
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import MULTIPLIER, SESSION_MINUTES

__all__ = ["ZeroDteFlow"]

_MOST_DEVIATIONS = 8.0
_SESSION_NS = SESSION_MINUTES * 60e9


@dataclass(frozen=True)
class ZeroDteFlow:
    """Customers' net purchases n_jk of same-day options: strike j, step k, contracts.

        n_jk ~ N(β V_k w_j, q V_k w_j),   w_j = Laplace mass of the strike's cell in ln(K/S)/(a σ√τ)
        β of calls = b + m z⁺,  of puts = b + m z⁻

    V_k is the volume of the step, z = z⁺ − z⁻ the standardised last return, q the mean size of a trade: the
    variance is that of a Poisson number of trades of that size, each a purchase or a sale. Calls are the
    share c of V_k. Customers trade at the start of the step, at the last price and at Black's value with σ,
    which stays with the strike however the vols of a book move.

    Args:
        vol: σ of the options, by which they are priced and hedged, annual decimal on the market's clock.
        contracts_per_day: volume of a regular session, bought plus sold; less in a part of one.
        imbalance: b in [−1, 1], the share of the volume by which customers buy more than they sell; positive
            leaves the dealers short.
        call_share: c in [0, 1].
        momentum: m in [−1, 1]; positive: customers buy calls after rises and puts after falls.
        trade_contracts: q ≥ 0.
        strikes: how many, odd, centred on the initial spot; volume beyond the grid goes to its outermost
            strikes, and its share is reported.
        strike_step: index points between them.
        strike_scale: a > 0.
        profile: how volume is spread over the session, "u_shape" or "flat".
    """

    vol: float
    contracts_per_day: float = 2e6
    imbalance: float = 0.02
    call_share: float = 0.5
    momentum: float = 0.0
    trade_contracts: float = 10.0
    strikes: int = 101
    strike_step: float = 5.0
    strike_scale: float = 1.0
    profile: str = "u_shape"

    def __post_init__(self) -> None:
        positive, size = "positive", "zero or positive"
        check_number("vol", self.vol, self.vol > 0.0, "positive, an annual decimal such as 0.12")
        for name in ("strike_step", "strike_scale"):
            check_number(name, getattr(self, name), getattr(self, name) > 0.0, positive)
        for name in ("contracts_per_day", "trade_contracts"):
            check_number(name, getattr(self, name), getattr(self, name) >= 0.0, size)
        for name in ("imbalance", "momentum"):
            check_number(name, getattr(self, name), abs(getattr(self, name)) <= 1.0, "between -1 and 1")
        check_number("call_share", self.call_share, 0.0 <= self.call_share <= 1.0, "between 0 and 1")
        if isinstance(self.strikes, bool) or self.strikes not in range(3, 1002, 2):
            raise InputError(f"strikes must be an odd whole number from 3 to 1001; got {self.strikes!r}")
        if self.profile not in PROFILES:
            raise InputError(f"profile must be one of {', '.join(PROFILES)}; got {self.profile!r}")

    def grid(self, spot: float) -> Strikes:
        """Strikes, index points, [J].

        Raises:
            InputError: the lowest would not be positive.
        """
        middle = round(spot / self.strike_step) * self.strike_step
        half = self.strikes // 2
        grid = middle + self.strike_step * np.arange(-half, half + 1)
        if grid[0] <= self.strike_step:
            raise InputError(
                f"strikes {self.strike_step:g} apart reach down to {grid[0]:g}, below the index; give fewer "
                f"strikes than {self.strikes} or a smaller strike_step"
            )
        return grid

    def constants(self, spot: float) -> dict[str, Any]:
        """Numbers of the run that are the same in every step."""
        strikes = self.grid(spot)
        cells = np.log(
            np.append(strikes - 0.5 * self.strike_step, strikes[-1] + 0.5 * self.strike_step) / spot
        )
        single = {
            "log_cells": np.concatenate([[-np.inf], cells[1:-1], [np.inf]]),
            "log_ends": cells[[0, -1]],
            "imbalance": self.imbalance,
            "call_share": self.call_share,
            "momentum": self.momentum,
            "trade": self.trade_contracts * MULTIPLIER,
            "strike_scale": self.strike_scale,
        }
        return {name: np.asarray(value, np.float32) for name, value in single.items()}

    def rows(self, schedule: Schedule) -> dict[str, np.ndarray]:
        """None beside the engine's own."""
        return {}

    def volume(self, schedule: Schedule) -> PerStep:
        """Contracts bought and sold in each step, [N]."""
        volume, instants = np.zeros(schedule.steps), schedule.instants.as_unit("ns").asi8
        for i in range(schedule.session[-1] + 1):
            own = np.flatnonzero((schedule.session == i) & ~schedule.night)
            if not own.size:
                continue
            ends = instants[np.append(own, own[-1] + 1)]
            day = cast(pd.Timestamp, schedule.instants[own[-1] + 1])
            first, last = (bound.as_unit("ns").value for bound in session_bounds(day))
            if ends[-1] != last:
                raise InputError(
                    "same-day options need a window that ends with a session, at 16:00 or an early close; "
                    f"got one that ends at {day}"
                )
            share = np.asarray(cumulative_profile(self.profile, (ends - first) / _SESSION_NS))
            volume[own] = self.contracts_per_day * np.diff(share)
        return volume

    def most_units(self, schedule: Schedule) -> float:
        """Index units that the dealers' inventory hardly ever exceeds; bounds the range of prices."""
        volume = float(self.volume(schedule).sum())
        mean = min(abs(self.imbalance) + 2.0 * abs(self.momentum), 1.0) * volume
        return MULTIPLIER * (mean + _MOST_DEVIATIONS * np.sqrt(volume * self.trade_contracts))

    @staticmethod
    def demand(numbers: Numbers, push: Paths, y: Paths, z: Annotated[Array, Shape("draws paths")]) -> Orders:
        """What customers buy, net of what they sell, in one step; index units.

        Calls and puts of a strike are drawn as their sum; by parity the puts among them only matter in two
        sums over strikes, which are drawn from their law given that sum.

        See `OrderFlow.demand`.
        """
        volume, share, trade = numbers["volume"], numbers["call_share"], numbers["trade"]
        offsets = numbers["offsets"][:, None]
        push = push.astype(y.dtype)
        call_bias, put_bias = _bias(numbers, push), _bias(numbers, -push)
        weight, beyond = _weights(numbers, y)
        mean = volume * weight
        noise = jnp.sqrt(mean * trade) * z[:-2]
        bought = mean * (share * call_bias + (1.0 - share) * put_bias) + noise
        first, second = jnp.sum(weight * offsets, axis=0), jnp.sum(weight * offsets * offsets, axis=0)
        width = jnp.sqrt(jnp.maximum(second - first * first, 0.0))
        split = jnp.sqrt(volume * trade * share * (1.0 - share))
        puts = (1.0 - share) * (volume * put_bias + jnp.sum(noise, axis=0)) + split * z[-2]
        weighted = (1.0 - share) * (volume * put_bias * first + jnp.sum(noise * offsets, axis=0))
        return Orders(bought, puts, weighted + split * (first * z[-2] + width * z[-1]), beyond)


def _bias(numbers: Numbers, push: Paths) -> Paths:
    return jnp.clip(numbers["imbalance"] + numbers["momentum"] * jnp.maximum(push, 0.0), -1.0, 1.0)


def _weights(numbers: Numbers, y: Paths) -> tuple[Annotated[Array, Shape("strikes paths")], Paths]:
    """Laplace mass of every cell [J, P], the outermost ones with the tails, and the tails alone [P]."""
    scale = numbers["strike_scale"] * numbers["total_vol"][0]
    scale = jnp.where(scale > 0.0, scale, 1.0)

    def below(edges: Array) -> Array:
        z = (edges[:, None] - y) / scale
        half = 0.5 * jnp.exp(-jnp.abs(z))
        return jnp.where(z < 0.0, half, 1.0 - half)

    tails = below(numbers["log_ends"])
    # Rounding may leave a mass of −6e-8, which has no root.
    return jnp.maximum(jnp.diff(below(numbers["log_cells"]), axis=0), 0.0), tails[0] + (1.0 - tails[1])
