"""The site: built offline without a warning, every public name on it, no dead link, no other origin."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("surfaces", "sim", "scenarios")
LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "video": "src"}
"""What a browser fetches by itself."""


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """As ``make docs`` builds it; the paths are other ones."""
    words = ("-m", "sphinx", "-W", "-q", "-b", "html", "-c", ROOT / "docs", "-d", out / "trees")
    return subprocess.run(
        [sys.executable, *map(str, words), str(source), str(out / "site")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


class Page(HTMLParser):
    """Anchors, links and fetched files of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[key] for key in ("id", "name") if key in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if LOADED.get(tag, "") in values:
            self.fetched.append(values[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("docs")
    done = build(ROOT / "docs", out)
    assert done.returncode == 0, done.stderr
    return out / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    found = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    assert len(found) >= 10
    return found


def dead(pages: dict[Path, Page]) -> Iterator[str]:
    """Links and fetched files that lead nowhere."""
    for path, page in pages.items():
        for link in (*page.links, *page.fetched):
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{path.name}: {link}"
            elif parts.fragment and target in pages and parts.fragment not in pages[target].anchors:
                yield f"{path.name}: {link} (no such anchor)"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_on_its_page(package: str, site: Path, pages: dict[Path, Page]) -> None:
    anchors = pages[site / "api" / f"{package}.html"].anchors
    names = importlib.import_module(f"gammawall.{package}").__all__
    full = [f"gammawall.{package}.{name}" for name in names]
    assert [name for name in full if not {name, f"module-{name}"} & anchors] == []
    assert f"gammawall.{package}.no_such_name" not in anchors


def test_no_link_is_dead(pages: dict[Path, Page]) -> None:
    assert list(dead(pages)) == []


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    page.write_text('<a href="b.html">b</a><a href="#c">c</a><a href="#d">d</a><p id="d">', encoding="utf-8")
    found = list(dead({page: Page(page.read_text(encoding="utf-8"))}))
    assert found == ["a.html: b.html", "a.html: #c (no such anchor)"]


def test_nothing_is_fetched_from_another_origin(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert [link for link in page.fetched if re.match(r"(\w+:)?//", link)] == [], path.name
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", style.read_text(encoding="utf-8")), (
            style
        )


def test_the_build_fails_on_a_dead_link(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "index.md").write_text("# A page\n\n[nowhere](nowhere.md)\n", encoding="utf-8")
    done = build(source, tmp_path)
    assert done.returncode != 0
    assert "nowhere" in done.stderr
