"""A Sphinx extension: one page per package, every name of its ``__all__`` in the room it comes from.

The files ``docs/api/*.rst`` are empty on purpose: their text is made here when they are read, so that a
new public name is on its page without another line.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from sphinx.pycode import ModuleAnalyzer

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PACKAGES = ("surfaces", "sim", "scenarios")

PREAMBLE = """\
import numpy as np
import pandas as pd
from gammawall import scenarios, sim, surfaces

# Dealers are long 20,000 calls that expire at the close.
book = surfaces.Book.from_positions(
    contracts=20_000,
    strike=7000.0,
    expiry="2026-01-28T16:00",
    vol=0.12,
    spot=7000.0,
    as_of="2026-01-28T09:30",
)
market = sim.Market(7000.0, "2026-01-28T09:30", "2026-01-28T16:00")

# Quotes of two expiries, at a vol of 12 %.
quotes = pd.MultiIndex.from_product(
    [["2026-01-28", "2026-02-20"], np.arange(6800.0, 7201.0, 25.0), [True, False]],
    names=["expiry", "strike", "is_call"],
).to_frame(index=False)
years = quotes["expiry"].map({"2026-01-28": 1 / 252, "2026-02-20": 17 / 252})
fair = surfaces.black_price(7000.0, quotes["strike"], years, 0.12, is_call=quotes["is_call"])
quotes = quotes.assign(root="SPXW", bid=np.maximum(fair - 0.1, 0.0), ask=fair + 0.1)
quotes["open_interest"] = np.where(quotes["is_call"], 900, 500)
chain = surfaces.read_chain(quotes, spot=7000.0, as_of="2026-01-28T09:30")

