"""The figures that chains, books, exposures, levels and fits draw by name."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points

import numpy as np
import plotly.graph_objects as go
import pytest

from gammawall import surfaces
from gammawall.surfaces.display import FIGURES, Display
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.units import USD_BN
from tests.helpers.synthetic import make_chain


@pytest.fixture(scope="module")
def shown() -> dict[str, Display]:
    chain = make_chain()
    book = surfaces.dealer_book(chain)
    exposed = surfaces.exposures(book)
    objects = [chain, book, exposed, surfaces.levels(book, exposed=exposed), surfaces.fit_surface(chain)]
    return {type(thing).__name__: thing for thing in objects}


def test_every_entry_is_a_class_with_figures() -> None:
    found = entry_points(group=FIGURES)
    assert {"surfaces.Book", "surfaces.OptionChain"} <= {entry.name for entry in found}
    for entry in found:
        layer, name = entry.name.split(".")
        kind = getattr(importlib.import_module(f"gammawall.{layer}"), name)
        assert issubclass(kind, Display), entry.name
        assert entry.load(), entry.name
        assert all(callable(draw) for draw in entry.load().values()), entry.name


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("OptionChain", ("smiles",)),
        ("Book", ("gamma_profile", "gamma_by_strike", "gamma_by_expiry", "gamma_heatmap")),
        ("Exposures", ("gamma_profile", "gamma_by_strike", "gamma_by_expiry")),
        ("Levels", ("gamma_profile",)),
        ("SurfaceFit", ("smiles", "surface", "errors")),
    ],
)
def test_every_figure_is_drawn(shown: dict[str, Display], name: str, figures: tuple[str, ...]) -> None:
    thing = shown[name]
    assert thing.figures == figures
    for figure in figures:
        drawn = thing.figure(figure)
        assert isinstance(drawn, go.Figure)
        assert drawn.data
    with pytest.raises(InputError, match=f"has no figure 'cake'; use one of {', '.join(figures)}"):
        thing.figure("cake")


def test_figures_show_the_objects_numbers(shown: dict[str, Display]) -> None:
    exposed, found = shown["Exposures"], shown["Levels"]
    assert isinstance(exposed, surfaces.Exposures)
    assert isinstance(found, surfaces.Levels)
    bars = exposed.figure("gamma_by_expiry").data[0]  # pyright: ignore
    expected = exposed.by_expiry["gex_usd_per_1pct"] / USD_BN
    np.testing.assert_allclose(np.asarray(bars.y, float), expected, rtol=1e-3)
    drawn = shown["Levels"].figure("gamma_profile")
    labels = " ".join(note.text for note in drawn.layout.annotations)  # pyright: ignore
    assert "call wall" in labels
    assert "call wall" not in " ".join(
        note.text
        for note in exposed.figure("gamma_profile").layout.annotations  # pyright: ignore
    )


def test_a_book_outside_the_session_has_no_heatmap() -> None:
    book = surfaces.dealer_book(make_chain(as_of="2025-09-04T20:00"))
    with pytest.raises(InputError, match="holds nothing for the figure 'gamma_heatmap'"):
        book.figure("gamma_heatmap")
