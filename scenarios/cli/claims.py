"""The command about what was claimed: ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gammawall.scenarios.cli.interrupts import heed_interrupts
from gammawall.scenarios.cli.options import Json, Quiet, check_targets, write_json

if TYPE_CHECKING:
    from gammawall.scenarios.claims.ledger import LedgerPlan
    from gammawall.scenarios.claims.record_types import LedgerRecord
    from gammawall.scenarios.runs.cell_store import CellStore

__all__ = ["ledger"]


def ledger(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAMES]...", help="Scenarios, or paths of TOML files, with a claim; all when none."
        ),
    ] = None,
    paths: Annotated[int, typer.Option(help="Number of paths of every run.")] = 8192,
    out: Annotated[str, typer.Option(metavar="DIR", help="Where to write.")] = "runs/ledger",
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Judge every claim and write one page of verdicts.

    Each claim is tested at several price impacts, in its variants, and with dealers on the other side.
    Finished runs are kept in DIR/cells: a ledger that was stopped resumes where it left off.
    """
    from gammawall.scenarios.claims.ledger import judge_all, open_store, plan, save_ledger
    from gammawall.scenarios.cli.progress import progress_bar

    check_targets(json)
    silent = quiet or json == "-"
    store = open_store(out)
    planned = plan(names or (), paths=paths)
    if not silent:
        _print_plan(planned, store)
    with progress_bar(not silent, "runs") as bar:

        def progress(done: int, total: int) -> None:
            heed_interrupts()
            bar(done, total)

        record = judge_all(planned, store=store, progress=progress)
    page = save_ledger(record, out)
    write_json(json, record)
    if not silent:
        _print_ledger(record, page)


def _print_plan(planned: LedgerPlan, store: CellStore) -> None:
    """What a ledger is about to run, before it does."""
    from gammawall.scenarios.cli.terminal import terminal

    runs, kept = len(planned.runs) + len(planned.curve), planned.kept(store)
    claims, done = len(planned.scenarios), f", {kept:,} of them done before" if kept else ""
    terminal().print(
        f"{claims:,} claim{'s' * (claims != 1)} in {planned.settings:,} settings: {runs:,} runs{done}; most "
        "of the time goes into compilation, a few seconds for each new shape of run"
    )


def _print_ledger(record: LedgerRecord, page: Path) -> None:
    """The verdicts, and where the page is."""
    from rich.text import Text

    from gammawall.scenarios.claims.words import (
        condition_words,
        effect_text,
        headline,
        number_words,
        sign_sentence,
    )
    from gammawall.scenarios.cli.terminal import print_report, print_sentence, table, terminal

    console = terminal()
    print_sentence(console, headline(record), "bold")
    print_sentence(console, sign_sentence(record))
    console.print()
    names = ("claim", "scenario", "verdict", "effect", "threshold", "depends on")
    rows = table(*names)
    for claim in record["claims"]:
        texts = (claim["id"], claim["scenario"], claim["verdict"], effect_text(claim, claim["rows"][0]))
        bound = f"{claim['holds']} {number_words(claim, claim['threshold'])}"
        rows.add_row(*map(Text, (*texts, bound, condition_words(claim, 1))))
    console.print(rows)
    print_report(console, page)
