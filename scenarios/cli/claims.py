"""The command about what was claimed: ledger."""

from __future__ import annotations

from typing import Annotated

import typer

from gammawall.scenarios.cli.interrupts import heed_interrupts
from gammawall.scenarios.cli.options import Json, Quiet, check_targets, write_json

__all__ = ["ledger"]


def ledger(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAMES]...", help="Scenarios, or paths of TOML files, with a claim; all when none."
        ),
    ] = None,
    paths: Annotated[int, typer.Option(help="Paths of every run.")] = 8192,
    out: Annotated[str, typer.Option(metavar="DIR", help="Where to write.")] = "runs/ledger",
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Judge every claim and write one page of verdicts.

    Each claim is tried at several impacts, in its variants, and with the opposite sign of all dealers hold.
    Finished runs are kept in DIR/cells: a ledger that was stopped goes on where it was.
    """
    from gammawall.scenarios.claims.ledger import judge_all, open_store, plan, save_ledger
    from gammawall.scenarios.cli import terminal as console
    from gammawall.scenarios.cli.progress import progress_bar
    from gammawall.scenarios.runs.results import to_json

    check_targets(json)
    silent = quiet or json == "-"
    store = open_store(out)
    planned = plan(names or (), paths=paths)
    if not silent:
        console.print_plan(planned, store)
    with progress_bar(not silent, "runs") as bar:

        def progress(done: int, total: int) -> None:
            heed_interrupts()
            bar(done, total)

        record = judge_all(planned, store=store, progress=progress)
    page = save_ledger(record, out)
    write_json(json, to_json(record))
    if not silent:
        console.print_ledger(record, page)
