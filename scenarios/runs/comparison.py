"""Two results side by side: every metric with the error of its difference, and what differs in the inputs."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from gammawall.scenarios.pages.numbers import format_estimate, format_gap, leaf_text
from gammawall.scenarios.record import at, entries, leaves, mapping, metric_entry, read_record, real
from gammawall.scenarios.record_types import RunRecord
from gammawall.scenarios.runs.answers import metric_phrase
from gammawall.scenarios.runs.results import MOST_BYTES, Result
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.limits import read_limited

__all__ = ["Comparison", "compare", "read_result"]

_WORDS = ("name", "story", "facts", "assumptions", "notes")
_VERSIONS = ("version", "git_commit", "git_changed", "jax_version", "python_version", "device", "dtype")
_VERSIONS += ("seed", "chain_sha256")


@dataclass(frozen=True)
class Comparison:
    """Two runs and what is different."""

    names: tuple[str, str]
    runs: tuple[Result, Result]
    metrics: pd.DataFrame
    """by metric: unit, a, a_stderr, b, b_stderr, difference (b − a), difference_stderr, z"""
    inputs: list[dict[str, Any]]
    """key, a, b of every value of the resolved scenarios that differs; a key that one lacks is null there"""
    versions: list[dict[str, Any]]
    same_shocks: bool
    """both runs drew the same random numbers for the same steps"""
    sentence: str

    @property
    def note(self) -> str:
        """What the standard errors of the differences are worth."""
        if self.same_shocks:
            return (
                "Both runs drew the same shocks; the errors of the differences are those of independent runs "
                "and so, as a rule, too large."
            )
        return "The errors of the differences are those of independent runs: √(a's² + b's²)."

    def record(self) -> dict[str, Any]:
        """The comparison as plain data."""
        return {
            "a": self.names[0],
            "b": self.names[1],
            "sentence": self.sentence,
            "same_shocks": self.same_shocks,
            "metrics": self.metrics.reset_index().to_dict("records"),
            "inputs": self.inputs,
            "versions": self.versions,
        }


def compare(a: Result | str | os.PathLike[str], b: Result | str | os.PathLike[str]) -> Comparison:
    """Lay two runs side by side.

    The standard error of b − a is that of independent runs, √(a's² + b's²).

    Args:
        a: a result, the folder of one, or a JSON record; the one that is compared with.
        b: the other one.

    Raises:
        InputError: one of them cannot be read or is no record of a run.

    Example:
        >>> other = scenarios.load("press-sign", simulation__paths=2048, simulation__steps=13)
        >>> compared = scenarios.compare(scenarios.run(small), scenarios.run(other))
        >>> type(compared).__name__
        'Comparison'
    """
    runs = read_result(a), read_result(b)
    names = _names((a, b), runs)
    first, second = runs[0].document, runs[1].document
    inputs = list(_differences(_inputs(first), _inputs(second)))
    made = [mapping(document.get("provenance")) for document in (first, second)]
    versions = [
        {"key": key, "a": made[0].get(key), "b": made[1].get(key)}
        for key in _VERSIONS
        if made[0].get(key) != made[1].get(key)
    ]
    metrics = _metrics(first, second)
    shocks = _same_shocks(first, second)
    return Comparison(
        names, runs, metrics, inputs, versions, shocks, _sentence(names, first, metrics, inputs)
    )


def read_result(source: Result | str | os.PathLike[str]) -> Result:
    """A result from its folder, or from the record alone, which then has no arrays.

    Raises:
        InputError: it is neither, or of a newer format.
    """
    if isinstance(source, Result):
        return _checked(source, "the result")
    path = Path(source)
    if path.name == "result.json" and path.with_name("series.npz").exists():
        path = path.parent
    return _checked(Result.open(path) if path.is_dir() else Result(cast(RunRecord, _record(path)), {}), path)


def _record(path: Path) -> dict[str, Any]:
    try:
        return read_record(read_limited(path, MOST_BYTES), path)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{path} cannot be read as a result: {reason}; name a folder of `gammawall run` or its JSON"
        ) from None


def _checked(result: Result, source: object) -> Result:
    if not entries(result.document, "metrics"):
        raise InputError(f"{source} is no record of a run: it has no metrics")
    return result


def _names(sources: tuple[Any, Any], runs: tuple[Result, Result]) -> tuple[str, str]:
    """Scenarios' names where they differ, else the last parts of the paths, else A and B."""
    told = tuple(str(run.document.get("scenario") or "run") for run in runs)
    if told[0] != told[1]:
        return told[0], told[1]
    paths = [None if isinstance(source, Result) else Path(source).resolve() for source in sources]
    if paths[0] is None or paths[1] is None or paths[0] == paths[1]:
        return f"{told[0]} (A)", f"{told[1]} (B)"
    ends = [path.parts for path in paths if path is not None]
    length = next((n for n in range(1, 4) if ends[0][-n:] != ends[1][-n:]), 4)
    return "/".join(ends[0][-length:]), "/".join(ends[1][-length:])


