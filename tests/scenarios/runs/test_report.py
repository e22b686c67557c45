"""The report says what the numbers say, works offline, and survives whatever is missing."""

from __future__ import annotations

import json
import os
import time
from html.parser import HTMLParser
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs

from gammawall.scenarios.chains.figures import gex_profile
from gammawall.scenarios.pages import drawing
from gammawall.scenarios.pages.numbers import format_estimate, format_gap
from gammawall.scenarios.pages.templating import script_json
from gammawall.scenarios.runs import figures
from gammawall.scenarios.runs.report import render_report, write_report
from gammawall.surfaces.errors import InputError
from tests.helpers.report_fixture import BAND, STRIKE, SyntheticRun, make_run

SECTIONS = ("answer", "close", "gex", "paths", "vol", "flow", "theory", "metrics", "facts", "assumptions")
SECTIONS += ("exposures", "status", "scenario", "provenance")
PICTURES = ("close", "gex", "paths", "vol", "flow")
PAYLOAD = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Elements, identifiers, visible text and the JSON of the pictures of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.data: dict[str, dict] = {}
        self.text = ""
        self._script: str | None = None
        self._inside = ""
        self.feed(text.replace(get_plotlyjs(), ""))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._inside = tag
        self._script = dict(attrs).get("id") if tag == "script" else None

    def handle_endtag(self, tag):
        self._inside, self._script = "", None

    def handle_data(self, data):
        if self._script:
            self.data[self._script.removesuffix("-data")] = json.loads(data)
        elif self._inside not in ("script", "style"):
            self.text += data

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]


@pytest.fixture(scope="module")
def long_run() -> SyntheticRun:
    return make_run(shift_points=62.0)


def copied(run: SyntheticRun) -> SyntheticRun:
    return SyntheticRun(json.loads(json.dumps(run.document)), dict(run.series))


def shown(figure: go.Figure | None) -> Any:
    assert figure is not None
    return figure


def test_the_report_says_how_to_repeat_the_run(long_run):
    assert "made from Python" in Page(render_report(long_run)).text
    run = copied(long_run)
    run.document["provenance"]["command"] = "gammawall run 'my wall.toml' --set simulation.paths=8"
    assert "gammawall run 'my wall.toml' --set simulation.paths=8" in Page(render_report(run)).text


def test_probabilities_differ_in_percentage_points():
    assert format_gap(0.215, 0.001, "probability") == "+21.5 ± 0.1 pp"
    assert format_gap(-0.5, None, "points") == "−0.5"
    assert format_gap(None, 0.1, "probability") == "–"


@pytest.mark.parametrize(
    ("value", "stderr", "unit", "text"),
    [
        (0.29, 0.001, "probability", "29.0 % ± 0.1 %"),
        (0.29, 0.0, "probability", "29 %"),
        (0.2903, None, "probability", "29.03 %"),
        (-1234567.8, 1200.0, "USD", "−1,234,568 ± 1,200"),
        (9.71234, 0.0312, "% per year", "9.71 ± 0.03"),
        (0.0, None, "points", "0"),
        (7e9, None, "USD", "7,000,000,000"),
        (1.5e-7, None, "", "1.500e−07"),
        (6999.96, None, "points", "7,000"),
        (None, 0.1, "points", "–"),
        (float("nan"), 0.1, "probability", "–"),
        (float("inf"), None, "", "–"),
        (1.5, float("nan"), "", "1.5"),
        (np.float32(0.5), np.float32(0.25), "", "0.5 ± 0.2"),
    ],
)
def test_numbers_are_rounded_to_their_error(value, stderr, unit, text):
    assert format_estimate(value, stderr, unit) == text


def test_a_signed_difference_shows_its_sign():
    assert format_estimate(21.5, 0.1, signed=True) == "+21.5 ± 0.1"
    assert format_estimate(-21.5, 0.1, signed=True) == "−21.5 ± 0.1"


def test_every_section_and_picture_is_there(long_run):
    page = Page(render_report(long_run))
    assert set(SECTIONS) <= set(page.values("id"))
    assert set(page.data) == set(PICTURES)
    labels = [v for t, k, v in page.attributes if t == "div" and k == "aria-label" and v]
    assert page.values("role").count("img") == len(PICTURES)
    assert sum("exactly at 7,000" in label for label in labels) == 1
    for words in ("Impact is 3 bp per USD bn.", "0123abc", "disagrees", "largest gamma", "hedging.fraction"):
        assert words in page.text
    # The wrong closed form alone carries the warning colour.
    assert page.values("class").count("off") == 1


