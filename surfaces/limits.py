"""Size limits for untrusted files and for the numbers in them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["LARGEST", "MOST_BYTES_NAME", "allowed_bytes", "read_limited"]

LARGEST = 1e9
"""Prices, levels and sizes beyond are damage, and would overflow what is computed from them."""

MOST_BYTES_NAME = "GAMMAWALL_MOST_BYTES"
"""The environment variable that raises every limit."""


def allowed_bytes(usual: int) -> int:
    """The limit in force: the usual one, or what the environment raises it to."""
    told = os.environ.get(MOST_BYTES_NAME, "")
    return max(usual, int(told)) if told.isdecimal() else usual


def read_limited(path: Path, usual: int) -> bytes:
    """Content of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than allowed.
    """
    most = allowed_bytes(usual)
    # The size is not asked for: a device or a pipe has none, and a file may grow.
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"of its bytes at most {most:,} are read; set {MOST_BYTES_NAME} to read more")
    return content
