"""The examples in the docstrings of public names run; every public function has one."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("surfaces", "sim", "scenarios")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

MISSING = frozenset({"scenarios.amplification_curve", "scenarios.judge", "scenarios.judge_all"})
"""Public functions without an example. A new one never enters."""


def api_pages() -> ModuleType:
    """What makes the API pages: the preamble that it shows on each of them gives the examples their names."""
    spec = importlib.util.spec_from_file_location("api_pages", ROOT / "docs" / "api_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("api_pages", module)
    spec.loader.exec_module(module)
    return module


def public() -> Iterator[tuple[str, Any]]:
    """Functions and classes of every `__all__`, and the functions of the modules in it."""
    for package in PACKAGES:
        module = importlib.import_module(f"gammawall.{package}")
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.ismodule(thing):
                yield from ((f"{package}.{name}.{n}", getattr(thing, n)) for n in vars(thing)["__all__"])
            elif callable(thing):
                yield f"{package}.{name}", thing


PUBLIC = dict(public())


def examples(name: str, thing: Any, names: dict[str, Any]) -> list[doctest.DocTest]:
    """Of the object's own docstring, and of its methods' where it is a class."""
    found = doctest.DocTestFinder(exclude_empty=True).find(
        inspect.unwrap(thing), name, module=False, globs=names
    )
    return [test for test in found if test.examples]


def failures(tests: list[doctest.DocTest]) -> str:
    said: list[str] = []
    for test in tests:
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    return "".join(said)


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    made: dict[str, Any] = {}
    exec(api_pages().PREAMBLE, made)
    return made


@pytest.mark.parametrize("name", PUBLIC)
def test_the_examples_print_what_they_say(
    name: str, names: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert failures(examples(name, PUBLIC[name], names)) == ""


def test_every_public_function_has_an_example() -> None:
    functions = {name for name, thing in PUBLIC.items() if not inspect.isclass(thing)}
    without = {name for name in functions if not examples(name, PUBLIC[name], {})}
    assert without - MISSING == set(), "write an example"


def test_a_wrong_example_is_seen() -> None:
    def half(x: float) -> float:
        """Half of it.

        Example:
            >>> half(3.0)
            1.4
        """
        return x / 2.0

    tests = examples("half", half, {"half": half})
    assert len(tests) == 1
    assert "1.5" in failures(tests)
