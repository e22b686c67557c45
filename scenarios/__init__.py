"""Stories to run: `load` a scenario, `run` it, `write_report`. Everything is imported on first use."""

if __name__ != "gammawall.scenarios":
    raise ImportError(
        "import this package as gammawall.scenarios: a second name would be a second copy of every class"
    )

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gammawall.scenarios.amplification import amplification_curve
    from gammawall.scenarios.catalogue import library
    from gammawall.scenarios.claims import Judgement, judge
    from gammawall.scenarios.comparison import compare
    from gammawall.scenarios.files import load
    from gammawall.scenarios.ledger import judge_all
    from gammawall.scenarios.portfolio_file import read_portfolio
    from gammawall.scenarios.report import write_report
    from gammawall.scenarios.results import Result
    from gammawall.scenarios.risk_record import portfolio_risk
    from gammawall.scenarios.runner import run
    from gammawall.scenarios.schema import Scenario
    from gammawall.scenarios.sweeps import Sweep, sweep

__all__ = [
    "Judgement",
    "Result",
    "Scenario",
    "Sweep",
    "amplification_curve",
    "compare",
    "judge",
    "judge_all",
    "library",
    "load",
    "portfolio_risk",
    "read_portfolio",
    "run",
    "sweep",
    "write_report",
]

_HOME = {
    "Judgement": "claims",
    "Result": "results",
    "Scenario": "schema",
    "Sweep": "sweeps",
    "amplification_curve": "amplification",
    "judge": "claims",
    "judge_all": "ledger",
    "compare": "comparison",
    "library": "catalogue",
    "load": "files",
    "portfolio_risk": "risk_record",
    "read_portfolio": "portfolio_file",
    "run": "runner",
    "sweep": "sweeps",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    # The command line lives in this package and must answer --help before jax is imported.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
