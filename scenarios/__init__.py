"""Stories to run: `load` a scenario, `run` it, `write_report`. Everything is imported on first use."""

if __name__ != "gammawall.scenarios":
    raise ImportError(
        "import this package as gammawall.scenarios: a second name would be a second copy of every class"
    )

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gammawall.scenarios.catalogue import library
    from gammawall.scenarios.files import load
    from gammawall.scenarios.report import write_report
    from gammawall.scenarios.results import Result
    from gammawall.scenarios.runner import run
    from gammawall.scenarios.schema import Scenario

__all__ = ["Result", "Scenario", "library", "load", "run", "write_report"]

_HOME = {
    "Result": "results",
    "Scenario": "schema",
    "library": "catalogue",
    "load": "files",
    "run": "runner",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    # The command line lives in this package and must answer --help before jax is imported.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
