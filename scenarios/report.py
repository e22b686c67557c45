"""One HTML file that tells a run's result: the answer first, then the pictures, the tests and the inputs."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jinja2
import numpy as np
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from gammawall.scenarios import drawing, figures
from gammawall.scenarios.drawing import format_level, real, series_array
from gammawall.surfaces.errors import InputError

__all__ = [
    "RunRecord",
    "Verdict",
    "format_estimate",
    "render_report",
    "script_json",
    "template",
    "verdict",
    "write_report",
]

SIGNIFICANT_Z = 4.0
"""Standard errors beyond which a difference is called an effect, and a simulation at odds with theory."""

_TILES = {
    "pin_mass": "close exactly at the strike",
    "realised_vol_pct": "realised volatility",
    "breach_probability": "close above the strike",
    "hedge_flow_abs_usd_bn": "hedge flow",
}


class RunRecord(Protocol):
    """A finished run: the record as written to JSON, and the arrays beside it."""

    @property
    def document(self) -> Mapping[str, Any]: ...

    @property
    def series(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Verdict:
    """The answer of a run.

    Attributes:
        kind: ``pins``, ``repelled``, ``none`` (no detectable effect) or ``unknown`` (not measured).
        parts: the sentence in pieces, each with True where it is a number.
        detail: the size of the difference in words, empty where there is none.
    """

    kind: str
    parts: tuple[tuple[str, bool], ...]
    detail: str = ""

    @property
    def text(self) -> str:
        return "".join(piece for piece, _ in self.parts)


def write_report(result: RunRecord, path: str | os.PathLike[str]) -> Path:
    """Write the report of a run as one HTML file that works without a network.

    Args:
        result: the run; missing or empty pieces become a sentence in the report.
        path: the file, replaced whole or not at all; in a folder that exists, ``report.html``.

    Returns:
        The path written.

    Raises:
        InputError: when the file cannot be written.
    """
    target = Path(path)
    if target.is_dir():
        target = target / "report.html"
    page = render_report(result)
    # In the same folder, since a rename is atomic only within one file system.
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(page, encoding="utf-8")
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(
            f"cannot write the report to {str(target)!r} ({error.strerror}): name a file in a writable folder"
        ) from error
    return target


def render_report(result: RunRecord) -> str:
    """The report of a run as the text of an HTML page."""
    document, series = result.document, result.series
    resolved = _mapping(document.get("resolved"))
    exposures = _mapping(document.get("exposures"))
    return template("report.html.j2").render(
        document=document,
        verdict=verdict(document, series),
        tiles=[(label, _metric(document, name)) for name, label in _TILES.items()],
        pictures=_pictures(document, series),
        marks=figures.exposure_marks(exposures, spot=_at(resolved, "market", "spot")),
        exposures=exposures,
        metrics=_records(document, "metrics"),
        theory=_records(document, "theory"),
        status=_mapping(document.get("status")),
        paths=_at(resolved, "simulation", "paths"),
        resolved=resolved,
        scenario={k: v for k, v in resolved.items() if k not in ("facts", "assumptions")},
        colours={
            name: getattr(drawing, name.upper()) for name in ("hedged", "baseline", "theory", "exposure")
        },
        plotly=Markup(get_plotlyjs()),
        z_limit=SIGNIFICANT_Z,
    )


def verdict(document: Mapping[str, Any], series: Mapping[str, Any]) -> Verdict:
    """The answer of a run in one sentence, from the paired difference in ``pin_probability``.

    Four standard errors separate an effect from none; the sign says whether the price is drawn to the
    strike or driven from it.
    """
    resolved = _mapping(document.get("resolved"))
    strike, band = _at(resolved, "measure", "strike"), _at(resolved, "measure", "band_points")
    where = format_level(strike) if strike is not None else "the strike"
    near = f"within ±{format_level(band)} points of" if band is not None else "near"
    metric = _metric(document, "pin_probability")
    value, baseline = real(metric.get("value")), real(metric.get("baseline"))
    if value is None:
        return Verdict(
            "unknown", ((f"This run did not measure how often the index closes near {where}.", False),)
        )
    side = _gamma_side(series, strike)
    lead = f"With dealers {side} gamma at {where}" if side else "With dealers hedging"
    parts = [
        (f"{lead}, the index closes {near} {'it' if side else where} in ", False),
        (format_estimate(value, metric.get("stderr"), "probability"), True),
    ]
    if baseline is None:
        return Verdict(
            "unknown", (*parts, (" of paths; there is no run without hedging to compare with.", False))
        )
    number = format_estimate(baseline, metric.get("baseline_stderr"), "probability")
    parts += [(" of paths, against ", False), (number, True), (" without hedging: ", False)]
    difference, stderr = real(metric.get("difference")), real(metric.get("difference_stderr"))
    if difference is None or stderr is None:
        return Verdict("unknown", (*parts, ("no standard error, so no verdict.", False)))
    kind = "none" if not _clear(difference, stderr) else "pins" if difference > 0.0 else "repelled"
    capped = _capped_share(document)
    if capped and not _clear(max(abs(difference) - capped, 0.0), stderr):
        share = f"no verdict, since on {_share(capped)} of them no price cleared the market."
        return Verdict("unknown", (*parts, (share, False)))
    drawn = f"the price is drawn to {where}." if side == "short" else "the wall pins."
    away = "the price is held elsewhere." if side == "long" else "the price is repelled."
    ending = {"pins": drawn, "repelled": away, "none": "no detectable effect."}[kind]
    return Verdict(kind, (*parts, (ending, False)), _difference_detail(difference, stderr, document))


def _capped_share(document: Mapping[str, Any]) -> float:
    """Share of paths on which some step was capped: no difference smaller than it can be trusted."""
    paths = _at(_mapping(document.get("resolved")), "simulation", "paths")
    return (_at(document, "status", "paths_capped") or 0.0) / paths if paths else 0.0


def _clear(difference: float | None, stderr: float | None) -> bool:
    """True for a difference at least four standard errors from zero."""
    if not difference or stderr is None:
        return False
    return abs(difference) >= SIGNIFICANT_Z * stderr


def _difference_detail(difference: float, stderr: float, document: Mapping[str, Any]) -> str:
    if difference == 0.0:
        return "The two shares are equal."
    size = format_estimate(100.0 * difference, 100.0 * stderr, signed=True)
    text = f"Difference {size} percentage points"
    if stderr > 0.0:
        text += f", {abs(difference) / stderr:,.0f} standard errors"
    paths = _at(_mapping(document.get("resolved")), "simulation", "paths")
    return text + (f", from {paths:,.0f} paths paired with the same shocks." if paths else ".")


def _gamma_side(series: Mapping[str, Any], strike: float | None) -> str:
    """``long`` or ``short``: the sign of the whole book's gamma at the strike when the run begins."""
    spot, total = series_array(series, "gex_spot"), series_array(series, "gex_total_bn")
    if strike is None or spot.size == 0 or spot.size != total.size or not spot[0] <= strike <= spot[-1]:
        return ""
    here = float(np.interp(strike, spot, total))
    if not abs(here) > 1e-6 * float(np.nanmax(np.abs(total))):
        return ""
    return "long" if here > 0.0 else "short"


