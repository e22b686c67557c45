"""Models of others in scenario files: registered by an installed distribution or by a call."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gammawall import scenarios, sim
from gammawall.scenarios.spec.origin import provenance
from gammawall.surfaces.errors import InputError
from tests.helpers.scenario_files import SCENARIO, write

PLUGIN = """
from dataclasses import dataclass, field
from gammawall import scenarios, sim

@dataclass(frozen=True)
class Parameters:
    bp: float = field(metadata={"above": 0.0, "unit": "bp"})

def register():
    scenarios.register_kind("impact", "square_root", Parameters, lambda p: sim.PowerLaw(p.bp, 0.5, 1.0))
"""
USE = """
import sys
from gammawall import scenarios
from gammawall.scenarios.spec.origin import provenance
found = scenarios.load(sys.argv[1])
print(found.impact)
print(provenance(found)["kinds"]["impact.square_root"]["version"])
try:
    scenarios.load(sys.argv[1], settings=["impact.bp=-1"])
except ValueError as error:
    print(error)
"""
NAMED = SCENARIO.replace("bp_per_usd_bn = 3.0", 'kind = "square_root"\nbp = 2.0')


@dataclass(frozen=True)
class Mine:
    bp: float = field(metadata={"above": 0.0, "unit": "bp"})


def mine(p: Mine) -> sim.LinearImpact:
    return sim.LinearImpact(p.bp)


def test_an_installed_distribution_is_found_by_its_entry_point(tmp_path: Path) -> None:
    info = tmp_path / "site" / "acme-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[gammawall.kinds]\nacme = acme:register\n", encoding="utf-8")
    (tmp_path / "site" / "acme.py").write_text(PLUGIN, encoding="utf-8")
    command = [sys.executable, "-c", USE, write(tmp_path, NAMED)]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert "PowerLaw(bp_per_usd_bn=2.0, exponent=0.5" in done.stdout, done.stderr
    assert "1.2\n" in done.stdout
    assert "impact.bp (--set impact.bp=-1): must be above 0; got -1" in done.stdout
    show = "import sys; from gammawall.scenarios.cli.main import main; sys.argv[1:] = ['show', 'pin-7000']"
    show += "; main()"
    done = subprocess.run(
        [sys.executable, "-c", show], capture_output=True, text=True, env=environment, check=False
    )
    assert '# also installed: [impact] kind = "square_root" (bp), of acme 1.2' in done.stdout, done.stderr


def test_without_it_the_kind_is_unknown(tmp_path: Path) -> None:
    # A name of its own: examples of the documentation register square_root in the same process.
    with pytest.raises(InputError, match=r"must be 'linear', .* got 'cube_root'"):
        scenarios.load(write(tmp_path, NAMED.replace("square_root", "cube_root")))


def test_a_call_registers_for_this_process_and_its_code_is_in_the_digest(tmp_path: Path) -> None:
    scenarios.register_kind("impact", "mine_for_a_test", Mine, mine)
    path = write(tmp_path, NAMED.replace("square_root", "mine_for_a_test"))
    scenario = scenarios.load(path)
    assert scenario.impact == sim.LinearImpact(2.0)
    same = scenarios.load(write(tmp_path, name="ours.toml"))
    assert set(provenance(scenario)["kinds"]) == {"impact.mine_for_a_test"}
    assert not provenance(same)["kinds"]


@pytest.mark.parametrize(
    ("table", "name", "parameters", "sentence"),
    [
        ("impact", "linear", Mine, "is taken by gammawall"),
        ("impakt", "mine", Mine, "the table must be dynamics"),
        ("impact", "a b", Mine, "a name must be a word"),
        ("impact", "mine", dict, "must be a frozen dataclass"),
    ],
)
def test_what_cannot_be_registered(table: str, name: str, parameters: type, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        scenarios.register_kind(table, name, parameters, mine)
