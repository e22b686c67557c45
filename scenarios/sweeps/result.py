"""What a sweep found: one row per cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gammawall.scenarios.spec.scenario import Scenario
from gammawall.scenarios.sweeps.grid import Grid
from gammawall.surfaces.display import Display

__all__ = ["NUMBERS", "Sweep"]

NUMBERS = ("value", "stderr", "baseline", "baseline_stderr", "difference", "difference_stderr")
"""of every metric of a cell"""


@dataclass(frozen=True, repr=False)
class Sweep(Display):
    """What a sweep found."""

    scenario: Scenario
    """the base, from which each cell differs by the swept keys"""
    grid: Grid
    table: pd.DataFrame
    """one row per cell, the last key of the grid running fastest: the swept keys; ``cell``, its key; for
    every metric ``NAME.value``, ``.stderr``, ``.baseline``, ``.baseline_stderr``, ``.difference`` and
    ``.difference_stderr``; ``status.…``; what it was made with. ``attrs`` holds units and descriptions."""
    counts: dict[str, int]
    """cells in all, found (on disk), run, and redone (run because their file was damaged)"""

    @property
    def capped(self) -> int:
        """Cells in which some price left the grid."""
        return int(np.count_nonzero(self.table["status.paths_capped"]))

    def numbers(self, metric: str, number: str = "value") -> np.ndarray:
        """One of `NUMBERS` of a metric in every cell, [cells]."""
        return self.table[f"{metric}.{number}"].to_numpy(float)

    def frame(self) -> pd.DataFrame:
        """One row per cell, as in `table`."""
        return self.table.copy()

    def summary(self) -> list[tuple[str, str]]:
        """The scenario, the keys that were swept and how many cells there are."""
        keys = " × ".join(f"{key} ({len(values)})" for key, values in self.grid.items())
        return [("scenario", self.scenario.name), ("grid", keys), ("cells", f"{len(self.table):,}")]
