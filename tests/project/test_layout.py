"""The map of the house: who may import whom, what is packaged, and what an import must not do."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("surfaces", "sim", "scenarios")  # each may import itself and those before it
CORE = {"jax", "numpy", "pandas", "optax", "scipy"}
ALLOWED = {
    "surfaces": CORE,
    "sim": CORE,
    "bench": CORE,
    "scenarios": CORE
    | {"pydantic", "typer", "rich", "plotly", "jinja2", "markupsafe", "dask", "distributed"},
}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def files(folder: str) -> list[Path]:
    return sorted(p for p in (ROOT / folder).rglob("*.py") if "__pycache__" not in p.parts)


def imported(source: str) -> set[str]:
    """Full names of everything a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def trespasses(folder: str, source: str) -> set[str]:
    """Imports that a file of a folder may not have."""
    own = LAYERS.index(folder) if folder in LAYERS else len(LAYERS) - 2
    # The scripts of bench run as files, beside one another.
    beside = {path.stem for path in files(folder)} if folder not in LAYERS else set()
    wrong = set()
    for name in imported(source):
        top, *rest = name.split(".")
        if top == "gammawall":
            wrong |= {name} if not rest or rest[0] not in LAYERS[: own + 1] else set()
        elif top not in sys.stdlib_module_names | ALLOWED[folder] | beside:
            wrong.add(name)
    return wrong


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_point_downwards_and_stay_on_the_list(folder: str) -> None:
    if folder in LAYERS:
        assert files(folder)
    wrong = {
        str(p.relative_to(ROOT)): trespasses(folder, p.read_text(encoding="utf-8")) for p in files(folder)
    }
    assert {path: names for path, names in wrong.items() if names} == {}


def test_the_check_sees_a_trespass() -> None:
    assert trespasses("surfaces", "def f():\n    from gammawall.sim import simulate") == {
        "gammawall.sim.simulate"
    }
    assert trespasses("sim", "import gammawall.scenarios.spec.load") == {"gammawall.scenarios.spec.load"}
    assert trespasses("sim", "from gammawall import scenarios, surfaces") == {"gammawall.scenarios"}
    assert trespasses("sim", "import surfaces, rich.table") == {"surfaces", "rich.table"}
    assert trespasses("bench", "import typer") == {"typer"}
    assert trespasses("scenarios", "import matplotlib") == {"matplotlib"}
    assert trespasses("scenarios", "import os, jax.numpy as jnp\nfrom gammawall.sim import theory") == set()
    with pytest.raises(AssertionError, match="relative import"):
        trespasses("sim", "from . import theory")


ORDER: dict[str, tuple[set[str], ...]] = {
    "surfaces": ({"pricing"}, {"chains", "american"}, {"vol_surfaces"}, {"dealers"}),
    # A book is priced under a motion of the surface, a step reads the book at the models' rates.
    "sim": (
        {"sampling"},
        {"models"},
        {"book"},
        {"step", "measure"},
        {"engine"},
        {"derivatives", "evidence", "portfolio"},
    ),
    # The page of a run shows the exposures of its book: chains come before runs.
    "scenarios": (
        {"spec"},
        {"pages"},
        {"chains", "calibration"},
        {"runs"},
        {"claims", "sweeps", "risk"},
        {"api"},
        {"cli", "examples"},
    ),
}
"""Rooms of each layer from below: a file may import its own room and those in rows before it, and the files
beside the rooms, which import no room."""

FILES_IN_A_ROOM = range(4, 13)
OTHER_SIZES = {
    "sim/sampling": "when and which shocks are three files: steps, keyed noise, Sobol points",
    "scenarios/cli": "one file per family of commands, and what they share",
    "scenarios/examples": "scripts to copy, not a room",
}


def modules() -> dict[str, Path]:
    """Every file by the name it is imported by less ``gammawall.``; the scripts of bench by their stem."""
    found = {}
    for layer in LAYERS:
        for path in files(layer):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found | {path.stem: path for path in files("bench")}


