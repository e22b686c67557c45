"""Claims: what a scenario declares, and that its verdict follows from runs alone."""

from __future__ import annotations

import csv
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gammawall import scenarios
from gammawall.scenarios.claims import judge as claims
from gammawall.scenarios.claims.judge import judge
from gammawall.scenarios.runs.claim_test import CONTRADICTED, ONLY_IF, SUPPORTED, UNDECIDABLE, effect
from gammawall.scenarios.runs.runner import run
from gammawall.scenarios.spec.load import vary
from gammawall.scenarios.spec.origin import provenance
from gammawall.surfaces.dealers.exposures import gex_at
from gammawall.surfaces.errors import InputError
from tests.helpers.scenario_files import CLAIM, SCENARIO, write

SHARED = Path(__file__).parents[4] / "shared"


@pytest.fixture(scope="module", autouse=True)
def runs() -> Iterator[dict[str, scenarios.Result]]:
    """Runs that several tests ask for are made once: equal hashes are equal runs."""
    made: dict[str, scenarios.Result] = {}

    def run_once(scenario: scenarios.Scenario) -> scenarios.Result:
        key = provenance(scenario)["scenario_hash"]
        made[key] = made.get(key) or run(scenario)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "run", run_once)
        yield made


def pin(*settings: str) -> scenarios.Scenario:
    """pin-7000, short, with one variant that compiles nothing new."""
    variant = 'claim.variant=[{name="half hedged", set=["hedging.fraction=0.5"]}]'
    return scenarios.load(
        "pin-7000", settings=["simulation.paths=4096", "simulation.steps=13", variant, *settings]
    )


def effects(found: claims.Judgement) -> np.ndarray:
    return found.table["effect"].to_numpy(float)


@pytest.fixture(scope="module")
def pins(runs) -> claims.Judgement:
    return judge(pin(), impacts=(3.0, 6.0))


def test_that_a_long_wall_pins_is_supported(pins, runs):
    assert pins.verdict == SUPPORTED
    assert list(pins.table["kind"]) == ["base", "impact", "variant", "sign"]
    assert list(pins.table["bp_per_usd_bn"]) == [3.0, 6.0, 3.0, 3.0]
    assert list(pins.table["outcome"]) == ["holds", "holds", "holds", "fails"]
    assert effects(pins)[1] > effects(pins)[0] > effects(pins)[2] > 1.25
    assert "C1 is supported; it holds as stated (" in pins.sentence
    assert "with the opposite sign of all that dealers hold (" in pins.sentence
    metric = next(iter(runs.values())).metric("pin_probability")
    assert vars(metric) in pins.base["metrics"]
    assert effects(pins)[0] == metric.value / metric.baseline


def test_the_book_s_sign_flips_the_verdict_of_pin_7000(pins):
    turned = judge(pin("book.scale=-1"), impacts=())
    assert turned.verdict == CONTRADICTED
    assert effects(turned)[[0, -1]].tolist() == effects(pins)[[-1, 0]].tolist()


def test_a_false_claim_is_contradicted():
    """That the wall halves the pin probability: so it would with dealers short, which is another claim."""
    found = judge(pin("claim.holds=below", "claim.threshold=0.5"), impacts=(6.0,))
    assert found.verdict == CONTRADICTED
    assert list(found.table["outcome"]) == ["fails", "fails", "fails", "holds"]
    assert "C1 is contradicted; it fails as stated (" in found.sentence


def test_an_effect_at_its_threshold_is_not_decidable(pins):
    at = float(effects(pins)[0] + 2.0 * pins.table["stderr"].to_numpy(float)[0])
    found = judge(pin(f"claim.threshold={at!r}"), impacts=(6.0,))
    assert found.verdict == UNDECIDABLE
    assert found.table["outcome"].iloc[0] == "unclear"
    assert "it is unclear as stated (" in found.sentence


def rows(**outcomes: str | list[str]) -> pd.DataFrame:
    pairs = [(k, o) for k, many in outcomes.items() for o in ([many] if isinstance(many, str) else many)]
    return pd.DataFrame(pairs, columns=["kind", "outcome"])