def test_axes_are_labelled_with_units(long_run):
    page = Page(render_report(long_run))
    titles = {key: spec["layout"]["yaxis"]["title"]["text"] for key, spec in page.data.items()}
    assert titles == {
        "close": "% of paths per point",
        "gex": "dealer gamma (USD bn per 1 %)",
        "paths": "index level (points)",
        "vol": "realised volatility (% per year)",
        "flow": "hedge flow (USD bn per minute)",
    }
    assert all(spec["layout"]["xaxis"]["title"]["text"] for spec in page.data.values())
    assert page.data["close"]["layout"]["yaxis2"]["title"]["text"] == "% of paths exactly at strike"


def test_nothing_written_by_others_becomes_markup(long_run):
    clean = Page(render_report(long_run))

    def poison(value: Any) -> Any:
        if isinstance(value, dict):
            return {(k if k in KEPT else k + PAYLOAD): poison(v) for k, v in value.items()}
        if isinstance(value, list):
            return [poison(v) for v in value]
        return value + PAYLOAD if isinstance(value, str) and value not in KEPT else value

    def keys(value):
        if isinstance(value, dict):
            return set(value) | {k for v in value.values() for k in keys(v)}
        return {k for v in value for k in keys(v)} if isinstance(value, list) else set()

    KEPT = keys(long_run.document) | {m["name"] for m in long_run.document["metrics"]} | {"probability"}
    run = SyntheticRun(dict(poison(long_run.document)), long_run.series)
    run.document["provenance"][PAYLOAD] = PAYLOAD
    text = render_report(run)
    page = Page(text)
    assert PAYLOAD not in text
    assert "<img" not in text.replace(get_plotlyjs(), "")
    assert page.text.count("alert('x')") > 20
    assert page.tags.count("script") == clean.tags.count("script")
    assert set(page.tags) == set(clean.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_a_picture_cannot_end_its_script_element():
    figure = go.Figure(layout={"title": {"text": PAYLOAD + "\u2028&"}})
    text = str(script_json(str(figure.to_json())))
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text)["layout"]["title"]["text"] == PAYLOAD + "\u2028&"
    raw = str(script_json(json.dumps({"a": PAYLOAD})))
    assert "<" not in raw
    assert json.loads(raw) == {"a": PAYLOAD}


def test_the_page_needs_no_network(long_run):
    text = render_report(long_run)
    page = Page(text)
    assert text.count(get_plotlyjs()) == 1
    assert not page.values("src")
    assert all(place.startswith("#") for place in page.values("href"))
    assert "link" not in page.tags
    assert "http" not in text.replace(get_plotlyjs(), "").replace("http-equiv", "").replace("xmlns", "")
    policy = next(v for v in page.values("content") if v.startswith("default-src"))
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert '"displaylogo": false' in text


def test_the_page_is_small_and_quick(long_run):
    begin = time.process_time()
    text = render_report(long_run)
    assert time.process_time() - begin < 1.5
    assert len(text) - len(get_plotlyjs()) < 150_000


@pytest.mark.parametrize("hole", ["absent", "empty", "nan", "scalar", "text"])
def test_missing_series_become_sentences(long_run, hole):
    fill = {"empty": np.array([]), "nan": np.full(5, np.nan), "scalar": 3.0, "text": "none"}
    series = {} if hole == "absent" else dict.fromkeys(long_run.series, fill.get(hole))
    page = Page(render_report(SyntheticRun(long_run.document, series)))
    assert page.data == {}
    assert page.values("data-plot") == []
    assert page.text.count("This run kept no ") == len(PICTURES)


@pytest.mark.parametrize("name", sorted(make_run(paths=500).series))
def test_one_missing_array_harms_no_other_picture(long_run, name):
    run = copied(long_run)
    del run.series[name]
    page = Page(render_report(run))
    needs = {"close_edges": {"close"}, "gex_spot": {"gex"}, "gex_total_bn": {"gex"}, "minutes": {"paths"}}
    needs |= {"vol_minutes": {"vol", "flow"}, "flow_bn_per_min": {"flow"}}
    assert set(PICTURES) - set(page.data) == needs.get(name, set())


@pytest.mark.parametrize("name", sorted(make_run(paths=500).document))
@pytest.mark.parametrize("blank", ["absent", None])
def test_a_missing_record_becomes_a_sentence(long_run, name, blank):
    run = copied(long_run)
    if blank == "absent":
        del run.document[name]
    else:
        run.document[name] = None
    page = Page(render_report(run))
    assert set(SECTIONS) <= set(page.values("id"))
    assert "None" not in page.text
    assert "nan" not in page.text.split()


