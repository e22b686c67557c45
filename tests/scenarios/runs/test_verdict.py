"""The sentences that answer a run follow the simulated effect, and say nothing without their numbers."""

from __future__ import annotations

from typing import Any

import pytest

from gammawall.scenarios.pages.numbers import format_estimate
from gammawall.scenarios.runs.answers import answers, claim_answer, verdict
from gammawall.scenarios.runs.report import render_report
from tests.helpers.report_fixture import BAND, SyntheticRun, make_run
from tests.scenarios.runs.test_report import Page, copied


@pytest.fixture(scope="module")
def long_run() -> SyntheticRun:
    return make_run(shift_points=62.0)


def pin_metric(run: SyntheticRun) -> dict:
    return next(m for m in run.document["metrics"] if m["name"] == "pin_probability")


@pytest.mark.parametrize(
    ("shift", "kind", "side", "ending"),
    [
        (62.0, "pins", "long", "the wall pins."),
        (-45.0, "repelled", "short", "the price is repelled."),
        (0.0, "none", None, "no detectable effect."),
    ],
)
def test_the_sentence_follows_the_simulated_effect(shift, kind, side, ending):
    run = make_run(shift_points=shift)
    answer = verdict(run.document, run.series)
    metric = pin_metric(run)
    assert answer.kind == kind
    assert answer.text.endswith(ending)
    assert side is None or f"dealers {side} gamma at 7,000" in answer.text
    assert f"within ±{BAND:.0f} points" in answer.text
    for key in ("value", "baseline"):
        error = metric[f"{key}_stderr".removeprefix("value_")]
        assert format_estimate(metric[key], error, "probability") in answer.text
    assert answer.text in Page(render_report(run)).text.replace("\n", "")


@pytest.mark.parametrize(
    ("z", "kind"), [(3.9, "none"), (4.1, "pins"), (-3.9, "none"), (-4.1, "repelled"), (0.0, "none")]
)
def test_four_standard_errors_separate_an_effect_from_none(long_run, z, kind):
    run = copied(long_run)
    pin_metric(run).update(difference=0.001 * z, difference_stderr=0.001)
    assert verdict(run.document, run.series).kind == kind


def test_a_price_drawn_to_a_short_strike_is_not_called_a_wall(long_run):
    run = copied(long_run)
    run.series["gex_total_bn"] = -run.series["gex_total_bn"]
    text = verdict(run.document, run.series).text
    assert "short gamma" in text
    assert "the wall" not in text
    assert text.endswith("the price is drawn to 7,000.")


@pytest.mark.parametrize("gone", ["value", "baseline", "difference", "difference_stderr"])
@pytest.mark.parametrize("blank", [None, float("nan")])
def test_no_verdict_without_its_numbers(long_run, gone, blank):
    run = copied(long_run)
    pin_metric(run)[gone] = blank
    answer = verdict(run.document, run.series)
    assert answer.kind == "unknown"
    assert "pins" not in answer.text
    assert "nan" not in answer.text


def claimed(run: SyntheticRun, **claim: Any) -> SyntheticRun:
    """The run with a claim about touching the strike, which fails."""
    run = copied(run)
    told = {"id": "C7", "text": "A touch is likelier.", "metric": "touch_probability", "holds": "above"}
    told |= {"effect": "ratio to baseline", "threshold": 1.25, "hinge": "Who is long."}
    run.document["claim"] = told | {"size": 0.878, "stderr": 0.007, "outcome": "fails"} | claim
    return run


def test_a_claim_leads_unless_it_is_about_the_pin(long_run):
    run = claimed(long_run)
    first, second = answers(run.document, run.series)
    assert first.text == (
        "C7, “A touch is likelier”, fails in this one run: the share of paths that touch 7,000 is "
        "0.878 ± 0.007 times that without hedging; the claim needs above 1.25."
    )
    assert first.kind == "fails"
    assert "What decides: Who is long." in first.detail
    assert second == verdict(run.document, run.series)
    pin = claimed(long_run, metric="pin_probability")
    assert answers(pin.document, pin.series) == (second, claim_answer(pin.document))
    assert answers(long_run.document, long_run.series) == (second, None)
    page = Page(render_report(run)).text.replace("\n", "")
    assert (
        page.index(first.text) < page.index(second.text) < page.index("touch 7,000", page.index("What dec"))
    )


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ({"outcome": "holds"}, "”, holds in this one run"),
        ({"outcome": "unclear"}, "”, is unclear in this one run"),
        (
            {"effect": "value", "size": 0.6, "stderr": 0.01, "threshold": 0.5},
            "is 60 % ± 1 %; the claim needs",
        ),
        ({"effect": "value", "holds": "below", "threshold": 0.5}, "the claim needs below 50 %."),
        (
            {
                "metric": "realised_vol_pct",
                "effect": "difference",
                "size": -3.0,
                "stderr": 0.1,
                "threshold": 1,
            },
            "differs from that without hedging by −3.0 ± 0.1 % per year; the claim needs above 1 % per year.",
        ),
        ({"size": None}, "is – times that without hedging"),
        ({"metric": "return_autocorrelation"}, "return autocorrelation is 0.878"),
    ],
)
def test_a_claim_s_sentence_says_its_effect_and_threshold_in_units(long_run, claim, words):
    answer = claim_answer(claimed(long_run, **claim).document)
    assert answer is not None
    assert words in answer.text


@pytest.mark.parametrize(
    "claim", [{"metric": None}, {"threshold": None}, {"outcome": None}, {"outcome": "maybe"}]
)
def test_half_a_claim_says_nothing(long_run, claim):
    assert claim_answer(claimed(long_run, **claim).document) is None
    assert claim_answer({"claim": "yes"}) is None
