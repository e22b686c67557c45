"""The answers of a run, each in one sentence: whether the price pins, and what became of the claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gammawall.scenarios.pages.numbers import format_estimate, format_level, is_clear, share_text
from gammawall.scenarios.record import at, mapping, metric_entry, real, series_array

__all__ = ["Verdict", "answers", "claim_answer", "metric_phrase", "verdict"]

_PHRASES = {
    "pin_probability": "the share of paths that close within ±{band} points of {strike}",
    "pin_mass": "the share of paths that close exactly at {strike}",
    "touch_probability": "the share of paths that touch {strike}",
    "breach_probability": "the share of paths that close above {strike}",
    "rejection_probability": "the share of paths that touch {strike} and close below it",
    "time_in_corridor": "the share of time spent between {low} and {high}",
    "realised_vol_pct": "realised vol",
    "vol_amplification": "realised vol over that without hedging",
    "last_30min_vol_pct": "realised vol of the last half hour",
    "last_30min_amplification": "realised vol of the last half hour over that without hedging",
    "hedge_flow_abs_usd_bn": "hedge flow",
}
_OF_THE_PIN = ("pin_probability", "pin_mass")


@dataclass(frozen=True)
class Verdict:
    """The answer of a run.

    Attributes:
        kind: ``pins``, ``repelled``, ``none`` (no detectable effect) or ``unknown`` (not measured); of a
            claim ``holds``, ``fails`` or ``unclear``.
        parts: the sentence in pieces, each with True where it is a number.
        detail: what is to be known beside it, empty where there is nothing.
    """

    kind: str
    parts: tuple[tuple[str, bool], ...]
    detail: str = ""

    @property
    def text(self) -> str:
        return "".join(piece for piece, _ in self.parts)


def answers(document: Mapping[str, Any], series: Mapping[str, Any]) -> tuple[Verdict, Verdict | None]:
    """The sentence a run is about and, where there is one, the other.

    A claim leads, unless it is about the pin itself: then the pin's sentence says more.
    """
    pin, claim = verdict(document, series), claim_answer(document)
    if claim is None:
        return pin, None
    return (pin, claim) if mapping(document.get("claim")).get("metric") in _OF_THE_PIN else (claim, pin)


def claim_answer(document: Mapping[str, Any]) -> Verdict | None:
    """What became of the scenario's claim in this one run; None where it makes none or none was kept."""
    claim = mapping(document.get("claim"))
    name, threshold = claim.get("metric"), real(claim.get("threshold"))
    outcome = claim.get("outcome")
    if not isinstance(name, str) or threshold is None or outcome not in ("holds", "fails", "unclear"):
        return None
    unit = metric_entry(document, name).get("unit") or ""
    kind = claim.get("effect")
    size, stderr = real(claim.get("size")), real(claim.get("stderr"))
    if kind == "ratio to baseline" or (unit in ("ratio", "fraction") and kind == "value"):
        shown, bar, tail = format_estimate(size, stderr), format_estimate(threshold), ""
    else:
        shown, bar = format_estimate(size, stderr, unit), format_estimate(threshold, unit=unit)
        tail = "" if unit == "probability" else f" {unit}"
    link = {"value": " is ", "difference": " differs from that without hedging by "}.get(str(kind), " is ")
    times = " times that without hedging" if kind == "ratio to baseline" else tail
    parts = (
        (f"{claim.get('id')}, “{str(claim.get('text')).rstrip('.')}”, ", False),
        ("is unclear" if outcome == "unclear" else str(outcome), True),
        (f" in this one run: {metric_phrase(name, document)}{link}", False),
        (shown, True),
        (f"{times}; the claim needs {claim.get('holds')} {bar}{tail}.", False),
    )
    return Verdict(
        str(outcome),
        parts,
        "One setting says little: gammawall ledger tries the claim over impacts, variants and the sign. "
        f"What decides: {claim.get('hinge')}",
    )


def metric_phrase(name: str, document: Mapping[str, Any]) -> str:
    """A metric in words, with the levels it was measured at."""
    resolved = mapping(document.get("resolved"))
    strike, band = at(resolved, "measure", "strike"), at(resolved, "measure", "band_points")
    corridor = mapping(resolved.get("measure")).get("corridor")
    corridor = corridor if isinstance(corridor, (list, tuple)) and len(corridor) == 2 else (None, None)
    low, high = map(real, corridor)
    levels = {"strike": strike, "band": band, "low": low, "high": high}
    words = {key: f"the {key}" if level is None else format_level(level) for key, level in levels.items()}
    return _PHRASES.get(name, name.replace("_", " ")).format(**words)


def verdict(document: Mapping[str, Any], series: Mapping[str, Any]) -> Verdict:
    """The answer of a run in one sentence, from the paired difference in ``pin_probability``.

    Four standard errors separate an effect from none; the sign says whether the price is drawn to the
    strike or driven from it.
    """
    resolved = mapping(document.get("resolved"))
    strike, band = at(resolved, "measure", "strike"), at(resolved, "measure", "band_points")
    where = format_level(strike) if strike is not None else "the strike"
    near = f"within ±{format_level(band)} points of" if band is not None else "near"
    metric = metric_entry(document, "pin_probability")
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
    kind = "none" if not is_clear(difference, stderr) else "pins" if difference > 0.0 else "repelled"
    capped = _capped_share(document)
    if capped and not is_clear(max(abs(difference) - capped, 0.0), stderr):
        share = f"no verdict, since on {share_text(capped)} of them no price cleared the market."
        return Verdict("unknown", (*parts, (share, False)))
    drawn = f"the price is drawn to {where}." if side == "short" else "the wall pins."
    away = "the price is held elsewhere." if side == "long" else "the price is repelled."
    ending = {"pins": drawn, "repelled": away, "none": "no detectable effect."}[kind]
    return Verdict(kind, (*parts, (ending, False)), _difference_detail(difference, stderr, document))


def _capped_share(document: Mapping[str, Any]) -> float:
    """Share of paths on which some step was capped: no difference smaller than it can be trusted."""
    paths = at(mapping(document.get("resolved")), "simulation", "paths")
    return (at(document, "status", "paths_capped") or 0.0) / paths if paths else 0.0


def _difference_detail(difference: float, stderr: float, document: Mapping[str, Any]) -> str:
    if difference == 0.0:
        return "The two shares are equal."
    size = format_estimate(100.0 * difference, 100.0 * stderr, signed=True)
    text = f"Difference {size} percentage points"
    if stderr > 0.0:
        z = abs(difference) / stderr
        text += f", {z:,.0f} standard errors" if z >= 9.5 else f", {z:.1f} standard errors"
    paths = at(mapping(document.get("resolved")), "simulation", "paths")
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
