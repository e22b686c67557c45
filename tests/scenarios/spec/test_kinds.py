"""Every `kind` a scenario file can name: it runs, and a key that does not belong to it is a mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gammawall import scenarios, sim
from gammawall.scenarios.spec.load import vary
from gammawall.scenarios.spec.registry import OURS, kinds_of
from gammawall.scenarios.spec.registry import TABLES as KIND_TABLES
from gammawall.surfaces.errors import InputError
from tests.helpers.scenario_files import SCENARIO, write

HESTON = "mean_reversion = 5.0\nlong_vol_pct = 14.0\nvol_of_vol = 0.8\ncorrelation = -0.7"
TABLES = {
    "gbm": '[dynamics]\nkind = "gbm"\n[[dynamics.catalyst]]\nwhen = 2026-01-28T14:00:00\nstd_pct = 0.5',
    "bachelier": '[dynamics]\nkind = "bachelier"',
    "heston": f'[dynamics]\nkind = "heston"\n{HESTON}',
    "jumps": '[dynamics]\nkind = "jumps"\njumps_per_year = 50\njump_mean_pct = -0.5\njump_std_pct = 0.7',
    "obizhaeva_wang": '[impact]\nkind = "obizhaeva_wang"\nbp_per_usd_bn = 1.0\n'
    "transient_bp_per_usd_bn = 2.0\nhalf_life_min = 20",
    "power_law": '[impact]\nkind = "power_law"\nbp_per_usd_bn = 3.0\nexponent = 0.6\n'
    "reference_usd_bn_per_min = 0.1",
    "linear": '[impact]\nkind = "linear"\nbp_per_usd_bn = 3.0',
    "clearing": '[hedging]\nkind = "clearing"\nfraction = 0.5',
    "clock": '[hedging]\nkind = "clock"\ninterval_min = 60',
    "band": '[hedging]\nkind = "band"\nwidth_usd_bn = 0.5',
    "band by cost": '[hedging]\nkind = "band"\ncost_bp = 0.5\naversion_per_usd_bn = 10',
    "zakamouline": '[hedging]\nkind = "zakamouline"\ncost_bp = 0.5\naversion_per_usd_bn = 10',
    "charm_only": '[hedging]\nkind = "charm_only"',
    "none": '[hedging]\nkind = "none"',
    "groups": '[[hedging.group]]\nfraction = 0.5\n[[hedging.group]]\nkind = "clock"\ninterval_min = 60\n'
    "fraction = 0.5",
    "zero_dte": '[flow]\nkind = "zero_dte"\ncontracts_per_day = 100_000\nimbalance = 0.03\nstrikes = 21',
    "stochastic_level": '[surface]\nkind = "stochastic_level"\nvol_of_vol = 1.0\ncorrelation = -0.7',
    "sticky_strike": '[surface]\nkind = "sticky_strike"',
    "sticky_moneyness": '[surface]\nkind = "sticky_moneyness"',
    "spot_vol_beta": '[surface]\nkind = "spot_vol_beta"\nvol_points_per_pct = -1.0',
}


SLOW = pytest.mark.slow
"""Every kind is a compilation of its own."""


def with_table(table: str) -> str:
    """The small scenario with one more table; its own [impact] makes way for another."""
    text = SCENARIO
    if table.startswith("[impact]"):
        text = text.replace("[impact]\nbp_per_usd_bn = 3.0\n", "")
    return f"{text}{table}\n"


def test_every_kind_is_tried() -> None:
    kinds = {kind.name for table in KIND_TABLES for kind in kinds_of(table).values() if kind.package is OURS}
    assert kinds == set(TABLES) - {"band by cost", "groups"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "groups" else SLOW) for name in TABLES],
)
def test_every_kind_runs(name: str, tmp_path: Path) -> None:
    result = scenarios.run(scenarios.load(write(tmp_path, with_table(TABLES[name]))))
    values = [m[key] for m in result.document["metrics"] for key in ("value", "stderr", "baseline")]
    assert np.isfinite(values).all()
    assert result.document["status"]["self_financing_residual"] < 1e-9
    assert result.document["theory"]


def test_numbers_reach_the_model(tmp_path: Path) -> None:
    loaded = scenarios.load(write(tmp_path, with_table(TABLES["heston"])))
    assert loaded.dynamics == sim.Heston(0.12, 5.0, 0.14, 0.8, -0.7)
    loaded = scenarios.load(write(tmp_path, with_table(TABLES["groups"])))
    assert loaded.hedging == (sim.Clearing(0.5), sim.Clock(60.0, fraction=0.5))
    turned = vary(loaded, ["hedging.group[1].lag=0"])
    assert turned.hedging == (sim.Clearing(0.5), sim.Clock(60.0, 0, fraction=0.5))
    loaded = scenarios.load(write(tmp_path, with_table(TABLES["obizhaeva_wang"])))
    assert loaded.impact == sim.ObizhaevaWang(1.0, 2.0, 20.0)
    assert (
        scenarios.load(write(tmp_path), settings=["surface.kind=sticky_moneyness"]).motion
        == sim.StickyMoneyness()
    )


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('[dynamics]\nkind = "hesston"', "(did you mean 'heston'?)"),
        (
            '[dynamics]\nkind = "heston"',
            "dynamics.mean_reversion (line 20): is missing: kind = 'heston' needs it",
        ),
        (
            "[dynamics]\nvol_of_vol = 0.5",
            "dynamics.vol_of_vol (line 21): does nothing with kind = 'gbm', it belongs to 'heston'",
        ),
        (
            TABLES["heston"].replace("-0.7", "1.2"),
            "dynamics.correlation (line 25): must be at most 1; got 1.2",
        ),
        (
            TABLES["obizhaeva_wang"].replace("20", "0"),
            "impact.half_life_min (line 22): must be above 0; got 0",
        ),
        (TABLES["power_law"].replace("0.6", "-1"), "impact.exponent (line 21): must be above 0; got -1"),
        ('[hedging]\nkind = "clock"', "hedging.interval_min (line 20): is missing: kind = 'clock' needs it"),
        (
            '[hedging]\nkind = "band"',
            "a band needs either width_usd_bn, or both cost_bp and aversion_per_usd_bn",
        ),
        (TABLES["band"] + "\ncost_bp = 1.0", "a band needs either width_usd_bn"),
        (TABLES["clock"] + "\nlag = 3", "hedging.lag (line 23): must be at most 1; got 3"),
        (
            TABLES["band"].replace("0.5", "-0.5"),
            "hedging.width_usd_bn (line 22): must be at least 0; got -0.5",
        ),
        ("[hedging]\nfraction = 1.0\n" + TABLES["groups"], "hedging.fraction (line 21): cannot stand beside"),
        (TABLES["groups"].replace("fraction = 0.5", "fraction = 0.7"), "must add up to at most 1; got 1.4"),
        (TABLES["spot_vol_beta"].replace("-1.0", "nan"), "must be a finite number; got nan"),
        (TABLES["gbm"].replace("2026-01-28T14", "2026-02-28T14"), "catalyst"),
        ("[market2]\nx = 1", "market2 (line 20): is not a known key: did you mean 'market'?"),
    ],
)
def test_a_wrong_key_is_one_sentence(table: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        scenarios.run(scenarios.load(write(tmp_path, with_table(table))))
    lines = caught.value.problems or (str(caught.value),)
    assert any(sentence in line for line in lines), lines
    assert all("\n" not in line for line in lines)
