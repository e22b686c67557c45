"""The tables of docs/choosing.md: one wall under every policy and every impact.

python -m tests.helpers.choices_table --write
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gammawall import sim
from gammawall.surfaces import Book

PAGE = Path(__file__).parents[2] / "docs" / "choosing.md"
MARKS = "<!-- {} table: begin -->", "<!-- {} table: end -->"
HEADER = "| | long: within 5 points, % | long: vol, % | short: within 5 points, % | short: vol, % |"

OPEN, CLOSE = "2026-01-28T09:30", "2026-01-28T16:00"
STEPS = sim.SimConfig(paths=16_384, steps=390)
LAMBDA = 3.0

TABLES: dict[str, dict[str, dict[str, Any]]] = {
    "policy": {
        "`NoHedging()`": {"hedging": sim.NoHedging()},
        "`Clearing()`": {"hedging": sim.Clearing()},
        "`Clearing(0.5)`": {"hedging": sim.Clearing(0.5)},
        "`Clock(1)`": {"hedging": sim.Clock(1.0)},
        "`Clock(30)`": {"hedging": sim.Clock(30.0)},
        "`Band(1.0)`": {"hedging": sim.Band(1.0)},
        "`Zakamouline(0.1, 100.0)`": {"hedging": sim.Zakamouline(0.1, 100.0)},
        "`CharmOnly()`": {
            "hedging": sim.CharmOnly(),
            "config": sim.SimConfig(paths=16_384, steps=390, geometric=0.05),
        },
    },
    "impact": {
        "`LinearImpact(1.0)`": {"impact": sim.LinearImpact(1.0)},
        "`LinearImpact(3.0)`": {"impact": sim.LinearImpact(3.0)},
        "`LinearImpact(6.0)`": {"impact": sim.LinearImpact(6.0)},
        "`ObizhaevaWang(1.0, 2.0, 10.0)`": {"impact": sim.ObizhaevaWang(1.0, 2.0, 10.0)},
        "`PowerLaw(3.0, 0.7)`": {"impact": sim.PowerLaw(3.0, 0.7)},
    },
}


class Row(NamedTuple):
    """One choice: the pin probability, its standard error and the realised vol, dealers long and short."""

    choice: str
    numbers: tuple[tuple[float, float, float], tuple[float, float, float]]

    def line(self) -> str:
        (pin, error, vol), (short_pin, short_error, short_vol) = self.numbers
        cells = (
            f"{pin:.1f} ± {error:.1f}",
            f"{vol:.1f}",
            f"{short_pin:.1f} ± {short_error:.1f}",
            f"{short_vol:.1f}",
        )
        return f"| {self.choice} | {' | '.join(cells)} |"


def rows(table: str) -> Iterator[Row]:
    for choice, changed in TABLES[table].items():
        yield Row(choice, (_numbers(20_000, changed), _numbers(-20_000, changed)))


def _numbers(contracts: float, changed: dict[str, Any]) -> tuple[float, float, float]:
    usual = {
        "market": sim.Market(7000.0, OPEN, CLOSE),
        "dynamics": sim.GBM(0.12),
        "impact": sim.LinearImpact(LAMBDA),
        "config": STEPS,
        "seed": 7,
    }
    found = sim.simulate(wall(contracts), **{**usual, **changed})
    pin = found["pin_probability"]
    return 100.0 * pin.value, 100.0 * pin.stderr, found["realised_vol_pct"].value


def wall(contracts: float) -> Book:
    """Calls at 7,000 that expire at the close."""
    return Book.from_positions(
        contracts=contracts, strike=7000.0, expiry=CLOSE, vol=0.12, spot=7000.0, as_of=OPEN
    )


def stated(table: str) -> list[list[str]]:
    """Cells of the page's table."""
    begin, end = (mark.format(table) for mark in MARKS)
    text = PAGE.read_text(encoding="utf-8").split(begin)[1].split(end)[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def main() -> None:
    for table in TABLES:
        begin, end = (mark.format(table) for mark in MARKS)
        lines = [HEADER, "|" + "---|" * 5, *(row.line() for row in rows(table))]
        print("\n".join(lines))
        if "--write" in sys.argv:
            page = PAGE.read_text(encoding="utf-8")
            head, rest = page.split(begin)
            PAGE.write_text(
                f"{head}{begin}\n" + "\n".join(lines) + f"\n{end}{rest.split(end)[1]}", encoding="utf-8"
            )


if __name__ == "__main__":
    main()
