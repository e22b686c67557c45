"""The folder of a sweep: what is in it, and whether one may be written to."""

from __future__ import annotations

import os
from pathlib import Path

from gammawall.scenarios.whole_folders import REPORT, check_file
from gammawall.surfaces.errors import InputError

__all__ = ["CELLS", "DOCUMENT", "TABLE", "check_sweep_folder"]

CELLS, TABLE, DOCUMENT = "cells", "cells.parquet", "sweep.json"
"""finished cells, the table of all, and the record"""


def check_sweep_folder(folder: str | os.PathLike[str]) -> Path:
    """The absolute path of a folder that a sweep may be written to, or go on in.

    Raises:
        InputError: it holds something else, or cannot be written.
    """
    if not os.fspath(folder):
        raise InputError("the output folder has no name: give one, such as --out runs/mine-sweep")
    target = check_file(Path(folder) / TABLE).parent
    if target.is_dir():
        ours = {CELLS, TABLE, DOCUMENT, REPORT}
        # What an interrupted write left is hidden, and nobody's.
        others = sorted(e.name for e in target.iterdir() if e.name not in ours and e.name[0] != ".")
        if others:
            raise InputError(f"{target} holds something else ({others[0]}): name another folder with --out")
    return target
