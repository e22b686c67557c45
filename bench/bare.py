"""Finding the packages on a machine where nothing is installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

__all__ = ["find_packages"]


def find_packages() -> None:
    """Make `gammawall`, if it is not installed, and `tests.helpers` importable from this checkout."""
    root = Path(__file__).resolve().parent.parent
    # The points that the tests and the comparison of implied vols share are in tests/helpers.
    places = [str(root)]
    try:
        there = importlib.util.find_spec("gammawall.surfaces") is not None
    except ImportError:
        there = False
    if not there:
        # The import map that type checkers use.
        places.insert(0, str(root / "tests" / "_types"))
    sys.path[:0] = [place for place in places if place not in sys.path]
