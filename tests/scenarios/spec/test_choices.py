"""Choices of a run that a scenario file and the command line offer: how to sample, and where to go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from gammawall import scenarios
from gammawall.scenarios.spec.load import load
from gammawall.surfaces.errors import InputError
from tests.helpers.scenario_files import write


def test_variance_reduction_is_chosen_in_the_file(tmp_path: Path) -> None:
    chosen = ["simulation.sampling=sobol", "simulation.paths=4096", "simulation.replicates=4"]
    config = load(write(tmp_path), settings=chosen).config
    assert (config.sampling, config.replicates, config.control) == ("sobol", 4, False)
    assert load(write(tmp_path), settings=["simulation.control=true"]).config.control
    with pytest.raises(InputError, match="exclude each other"):
        load(write(tmp_path), settings=[*chosen, "simulation.control=true"])
    with pytest.raises(InputError, match="sampling"):
        load(write(tmp_path), settings=["simulation.sampling=halton"])


def test_a_checkpoint_belongs_to_one_run(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    first = scenarios.run(load(write(tmp_path)), checkpoint=kept)
    assert any(kept.iterdir())
    assert (
        scenarios.run(load(write(tmp_path)), checkpoint=kept).document["metrics"] == first.document["metrics"]
    )
    with pytest.raises(InputError, match="another run"):
        scenarios.run(load(write(tmp_path), settings=["simulation.seed=5"]), checkpoint=kept)
