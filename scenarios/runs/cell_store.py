"""Finished cells on disk: what a run came to, under a name made of everything that its numbers depend on."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import logging
import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import cast

import jax
import numpy as np

import gammawall.sim
import gammawall.surfaces
from gammawall.scenarios.record import record_digest
from gammawall.scenarios.record_types import CellRecord
from gammawall.scenarios.runs.runner import run
from gammawall.scenarios.spec.origin import scenario_numbers
from gammawall.scenarios.spec.scenario import Scenario
from gammawall.scenarios.whole_folders import to_json, write_bytes

__all__ = [
    "CellRecord",
    "CellStore",
    "cell_key",
    "code_versions",
    "own_sources",
    "run_cell",
    "source_fingerprint",
]

_HERE = "gammawall.scenarios."
_ROOTS = ("runs/cell_store", "spec/kinds")
"""modules of this layer where its numbers begin; the kinds are loaded by name"""
_TELLING = ("runs/report", "runs/results")
"""modules that only tell what was found: a change to a picture must not run everything again"""


class CellStore:
    """A folder of finished cells; several processes may use it at once.

    A file that is cut short, altered or of another cell is noticed, logged and made anew.

    Args:
        folder: made when the first cell is kept; None keeps nothing.

    Attributes:
        hits: cells taken from the folder.
        computed: cells run.
        redone: those of them run although there was a file, which was damaged.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self.folder = None if folder is None else Path(folder).resolve()
        self.hits = self.computed = self.redone = 0

    def compute(
        self, scenario: Scenario, *, progress: Callable[[int, int], None] | None = None
    ) -> CellRecord:
        """The record of a cell, from the folder if it is there, else by a run that is then kept.

        Args:
            scenario: from `load`.
            progress: called with (paths done, paths in all) while it runs.

        Returns:
            name, key, resolved (without words; a chain by its digest), metrics, theory, status, provenance:
            the same on every run of the same code on the same device, so without times and dates.

        Raises:
            InputError: the folder cannot be written.
        """
        found = self.load(scenario)
        if found is None:
            found = run_cell(scenario, progress=progress)
            self.save(found)
        return found

    def load(self, scenario: Scenario) -> CellRecord | None:
        """A finished cell; None if there is none, or its file is damaged."""
        if self.folder is None:
            return None
        key = cell_key(scenario)
        path = self._path(key)
        try:
            whole = json.loads(path.read_bytes())
            record = whole["record"]
            good = (record["key"], whole["digest"]) == (key, record_digest(record))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            good, record = False, {}
        if not good:
            self.redone += 1
            logging.getLogger(__name__).warning("%s is damaged or of another cell: it is run again", path)
            return None
        self.hits += 1
        return cast(CellRecord, {"name": scenario.name, **record})

    def save(self, record: CellRecord) -> None:
        """Keep a cell that `run_cell` ran, here or elsewhere.

        Raises:
            InputError: the folder cannot be written.
        """
        self.computed += 1
        if self.folder is None:
            return
        # The same numbers may be asked for under another name.
        kept = {k: v for k, v in record.items() if k != "name"}
        whole = {"digest": record_digest(kept), "record": kept}
        write_bytes(self._path(record["key"]), to_json(whole).encode())

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{key}.json"


def run_cell(scenario: Scenario, *, progress: Callable[[int, int], None] | None = None) -> CellRecord:
    """Run a scenario and keep what is the same on every run."""
    document = run(scenario, progress=progress).document
    record = {
        "name": scenario.name,
        "key": cell_key(scenario),
        "resolved": scenario_numbers(scenario),
        **{name: document[name] for name in ("metrics", "theory", "status")},
        "provenance": code_versions() | {"seed": scenario.seed},
    }
    # As it will be read back: a fresh record and a kept one must not differ by so much as a tuple.
    return json.loads(to_json(record))


def cell_key(scenario: Scenario) -> str:
    """The name of a cell: SHA-256 of its numbers, the code, the versions, the device and the precision."""
    return record_digest({"numbers": scenario_numbers(scenario), "made_with": code_versions()})


@functools.cache
def code_versions() -> dict[str, str]:
    """What a number depends on beside its inputs."""
    device = jax.devices()[0]
    return {
        "version": metadata.version("gammawall"),
        "source_sha256": source_fingerprint(),
        "jax_version": jax.__version__,
        "numpy_version": np.__version__,
        "device": f"{device.platform}: {device.device_kind}",
        "dtype": "float64",
    }


@functools.cache
def source_fingerprint() -> str:
    """SHA-256 of the code that makes numbers, by content and name."""
    layers = [Path(package.__file__ or "").parent for package in (gammawall.surfaces, gammawall.sim)]
    files = [file for folder in layers for file in sorted(folder.rglob("*.py"))]
    files += [_layer() / f"{name}.py" for name in own_sources()]
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.parent.name}/{file.name}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def own_sources() -> list[str]:
    """Modules of this layer that decide a number, such as ``runs/runner``: what the roots import."""
    found, todo = set(), list(_ROOTS)
    while todo:
        name = todo.pop()
        if name in found or name in _TELLING or not (file := _layer() / f"{name}.py").exists():
            continue
        found.add(name)
        tree = ast.parse(file.read_bytes())
        told = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        own = [module.removeprefix(_HERE) for module in told if module.startswith(_HERE)]
        todo += [module.replace(".", "/") for module in own]
    return sorted(found)


def _layer() -> Path:
    return Path(__file__).parents[1]
