"""Who is long what: named conventions, shares by bucket, and signed flow."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gammawall.surfaces.chains.chain import OptionChain
from gammawall.surfaces.clock import calendar_years
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import DAYS_PER_YEAR, PERCENT

__all__ = ["CONVENTIONS", "SIZES", "ShareRule", "Shares", "SignedFlow", "signed_sizes"]

CONVENTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "calls_long_puts_short": lambda is_call: np.where(is_call, 1.0, -1.0),
    "calls_short_puts_long": lambda is_call: np.where(is_call, -1.0, 1.0),
    "all_long": lambda is_call: np.ones(is_call.shape),
    "all_short": lambda is_call: -np.ones(is_call.shape),
}
"""Sign of the dealers' position in each contract, from whether it is a call."""

SIZES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "open_interest": lambda quotes: quotes["open_interest"],
    "volume": lambda quotes: quotes["volume"],
    "max": lambda quotes: quotes[["open_interest", "volume"]].max(axis=1),
}
"""How many contracts there are of each."""

_LEAST_COVERAGE = 0.25
"""Below this share of contracts with a size, the column is broken rather than sparse: whole chains read
from a working feed show 75-80 %, and the one broken feed that was met showed 3 %."""


@dataclass(frozen=True)
class ShareRule:
    """Dealers' net position as a share of the size of the contracts in one bucket.

    Args:
        share: in [−1, 1]; positive when dealers are long.
        is_call: True for calls, False for puts, None for both.
        days: (from, below), calendar days to expiry.
        distance_pct: (from, below), strike over spot minus one, percent.
    """

    share: float
    is_call: bool | None = None
    days: tuple[float, float] = (0.0, np.inf)
    distance_pct: tuple[float, float] = (-np.inf, np.inf)

    def __post_init__(self) -> None:
        if not -1.0 <= self.share <= 1.0:
            raise InputError(f"share must lie between -1 and 1; got {self.share:g}")
        for name in ("days", "distance_pct"):
            low, high = getattr(self, name)
            if not low < high:
                raise InputError(f"{name} must be (from, below) with from < below; got ({low:g}, {high:g})")

    def holds(self, is_call: np.ndarray, days: np.ndarray, distance_pct: np.ndarray) -> np.ndarray:
        """Mask of the contracts in the bucket."""
        kind = np.ones(is_call.shape, bool) if self.is_call is None else is_call == self.is_call
        time = (days >= self.days[0]) & (days < self.days[1])
        return kind & time & (distance_pct >= self.distance_pct[0]) & (distance_pct < self.distance_pct[1])


@dataclass(frozen=True)
class Shares:
    """Shares by bucket: the first rule that holds counts, and `otherwise` where none does."""

    rules: tuple[ShareRule, ...]
    otherwise: float = 0.0
    name: str = "shares"


@dataclass(frozen=True, eq=False)
class SignedFlow:
    """Dealers' positions contract by contract, such as accumulated signed trades.

    Args:
        positions: dealers' signed contracts indexed by OCC symbol, one row per symbol.
        name: what to stamp on the output.
    """

    positions: pd.Series
    name: str = "signed_flow"

    def __post_init__(self) -> None:
        values = np.asarray(self.positions, float)
        if self.positions.index.has_duplicates:
            repeated = self.positions.index[self.positions.index.duplicated()][0]
            raise InputError(f"signed flow holds {repeated} twice: sum the rows of one symbol first")
        if not np.isfinite(values).all():
            symbol = self.positions.index[~np.isfinite(values)][0]
            raise InputError(f"signed flow of {symbol} is not a number: give the dealers' signed contracts")

    @classmethod
    def read_csv(cls, path: str | os.PathLike[str]) -> SignedFlow:
        """Read a file with the columns ``symbol`` and ``dealer_contracts`` (+ where dealers are long).

        Raises:
            InputError: the file cannot be read, or a column is missing or not numeric.
        """
        try:
            frame = pd.read_csv(path, dtype={"symbol": str})
        except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise InputError(f"{os.fspath(path)} cannot be read as signed flow: {error}") from None
        missing = [name for name in ("symbol", "dealer_contracts") if name not in frame]
        if missing:
            raise InputError(
                f"{os.fspath(path)} lacks {', '.join(missing)}: signed flow is a CSV with the columns symbol "
                "and dealer_contracts"
            )
        number = np.asarray(pd.to_numeric(frame["dealer_contracts"], errors="coerce"), float)
        if not np.isfinite(number).all():
            line = int(np.flatnonzero(~np.isfinite(number))[0]) + 2
            raise InputError(f"{os.fspath(path)} line {line}: dealer_contracts is not a number")
        symbols = [str(symbol).replace(" ", "") for symbol in frame["symbol"]]
        return cls(pd.Series(number, index=symbols), os.path.basename(path))


def signed_sizes(
    chain: OptionChain, convention: str | Shares | SignedFlow, size: str
) -> tuple[np.ndarray, str]:
    """Dealers' signed contracts of every row of a chain.

    Returns:
        Signed contracts (0 where there are none) and the name of the convention.

    Raises:
        InputError: unknown convention or size; a size column that is mostly empty, since exposures computed
            from it would be wrong without looking wrong; signed flow in contracts the chain does not hold.
    """
    if isinstance(convention, SignedFlow):
        return _flow_sizes(chain, convention)
    quotes = chain.quotes
    if size not in SIZES:
        raise InputError(f"size {size!r} is unknown; use one of {', '.join(SIZES)}")
    amount = np.nan_to_num(np.asarray(SIZES[size](quotes), float))
    covered = float(np.mean(amount > 0.0)) if amount.size else 0.0
    if covered < _LEAST_COVERAGE:
        raise InputError(
            f"{size} is unusable: only {covered:.0%} of {amount.size} contracts have any, at least "
            f"{_LEAST_COVERAGE:.0%} is needed; use a chain whose {size} column is filled, or another size"
        )
    is_call = quotes["is_call"].to_numpy(bool)
    if isinstance(convention, Shares):
        return amount * _shares(chain, convention), convention.name
    if convention not in CONVENTIONS:
        raise InputError(f"convention {convention!r} is unknown; use one of {', '.join(CONVENTIONS)}")
    return amount * CONVENTIONS[convention](is_call), convention


def _shares(chain: OptionChain, convention: Shares) -> np.ndarray:
    quotes = chain.quotes
    is_call = quotes["is_call"].to_numpy(bool)
    days = DAYS_PER_YEAR * calendar_years(chain.as_of, pd.DatetimeIndex(quotes["expiry"]))
    distance = PERCENT * (quotes["strike"].to_numpy(float) / chain.spot - 1.0)
    share = np.full(is_call.size, convention.otherwise)
    for rule in reversed(convention.rules):
        share[rule.holds(is_call, days, distance)] = rule.share
    return share


def _flow_sizes(chain: OptionChain, flow: SignedFlow) -> tuple[np.ndarray, str]:
    symbols = pd.Index(chain.quotes["symbol"])
    unknown = flow.positions.index.difference(symbols)
    if len(unknown):
        raise InputError(
            f"{len(unknown)} contracts of the signed flow are not in the chain, such as {unknown[0]}: give "
            "flow in the chain's own live contracts"
        )
    return flow.positions.reindex(symbols).fillna(0.0).to_numpy(float), flow.name
