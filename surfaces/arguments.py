"""Refusing bad arguments at the border: what it is, what was got, what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from gammawall.surfaces.errors import InputError
from gammawall.surfaces.precision import is_traced

__all__ = ["CALL_FLAG", "Allowed", "anything", "check_arguments", "check_shapes", "concrete_numbers"]

Allowed = tuple[str, Callable[[np.ndarray], np.ndarray]]
"""What may stand there, in words and as a test of finite numbers."""


def anything(values: np.ndarray) -> np.ndarray:
    """Every finite number."""
    return np.ones_like(values, bool)


CALL_FLAG: Allowed = ("True for a call or False for a put", lambda v: (v == 0.0) | (v == 1.0))


def check_arguments(allowed: Mapping[str, Allowed], **arguments: object) -> None:
    """Refuse concrete values outside their range, and shapes that do not broadcast.

    Args:
        allowed: by argument name; values that are not finite are never allowed.
        **arguments: numbers or arrays; tracers have no value to look at and pass.

    Raises:
        InputError: names the first offending argument and value.
    """
    check_shapes(**arguments)
    for name, value in arguments.items():
        if is_traced(value):
            continue
        words, within = allowed[name]
        values = concrete_numbers(name, value, words)
        good = np.isfinite(values) & within(values)
        if not good.all():
            bad = values[~good].flat[0]
            count = int((~good).sum())
            raise InputError(
                f"{name} must be {words}; got {bad:g}" + (f" ({count} such values)" if count > 1 else "")
            )


def check_shapes(**arguments: object) -> None:
    """Refuse shapes that do not broadcast.

    Raises:
        InputError: lists the shapes.
    """
    shapes = {name: np.shape(cast(Any, value)) for name, value in arguments.items()}
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        raise InputError(
            f"the shapes {listed} do not broadcast: give scalars or arrays of one shape"
        ) from None


def concrete_numbers(name: str, value: object, words: str) -> np.ndarray:
    """An argument as floats.

    Raises:
        InputError: it is text, a time, complex or not a number at all.
    """
    try:
        array = np.asarray(value)
        # NumPy would turn times into nanoseconds, texts into numbers, and drop an imaginary part.
        if array.dtype.kind in "mMcSU":
            raise TypeError
        return np.asarray(array, float)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be {words}; got {_brief(value)}") from None


def _brief(value: object) -> str:
    dtype = getattr(value, "dtype", None)
    text = repr(value) if dtype is None else f"values of type {dtype}"
    return text if len(text) <= 60 else text[:57] + "..."
