"""Sweeps on Dask: the same bytes as in this process, also when workers die; clear words when they cannot."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys

import pytest

from gammawall.scenarios import sweep
from gammawall.scenarios.runs import cell_store as cells
from gammawall.scenarios.sweeps import on_dask as sweep_dask
from gammawall.scenarios.sweeps.record import sweep_parquet
from gammawall.surfaces.errors import InputError
from tests.helpers.scenario_files import write

distributed = pytest.importorskip("distributed", reason="needs Dask")

GRID = {"impact.bp_per_usd_bn": [0.0, 3.0, 6.0], "hedging.fraction": [0.5, 1.0]}
SIXTY = {
    "impact.bp_per_usd_bn": [0.0, 1.0, 3.0, 6.0, 12.0],
    "hedging.fraction": [0.25, 0.5, 1.0],
    "simulation.seed": [0, 1, 2, 3],
}


@pytest.fixture
def cluster():
    """A scheduler with one worker, a thread of this process: it shares what is compiled already."""
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
        protocol="tcp",
        silence_logs=logging.ERROR,
    ) as running:
        yield running


@pytest.mark.slow
def test_cells_on_a_scheduler_are_the_cells_of_this_process(tmp_path, cluster):
    path, seen = write(tmp_path), []
    here = sweep(path, GRID)
    there = sweep(
        path,
        GRID,
        tmp_path / "out",
        scheduler=cluster.scheduler_address,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert sweep_parquet(there) == sweep_parquet(here)
    assert (tmp_path / "out" / "cells.parquet").read_bytes() == sweep_parquet(here)
    assert seen == [(done, 6) for done in range(7)]
    assert there.counts == {"cells": 6, "found": 0, "run": 6, "redone": 0}


def test_a_worker_with_other_code_is_refused(tmp_path, cluster, monkeypatch):
    def other(scenario):
        record = cells.run_cell(scenario)
        record["provenance"]["jax_version"] = "0.0.1"
        return record | {"key": "other"}

    monkeypatch.setattr(sweep_dask, "run_cell", other)
    with pytest.raises(InputError, match="a worker runs another jax_version than this process"):
        sweep(write(tmp_path), GRID, tmp_path / "out", scheduler=cluster.scheduler_address)
    assert not (tmp_path / "out" / "cells.parquet").exists()


def test_a_cell_that_fails_fails_as_it_does_here(tmp_path, cluster, monkeypatch):
    def spent(scenario):
        raise MemoryError("no room")

    monkeypatch.setattr(sweep_dask, "run_cell", spent)
    with pytest.raises(MemoryError, match="no room"):
        sweep(write(tmp_path), GRID, scheduler=cluster.scheduler_address)


def test_a_scheduler_that_is_not_there_or_has_no_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_dask, "_PATIENCE_S", 1.0)
    with pytest.raises(InputError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        sweep(write(tmp_path), GRID, scheduler="tcp://127.0.0.1:9")
    with pytest.raises(InputError, match="no Dask scheduler answers at 'nonsense://x'"):
        sweep(write(tmp_path), GRID, scheduler="nonsense://x")
    empty = distributed.LocalCluster(
        n_workers=0, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp"
    )
    with empty, pytest.raises(InputError, match="has no workers: start some with `dask worker tcp://"):
        sweep(write(tmp_path), GRID, scheduler=empty.scheduler_address)


def test_without_dask_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'gammawall\[dask\]'"):
        sweep(write(tmp_path), GRID, tmp_path / "out", workers=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills with a signal")
def test_sixty_cells_on_two_workers_one_killed_half_way(tmp_path, monkeypatch):
    path = write(tmp_path)
    here = sweep(path, SIXTY)
    monkeypatch.chdir(tmp_path)
    before, killed = set(os.listdir()), []

    def kill_half_way(done: int, total: int) -> None:
        if done == 30 and not killed:
            killed.append(multiprocessing.active_children()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    there = sweep(path, SIXTY, tmp_path / "out", workers=2, progress=kill_half_way)
    assert len(killed) == 1
    assert there.counts == {"cells": 60, "found": 0, "run": 60, "redone": 0}
    assert sweep_parquet(there) == sweep_parquet(here)
    assert (tmp_path / "out" / "cells.parquet").read_bytes() == sweep_parquet(here)
    assert set(os.listdir()) - before == {"out"}
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_cell_that_kills_every_worker_is_named(tmp_path, monkeypatch):
    def die(scenario):
        os._exit(9)

    # Sent as code, not as a name that a worker cannot import.
    die.__module__ = "__main__"
    monkeypatch.setattr(sweep_dask, "run_cell", die)
    with pytest.raises(ChildProcessError, match=r"4 workers died in the cell impact\.bp_per_usd_bn=3\.0"):
        sweep(write(tmp_path), {"impact.bp_per_usd_bn": [3.0]}, tmp_path / "out", workers=1)


@pytest.mark.slow
def test_an_interrupted_sweep_on_workers_leaves_its_cells_and_no_process(tmp_path):
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(write(tmp_path), GRID, tmp_path / "out", workers=1, progress=stop)
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 2
    assert not multiprocessing.active_children()
    assert sweep(write(tmp_path), GRID, tmp_path / "out").counts["found"] == 2