def format_estimate(value: Any, stderr: Any = None, unit: Any = "", *, signed: bool = False) -> str:
    """A number with its standard error, rounded to the error's first digit; ``–`` where there is none.

    Args:
        value: the estimate, in ``unit``.
        stderr: its standard error, in ``unit``; left out of the text where missing or zero.
        unit: ``probability`` is written in percent; any other unit is left to the caller.
        signed: write a plus sign too.
    """
    number, error = real(value), real(stderr)
    if number is None:
        return "–"
    scale, sign = (100.0, " %") if unit == "probability" else (1.0, "")
    number, error = scale * number, scale * error if error is not None else None
    # A ratio of a number with itself has rounding for an error.
    if not error or error < 1e-12 * abs(number):
        return _plain(number, signed) + sign
    decimals = min(max(-math.floor(math.log10(error)), 0), 8)
    plus = "+" if signed else "-"
    text = f"{number:{plus},.{decimals}f}{sign} ± {error:,.{decimals}f}{sign}"
    return text.replace("-", "−")


def format_exact(value: Any, stderr: Any = None) -> str:
    """A number without error of its own, to one digit more than the estimate it is compared with."""
    error = real(stderr)
    return format_estimate(value, 0.1 * error if error else None).split(" ±")[0]


def _plain(number: float, signed: bool = False) -> str:
    plus = "+" if signed else "-"
    size = abs(number)
    if size >= 1e15 or 0.0 < size < 1e-4:
        text = f"{number:{plus}.3e}"
    elif number == int(number):
        text = f"{number:{plus},.0f}"
    else:
        decimals = max(1, 3 - math.floor(math.log10(size)))
        text = f"{number:{plus},.{decimals}f}".rstrip("0").removesuffix(".")
    return text.replace("-", "−")


