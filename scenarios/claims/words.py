"""The ledger in words: effects with their unit, conditions that fit a line, the headline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gammawall.scenarios.claims.record_types import ClaimRecord, LedgerRecord
from gammawall.scenarios.pages.numbers import format_estimate
from gammawall.scenarios.record_types import JudgedRow
from gammawall.scenarios.runs.claim_test import CONTRADICTED, ONLY_IF, SUPPORTED, UNDECIDABLE

__all__ = [
    "MARKS",
    "VERDICT_MARKS",
    "condition_words",
    "effect_text",
    "flip_words",
    "headline",
    "is_share",
    "number_words",
    "sign_sentence",
    "tested_words",
    "unidentified",
]

MARKS = {"holds": "●", "fails": "○", "unclear": "?"}
VERDICT_MARKS = {SUPPORTED: "●", ONLY_IF: "◐", CONTRADICTED: "○", UNDECIDABLE: "?"}


def is_share(claim: ClaimRecord) -> bool:
    """Whether the effect of a claim is a share or a difference of shares, told in percent."""
    return claim["unit"] in ("probability", "fraction") and claim["measured"] != "ratio to baseline"


def number_words(claim: ClaimRecord, value: Any, stderr: Any = None) -> str:
    """A number in the unit of a claim's effect."""
    if is_share(claim):
        return format_estimate(value, stderr, "probability")
    times = "×" if claim["measured"] == "ratio to baseline" or claim["unit"] == "ratio" else ""
    unit = "" if times or claim["unit"] in ("probability", "fraction") else f" {claim['unit']}"
    return f"{times}{format_estimate(value, stderr)}{unit}"


def effect_text(claim: ClaimRecord, row: JudgedRow) -> str:
    """The effect of one setting with its standard error."""
    return number_words(claim, row["effect"], row["stderr"])


def tested_words(claim: ClaimRecord) -> str:
    """What is measured and where it must lie."""
    measured = {
        "value": "",
        "difference": ", less that without hedging",
        "ratio to baseline": " over that without hedging",
    }[claim["measured"]]
    name = claim["metric"].removesuffix("_pct").replace("_", " ")
    return f"{name}{measured}, {claim['holds']} {number_words(claim, claim['threshold'])}"


def condition_words(claim: ClaimRecord, most: int | None = None) -> str:
    """The settings that a verdict depends on; the first `most` of them."""
    settings = claim["conditions"]
    if not settings:
        return ""
    told = settings[:most]
    left = len(settings) - len(told)
    more = f"; or {left} other{'s' * (left > 1)}" if left else ""
    lead = "not with" if claim["rows"][0]["outcome"] == "holds" else "with"
    return f"{lead} {'; or '.join(told)}{more}"


def flip_words(claim: ClaimRecord) -> tuple[str, str]:
    """The nearest threshold at which the verdict changes, and the verdict there."""
    flip = claim["flips_at"]
    return (
        ("–", "at no threshold")
        if flip is None
        else (number_words(claim, _rounded(flip["threshold"])), flip["verdict"])
    )


def headline(record: LedgerRecord) -> str:
    """The counts of verdicts as a sentence."""
    counts, total = record["counts"], len(record["claims"])
    told = [f"{n} {'is' if n == 1 else 'are'} {verdict}" for verdict, n in counts.items() if n]
    told = [t.replace(ONLY_IF, "supported only under a condition") for t in told]
    return f"Of {total} claim{'s' * (total != 1)}, {_listed(told)}."


def sign_sentence(record: LedgerRecord) -> str:
    """What the sign of dealers' gamma decides."""
    turned, total = record["turned_by_sign"], len(record["claims"])
    which = f": {', '.join(turned)}" if turned else ""
    return (
        f"Turning the sign of everything dealers hold changes the outcome of {len(turned)} of {total}{which}."
    )


def unidentified(record: LedgerRecord) -> list[str]:
    """What no data here identify, and what depends on it."""
    impacts, moved = record["settings"]["impacts_bp_per_usd_bn"], record["turned_by_impact"]
    span = f"Between {min(impacts):g} and {max(impacts):g} bp" if impacts else "At the impacts tried"
    return [
        "Who is long. Open interest has no sign, and recorded gamma rests on a convention of who bought "
        f"what. {sign_sentence(record)}",
        "Impact λ. Published figures in bp per USD bn, in our conversion: 0.8 to 1.5 (Gabaix and Koijen "
        "2021, any trade, over months), 9 to 11 (Adams, Fontaine and Ornthanalai 2025, hedging within the "
        f"day). {span} the outcome changes for "
        f"{_listed(moved) if moved else 'no claim'}. The command gammawall calibrate-impact estimates λ from "
        "recorded gamma; what it finds is an upper bound.",
        "The share that is hedged. For a fixed book under linear impact and continuous hedging only impact "
        "times that share counts: half of it hedged at 6 bp is all of it at 3 bp. No price tells them apart.",
        "Cause. Vol also drives gamma, which is low after falls, when vol is high. Calm days with high gamma "
        "are no proof of damping, and a driving vol taken from option prices already contains the hedging.",
        "The books. They meet recorded totals; their split over strikes and expiries is ours.",
        "The thresholds. Every one is ours, not the articles'; some were settled after first results had "
        "been seen. What each verdict would be at other thresholds is computed from the same runs.",
    ]


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def _rounded(value: float) -> float:
    """To three significant digits: it is known no better."""
    return float(f"{value:.3g}")
