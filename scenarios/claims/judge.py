"""Verdicts: the test that a scenario declares of its claim, tried over impacts, variants and the sign."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gammawall.scenarios.pages.numbers import format_estimate
from gammawall.scenarios.record_types import JudgedRow, RunNumbers
from gammawall.scenarios.runs.claim_test import (
    CONTRADICTED,
    ERRORS,
    ONLY_IF,
    SUPPORTED,
    UNDECIDABLE,
    Case,
    judged_row,
    outcome_of,
)
from gammawall.scenarios.runs.runner import run
from gammawall.scenarios.spec.load import as_scenario, vary
from gammawall.scenarios.spec.scenario import Scenario
from gammawall.scenarios.spec.schema import ClaimSpec
from gammawall.surfaces.errors import InputError

__all__ = [
    "IMPACTS",
    "Compute",
    "Judgement",
    "cases",
    "judge",
    "judged_row",
    "verdict_by_threshold",
]

IMPACTS = (1.0, 3.0, 6.0, 30.0)
"""bp of price per USD bn traded, at which every claim is tried"""

Compute = Callable[[Scenario], RunNumbers]
"""A run as a record with its metrics and status"""


@dataclass(frozen=True)
class Judgement:
    """What became of a claim."""

    scenario: Scenario
    claim: ClaimSpec
    verdict: str
    conditions: tuple[str, ...]
    """what a verdict of "supported only if" depends on: the settings where the claim holds or, if it holds as
    stated, those where it fails; empty for the other verdicts"""
    sentence: str
    table: pd.DataFrame
    """one row per case: kind, setting, bp_per_usd_bn, effect, stderr, outcome (holds, fails, unclear: of the
    test as declared), capped and jumped (shares of paths)"""
    base: RunNumbers
    """the record of the first case"""


def judge(
    scenario: Scenario | str | os.PathLike[str],
    *,
    impacts: Sequence[float] = IMPACTS,
    paths: int | None = None,
    compute: Compute | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Judgement:
    """Try the claim of a scenario and say what became of it.

    The claim's test compares an effect with a threshold. It holds or fails where the two are more than 3
    standard errors apart, and is unclear otherwise.

    - supported: it holds in the base case and at every impact, and fails in every contrast;
    - supported only if …: it holds in some of the base case, the impacts and the variants;
    - contradicted: it fails in the base case and holds in none of them;
    - not decidable: it is unclear in the base case.

    The opposite sign of all that dealers hold is always run and reported, but is another claim: it does not
    count.

    Args:
        scenario: from `load`, or a name or path that `load` takes.
        impacts: price impacts to try beside the scenario's own, bp of price per USD bn traded.
        paths: of every run; the scenario's own number when not given.
        compute: what makes a run's record; `run` when not given. `CellStore.compute` keeps them on disk.
        progress: called with (settings done, settings in all).

    Raises:
        InputError: the scenario has mistakes or no [claim], or a setting of its variants is not possible.
    """
    # Every setting is checked before the first, which may take minutes, is run.
    tried = cases(scenario, impacts=impacts, paths=paths)
    compute = compute or _run_afresh
    claim = tried[0].scenario.spec.claim
    assert claim is not None
    rows: list[JudgedRow] = []
    base: RunNumbers | None = None
    for done, case in enumerate(tried):
        if progress is not None:
            progress(done, len(tried))
        record = compute(case.scenario)
        base = base or record
        rows.append(judged_row(case, record, claim))
    if progress is not None:
        progress(len(tried), len(tried))
    assert base is not None
    table = pd.DataFrame(rows)
    verdict = _verdict(table)
    conditions = _conditions(table) if verdict == ONLY_IF else ()
    sentence = _sentence(claim, verdict, table)
    return Judgement(tried[0].scenario, claim, verdict, conditions, sentence, table, base)


def cases(
    scenario: Scenario | str | os.PathLike[str],
    *,
    impacts: Sequence[float] = IMPACTS,
    paths: int | None = None,
) -> list[Case]:
    """The settings under which `judge` tries a claim, the base case first; nothing is run.

    Raises:
        InputError: as for `judge`.
    """
    scenario = as_scenario(scenario)
    claim = scenario.spec.claim
    if claim is None:
        raise InputError(f"scenario {scenario.name!r} makes no claim: add a [claim] table to its file")
    if paths is not None:
        scenario = vary(scenario, [f"simulation.paths={paths}"])
    return [
        Case(kind, name, vary(scenario, changes))
        for kind, name, changes in _settings(scenario, claim, impacts)
    ]


def verdict_by_threshold(table: pd.DataFrame, holds: str) -> list[dict[str, Any]]:
    """What the verdict would be at every other threshold, from the same runs.

    Args:
        table: of a `Judgement`.
        holds: "above" or "below", as the claim declares.

    Returns:
        low, high and verdict of each range, ascending; the outermost reach to minus and plus infinity.
    """
    counted = table[table["kind"] != "sign"]
    sizes, errors = (np.asarray(counted[name], float) for name in ("effect", "stderr"))
    ends = np.unique(np.concatenate([sizes - ERRORS * errors, sizes + ERRORS * errors]))
    ends = ends[np.isfinite(ends)]
    inside = np.concatenate([ends[:1] - 1.0, 0.5 * (ends[1:] + ends[:-1]), ends[-1:] + 1.0])
    ranges: list[dict[str, Any]] = []
    for low, high, threshold in zip([-np.inf, *ends], [*ends, np.inf], inside, strict=True):
        outcomes = [
            outcome_of(r["effect"], r["stderr"], r["capped"], holds, threshold)
            for r in table.to_dict("records")
        ]
        verdict = _verdict(table.assign(outcome=outcomes))
        if ranges and ranges[-1]["verdict"] == verdict:
            ranges[-1]["high"] = high
        else:
            ranges.append({"low": low, "high": high, "verdict": verdict})
    return ranges


def _run_afresh(scenario: Scenario) -> RunNumbers:
    return run(scenario).document


def _settings(
    scenario: Scenario, claim: ClaimSpec, impacts: Sequence[float]
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Kind, name and changes of each, the base case first."""
    yield "base", "as stated", ()
    stated = scenario.bp_per_usd_bn
    # An impact of another kind has no such key, and is tried as stated.
    for impact in sorted({float(i) for i in impacts} - {stated}) if stated is not None else ():
        yield "impact", f"impact {impact:g} bp per USD bn", (f"impact.bp_per_usd_bn={impact!r}",)
    for variant in claim.variant:
        yield "contrast" if variant.contrast else "variant", variant.name, variant.set
    turned = [f"book.scale={-scenario.spec.book.scale!r}"]
    if scenario.flow is not None:
        turned += [f"flow.{name}={-getattr(scenario.flow, name)!r}" for name in ("imbalance", "momentum")]
    yield "sign", "the opposite sign of all that dealers hold", tuple(turned)


