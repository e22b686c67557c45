"""How much of the code says what it takes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST = {"surfaces": 0.05, "sim": 0.05, "scenarios": 0.05}
"""Largest share of parameters without a type, or with `Any` for one."""


def untyped(source: str) -> tuple[list[str], int]:
    """Parameters without a type of their own as ``function.parameter``, and how many parameters there are."""
    found, count = [], 0
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        given += [a for a in (node.args.vararg, node.args.kwarg) if a is not None]
        for argument in given:
            if argument.arg in ("self", "cls"):
                continue
            count += 1
            said = argument.annotation
            parts = [] if said is None else ast.unparse(said).replace('"', "").split(" | ")
            if said is None or "Any" in parts:
                found.append(f"{node.name}.{argument.arg}")
    return found, count


@pytest.mark.parametrize("layer", MOST)
def test_parameters_have_types(layer: str) -> None:
    wrong, total = [], 0
    for path in sorted((ROOT / layer).rglob("*.py")):
        found, count = untyped(path.read_text(encoding="utf-8"))
        wrong += [f"{path.relative_to(ROOT)}: {name}" for name in found]
        total += count
    assert len(wrong) <= MOST[layer] * total, f"{len(wrong)} of {total}:\n" + "\n".join(wrong)


def test_the_count_sees_what_is_missing() -> None:
    source = "def f(self, a, b: Any, c: int, *d: Any | None, e: dict[str, Any]): ..."
    assert untyped(source) == (["f.a", "f.b", "f.d"], 5)
