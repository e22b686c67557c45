"""Every number of a fixed set of runs, to be compared bit for bit across a change that must change none.

    python -m tests.helpers.same_bits write before.json      # on the old commit
    python -m tests.helpers.same_bits compare before.json    # on the new one, same machine and packages

Twelve scenarios, two sweeps, a portfolio's risk, and the exposures and levels of three synthetic chains.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gammawall import scenarios, surfaces
from tests.helpers.synthetic import make_chain

CHAINS = {
    "afternoon": make_chain,
    "low vol": lambda: make_chain(vol=0.09, seed=11),
    "high rate": lambda: make_chain(spot=4300.0, rate=0.055, dividend=0.0, skew=-0.8, seed=3),
}
SWEEPS = {
    "pin-7000": {"impact.bp_per_usd_bn": [1, 6], "book.scale": [-1, 1]},
    "tug-of-war": {"flow.momentum": [0.0, 0.5]},
}
PORTFOLIO = pd.DataFrame(
    {
        "type": ["put", "call", "future"],
        "contracts": [200.0, -150.0, 12.0],
        "strike": [6950.0, 7020.0, np.nan],
        "expiry": ["2026-01-28T16:00", "2026-01-30T16:00", None],
        "vol_pct": [12.5, 11.0, np.nan],
    }
)


def measured() -> Iterator[tuple[str, Any]]:
    """Name and numbers of every piece, as plain data."""
    for name in sorted(scenarios.library()):
        document = scenarios.run(scenarios.load(name)).document
        yield f"scenario {name}", {key: document[key] for key in ("metrics", "theory", "status")}
    for name, grid in SWEEPS.items():
        base = scenarios.load(name, simulation__paths=8192)
        frame = scenarios.sweep(base, grid).frame()
        yield f"sweep {name}", frame[[c for c in frame if "." in c]].to_dict("list")
    found = scenarios.portfolio_risk(PORTFOLIO, scenarios.load("pin-7000", simulation__paths=16_384))
    yield (
        "risk",
        [found.summary.to_dict("list"), found.positions.to_dict("list"), found.ladder.to_dict("list")],
    )
    for name, make in CHAINS.items():
        book = surfaces.dealer_book(make())
        exposed, found = surfaces.exposures(book), surfaces.levels(book)
        frames = [
            f.reset_index().to_dict("list") for f in (exposed.by_expiry, exposed.by_strike, exposed.profile)
        ]
        named = [level and level.strike for level in (found.call_wall, found.put_wall, found.abs_gamma)]
        yield f"exposures {name}", [exposed.totals, *frames, list(found.zero_gamma), named, found.max_pain]


def plain(value: Any) -> str:
    """JSON with every digit of every float; the same text means the same bits."""
    return json.dumps(
        value, default=lambda x: x.item() if isinstance(x, np.generic) else str(x), sort_keys=True
    )


def main(verb: str, file: str) -> int:
    if verb == "write":
        with open(file, "w", encoding="utf-8") as target:
            json.dump({name: plain(value) for name, value in measured()}, target)
        return 0
    with open(file, encoding="utf-8") as source:
        before = json.load(source)
    differing = []
    for name, value in measured():
        same = before.pop(name, None) == plain(value)
        print(f"{name}: {'the same bits' if same else 'DIFFERS'}", flush=True)
        differing += [] if same else [name]
    differing += [f"{name} (gone)" for name in before]
    print(f"differing: {', '.join(differing) or 'none'}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
