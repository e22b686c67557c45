"""A bar with rate and time left on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(enabled: bool, what: str = "paths") -> Iterator[Callable[[int, int], None]]:
    """What it yields is called with (done, total); `what` is counted."""
    if not (enabled and sys.stderr.isatty()):
        yield lambda done, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn(f"{what} {{task.fields[rate]}}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("preparing", total=None, rate="")
        began: list[tuple[float, int]] = []

        def tell(done: int, total: int) -> None:
            if not began:
                # What was on disk already says nothing about the rate.
                began.append((time.monotonic(), done))
                bar.reset(task, total=total, completed=done, description="simulating")
            per_second = (done - began[0][1]) / max(time.monotonic() - began[0][0], 1e-9)
            slow = per_second < 10.0
            rate = f"{60.0 * per_second:,.0f}/min, left" if slow else f"{per_second:,.0f}/s, left"
            bar.update(task, completed=done, rate=rate if per_second else "")

        yield tell
