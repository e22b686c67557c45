"""Files and folders that are whole or not there; what cannot be written is refused before any work."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gammawall.sim.files import sync, write_whole
from gammawall.surfaces.errors import InputError

__all__ = [
    "REPORT",
    "check_file",
    "check_folder",
    "to_json",
    "write_bytes",
    "write_folder",
    "write_json",
    "write_text",
]

REPORT = "report.html"
"""The page in every folder that is written."""


def write_folder(folder: str | os.PathLike[str], fill: Callable[[Path], None], ours: Collection[str]) -> Path:
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


def check_folder(folder: str | os.PathLike[str], ours: Collection[str]) -> Path:
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


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, also when the power fails or others write it at the same time.

    Raises:
        InputError: it cannot be written.
    """
    try:
        write_whole(path, content)
    except OSError as error:
        raise _unwritable(path, error) from None


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a file whole or not at all; a pipe or a device is written to as it is.

    Raises:
        InputError: the file cannot be written.
    """
    target = check_file(path)
    if not target.exists() or target.is_file():
        write_bytes(target, text.encode())
        return target
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(target, error) from None
    return target


def write_json(path: str | os.PathLike[str], record: object) -> None:
    """Write a record as JSON to a file or, for ``-``, to standard output.

    Raises:
        InputError: the file cannot be written.
    """
    text = to_json(record)
    if os.fspath(path) == "-":
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
    else:
        write_text(path, text)


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


def to_json(value: object) -> str:
    """Strict JSON: NaN and infinity become null."""
    return json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


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


def _check_parent(target: Path) -> None:
    """Refuse early, before minutes of work, what could not be written in the end."""
    above = next(parent for parent in target.absolute().parents if parent.exists())
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".gammawall.", dir=above))
    except OSError as error:
        raise _unwritable(target, error) from None


def _unwritable(target: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot write {target}: {error.strerror or error}; free some space or name another place"
    )


def _plain(value: object) -> Any:
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
