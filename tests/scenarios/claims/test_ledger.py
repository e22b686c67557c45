"""The ledger: every row computed, resumed where it was stopped, and a page that shows it whole and safe."""

from __future__ import annotations

import re
import runpy
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gammawall import scenarios
from gammawall.scenarios.claims import amplification
from gammawall.scenarios.claims.judge import judge, verdict_by_threshold
from gammawall.scenarios.claims.ledger import judge_all, ledger_frame, plan, save_ledger
from gammawall.scenarios.claims.report import ledger_report
from gammawall.scenarios.cli import main as cli
from gammawall.scenarios.runs import cell_store as cells
from gammawall.scenarios.runs.cell_store import CellStore, cell_key
from gammawall.scenarios.spec.scenario import Scenario
from gammawall.scenarios.whole_folders import to_json
from gammawall.sim.sampling.schedule import make_schedule
from gammawall.surfaces.errors import InputError
from tests.helpers.scenario_files import CLAIM, SCENARIO, write
from tests.scenarios.chains.test_chain_pages import offline
from tests.scenarios.cli.test_cli import checked

EXAMPLES = Path(__file__).parents[3] / "scenarios" / "examples"
SHORT = CLAIM.replace('"C1"', '"C2"').replace("The wall pins", "So it does with dealers short")


def made_up(scenario: Scenario) -> dict[str, Any]:
    """A run in which the wall pulls in proportion to its size, the impact and the share hedged."""
    part = scenario.spec
    pull = part.book.scale * part.impact.bp_per_usd_bn * part.hedging.fraction
    value = max(0.1 * (1.0 + 0.2 * pull), 0.0)
    numbers = {"value": value, "stderr": 1e-4, "baseline": 0.1, "baseline_stderr": 1e-4}
    numbers |= {"difference": value - 0.1, "difference_stderr": 1e-4}
    metric = {"name": "pin_probability", "unit": "probability", "description": "close in the band", **numbers}
    status = {"paths_capped": 0, "paths_with_jump": 1}
    return {"name": scenario.name, "key": cell_key(scenario), "metrics": [metric], "status": status}


class MadeUp(CellStore):
    def compute(self, scenario: Scenario, **more: Any) -> dict[str, Any]:
        return made_up(scenario)


@pytest.fixture
def files(tmp_path) -> list[str]:
    short = (
        SCENARIO.replace('"small"', '"short"').replace("[[book.pos", "[book]\nscale = -1.0\n[[book.pos")
        + SHORT
    )
    return [write(tmp_path, short, "short.toml"), write(tmp_path, SCENARIO + CLAIM)]


@pytest.fixture
def record(files) -> dict[str, Any]:
    return judge_all(plan(files, paths=8192), store=MadeUp(None))


def test_the_record_is_computed_and_meets_its_schema(record):
    whole = checked(to_json(record), "ledger")
    assert [c["id"] for c in whole["claims"]] == ["C1", "C2"]  # by number, not as they were given
    assert whole["counts"] == {"supported": 0, "supported only if": 1, "contradicted": 1, "not decidable": 0}
    assert whole["turned_by_sign"] == ["C1", "C2"]
    assert whole["turned_by_impact"] == ["C1"]
    first = whole["claims"][0]
    assert first["effect"] == pytest.approx(1.6)
    assert first["conditions"] == ["impact 1 bp per USD bn"]
    assert [r["effect"] for r in first["rows"]] == pytest.approx([1.6, 1.2, 2.2, 7.0, 1.3, 0.4])
    assert [r["outcome"] for r in first["rows"]] == ["holds", "fails", "holds", "holds", "holds", "fails"]
    # Both claims need the runs of either sign: they are made once.
    assert (whole["settings"]["settings"], whole["settings"]["runs"]) == (12, 10)


def test_one_row_per_claim_and_setting(record, tmp_path):
    frame = ledger_frame(record)
    assert len(frame) == 12
    assert set(zip(frame["measured"], frame["unit"], strict=True)) == {("ratio to baseline", "ratio")}
    page = save_ledger(record, tmp_path / "out")
    assert sorted(p.name for p in page.parent.iterdir()) == [
        "ledger.csv", "ledger.json", "ledger.parquet", "report.html"
    ]  # fmt: skip
    pd.testing.assert_frame_equal(pd.read_parquet(page.parent / "ledger.parquet"), frame)
    assert len(pd.read_csv(page.parent / "ledger.csv")) == 12


def test_the_verdict_at_another_threshold_is_what_judging_there_finds(files):
    base = judge(files[1], compute=made_up)
    ranges = verdict_by_threshold(base.table, "above")
    assert ranges[0]["low"] == -np.inf
    assert ranges[-1]["high"] == np.inf
    assert all(a["high"] == b["low"] for a, b in pairwise(ranges))
    seen = set()
    for threshold in np.linspace(0.3, 8.0, 78):
        found = judge(scenarios.load(files[1], settings=[f"claim.threshold={threshold}"]), compute=made_up)
        told = next(r["verdict"] for r in ranges if r["low"] <= threshold <= r["high"])
        assert found.verdict == told, threshold
        seen.add(told)
    assert seen == {"supported", "supported only if", "not decidable", "contradicted"}


