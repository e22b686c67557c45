"""What the command line prints: tables on a terminal, plain text elsewhere."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gammawall.scenarios.pages.numbers import unbroken

if TYPE_CHECKING:
    from gammawall.scenarios.record_types import RunRecord
    from gammawall.scenarios.risk.record_types import RiskRecord

__all__ = [
    "HEADLINES",
    "capped_sentence",
    "folder_name",
    "print_report",
    "print_sentence",
    "table",
    "terminal",
]

_WIDTH_WHEN_PIPED = 10_000
HEADLINES = (
    "pin_probability",
    "pin_mass",
    "touch_probability",
    "breach_probability",
    "realised_vol_pct",
    "last_30min_vol_pct",
    "range_points",
    "hedge_flow_abs_usd_bn",
)
"""The metrics of a run that a terminal is shown."""


def terminal() -> Console:
    """Standard output: plain text without colours or wrapping where it is not a terminal."""
    # No setting of the environment brings colours or wrapping into a file or a pipe.
    piped = not sys.stdout.isatty()
    return Console(
        width=_WIDTH_WHEN_PIPED if piped else None,
        highlight=False,
        force_terminal=False if piped else None,
        no_color=True if piped else None,
    )


def folder_name(name: str, chain: str | None = None) -> str:
    """A scenario's name, with its chain's, as a folder name that cannot leave its parent."""
    full = name if chain is None else f"{name}-{Path(chain).stem}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", full).strip(".-")[:100] or "scenario"


def capped_sentence(document: RunRecord | RiskRecord) -> str:
    """What it means that some price left the grid."""
    status, paths = document["status"], document["resolved"]["simulation"]["paths"]
    return (
        f"on {status['paths_capped']:,} of {paths:,} paths no price on the grid cleared the market and the "
        "step was capped: probabilities may be off by that share and averages by more; where it is large, "
        "reduce impact.bp_per_usd_bn or the short positions"
    )


def table(*heads: str) -> Table:
    """A table without lines."""
    return Table(*heads, box=None, pad_edge=False)


def print_sentence(console: Console, sentence: str, style: str = "") -> None:
    """A sentence wrapped between its words, never inside a number and its error."""
    for line in textwrap.wrap(unbroken(sentence), console.width):
        console.print(Text(line.replace("\u00a0", " "), style=style))


def print_report(console: Console, report: Path) -> None:
    """Where the page is, as a link."""
    console.print(Text(f"report: {report.resolve().as_uri()}"), soft_wrap=True)
