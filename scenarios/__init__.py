"""Stories to run: `load` a scenario, `run` it, `write_report`. Everything is imported on first use.

Every command of ``gammawall`` is a function here under the same name, with ``_`` for ``-``; ``list`` is
`library`, ``risk`` is `portfolio_risk` and ``ledger`` is `judge_all`.
"""

if __name__ != "gammawall.scenarios":
    raise ImportError(
        "import this package as gammawall.scenarios: a second name would be a second copy of every class"
    )

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gammawall.scenarios.api import calibrate_impact, export, exposures, surface
    from gammawall.scenarios.claims.amplification import amplification_curve
    from gammawall.scenarios.claims.judge import Judgement, judge
    from gammawall.scenarios.claims.ledger import judge_all, plan
    from gammawall.scenarios.installation import doctor
    from gammawall.scenarios.risk.portfolio_file import read_portfolio
    from gammawall.scenarios.risk.record import portfolio_risk
    from gammawall.scenarios.runs.cell_store import CellStore
    from gammawall.scenarios.runs.comparison import compare
    from gammawall.scenarios.runs.report import write_report
    from gammawall.scenarios.runs.results import Result
    from gammawall.scenarios.runs.runner import run
    from gammawall.scenarios.spec.catalogue import library, show
    from gammawall.scenarios.spec.load import load
    from gammawall.scenarios.spec.registry import register_kind
    from gammawall.scenarios.spec.scenario import Scenario
    from gammawall.scenarios.sweeps.result import Sweep
    from gammawall.scenarios.sweeps.sweep import sweep

__all__ = [
    "CellStore",
    "Judgement",
    "Result",
    "Scenario",
    "Sweep",
    "amplification_curve",
    "calibrate_impact",
    "compare",
    "doctor",
    "export",
    "exposures",
    "judge",
    "judge_all",
    "library",
    "load",
    "plan",
    "portfolio_risk",
    "read_portfolio",
    "register_kind",
    "run",
    "show",
    "surface",
    "sweep",
    "write_report",
]

_HOME = {
    "CellStore": "runs.cell_store",
    "plan": "claims.ledger",
    "Judgement": "claims.judge",
    "Result": "runs.results",
    "Scenario": "spec.scenario",
    "Sweep": "sweeps.result",
    "amplification_curve": "claims.amplification",
    "judge": "claims.judge",
    "judge_all": "claims.ledger",
    "calibrate_impact": "api",
    "compare": "runs.comparison",
    "doctor": "installation",
    "export": "api",
    "exposures": "api",
    "library": "spec.catalogue",
    "load": "spec.load",
    "portfolio_risk": "risk.record",
    "read_portfolio": "risk.portfolio_file",
    "register_kind": "spec.registry",
    "run": "runs.runner",
    "show": "spec.catalogue",
    "surface": "api",
    "sweep": "sweeps.sweep",
    "write_report": "runs.report",
}


def __getattr__(name: str) -> Any:
    # The command line lives in this package and must answer --help before jax is imported.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