def test_flips_at_is_the_nearest_change(record):
    claim = record["claims"][0]
    flip = claim["flips_at"]
    # Three errors below the effect at 1 bp, its lowest, the claim would be supported without a condition.
    lowest = claim["rows"][1]
    assert flip["threshold"] == pytest.approx(lowest["effect"] - 3.0 * lowest["stderr"])
    assert flip["verdict"] == "supported"


def test_the_page_shows_every_verdict_and_stays_offline(record):
    page = ledger_report(record)
    assert offline(page)
    answer = re.search(r"<h1>(.*?)</h1>", page, re.S)
    assert answer is not None
    assert "Of 2 claims, 1 is supported only under a condition and 1 is contradicted." in answer[1]
    assert "changes the outcome of 2 of 2: C1, C2." in answer[1]
    table = page[page.index('id="claims"') : page.index('id="unidentified"')]
    for claim in record["claims"]:
        assert claim["text"] in table
        assert f"</span> {claim['verdict']}</b>" in table
    assert "×1.600 ± 0.001" in table
    assert page.count('role="img" aria-label="Effect of C') == 2
    assert page.count("the threshold is ours") == 2


def test_nothing_from_a_file_is_markup_or_a_formula(tmp_path):
    attack = "<script>alert(1)</script>"
    text = SCENARIO.replace('name = "small"', f'name = "{attack}"\nstory = "{attack}"\nfacts = ["{attack}"]')
    text += (
        CLAIM.replace("The wall pins.", attack).replace("The sign.", attack).replace("half hedged", attack)
    )
    text = text.replace('id = "C1"', "id = '\"><img src=x onerror=alert(1)>'")
    record = judge_all(plan([write(tmp_path, text)]), store=MadeUp(None))
    page = ledger_report(record)
    assert attack not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 5
    record["claims"][0]["text"] = "=1+1"
    saved = save_ledger(record, tmp_path / "out").with_name("ledger.csv").read_text(encoding="utf-8")
    assert "=1+1" in saved
    assert not re.search(r'(^|,)"?=', saved, re.M)


@pytest.fixture
def counted(monkeypatch) -> list[str]:
    """Runs that were made, in place of real ones."""
    runs: list[str] = []

    def run(scenario: Scenario, **more: Any) -> dict[str, Any]:
        if len(runs) in stops:
            stops.clear()
            raise KeyboardInterrupt
        runs.append(cell_key(scenario))
        return made_up(scenario)

    stops = {4}
    monkeypatch.setattr(cells, "run_cell", run)
    return runs


def test_a_ledger_that_was_stopped_goes_on_where_it_was(counted, files, tmp_path):
    whole = judge_all(plan(files), store=MadeUp(None))
    folder = tmp_path / "out" / "cells"
    with pytest.raises(KeyboardInterrupt):
        judge_all(plan(files), store=CellStore(folder))
    assert plan(files).kept(CellStore(folder)) == 4
    record = judge_all(plan(files), store=CellStore(folder))
    assert len(counted) == len(set(counted)) == 10
    assert record["claims"] == whole["claims"]
    kept = sorted(folder.glob("*.json"))
    kept[0].unlink()
    kept[1].write_bytes(kept[1].read_bytes()[:-20])
    store = CellStore(folder)
    assert judge_all(plan(files), store=store)["claims"] == whole["claims"]
    assert (len(counted), store.redone) == (12, 1)


