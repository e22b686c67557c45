"""Figures and pages that cannot leave the reader's machine: no upload button, no link out, no request."""

from __future__ import annotations

import re
import tempfile
import webbrowser
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

__all__ = ["CONFIG", "POLICY", "UPLOAD_BUTTONS", "Figure"]

UPLOAD_BUTTONS = ["sendChartToCloud", "sendDataToCloud", "editInChartStudio"]
"""Buttons of plotly that send a figure away, under the names of plotly.js 4, of 2 to 3, and of its editor."""

CONFIG: dict[str, Any] = {
    "showSendToCloud": False,  # on by default from plotly.js 4 on
    "plotlyServerURL": "",
    "displaylogo": False,  # a link to plotly.com
    "responsive": True,
    "modeBarButtonsToRemove": [*UPLOAD_BUTTONS, "select2d", "lasso2d", "autoScale2d"],
}
"""What plotly is told wherever a figure is drawn."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "form-action 'none'; base-uri 'none'"
)
"""Content security policy of every page: the browser itself refuses whatever is not inside the file."""

_LINK = re.compile(r"<(?=\s*/?\s*a\b)", re.IGNORECASE)


class Figure(go.Figure):
    """A plotly figure that stays on this machine wherever it is shown.

    The button that uploads a chart is off, in the figure itself and in what plotly is told when it draws it.
    Text cannot become a link. HTML made of it brings plotly.js along and asks no other host for MathJax.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The layout travels with the figure, also into programs that know nothing of CONFIG.
        self.update_layout(modebar={"remove": CONFIG["modeBarButtonsToRemove"]})

    def to_dict(self) -> dict[str, Any]:
        """The figure as plain data, with what plotly would read as a link written as text."""
        return _unlinked(super().to_dict())

    def to_html(self, *args: Any, **kwargs: Any) -> str:
        """As in plotly, with `CONFIG` unless told otherwise."""
        return super().to_html(*args, **_configured(kwargs))

    def write_html(self, *args: Any, **kwargs: Any) -> None:
        """As in plotly, with `CONFIG` unless told otherwise."""
        super().write_html(*args, **_configured(kwargs))

    def show(self, renderer: str | None = None, **kwargs: Any) -> None:
        """Show it: inside a notebook, or else as a file of its own in the browser.

        Args:
            renderer: one of plotly's; its default when not given.
            kwargs: as in plotly.
        """
        if renderer is None and (pio.renderers.default or "browser") == "browser":
            # plotly's own page would load MathJax from another host.
            with tempfile.NamedTemporaryFile("w", suffix=".html", delete=False, encoding="utf-8") as file:
                file.write(self.to_html())
            webbrowser.open(Path(file.name).as_uri())
        else:
            super().show(renderer, **_configured(kwargs))

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None, validate: bool = True, **kwargs: Any
    ) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(include, exclude, validate, **_configured(kwargs))
        if "text/html" in bundle:
            bundle["text/html"] = self.to_html(full_html=False)
        return bundle

    def _repr_html_(self) -> str:
        return self.to_html(full_html=False)

    def _ipython_display_(self) -> None:
        bundle = self._repr_mimebundle_()
        if not bundle:
            self.show()
            return
        # Only IPython calls this, so it is there, though gammawall does not need it.
        import_module("IPython.display").display(bundle, raw=True)


def _configured(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**kwargs, "config": {**CONFIG, **(kwargs.get("config") or {})}}


def _unlinked(value: Any) -> Any:
    """The value with every ``<a`` in its texts written as ``&lt;a``."""
    if isinstance(value, str):
        return _LINK.sub("&lt;", value)
    if isinstance(value, dict):
        return {key: _unlinked(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_unlinked(inner) for inner in value]
    if isinstance(value, np.ndarray) and value.dtype == object:
        return _unlinked(value.tolist())
    return value