def arrows(sources: dict[str, str]) -> dict[str, set[str]]:
    """Which modules each module imports, wherever in it, also inside functions and for types alone."""
    graph: dict[str, set[str]] = {}
    for name, source in sources.items():
        graph[name] = set()
        for target in imported(source):
            target = target.removeprefix("gammawall.")
            while target and target not in sources:
                target = target.rpartition(".")[0]
            graph[name] |= {target} - {name, ""}
    return graph


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Groups of modules of which each reaches every other."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen, todo = set(), [start]
        while todo:
            for target in graph[todo.pop()] - seen:
                seen.add(target)
                todo.append(target)
        reached[start] = seen
    return {frozenset({b for b in reached[a] if a in reached[b]}) for a in graph if a in reached[a]}


def upwards(graph: dict[str, set[str]]) -> set[tuple[str, str]]:
    """Arrows between the rooms of a layer that do not point to a lower row."""
    wrong = set()
    for name, targets in graph.items():
        for target in targets:
            layer, room, to = name.split(".")[0], room_of(name), room_of(target)
            if layer not in ORDER or target.split(".")[0] != layer or room == to or target == layer:
                continue
            rows = {r: i for i, row in enumerate(ORDER[layer], start=1) for r in row} | {"": 0}
            if name != layer and rows[to] >= rows[room]:
                wrong.add((name, target))
    return wrong


def room_of(name: str) -> str:
    """The folder of a module inside its layer; empty for the files beside the rooms."""
    parts = name.split(".")
    known = {room for row in ORDER.get(parts[0], ()) for room in row}
    return parts[1] if len(parts) > 1 and (len(parts) > 2 or parts[1] in known) else ""


def sources() -> dict[str, str]:
    return {name: path.read_text(encoding="utf-8") for name, path in modules().items()}


def test_no_circle_of_files() -> None:
    assert {tuple(sorted(circle)) for circle in circles(arrows(sources()))} == set()


def test_a_circle_is_seen_wherever_it_hides() -> None:
    one = "from gammawall.sim.b import two"
    hidden = "def f():\n    from gammawall.sim import a"
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gammawall.sim.a import X"
    for back in (hidden, typed):
        graph = arrows({"sim.a": one, "sim.b": back, "sim.c": one})
        assert circles(graph) == {frozenset({"sim.a", "sim.b"})}
    assert circles(arrows({"run": "import fresh", "fresh": "import growth", "growth": "import run"})) == {
        frozenset({"run", "fresh", "growth"})
    }
    assert circles(arrows({"sim.a": one, "sim.b": "", "sim.c": one})) == set()


def test_rooms_have_an_order() -> None:
    assert upwards(arrows(sources())) == set()
    for layer, rows in ORDER.items():
        rooms = {path.name for path in (ROOT / layer).iterdir() if (path / "__init__.py").exists()}
        assert rooms <= {room for row in rows for room in row}, f"a room of {layer} has no place in ORDER"


def test_an_arrow_upwards_is_seen() -> None:
    empty = {"surfaces.dealers.book": "", "surfaces.units": "", "surfaces.chains.chain": ""}
    up = "from gammawall.surfaces.dealers.book import Book"
    for low in ("surfaces.chains.terms", "surfaces.vol_surfaces.fit", "surfaces.clock"):
        assert upwards(arrows(empty | {low: up})) == {(low, "surfaces.dealers.book")}
    beside = "from gammawall.sim.portfolio.tail_risk import x"
    graph = arrows({"sim.derivatives.search": beside, "sim.portfolio.tail_risk": ""})
    assert upwards(graph) == {("sim.derivatives.search", "sim.portfolio.tail_risk")}
    down = "import gammawall.surfaces.chains.chain, gammawall.surfaces.units"
    assert upwards(arrows(empty | {"surfaces.dealers.levels": down})) == set()


def room_faults(room: str, names: list[str], docstring: str | None) -> list[str]:
    """What is wrong with a folder of so many files under such a docstring."""
    faults = []
    if len(names) not in FILES_IN_A_ROOM and room not in OTHER_SIZES:
        faults.append(f"{room} has {len(names)} files")
    said = docstring or ""
    if not said.endswith(".") or ". " in said or "\n" in said:
        faults.append(f"{room} does not say in one sentence what it is")
    return faults


def test_every_room_can_be_seen_at_once() -> None:
    faults = []
    for layer in LAYERS:
        for folder in sorted({path.parent for path in files(layer)} - {ROOT / layer}):
            names = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
            text = (folder / "__init__.py").read_text(encoding="utf-8")
            faults += room_faults(str(folder.relative_to(ROOT)), names, ast.get_docstring(ast.parse(text)))
    assert faults == []


