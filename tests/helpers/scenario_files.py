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

CLAIM = """
[claim]
id = "C1"
text = "The wall pins."
metric = "pin_probability"
effect = "ratio to baseline"
holds = "above"
threshold = 1.25
hinge = "The sign."
[[claim.variant]]
name = "half hedged"
set = ["hedging.fraction=0.5"]
"""


def changed(old: str, new: str) -> str:
    """The small scenario with one piece of its text replaced."""
    assert SCENARIO.count(old) == 1, old
    return SCENARIO.replace(old, new)


def write(folder: Path, text: str = SCENARIO, name: str = "small.toml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


WALL = '[[book.position]]\nstrike = 7000.0\nexpiry = 2026-01-28T16:00:00\ntype = "call"'

BAD_VALUES = [
    ("spot = 7000.0", "spott = 7000.0", "market.spott (line 3): is not a known key: did you mean 'spot'?"),
    ("spot = 7000.0", "spot = nan", "market.spot (line 3): must be a finite number; got nan"),
    ("spot = 7000.0", "spot = inf", "market.spot (line 3): must be a finite number; got inf"),
    ("spot = 7000.0", "spot = -1", "market.spot (line 3): must be above 0; got -1"),
    ("spot = 7000.0", "spot = '7000'", "market.spot (line 3): must be a number; got '7000'"),
    ("spot = 7000.0", "spot = true", "market.spot (line 3): must be a number; got true"),
    ("spot = 7000.0", "spot = " + "9" * 400, "market.spot (line 3): must be a finite number"),
    ("paths = 256", "paths = 0", "simulation.paths (line 16): must be at least 2; got 0"),
    ("paths = 256", "paths = 1.5", "simulation.paths (line 16): must be a whole number; got 1.5"),
    ("paths = 256", "paths = true", "simulation.paths (line 16): must be a number; got true"),
    ("paths = 256", "paths = nan", "simulation.paths (line 16): must be a finite number; got nan"),
    ("paths = 256", "paths = 1_000_000_000", "simulation.paths (line 16): must be at most 100,000,000"),
    ("steps = 8", "steps = 0", "simulation.steps (line 17): must be at least 1; got 0"),
    ("steps = 8", "steps = '390'", "simulation.steps (line 17): must be a number; got '390'"),
    ("steps = 8", "steps = 8\nseed = -1", "simulation.seed (line 18): must be at least 0; got -1"),
    (
        "bp_per_usd_bn = 3.0",
        "bp_per_usd_bn = -3",
        "impact.bp_per_usd_bn (line 14): must be at least 0; got -3",
    ),
    ("start = 2026-01-28T09:30:00", "start = 2026-01-28", "must be a date and time such as"),
    ("start = 2026-01-28T09:30:00", "start = 'soon'", "must be a date and time such as"),
    ("start = 2026-01-28T09:30:00", "start = 1e9", "must be a date and time such as"),
    ("start = 2026-01-28T09:30:00", "start = 2026-01-28T09:30:00Z", "without Z or an offset"),
    ("start = 2026-01-28T09:30:00", "start = 0001-01-01T00:00:00", "calendar runs from 2004 to 2100"),
    ("start = 2026-01-28T09:30:00", "start = 2026-01-28T15:59:30", "must leave a minute of trading"),
    ("close = 2026-01-28T16:00:00", "close = 2026-01-28T09:30:00", "must come after market.start"),
    ("close = 2026-01-28T16:00:00", "close = 2026-01-31T16:00:00", "inside a session, 09:30 to 16:00"),
    ("close = 2026-01-28T16:00:00", "close = 2026-11-26T16:00:00", "got Thursday 2026-11-26"),
    ("close = 2026-01-28T16:00:00", "close = 2026-11-27T16:00:00", "13:00 on short days"),
    ("contracts = 20_000", "contracts = 1e300", "must be at most 1,000,000,000; got 1e+300"),
    ('type = "call"', 'type = "cal"', "must be 'call' or 'put' (did you mean 'call'?); got 'cal'"),
    (
        WALL,
        WALL.replace("7000.0", "-7000.0"),
        "book.position[0].strike (line 8): must be above 0; got -7000.0",
    ),
    (WALL, WALL.replace("01-28", "01-27"), "book.position[0].expiry (line 9): must come after market.start"),
    (WALL, WALL.replace("2026", "2300"), "book.position[0].expiry (line 9): must lie inside the trading"),
    ("[measure]", "[measure]\ncorridor = [7020, 7000]", "measure.corridor (line 19): must be two levels"),
    ("[measure]", "[measure]\ncorridor = [7000]", "measure.corridor (line 19): must be two levels"),
    ("[measure]", "[measure]\nband_points = 7000", "must be below measure.strike, 7,000; got 7,000"),
    ("[measure]\nstrike = 7000.0", "[measure]\nstrike = 1e6", "must lie between half and twice market.spot"),
    ("[measure]", "[dynamics]\ndrift = 'up'\n[measure]", 'must be "martingale" or a number'),
    ("[measure]", "[dynamics]\ndrift = inf\n[measure]", 'must be "martingale" or a number'),
    ("[measure]", "[dynamics]\nprofile = 'u'\n[measure]", "must be 'flat' or 'u_shape'"),
    ("[measure]", "[hedging]\nfraction = 1.5\n[measure]", "hedging.fraction (line 19): must be at most 1"),
    ("[measure]", "[measur]\n[measure]", "measur (line 18): is not a known key: did you mean 'measure'?"),
    ("[[book.position]]", "[book.position]", "book.position (line 7): must be a list; got a table"),
    ("[[book.position]]", "[[book]]", "book (line 7): must be a table: [book]; got a list of tables"),
    ("[[book.position]]", "[book]\nsize = 'max'\n[[book.position]]", "does nothing without book.chain"),
    ("[[book.position]]", "[book]\nchain = 'a.csv'\n[[book.position]]", "keep one of the two"),
    (SCENARIO[SCENARIO.index("[[") : SCENARIO.index("[imp")], "[book]\n", "holds no positions: add [[book"),
    ('name = "small"', "name = 5", "name (line 1): must be text; got 5"),
    ('name = "small"', 'name = ""', "name (line 1): must be 1 to 200 characters long; got ''"),
    ('name = "small"', 'name = "x"\nfacts = "abc"', "facts (line 2): must be a list; got 'abc'"),
    ("[impact]\nbp_per_usd_bn = 3.0\n", "", "impact (not in the file): is missing: add [impact]"),
    ('name = "small"', 'name = "small"\n"\\u001b[31m" = 1', "\\x1b[31m"),
]
"""(text to replace, text instead, part of the sentence that says what is wrong)"""
