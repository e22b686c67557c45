"""Objects show themselves in one line, a small table, a frame, and by figures that are looked up by name."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from importlib.metadata import EntryPoint

import numpy as np
import pandas as pd
import pytest

from gammawall import surfaces
from gammawall.surfaces.display import Display
from gammawall.surfaces.errors import InputError
from tests.helpers.synthetic import make_chain


class Thing(Display):
    def __init__(self, text: str = "7,000") -> None:
        self.text = text

    def summary(self) -> list[tuple[str, str]]:
        return [("spot", self.text), ("at", "noon")]


def test_one_line_and_one_table() -> None:
    assert repr(Thing()) == "Thing(spot 7,000, at noon)"
    assert Thing()._repr_html_().count("<tr>") == 2
    assert "&lt;script&gt;&quot;" in Thing('<script>"')._repr_html_()
    assert "<script" not in Thing('<script>"')._repr_html_()


DRAWN = {"one": lambda thing: f"drawn {thing.text}", "none": lambda thing: None}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    entries: list[EntryPoint] = []
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: entries)
    return entries


def test_figures_are_looked_up_by_name(installed: list[EntryPoint]) -> None:
    # The tests' own modules are a layer of their own.
    layer = Thing.__module__.split(".")[0]
    installed.append(EntryPoint(f"{layer}.Thing", f"{__name__}:DRAWN", "gammawall.figures"))
    assert Thing().figures == ("one", "none")
    assert Thing().figure("one") == "drawn 7,000"
    with pytest.raises(InputError, match=r"Thing has no figure 'two'; use one of one, none"):
        Thing().figure("two")
    with pytest.raises(InputError, match="holds nothing for the figure 'none'"):
        Thing().figure("none")

    class Child(Thing):
        """Has what its parent has."""

    assert Child().figures == ("one", "none")


def test_without_figures_one_sentence_says_what_to_install(installed: list[EntryPoint]) -> None:
    assert Thing().figures == ()
    with pytest.raises(ImportError, match="no figures of Thing are installed: pip install gammawall"):
        Thing().figure("one")
    layer = Thing.__module__.split(".")[0]
    installed.append(EntryPoint(f"{layer}.Thing", "no_such_module:DRAWN", "gammawall.figures"))
    assert Thing().figures == ()
    with pytest.raises(ImportError, match=r"pip install gammawall .*No module named 'no_such_module'"):
        Thing().figure("one")


@pytest.fixture(scope="module")
def shown() -> dict[str, Display]:
    chain = make_chain()
    book = surfaces.dealer_book(chain)
    exposed = surfaces.exposures(book)
    return {
        "chain": chain,
        "book": book,
        "exposures": exposed,
        "levels": surfaces.levels(book, exposed=exposed),
        "fit": surfaces.fit_surface(chain),
    }


@pytest.mark.parametrize("name", ["chain", "book", "exposures", "levels", "fit"])
def test_every_object_is_short(shown: dict[str, Display], name: str) -> None:
    thing = shown[name]
    line, table = repr(thing), thing._repr_html_()
    assert line.startswith(type(thing).__name__ + "(")
    assert "\n" not in line
    assert len(line) <= 250
    assert len(table) < 2000
    HTMLParser().feed(table)
    assert isinstance(thing.frame(), pd.DataFrame)
    assert len(thing.frame())


def test_what_the_lines_say(shown: dict[str, Display]) -> None:
    assert "spot 6,485.00, at 2025-09-04 14:15" in repr(shown["chain"])
    assert "convention calls_long_puts_short" in repr(shown["book"])
    assert "model essvi, expiries fitted 7 of 7" in repr(shown["fit"])


def test_frames_hold_the_fields(shown: dict[str, Display]) -> None:
    chain, book, found = shown["chain"], shown["book"], shown["levels"]
    assert isinstance(chain, surfaces.OptionChain)
    assert isinstance(book, surfaces.Book)
    assert isinstance(found, surfaces.Levels)
    copied = chain.frame()
    copied["bid"] = 0.0
    assert chain.quotes["bid"].max() > 0.0
    np.testing.assert_array_equal(book.frame()["contracts"], book.contracts)
    frame = found.frame()
    assert frame.loc["call_wall", "points"] == found.call_wall.strike  # pyright: ignore
    assert list(np.atleast_1d(frame.loc["zero_gamma", "points"])) == list(found.zero_gamma)
    assert np.isnan(frame.loc["max_pain", "confidence"])


def test_showing_an_object_draws_nothing() -> None:
    code = (
        "import sys; from gammawall import surfaces as s\n"
        "b = s.Book.from_positions(contracts=1, strike=7000, expiry='2026-01-28T16:00', vol=0.1, spot=7000,"
        " as_of='2026-01-28T10:00')\n"
        "repr(b), b._repr_html_(), b.frame(); print('plotly' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
