"""A finished run as a document and arrays, and as a folder that is whole or not there."""

from __future__ import annotations

import hashlib
import io
import math
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from gammawall.scenarios.record import at, entries, mapping, read_record, real
from gammawall.scenarios.record_types import RunRecord
from gammawall.scenarios.runs.answers import answers
from gammawall.scenarios.whole_folders import REPORT, check_folder, to_json, write_folder
from gammawall.sim.measure.metrics import Metric
from gammawall.surfaces.display import Display
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.limits import allowed_bytes, read_limited

__all__ = [
    "MOST_BYTES",
    "Result",
    "check_run_folder",
]

_DOCUMENT, _SERIES = "result.json", "series.npz"
_FILES = frozenset({_DOCUMENT, _SERIES, REPORT})
_DIGEST = "digest"
_NUMBERS = ("value", "stderr", "baseline", "baseline_stderr", "difference", "difference_stderr")
MOST_BYTES = 256 * 2**20
"""Of each file, packed and unpacked; those of a run take a thousandth."""


@dataclass(frozen=True, repr=False)
class Result(Display):
    """What `run` found: ``result["pin_probability"].value`` is one of its numbers.

    `document` is the record that ``--json`` prints, `series` the arrays behind the pictures.
    """

    document: RunRecord
    series: dict[str, np.ndarray]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric of the record; a number that is missing there is NaN."""
        return tuple(
            Metric(
                str(entry.get("name")),
                str(entry.get("unit") or ""),
                str(entry.get("description") or ""),
                **{key: _number(entry.get(key)) for key in _NUMBERS},
            )
            for entry in entries(self.document, "metrics")
        )

    def __getitem__(self, name: str) -> Metric:
        return self.metric(name)

    def metric(self, name: str) -> Metric:
        """One metric, as in `SimResult`.

        Raises:
            KeyError: there is none of that name.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        known = ", ".join(metric.name for metric in self.metrics)
        raise KeyError(f"no metric {name!r} in this result; there are {known}")

    def summary(self) -> list[tuple[str, str]]:
        """The scenario, the answer and how many paths it is from."""
        paths = at(mapping(self.document.get("resolved")), "simulation", "paths")
        lines = [("scenario", str(self.document.get("scenario") or "unnamed"))]
        lines += [("answer", answers(self.document, self.series)[0].text)]
        return lines + ([] if paths is None else [("paths", f"{paths:,.0f}")])

    def frame(self) -> pd.DataFrame:
        """The metrics by name: unit, description, and each number with and without hedging."""
        return pd.DataFrame([vars(metric) for metric in self.metrics]).set_index("name")

    def save(self, folder: str | os.PathLike[str], report: str | None = None) -> Path:
        """Write the result as a folder, the report's text beside it; replaces an earlier result whole.

        Raises:
            InputError: the folder holds something else, or cannot be written.
        """
        document = to_json(self.document).encode()
        series: dict[str, Any] = {k: np.asarray(v) for k, v in self.series.items()}
        arrays: dict[str, Any] = series | {_DIGEST: np.array(_digest(document, series))}

        def fill(fresh: Path) -> None:
            (fresh / _DOCUMENT).write_bytes(document)
            np.savez_compressed(fresh / _SERIES, **arrays)
            if report is not None:
                (fresh / REPORT).write_text(report, encoding="utf-8")

        return write_folder(folder, fill, _FILES)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Result:
        """Read a folder that `save` wrote; one written before results had a digest is taken as it is.

        Raises:
            InputError: it is not one, or of a newer format, or it is damaged: by so much as one digit or byte
                of its numbers.
        """
        source = Path(folder)
        try:
            text = read_limited(source / _DOCUMENT, MOST_BYTES)
            document = read_record(text, source)
            series = _read_series(source / _SERIES)
            told = series.pop(_DIGEST, None)
            if told is not None and str(told) != _digest(text, series):
                raise ValueError(f"{_DOCUMENT} or {_SERIES} was altered since it was written")
        except InputError:
            raise
        except Exception as error:  # a damaged archive fails in many ways, and all mean the same
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(f"{source} is not a whole result folder: {reason}") from None
        return cls(cast(RunRecord, document), series)


def check_run_folder(folder: str | os.PathLike[str]) -> Path:
    """The absolute path of a folder that `Result.save` may write.

    Raises:
        InputError: it holds something else, or cannot be written.
    """
    return check_folder(folder, _FILES)


def _read_series(path: Path) -> dict[str, np.ndarray]:
    content = io.BytesIO(read_limited(path, MOST_BYTES))
    with zipfile.ZipFile(content) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > allowed_bytes(MOST_BYTES):
        raise ValueError(f"{path.name} unpacks to {unpacked:,} bytes, which no result does")
    with np.load(content, allow_pickle=False) as arrays:
        series = dict(arrays)
    # Damage to the archive's list of arrays must not make it look like one from before there were digests.
    if _DIGEST not in series and f"{_DIGEST}.npy".encode() in content.getvalue():
        raise ValueError(f"{path.name} has lost some of its arrays")
    return series


def _digest(document: bytes, series: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the record as written and of the arrays by name."""
    digest = hashlib.sha256(document)
    for name in sorted(set(series) - {_DIGEST}):
        array = series[name]
        digest.update(f"\0{name}\0{array.dtype.str}{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _number(value: object) -> float:
    number = real(value)
    return math.nan if number is None else number
