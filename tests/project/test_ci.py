"""The tests of the pages cannot be left out without a word where they must run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "browser"


def bare_path(folder: Path, **programs: str) -> str:
    """A path with the usual tools but no browser, and stand-ins that run a line of shell."""
    folder.mkdir()
    for tool in ("bash", "env", "chmod"):
        (folder / tool).symlink_to(str(shutil.which(tool)))
    for name, line in programs.items():
        file = folder / name.replace("_", "-")
        file.write_text(f"#!{shutil.which('bash')}\n{line}\n", encoding="utf-8")
        file.chmod(0o755)
    return str(folder)


def browser(path: str) -> subprocess.CompletedProcess[str]:
    command = [str(shutil.which("bash")), str(SCRIPT)]
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=False)


def test_a_browser_that_is_there_is_taken(tmp_path: Path) -> None:
    apt = f"echo called >> {tmp_path}/calls"
    done = browser(bare_path(tmp_path / "bin", chromium="true", apt_get=apt, id="echo 0"))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "calls").exists()


def test_root_gets_a_missing_browser_installed(tmp_path: Path) -> None:
    folder, calls = tmp_path / "bin", tmp_path / "calls"
    made = f"printf '#!/bin/sh\\n' > {folder}/chromium && chmod +x {folder}/chromium"
    apt = f'echo "$1" >> {calls}; if [ "$1" = install ]; then {made}; fi'
    done = browser(bare_path(folder, apt_get=apt, id="echo 0"))
    assert done.returncode == 0, done.stderr
    assert calls.read_text(encoding="utf-8").split() == ["update", "install"]
    assert done.stdout.strip() == f"{folder}/chromium"


@pytest.mark.parametrize("programs", [{"id": "echo 1000", "apt_get": "exit 9"}, {"id": "echo 0"}])
def test_who_cannot_install_one_is_told_what_to_do(tmp_path: Path, programs: dict[str, str]) -> None:
    done = browser(bare_path(tmp_path / "bin", **programs))
    assert done.returncode == 1
    assert "install the package chromium as root" in done.stderr


@pytest.mark.parametrize(("ci", "outcome"), [("true", "ERROR"), ("", "SKIPPED")])
def test_without_a_browser_the_tests_of_the_pages_fail_in_ci_alone(ci: str, outcome: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "PATH")}
    command = [sys.executable, "-m", "pytest", "-q", "-rsE", "-n", "0", "-p", "no:cacheprovider"]
    command += ["tests/project/test_browser.py", "-k", "policy_stops"]
    done = subprocess.run(
        command,
        env=environment | {"CI": ci, "PATH": "/nowhere"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout, done.stdout
    assert "no Chromium on the path" in done.stdout, done.stdout
    assert (done.returncode != 0) == (ci == "true")


def test_ci_asks_for_them() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines.index("export CI=true") < lines.index(".ci/browser") < lines.index("make test")