def _verdict(table: pd.DataFrame) -> str:
    outcome = {kind: set(rows) for kind, rows in table.groupby("kind")["outcome"]}
    stated, contrast = outcome["base"] | outcome.get("impact", set()), outcome.get("contrast", set())
    if outcome["base"] == {"unclear"}:
        return UNDECIDABLE
    if stated == {"holds"} and contrast <= {"fails"}:
        return SUPPORTED
    return ONLY_IF if "holds" in stated | outcome.get("variant", set()) else CONTRADICTED


def _conditions(table: pd.DataFrame) -> tuple[str, ...]:
    tried, outcome = table["kind"].isin(["impact", "variant"]), table["outcome"]
    wrong = (tried & (outcome != "holds")) | ((table["kind"] == "contrast") & (outcome != "fails"))
    decide = wrong if outcome.iloc[0] == "holds" else tried & (outcome == "holds")
    return tuple(table["setting"][decide])


def _sentence(claim: ClaimSpec, verdict: str, table: pd.DataFrame) -> str:
    """The verdict with its figures, made of the table alone."""
    by: dict[str, list[str]] = {"holds": [], "fails": [], "unclear": []}
    apart = []
    for row in table.to_dict("records"):
        kind, outcome = row["kind"], row["outcome"]
        name = row["setting"] if kind == "base" else f"with {row['setting']}"
        told = f"{name} ({format_estimate(row['effect'], row['stderr'])})"
        if kind not in ("contrast", "sign"):
            by[outcome].append(told)
            continue
        said = ", as the claim says" if outcome == "fails" else ", though the claim says it fails there"
        word = "is unclear" if outcome == "unclear" else outcome
        apart.append(f"{told} it {word}{said if kind == 'contrast' else ''}")
    words = {"holds": "it holds", "fails": "it fails", "unclear": "it is unclear"}
    parts = [f"{words[outcome]} {', '.join(settings)}" for outcome, settings in by.items() if settings]
    lead = f"{claim.id} is {'supported only in some settings:' if verdict == ONLY_IF else f'{verdict};'} "
    tested = f"{claim.metric}, {claim.effect}, {claim.holds} {claim.threshold:g}"
    return f"{lead}{'; '.join(parts + apart)}. Tested: {tested}. What decides: {claim.hinge}"
