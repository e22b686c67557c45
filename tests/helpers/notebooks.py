"""Runs the notebooks of docs/ in a kernel of their own, and keeps small outputs.

python -m tests.helpers.notebooks           runs them and writes their outputs, figures as pictures

A figure is kept as a picture that an installed Chromium draws: what plotly itself would leave is megabytes.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PLOTLY = "application/vnd.plotly.v1+json"
WIDTH, HEIGHT = 720, 420
SECONDS = 600


def run(notebook: Path, work: Path) -> nbformat.NotebookNode:
    """The notebook with fresh outputs; it may write below `work`.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    node = nbformat.read(notebook, as_version=4)
    with TemporaryDirectory(prefix="nb") as own:
        os.environ |= {"JUPYTER_RUNTIME_DIR": own, "IPYTHONDIR": own, "PLOTLY_RENDERER": "plotly_mimetype"}
        where = {"metadata": {"path": str(work)}}
        NotebookClient(node, timeout=SECONDS, kernel_name="python3", resources=where).execute()
    return node


def pictures(node: nbformat.NotebookNode) -> None:
    """Put a PNG in place of every plotly figure."""
    import plotly.io
    from playwright.sync_api import sync_playwright

    figures = [
        output
        for cell in node.cells
        for output in cell.get("outputs", [])
        if PLOTLY in output.get("data", {})
    ]
    if not figures:
        return
    names = ("chromium", "chromium-browser", "google-chrome")
    browser_path = next(filter(None, map(shutil.which, names)), None)
    if browser_path is None:
        sys.exit("the figures of the notebooks need a Chromium on the path")
    with sync_playwright() as play, TemporaryDirectory() as folder:
        browser = play.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        for output in figures:
            figure = plotly.io.from_json(json.dumps(output["data"][PLOTLY]), skip_invalid=True)
            page = Path(folder) / "figure.html"
            figure.update_layout(width=WIDTH, height=HEIGHT, autosize=False)
            figure.write_html(page, include_plotlyjs=True, config={"displayModeBar": False})
            view.goto(page.as_uri())
            view.wait_for_timeout(1000)
            picture = view.locator(".plot-container").first.screenshot()
            output["data"] = {"image/png": base64.b64encode(picture).decode()}
        browser.close()


def tidy(node: nbformat.NotebookNode) -> None:
    """Leave out what differs from run to run and says nothing."""
    node.metadata = nbformat.from_dict(
        {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    )
    for number, cell in enumerate(node.cells):
        cell.metadata = nbformat.from_dict({})
        cell.id = f"cell-{number}"


def main() -> None:
    """Run all, or those whose names are given."""
    for notebook in NOTEBOOKS:
        if len(sys.argv) > 1 and notebook.stem not in sys.argv[1:]:
            continue
        with TemporaryDirectory() as work:
            node = run(notebook, Path(work))
        pictures(node)
        tidy(node)
        nbformat.write(node, notebook)
        print(f"{notebook.name}: {notebook.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
