"""A sweep as a record, as a table, and as a folder."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from gammawall.scenarios.provenance import environment
from gammawall.scenarios.record import FORMAT
from gammawall.scenarios.sweeps.finding import finding
from gammawall.scenarios.sweeps.folder import DOCUMENT, TABLE, check_sweep_folder
from gammawall.scenarios.sweeps.report import sweep_report
from gammawall.scenarios.sweeps.result import Sweep
from gammawall.scenarios.whole_folders import REPORT, to_json, write_bytes

__all__ = ["save_sweep", "sweep_parquet", "sweep_record"]


def sweep_record(sweep: Sweep) -> dict[str, Any]:
    """The record that ``gammawall sweep --json`` writes."""
    return {
        "format": FORMAT,
        "scenario": sweep.scenario.name,
        "finding": finding(sweep),
        "grid": sweep.grid,
        "counts": sweep.counts,
        "base": sweep.scenario.resolved() | {"notes": list(sweep.scenario.notes)},
        "provenance": environment() | {"chain_sha256": sweep.scenario.chain_sha256},
        **{str(key): value for key, value in sweep.table.attrs.items()},
        "cells": sweep.table.to_dict("records"),
    }


def sweep_parquet(sweep: Sweep) -> bytes:
    """The table as Parquet: byte for byte the same for the same cells."""
    buffer = io.BytesIO()
    sweep.table.to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()


def save_sweep(sweep: Sweep, folder: str | os.PathLike[str]) -> Path:
    """Write cells.parquet, sweep.json and report.html into a folder.

    Raises:
        InputError: it holds something else, or cannot be written.
    """
    target = check_sweep_folder(folder)
    contents = {
        TABLE: sweep_parquet(sweep),
        DOCUMENT: to_json(sweep_record(sweep)).encode(),
        REPORT: sweep_report(sweep).encode(),
    }
    for name, content in contents.items():
        write_bytes(target / name, content)
    return target
