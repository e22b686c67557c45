"""A portfolio of index options and futures, read from a CSV file."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pandas as pd

from gammawall.sim import Portfolio
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.limits import read_limited

__all__ = ["MOST_BYTES", "read_portfolio"]

MOST_BYTES = 20_000_000
"""Of a file; a hundred thousand positions take a tenth."""


def read_portfolio(path: str | os.PathLike[str], *, most_bytes: int = MOST_BYTES) -> Portfolio:
    """Read a CSV with a line of column names and one position per line.

    Args:
        path: with the columns that `Portfolio.from_frame` lists: type, contracts, strike, expiry and, if
            wanted, vol_pct, multiplier and label.
        most_bytes: a larger file is refused unread.

    Raises:
        InputError: the file cannot be read, or something in it is not possible; names row and column, rows
            counted from 1 below the column names, without empty lines.

    Example:
        >>> portfolio.to_csv("portfolio.csv", index=False)
        >>> scenarios.read_portfolio("portfolio.csv").contracts.tolist()
        [-50.0]
    """
    file = Path(path)
    try:
        if file.is_dir():
            raise InputError(f"{file} is a folder: name a CSV file")
        content = _read(file, most_bytes)
        # Nothing is unpacked, evaluated or taken for a missing value: everything is text.
        texts = pd.read_csv(
            io.BytesIO(content),
            header=None,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            skipinitialspace=True,
            compression=None,
        )
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from None
    except pd.errors.EmptyDataError:
        raise InputError(f"{file} is empty: give a line of column names and one line per position") from None
    except InputError:
        raise
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{file} is not a CSV file in UTF-8 with one width throughout: {reason}") from None
    try:
        return Portfolio.from_frame(texts.iloc[1:].set_axis(list(texts.iloc[0]), axis=1))
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def _read(file: Path, most_bytes: int) -> bytes:
    try:
        return read_limited(file, most_bytes)
    except ValueError as error:
        raise InputError(f"{file} cannot be read as a portfolio: {error}") from None
