"""The table of docs/model.md: closed forms beside simulations.

python -m tests.helpers.validation_table --write
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from gammawall import sim
from gammawall.sim import theory
from tests.helpers.policy_runs import UNIT, scale, simulate, steady_book, variance_ratio
from tests.helpers.sim_runs import BLOCK, DAY, SPOT, VOL, make_book, make_market, run, same_shape
from tests.sim.test_model_table import closing_probabilities

PAGE = Path(__file__).parents[2] / "docs" / "model.md"
BEGIN, END = "<!-- validation table: begin -->", "<!-- validation table: end -->"
HEADER = "| quantity | case | closed form | simulated | standard error | allowed |"


class Row(NamedTuple):
    """One line of the table."""

    quantity: str
    case: str
    closed_form: float
    simulated: float
    stderr: float
    approximation: float = 0.0
    """of the closed form's own assumptions by the simulated book, relative"""

    @property
    def allowed(self) -> float:
        return 4.0 * self.stderr + self.approximation * self.closed_form

    def line(self) -> str:
        numbers = (f"{v:.4f}" for v in (self.closed_form, self.simulated, self.stderr, self.allowed))
        return f"| {self.quantity} | {self.case} | {' | '.join(numbers)} |"


def quick_rows() -> Iterator[Row]:
    """One compiled shape: continuous hedging of one strike."""
    for bp, contracts, spot in ((3.0, 20_000, 7000.0), (6.0, 20_000, 7000.0), (3.0, 20_000, 6965.0)):
        book = same_shape(contracts, spot=spot)
        found = run(book, bp, market=make_market(spot), paths=8 * BLOCK)
        case = f"λ = {bp:g}, {contracts:,} contracts, S₀ = {spot:,.0f}"
        wall = theory.log_wall(contracts, spot, bp)
        atom = theory.pin_mass(np.log(7000.0), wall, log_spot=np.log(spot), total_vol=scale())[0]
        near, _ = closing_probabilities(bp, contracts, spot)
        for name, words, exact in (
            ("pin_mass", "close at 7,000", float(atom)),
            ("pin_probability", "close within 5 points of 7,000", near),
        ):
            yield Row(words, case, exact, found[name].value, found[name].stderr)
        if (bp, spot) == (3.0, 7000.0):
            low, high = (np.log(k / spot) / scale() + 0.5 * scale() for k in (6995.0, 7005.0))
            metric = found["pin_probability"]
            exact = float(ndtr(high) - ndtr(low))
            yield Row(
                "the same, nobody hedging", "S₀ = 7,000", exact, metric.baseline, metric.baseline_stderr
            )


def slow_rows() -> Iterator[Row]:
    """Other policies and impacts, each compiled for itself; gamma of a year's option is constant to 1 %."""
    for g in (0.5, -0.5):
        found = run(steady_book(g), paths=4 * BLOCK)
        vol = found["horizon_vol_pct"]
        exact = 100.0 * float(theory.effective_vol(VOL, g))
        yield Row("vol of the day, %", f"g = {g:g}, continuous", exact, vol.value, vol.stderr, 0.005)
    for g in (0.5, -0.5):
        found = simulate(steady_book(g), sim.Clock(10.0), steps=39, sample_minutes=10.0)
        exact = float(theory.lag_one_variance(g, 39))
        yield Row("variance / σ²T", f"g = {g:g}, one step late, N = 39", exact, *variance_ratio(found), 0.011)
    half_life = 390.0 * float(np.log(2.0)) / 5.0
    for g in (1.0, -1.0):
        found = simulate(steady_book(0.5 * g), impact=sim.ObizhaevaWang(0.6, 2.4, half_life), steps=390)
        exact = float(theory.transient_variance(g, 0.1, 0.4, 5.0))
        case = f"transient impact, G = {g:g}, λ = .1, κ = .4, ρ = 5"
        yield Row("variance / σ²T", case, exact, *variance_ratio(found), 0.005)
    for alpha in (1.0, 2.0, 4.0):
        book = make_book(alpha * scale() / UNIT / 100.0, SPOT)
        pinned = simulate(book, sim.CharmOnly(), steps=100, geometric=0.05, keep_paths=0)["pin_mass"]
        exact = float(theory.charm_only_pin_probability(alpha))
        yield Row("close at the strike", f"charm only, α = {alpha:g}", exact, pinned.value, pinned.stderr)
    book, clock = make_book(-1.0, SPOT, vol=0.15), sim.Clock(10.0, lag=0)
    found = simulate(book, clock, sim.LinearImpact(0.0), vol=0.15, steps=39, paths=16_384, keep_paths=0)
    std = found["dealer_pnl_std_usd_mn"]
    exact = float(theory.hedging_error_std(SPOT, 0.15, DAY, 39))
    yield Row("hedging error, points", "no impact, N = 39", exact, 1e4 * std.value, 1e4 * std.stderr, 0.05)


def stated() -> list[list[str]]:
    """Cells of the table as it stands in the page."""
    text = PAGE.read_text(encoding="utf-8")
    body = text[text.index(BEGIN) : text.index(END)].splitlines()
    lines = [line for line in body if line.startswith("| ")]
    assert lines[0] == HEADER
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def main() -> None:
    lines = [
        HEADER,
        "|---|---|---|---|---|---|",
        *(row.line() for rows in (quick_rows, slow_rows) for row in rows()),
    ]
    table = "\n".join(lines)
    if "--write" not in sys.argv:
        print(table)
        return
    text = PAGE.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    PAGE.write_text(f"{before}\n{table}\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
