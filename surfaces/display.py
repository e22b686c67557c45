"""How objects that people look at show themselves: one line, a small table, a frame, figures by name.

This layer draws nothing. A figure is a function of one object to a plotly figure; whoever installs some
names them in the entry-point group `FIGURES`, under ``LAYER.CLASS``, as a mapping from figure name to
function. ``gammawall.scenarios`` brings those of the classes here.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from html import escape
from typing import Protocol

import pandas as pd

from gammawall.surfaces.errors import InputError

__all__ = ["FIGURES", "Display", "Figure"]

FIGURES = "gammawall.figures"
"""entry-point group of figures; an entry is a mapping from figure name to function of the object"""


class Figure(Protocol):
    """The part of a plotly figure that a caller needs; plotly itself is not imported here."""

    def show(self) -> object: ...
    def to_json(self) -> str | None: ...
    def write_html(self, file: str) -> object: ...


class Display:
    """What an object shows of itself in a notebook. A class gives `summary` and `frame` and has the rest.

    A dataclass needs ``@dataclass(repr=False)``, or it writes all its arrays out instead.
    """

    def summary(self) -> list[tuple[str, str]]:
        """What to know at first sight, as pairs of label and text."""
        raise NotImplementedError

    def frame(self) -> pd.DataFrame:
        """The object as one table."""
        raise NotImplementedError

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures that `figure` draws of this object; none where none are installed."""
        try:
            return tuple(_figures_of(type(self)))
        except ImportError:
            return ()

    def figure(self, name: str) -> Figure:
        """A plotly figure of this object.

        Args:
            name: one of `figures`.

        Raises:
            InputError: there is no figure of that name, or nothing in this object to draw.
            ImportError: no figures are installed for this class.
        """
        drawn_by = _figures_of(type(self))
        if name not in drawn_by:
            raise InputError(
                f"{type(self).__name__} has no figure {name!r}; use one of {', '.join(drawn_by)}"
            )
        figure = drawn_by[name](self)
        if figure is None:
            raise InputError(
                f"this {type(self).__name__} holds nothing for the figure {name!r}; use another of "
                f"{', '.join(drawn_by)}"
            )
        return figure

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{label} {text}' for label, text in self.summary())})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left">{escape(label)}</th>'
            f'<td style="text-align:left">{escape(text)}</td></tr>'
            for label, text in self.summary()
        )
        return f"<table><caption>{escape(type(self).__name__)}</caption>{rows}</table>"


def _figures_of(kind: type) -> Mapping[str, Callable[[object], Figure | None]]:
    """The figures of a class, or of the nearest class it is made from that has some."""
    installed = {entry.name: entry for entry in importlib.metadata.entry_points(group=FIGURES)}
    missing = f"no figures of {kind.__name__} are installed: pip install gammawall with plotly and jinja2"
    for base in kind.__mro__:
        entry = installed.get(f"{base.__module__.removeprefix('gammawall.').split('.')[0]}.{base.__name__}")
        if entry is None:
            continue
        try:
            return entry.load()
        except ImportError as error:
            raise ImportError(f"{missing} ({error})") from None
    raise ImportError(missing)
