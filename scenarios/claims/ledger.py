"""The ledger of claims: every scenario's claim judged, as the record that ``gammawall ledger`` prints."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gammawall.scenarios.claims.amplification import curve_cases, curve_record
from gammawall.scenarios.claims.judge import IMPACTS, Compute, Judgement, cases, judge, verdict_by_threshold
from gammawall.scenarios.claims.record_types import (
    Amplification,
    ClaimRecord,
    Flip,
    LedgerRecord,
)
from gammawall.scenarios.provenance import environment
from gammawall.scenarios.record import FORMAT, record_digest
from gammawall.scenarios.record_types import JudgedRow, RunNumbers
from gammawall.scenarios.runs.cell_store import CellStore, cell_key
from gammawall.scenarios.runs.claim_test import ERRORS, VERDICTS
from gammawall.scenarios.runs.export import csv_text
from gammawall.scenarios.spec.catalogue import library
from gammawall.scenarios.spec.scenario import Scenario
from gammawall.scenarios.whole_folders import REPORT, check_folder, to_json, write_bytes
from gammawall.surfaces.errors import InputError

__all__ = [
    "LedgerPlan",
    "check_ledger_folder",
    "judge_all",
    "ledger_frame",
    "open_store",
    "plan",
    "save_ledger",
]

Progress = Callable[[int, int], None]

_FILES = (REPORT, "ledger.json", "ledger.csv", "ledger.parquet")
_CELLS = "cells"
_CURVE_OF = "zero-dte-amplification"
_CURVE = "amplification.json"


@dataclass(frozen=True)
class LedgerPlan:
    """What a ledger will run."""

    scenarios: tuple[Scenario, ...]
    """in the order of their claims"""
    impacts: tuple[float, ...]
    settings: int
    runs: dict[str, Scenario]
    """by `cell_key`: settings of several claims that come to the same run are run once"""
    curve: tuple[Scenario, ...] = ()
    """runs of the amplification curve, where the ledger has the scenario for one"""

    @property
    def steps(self) -> int:
        """Of the progress: settings, and runs of the curve."""
        return self.settings + len(self.curve)

    def kept(self, store: CellStore) -> int:
        """Runs that a store has on disk."""
        folder = store.folder
        if folder is None:
            return 0
        runs = sum((folder / f"{key}.json").exists() for key in self.runs)
        return runs + (len(self.curve) if _read_curve(self.curve, folder) is not None else 0)


def plan(
    names: Sequence[Scenario | str | os.PathLike[str]] = (),
    *,
    impacts: Sequence[float] = IMPACTS,
    paths: int | None = None,
) -> LedgerPlan:
    """Check every setting of every claim; nothing is run.

    Args:
        names: scenarios with a claim, or names or paths that `load` takes; the whole library when none.
        impacts: bp of price per USD bn traded, tried beside each scenario's own.
        paths: of every run; each scenario's own number when not given.

    Raises:
        InputError: a scenario has mistakes or no claim, or is named twice.

    Example:
        >>> planned = scenarios.plan(["pin-7000"], impacts=(1.0, 3.0), paths=256)
        >>> [scenario.name for scenario in planned.scenarios]
        ['pin-7000']
    """
    tried = [cases(name, impacts=impacts, paths=paths) for name in names or library()]
    tried.sort(key=lambda claim: _order(claim[0].scenario))
    scenarios = tuple(claim[0].scenario for claim in tried)
    twice = [name for name, count in Counter(s.name for s in scenarios).items() if count > 1]
    if twice:
        raise InputError(f"scenario {twice[0]!r} is given more than once: name each scenario once")
    runs = {cell_key(case.scenario): case.scenario for claim in tried for case in claim}
    curve: tuple[Scenario, ...] = ()
    for scenario in scenarios:
        # A file of the user's may bear that name and be of another kind.
        with contextlib.suppress(InputError):
            curve = curve_cases(scenario) if scenario.name == _CURVE_OF else curve
    return LedgerPlan(scenarios, tuple(float(i) for i in impacts), sum(map(len, tried)), runs, curve)


def judge_all(
    planned: LedgerPlan | None = None,
    *,
    store: CellStore | None = None,
    progress: Progress | None = None,
) -> LedgerRecord:
    """Judge every claim.

    Args:
        planned: of `plan`; the whole library when not given.
        store: where finished runs are kept and found; a ledger that was stopped goes on there.
        progress: called with (steps done, steps of the plan).

    Returns:
        The record: claims in order, each with its verdict and every setting; counts by verdict; what the
        sign of dealers' gamma decides; what no data here identify.
    """
    planned = planned or plan()
    compute = _once(store or CellStore(None))
    entries, done = [], 0
    for scenario in planned.scenarios:
        found = judge(
            scenario, impacts=planned.impacts, compute=compute, progress=_after(done, planned, progress)
        )
        done += len(found.table)
        entries.append(_entry(found))
    counted = Counter(entry["verdict"] for entry in entries)
    return {
        "format": FORMAT,
        "counts": {verdict: counted[verdict] for verdict in VERDICTS},
        "claims": entries,
        "turned_by_sign": [e["id"] for e in entries if _turned(e, "base", "sign")],
        "turned_by_impact": [e["id"] for e in entries if _turned(e, "base", "impact")],
        "amplification": _kept_curve(planned.curve, store, _after(done, planned, progress)),
        "settings": {
            "impacts_bp_per_usd_bn": list(planned.impacts),
            "standard_errors": ERRORS,
            "settings": planned.settings,
            "runs": len(planned.runs),
        },
        "provenance": environment(),
    }


def ledger_frame(record: LedgerRecord) -> pd.DataFrame:
    """One row per claim and setting; ``unit`` is that of threshold, effect and stderr."""
    named = ("id", "scenario", "text", "metric", "measured", "unit", "holds", "threshold", "verdict")
    rows = [
        {name: claim[name] for name in named}
        | ({"unit": "ratio"} if claim["measured"] == "ratio to baseline" else {})
        | row
        for claim in record["claims"]
        for row in claim["rows"]
    ]
    numbers = ["threshold", "bp_per_usd_bn", "effect", "stderr", "capped", "jumped"]
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, float))


def check_ledger_folder(folder: str | os.PathLike[str]) -> Path:
    """The absolute path of a folder that a ledger may be written to, or go on in.

    Raises:
        InputError: it holds something else, or cannot be written.
    """
    # What an interrupted write left is hidden, and nobody's.
    hidden = [entry.name for entry in Path(folder).glob(".*")]
    return check_folder(folder, (*_FILES, _CELLS, *hidden))


def open_store(folder: str | os.PathLike[str]) -> CellStore:
    """Where the runs of a ledger are kept: its folder's ``cells``.

    Raises:
        InputError: as for `check_ledger_folder`.
    """
    return CellStore(check_ledger_folder(folder) / _CELLS)


def save_ledger(record: LedgerRecord, folder: str | os.PathLike[str]) -> Path:
    """Write report.html, ledger.json, ledger.csv and ledger.parquet into a folder, each whole or not at all.

    Returns:
        The path of the page.

    Raises:
        InputError: as for `check_ledger_folder`.
    """
    from gammawall.scenarios.claims.report import ledger_report

    target, frame = check_ledger_folder(folder), ledger_frame(record)
    parquet = io.BytesIO()
    frame.to_parquet(parquet, engine="pyarrow", index=False)
    texts = (ledger_report(record), to_json(record), csv_text(frame))
    contents = [*(text.encode() for text in texts), parquet.getvalue()]
    for name, content in zip(_FILES, contents, strict=True):
        write_bytes(target / name, content)
    return target / REPORT


def _order(scenario: Scenario) -> tuple[int, str]:
    claim = scenario.spec.claim
    text = claim.id if claim is not None else ""
    number = text.lstrip("Cc")
    return (int(number) if number.isdecimal() else 10**9, text)


def _once(store: CellStore) -> Compute:
    """Runs that several claims ask for are made once, also without a folder."""
    made: dict[str, RunNumbers] = {}

    def compute(scenario: Scenario) -> RunNumbers:
        key = cell_key(scenario)
        if key not in made:
            made[key] = store.compute(scenario)
        return made[key]

    return compute


def _entry(found: Judgement) -> ClaimRecord:
    claim, part = found.claim, found.scenario.spec
    metric = next(m for m in found.base["metrics"] if m["name"] == claim.metric)
    rows = [JudgedRow(**row) for row in found.table.to_dict("records")]
    ranges = verdict_by_threshold(found.table, claim.holds)
    return {
        "id": claim.id,
        "text": claim.text,
        "scenario": found.scenario.name,
        "story": part.story,
        "verdict": found.verdict,
        "conditions": list(found.conditions),
        "sentence": found.sentence,
        "hinge": claim.hinge,
        "metric": claim.metric,
        "description": metric["description"],
        "unit": metric["unit"],
        "measured": claim.effect,
        "baseline": metric["baseline"],
        "holds": claim.holds,
        "threshold": claim.threshold,
        "effect": rows[0]["effect"],
        "stderr": rows[0]["stderr"],
        "flips_at": _flip(ranges, claim.threshold),
        "verdict_by_threshold": [
            {"low": _finite(r["low"]), "high": _finite(r["high"]), "verdict": r["verdict"]} for r in ranges
        ],
        "rows": rows,
        "facts": list(part.facts),
        "assumptions": list(part.assumptions),
        "paths": found.scenario.config.paths,
        "steps": found.scenario.config.steps,
        "seed": found.scenario.seed,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def _flip(ranges: Sequence[Mapping[str, Any]], threshold: float) -> Flip | None:
    """The nearest other threshold at which the verdict changes, and to what; None if there is none."""
    here = next(i for i, r in enumerate(ranges) if r["low"] <= threshold <= r["high"])
    beside = [(ranges[here]["low"], here - 1), (ranges[here]["high"], here + 1)]
    found = [(abs(at - threshold), at, ranges[i]["verdict"]) for at, i in beside if np.isfinite(at)]
    if not found:
        return None
    _, at, verdict = min(found)
    return {"threshold": at, "verdict": verdict}


def _turned(entry: ClaimRecord, *kinds: str) -> bool:
    """Whether the test holds in one of these settings and fails in another."""
    return {"holds", "fails"} <= {row["outcome"] for row in entry["rows"] if row["kind"] in kinds}


def _after(done: int, planned: LedgerPlan, progress: Progress | None) -> Progress:
    def tell(own: int, total: int) -> None:
        if progress is not None:
            progress(done + own, planned.steps)

    return tell


def _kept_curve(
    cases: Sequence[Scenario], store: CellStore | None, progress: Progress
) -> Amplification | None:
    """The amplification curve, from the store's folder if the same runs left it there."""
    if not cases:
        return None
    folder = None if store is None else store.folder
    curve = None if folder is None else _read_curve(cases, folder)
    if curve is None:
        curve = json.loads(to_json(curve_record(cases, progress)))
        if folder is not None:
            keys = [cell_key(case) for case in cases]
            kept = {"keys": keys, "curve": curve}
            write_bytes(folder / _CURVE, to_json(kept | {"digest": record_digest(kept)}).encode())
    return curve


def _read_curve(cases: Sequence[Scenario], folder: Path) -> Amplification | None:
    """What those runs left; None if they did not, or the file is damaged."""
    try:
        kept = json.loads((folder / _CURVE).read_bytes())
        told, same = kept.pop("digest"), kept["keys"] == [cell_key(case) for case in cases]
        return kept["curve"] if same and told == record_digest(kept) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
