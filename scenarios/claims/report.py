"""The page of the ledger: verdicts first, then what decides them, then every claim in full."""

from __future__ import annotations

from typing import Any

from gammawall.scenarios.claims.amplification import imbalance_words
from gammawall.scenarios.claims.figures import (
    amplification_by_gamma,
    amplification_by_minute,
    effect_by_impact,
    sign_decides,
)
from gammawall.scenarios.claims.record_types import Amplification, ClaimRecord, LedgerRecord, VerdictRange
from gammawall.scenarios.claims.words import (
    MARKS,
    VERDICT_MARKS,
    condition_words,
    effect_text,
    flip_words,
    headline,
    number_words,
    sign_sentence,
    tested_words,
    unidentified,
)
from gammawall.scenarios.pages.page import Picture, Table, number_text
from gammawall.scenarios.pages.templating import template
from gammawall.scenarios.record_types import JudgedRow

__all__ = ["ledger_report"]

_KINDS = {
    "base": "as stated",
    "impact": "impact",
    "variant": "variant",
    "contrast": "contrast: claimed to fail",
    "sign": "sign turned",
}


def ledger_report(record: LedgerRecord) -> str:
    """A record of `ledger` as the text of an HTML page."""
    claims = [_claim(claim, f"claim-{i + 1}") for i, claim in enumerate(record["claims"])]
    curve = record["amplification"]
    pictures = {"sign": _sign_picture(record)} | {c["key"]: c["picture"] for c in claims}
    pictures |= {} if curve is None else _curve_pictures(curve)
    settings = record["settings"]
    return template("ledger.html.j2").render(
        headline=headline(record),
        sign_sentence=sign_sentence(record),
        impacts=sorted({row["bp_per_usd_bn"] or 0.0 for c in record["claims"] for row in _stated(c)}),
        claims=claims,
        unidentified=unidentified(record),
        pictures=pictures,
        curve=None if curve is None else _curve_table(curve),
        curve_of=None if curve is None else curve["scenario"],
        settings=settings,
        provenance=record["provenance"],
    )


def _claim(claim: ClaimRecord, key: str) -> dict[str, Any]:
    """A claim as the template shows it."""
    flip, then = flip_words(claim)
    return {
        **claim,
        "key": key,
        "mark": VERDICT_MARKS[claim["verdict"]],
        "tested": tested_words(claim),
        "short_condition": condition_words(claim, 1),
        "condition": condition_words(claim),
        "effect_text": effect_text(claim, claim["rows"][0]),
        "flip": flip,
        "flip_to": then,
        "by_impact": {row["bp_per_usd_bn"]: _marked(claim, row) for row in _stated(claim)},
        "sign": _marked(claim, next(row for row in claim["rows"] if row["kind"] == "sign")),
        "settings": [
            {
                **row,
                "kind": _KINDS[row["kind"]],
                "text": effect_text(claim, row),
                "capped_text": _share(row["capped"]),
                "jumped_text": _share(row["jumped"]),
            }
            for row in claim["rows"]
        ],
        "ranges": [_range(claim, r) for r in claim["verdict_by_threshold"]],
        "picture": Picture(
            "Effect against impact",
            "Line: as the scenario states it, at every impact. Bars: three standard errors. Shaded: where "
            "the claim's test holds.",
            f"Effect of {claim['id']} against impact, with its threshold.",
            effect_by_impact(claim),
            height=320,
        ),
    }


def _stated(claim: ClaimRecord) -> list[JudgedRow]:
    return [row for row in claim["rows"] if row["kind"] in ("base", "impact")]


def _marked(claim: ClaimRecord, row: JudgedRow) -> dict[str, Any]:
    return {**row, "mark": MARKS[row["outcome"]], "text": effect_text(claim, row)}


def _share(value: float) -> str:
    return "–" if not value else f"{100.0 * value:.2g} %"


def _range(claim: ClaimRecord, found: VerdictRange) -> str:
    low, high = found["low"], found["high"]
    ends = [number_words(claim, float(f"{x:.3g}")) for x in (low, high) if x is not None]
    where = "at any" if not ends else f"{'below' if low is None else 'above'} {ends[0]}"
    if len(ends) == 2:
        where = f"from {ends[0]} to {ends[1]}"
    return f"{where}: {found['verdict']}"


def _sign_picture(record: LedgerRecord) -> Picture:
    return Picture(
        "The hinge: which way round dealers hold it",
        "Each claim's effect against its threshold: as its scenario has dealers' positions, and with the "
        "sign of all of them turned, all else the same. A pair on both sides of the line depends on the "
        "sign.",
        "Effects over their thresholds with the sign of dealers' positions as stated and turned. "
        f"{sign_sentence(record)}",
        sign_decides(record["claims"]),
        height=430,
    )


def _curve_pictures(curve: Amplification) -> dict[str, Picture]:
    return {
        "curve-gamma": Picture(
            "Vol of the last half hour against same-day gamma",
            "Dealers' same-day options alone, from short (left) to long. Line: 1/(1 + g) at the mean gamma "
            "of all orders so far; dotted: with the price moving away from its strikes as it is amplified or "
            "damped. Dots: simulated, with chance in the orders. Dashed: where the map folds.",
            "Vol of the last half hour over that without hedging, against dealers' net same-day gamma.",
            amplification_by_gamma(curve),
        ),
        "curve-minute": Picture(
            "Vol by minute to the close",
            "By customers' net purchases. Closed form: at the mean gamma of all orders so far, as a constant "
            "book would have it. In the last minutes the price is nearer to one strike than strikes are to "
            "each other, and a mean says little.",
            "Vol over that without hedging by minute to the close, for some imbalances of customers.",
            amplification_by_minute(curve),
        ),
    }


def _curve_table(curve: Amplification) -> Table:
    rows = [
        [
            imbalance_words(p["imbalance"]),
            number_text(0.001 * p["contracts"], 0),
            number_text(p["gex_usd_bn"], 1),
            number_text(p["feedback"], 2),
            number_text(p["closed_form"], 3),
            number_text(p["closed_form_apart"], 3),
            f"{number_text(p['simulated'], 3)} ± {number_text(p['stderr'], 3)}",
            _share(p["with_jump"]),
            _minutes(p["fold_minutes"]),
            _minutes(p["one_strike_fold_minutes"]),
        ]
        for p in curve["points"]
    ]
    columns = ["customers", "dealers, thousand", "USD bn per 1 %", "g", "1/(1 + g)", "strikes left"]
    columns += ["simulated", "jumps", "folds, min", "one strike, min"]
    note = (
        f"{curve['contracts_per_day']:,.0f} same-day contracts, λ = {curve['bp_per_usd_bn']:g} bp per USD "
        f"bn, {curve['paths']:,} paths of {curve['steps']:,} steps for each row. Dealers: the contracts they "
        "hold on average at the close; their gamma, the feedback g and the vols over those without hedging "
        "are of the last half hour. Strikes left: the dotted line. Jumps: share of paths. Folds: minutes "
        "before the close from which the mean g is below −1; single paths fold earlier, where orders happen "
        "to heap up at a strike. One strike: the same if all were at one strike at the money, "
        "τ* = A²/(2πσ²)."
    )
    return Table("curve-table", "From short to long", columns, rows, note)


def _minutes(value: float | None) -> str:
    return "never" if value is None else number_text(value, 0)
