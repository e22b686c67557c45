"""Check at the border that an object has every member of the contract it is passed for."""

from __future__ import annotations

import inspect

from gammawall.surfaces.errors import InputError

__all__ = ["check_protocol", "members"]


def check_protocol(given: object, protocol: type, name: str) -> None:
    """Refuse an object that lacks members of a protocol, or whose methods cannot be called.

    Args:
        given: what the user passed.
        protocol: the contract, such as `Dynamics`.
        name: of the argument.

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
            f"{name} must have every member of sim.{protocol.__name__}; {type(given).__name__} lacks "
            f"{', '.join(lacking)}"
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
