"""A finished run as a document and arrays, and as a folder that is whole or not there."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gammawall.sim.files import sync, write_whole
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.limits import allowed_bytes, read_limited

__all__ = [
    "FORMAT",
    "MOST_BYTES",
    "REPORT",
    "Result",
    "check_file",
    "check_folder",
    "read_record",
    "to_json",
    "write_folder",
    "write_text",
]

FORMAT = 1
"""Of the records that runs, sweeps, ledgers and risks write, as ``format``. A change that this version would
misread takes the next number; new keys do not. Records from before there was a number have none."""
REPORT = "report.html"
_DOCUMENT, _SERIES = "result.json", "series.npz"
_FILES = frozenset({_DOCUMENT, _SERIES, REPORT})
_DIGEST = "digest"
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
MOST_BYTES = 256 * 2**20
"""Of each file, packed and unpacked; those of a run take a thousandth."""


@dataclass(frozen=True)
class Result:
    """What `run` found.

    `document` is the record that ``--json`` prints, `series` the arrays behind the pictures.
    """

    document: dict[str, Any]
    series: dict[str, np.ndarray]

    def metric(self, name: str) -> dict[str, Any]:
        """One entry of the document's metrics."""
        for entry in self.document["metrics"]:
            if entry["name"] == name:
                return entry
        known = ", ".join(entry["name"] for entry in self.document["metrics"])
        raise KeyError(f"no metric {name!r} in this result; there are {known}")

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

        return write_folder(folder, fill)

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
        return cls(document, series)


def write_folder(
    folder: str | os.PathLike[str], fill: Callable[[Path], None], ours: Collection[str] = _FILES
) -> Path:
    """Write a folder whole or not at all; replaces an earlier one of the same kind.

    Args:
        folder: where to.
        fill: writes the files into the folder it is given.
        ours: names of files that a folder of this kind may hold.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    target = check_folder(folder, ours)
    fresh = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Hidden and beside the target: a rename is atomic only within one file system.
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", dir=target.parent))
        fill(fresh)
        for path in (*fresh.iterdir(), fresh):
            sync(path)
        fresh.chmod(0o755)
        _swap(fresh, target)
        sync(target.parent)
    except OSError as error:
        raise _unwritable(target, error) from None
    finally:
        if fresh is not None:
            _remove(fresh)
    return target


def check_folder(folder: str | os.PathLike[str], ours: Collection[str] = _FILES) -> Path:
    """The absolute path of a folder that may be written to or replaced: it holds nothing but `ours`.

    Raises:
        InputError: it holds something else, or cannot be written.
    """
    if not os.fspath(folder):
        raise InputError("the output folder has no name: give one, such as --out runs/mine")
    target = Path(folder).resolve()
    if target.is_dir():
        others = sorted(entry.name for entry in target.iterdir() if entry.name not in ours)
        if others:
            raise InputError(f"{target} holds something else ({others[0]}): name another folder with --out")
        if target == Path.cwd():
            raise InputError(f"{target} is the current folder: name one inside it with --out")
    elif target.exists():
        raise InputError(f"{target} is a file: name a folder with --out")
    _check_parent(target)
    return target


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file that can be written.

    Raises:
        InputError: it cannot.
    """
    if not os.fspath(path):
        raise InputError("the file to write has no name: give one, or - for standard output")
    target = Path(path).resolve()
    if target.is_dir():
        raise InputError(f"{target} is a folder: name a file to write")
    if target.is_file() or not target.exists():
        _check_parent(target)
    return target


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a file whole or not at all; a pipe or a device is written to as it is.

    Raises:
        InputError: the file cannot be written.
    """
    target = check_file(path)
    try:
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")
            return target
        write_whole(target, text.encode())
    except OSError as error:
        raise _unwritable(target, error) from None
    return target


def to_json(value: Any) -> str:
    """Strict JSON: NaN and infinity become null."""
    return json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_record(content: bytes, source: object) -> dict[str, Any]:
    """A record as `to_json` wrote it, of this format or an earlier one.

    Args:
        content: the JSON text.
        source: where it is from, for the message.

    Raises:
        InputError: its format is newer.
        ValueError: it is no record, damaged, too deep, or holds half a character, which cannot be written
            again.
    """
    try:
        record = json.loads(content)
        if _HALF.search(content):
            json.dumps(record, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError("it holds no record")
    number = record.get("format", FORMAT)
    if type(number) is not int or number < 1:
        raise ValueError(f"its format must be a whole number from 1 to {FORMAT}; got {number!r:.40}")
    if number > FORMAT:
        raise InputError(
            f"{source} is a record of format {number}, and this version reads formats up to {FORMAT}: "
            "upgrade gammawall to the version that wrote it, or a later one"
        )
    return record


def _swap(fresh: Path, target: Path) -> None:
    """Put a finished folder in place of an earlier one; a kill in between leaves both whole, but hidden."""
    if not target.exists():
        os.replace(fresh, target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.old.", dir=target.parent))
    try:
        os.replace(target, old / "result")
        os.replace(fresh, target)
    except BaseException:
        if not target.exists():
            os.replace(old / "result", target)
        raise
    finally:
        if target.exists():
            _remove(old)


def _remove(folder: Path) -> None:
    """Remove a folder of ours, also when Ctrl-C falls into it."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        raise


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


def _check_parent(target: Path) -> None:
    """Refuse early, before minutes of work, what could not be written in the end."""
    above = next(parent for parent in target.absolute().parents if parent.exists())
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".gammawall.", dir=above))
    except OSError as error:
        raise _unwritable(target, error) from None


def _unwritable(target: Path, error: OSError) -> InputError:
    return InputError(f"cannot write {target}: {error.strerror or error}; name another place")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