# A small run of that book, a small scenario and a portfolio of one's own.
config = sim.SimConfig(paths=2048, steps=13)
experiment = sim.Experiment(
    book, market=market, dynamics=sim.GBM(0.12), impact=sim.LinearImpact(3.0), config=config, seed=7
)
small = scenarios.load("pin-7000", simulation__paths=2048, simulation__steps=13)
portfolio = pd.DataFrame(
    {"type": ["call"], "contracts": [-50], "strike": [7000], "expiry": ["2026-01-28T16:00"], "vol_pct": [12]}
)
"""
"""What the examples of the docstrings may use; shown on every page, run by the tests."""


class Entry(NamedTuple):
    """A public name."""

    name: str
    kind: str
    """of its directive: function, class, module or data"""
    path: str
    """its public name in full"""
    home: str
    """the module that defines it"""

    @property
    def room(self) -> str:
        """The folder it comes from, as a dotted name."""
        return self.home.rpartition(".")[0]


def entries(package: str) -> list[Entry]:
    """Every name of ``gammawall.PACKAGE.__all__``."""
    module = importlib.import_module(f"gammawall.{package}")
    return [_entry(module, name) for name in module.__all__]


def _entry(package: ModuleType, name: str) -> Entry:
    thing = getattr(package, name)
    path = f"{package.__name__}.{name}"
    if isinstance(thing, ModuleType):
        return Entry(name, "module", thing.__name__, thing.__name__)
    if inspect.isclass(thing):
        kind, home = "class", thing.__module__
    elif callable(thing):
        kind, home = "function", inspect.unwrap(thing).__module__
    else:
        kind, home = "data", _home_of_data(package.__name__, name, thing)
    return Entry(name, kind, path, home)


def _home_of_data(package: str, name: str, thing: object) -> str:
    """The module that assigns a constant; its comment is read from there."""
    assignment = re.compile(rf"^{name}\b[^=\n]*=", re.MULTILINE)
    for path, module in sorted(sys.modules.items()):
        ours = path.startswith(f"{package}.") and vars(module).get(name) is thing
        if ours and assignment.search(inspect.getsource(module)):
            return path
    raise LookupError(f"no module of {package} assigns {name}")


def page(package: str) -> str:
    """The page of a package, in reStructuredText."""
    full = f"gammawall.{package}"
    lines = _heading(full, "=")
    lines += [_sentence(full), "", "The examples go on from here:", "", ".. code-block:: python", ""]
    lines += [f"   {line}".rstrip() for line in PREAMBLE.splitlines()] + [""]
    public = entries(package)
    for room in sorted({entry.room for entry in public}, key=lambda r: (r == full, r)):
        here = sorted((e for e in public if e.room == room), key=lambda e: (e.kind, e.name.lower()))
        title = room.removeprefix(f"{full}.") if room != full else "the ground"
        lines += _heading(title, "-")
        if room != full:
            lines += [_sentence(room), ""]
        for entry in here:
            lines += _directive(full, entry)
    return "\n".join(lines)


def _heading(title: str, line: str) -> list[str]:
    return [title, line * len(title), ""]


def _sentence(module: str) -> str:
    return _prose((importlib.import_module(module).__doc__ or "").splitlines()[0])


def _directive(package: str, entry: Entry) -> list[str]:
    if entry.kind == "data":
        said = ModuleAnalyzer.for_module(entry.home).find_attr_docs().get(("", entry.name), [])
        return [f".. py:data:: {entry.path}", "", *(f"   {_prose(line)}" for line in said), ""]
    lines = [f".. auto{entry.kind}:: {entry.path}"]
    if entry.kind in ("class", "module"):
        lines.append("   :members:")
    if entry.kind == "module":
        return [*_heading(f"{package.rpartition('.')[2]}.{entry.name}", "~"), *lines, ""]
    return [*lines, ""]


# --- docstrings ---------------------------------------------------------------------------------------


def _as_restructured_text(
    _app: Sphinx, what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Docstrings are plain text: formulas stay as they are written, bars and stars mean nothing.

    An indented block after a paragraph is a formula or a listing. What is returned is a sentence, of which
    napoleon would take the words before a colon for a type. Other sections are left to napoleon.
    """
    made: list[str] = []
    in_section = in_example = in_formula = False
    for number, line in enumerate(lines):
        if line.rstrip() in ("Returns:", "Yields:"):
            made.append(f":{line.strip()[:-1].lower()}:")
            in_section, in_formula = True, False
            continue
        if not line.strip():
            in_example = False
        elif not line.startswith(" "):
            in_section, in_formula = bool(_SECTION.match(line)), False
        if line.lstrip().startswith(">>>"):
            in_example = True
        elif line.startswith("    ") and not in_section and not in_formula and not lines[number - 1].strip():
            made += ["::", ""]
            in_formula = True
        made.append(line if in_example or in_formula else _prose(line))
    if what == "attribute":
        made.insert(0, "")  # or napoleon takes the words before a colon for its type
    lines[:] = made


_SECTION = re.compile(r"^(Args|Attributes|Examples?|Raises|Sources?):\s*$")
_CODE = re.compile(r"(``[^`]+``|(?<![:`])`[^`]+`)")


def _prose(text: str) -> str:
    """Code between backticks linked where it is public, everything else escaped."""
    parts = _CODE.split(text)
    return "".join(_linked(part.strip("`")) if k % 2 else _escaped(part) for k, part in enumerate(parts))


def _escaped(text: str) -> str:
    return re.sub(r"([*|\\]|(?<=\w)_(?!\w))", r"\\\1", text)


def _linked(code: str) -> str:
    name = code.removesuffix("()").removeprefix("gammawall.")
    package, _, last = name.rpartition(".")
    for candidate in PACKAGES:
        if package in ("", candidate) and last in importlib.import_module(f"gammawall.{candidate}").__all__:
            return f":py:obj:`{code} <gammawall.{candidate}.{last}>`"
    return f"``{code}``"


def _source_read(_app: Sphinx, document: str, source: list[str]) -> None:
    folder, _, package = document.rpartition("/")
    if folder == "api" and package in PACKAGES:
        source[0] = page(package)


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("source-read", _source_read)
    app.connect("autodoc-process-docstring", _as_restructured_text, priority=400)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