def _pictures(document: Mapping[str, Any], series: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    resolved = _mapping(document.get("resolved"))
    strike, band = _at(resolved, "measure", "strike"), _at(resolved, "measure", "band_points")
    spot, start = _at(resolved, "market", "spot"), _mapping(resolved.get("market")).get("start")
    exposures = document.get("exposures") or None
    exact = next((t for t in _records(document, "theory") if t.get("name") == "pin_mass"), {})
    drawn = {
        "close": figures.close_distribution(
            series, strike=strike, band_points=band, theory_mass=real(exact.get("closed_form"))
        ),
        "gex": figures.gex_profile(series, exposures=exposures, spot=spot),
        "paths": figures.path_fan(series, strike=strike, start=start),
        "vol": figures.realised_vol(series, start=start),
        "flow": figures.hedge_flow(series, start=start),
    }
    alt = {
        "close": _close_alt(series),
        "gex": "Dealer gamma in USD bn per 1 % over the index level. "
        + ", ".join(f"{n} {format_level(x)}" for n, x in figures.exposure_marks(exposures, spot=spot)),
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
            texts.append(f"{name} from {_plain(float(y[0]))} to {_plain(float(y[-1]))} {unit}")
    return "; ".join(texts) + "." if texts else ""


def _count(number: Any, noun: str, total: Any = None) -> str:
    """A count with its share of the total; a number that is itself a share becomes a percentage."""
    count, whole = real(number), real(total)
    if count is None:
        return noun
    if 0.0 < count < 1.0 or (count == 1.0 and whole == 1.0):
        return f"{_share(count)} of {noun}"
    share = f" ({_share(count / whole)})" if whole and whole > count else ""
    return f"{count:,.0f} {noun}{share}"


def _share(fraction: float) -> str:
    percent = 100.0 * fraction
    return f"{percent:.0f} %" if percent >= 10.0 else f"{percent:.2g} %"


def _flattened(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of a nested record as (dotted name, text)."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flattened(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            yield from _flattened(item, f"{prefix}[{index}]")
    elif isinstance(value, (list, tuple)):
        yield prefix, ", ".join(_leaf(item) for item in value) or "–"
    else:
        yield prefix, _leaf(value)


def _leaf(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, float):
        return _plain(value)
    # A seed or a hash is a name, not a quantity: no thousand separators in integers.
    return str(value)


def _metric(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((m for m in _records(document, "metrics") if m.get("name") == name), {})


def _records(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [r for r in document.get(key) or () if isinstance(r, Mapping)]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _at(record: Mapping[str, Any], section: str, key: str) -> float | None:
    return real(_mapping(record.get(section)).get(key))


def script_json(text: str) -> Markup:
    """JSON that no HTML parser can mistake for markup inside a script element."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def template(name: str) -> jinja2.Template:
    """A template of the package, with every value escaped and the filters that the pages use."""
    folder = Path(__file__).parent / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "estimate": format_estimate,
        "exact": format_exact,
        "level": format_level,
        "real": real,
        "count": _count,
        "leaves": lambda record: list(_flattened(record)),
        "clear": lambda m: _clear(real(m.get("difference")), real(m.get("difference_stderr"))),
    }
    return environment.get_template(name)
