"""What the README and docs/ show runs as it stands; links lead somewhere, the validation table is true."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
import types
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import typer.main
import yaml

from gammawall.scenarios.cli import main as cli
from tests.helpers import choices_table, rooms, validation_table
from tests.helpers.synthetic import cboe_csv, make_quotes

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FEW = ("--set", "simulation.paths=2048", "--set", "simulation.steps=13")
HEAVY = {
    "surface",
    "ledger",
    "calibrate-impact",
    "press-sign",
    "runs/press-sign",
    "--chain",
    "--workers",
    "--report",
}
"""Commands and options of more than a few seconds: run in the slow run, their words checked in every run."""
MOST_NOT_RUN = 5


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    file: str
    reason: str
    """why it is not run; empty where it is"""


FENCE = re.compile(
    r"^(?:<!-- (?:not run: (?P<reason>.+?)|file: (?P<file>[\w.]+)) -->\n)?"
    r"```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            m["language"], m["text"], text[: m.start("text")].count("\n"), m["file"] or "", m["reason"] or ""
        )
        for m in FENCE.finditer(text)
    ]


def commands(block: Block) -> list[list[str]]:
    """Words of every line of a console block."""
    return [words for line in block.text.splitlines() if (words := shlex.split(line, comments=True))]


def is_heavy(words: list[str]) -> bool:
    return bool(HEAVY & set(words))


def small(words: list[str]) -> list[str]:
    """The command with few paths, unless its scenario is a file of the page's own, which has few."""
    own = any(word.endswith(".toml") for word in words)
    if words[0] == "ledger":
        return [*words, "pin-7000", "--paths", "256"]
    return [*words, *FEW] if words[0] in ("run", "sweep", "risk") and not own else words


@pytest.mark.parametrize(
    ("page", "heavy"),
    [
        pytest.param(p, h, id=f"{p.stem}{' whole' * h}", marks=[pytest.mark.slow] * h)
        for h in (0, 1)
        for p in PAGES
    ],
)
def test_every_block_runs(
    page: Path,
    heavy: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In order, in an empty folder, Python of one page in one namespace."""
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path, page)
    names = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", names)
    for block in blocks(page):
        where = f"{page.name}, line {block.line + 1}"
        if block.reason:
            continue
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile("\n" * block.line + block.text, page.name, "exec"), vars(names))
        elif block.language == "console":
            for program, *words in commands(block):
                if program == "gammawall" and (heavy or not is_heavy(words)):
                    monkeypatch.setattr(sys, "argv", [program, *small(words)])
                    code = cli.run_guarded()
                    assert code == 0, f"{where}: {shlex.join(words)}\n{capsys.readouterr().err}"
        else:
            assert block.language in ("", "text"), f"{where}: language {block.language}"


def prepare(folder: Path, page: Path) -> None:
    """The reader's own files that the README speaks of."""
    if page.name != "README.md":
        return
    (folder / "quotes.csv").write_text(cboe_csv(make_quotes(spot=6485.0)), encoding="utf-8")
    rng = np.random.default_rng(1)
    days = pd.bdate_range("2021-01-04", periods=700).strftime("%Y-%m-%d")
    closes = 4000.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(days.size)))
    gex = 1e9 * (3.0 + rng.standard_normal(days.size))
    pd.DataFrame({"date": days, "close": closes, "gex": gex}).to_csv(folder / "gex.csv", index=False)
    table = "type,contracts,strike,expiry,vol_pct\ncall,-50,7000,2026-01-28T16:00:00,12\nfuture,5,,,\n"
    (folder / "portfolio.csv").write_text(table, encoding="utf-8")


