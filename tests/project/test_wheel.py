"""The wheel and the sdist: what is in them, and the wheel at work elsewhere, among hostile names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("surfaces", "sim", "scenarios")
SOURCES = ("pyproject.toml", "README.md", "LICENSE", *LAYERS, "tests", "docs")
NEWEST = ROOT / ".venv-newest" / "bin" / "python"
BUILD = """
import sys
from setuptools import build_meta
print(build_meta.build_sdist(sys.argv[1]))
"""
BUILD_WHEEL = BUILD.replace("sdist", "wheel")
OLD_BUILDER = "import setuptools, sys; sys.exit(int(setuptools.__version__.split('.')[0]) < 77)"


def command(*words: object, cwd: Path, path: Path | None = None) -> str:
    """Standard output of a command that must succeed."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    environment |= {} if path is None else {"PYTHONPATH": str(path)}
    asked = [str(word) for word in words]
    done = subprocess.run(asked, capture_output=True, text=True, cwd=cwd, env=environment, check=False)
    assert done.returncode == 0, f"{asked}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def packaged_files() -> set[str]:
    """Every file of the three layers, as it must be named in a wheel."""
    found = (path for layer in LAYERS for path in (ROOT / layer).rglob("*") if path.is_file())
    return {f"gammawall/{p.relative_to(ROOT)}" for p in found if "__pycache__" not in p.parts}


class Built(NamedTuple):
    sdist: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An sdist of the source tree, and a wheel of the unpacked sdist."""
    folder = tmp_path_factory.mktemp("built")
    tools = builder(folder / "tools")
    tree = folder / "tree"
    junk = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        here = ROOT / name
        if here.is_dir():
            shutil.copytree(here, tree / name, ignore=junk, symlinks=True)
        else:
            tree.mkdir(exist_ok=True)
            shutil.copy(here, tree / name)
    command(sys.executable, "-c", BUILD, folder, cwd=tree, path=tools)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    command(sys.executable, "-c", BUILD_WHEEL, folder, cwd=unpacked, path=tools)
    (wheel,) = folder.glob("*.whl")
    return Built(sdist, wheel)


def builder(folder: Path) -> Path | None:
    """Where a setuptools that pyproject.toml asks for lies: nowhere in particular if it is installed."""
    if subprocess.run([sys.executable, "-c", OLD_BUILDER], capture_output=True, check=False).returncode == 0:
        return None
    asked = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), "setuptools>=77"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no setuptools of version 77 or later, and none to be had: {done.stderr[-200:]}")
    return folder


def test_the_wheel_holds_the_packages_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
        info = next(name for name in names if name.endswith("/METADATA")).removesuffix("METADATA")
        metadata = archive.read(f"{info}METADATA").decode()
        scripts = archive.read(f"{info}entry_points.txt").decode()
    described = {name for name in names if name.startswith(info)}
    assert names - described == packaged_files()
    assert f"{info}licenses/LICENSE" in described
    assert {f"gammawall/{layer}/py.typed" for layer in LAYERS} <= names
    assert "gammawall = gammawall.scenarios.cli.main:main" in scripts
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert built.wheel.name.endswith("-py3-none-any.whl")
    assert built.wheel.stat().st_size < 2_000_000


def test_the_sdist_holds_what_the_wheel_is_made_from(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        files = {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()}
    sources = {name.removeprefix("gammawall/") for name in packaged_files()}
    assert sources | {"pyproject.toml", "README.md", "LICENSE"} <= files
    tops = {name.split("/")[0] for name in files - sources}
    # setuptools adds the test files by itself.
    assert tops <= {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO", "setup.cfg", "tests"} | {
        "gammawall.egg-info"
    }


class Place(NamedTuple):
    """An interpreter with the wheel installed, and a folder full of other people's names to run it in."""

    bin: Path
    folder: Path


HOSTILE = "raise RuntimeError('somebody else\\'s module')\n"