def test_a_crowded_or_silent_room_is_seen() -> None:
    few, many = ["a.py"] * 3, ["a.py"] * 13
    assert room_faults("sim/book", many, "The book.") == ["sim/book has 13 files"]
    assert room_faults("sim/book", few, "The book.") == ["sim/book has 3 files"]
    assert room_faults("sim/book", ["a.py"] * 4, "The book.") == []
    for said in (None, "The book", "The book. Its rows.", "The book.\n\nMore."):
        assert room_faults("sim/book", ["a.py"] * 4, said) == [
            "sim/book does not say in one sentence what it is"
        ]


def test_only_the_schema_knows_pydantic() -> None:
    users = {
        str(path.relative_to(ROOT))
        for folder in LAYERS
        for path in files(folder)
        if any(
            name.split(".")[0].startswith("pydantic") for name in imported(path.read_text(encoding="utf-8"))
        )
    }
    assert users == {"scenarios/spec/schema.py", "scenarios/spec/tables.py"}


def test_packages_are_the_folders() -> None:
    tools = PYPROJECT["tool"]["setuptools"]
    found = {
        "gammawall." + ".".join(path.parent.relative_to(ROOT).parts)
        for layer in LAYERS
        for path in files(layer)
    }
    assert set(tools["packages"]) == found
    assert all(
        (ROOT / name.removeprefix("gammawall.").replace(".", "/") / "__init__.py").exists() for name in found
    )
    assert tools["package-dir"] == {f"gammawall.{layer}": layer for layer in LAYERS}


def test_package_data_covers_every_other_file() -> None:
    data = PYPROJECT["tool"]["setuptools"]["package-data"]
    for layer in LAYERS:
        patterns = data.get(f"gammawall.{layer}", [])
        covered = {path for pattern in patterns for path in (ROOT / layer).glob(pattern)}
        others = {
            path
            for path in (ROOT / layer).rglob("*")
            if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
        }
        assert others - covered == set()
    assert list((ROOT / "scenarios" / "library").glob("*.toml"))
    assert list((ROOT / "scenarios" / "pages" / "templates").iterdir())


def test_type_checkers_find_the_packages() -> None:
    for layer in LAYERS:
        link = ROOT / "tests" / "_types" / "gammawall" / layer
        assert link.resolve() == ROOT / layer
        assert (link / "__init__.py").exists()
    assert PYPROJECT["tool"]["basedpyright"]["extraPaths"] == ["tests/_types"]


def python(code: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_bare_name_is_refused(layer: str) -> None:
    done = python(f"import {layer}")
    assert done.returncode == 1
    assert f"ImportError: import this package as gammawall.{layer}: a second name" in done.stderr


def test_users_own_folders_do_not_shadow_ours(tmp_path: Path) -> None:
    (tmp_path / "sim.py").write_text("raise RuntimeError('the user's own')", encoding="utf-8")
    (tmp_path / "scenarios").mkdir()
    done = python("import gammawall.scenarios as s; print(s.__file__)", tmp_path)
    assert Path(done.stdout.strip()) == ROOT / "scenarios" / "__init__.py", done.stderr


HELP = """
import sys
from gammawall.scenarios.cli import main as cli
sys.argv = ["gammawall", "--help"]
try:
    cli.main()
except SystemExit as stop:
    assert not stop.code, stop.code
print("LOADED", *sorted(m for m in ("jax", "pandas", "numpy", "plotly") if m in sys.modules))
"""


def test_help_answers_without_the_heavy_imports() -> None:
    done = python(HELP)
    assert "Usage" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["LOADED"]


def test_slow_packages_are_imported_only_where_they_are_needed() -> None:
    slow = ["optax", "scipy.stats", "scipy.interpolate", "scipy.optimize", "pyarrow.dataset", "plotly"]
    code = f"import sys, gammawall.sim; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_ground_of_surfaces_needs_no_jax() -> None:
    ground = ("limits", "errors", "units", "display", "sessions", "clock")
    code = f"""
import importlib, sys
for name in {ground}:
    importlib.import_module(f"gammawall.surfaces.{{name}}")
print("jax" in sys.modules)
from gammawall.surfaces import black_price
print("jax" in sys.modules)
"""
    done = python(code)
    assert done.stdout.split() == ["False", "True"], done.stderr
