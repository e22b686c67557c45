"""Models of the fundamental price, their paths, and the laws they should have."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy.integrate import quad

from gammawall.sim.models.dynamics import GBM, Bachelier, Catalyst, Dynamics
from gammawall.sim.models.heston import Heston
from gammawall.sim.models.jumps import Jumps
from gammawall.sim.sampling.schedule import Schedule, make_schedule
from tests.helpers.sim_runs import DAY, SPOT, STEPS, draw, make_market

Z_LIMIT = 4.0
PATHS = 1 << 16
NEWS = (Catalyst(pd.Timestamp("2026-01-28T14:00"), 0.001, 0.006),)

MODELS: dict[str, Any] = {
    "gbm": GBM(0.12),
    "gbm-drift-news": GBM(0.12, 0.8, NEWS),
    "bachelier": Bachelier(0.3),
    "bachelier-drift-news": Bachelier(0.12, 0.8, NEWS),
    "jumps": Jumps(0.12, 250.0, -0.01, 0.008),
    "jumps-drift-news": Jumps(0.12, 900.0, 0.006, 0.004, -0.8, NEWS),
    "heston": Heston(0.12, 5.0, 0.2, 1.0, -0.7),
    "heston-drift-news": Heston(0.12, 5.0, 0.2, 1.0, 0.9, 0.8, NEWS),
    "heston-constant": Heston(0.12, 5.0, 0.2, 0.0, -0.7),
    "heston-one-factor": Heston(0.12, 0.0, 0.2, 4.0, -1.0),
    # Three months of a market squeezed into one day: 4κθ/ξ² = 0.4, so that the variance often touches zero.
    "heston-quarter": Heston(0.2 * 63**0.5, 2.0 * 63, 0.2 * 63**0.5, 0.9 * 63, -0.7),
}
DAY_GRID = make_schedule(make_market(), STEPS)


@functools.partial(jax.jit, static_argnames=("model", "paths"))
def run_steps(model: type, rows: Any, z: jax.Array, paths: int) -> tuple[Any, jax.Array]:
    def step(carry: Any, given: Any) -> Any:
        state, x = carry
        state, move = model.step(state, *given)
        return (state, x + move), move

    (state, _), moves = jax.lax.scan(step, (model.open(rows, paths), jnp.zeros(paths)), (rows, z))
    return state, moves


def shocks(model: Dynamics, schedule: Schedule, paths: Any, seed: int) -> np.ndarray:
    each = [draw(seed, stream, paths, schedule.steps) for stream in range(model.factors)]
    return np.stack(each, axis=1).astype(float)


def moves(
    model: Dynamics, schedule: Schedule = DAY_GRID, paths: Any = PATHS, seed: int = 5
) -> tuple[Any, np.ndarray]:
    """Final state and increments, [N, P]."""
    paths = np.arange(paths) if isinstance(paths, int) else paths
    z = shocks(model, schedule, paths, seed)
    with jax.enable_x64(True):
        state, out = run_steps(type(model), model.drive(schedule, SPOT), jnp.asarray(z), len(paths))
        return jax.tree_util.tree_map(np.asarray, state), np.asarray(out)


@functools.cache
def sample(name: str) -> np.ndarray:
    return moves(MODELS[name])[1]


def z_score(values: np.ndarray, expected: float) -> float:
    return float((values.mean() - expected) / (values.std() / np.sqrt(values.size)))


def gbm_cf(m: GBM) -> Callable[[Any], Any]:
    return lambda u: np.exp(-0.5 * m.vol**2 * DAY * (u * u + 1j * u))


def jumps_cf(m: Jumps) -> Callable[[Any], Any]:
    def cf(u: Any) -> Any:
        jump = np.exp(1j * u * m.mean - 0.5 * (u * m.std) ** 2) - 1.0
        rate = m.rate_per_year * DAY
        return gbm_cf(GBM(m.vol))(u) * np.exp(
            rate * (jump - 1j * u * (np.exp(m.mean + 0.5 * m.std**2) - 1.0))
        )

    return cf


def heston_cf(m: Heston, years: float = DAY) -> Callable[[Any], Any]:
    """Heston (1993) in the form of Albrecher et al. (2007), which stays on one branch of the logarithm."""

    def cf(u: Any) -> Any:
        xi, kappa = m.vol_of_vol, m.mean_reversion
        b = kappa - 1j * m.correlation * xi * u
        d = np.sqrt(b * b + xi**2 * (1j * u + u * u))
        g = (b - d) / (b + d)
        e = np.exp(-d * years)
        level = kappa * m.long_vol**2 / xi**2 * ((b - d) * years - 2.0 * np.log((1 - g * e) / (1 - g)))
        return np.exp(level + m.vol**2 / xi**2 * (b - d) * (1 - e) / (1 - g * e))

    return cf


CFS = {
    "gbm": gbm_cf(MODELS["gbm"]),
    "jumps": jumps_cf(MODELS["jumps"]),
    "heston": heston_cf(MODELS["heston"]),
    "heston-quarter": heston_cf(MODELS["heston-quarter"]),
}


def call_price(cf: Callable[[Any], Any], strike: float, scale: float) -> float:
    """E[(S − K)⁺] by Lewis (2001): S − √(SK)/π ∫₀^∞ Re[e^{iu ln(S/K)} φ(u − i/2)] / (u² + ¼) du."""

    def integrand(u: float) -> float:
        return float((np.exp(1j * u * np.log(SPOT / strike)) * cf(u - 0.5j)).real / (u * u + 0.25))

    edges = np.array([0.0, 0.5, 2.0, 4.0, 8.0, 16.0, 40.0]) / scale
    total = sum(quad(integrand, a, b, limit=200)[0] for a, b in itertools.pairwise(edges))
    return float(SPOT - np.sqrt(SPOT * strike) / np.pi * total)
