"""Closed forms of hedging feedback, in the units of log price: the checks beside every simulation.

A *wall* is A = λ S_ref m n, the log move that hedging one strike's whole delta causes; α = A/(σ√T).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

from gammawall.surfaces.arrays import Numbers
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import BP_PER_USD_BN, MULTIPLIER

__all__ = [
    "charm_only_pin_probability",
    "effective_vol",
    "fold_time",
    "hedging_error_std",
    "lag_one_realised_variance",
    "lag_one_variance",
    "log_wall",
    "pin_mass",
    "transient_realised_variance",
    "transient_variance",
    "varying_gamma_variance",
]


def log_wall(contracts: Numbers, spot: float, bp_per_usd_bn: float, multiplier: float = MULTIPLIER) -> Any:
    """A = λ S_ref m n: log price move when the hedge of `contracts` goes from nothing to full delta.

    Example:
        >>> print(f"{sim.theory.log_wall(20_000, 7000.0, 3.0):.4f}")  # at most 0.42 % of price
        0.0042
    """
    return bp_per_usd_bn * BP_PER_USD_BN * spot * multiplier * np.asarray(contracts, float)


def pin_mass(
    log_strike: Numbers,
    wall: Numbers,
    *,
    log_spot: float = 0.0,
    total_vol: float,
    start_delta: Numbers | None = None,
    drift: float | None = None,
    arithmetic: bool = False,
) -> np.ndarray:
    """P(S_T = K_j) under full hedging of a chain that expires at T, all dealers' positions long.

        S_T = K_j  iff  F ∈ [k_j + Σ_{i<j} A_i, k_j + Σ_{i≤j} A_i],   F ~ N(f, v²),
        f = x_0 + Σ A_j δ_j(S_0, 0) + drift

    Args:
        log_strike: ln K, [J] or a number; the strike itself when `arithmetic`.
        wall: A ≥ 0 of each strike, same shape.
        log_spot: ln S_0; the price itself when `arithmetic`.
        total_vol: v = σ√T of the fundamental price (points when `arithmetic`), > 0.
        start_delta: δ_j(S_0, 0) in [0, 1]; the call delta at vol `total_vol` when not given.
        drift: E[X_T − X_0]; −v²/2 (a martingale price) when not given, 0 when `arithmetic`.
        arithmetic: Bachelier instead of Black: prices themselves are normal.

    Returns:
        Masses in the order of the strikes given, [J].

    Raises:
        InputError: a negative wall (the map folds and the law is not a push-forward), or total_vol ≤ 0.

    Example:
        >>> wall = sim.theory.log_wall(20_000, 7000.0, 3.0)
        >>> mass = sim.theory.pin_mass(0.0, wall, total_vol=0.12 / np.sqrt(252))  # logs relative to spot
        >>> print(mass.round(4))
        [0.2188]
    """
    k, a = np.broadcast_arrays(np.atleast_1d(np.asarray(log_strike, float)), np.asarray(wall, float))
    if not (np.isfinite(total_vol) and total_vol > 0.0):
        raise InputError(f"total_vol must be positive; got {total_vol:g}")
    if not (np.isfinite(a) & (a >= 0.0)).all():
        raise InputError(f"wall must be zero or positive (dealers long) for a pin mass; got {a.min():g}")
    half = 0.0 if arithmetic else 0.5 * total_vol
    delta = ndtr((log_spot - k) / total_vol + half) if start_delta is None else np.asarray(start_delta, float)
    shift = (0.0 if arithmetic else -0.5 * total_vol**2) if drift is None else drift
    order = np.argsort(k, kind="stable")
    f = log_spot + float(np.sum(a * delta)) + shift
    top = k[order] + np.cumsum(a[order])
    mass = np.empty(k.size)
    mass[order] = ndtr((top - f) / total_vol) - ndtr((top - a[order] - f) / total_vol)
    return mass


def charm_only_pin_probability(alpha: Numbers, z0: Numbers = 0.0) -> Any:
    """P(pin) = 1 − exp(−(α/√2π) e^{−z₀²/2}) when only the time decay of the hedge is traded.

    Args:
        alpha: A/(σ√T) ≥ 0.
        z0: ln(S_0/K)/(σ√T).

    Source: Avellaneda and Lipkin (2003), A market-induced mechanism for stock pinning.

    Example:
        >>> print(sim.theory.charm_only_pin_probability([0.5, 1.0, 2.0]).round(4))
        [0.1808 0.329  0.5497]
    """
    return -np.expm1(-np.asarray(alpha, float) / np.sqrt(2.0 * np.pi) * np.exp(-0.5 * np.square(z0)))


def effective_vol(vol: Numbers, feedback: Numbers) -> Any:
    """σ/(1 + g): the vol of a price whose hedgers have feedback g = λ S_ref S Σ n m Γ > −1.

    Source: Frey and Stremme (1997), Market volatility and feedback effects from dynamic hedging.

    Example:
        >>> print(sim.theory.effective_vol(0.12, [-0.5, 0.0, 0.5]).round(3))  # short gamma, none, long gamma
        [0.24 0.12 0.08]
    """
    g = np.asarray(feedback, float)
    if (g <= -1.0).any():
        raise InputError(f"feedback must be above −1 (below it the price jumps); got {g.min():g}")
    return np.asarray(vol, float) / (1.0 + g)


def lag_one_variance(feedback: Numbers, rebalances: int) -> Any:
    """Var(x_T)/(σ²T) when hedgers trade one step late on constant feedback g: r_k = ε_k − g r_{k−1}.

    With a = −g:  (1−a)⁻² N⁻¹ [N − 2a(1−a^N)/(1−a) + a²(1−a^{2N})/(1−a²)]  →  1/(1+g)².

    Example:
        >>> print([round(float(sim.theory.lag_one_variance(-0.5, n)), 3) for n in (1, 7, 390)])
        [1.0, 3.057, 3.983]
    """
    a, n = -np.asarray(feedback, float), rebalances
    if (np.abs(a) >= 1.0).any():
        raise InputError("feedback must lie within (−1, 1): one-step-late hedging diverges outside")
    first = 2.0 * a * (1.0 - a**n) / (1.0 - a)
    second = a**2 * (1.0 - a ** (2 * n)) / (1.0 - a**2)
    return (n - first + second) / (n * (1.0 - a) ** 2)


def lag_one_realised_variance(feedback: Numbers) -> Any:
    """Realised variance over σ² of the same process in its steady state: 1/(1 − g²), above 1 if g ≠ 0.

    Example:
        >>> print(sim.theory.lag_one_realised_variance([-0.5, 0.5]).round(3))  # higher whatever the sign
        [1.333 1.333]
    """
    g = np.asarray(feedback, float)
    if (np.abs(g) >= 1.0).any():
        raise InputError("feedback must lie within (−1, 1): one-step-late hedging diverges outside")
    return 1.0 / (1.0 - g**2)


def transient_variance(
    gamma: Numbers, permanent: Numbers, transient: Numbers, decay: Numbers, years: float = 1.0
) -> Any:
    """Var(x_T)/σ² under constant gamma G and impact with a permanent λ and a decaying part κ e^{−ρt}.

        a = 1 + Gλ, b = 1 + G(λ+κ), ρ' = aρ/b, c = 1/a − 1/b
        T/a² − (2c/a)(1 − e^{−ρ'T})/ρ' + c²(1 − e^{−2ρ'T})/(2ρ')

    Source: Obizhaeva and Wang (2013) impact; the variance follows from the linear equation it leaves.

    Example:
        >>> print(sim.theory.transient_variance(np.array([1.0, -1.0]), 0.1, 0.4, decay=5.0).round(4))
        [0.7173 1.4979]
    """
    a, b = _transient_factors(gamma, permanent, transient)
    rate, c = a * decay / b, 1.0 / a - 1.0 / b
    first = -np.expm1(-rate * years) / rate
    second = -np.expm1(-2.0 * rate * years) / (2.0 * rate)
    return years / a**2 - 2.0 * c / a * first + c**2 * second


def transient_realised_variance(gamma: Numbers, permanent: Numbers, transient: Numbers) -> Any:
    """Fine realised variance over σ²T of the same process: 1/b².

    Example:
        >>> print(sim.theory.transient_realised_variance([1.0, -1.0], permanent=0.1, transient=0.4).round(4))
        [0.4444 4.    ]
    """
    _, b = _transient_factors(gamma, permanent, transient)
    return 1.0 / b**2


def _transient_factors(
    gamma: Numbers, permanent: Numbers, transient: Numbers
) -> tuple[np.ndarray, np.ndarray]:
    g = np.asarray(gamma, float)
    a, b = 1.0 + g * permanent, 1.0 + g * (np.asarray(permanent, float) + transient)
    if (b <= 0.0).any() or (a <= 0.0).any():
        raise InputError("1 + G(λ+κ) and 1 + Gλ must be positive: otherwise the price is unstable")
    return a, b


def fold_time(wall: Numbers, vol: Numbers) -> Any:
    """τ* = A²/(2πσ²): time left when a short strike at the money first folds the clearing map, years.

    Args:
        wall: A, log move (its sign does not matter).
        vol: the hedger's σ, annual decimal.

    Example:
        >>> wall = sim.theory.log_wall(-20_000, 7000.0, 3.0)
        >>> print(f"{sim.theory.fold_time(wall, 0.12) * 252 * 390:.1f}")  # minutes before the close
        19.2
    """
    return np.square(np.asarray(wall, float)) / (2.0 * np.pi * np.square(np.asarray(vol, float)))


def hedging_error_std(spot: Numbers, vol: Numbers, years: Numbers, rebalances: Numbers) -> Any:
    """√(π/4) · vega · σ/√N: standard deviation, index points, of the profit of one at-the-money option hedged
    N times at equal intervals to expiry, without impact.

    Source: Kamal and Derman (1999), When you cannot hedge continuously.

    Example:
        >>> print(sim.theory.hedging_error_std(7000.0, 0.15, 1 / 252, [13, 78, 390]).round(2))
        [6.49 2.65 1.18]
    """
    v = np.asarray(vol, float)
    vega = np.asarray(spot, float) * np.sqrt(np.asarray(years, float) / (2.0 * np.pi))
    return np.sqrt(0.25 * np.pi) * vega * v / np.sqrt(np.asarray(rebalances, float))


def varying_gamma_variance(alpha: float, stop: float) -> float:
    """E ∫₀^{1−stop} dt/(1+g)² of one strike at the money, unit vol and horizon: its realised variance.

        x + α Φ(x/√τ) = α/2 + W_t,   g = α φ(x/√τ)/√τ,   τ = 1 − t

    Args:
        alpha: A/(σ√T); negative for a short strike, whose map must not fold before the stop: α² < 2π·stop.
        stop: time left where the run ends, in (0, 1).

    Source: the push-forward of the static map, integrated over price and time.

    Example:
        >>> [round(sim.theory.varying_gamma_variance(alpha, 0.1), 3) for alpha in (0.5, 2.0, -0.4)]
        [0.614, 0.232, 1.257]
    """
    if not 0.0 < stop < 1.0:
        raise InputError(f"stop must lie between 0 and 1; got {stop:g}")
    if alpha < 0.0 and alpha**2 >= 2.0 * np.pi * stop:
        raise InputError(f"alpha {alpha:g} folds the map before the stop at {stop:g}: there is no such law")
    # From the transformation of the density, dy = (1+g) dx: one power of 1+g cancels.
    t, weight = np.polynomial.legendre.leggauss(200)
    t, weight = 0.5 * (1.0 - stop) * (t + 1.0), 0.5 * (1.0 - stop) * weight
    x = np.linspace(-12.0, 12.0, 20_001)[:, None]
    root = np.sqrt(1.0 - t)
    climb = 1.0 + alpha * np.exp(-0.5 * (x / root) ** 2) / (np.sqrt(2.0 * np.pi) * root)
    y = x + alpha * (ndtr(x / root) - 0.5)
    density = np.exp(-0.5 * y * y / t) / np.sqrt(2.0 * np.pi * t)
    return float(np.sum(weight * np.sum(density / climb, axis=0)) * (x[1, 0] - x[0, 0]))
