"""The command line. Heavy imports happen inside the commands, so that help answers at once."""

from __future__ import annotations

import os
import signal
import sys

import typer

from gammawall.scenarios.cli import calibration, chains, claims, finished, risk, runs, sweeps
from gammawall.scenarios.cli.interrupts import interrupted, on_interrupt

__all__ = ["app", "main"]

app = typer.Typer(
    name="gammawall",
    help="What dealers' option hedging does to the price, given option quotes and who is long them.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_INTERRUPTED = 130

app.command("list")(runs.list_scenarios)
app.command("show")(runs.show)
app.command("run")(runs.run)
app.command("exposures")(chains.exposures)
app.command("surface")(chains.surface)
app.command("calibrate-impact")(calibration.calibrate_impact)
app.command("compare")(finished.compare)
app.command("export")(finished.export)
app.command("sweep")(sweeps.sweep)
app.command("risk")(risk.risk)
app.command("ledger")(claims.ledger)
app.command("doctor")(runs.doctor)


def main() -> None:
    """Entry point: exit 0 ok, 1 failed, 2 bad input, 3 numerical status, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    signal.signal(signal.SIGINT, on_interrupt)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, on_interrupt)
    if hasattr(signal, "SIGPIPE"):
        # A reader that leaves, as in `| head -1`, ends the program without a word.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if len(sys.argv) > 1 and "--help" not in sys.argv:
        # Its imports are a fifth of what help would take.
        from gammawall.scenarios.compile_cache import keep_compiled_programs

        keep_compiled_programs()
    code = run_guarded()
    if code == _INTERRUPTED:
        # After an interrupt in the middle of a compilation the compiler crashes when Python winds down.
        sys.stderr.flush()
        os._exit(code)
    # All is written: a Ctrl-C while Python winds down could only print a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def run_guarded() -> int:
    code = 0
    try:
        app()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except Exception as error:
        code = _INTERRUPTED if interrupted() else _explain(error)
    if code == _INTERRUPTED:
        typer.echo("gammawall: interrupted; nothing half-written is left", err=True)
    return code


def _explain(error: Exception) -> int:
    from gammawall.surfaces.errors import InputError, NumericalError

    codes = {InputError: 2, NumericalError: 3, MemoryError: 1, OSError: 1}
    code = next((code for kind, code in codes.items() if isinstance(error, kind)), None)
    if code is None:
        raise error
    spent = "out of memory: use fewer simulation.steps or simulation.paths"
    typer.echo(f"gammawall: {spent if isinstance(error, MemoryError) else error}", err=True)
    return code


if __name__ == "__main__":
    main()