def test_an_empty_run_still_makes_a_page():
    page = Page(render_report(SyntheticRun({})))
    assert set(SECTIONS) <= set(page.values("id"))
    assert page.values("class").count("missing") >= 12


def test_nan_in_metrics_and_theory_is_a_dash(long_run):
    run = copied(long_run)
    for row in run.document["metrics"] + run.document["theory"]:
        row.update({k: float("nan") for k, v in row.items() if isinstance(v, float)})
    page = Page(render_report(run))
    assert "nan" not in page.text.lower().split()
    assert "not judged" in page.text
    assert "–" in page.text


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"jump": 39, "paths_with_jump": 20}, "39 path-steps (0.0025 %), on 20 paths (0.1 %),"),
        ({"capped": 0.25}, "25 % of path-steps"),
        ({"jump": 800_000}, "800,000 path-steps (34 %)"),
        ({"paths_capped": 2}, "some path-steps, on 2 paths (0.01 %),"),
    ],
)
def test_jumps_and_limits_raise_a_warning(long_run, status, words):
    assert "warning" not in Page(render_report(long_run)).values("class")
    run = copied(long_run)
    run.document["status"].update(status)
    page = Page(render_report(run))
    assert page.values("class").count("warning") == 1
    assert words in page.text
    assert "e+" not in page.text
    assert "one clearing price each" not in page.text


def test_the_atom_is_a_stem_beside_the_density_not_in_it(long_run):
    mass = float(long_run.series["atom_mass"][0])
    figure = shown(figures.close_distribution(long_run.series, strike=STRIKE, theory_mass=mass))
    traces = {t.name: t for t in figure.data}
    density = long_run.series["close_density"]
    np.testing.assert_allclose(traces["hedged"].y[:-1], 100.0 * density, rtol=1e-6)
    stem = traces["at a strike →"]
    assert stem.yaxis == "y2"
    np.testing.assert_allclose(stem.y[:2], [0.0, 100.0 * mass], rtol=1e-6)
    assert list(stem.x[:2]) == [STRIKE, STRIKE]
    assert traces["closed form →"].marker.color == drawing.THEORY
    assert any(f"{100 * mass:.1f} %" in a.text for a in figure.layout.annotations)
    width = np.diff(long_run.series["close_edges"])
    assert mass + float(density @ width) == pytest.approx(1.0, abs=0.01)


def test_without_an_atom_there_is_no_second_axis():
    run = make_run(shift_points=-45.0)
    figure = shown(figures.close_distribution(run.series, strike=STRIKE, band_points=BAND))
    assert {t.name for t in figure.data} == {"hedged", "no hedging"}
    assert "yaxis2" not in figure.to_plotly_json()["layout"]


def test_a_colour_means_the_same_in_every_picture(long_run):
    drawn = [
        figures.close_distribution(long_run.series),
        figures.path_fan(long_run.series),
        figures.realised_vol(long_run.series),
        figures.hedge_flow(long_run.series),
    ]
    for figure in drawn:
        for trace in shown(figure).data:
            expected = drawing.BASELINE if "no hedging" in trace.name else drawing.HEDGED
            assert trace.line.color == expected


def test_levels_are_marked_on_the_gamma_profile(long_run):
    figure = shown(gex_profile(long_run.series, exposures=long_run.document["exposures"]))
    texts = [a.text for a in figure.layout.annotations]
    assert texts == ["put wall 6,870", "zero gamma 6,912.4", "spot 6,990", "call wall<br>largest gamma 7,000"]
    assert [s.x0 for s in figure.layout.shapes] == [6870.0, 6912.4, 6990.0, 7000.0]


def test_clock_times_only_where_the_start_is_known(long_run):
    clock = shown(figures.realised_vol(long_run.series, start="2026-01-28T09:30:00"))
    plain = shown(figures.realised_vol(long_run.series, start="2026-01-28"))
    ticks = dict(zip(clock.layout.xaxis.ticktext, clock.layout.xaxis.tickvals, strict=True))
    assert ticks["10:00"] == 30.0
    assert ticks["16:00"] == 390.0
    assert plain.layout.xaxis.title.text == "minutes since the start"


def test_the_file_is_replaced_whole_or_not_at_all(long_run, tmp_path, monkeypatch):
    target = write_report(long_run, tmp_path / "deep" / "run.html")
    assert target == tmp_path / "deep" / "run.html"
    assert write_report(long_run, tmp_path).name == "report.html"
    target.write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match=r"run\.html.*No space left"):
        write_report(long_run, target)
    assert target.read_text() == "old"
    assert [p.name for p in target.parent.iterdir()] == ["run.html"]