@pytest.mark.parametrize(
    ("table", "verdict"),
    [
        (rows(base="holds"), SUPPORTED),
        (rows(base="holds", impact=["holds", "unclear"]), ONLY_IF),
        (rows(base="holds", impact="holds", variant="fails", sign="fails"), SUPPORTED),
        (rows(base="holds", contrast="fails"), SUPPORTED),
        (rows(base="holds", contrast="holds"), ONLY_IF),
        (rows(base="holds", contrast="unclear"), ONLY_IF),
        (rows(base="fails", impact="holds"), ONLY_IF),
        (rows(base="fails", variant=["fails", "holds"]), ONLY_IF),
        (rows(base="fails", impact="unclear", variant="unclear"), CONTRADICTED),
        (rows(base="fails", sign="holds", contrast="holds"), CONTRADICTED),
        (rows(base="unclear", impact="holds", variant="holds"), UNDECIDABLE),
    ],
)
def test_the_verdict_follows_from_the_outcomes(table, verdict):
    assert claims._verdict(table) == verdict


def test_the_ratio_s_error_is_that_of_paired_samples():
    rng = np.random.default_rng(5)
    shared = rng.normal(size=(400, 500))
    base = 2.0 + shared + 0.3 * rng.normal(size=shared.shape)
    own = 3.0 + 1.5 * shared + 0.3 * rng.normal(size=shared.shape)

    def error(x: np.ndarray) -> float:
        return float(x[0].std(ddof=1) / np.sqrt(x.shape[1]))

    metric = {"value": own[0].mean(), "stderr": error(own), "baseline": base[0].mean()}
    metric |= {"baseline_stderr": error(base), "difference": (own - base)[0].mean()}
    metric["difference_stderr"] = error(own - base)
    ratio, stderr = effect(metric, "ratio to baseline")
    assert ratio == metric["value"] / metric["baseline"]
    spread = (own.mean(axis=1) / base.mean(axis=1)).std(ddof=1)
    assert stderr == pytest.approx(spread, rel=0.15)
    independent = np.hypot(metric["stderr"], ratio * metric["baseline_stderr"]) / metric["baseline"]
    assert abs(independent / spread - 1.0) > 0.5  # a control: leaving out the pairing would show
    assert effect(metric, "difference") == (metric["difference"], metric["difference_stderr"])
    assert effect(metric, "value") == (metric["value"], metric["stderr"])
    assert np.isnan(effect(metric | {"baseline": 0.0}, "ratio to baseline")).all()


def test_an_event_never_met_has_an_error():
    never = ("claim.metric=halt_probability", "claim.effect=value", "claim.holds=below")
    found = judge(pin(*never, "claim.threshold=5e-4"), impacts=())
    assert effects(found)[0] == 0.0
    assert found.table["stderr"].iloc[0] == 1.0 / 4096
    assert found.verdict == UNDECIDABLE


def test_what_cannot_be_judged_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"makes no claim: add a \[claim\] table"):
        judge(write(tmp_path))
    text = SCENARIO + CLAIM.replace("hedging.fraction=0.5", "hedging.fraction=5")
    with pytest.raises(InputError) as caught:
        judge(write(tmp_path, text))
    assert caught.value.problems == ("hedging.fraction: must be at most 1; got 5",)
    with pytest.raises(InputError) as caught:
        vary(pin(), ["nonsense", "book.position[7].contracts=1"])
    assert len(caught.value.problems) == 2
    for old, new, said in [
        ('"pin_probability"', '"pin_probabilty"', "did you mean 'pin_probability'?"),
        ('"above"', '"over"', "must be 'above' or 'below'"),
        ('hinge = "The sign."\n', "", "claim.hinge (line 21): is missing"),
    ]:
        with pytest.raises(InputError) as caught:
            scenarios.load(write(tmp_path, SCENARIO + CLAIM.replace(old, new)))
        assert said in caught.value.problems[0]


