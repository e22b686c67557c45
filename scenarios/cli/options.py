"""What the commands share: options, and writing what they were asked to write."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "AsOf",
    "Json",
    "Quiet",
    "Report",
    "ScenarioName",
    "Spot",
    "check_targets",
    "write_json",
]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON; - for standard output."),
]
Report = Annotated[
    str | None, typer.Option("--report", metavar="FILE", help="Write a page with charts as one HTML file.")
]
Spot = Annotated[float | None, typer.Option(help="Index level, where the file does not say.")]
AsOf = Annotated[str | None, typer.Option(help="Time of the quotes, where the file does not say.")]


def _names(incomplete: str) -> list[str]:
    from gammawall.scenarios.spec.catalogue import library

    return [name for name in library() if name.startswith(incomplete)]


ScenarioName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A scenario of the library, or the path of a TOML file.",
        autocompletion=_names,
    ),
]


def check_targets(json: str | None, report: str | None = None) -> None:
    """Refuse files that cannot be written before any work is done."""
    from gammawall.scenarios.whole_folders import check_file

    for target in (json if json != "-" else None, report):
        if target is not None:
            check_file(target)


def write_json(target: str | None, record: object) -> None:
    """Write a record where ``--json`` says, if it was given."""
    from gammawall.scenarios import whole_folders

    if target is not None:
        whole_folders.write_json(target, record)
