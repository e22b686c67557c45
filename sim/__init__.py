"""What hedging does to the price: `simulate`, its parts, and the closed forms beside it in `theory`."""

if __name__ != "gammawall.sim":
    raise ImportError(
        "import this package as gammawall.sim: a second name would be a second copy of every class"
    )

from gammawall.sim import theory
from gammawall.sim.derivatives.reverse_stress import ReverseStress, reverse_stress
from gammawall.sim.derivatives.sensitivity import SMOOTH_METRICS, Sensitivities, sensitivities
from gammawall.sim.engine.experiment import Experiment
from gammawall.sim.engine.result import SimResult
from gammawall.sim.engine.simulate import simulate
from gammawall.sim.measure.close_law import CloseLaw
from gammawall.sim.measure.metrics import METRICS, Metric
from gammawall.sim.models.dynamics import GBM, Bachelier, Catalyst, Dynamics, NormalDynamics, NormalMoves
from gammawall.sim.models.hedging import (
    Band,
    CharmOnly,
    Clearing,
    Clock,
    HedgingPolicy,
    NoHedging,
    Option,
    StatefulPolicy,
    View,
    Zakamouline,
)
from gammawall.sim.models.heston import Heston
from gammawall.sim.models.impact import FunctionImpact, Impact, LinearImpact, ObizhaevaWang, PowerLaw
from gammawall.sim.models.jumps import Jumps
from gammawall.sim.models.order_flow import OrderFlow, Orders
from gammawall.sim.models.protocols import check_protocol
from gammawall.sim.models.stochastic_level import StochasticLevel
from gammawall.sim.models.surface_motion import Motion, Smile, SpotVolBeta, StickyMoneyness, StickyStrike
from gammawall.sim.models.zero_dte_flow import ZeroDteFlow
from gammawall.sim.portfolio.portfolio import Portfolio
from gammawall.sim.portfolio.portfolio_risk import PortfolioRisk, portfolio_pnl
from gammawall.sim.portfolio.repricing import Repricing, stress_ladder
from gammawall.sim.sampling.schedule import Schedule
from gammawall.sim.types import Market, Measure, SimConfig

__all__ = [
    "GBM",
    "METRICS",
    "SMOOTH_METRICS",
    "Bachelier",
    "Band",
    "Catalyst",
    "CharmOnly",
    "Clearing",
    "Clock",
    "CloseLaw",
    "Dynamics",
    "Experiment",
    "FunctionImpact",
    "HedgingPolicy",
    "Heston",
    "Impact",
    "Jumps",
    "LinearImpact",
    "Market",
    "Measure",
    "Metric",
    "Motion",
    "NoHedging",
    "NormalDynamics",
    "NormalMoves",
    "ObizhaevaWang",
    "Option",
    "OrderFlow",
    "Orders",
    "Portfolio",
    "PortfolioRisk",
    "PowerLaw",
    "Repricing",
    "ReverseStress",
    "Schedule",
    "Sensitivities",
    "SimConfig",
    "SimResult",
    "Smile",
    "SpotVolBeta",
    "StatefulPolicy",
    "StickyMoneyness",
    "StickyStrike",
    "StochasticLevel",
    "View",
    "Zakamouline",
    "ZeroDteFlow",
    "check_protocol",
    "portfolio_pnl",
    "reverse_stress",
    "sensitivities",
    "simulate",
    "stress_ladder",
    "theory",
]
