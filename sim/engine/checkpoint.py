"""Finished blocks in a folder, so that a run that was stopped goes on where it was.

A file appears under its name only when it is whole; one that is damaged or of another run is not used. The
folder belongs to one run, named by a fingerprint of everything that its numbers depend on.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import types
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import gammawall.surfaces
from gammawall.sim.engine.block import Given, Plan
from gammawall.sim.files import write_whole
from gammawall.sim.types import SimConfig
from gammawall.surfaces.errors import InputError

__all__ = ["Checkpoint", "Record", "fingerprint"]

Record = dict[str, np.ndarray]
"""The arrays of `BlockSums` by name."""

_MANIFEST = "run.json"
_DIGEST = "digest"


class Checkpoint:
    """A folder of finished blocks of one run."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key

    @classmethod
    def open(cls, folder: str | Path, key: str) -> Checkpoint:
        """The folder, made if it is not there.

        Raises:
            InputError: it belongs to another run, or cannot be written.
        """
        self = cls(Path(folder), key)
        manifest = self.folder / _MANIFEST
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not manifest.exists():
                write_whole(manifest, json.dumps({"run": key}).encode())
        try:
            owner = json.loads(manifest.read_bytes())["run"]
        except (OSError, ValueError, TypeError, KeyError):
            owner = None
        if owner != key:
            raise InputError(
                f"the checkpoint folder {folder} belongs to another run: some number, choice or version "
                "differs from the run that filled it; give another folder, or empty this one to begin again"
            )
        return self

    def load(self, first: int, count: int) -> Record | None:
        """A finished block; None if there is none, or its file is damaged."""
        try:
            # Read whole first: a damaged archive would leave its file open.
            content = io.BytesIO(self._path(first, count).read_bytes())
            with np.load(content, allow_pickle=False) as file:
                record = {name: file[name] for name in file.files}
            told = str(record.pop(_DIGEST))
        except Exception:  # a damaged archive fails in many ways, and all mean the same
            return None
        return record if told == self._digest(first, count, record) else None

    def save(self, first: int, count: int, record: Record) -> None:
        """Keep a finished block.

        Raises:
            InputError: the folder cannot be written.
        """
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {**record, _DIGEST: np.array(self._digest(first, count, record))}
        np.savez(buffer, **arrays)
        with _writing(self.folder):
            write_whole(self._path(first, count), buffer.getvalue())

    def _path(self, first: int, count: int) -> Path:
        return self.folder / f"paths-{first:010d}-{count}.npz"

    def _digest(self, first: int, count: int, record: Record) -> str:
        return _hash((self.key, first, count, dict(sorted(record.items()))))


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        raise InputError(
            f"the checkpoint folder {folder} cannot be written ({failure.strerror or failure}); free some "
            "space or give another folder; the blocks finished so far are kept"
        ) from failure


# --- what a run is -----------------------------------------------------------------------------------------


def fingerprint(given: Given, plan: Plan, config: SimConfig, device: Any) -> str:
    """A hash of everything that the numbers of a run depend on: its arrays and choices, the code, the
    versions of jax and NumPy, and the kind of device. The size of blocks and the number of threads, devices
    and processes are no part of it."""
    leaves, tree = jax.tree_util.tree_flatten(given)
    size = (config.paths, config.keep_paths, config.sampling, config.replicates)
    versions = (jax.__version__, np.__version__, device.platform, device.device_kind)
    return _hash((str(tree), leaves, plan, size, versions, _sources()))


@functools.cache
def _sources() -> list[bytes]:
    folders = [Path(__file__).parents[1], Path(gammawall.surfaces.__file__ or "").parent]
    return [file.read_bytes() for folder in folders for file in sorted(folder.rglob("*.py"))]


def _hash(value: object) -> str:
    digest = hashlib.sha256()
    _feed(digest.update, value)
    return digest.hexdigest()


def _feed(update: Callable[[bytes], None], value: object) -> None:
    """Feed a value into a hash: what it is, never where it lies in memory."""
    update(f"<{type(value).__name__}>".encode())
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        array = np.asarray(value)
        update(f"{array.dtype.str}{array.shape}".encode())
        update(np.ascontiguousarray(array).tobytes())
    elif isinstance(value, bytes):
        update(value)
    elif isinstance(value, dict):
        for pair in value.items():
            _feed(update, pair)
    elif isinstance(value, frozenset | set):
        update(repr(sorted(map(repr, value))).encode())
    elif isinstance(value, tuple | list):
        for item in value:
            _feed(update, item)
    elif isinstance(value, types.MethodType):
        _feed(update, (value.__self__, value.__func__))
    elif isinstance(value, types.FunctionType):
        cells = [c.cell_contents for c in value.__closure__ or ()]
        # Of the module's names only constants: a function of the user's own may read them.
        names = [value.__globals__.get(n) for n in value.__code__.co_names]
        constants = [v for v in names if isinstance(v, int | float | str | tuple | np.ndarray)]
        name = (value.__module__, value.__qualname__)
        _feed(update, (name, value.__code__, value.__defaults__, cells, constants))
    elif isinstance(value, types.CodeType):
        _feed(update, (value.co_code, value.co_names, value.co_consts))
    elif isinstance(value, type):
        update(f"{value.__module__}.{value.__qualname__}".encode())
    elif is_dataclass(value):
        _feed(update, {f.name: getattr(value, f.name) for f in fields(value)})
    elif getattr(value, "__dict__", None):
        _feed(update, (type(value), vars(value)))
    else:
        update(repr(value).encode())
    update(b";")