def test_impact_and_the_share_hedged_are_one_number(pins):
    """So no price can tell them apart: half of a fixed book at 6 bp is all of it at 3 bp."""
    half = judge(pin("impact.bp_per_usd_bn=6", "hedging.fraction=0.5"), impacts=())
    assert effects(half)[0] == pytest.approx(effects(pins)[0], rel=1e-12)
    assert effects(pins)[1] != pytest.approx(effects(pins)[0], rel=0.1)  # a control: the share matters


def test_what_makes_the_runs_can_be_given(runs):
    asked = []

    def compute(scenario: scenarios.Scenario) -> dict:
        asked.append(scenario)
        return claims.run(scenario).document

    found = judge(pin(), impacts=(3.0,), compute=compute)
    assert len(asked) == len(found.table) == 3
    assert found.scenario.name == "pin-7000"


def test_the_example_script_is_the_scenario(pins, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pin_7000", "4096", "13"])
    script = Path(scenarios.__file__ or "").parent / "examples" / "pin_7000.py"
    found = runpy.run_path(str(script))["found"]["pin_probability"]
    same = next(m for m in pins.base["metrics"] if m["name"] == "pin_probability")
    assert (found.value, found.stderr, found.baseline) == (same["value"], same["stderr"], same["baseline"])
    assert "closes within 5 points of 7,000: " in capsys.readouterr().out


def test_varying_is_the_same_as_loading_with_settings():
    settings = ["impact.bp_per_usd_bn=6", "book.position[0].contracts=-5", "flow.kind=zero_dte"]
    one, other = vary(pin(), settings), pin(*settings)
    plain = [s.resolved() | {"assumptions": []} for s in (one, other)]
    assert plain[0] == plain[1]
    assert "claim" not in one.resolved()
    turned = vary(vary(pin(), ["book.scale=-1"]), ["book.scale=1"])
    assert provenance(turned)["scenario_hash"] == provenance(pin())["scenario_hash"]


def test_the_library_holds_the_twelve_claims_and_every_variant_can_be_built():
    library = {name: scenarios.load(name) for name in scenarios.library()}
    numbers = []
    for name, scenario in library.items():
        claim = scenario.spec.claim
        assert claim is not None
        numbers.append(int(claim.id.removeprefix("C")))
        assert scenario.name == name
        assert scenario.spec.facts
        assert scenario.spec.assumptions
        for variant in claim.variant:
            assert vary(scenario, variant.set).resolved() != scenario.resolved(), (name, variant.name)
    assert sorted(numbers) == list(range(1, 13))


RECORDED = {
    "siege-week": [("2026-01-27", 0.05)],
    "gamma-flip": [("2026-02-04", 0.05), ("2026-02-05", 0.05)],
    "zero-dte-amplification": [("2026-01-27", 0.05)],
    "floor-6945": [("2026-02-09", 0.05), ("2026-02-12", 0.08)],
    "wall-dissipation": [("2026-02-10", 0.05)],
    "volmageddon": [("2026-02-11", 0.05)],
}
"""Name → days whose recorded gamma the book meets, and how closely."""


@pytest.mark.parametrize("name", RECORDED)
def test_the_books_meet_the_recorded_gamma(name):
    file = SHARED / "history" / "gex_daily.csv"
    if not file.exists():
        pytest.skip("the recorded closes are not here")
    with file.open() as lines:
        record = {row[0]: (float(row[1]), float(row[2])) for row in list(csv.reader(lines))[1:]}
    scenario = scenarios.load(name)
    facts = " ".join(scenario.spec.facts)
    assert scenario.market.spot == record[RECORDED[name][0][0]][0]
    for day, tolerance in RECORDED[name]:
        close, gex = record[day]
        assert f"{close:,.2f}" in facts
        assert f"{gex / 1e9:.2f} bn" in facts
        sign = -1.0 if name == "volmageddon" else 1.0
        assert sign * gex_at(scenario.book, np.array([close]))[0] == pytest.approx(gex, rel=tolerance)
