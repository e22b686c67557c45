"""Do same-day options raise vol into the close? It depends on who is net long them: [PATHS STEPS]"""

import sys

from gammawall import scenarios

paths, steps = map(int, sys.argv[1:] or (16_384, 78))
size = [f"simulation.paths={paths}", f"simulation.steps={steps}", "book.scale=0"]
amplification = {}
for imbalance in (-0.02, 0.0, 0.02):
    scenario = scenarios.load("zero-dte-amplification", settings=[*size, f"flow.imbalance={imbalance}"])
    metric = scenarios.run(scenario).metric("last_30min_amplification")
    amplification[imbalance] = metric.value, metric.stderr
    print(f"customers buy {imbalance:+.0%} net: vol × {metric.value:.3f} ± {metric.stderr:.3f}")