def _inputs(document: Mapping[str, Any]) -> dict[str, Any]:
    resolved = mapping(document.get("resolved"))
    return dict(leaves({k: v for k, v in resolved.items() if k not in _WORDS}))


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key in [*a, *(key for key in b if key not in a)]:
        if a.get(key) != b.get(key):
            yield {"key": key, "a": a.get(key), "b": b.get(key)}


def _metrics(a: Mapping[str, Any], b: Mapping[str, Any]) -> pd.DataFrame:
    rows = []
    for name in dict.fromkeys(str(m.get("name")) for d in (a, b) for m in entries(d, "metrics")):
        ours, theirs = metric_entry(a, name), metric_entry(b, name)
        values = [real(m.get(key)) for m in (ours, theirs) for key in ("value", "stderr")]
        x, x_error, y, y_error = values
        gap = None if x is None or y is None else y - x
        error = None if x_error is None or y_error is None else math.hypot(x_error, y_error)
        rows.append(
            {
                "name": name,
                "unit": str(ours.get("unit") or theirs.get("unit") or ""),
                "a": x,
                "a_stderr": x_error,
                "b": y,
                "b_stderr": y_error,
                "difference": gap,
                "difference_stderr": error,
                "z": None if gap is None or not error else gap / error,
            }
        )
    table = pd.DataFrame(rows).set_index("name")
    numbers = [name for name in table if name != "unit"]
    return table.assign(**table[numbers].astype(float))


def _same_shocks(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    seeds = [mapping(document.get("provenance")).get("seed") for document in (a, b)]
    grids = [[at(mapping(d.get("resolved")), "simulation", k) for k in ("paths", "steps")] for d in (a, b)]
    return seeds[0] is not None and seeds[0] == seeds[1] and grids[0] == grids[1]


def _sentence(
    names: tuple[str, str],
    document: Mapping[str, Any],
    metrics: pd.DataFrame,
    inputs: list[dict[str, Any]],
) -> str:
    """The metric that the first run is about, in both, and how much differs in the inputs."""
    claimed = mapping(document.get("claim")).get("metric")
    name = claimed if claimed in metrics.index else "pin_probability"
    changed = "no input differs" if not inputs else f"{len(inputs):,} inputs differ"
    if len(inputs) == 1:
        first, second = leaf_text(inputs[0]["a"]), leaf_text(inputs[0]["b"])
        changed = f"only {inputs[0]['key']} differs, {first} against {second}"
    if name not in metrics.index or metrics.loc[name, ["a", "b"]].isna().any():
        return f"{names[0]} and {names[1]}: {changed}."
    row = metrics.loc[name]
    unit = str(row["unit"])
    tail = "" if unit in ("probability", "ratio", "fraction") else f" {unit}"
    phrase = metric_phrase(str(name), document)
    first, second = (format_estimate(row[key], row[f"{key}_stderr"], unit) + tail for key in "ab")
    gap = format_gap(row["difference"], row["difference_stderr"], unit) + tail
    return (
        f"{phrase[0].upper()}{phrase[1:]} is {first} in {names[0]} and {second} in {names[1]}, "
        f"a difference of {gap}; {changed}."
    )
