"""How exposures change: when contracts expire, and from one snapshot of a market to the next."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gammawall.surfaces.clock import is_session
from gammawall.surfaces.dealers.book import Book
from gammawall.surfaces.dealers.exposures import COLUMNS, Exposures, exposures, position_exposures
from gammawall.surfaces.dealers.levels import levels
from gammawall.surfaces.errors import InputError

__all__ = ["after_expiry", "expiry_removal", "level_summary", "next_monthly", "snapshot_difference"]


def next_monthly(date: pd.Timestamp) -> pd.Timestamp:
    """Date of the next monthly expiry, today included: the third Friday, or the session before a holiday."""
    first = date.tz_localize(None).normalize().replace(day=1)
    for friday in pd.date_range(first, periods=2, freq="WOM-3FRI"):
        session = friday
        while not is_session(session):
            session -= pd.Timedelta(days=1)
        if session >= date.tz_localize(None).normalize():
            return session
    raise AssertionError("two third Fridays lie within two months")


def after_expiry(book: Book, date: pd.Timestamp) -> Book:
    """The positions that expire after a date, at the book's own time and spot."""
    return book.select(
        np.asarray(book.expiry.tz_localize(None).normalize() > date.tz_localize(None).normalize())
    )


def expiry_removal(book: Book, *, exposed: Exposures | None = None) -> pd.DataFrame:
    """What is left once today's contracts are gone, and once the next monthly expiry is.

    Args:
        book: dealers' positions.
        exposed: the book's exposures, if at hand.

    Returns:
        Rows ``now``, ``after_today``, ``after_monthly`` with the columns of `level_summary`.

    Example:
        >>> after = surfaces.expiry_removal(surfaces.dealer_book(chain))
        >>> (after["gex_usd_per_1pct"] / 1e9).round(2).to_dict()
        {'now': 1.31, 'after_today': 0.53, 'after_monthly': 0.0}
    """
    stages = {
        "now": book,
        "after_today": after_expiry(book, book.as_of),
        "after_monthly": after_expiry(book, next_monthly(book.as_of)),
    }
    rows = {name: level_summary(left, exposed if left is book else None) for name, left in stages.items()}
    return pd.DataFrame(rows).T.rename_axis("stage")


def level_summary(book: Book, exposed: Exposures | None = None) -> dict[str, float]:
    """Total exposures, the zero-gamma crossing nearest to spot, and the walls; NaN for an absent level.

    An empty book has zero exposures and no levels.
    """
    summary: dict[str, float] = dict.fromkeys(COLUMNS, 0.0)
    if not len(book):
        return summary | dict.fromkeys(("zero_gamma", "call_wall", "put_wall", "abs_gamma"), np.nan)
    exposed = exposed or exposures(book)
    found = levels(book, exposed=exposed)
    crossings = np.array(found.zero_gamma)
    nearest = crossings[np.argmin(np.abs(crossings - book.spot))] if crossings.size else np.nan
    named = {"call_wall": found.call_wall, "put_wall": found.put_wall, "abs_gamma": found.abs_gamma}
    summary |= {name: exposed.totals[name] for name in COLUMNS}
    summary |= {name: np.nan if level is None else level.strike for name, level in named.items()}
    return summary | {"zero_gamma": float(nearest)}


def snapshot_difference(before: Book, after: Book) -> pd.DataFrame:
    """What changed between two snapshots of one market, by strike.

    The change of GEX splits exactly into contracts that are gone, contracts that are new, changed sizes (at
    the earlier gamma) and changed gamma (spot, vol and time, at the later size).

    Returns:
        A frame indexed by strike: ``before``, ``after``, ``change``, ``expired_or_closed``, ``new``,
        ``resized`` and ``repriced``, each followed by ``_usd_per_1pct``.

    Raises:
        InputError: a contract stands twice in one of the books, so that it cannot be matched.

    Example:
        >>> change = surfaces.snapshot_difference(book, book.scaled(1.5))
        >>> (change["change_usd_per_1pct"] / 1e9).round(2).to_dict()
        {7000.0: 3.69}
    """
    tables = []
    for tag, name, book in ((0, "before", before), (1, "after", after)):
        keys = pd.MultiIndex.from_arrays(
            [book.expiry, book.strike, book.is_call], names=["expiry", "strike", "is_call"]
        )
        if keys.has_duplicates:
            raise InputError(f"the {name} book holds a contract twice: merge positions of one contract first")
        gex = position_exposures(book)["gex_usd_per_1pct"].to_numpy(float)
        tables.append(pd.DataFrame({f"gex_{tag}": gex, f"size_{tag}": book.contracts}, index=keys))
    joined = tables[0].join(tables[1], how="outer")
    g0, g1, n0, n1 = (joined[c].to_numpy(float) for c in ("gex_0", "gex_1", "size_0", "size_1"))
    gone, new = np.isnan(g1), np.isnan(g0)
    both = ~gone & ~new
    with np.errstate(divide="ignore", invalid="ignore"):
        resized = np.where(both, g0 * (n1 / n0 - 1.0), 0.0)
    resized = np.where(both & (n0 == 0.0), 0.0, resized)
    change = np.nan_to_num(g1) - np.nan_to_num(g0)
    frame = pd.DataFrame(
        {
            "before": np.nan_to_num(g0),
            "after": np.nan_to_num(g1),
            "change": change,
            "expired_or_closed": np.where(gone, -g0, 0.0),
            "new": np.where(new, g1, 0.0),
            "resized": resized,
            "repriced": np.where(both, change - resized, 0.0),
        },
        index=joined.index,
    )
    return pd.DataFrame(frame.groupby(level="strike").sum()).add_suffix("_usd_per_1pct")
