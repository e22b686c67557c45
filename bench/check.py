"""A guard against getting slower: ``python bench/check.py [--keep]``, or ``make bench-check``.

Each job is timed in turn with one fixed NumPy job in the same process, and the ratio of their fastest runs is
compared with the ratio kept in ``results/ratios.json``. Machines and loads change times; ratios of work done
side by side hardly. A job fails at 1.5 times its kept ratio; ``--keep`` writes the ratios of this run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from bare import find_packages

find_packages()

from jobs import ELEVEN, contracts, flat_book, some_greeks, two_metrics  # noqa: E402

from gammawall import sim  # noqa: E402
from gammawall.surfaces.pricing.black import black_price  # noqa: E402
from gammawall.surfaces.pricing.implied import implied_vol  # noqa: E402

KEPT = Path(__file__).resolve().parent / "results" / "ratios.json"
SLACK = 1.5
ROUNDS = 15


def yardstick() -> float:
    """The fixed job: about 20 ms of one core."""
    x = np.linspace(0.1, 30.0, 400_000)
    return float(np.sum(np.log1p(np.exp(-x)) * np.sqrt(x)))


def jobs() -> dict[str, Callable[[], Any]]:
    """What is guarded, ready to be called again and again."""
    found: dict[str, Callable[[], Any]] = {}
    for dtype in (np.float64, np.float32):
        with jax.enable_x64(dtype == np.float64):
            given = [jnp.asarray(c) for c in contracts(200_000, dtype)]

        def greeks(given: list[Any] = given, wide: bool = dtype == np.float64) -> Any:
            with jax.enable_x64(wide):
                return jax.block_until_ready(some_greeks(*given, names=ELEVEN))

        found[f"greeks, 11 outputs, 200,000, {np.dtype(dtype).name}"] = greeks
    forward, strike, expiry, vol, rate, is_call = contracts(50_000)
    price = black_price(forward, strike, expiry, vol, rate, is_call=is_call)
    found["implied vol, 50,000"] = lambda: implied_vol(price, forward, strike, expiry, rate, is_call=is_call)
    book, market = flat_book()
    for name, hedging in (("static map", sim.Clearing()), ("step by step", sim.Clock(5.0))):
        config = sim.SimConfig(paths=8192, steps=39, keep_paths=0, workers=1)

        def paths(hedging: Any = hedging, config: sim.SimConfig = config) -> Any:
            return sim.simulate(
                book,
                market=market,
                dynamics=sim.GBM(0.12),
                hedging=hedging,
                impact=sim.LinearImpact(3.0),
                config=config,
                seed=1,
            )

        found[f"simulate, {name}, 8,192 × 39"] = paths
    found["simulate, two metrics, 8,192 × 39"] = lambda: two_metrics(
        sim.SimConfig(paths=8192, steps=39, keep_paths=0, workers=1)
    )
    return found


def fastest(call: Callable[[], Any]) -> tuple[float, float]:
    """Fastest run of a job and of the yardstick, run in turn, seconds."""
    call()
    best = [np.inf, np.inf]
    for _ in range(ROUNDS):
        for i, timed in enumerate((call, yardstick)):
            began = time.perf_counter()
            timed()
            best[i] = min(best[i], time.perf_counter() - began)
    return best[0], best[1]


def main() -> None:
    """Print every ratio beside the kept one; exit 1 when one is too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="write the ratios of this run")
    keep = parser.parse_args().keep
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    ratios: dict[str, float] = {}
    slower = []
    for name, call in jobs().items():
        seconds, unit = fastest(call)
        ratios[name] = round(seconds / unit, 3)
        text = f"{name:<48} {ratios[name]:8.3f} × the NumPy job"
        if name in kept:
            text += f"  {ratios[name] / kept[name]:.2f} × the kept ratio"
            slower += [name] if ratios[name] > SLACK * kept[name] else []
        print(text, flush=True)
    if keep:
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps(ratios, indent=1) + "\n", encoding="utf-8")
    elif slower:
        sys.exit(f"slower than {SLACK} times the kept ratio: {', '.join(slower)}")


if __name__ == "__main__":
    main()
