"""Tables of positions that the tests of portfolios share."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tests.helpers.sim_runs import CLOSE

NOON, MONTH = "2026-01-28T12:00:00", "2026-02-27T16:00:00"
COLUMNS = ["type", "contracts", "strike", "expiry", "vol_pct"]


def table(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


FUTURE = table(("future", 10, None, None, None))
EARLY = table(("call", 0, 7000.0, "2026-01-28T10:30", 12.0), ("put", 0, 7000.0, NOON, 12.0))
"""Nothing, but with it every run keeps the prices of two instants and shares one compiled block."""
STRADDLE = table(("call", -20, 7000.0, CLOSE, 12.0), ("put", -20, 7000.0, CLOSE, 12.0))
MIXED = table(
    ("future", -3, None, None, None),
    ("call", -20, 7000.0, CLOSE, 12.0),
    ("put", -60, 6950.0, CLOSE, 13.0),
    ("call", 10, 7050.0, MONTH, 14.0),
    ("put", 25, 6900.0, MONTH, 16.0),
)
