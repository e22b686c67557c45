"""The risk of a portfolio under a scenario: simulated, as a record, and as a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gammawall.scenarios.record import FORMAT
from gammawall.scenarios.record_types import Status, Timing
from gammawall.scenarios.risk.portfolio_file import read_portfolio
from gammawall.scenarios.risk.record_types import (
    Cost,
    Distribution,
    LadderRow,
    PositionRow,
    RiskRecord,
    SummaryRow,
    WorstPath,
)
from gammawall.scenarios.spec.load import as_scenario
from gammawall.scenarios.spec.origin import provenance
from gammawall.scenarios.spec.scenario import Scenario
from gammawall.scenarios.whole_folders import REPORT, check_folder, to_json, write_folder
from gammawall.sim import Portfolio, PortfolioRisk, portfolio_pnl

__all__ = ["check_risk_folder", "portfolio_risk", "risk_record", "save_risk"]

_RECORD = "risk.json"
_TABLES = {
    "summary.csv": "summary",
    "positions.csv": "positions",
    "worst_paths.csv": "worst_paths",
    "ladder.csv": "ladder",
}
_PATHS = "pnl.parquet"
_FILES = frozenset({REPORT, _RECORD, _PATHS, *_TABLES})
_BINS = 121


def portfolio_risk(
    portfolio: Portfolio | pd.DataFrame | str | os.PathLike[str],
    scenario: Scenario | str | os.PathLike[str],
    *,
    levels: tuple[float, ...] = (0.95, 0.99),
    progress: Callable[[int, int], None] | None = None,
) -> PortfolioRisk:
    """What a portfolio can lose under a scenario, with and without the dealers' feedback on the price.

    Options without a vol of their own are marked with the vol that drives the price.

    Args:
        portfolio: positions, a table of them, or the path of a CSV file; see `Portfolio.from_frame`.
        scenario: from `load`, or a name or path that `load` takes.
        levels: of VaR and ES, shares such as 0.99.
        progress: called with (paths done, paths in all).

    Raises:
        InputError: the portfolio or the scenario has mistakes.

    Example:
        >>> len(scenarios.portfolio_risk(portfolio, small, levels=(0.95,)).positions)
        1
    """
    if isinstance(portfolio, str | os.PathLike):
        portfolio = read_portfolio(portfolio)
    scenario = as_scenario(scenario)
    return portfolio_pnl(
        portfolio,
        scenario.experiment(),
        rate_pct=scenario.spec.market.rate_pct,
        vol_pct=scenario.vol_pct,
        levels=levels,
        progress=progress,
    )


def risk_record(found: PortfolioRisk, scenario: Scenario, name: str, began: float) -> RiskRecord:
    """What was found as plain data.

    Args:
        found: of `portfolio_risk`.
        scenario: that it was found under.
        name: of the portfolio.
        began: `time.perf_counter` at the beginning of the work.
    """
    cost = found.cost_of_ignoring_feedback
    low, high = np.quantile(np.concatenate([found.pnl_usd, found.no_feedback_pnl_usd]), [0.0005, 0.9995])
    # A portfolio without risk has one value.
    edges = np.linspace(low, high, _BINS) if high > low else np.array([low - 1.0, low + 1.0])
    shares = {
        leg: np.histogram(pnl, edges)[0] / pnl.size
        for leg, pnl in (("feedback", found.pnl_usd), ("no_feedback", found.no_feedback_pnl_usd))
    }
    return {
        "format": FORMAT,
        "portfolio": name,
        "scenario": scenario.name,
        "story": scenario.spec.story,
        "cost_of_ignoring_feedback": Cost(measure="ES", **{str(k): float(v) for k, v in cost.items()}),
        "summary": [SummaryRow(**row) for row in _rows(found.summary)],
        "positions": [PositionRow(**row) for row in _rows(found.positions)],
        "worst_paths": [WorstPath(**row) for row in _rows(found.worst_paths)],
        "ladder": [LadderRow(**row) for row in _rows(found.ladder)],
        "distribution": Distribution(edges_usd=edges.tolist(), **{k: v.tolist() for k, v in shares.items()}),
        "notes": [*found.notes, *scenario.notes],
        "resolved": scenario.resolved(),
        "status": Status(**found.result.status),
        "timing": Timing(**found.result.timing, total_s=time.perf_counter() - began),
        "provenance": provenance(scenario),
    }


def check_risk_folder(folder: str | os.PathLike[str]) -> Path:
    """The absolute path of a folder that `save_risk` may write.

    Raises:
        InputError: it holds something else, or cannot be written.
    """
    return check_folder(folder, _FILES)


def save_risk(found: PortfolioRisk, record: RiskRecord, report: str, folder: str | os.PathLike[str]) -> Path:
    """Write the record, its page, its tables as CSV and the P&L of every path, all or nothing.

    Returns:
        The path of the page.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """

    def fill(fresh: Path) -> None:
        (fresh / REPORT).write_text(report, encoding="utf-8")
        (fresh / _RECORD).write_text(to_json(record), encoding="utf-8")
        for file, attribute in _TABLES.items():
            table: pd.DataFrame = getattr(found, attribute)
            table.to_csv(fresh / file, index=False, lineterminator="\n")
        legs = {
            "pnl_usd": found.pnl_usd,
            "no_feedback_pnl_usd": found.no_feedback_pnl_usd,
            "close_points": found.result.close,
            "no_feedback_close_points": found.result.baseline_close,
        }
        pd.DataFrame(legs).to_parquet(fresh / _PATHS, index=False)

    return write_folder(folder, fill, _FILES) / REPORT


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain data; instants as text, what is missing as None."""
    return [{str(k): _plain(v) for k, v in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    return value.isoformat() if isinstance(value, pd.Timestamp) else value
