"""The two kinds of failure a caller can meet: input that is wrong, and numbers that did not come out."""

from __future__ import annotations

__all__ = ["InputError", "NumericalError"]


class InputError(ValueError):
    """Something the caller gave is wrong: one sentence saying what, what was got, what is allowed, the fix.

    ``problems`` holds one line per mistake when several were found at once.
    """

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        self.problems = problems or (message,)
        super().__init__(message if not problems else "\n".join((message, *(f"  {p}" for p in problems))))


class NumericalError(ArithmeticError):
    """A computation ended with a status other than success and the caller asked for ``throw=True``."""
