"""Mutation tests of the kernels: small wrong changes to the source, each of which the tests must notice.

    python tests/helpers/mutants.py --group black --count 40 --seed 1 --json survivors.json

Nothing on disk is changed: a mutant is compiled in memory, in a process of its own, in place of its module.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.machinery
import io
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_BLACK = "tests/surfaces/pricing/test_black.py"
_PROPERTIES = "tests/project/test_properties.py"
_BEYOND = f"{_PROPERTIES}::test_beyond_the_table_the_hedge_is_held_at_its_edge"
_ROUNDING = f"{_PROPERTIES}::test_a_price_a_rounding_outside_the_nodes_comes_back"
_LOWEST = f"{_PROPERTIES}::test_a_price_a_rounding_below_the_nodes_takes_the_first_branch"
_NORMAL = "tests/surfaces/pricing/test_normal.py"
_GREEKS = f"{_BLACK}::test_every_greek_to_the_last_digits"
# The test that is likeliest to see a change comes first; a file is run whole for what that one lets through.
GROUPS = {
    "black": ("gammawall.surfaces.pricing.black", [_GREEKS, _BLACK, _PROPERTIES]),
    "normalised": (
        "gammawall.surfaces.pricing.normalised",
        [
            "tests/surfaces/pricing/test_normal.py::test_normalised_black",
            f"{_PROPERTIES}::test_a_normalised_price_and_its_distance_to_the_bound_add_up",
            _GREEKS,
            "tests/surfaces/pricing/test_normal.py",
            "tests/surfaces/pricing/test_implied.py",
            _BLACK,
        ],
    ),
    "bachelier": (
        "gammawall.surfaces.pricing.bachelier",
        ["tests/surfaces/pricing/test_bachelier.py", _PROPERTIES],
    ),
    "clearing": (
        "gammawall.sim.step.clearing",
        [_BEYOND, _ROUNDING, _LOWEST, "tests/sim/step/test_clearing.py"],
    ),
}
# Checks the oracle against itself, so that no mutant can fail it.
_SKIP = ["--deselect", f"{_BLACK}::test_closed_forms_of_the_oracle_are_the_derivatives_of_the_price"]
_LONGEST_S = 240
_SWAPS: dict[type[ast.AST], tuple[type[Any], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
_OTHER_NAME = {"maximum": "minimum", "minimum": "maximum", "right": "left", "left": "right"}


class Mutant(NamedTuple):
    line: int
    change: str
    source: str


Change = tuple[str, Callable[[], None]]


def mutants(source: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its source."""
    found = []
    count = sum(1 for _ in _nodes(ast.parse(source)))
    for at in range(count):
        for which in range(3):
            tree = ast.parse(source)
            node = next(node for i, node in enumerate(_nodes(tree)) if i == at)
            changes = list(_changes(node))
            if which >= len(changes):
                break
            before, (text, apply) = ast.unparse(node), changes[which]
            line = getattr(node, "lineno", 0)
            apply()
            found.append(Mutant(line, f"{text}: {before} → {ast.unparse(node)}", ast.unparse(tree)))
    return sorted(found, key=lambda mutant: mutant.line)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Expressions that are computed; annotations and lists of names are not."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for node in value if isinstance(value, list) else [value]:
            names = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__all__", "ALLOWED")
            if isinstance(node, ast.AST) and not names:
                yield node
                yield from _nodes(node)


