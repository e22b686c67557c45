"""Two runs side by side: the arithmetic, what differs, the command and the page."""

from __future__ import annotations

import copy
import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from gammawall.scenarios.pages.drawing import BASELINE, HEDGED, SECOND
from gammawall.scenarios.runs.comparison import compare
from gammawall.scenarios.runs.comparison_page import close_overlay, compare_page, fan_overlay, vol_overlay
from gammawall.scenarios.runs.results import Result
from gammawall.scenarios.whole_folders import to_json
from gammawall.surfaces.errors import InputError
from tests.helpers.report_fixture import make_run


@functools.cache
def made_run(shift: float):
    return make_run(shift_points=shift, paths=2000)


def run_of(shift: float = 62.0, **changes: object) -> Result:
    """A made-up run; `changes` are values of the record by dotted key, with __ for the dot."""
    made = made_run(shift)
    document = json.loads(to_json(made.document))
    for key, value in changes.items():
        *path, last = key.split("__")
        at = document
        for name in path:
            at = at[name]
        at[last] = value
    return Result(document, dict(made.series))


@pytest.fixture(scope="module")
def pair() -> tuple[Result, Result]:
    return run_of(), run_of(-45.0, scenario="other", resolved__impact={"bp_per_usd_bn": 6.0})


def test_a_difference_has_the_error_of_independent_runs(pair):
    found = compare(*pair)
    for name, row in found.metrics.iterrows():
        a, b = (run.metric(name) for run in pair)
        if np.isnan(a.value) or np.isnan(b.value):
            continue
        assert row["difference"] == b.value - a.value
        if not np.isnan(a.stderr) and not np.isnan(b.stderr):
            assert row["difference_stderr"] == pytest.approx(np.sqrt(a.stderr**2 + b.stderr**2))
    pin = found.metrics.loc["pin_probability"]
    assert pin["z"] == pytest.approx(pin["difference"] / pin["difference_stderr"])
    assert pin["z"] < -10.0


def test_independent_runs_differ_by_their_errors_and_no_more():
    """z of the same quantity from two independent samples is standard normal."""
    rng, scores = np.random.default_rng(5), []
    for _ in range(100):
        pair = []
        for _ in range(2):
            hits = rng.random(500) < 0.3
            entry = {
                "name": "p",
                "unit": "probability",
                "value": hits.mean(),
                "stderr": hits.std() / 500**0.5,
            }
            pair.append(Result({"metrics": [entry]}, {}))
        scores.append(compare(*pair).metrics.loc["p", "z"])
    assert abs(np.mean(scores)) < 4.0 / 10.0
    assert np.std(scores) == pytest.approx(1.0, abs=4.0 / np.sqrt(200))


def test_a_run_does_not_differ_from_itself(pair):
    found = compare(pair[0], pair[0])
    assert found.inputs == found.versions == []
    assert (found.metrics["difference"].dropna() == 0.0).all()
    assert found.sentence.endswith("no input differs.")
    assert found.same_shocks
    assert found.names[0] != found.names[1]


def test_what_differs_is_listed_with_both_values(pair):
    one = run_of(provenance__jax_version="0.1")
    two = copy.deepcopy(one)
    two.document["resolved"]["book"]["position"][0]["contracts"] = 1.0
    two.document["resolved"]["extra"] = {"key": [1, 2]}
    two.document["resolved"]["story"] = "Words are no inputs."
    two.document["provenance"]["jax_version"] = "0.2"
    found = compare(one, two)
    was = one.document["resolved"]["book"]["position"][0]["contracts"]
    assert found.inputs == [
        {"key": "book.position[0].contracts", "a": was, "b": 1.0},
        {"key": "extra.key", "a": None, "b": [1, 2]},
    ]
    assert found.versions == [{"key": "jax_version", "a": "0.1", "b": "0.2"}]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"provenance__seed": 8}, False),
        ({"resolved__simulation": {"paths": 1, "steps": 2}}, False),
    ],
)
def test_the_note_says_when_both_drew_the_same_shocks(changes, same):
    one = run_of(provenance__seed=7)
    found = compare(one, run_of(**({"provenance__seed": 7} | changes)))
    assert found.same_shocks is same
    assert ("too large" in found.note) is same


