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


def test_only_the_schema_knows_pydantic() -> None:
    users = {
        str(path.relative_to(ROOT))
        for folder in LAYERS
        for path in files(folder)
        if any(
            name.split(".")[0].startswith("pydantic") for name in imported(path.read_text(encoding="utf-8"))
        )
    }
    assert users == {"scenarios/spec/schema.py"}


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
