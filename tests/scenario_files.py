"""A small scenario as text, and files made from it."""

from __future__ import annotations

from pathlib import Path

SCENARIO = """name = "small"
[market]
spot = 7000.0
start = 2026-01-28T09:30:00
close = 2026-01-28T16:00:00
vol_pct = 12.0
[[book.position]]
strike = 7000.0
expiry = 2026-01-28T16:00:00
type = "call"
contracts = 20_000
vol_pct = 12.0
[impact]
bp_per_usd_bn = 3.0
[simulation]
paths = 256
steps = 8
[measure]
strike = 7000.0
"""


def changed(old: str, new: str) -> str:
    """The small scenario with one piece of its text replaced."""
    assert SCENARIO.count(old) == 1, old
    return SCENARIO.replace(old, new)


def write(folder: Path, text: str = SCENARIO, name: str = "small.toml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)
