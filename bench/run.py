"""Speed against the limit of this machine, measured in the same run: ``python bench/run.py [--json FILE]``.

Runs where only jax, NumPy, pandas and SciPy are installed; the C loops need a compiler and are skipped, with
a word, where there is none; so is the comparison with other libraries (``pip install -e '.[bench]'``). Every
line is the median of repeated runs, compilation apart.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np
from bare import find_packages

# Most of a GPU's memory for this process would leave none to the kernels of others and to fresh processes.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
find_packages()

from climit import CLimit  # noqa: E402
from cuda_peers import cuda_lines  # noqa: E402
from growth import growth_lines  # noqa: E402
from jobs import exposure_lines, greek_lines, path_lines, vol_lines  # noqa: E402
from measure import Line  # noqa: E402
from memory import Peak, allocator, allocator_lines, memory_peaks  # noqa: E402
from numpy_peers import numpy_lines  # noqa: E402
from peers import HEADER, VolRecord, greek_peer_lines, missing_peers, vol_records  # noqa: E402
from wholes import bandwidth_lines, calibration_lines, command_lines, flow_lines  # noqa: E402

JOBS = (
    greek_lines,
    allocator_lines,
    bandwidth_lines,
    vol_lines,
    exposure_lines,
    path_lines,
    flow_lines,
    growth_lines,
    calibration_lines,
    command_lines,
)


def main() -> None:
    """Run every job and print a table; with --json also write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the record here")
    parser.add_argument("--compare", metavar="FILE", help="an earlier record to set beside this one")
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    chosen = parser.parse_args()
    limit = CLimit()
    if not limit.available:
        print(f"no C limit: {limit.why_not}")
    # Medians beside other people's work say little: the record keeps how much of it there was.
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    earlier = _earlier(chosen.compare)
    lines: list[Line] = []
    for job in JOBS:
        for line in job(limit, quick=chosen.quick):
            lines.append(line)
            print(line.row(earlier), flush=True)
    peaks = _peaks(quick=chosen.quick)
    vols = _beside_peers(lines, earlier, quick=chosen.quick)
    if chosen.json:
        record = _record(lines, peaks, vols) | {"load_before": load}
        Path(chosen.json).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _peaks(*, quick: bool) -> list[Peak]:
    peaks: list[Peak] = []
    for peak in memory_peaks(quick=quick):
        peaks.append(peak)
        print(peak.row(), flush=True)
    return peaks


def _beside_peers(lines: list[Line], earlier: dict[str, float], *, quick: bool) -> list[VolRecord]:
    # Last: importing some of the libraries changes jax's settings for the process.
    if missing := missing_peers():
        print(f"not compared with {', '.join(missing)}: not installed (pip install -e '.[bench]')")
    found = numpy_lines(lines, quick=quick), cuda_lines(lines, quick=quick), greek_peer_lines(quick=quick)
    for line in itertools.chain(*found):
        lines.append(line)
        print(line.row(earlier), flush=True)
    print(HEADER)
    vols: list[VolRecord] = []
    for record in vol_records(quick=quick):
        vols.append(record)
        print(record.row(), flush=True)
    return vols


def _earlier(path: str | None) -> dict[str, float]:
    if path is None:
        return {}
    return {line["name"]: line["ns"] for line in json.loads(Path(path).read_text(encoding="utf-8"))["lines"]}


def _record(lines: list[Line], peaks: list[Peak], vols: list[VolRecord]) -> dict[str, Any]:
    device = jax.devices()[0]
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": f"{device.platform}: {device.device_kind}",
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), "jax": jax.__version__, "numpy": np.__version__},
        "allocator": allocator(),
        "lines": [vars(line) | {"ns": line.ns, "ratio": line.ratio} for line in lines],
        "peaks": [vars(peak) | {"ratio": peak.ratio} for peak in peaks],
        "implied_vols": [vars(record) for record in vols],
    }


if __name__ == "__main__":
    main()