@pytest.fixture(
    scope="module",
    params=[Path(sys.executable), pytest.param(NEWEST, marks=pytest.mark.slow)],
    ids=["this Python", "newest Python"],
)
def place(built: Built, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    python: Path = request.param
    if not python.exists():
        pytest.skip("there is no second interpreter: see .ci/newest-python")
    folder = tmp_path_factory.mktemp("place")
    venv, elsewhere = folder / "venv", folder / "elsewhere"
    command(python, "-m", "venv", "--without-pip", venv, cwd=folder)
    inside = venv / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site, theirs = (Path(command(p, "-c", where, cwd=folder).strip()) for p in (inside, python))
    assert site.is_relative_to(folder)
    # A path file of a path file is not read: the dependencies are seen, an editable install of ours is not.
    (site / "dependencies.pth").write_text(f"{theirs}\n", encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", inside)
    command(*pip, "install", "--quiet", "--no-deps", "--no-index", built.wheel, cwd=folder)
    for name in ("surfaces", "sim", "scenarios"):
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(HOSTILE, encoding="utf-8")
    (elsewhere / "scenarios").mkdir(parents=True)
    for name in ("sim.py", "surfaces.py", "scenarios/__init__.py", "scenarios/cli.py"):
        (elsewhere / name).write_text(HOSTILE, encoding="utf-8")
    return Place(venv / "bin", elsewhere)


def test_the_installed_packages_are_the_wheels(place: Place) -> None:
    code = """
import json
from importlib import metadata, resources
from gammawall import scenarios, sim, surfaces
schema = resources.files("gammawall.scenarios").joinpath("schemas/run.json")
print(json.dumps([
    *(module.__file__ for module in (scenarios, sim, surfaces)), metadata.version("gammawall"),
    len(scenarios.library()), float(surfaces.black_price(7000.0, 7000.0, 0.01, 0.12)), schema.is_file(),
]))
"""
    *files, version, count, price, schema = json.loads(
        command(place.bin / "python", "-c", code, cwd=place.folder)
    )
    assert all(Path(file).is_relative_to(place.bin.parent) for file in files)
    assert version == "0.1.0"
    assert count == len(list((ROOT / "scenarios" / "library").glob("*.toml")))
    assert price == pytest.approx(33.5110, abs=1e-3)
    assert schema


def test_the_hostile_neighbours_are_there(place: Place) -> None:
    for name in LAYERS:
        done = subprocess.run(
            [place.bin / "python", "-c", f"import {name}"], capture_output=True, text=True, cwd=place.folder
        )
        assert "somebody else's module" in done.stderr


def test_the_command_lists_and_runs(place: Place) -> None:
    listed = command(place.bin / "gammawall", "list", cwd=place.folder)
    assert "pin-7000" in listed
    assert "press-sign" in command(
        place.bin / "python", "-m", "gammawall.scenarios.cli.main", "list", cwd=place.folder
    )
    sizes = ("--set", "simulation.paths=256", "--set", "simulation.steps=8")
    printed = command(place.bin / "gammawall", "run", "pin-7000", *sizes, "--json", "-", cwd=place.folder)
    record = json.loads(printed)
    assert record["provenance"]["git_commit"] is None
    assert sum(record["status"][name] for name in ("stable", "jump", "capped")) == 256 * 8
    written = {path.name for path in (place.folder / "runs" / "pin-7000").iterdir()}
    assert written == {"report.html", "result.json", "series.npz"}


CONSUMER = """
import numpy as np
import pandas as pd

from gammawall import scenarios, sim, surfaces

price: np.ndarray = np.asarray(surfaces.black_price(7000.0, np.array([6990.0, 7000.0]), 0.01, 0.12))
book = surfaces.Book.from_positions(
    contracts=1.0, strike=7000.0, expiry="2026-01-28T16:00", vol=0.12, spot=7000.0, as_of="2026-01-28T09:30"
)
config: sim.SimConfig = sim.SimConfig(paths=256)
found: sim.SimResult = sim.simulate(
    book,
    market=sim.Market(7000.0, book.as_of, pd.to_datetime("2026-01-28T16:00")),
    dynamics=sim.GBM(0.12),
    impact=sim.LinearImpact(3.0),
    config=config,
)
value: float = found["pin_probability"].value
result: scenarios.Result = scenarios.run("pin-7000")
wrong: int = found["pin_probability"].unit
"""


@pytest.mark.slow
def test_a_type_checker_sees_the_types_of_the_wheel(place: Place) -> None:
    """Clean but for the one line that is wrong on purpose, so that types, not Any, must have been seen."""
    checker = Path(sys.executable).parent / "basedpyright"
    if not checker.exists():
        pytest.skip("basedpyright is not installed: it is in the extra `lint`")
    (place.folder / "consumer.py").write_text(CONSUMER, encoding="utf-8")
    (place.folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}', encoding="utf-8")
    asked = [checker, "--outputjson", "--pythonpath", place.bin / "python", "consumer.py"]
    done = subprocess.run(asked, capture_output=True, text=True, cwd=place.folder, check=False)
    errors = [e for e in json.loads(done.stdout)["generalDiagnostics"] if e["severity"] == "error"]
    wrong = CONSUMER.splitlines().index('wrong: int = found["pin_probability"].unit')
    assert [e["range"]["start"]["line"] for e in errors] == [wrong], errors
