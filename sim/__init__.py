"""What hedging does to the price: `simulate`, its parts, and the closed forms beside it in `theory`."""

if __name__ != "gammawall.sim":
    raise ImportError(
        "import this package as gammawall.sim: a second name would be a second copy of every class"
    )

from gammawall.sim import theory
from gammawall.sim.metrics import Metric
from gammawall.sim.simulate import SimResult, simulate
from gammawall.sim.types import GBM, Clearing, LinearImpact, Market, Measure, NoHedging, SimConfig

__all__ = [
    "GBM",
    "Clearing",
    "LinearImpact",
    "Market",
    "Measure",
    "Metric",
    "NoHedging",
    "SimConfig",
    "SimResult",
    "simulate",
    "theory",
]