def test_every_command_exists_with_its_options() -> None:
    """Also of those that are not run."""
    group = typer.main.get_command(cli.app)
    targets = re.findall(r"^(\S+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    seen = set()
    for page in PAGES:
        for block in blocks(page):
            for program, *words in commands(block) if block.language == "console" else []:
                if program == "make":
                    assert set(words) <= set(targets), words
                elif program == "gammawall":
                    command = vars(group)["commands"][words[0]]
                    command.make_context(words[0], words[1:])
                    seen.add(words[0])
                elif program.endswith("python"):
                    files = [word.split("::")[0] for word in words if word.endswith(".py")]
                    assert all((ROOT / file).exists() for file in files), f"{page.name}: {files}"
                else:
                    assert program == "pip", f"{page.name}: {program}"
                    assert block.reason
    assert seen == set(vars(group)["commands"]), "a command that no page shows"


def test_an_option_that_does_not_exist_is_seen() -> None:
    command = vars(typer.main.get_command(cli.app))["commands"]["run"]
    with pytest.raises(Exception, match="No such option"):
        command.make_context("run", ["pin-7000", "--walls"])


def test_few_blocks_are_not_run() -> None:
    every = [block for page in PAGES for block in blocks(page)]
    fences = sum(page.read_text(encoding="utf-8").count("\n```") for page in PAGES)
    assert fences == 2 * len(every), "a fence that is not seen as a block"
    left = [block for block in every if block.reason]
    assert len(left) <= MOST_NOT_RUN
    assert all(len(block.reason) > 10 for block in left)
    assert sum(block.language == "python" for block in every) - len(left) >= 15


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            # The pictures are made by `make figures`.
            here = page.parent / target
            assert here.exists() or (here.suffix == ".png" and here.stem in figures()), (
                f"{page.name}: {target}"
            )


def figures() -> set[str]:
    return set(
        re.findall(r'^    "([\w-]+)": \(', (ROOT / "docs" / "figures.py").read_text("utf-8"), re.MULTILINE)
    )


# --- the validation table ----------------------------------------------------------------------------------


def check(row: validation_table.Row, cells: list[str]) -> None:
    """A recomputed row against the page: closed form to its digits, simulation to half its standard error."""
    assert cells[:2] == [row.quantity, row.case]
    closed, simulated, stderr, allowed = map(float, cells[2:])
    assert closed == pytest.approx(row.closed_form, abs=5.1e-5)
    assert simulated == pytest.approx(row.simulated, abs=0.5 * row.stderr + 5.1e-5)
    assert stderr == pytest.approx(row.stderr, rel=0.1, abs=5.1e-5)
    assert allowed == pytest.approx(row.allowed, rel=0.1, abs=5.1e-5)
    assert abs(row.simulated - row.closed_form) < row.allowed


def test_the_validation_table_agrees_with_itself() -> None:
    rows = validation_table.stated()
    assert len(rows) >= 15
    for quantity, case, *numbers in rows:
        closed, simulated, stderr, allowed = map(float, numbers)
        assert abs(simulated - closed) < allowed, (quantity, case)
        assert 0.0 < 4.0 * stderr < allowed + 5e-4 < 0.1 * closed + 5e-3, (quantity, case)


def test_the_static_map_again() -> None:
    quick = list(validation_table.quick_rows())
    for row, cells in zip(quick, validation_table.stated(), strict=False):
        check(row, cells)


@pytest.mark.slow
def test_the_other_rows_again() -> None:
    slow = list(validation_table.slow_rows())
    for row, cells in zip(slow, validation_table.stated()[-len(slow) :], strict=True):
        check(row, cells)


# --- the tables of choices ----------------------------------------------------------------------------------


def test_every_policy_and_impact_has_its_numbers() -> None:
    for table, choices in choices_table.TABLES.items():
        assert [row[0] for row in choices_table.stated(table)] == list(choices)


@pytest.mark.slow
@pytest.mark.parametrize("table", choices_table.TABLES)
def test_the_choices_again(table: str) -> None:
    """The same seed: what differs is rounding alone."""
    for row, stated in zip(choices_table.rows(table), choices_table.stated(table), strict=True):
        shown = [cell.strip() for cell in row.line().strip("|").split("|")]
        for cell, again in zip(stated[1:], shown[1:], strict=True):
            value, value_again = (float(c.split("±")[0]) for c in (cell, again))
            assert value == pytest.approx(value_again, abs=0.11), row.choice


# --- what the project says of itself ------------------------------------------------------------------------


def test_the_map_has_every_room() -> None:
    """`python -m tests.helpers.rooms --write` makes it."""
    assert rooms.rooms() in rooms.PAGE.read_text(encoding="utf-8")


def test_versions_agree() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= set(citation)
    assert citation["version"] == version
    assert citation["license"] == "Apache-2.0"
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", changes, re.MULTILINE)
    assert headings[0] == ("Unreleased", "")
    assert headings[1][0] == version
    assert headings[1][1]
    kinds = set(re.findall(r"^### (.+)$", changes, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
