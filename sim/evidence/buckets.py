"""Parts of the open interest whose dealers' side is estimated apart: the weight of each contract in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.errors import InputError

__all__ = ["BUCKETS", "Buckets", "bucket_weights"]

Buckets = str | Callable[[Book], Mapping[str, np.ndarray]]
"""A name of `BUCKETS`, or a function of a session's book that gives the weight of every contract,
[contracts], by the name of the bucket: +1 where the bucket's share is dealers' long share of the contract,
−1 where it is their short share, 0 outside."""


def _calls_minus_puts(book: Book) -> dict[str, np.ndarray]:
    return {"calls_minus_puts": np.where(book.is_call, 1.0, -1.0)}


def _calls_plus_puts(book: Book) -> dict[str, np.ndarray]:
    return {"calls_plus_puts": np.ones(len(book))}


def _calls_and_puts(book: Book) -> dict[str, np.ndarray]:
    call = np.asarray(book.is_call, float)
    return {"calls": call, "puts": 1.0 - call}


def _same_day_and_later(book: Book) -> dict[str, np.ndarray]:
    sign, same = np.where(book.is_call, 1.0, -1.0), np.asarray(book.same_day(), float)
    return {"same_day_calls_minus_puts": sign * same, "later_calls_minus_puts": sign * (1.0 - same)}


def _all(book: Book) -> dict[str, np.ndarray]:
    call, same = np.asarray(book.is_call, float), np.asarray(book.same_day(), float)
    return {
        "same_day_calls": call * same,
        "same_day_puts": (1.0 - call) * same,
        "later_calls": call * (1.0 - same),
        "later_puts": (1.0 - call) * (1.0 - same),
    }


BUCKETS: dict[str, Callable[[Book], Mapping[str, np.ndarray]]] = {
    "calls_minus_puts": _calls_minus_puts,
    "calls_plus_puts": _calls_plus_puts,
    "calls_and_puts": _calls_and_puts,
    "same_day_and_later": _same_day_and_later,
    "all": _all,
}


def bucket_weights(buckets: Buckets, book: Book) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the buckets and the weight of every contract in each, [buckets, contracts].

    Raises:
        InputError: no such buckets, or a function's weights do not fit the book.
    """
    if isinstance(buckets, str):
        if buckets not in BUCKETS:
            raise InputError(f"buckets must be one of {', '.join(BUCKETS)} or a function; got {buckets!r}")
        found = BUCKETS[buckets](book)
    else:
        found = buckets(book)
    weights = [np.asarray(w, float) for w in found.values()]
    if not weights or any(w.shape != (len(book),) or not np.isfinite(w).all() for w in weights):
        shapes = ", ".join(f"{name}: {np.shape(w)}" for name, w in found.items()) or "none"
        raise InputError(
            f"a function of buckets must give one finite weight for each of the {len(book)} contracts "
            f"by the bucket's name; got {shapes}"
        )
    return tuple(found), np.array(weights)
