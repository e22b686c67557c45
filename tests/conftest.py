"""What several files of tests use."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import pytest

from gammawall.scenarios.cli import main as cli

MAPS = Path("/proc/self/maps")


@pytest.fixture(autouse=True, scope="module")
def few_memory_maps() -> Iterator[None]:
    """Thousands of compiled programs in one process, which only tests have, would pass what Linux allows a
    process (65,530 memory maps), and XLA crashes there."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > 30_000:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def call(monkeypatch, capsys, tmp_path) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process and folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def called(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gammawall", *words])
        code = cli.run_guarded()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return called
