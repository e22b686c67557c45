"""Compiled programs kept by the command line: whose folder, how large, and never a reason to fail."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gammawall.scenarios import compile_cache
from gammawall.scenarios.compile_cache import SWITCH, find_cache, keep_compiled_programs

RUN = [sys.executable, "-m", "gammawall.scenarios.cli.main"]


def home(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


def test_the_folder_is_the_users_alone_and_named_by_the_versions(tmp_path: Path) -> None:
    kept = find_cache(home(tmp_path))
    assert kept.folder is not None
    assert kept.folder.parent == tmp_path / ".cache" / "gammawall"
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(kept.folder.parent.stat().st_mode) == 0o700
    assert kept.folder.name.startswith(f"{compile_cache.metadata.version('gammawall')}-")
    xdg = find_cache({"XDG_CACHE_HOME": str(tmp_path / "xdg"), "HOME": "/nowhere"})
    assert xdg.folder is not None
    assert xdg.folder.parent == tmp_path / "xdg" / "gammawall"


@pytest.mark.parametrize("word", ["off", "OFF", "0"])
def test_one_variable_switches_it_off(tmp_path: Path, word: str) -> None:
    environment = {**home(tmp_path), SWITCH: word}
    assert keep_compiled_programs(environment).folder is None
    assert environment == {**home(tmp_path), SWITCH: word}
    assert list(tmp_path.iterdir()) == []


def test_a_choice_of_the_users_own_wins(tmp_path: Path) -> None:
    own = {**home(tmp_path), "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "mine")}
    assert keep_compiled_programs(own).folder == tmp_path / "mine"
    assert set(own) == {"HOME", "JAX_COMPILATION_CACHE_DIR"}
    named = {**home(tmp_path), SWITCH: str(tmp_path / "named")}
    kept = keep_compiled_programs(named)
    assert kept.folder is not None
    assert kept.folder.parent == tmp_path / "named"
    assert named["JAX_COMPILATION_CACHE_DIR"] == str(kept.folder)


def test_a_folder_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    base = tmp_path / ".cache" / "gammawall"
    base.mkdir(parents=True)
    base.chmod(0o777)
    kept = find_cache(home(tmp_path))
    assert kept.folder is None
    assert "may be written by others" in kept.why
    base.chmod(0o700)
    assert find_cache(home(tmp_path)).folder is not None


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "gammawall").symlink_to(tmp_path / "elsewhere")
    kept = find_cache(home(tmp_path))
    assert kept.folder is None
    assert "is not a folder" in kept.why


@pytest.mark.parametrize("environment", [{}, {"HOME": "/proc/none"}, {SWITCH: "beside"}])
def test_where_there_is_no_place_it_is_off(environment: dict[str, str]) -> None:
    kept = keep_compiled_programs(environment)
    assert kept.folder is None
    assert kept.why.startswith("off: ")
    assert "JAX_COMPILATION_CACHE_DIR" not in environment


def test_it_is_bounded_and_other_versions_go_first(tmp_path: Path, monkeypatch) -> None:
    folder = find_cache(home(tmp_path)).folder
    assert folder is not None
    other = folder.parent / "0.0.1-older"
    other.mkdir()
    monkeypatch.setattr(compile_cache, "MOST_BYTES", 1000)
    for place, names in ((other, "ab"), (folder, "cdefg")):
        for age, name in enumerate(names):
            path = place / f"jit_{name}-cache"
            path.write_bytes(b"x" * 200)
            os.utime(path, (1_000_000 + age, 1_000_000 + age))
    keep_compiled_programs(home(tmp_path))
    left = sorted(p.name for p in folder.parent.rglob("*-cache"))
    assert left == ["jit_f-cache", "jit_g-cache"]
    keep_compiled_programs(home(tmp_path))
    assert len(list(folder.parent.rglob("*-cache"))) == 2


def command(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    base = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XDG_", "GAMMAWALL_"))}
    return subprocess.run(
        [*RUN, *words], capture_output=True, text=True, env={**base, **environment}, check=False
    )


def test_a_second_run_reads_what_the_first_kept_and_damage_changes_nothing(tmp_path: Path) -> None:
    first = command(home(tmp_path), "doctor")
    assert first.returncode == 0, first.stderr
    kept = sorted((tmp_path / ".cache" / "gammawall").rglob("*-cache"))
    assert kept
    assert f"{kept[0].parent}, " in first.stdout
    assert "GAMMAWALL_COMPILE_CACHE=off switches it off" in first.stdout
    for path in kept:
        path.write_bytes(path.read_bytes()[:40] + b"damaged")
    again = command(home(tmp_path), "doctor")
    assert (again.returncode, again.stderr) == (0, "")
    assert "at-the-money call 334.910557157," in again.stdout


def test_help_neither_imports_jax_nor_makes_a_folder(tmp_path: Path) -> None:
    done = command(home(tmp_path), "--help")
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []
