"""The map in CONTRIBUTING.md: every room with the sentence at the head of its package.

python -m tests.helpers.rooms --write
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- rooms: begin -->", "<!-- rooms: end -->"
LAYERS = ("surfaces", "sim", "scenarios")
COLUMN = 22


def sentence(file: Path) -> str:
    """First line of a module's docstring."""
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").splitlines()[0]


def rooms() -> str:
    """The tree, as a block."""
    lines: list[str] = []
    for layer in LAYERS:
        lines.append(f"{layer}/".ljust(COLUMN) + sentence(ROOT / layer / "__init__.py"))
        for inner in sorted((ROOT / layer).glob("*/__init__.py")):
            lines.append(f"  {inner.parent.name}/".ljust(COLUMN) + sentence(inner))
    return "\n".join(("```", *lines, "```"))


def main() -> None:
    print(rooms())
    if "--write" in sys.argv:
        head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n{rooms()}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
