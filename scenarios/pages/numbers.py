"""Numbers as a reader wants them: rounded to their error, with signs and shares; nested records as lines."""

from __future__ import annotations

import math
import re
from typing import Any

from gammawall.scenarios.record import real

__all__ = [
    "SIGNIFICANT_Z",
    "count_text",
    "format_estimate",
    "format_exact",
    "format_gap",
    "format_level",
    "is_clear",
    "leaf_text",
    "plain",
    "share_text",
    "unbroken",
]


SIGNIFICANT_Z = 4.0
"""Standard errors beyond which a difference is called an effect, and a simulation at odds with theory."""


def format_estimate(value: Any, stderr: Any = None, unit: Any = "", *, signed: bool = False) -> str:
    """A number with its standard error, rounded to the error's first digit; ``–`` where there is none.

    Args:
        value: the estimate, in ``unit``.
        stderr: its standard error, in ``unit``; left out of the text where missing or zero.
        unit: ``probability`` is written in percent; any other unit is left to the caller.
        signed: write a plus sign too.
    """
    number, error = real(value), real(stderr)
    if number is None:
        return "–"
    scale, sign = (100.0, " %") if unit == "probability" else (1.0, "")
    number, error = scale * number, scale * error if error is not None else None
    # A ratio of a number with itself has rounding for an error.
    if not error or error < 1e-12 * abs(number):
        return plain(number, signed) + sign
    decimals = min(max(-math.floor(math.log10(error)), 0), 8)
    plus = "+" if signed else "-"
    text = f"{number:{plus},.{decimals}f}{sign} ± {error:,.{decimals}f}{sign}"
    return text.replace("-", "−")


def format_gap(difference: Any, stderr: Any = None, unit: Any = "") -> str:
    """A signed difference with its error; of two probabilities in percentage points."""
    text = format_estimate(difference, stderr, unit, signed=True)
    return text.replace(" %", "") + " pp" if unit == "probability" and text != "–" else text


def format_exact(value: Any, stderr: Any = None) -> str:
    """An exact number, to one digit more than the estimate it is compared with."""
    error = real(stderr)
    return format_estimate(value, 0.1 * error if error else None).split(" ±")[0]


def plain(number: float, signed: bool = False) -> str:
    plus = "+" if signed else "-"
    size = abs(number)
    if size >= 1e15 or 0.0 < size < 1e-4:
        text = f"{number:{plus}.3e}"
    elif number == int(number):
        text = f"{number:{plus},.0f}"
    else:
        decimals = max(1, 3 - math.floor(math.log10(size)))
        text = f"{number:{plus},.{decimals}f}".rstrip("0").removesuffix(".")
    return text.replace("-", "−")


def count_text(number: Any, noun: str, total: Any = None) -> str:
    """A count with its share of the total; a number that is itself a share becomes a percentage."""
    count, whole = real(number), real(total)
    if count is None:
        return noun
    if 0.0 < count < 1.0 or (count == 1.0 and whole == 1.0):
        return f"{share_text(count)} of {noun}"
    share = f" ({share_text(count / whole)})" if whole and whole > count else ""
    return f"{count:,.0f} {noun}{share}"


def share_text(fraction: float) -> str:
    percent = 100.0 * fraction
    return f"{percent:.0f} %" if percent >= 10.0 else f"{percent:.2g} %"


def leaf_text(value: Any) -> str:
    """One value of a record."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, float):
        return plain(value)
    if isinstance(value, list | tuple):
        return ", ".join(leaf_text(item) for item in value) or "–"
    # A seed or a hash is a name, not a quantity: no thousand separators in integers.
    return str(value)


def unbroken(text: str) -> str:
    """The text with spaces that do not break inside its numbers: "26.1 % ± 0.1 %"."""
    return re.sub(r"(?<=[\d%±]) (?=[%±\d]|pp\b)", "\u00a0", text)


def format_level(value: float) -> str:
    """An index level as traders write it: 7,000 or 6,937.9."""
    return f"{value:,.1f}".removesuffix(".0").replace("-", "−")


def is_clear(difference: float | None, stderr: float | None) -> bool:
    """True for a difference at least four standard errors from zero."""
    if not difference or stderr is None:
        return False
    return abs(difference) >= SIGNIFICANT_Z * stderr
