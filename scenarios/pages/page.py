"""A page of pictures and tables about a chain, as one HTML file that works offline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup

from gammawall.scenarios.pages.templating import script_json, template
from gammawall.scenarios.provenance import environment

__all__ = ["Page", "Picture", "Table", "level_text", "number_text"]


@dataclass(frozen=True)
class Picture:
    """One figure of a page, with its words; `missing` is said where there is no figure."""

    title: str
    caption: str
    alt: str
    figure: go.Figure | None
    missing: str = "There is nothing to draw."
    height: int = 370
    """pixels"""

    @property
    def json(self) -> Markup | None:
        """The figure for a script element."""
        return None if self.figure is None else script_json(str(self.figure.to_json()))


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column names them."""

    key: str
    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""


@dataclass(frozen=True)
class Page:
    """What `chain.html.j2` shows: the answer first, then pictures, tables and what was read."""

    title: str
    kicker: str
    headline: str
    tiles: list[tuple[str, str, str]]
    """label, value, what stands below"""
    pictures: dict[str, Picture]
    layout: list[list[str]]
    """keys of pictures, row by row"""
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def html(self) -> str:
        """The page as text."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return template("chain.html.j2").render(**content, provenance=environment())


def number_text(value: Any, digits: int = 2) -> str:
    """A number for a table cell; a dash where there is none."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:,.{digits}f}".replace("-", "−")


def level_text(value: Any) -> str:
    """An index level; a dash where there is none."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"