def test_the_claim_s_metric_leads_the_sentence(pair):
    claim = {"metric": "touch_probability"}
    found = compare(run_of(claim=claim), pair[1])
    assert found.sentence.startswith("The share of paths that touch 7,000 is")
    assert compare(*pair).sentence.startswith("The share of paths that close within ±5 points of 7,000 is")


def test_pictures_hold_both_runs_in_their_own_colours(pair):
    series, names = (pair[0].series, pair[1].series), ("one", "two")
    for figure in (close_overlay(series, names), vol_overlay(series, names, None)):
        assert figure is not None
        lines = {trace.name: trace.line.color for trace in figure.data}
        assert lines["one"] == HEDGED
        assert lines["two"] == SECOND
        assert lines["one, no hedging"] == BASELINE
    fan = fan_overlay(series, names, None)
    assert fan is not None
    np.testing.assert_allclose(fan.data[2].y, series[0]["fan"][2], rtol=1e-6)
    np.testing.assert_allclose(fan.data[3].y, series[1]["fan"][0], rtol=1e-6)
    nothing = ({}, {})
    assert close_overlay(nothing, names) is vol_overlay(nothing, names, 0) is fan_overlay(nothing, names, 0)


def test_the_page_escapes_what_others_wrote_and_works_without_arrays(pair):
    evil = "<script>alert(1)</script>"
    other = Result({**pair[1].document, "scenario": evil}, {})
    page = compare_page(compare(pair[0], other))
    assert evil not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "is a JSON record, so its pictures are missing" in page
    assert page.count("data-plot=") == 3
    bare = compare(Result(pair[0].document, {}), other)
    assert compare_page(bare).count("data-plot=") == 0


def test_the_command_prints_draws_and_records(call, pair, tmp_path):
    pair[0].save("one/run")
    pair[1].save("two/run")
    (tmp_path / "two.json").write_text(to_json(pair[1].document), encoding="utf-8")
    code, out, err = call("compare", "one/run", "two/run", "--json", "found.json")
    assert (code, err) == (0, "")
    assert re.search(r"^pin_probability +[\d.]+ % ± ", out, re.MULTILINE)
    assert re.search(r"^impact.bp_per_usd_bn +3 +6", out, re.MULTILINE)
    assert "\x1b" not in out
    record = json.loads(Path("found.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert record["a"] == pair[0].document["scenario"]
    assert len(record["metrics"]) == len(pair[0].document["metrics"])
    page = Path(f"runs/{record['a']}-against-other.html")
    assert page.as_posix() in out.replace(tmp_path.as_uri() + "/", "")
    assert page.read_text(encoding="utf-8").count("data-plot=") == 3
    code, out, _ = call("compare", "one/run/result.json", "two.json", "--report", "pages", "--json", "-")
    assert code == 0
    assert json.loads(out) == record
    assert Path("pages/report.html").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("one", "none"), "none cannot be read as a result: No such file"),
        (("one", "half"), "half is not a whole result folder"),
        (("one", "list.json"), "list.json cannot be read as a result: it holds no record"),
        (("one", "bad.json"), "bad.json cannot be read as a result"),
        (("one", "one", "--report", "one/result.json/x.html"), "cannot write"),
    ],
)
def test_what_is_no_result_is_refused_in_one_sentence(call, pair, tmp_path, words, sentence):
    pair[0].save("one")
    Path("half").mkdir()
    Path("list.json").write_text("[1]")
    Path("bad.json").write_text("{")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = call("compare", *words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_result_must_have_metrics():
    with pytest.raises(InputError, match="is no record of a run: it has no metrics"):
        compare(Result({}, {}), Result({}, {}))
