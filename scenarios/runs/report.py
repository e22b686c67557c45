"""One HTML file that tells a run's result: the answer first, then the pictures, the tests and the inputs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from gammawall.scenarios.chains.figures import exposure_marks
from gammawall.scenarios.pages.numbers import SIGNIFICANT_Z, format_level, plain
from gammawall.scenarios.pages.templating import script_json, template
from gammawall.scenarios.record import at, entries, mapping, metric_entry, real, series_array
from gammawall.scenarios.record_types import RunRecord
from gammawall.scenarios.runs.answers import answers, metric_phrase
from gammawall.scenarios.runs.objects import RESULT
from gammawall.scenarios.runs.results import Result
from gammawall.scenarios.whole_folders import write_text

__all__ = ["FinishedRun", "render_report", "write_report"]

_TILES = (
    "pin_mass",
    "touch_probability",
    "realised_vol_pct",
    "breach_probability",
    "hedge_flow_abs_usd_bn",
)
_MOST_TILES = 4


class FinishedRun(Protocol):
    """A finished run: the record as written to JSON, and the arrays beside it."""

    @property
    def document(self) -> Mapping[str, Any]: ...

    @property
    def series(self) -> Mapping[str, Any]: ...


def write_report(result: FinishedRun, path: str | os.PathLike[str]) -> Path:
    """Write the report of a run as one HTML file that works without a network.

    Args:
        result: the run; missing or empty pieces become a sentence in the report.
        path: the file, replaced whole or not at all; in a folder that exists, ``report.html``.

    Returns:
        The path written.

    Raises:
        InputError: when the file cannot be written.

    Example:
        >>> scenarios.write_report(scenarios.run(small), "report.html").name
        'report.html'
    """
    target = Path(path)
    if target.is_dir():
        target = target / "report.html"
    return write_text(target, render_report(result))


def render_report(result: FinishedRun) -> str:
    """The report of a run as the text of an HTML page."""
    document, series = result.document, result.series
    resolved = mapping(document.get("resolved"))
    exposures = mapping(document.get("exposures"))
    first, second = answers(document, series)
    return template("report.html.j2").render(
        document=document,
        verdict=first,
        second=second,
        tiles=_tiles(document),
        pictures=_pictures(document, series),
        marks=exposure_marks(exposures, spot=at(resolved, "market", "spot")),
        exposures=exposures,
        metrics=entries(document, "metrics"),
        theory=entries(document, "theory"),
        status=mapping(document.get("status")),
        paths=at(resolved, "simulation", "paths"),
        provenance=mapping(document.get("provenance")),
        seed=mapping(document.get("provenance")).get("seed"),
        resolved=resolved,
        scenario={k: v for k, v in resolved.items() if k not in ("facts", "assumptions")},
        z_limit=SIGNIFICANT_Z,
    )


def _tiles(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The claim's metric first, then others that have something to say."""
    claimed = mapping(document.get("claim")).get("metric")
    names = dict.fromkeys([name for name in (claimed, *_TILES) if isinstance(name, str)])
    found = [(name, metric_entry(document, name)) for name in names if name != "pin_probability"]
    told = [
        (metric_phrase(name, document).removeprefix("the share of paths that ").removeprefix("the "), m)
        for name, m in found
        if real(m.get("value")) is not None and (m["value"] or m.get("baseline"))
    ]
    return told[:_MOST_TILES]


def _pictures(document: Mapping[str, Any], series: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    spot = at(mapping(document.get("resolved")), "market", "spot")
    exposures = mapping(document.get("exposures"))
    run = Result(cast(RunRecord, document), dict(series))
    shown = {
        "close": "close",
        "gex": "gamma_profile",
        "paths": "paths",
        "vol": "realised_vol",
        "flow": "hedge_flow",
    }
    drawn = {key: RESULT[name](run) for key, name in shown.items()}
    alt = {
        "close": _close_alt(series),
        "gex": "Dealer gamma in USD bn per 1 % over the index level. "
        + ", ".join(f"{n} {format_level(x)}" for n, x in exposure_marks(exposures, spot=spot)),
        "paths": "Quantiles of the index through the run, hedged and without hedging. " + _fan_alt(series),
        "vol": "Realised volatility through the run. "
        + _ends_alt(series, (("vol_pct", "hedged"), ("vol_pct_baseline", "without hedging")), "%"),
        "flow": "Mean absolute hedge flow through the run. "
        + _ends_alt(series, (("flow_bn_per_min", "hedged"),), "USD bn per minute"),
    }
    return {
        key: {"alt": alt[key], "json": None if figure is None else script_json(str(figure.to_json()))}
        for key, figure in drawn.items()
    }


def _close_alt(series: Mapping[str, Any]) -> str:
    text = "Distribution of the close, hedged and without hedging. "
    strikes, masses = series_array(series, "atom_strike"), series_array(series, "atom_mass")
    if strikes.size == 0 or strikes.size != masses.size:
        return text + "No paths close exactly at a strike."
    atoms = sorted(zip(masses, strikes, strict=True), reverse=True)[:5]
    return text + ", ".join(f"{100.0 * m:.1f} % exactly at {format_level(k)}" for m, k in atoms) + "."


def _fan_alt(series: Mapping[str, Any]) -> str:
    texts = []
    for key, name in (("fan", "hedged"), ("fan_baseline", "without hedging")):
        fan = series_array(series, key, ndim=2)
        last = fan[:, -1] if fan.size else fan
        if last.size and np.isfinite(last).all():
            texts.append(
                f"{name} the last quantiles run from {format_level(last.min())} to {format_level(last.max())}"
            )
    return "; ".join(texts) + "." if texts else ""


def _ends_alt(series: Mapping[str, Any], lines: Sequence[tuple[str, str]], unit: str) -> str:
    texts = []
    for key, name in lines:
        y = series_array(series, key)
        y = y[np.isfinite(y)]
        if y.size:
            texts.append(f"{name} from {plain(float(y[0]))} to {plain(float(y[-1]))} {unit}")
    return "; ".join(texts) + "." if texts else ""
