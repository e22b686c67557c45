"""Where a result comes from: every value that makes its numbers, and what it was made with."""

from __future__ import annotations

import json
from typing import Any

from gammawall.scenarios.provenance import Provenance, environment
from gammawall.scenarios.record import record_digest
from gammawall.scenarios.spec.scenario import Scenario
from gammawall.scenarios.whole_folders import to_json

__all__ = ["provenance", "scenario_numbers"]

_WORDS = ("name", "story", "facts", "assumptions")


def provenance(scenario: Scenario) -> Provenance:
    """What is needed to repeat a result."""
    return {
        **environment(),
        "seed": scenario.seed,
        "scenario_hash": record_digest(scenario_numbers(scenario)),
        "chain_sha256": scenario.chain_sha256,
        "kinds": scenario.foreign_code(),
    }


def scenario_numbers(scenario: Scenario) -> dict[str, Any]:
    """Every value that makes the result; of the quotes their digest, not the name of their file."""
    numbers = {key: value for key, value in scenario.resolved().items() if key not in _WORDS}
    if scenario.chain_sha256 is not None:
        numbers["book"] = {**numbers["book"], "chain": scenario.chain_sha256}
    code = scenario.foreign_code()
    return json.loads(to_json(numbers | ({"kinds": code} if code else {})))
