"""The notebooks run from top to bottom; the outputs they keep are small, and load nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
MOST_BYTES = 400_000
RUN = """
import sys
from pathlib import Path
from tests.helpers import notebooks
notebooks.run(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def run(notebook: Path, work: Path) -> subprocess.CompletedProcess[str]:
    """In another process: Jupyter's own warnings are not ours to mend."""
    return subprocess.run(
        [sys.executable, "-c", RUN, str(notebook), str(work)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


def code(notebook: Path) -> list[dict[str, object]]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["chain", "own-models", "pin-and-amplification"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(notebook: Path, tmp_path: Path) -> None:
    done = run(notebook, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_cell_that_fails_is_seen(tmp_path: Path) -> None:
    bad = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(bad, tmp_path / "bad.ipynb")
    done = run(tmp_path / "bad.ipynb", tmp_path)
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_outputs_are_kept_and_small(notebook: Path) -> None:
    """`python -m tests.helpers.notebooks` makes them."""
    text = notebook.read_text(encoding="utf-8")
    assert len(text) < MOST_BYTES
    cells = code(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert sum(bool(cell["outputs"]) for cell in cells) >= len(cells) // 2
    assert not re.search(r"<script|https?://", json.dumps([cell["outputs"] for cell in cells]))
