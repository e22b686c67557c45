"""What the contracts of the models share: names for their arrays, and the check that an object meets one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import numpy as np

from gammawall.surfaces.arrays import Array, ArrayLike, Shape
from gammawall.surfaces.errors import InputError

__all__ = ["Numbers", "NumbersOfRun", "Paths", "PerStep", "Row", "Rows", "State", "check_protocol", "members"]

Paths: TypeAlias = Annotated[Array, Shape("paths")]
"""one number per path"""
PerStep: TypeAlias = Annotated[np.ndarray, Shape("steps")]
"""one number per step, on the host"""
NumbersOfRun: TypeAlias = Mapping[str, ArrayLike]
"""What a policy or an impact computes with, by names of its own: a scalar that holds for the run, or an array
with one row per step, [steps, ...]. A plain dictionary, since users write them; the engine never asks for a
name. Numbers given here may change without a new compilation."""
Numbers: TypeAlias = Mapping[str, Array]
"""The same in one step: scalars as they are, and the step's row of the others."""
Rows: TypeAlias = Mapping[str, np.ndarray]
"""What a model of the fundamental price computes with, by names of its own: arrays [steps, ...]."""
Row: TypeAlias = Mapping[str, Array]
"""The same within the run: all of them on the device, or the step's entry of every one."""
State: TypeAlias = Any
"""What a path carries, in a form that only its own class looks into: None, an array, or a tuple or dictionary
of arrays, each [..., paths]. One form throughout a run."""


def check_protocol(given: object, protocol: type, name: str, such_as: str = "") -> None:
    """Refuse an object that lacks members of a protocol, or whose methods cannot be called.

    Args:
        given: what the user passed.
        protocol: the contract, such as `Dynamics`.
        name: of the argument.
        such_as: what else might be passed, in words.

    Raises:
        InputError: one sentence that names every missing member.

    Example:
        >>> from gammawall import sim
        >>> sim.check_protocol(sim.GBM(0.12), sim.Dynamics, "dynamics")
    """
    if isinstance(given, type):
        raise InputError(
            f"{name} must be an object; got the class {given.__name__} itself: write {given.__name__}(...)"
        )
    lacking = [member for member in members(protocol) if not _has(given, protocol, member)]
    if lacking:
        raise InputError(
            f"{name} must {such_as and f'be {such_as}, or '}have every member of sim.{protocol.__name__}; "
            f"{type(given).__name__} lacks {', '.join(lacking)}"
        )


def members(protocol: type) -> tuple[str, ...]:
    """Names that a protocol and those it extends declare, in the order written."""
    names: dict[str, None] = {}
    for base in reversed(protocol.__mro__):
        if getattr(base, "_is_protocol", False) and base.__name__ != "Protocol":
            own = [*inspect.get_annotations(base), *vars(base)]
            names |= dict.fromkeys(n for n in own if not n.startswith("_"))
    return tuple(names)


def _has(given: object, protocol: type, member: str) -> bool:
    # On the class first, so that no property is worked out for the question.
    owner = type(given) if hasattr(type(given), member) else given
    if not hasattr(owner, member):
        return False
    return callable(getattr(owner, member)) or not callable(getattr(protocol, member, None))
