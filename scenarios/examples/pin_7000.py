"""Does a wall that dealers are long pin the close? `gammawall run pin-7000`, written out: [PATHS STEPS]"""

import sys

import pandas as pd

from gammawall import sim, surfaces

paths, steps = map(int, sys.argv[1:] or (100_000, 390))
spot, start, close = 6978.60, pd.to_datetime("2026-01-28 09:30"), pd.to_datetime("2026-01-28 16:00")
book = surfaces.Book.from_positions(
    contracts=[20_000, 13_500, -5_000, 18_000],  # as dealers hold them: positive is long
    strike=[7000.0, 7000.0, 6900.0, 7000.0],
    expiry=[close, "2026-01-29 16:00", "2026-01-30 16:00", "2026-02-20 09:30"],
    vol=[0.12, 0.12, 0.14, 0.12],
    is_call=[True, True, False, True],
    spot=spot,
    as_of=start,
)
found = sim.simulate(
    book,
    market=sim.Market(spot, start, close),
    dynamics=sim.GBM(0.12),
    hedging=sim.Clearing(),
    impact=sim.LinearImpact(3.0),
    config=sim.SimConfig(paths=paths, steps=steps),
    measure=sim.Measure(7000.0, band_points=5.0),
    seed=7,
)
pin = found["pin_probability"]
print(
    f"closes within 5 points of 7,000: {pin.value:.1%} ± {pin.stderr:.1%}, without hedging {pin.baseline:.1%}"
)
