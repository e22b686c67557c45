"""The canonical option chain: quotes of one underlying at one instant."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from gammawall.surfaces.clock import NEW_YORK
from gammawall.surfaces.display import Display
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.limits import LARGEST

__all__ = [
    "QUOTE_COLUMNS",
    "REQUIRED_NUMBERS",
    "ChainReport",
    "OptionChain",
    "check_quotes",
    "column",
    "require",
]

QUOTE_COLUMNS = (
    "symbol",
    "root",
    "expiry",
    "strike",
    "is_call",
    "bid",
    "ask",
    "last",
    "volume",
    "open_interest",
    "vendor_vol",
    "vendor_delta",
    "vendor_gamma",
)
REQUIRED_NUMBERS = ("bid", "ask", "open_interest")


@dataclass(frozen=True)
class ChainReport:
    """What became of a file on its way to a chain.

    Args:
        path: the file, empty for a chain made from a frame.
        format: name of the format it was read as.
        rows_read: contracts listed.
        rows_kept: contracts in the chain.
        dropped: contracts left out, by reason.
        open_interest_coverage: share of kept contracts whose open interest is above zero.
        quality: kept contracts that are crossed, without a bid, an ask, a vendor vol, or with an open
            interest of zero or unknown.
        notes: sentences about what was assumed or looks odd.
    """

    path: str = ""
    format: str = "frame"
    rows_read: int = 0
    rows_kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    open_interest_coverage: float = 0.0
    quality: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class OptionChain(Display):
    """Quotes of one underlying at one instant, one row per OCC symbol.

    Args:
        quotes: columns ``symbol root expiry strike is_call bid ask last volume open_interest vendor_vol
            vendor_delta vendor_gamma``, sorted by expiry, root, strike, calls first. ``expiry`` is the exact
            New York instant of settlement, prices are index points, ``vendor_vol`` an annual decimal; NaN
            where a vendor gives none.
        spot: quoted index level, points.
        as_of: tz-aware New York instant of the quotes.
        report: how they were read.
    """

    quotes: pd.DataFrame
    spot: float
    as_of: pd.Timestamp
    report: ChainReport = field(default_factory=ChainReport)

    def __post_init__(self) -> None:
        if not 0 < self.spot <= LARGEST:
            raise InputError(f"spot is {self.spot}; it must be a finite index level above 0")
        check_quotes(self.quotes)
        zones = {"as_of": self.as_of.tzinfo, "expiry": getattr(self.quotes["expiry"].dtype, "tz", None)}
        for name, zone in zones.items():
            if str(zone) != NEW_YORK.key:
                raise InputError(
                    f"{name} has the time zone {zone}; {NEW_YORK.key} is expected: use to_new_york"
                )

    def summary(self) -> list[tuple[str, str]]:
        expiries = self.quotes["expiry"]
        return [
            ("quotes", f"{len(self.quotes):,}"),
            ("expiries", f"{expiries.nunique():,}"),
            ("to", f"{expiries.max():%Y-%m-%d}"),
            ("spot", f"{self.spot:,.2f}"),
            ("at", f"{self.as_of:%Y-%m-%d %H:%M}"),
            ("format", self.report.format),
        ]

    def frame(self) -> pd.DataFrame:
        """A copy of the quotes."""
        return self.quotes.copy()


def column(frame: pd.DataFrame, name: str) -> np.ndarray:
    """A column as floats, NaN throughout where there is none."""
    if name not in frame:
        return np.full(len(frame), np.nan)
    try:
        return frame[name].to_numpy(float, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise InputError(f"{name} is not a column of numbers: {error}") from None


def check_quotes(quotes: pd.DataFrame) -> None:
    """Refuse a table that lacks a column of a chain, or holds values that are no quotes."""
    missing = [name for name in QUOTE_COLUMNS if name not in quotes]
    if missing:
        raise InputError(f"the chain lacks {', '.join(missing)}; its columns are {', '.join(QUOTE_COLUMNS)}")
    if quotes.empty:
        raise InputError("the chain has no quotes; at least one contract is needed")
    strike = column(quotes, "strike")
    require((strike > 0) & (strike <= LARGEST), strike, "strike", "finite and above 0")
    for name in REQUIRED_NUMBERS:
        values = column(quotes, name)
        good = (values >= 0) & (values <= LARGEST)
        if name == "open_interest":
            good |= np.isnan(values)
        require(good, values, name, f"finite, 0 or more and at most {LARGEST:g}")
    symbol = quotes["symbol"]
    require(~symbol.duplicated().to_numpy(bool), symbol.to_numpy(), "symbol", "unique: one row per contract")


def require(good: np.ndarray, values: np.ndarray, name: str, allowed: str) -> None:
    """Refuse the first value that is not good, with its row."""
    if not good.all():
        at = int(np.argmin(good))
        raise InputError(f"{name} is {values[at]} in row {at}; it must be {allowed}: mend or drop that row")
