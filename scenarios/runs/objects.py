"""The figures of a run and of a simulation, by name: what ``figure(name)`` draws and the report shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import plotly.graph_objects as go

from gammawall.scenarios.chains.figures import gex_profile
from gammawall.scenarios.record import at, entries, mapping, real
from gammawall.scenarios.runs.figures import close_distribution, hedge_flow, path_fan, realised_vol
from gammawall.scenarios.runs.results import Result
from gammawall.scenarios.runs.series import run_series
from gammawall.sim import SimResult

__all__ = ["RESULT", "SIM_RESULT"]


def _close(run: Result) -> go.Figure | None:
    resolved = _resolved(run)
    exact = next((t for t in entries(run.document, "theory") if t.get("name") == "pin_mass"), {})
    return close_distribution(
        run.series,
        strike=at(resolved, "measure", "strike"),
        band_points=at(resolved, "measure", "band_points"),
        theory_mass=real(exact.get("closed_form")),
    )


def _gamma(run: Result) -> go.Figure | None:
    exposures = mapping(run.document.get("exposures")) or None
    return gex_profile(run.series, exposures=exposures, spot=at(_resolved(run), "market", "spot"))


def _paths(run: Result) -> go.Figure | None:
    return path_fan(run.series, strike=at(_resolved(run), "measure", "strike"), start=_start(run))


def _resolved(run: Result) -> Mapping[str, object]:
    return mapping(run.document.get("resolved"))


def _start(run: Result) -> object:
    return mapping(_resolved(run).get("market")).get("start")


def _sim_close(found: SimResult) -> go.Figure | None:
    strike, law = found.measure.strike, found.law
    mass = None if law is None else float(law.mass(np.log(strike)))
    band = found.measure.band_points
    return close_distribution(run_series(found), strike=strike, band_points=band, theory_mass=mass)


RESULT: dict[str, Callable[[Result], go.Figure | None]] = {
    "close": _close,
    "gamma_profile": _gamma,
    "paths": _paths,
    "realised_vol": lambda run: realised_vol(run.series, start=_start(run)),
    "hedge_flow": lambda run: hedge_flow(run.series, start=_start(run)),
}
SIM_RESULT: dict[str, Callable[[SimResult], go.Figure | None]] = {
    "close": _sim_close,
    "paths": lambda found: path_fan(run_series(found), strike=found.measure.strike),
    "realised_vol": lambda found: realised_vol(run_series(found)),
    "hedge_flow": lambda found: hedge_flow(run_series(found)),
}
