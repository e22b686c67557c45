"""What every HTML page is made with: templates with their filters, and JSON that is safe inside a page."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from gammawall.scenarios.pages import drawing
from gammawall.scenarios.pages.numbers import (
    count_text,
    format_estimate,
    format_exact,
    format_gap,
    format_level,
    is_clear,
    leaf_text,
)
from gammawall.scenarios.pages.offline import CONFIG, POLICY
from gammawall.scenarios.record import leaves, real

__all__ = ["script_json", "template"]

_COLOURS = ("hedged", "baseline", "theory", "exposure")


def script_json(text: str) -> Markup:
    """JSON that no HTML parser can mistake for markup inside a script element."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def template(name: str) -> jinja2.Template:
    """A template of the package, with every value escaped and the filters that the pages use."""
    folder = Path(__file__).parent / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "estimate": format_estimate,
        "exact": format_exact,
        "gap": format_gap,
        "level": format_level,
        "real": real,
        "count": count_text,
        "leaves": lambda record: [(key, leaf_text(value)) for key, value in leaves(record)],
        "clear": lambda m: is_clear(real(m.get("difference")), real(m.get("difference_stderr"))),
    }
    environment.globals |= {
        "policy": Markup(POLICY),
        "config": script_json(json.dumps(CONFIG)),
        "plotly": lambda: Markup(get_plotlyjs()),
        "colours": {key: getattr(drawing, key.upper()) for key in _COLOURS},
    }
    return environment.get_template(name)
