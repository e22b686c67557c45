"""A finished run as a document and arrays, and as a folder that is whole or not there."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gammawall.surfaces.errors import InputError

__all__ = ["Result", "to_json", "write_text"]

_DOCUMENT, _SERIES = "result.json", "series.npz"


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
        raise KeyError(f"no metric {name!r} in this result")

    def save(self, folder: str | os.PathLike[str], files: Mapping[str, str] | None = None) -> Path:
        """Write the result as a folder, with further text files beside it; replaces an earlier result.

        Raises:
            InputError: the folder holds something else, or cannot be written.
        """
        target = Path(folder)
        if (
            target.exists()
            and not (target / _DOCUMENT).is_file()
            and (target.is_file() or any(target.iterdir()))
        ):
            raise InputError(f"{target} exists and is not an earlier result: name another folder with --out")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        except OSError as error:
            raise InputError(
                f"cannot write into {target.parent}: {error.strerror}; name another with --out"
            ) from None
        try:
            for name, text in {**(files or {}), _DOCUMENT: to_json(self.document)}.items():
                (fresh / name).write_text(text, encoding="utf-8")
            np.savez_compressed(fresh / _SERIES, **{k: np.asarray(v) for k, v in self.series.items()})
            fresh.chmod(0o755)
            _swap(fresh, target)
        except OSError as error:
            raise InputError(
                f"cannot write {target}: {error.strerror}; name another folder with --out"
            ) from None
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return target

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Result:
        """Read a folder that `save` wrote."""
        source = Path(folder)
        try:
            document = json.loads((source / _DOCUMENT).read_text(encoding="utf-8"))
            with np.load(source / _SERIES, allow_pickle=False) as arrays:
                return cls(document, dict(arrays))
        except (OSError, ValueError) as error:
            raise InputError(f"{source} is not a result folder: {error}") from None


def _swap(fresh: Path, target: Path) -> None:
    """Put a finished folder in place of an earlier one; a kill in between leaves one of the two."""
    if not target.exists():
        os.replace(fresh, target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    os.replace(target, old / "result")
    os.replace(fresh, target)
    shutil.rmtree(old, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a file whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(name, 0o644)
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(
            f"cannot write {target}: {error.strerror}; name a file in a writable folder"
        ) from None
    return target


def to_json(value: Any) -> str:
    """Strict JSON: NaN and infinity become null."""
    return json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


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