def _changes(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.BinOp(op=op) | ast.AugAssign(op=op):
            for other in _SWAPS.get(type(op), ()):
                yield "operator", lambda other=other: setattr(node, "op", other())
        case ast.Compare(ops=[op]):
            for other in _SWAPS.get(type(op), ()):
                yield "comparison", lambda other=other: setattr(node, "ops", [other()])
        case ast.UnaryOp(op=ast.USub()):
            yield "sign", lambda: setattr(node, "op", ast.UAdd())
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            yield "sign", lambda: setattr(node, "operand", ast.UnaryOp(ast.Invert(), operand))
        case ast.Constant(value=bool()):
            yield "constant", lambda: setattr(node, "value", not node.value)
        case ast.Constant(value=int() | float()):
            yield "constant", lambda: setattr(node, "value", node.value + 1)  # type: ignore[operator]
        case ast.Constant(value="right" | "left" as side):
            yield "constant", lambda: setattr(node, "value", _OTHER_NAME[side])
        case ast.Call(func=ast.Attribute(attr="where"), args=[_, first, second]):
            yield "branches", lambda: node.args.__setitem__(slice(1, 3), [second, first])
        case ast.Call(func=ast.Attribute(attr="maximum" | "minimum" as name) as function):
            yield "function", lambda: setattr(function, "attr", _OTHER_NAME[name])
        case ast.Call(func=ast.Attribute(attr="clip"), args=[_, _, _]):
            for at, bound in ((1, "-jnp.inf"), (2, "jnp.inf")):
                free = ast.parse(bound, mode="eval").body
                yield "clip", lambda at=at, free=free: node.args.__setitem__(at, free)
        case ast.Call(func=ast.Attribute(attr="abs") as function):
            yield "function", lambda: setattr(function, "attr", "asarray")


# --- running one -------------------------------------------------------------------------------------------


class _FirstFailure:
    def __init__(self) -> None:
        self.name = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid.split("::", 1)[-1]


def _in_place_of(module: str, source: str) -> None:
    """From now on this process imports the module from this text."""
    loader = importlib.machinery.SourceFileLoader
    get_code = loader.get_code

    def code(self: Any, name: str) -> Any:
        return compile(source, "<mutant>", "exec") if name == module else get_code(self, name)

    loader.get_code = code  # type: ignore[method-assign]


def _test(module: str, source: str, tests: list[str]) -> tuple[bool, str]:
    """Whether every test passes with this text as the module, and the first that does not."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(_LONGEST_S)
        seen, words = _FirstFailure(), ""
        try:
            import pytest

            _in_place_of(module, source)
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                more = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "--hypothesis-seed=0", *_SKIP]
                code = int(pytest.main([*more, *tests], plugins=[seen]))
            words = seen.name or f"not importable (exit {code})"
        except BaseException as error:
            code, words = 1, type(error).__name__
        os.write(write, words.encode()[:500])
        os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        words = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False, f"signal {os.WTERMSIG(status)}"
    return os.WEXITSTATUS(status) == 0, words


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--group", choices=[*GROUPS, "all"], default="all")
    parser.add_argument("--count", type=int, default=40, help="mutants drawn per group")
    parser.add_argument("--skip", type=int, default=0, help="of those drawn, begin after so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop a group after so long")
    parser.add_argument("--json", type=Path, help="where to write every mutant and what became of it")
    asked = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    for name in ("jax", "jax.numpy", "pandas", "scipy.stats", "mpmath", "pytest"):
        importlib.import_module(name)  # once, in the parent: a child starts from here
    record: dict[str, Any] = {}
    for group in GROUPS if asked.group == "all" else [asked.group]:
        module, tests = GROUPS[group]
        source = (ROOT / Path(*module.split(".")[1:])).with_suffix(".py").read_text(encoding="utf-8")
        if not _test(module, source, tests)[0]:
            print(f"{group}: its tests fail without any change")
            return 1
        every = mutants(source)
        drawn = random.Random(asked.seed).sample(every, min(asked.count, len(every)))
        began, rows = time.monotonic(), []
        for mutant in drawn[asked.skip :]:
            if time.monotonic() - began > asked.seconds:
                break
            passed, by = _test(module, mutant.source, tests)
            rows.append({"line": mutant.line, "change": mutant.change, "killed_by": "" if passed else by})
            print(
                f"{group} {mutant.line:4d} {'SURVIVED' if passed else 'killed'} {mutant.change}", flush=True
            )
        killed = sum(bool(row["killed_by"]) for row in rows)
        record[group] = {"of": len(every), "drawn": len(rows), "killed": killed, "mutants": rows}
        seconds = time.monotonic() - began
        print(
            f"{group}: {killed} of {len(rows)} killed, drawn from {len(every)}, {seconds:.0f} s", flush=True
        )
        if asked.json:
            asked.json.write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
