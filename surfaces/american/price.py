"""American options: price and greeks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gammawall.surfaces.american.kernel import AmericanGreeks, Contract, greeks_of, price_of
from gammawall.surfaces.american.nodes import Accuracy, accuracy_named
from gammawall.surfaces.arguments import check_arguments
from gammawall.surfaces.arrays import Array, ArrayLike
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.precision import concrete_dtype, evaluate, is_traced
from gammawall.surfaces.pricing.black import ALLOWED

__all__ = ["american_greeks", "american_price", "in_float64"]

_BATCH = 128
"""contracts solved side by side: their arrays stay in a core's cache"""
_FEW = 16
"""the shortest batch"""

_ALLOWED = ALLOWED | {
    "spot": ALLOWED["forward"],
    "strike": ALLOWED["forward"],
    "dividend_yield": ALLOWED["rate"],
}

Result = TypeVar("Result")


def american_price(
    spot: ArrayLike,
    strike: ArrayLike,
    expiry: ArrayLike,
    vol: ArrayLike,
    rate: ArrayLike = 0.0,
    dividend_yield: ArrayLike = 0.0,
    *,
    is_call: ArrayLike = True,
    accuracy: str = "high",
) -> Array:
    """Price of an option that may be exercised at any time to expiry.

    V = sup over stopping times t ≤ T of E[e^{-rt} max(ω(S_t − K), 0)] under dS = (r − q) S dt + σ S dW: the
    European price plus the integral of what exercise earns beyond the boundary. With ``dividend_yield=rate``
    the spot is a futures price.

    Args:
        spot: S > 0, index points.
        strike: K > 0, index points.
        expiry: T, years; at or below zero the option has expired.
        vol: σ ≥ 0, annual decimal.
        rate: r, continuous per year, of either sign.
        dividend_yield: q, continuous per year, of either sign.
        is_call: True for calls; all arguments broadcast.
        accuracy: ``"high"``, within 1e-8 of the spot for vols from 4 % and 5 years, or ``"quick"``, within
            1e-5 and several times as fast.

    Returns:
        V, computed in float64 and given in the precision of the inputs (NumPy in, NumPy out). A call with
        q ≤ 0 ≤ r and a put with r ≤ 0 ≤ q are European; without vol the path is known and the best time to
        exercise is taken. NaN where exercise pays only between two prices, q < r < 0 for a put and r < q < 0
        for a call, which this method does not solve. ``jax.grad`` of it is exact: the boundary's derivative
        comes from the implicit-function theorem.

    Raises:
        InputError: a concrete argument is NaN, infinite or out of range, or the shapes do not broadcast.

    Source:
        Andersen, Lake and Offengenden (2016), High-performance American option pricing.

    Example:
        >>> put = surfaces.american_price(100.0, 100.0, 1.0, 0.2, 0.05, is_call=False)
        >>> print(f"{put:.8f}")
        6.09037059
    """
    arguments = _checked(spot, strike, expiry, vol, rate, dividend_yield, is_call)
    return in_float64(_price_kernel(_accuracy(accuracy)), *arguments)


def american_greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    expiry: ArrayLike,
    vol: ArrayLike,
    rate: ArrayLike = 0.0,
    dividend_yield: ArrayLike = 0.0,
    *,
    is_call: ArrayLike = True,
    accuracy: str = "high",
) -> AmericanGreeks:
    """Price, greeks by spot, early-exercise premium and today's exercise boundary.

    Arguments, precision and errors as in `american_price`. Delta and gamma are those of the integral; theta
    comes from the Black–Scholes equation, which holds wherever the option is held; vega and rho count the
    move of the boundary.

    Example:
        >>> g = surfaces.american_greeks(100.0, 100.0, 1.0, 0.2, 0.05, is_call=False)
        >>> print(f"{g.delta:.4f} {g.early_exercise_premium:.4f} {g.boundary:.2f}")
        -0.4111 0.5168 80.88
    """
    arguments = _checked(spot, strike, expiry, vol, rate, dividend_yield, is_call)
    return in_float64(_greeks_kernel(_accuracy(accuracy)), *arguments)


def _checked(*values: ArrayLike) -> tuple[ArrayLike, ...]:
    names = ("spot", "strike", "expiry", "vol", "rate", "dividend_yield", "is_call")
    check_arguments(_ALLOWED, **dict(zip(names, values, strict=True)))
    return values


def _accuracy(name: str) -> Accuracy:
    try:
        return accuracy_named(name)
    except KeyError:
        raise InputError(f"accuracy must be 'high' or 'quick'; got {name!r}") from None


def in_float64(kernel: Callable[..., Result], *values: ArrayLike) -> Result:
    """Call a kernel in float64 and give back what it returns in the precision of the inputs.

    Outside of a jax transformation the columns are filled up to one of few lengths, so that chains of any
    size share the compiled programs. Inside one the caller's tracers decide.

    Args:
        kernel: takes columns that broadcast, the last one of booleans.
        *values: its columns.
    """
    if is_traced(*values):
        return kernel(*values)
    numbers = [np.asarray(v, np.float64) for v in values[:-1]]
    columns = np.broadcast_arrays(*numbers, np.asarray(values[-1], bool))
    shape, count = columns[0].shape, columns[0].size
    if not count:
        columns, count = [np.ones(1, c.dtype) for c in columns], 0
    length = _FEW if count <= _FEW else _BATCH
    while length < count:
        length *= 2
    filled = [np.resize(c.reshape(-1), length) for c in columns]
    result = evaluate(kernel, *filled)
    narrow = concrete_dtype(values) != np.float64
    as_jax = any(isinstance(v, jax.Array) for v in values)

    def back(column: np.ndarray) -> Array:
        column = column[:count].reshape(shape)
        column = column.astype(np.float32) if narrow and column.dtype == np.float64 else column
        with jax.enable_x64(True):
            return jnp.asarray(column) if as_jax else column

    return jax.tree_util.tree_map(back, result)


@cache
def _price_kernel(accuracy: Accuracy) -> Callable[..., Array]:
    return jax.jit(lambda *columns: in_batches(partial(price_of, accuracy), columns))


@cache
def _greeks_kernel(accuracy: Accuracy) -> Callable[..., AmericanGreeks]:
    return jax.jit(lambda *columns: in_batches(partial(greeks_of, accuracy), columns))


def in_batches(function: Callable[[Contract], Result], columns: tuple[ArrayLike, ...]) -> Result:
    """Apply a function of one-dimensional contracts to columns that broadcast, `_BATCH` at a time."""
    *numbers, is_call = map(jnp.asarray, columns)
    dtype = jnp.result_type(float, *numbers)
    ready = jnp.broadcast_arrays(*(v.astype(dtype) for v in numbers), is_call.astype(bool))
    shape, count = ready[0].shape, ready[0].size
    width = min(_BATCH, max(count, 1))
    batches = -(-count // width)
    fill = batches * width - count
    if not count:
        # A batch of stand-ins, of which nothing is kept.
        ready = [jnp.ones(1, v.dtype) for v in ready]
    rows = [jnp.pad(v.reshape(-1), (0, fill if count else 0), mode="edge") for v in ready]
    if batches <= 1:
        result = function(Contract(*rows))
    else:
        split = Contract(*(v.reshape(batches, width) for v in rows))
        result = jax.lax.map(function, split)
    return jax.tree_util.tree_map(lambda v: v.reshape(-1)[:count].reshape(shape), result)
