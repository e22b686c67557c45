"""What several files of tests use."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from gammawall.scenarios import cli


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