def test_the_command(counted, files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gammawall", "ledger", *words])
        code = cli.run_guarded()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    for words, said in [
        (("nonsense",), "there is no scenario 'nonsense'"),
        ((files[0], files[0]), "scenario 'short' is given more than once"),
        ((files[0], "--paths", "0"), "simulation.paths: must be at least 2; got 0"),
        ((files[0], "--out", str(tmp_path)), "holds something else"),
    ]:
        code, out, err = call(*words)
        assert (code, out) == (2, "")
        assert said in err
    assert not (tmp_path / "runs").exists()
    assert call(*files, "--paths", "512")[0] == 130
    code, out, err = call(*files, "--paths", "512")
    assert (code, err) == (0, "")
    assert out.startswith("2 claims in 12 settings: 10 runs, 4 of them done before")
    assert "Of 2 claims, 1 is supported only under a condition and 1 is contradicted." in out
    assert (tmp_path / "runs" / "ledger" / "report.html").exists()
    code, out, err = call(*files, "--paths", "512", "--json", "-")
    assert (code, err, len(counted)) == (0, "", 10)
    assert checked(out, "ledger")["claims"][0]["paths"] == 512


def test_every_claim_of_the_library_is_planned_and_says_whose_threshold_it_is():
    planned = plan(paths=256)
    assert [s.spec.claim.id for s in planned.scenarios if s.spec.claim] == [f"C{i + 1}" for i in range(12)]
    assert len(planned.runs) < planned.settings
    assert len(planned.curve) == len(amplification.IMBALANCES)
    for scenario in planned.scenarios:
        assert any("ours" in text and "threshold" in text for text in scenario.spec.assumptions), (
            scenario.name
        )


def curve_case(*settings: str) -> Scenario:
    return amplification.curve_cases(
        scenarios.load("zero-dte-amplification", settings=settings), imbalances=(0.01,), paths=2048, steps=78
    )[0]


def test_mean_feedback_is_that_of_simulated_orders():
    """Strikes drawn around the price of the time of trade; gamma at the price of later."""
    case = curve_case("flow.strike_scale=0.7")
    schedule, flow = make_schedule(case.market, 78), case.flow
    assert flow is not None
    rng, paths = np.random.default_rng(3), 200_000
    variance = flow.vol**2 * schedule.variance
    left = np.cumsum(variance[::-1])[::-1]
    moves = rng.normal(size=(78, paths)) * np.sqrt(variance)[:, None]
    price = np.concatenate([np.zeros((1, paths)), np.cumsum(moves, axis=0)])
    volume, wall = flow.volume(schedule), 3e-13 * case.market.spot * 100.0
    formula = amplification.mean_feedback(case, 0.01)
    for step in (0, 30, 70):
        g = np.zeros(paths)
        for traded in range(step + 1):
            strike = price[traded] + rng.laplace(scale=0.7 * np.sqrt(left[traded]), size=paths)
            density = np.exp(-0.5 * (price[step] - strike) ** 2 / left[step]) / np.sqrt(
                2 * np.pi * left[step]
            )
            g -= 0.01 * wall * volume[traded] * density
        z = (formula[step] - g.mean()) / (g.std() / np.sqrt(paths))
        assert abs(z) < 4.0
        assert abs((-formula[step] - g.mean()) / (g.std() / np.sqrt(paths))) > 20.0  # a control: the sign


def test_strikes_left_behind_bring_g_nearer_to_zero_where_it_amplifies():
    case = curve_case()
    short, apart = (amplification.mean_feedback(case, 0.02, apart=a) for a in (False, True))
    assert short[0] == pytest.approx(apart[0])
    assert (short < 0.0).all()
    assert apart[-1] > short[-1] + 0.05
    long, damped = (amplification.mean_feedback(case, -0.02, apart=a) for a in (False, True))
    assert damped[-1] > long[-1] + 0.05


@pytest.mark.slow
def test_the_amplification_curve_follows_its_closed_form():
    curve = scenarios.amplification_curve(imbalances=(-0.01, 0.01), paths=2048, steps=78)
    closed = [point["closed_form"] for point in curve["points"]]
    for point, other in zip(curve["points"], closed[::-1], strict=True):
        # Chance in the orders and strikes left behind are beyond the closed form: two per cent here.
        allowed = 0.02 * point["closed_form"] + 4.0 * point["stderr"]
        assert abs(point["simulated"] - point["closed_form"]) < allowed
        assert abs(point["simulated"] - other) > 5.0 * allowed  # a control: the other sign
        assert len(point["by_minute"]) == len(curve["minutes_left"]) == 78
    assert curve["fold_gex_usd_bn"] == pytest.approx(-100.0 / 3.0)
    assert curve["points"][1]["one_strike_fold_minutes"] == pytest.approx(19.04, abs=0.01)


def test_the_closed_form_ends_where_the_map_folds():
    case = curve_case()
    points = [amplification._closed_point(case, b) for b in (0.03, 0.045)]
    assert points[0]["closed_form"] > 3.0
    assert points[0]["fold_minutes"] is None
    assert points[1]["closed_form"] is None
    g = amplification.mean_feedback(case, 0.045)
    assert points[1]["fold_minutes"] == amplification._minutes_left(case)[np.argmax(g <= -1.0)]


@pytest.mark.parametrize(
    "setting",
    ["flow.momentum=0.1", "flow.kind=none", "hedging.fraction=0.5", "impact.bp_per_usd_bn=0",
     'market.close="2026-01-29T16:00:00"'],
)  # fmt: skip
def test_no_curve_without_its_closed_form(setting):
    with pytest.raises(InputError):
        curve_case(setting)


@pytest.mark.slow
def test_the_example_of_same_day_options_hangs_on_who_is_long(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["zero_dte_amplification", "2048", "78"])
    found = runpy.run_path(str(EXAMPLES / "zero_dte_amplification.py"))["amplification"]
    (low, a), (middle, b), (high, c) = (found[i] for i in (-0.02, 0.0, 0.02))
    assert middle - low > 4.0 * np.hypot(a, b)
    assert high - middle > 4.0 * np.hypot(b, c)
    assert capsys.readouterr().out.count("vol ×") == 3
