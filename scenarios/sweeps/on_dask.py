"""Cells on the workers of Dask: a worker that dies costs only the time of the cell that it was in."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import signal
import tempfile
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from gammawall.scenarios.runs.cell_store import CellRecord, cell_key, code_versions, run_cell
from gammawall.scenarios.spec.build import build
from gammawall.scenarios.sweeps.grid import Cell
from gammawall.surfaces.errors import InputError

__all__ = ["run_on_dask"]

_MOST_WORKERS = 256
_QUEUED = 2
"""cells handed out per worker: one that runs and one that waits, so that none is idle"""
_PATIENCE_S = 30.0
"""s, for a scheduler to answer and its first worker to appear"""


def run_on_dask(
    todo: Sequence[tuple[int, Cell]],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Generator[tuple[int, CellRecord], None, None]:
    """Run cells on local processes or on a cluster, in whatever order they finish.

    Args:
        todo: cells with their numbers.
        workers: processes to start here.
        scheduler: address of a running scheduler, instead.

    Yields:
        Number and record of each cell.

    Raises:
        InputError: Dask is missing, nothing answers at the address, or a worker runs another version.
        ChildProcessError: a cell brings down every worker that tries it.
    """
    if workers is not None and not 1 <= workers <= _MOST_WORKERS:
        raise InputError(f"workers must lie between 1 and {_MOST_WORKERS:,}; got {workers}")
    try:
        from distributed import CancelledError, Future, KilledWorker, as_completed
    except ImportError:
        raise InputError("this needs Dask, which is not installed: pip install 'gammawall[dask]'") from None
    with _client(workers, scheduler) as client:
        waiting = iter(todo)
        running: dict[Future, tuple[int, Cell, str]] = {}
        finished = as_completed(loop=client.loop)

        def hand_out() -> None:
            # A few at a time: the cells of a real chain carry its whole book.
            most = _QUEUED * max(len(client.nthreads()), 1)
            for number, cell in itertools.islice(waiting, max(most - len(running), 0)):
                # The quotes are in the book already, and of no use on another machine.
                scenario = dataclasses.replace(build(cell.spec), chain=None)
                future = client.submit(run_cell, scenario, pure=False)
                running[future] = number, cell, cell_key(scenario)
                finished.add(future)

        hand_out()
        for future in finished:
            number, cell, key = running.pop(future)
            try:
                record: CellRecord = future.result()
            except KilledWorker as failure:
                raise ChildProcessError(
                    f"{failure.allowed_failures + 1} workers died in the cell {', '.join(cell.settings)}, "
                    "most likely for want of memory: use fewer workers or fewer simulation.paths; finished "
                    "cells are kept"
                ) from None
            except CancelledError:
                raise ConnectionError("the Dask scheduler went away; finished cells are kept") from None
            if record["key"] != key:
                raise InputError(_difference(record))
            yield number, record
            hand_out()


def _difference(record: CellRecord) -> str:
    theirs = record.get("provenance", {})
    names = [name for name, ours in code_versions().items() if theirs.get(name) != ours]
    return (
        f"a worker runs another {' and '.join(names) or 'scenario'} than this process, so that their numbers "
        "would not belong together: use the same source and versions everywhere"
    )


@contextlib.contextmanager
def _client(workers: int | None, scheduler: str | None) -> Iterator[Any]:
    import dask.config
    from distributed import Client, LocalCluster, WorkerPlugin

    class LeaveInterrupts(WorkerPlugin):
        """Ctrl-C reaches all processes of a terminal; this one ends the workers in order."""

        def setup(self, worker: Any) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=_PATIENCE_S)
        except (OSError, ValueError) as failure:
            raise InputError(
                f"no Dask scheduler answers at {scheduler!r} ({failure}): start one with `dask scheduler` "
                "and give the address that it prints, such as tcp://10.0.0.5:8786"
            ) from None
        with client:
            try:
                client.wait_for_workers(1, timeout=_PATIENCE_S)
            except TimeoutError:
                raise InputError(
                    f"the Dask scheduler at {scheduler} has no workers: start some with "
                    f"`dask worker {scheduler} --nthreads 1`"
                ) from None
            yield client
        return
    plain: dict[str, Any] = {
        # No page to look at, and its port any free one: two sweeps may run at once.
        "dashboard_address": "127.0.0.1:0",
        "scheduler_kwargs": {"dashboard": False},
        # No limit that kills a worker which the machine could still feed.
        "memory_limit": None,
        "silence_logs": logging.ERROR,
    }
    with (
        tempfile.TemporaryDirectory(prefix="gammawall-", ignore_cleanup_errors=True) as folder,
        # Dask would give its workers one thread for linear algebra, and sums could then differ from here.
        dask.config.set({"distributed.nanny.pre-spawn-environ": {}}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            local_directory=folder,
            **plain,
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(LeaveInterrupts())
        yield client
