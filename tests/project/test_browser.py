"""Every report in a real Chromium: it draws, asks nobody for anything, and answers on the first screen."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

from gammawall.scenarios.pages.drawing import blank_figure
from gammawall.scenarios.runs.comparison import compare
from gammawall.scenarios.runs.comparison_page import compare_page
from gammawall.scenarios.runs.report import render_report
from gammawall.scenarios.runs.results import Result
from tests.helpers.report_fixture import make_run

NEEDED = os.environ.get("CI") == "true"
"""Where these tests may not be left out."""
if NEEDED:
    import playwright.sync_api as sync_api
else:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not NEEDED, reason="no Chromium on the path: install the package chromium"
)

SCREENS = [(1280, 800), (390, 844)]
LEAST_CONTRAST = 4.5
"""of text against what is behind it: WCAG AA"""


def claimed_run() -> Result:
    run = make_run(shift_points=62.0)
    claim = {"id": "C7", "text": "Hedging makes a touch likelier.", "metric": "touch_probability"}
    claim |= {"effect": "ratio to baseline", "holds": "above", "threshold": 1.25, "hinge": "Who is long."}
    claim |= {"size": 0.9, "stderr": 0.01, "outcome": "fails"}
    return Result({**run.document, "claim": claim}, dict(run.series))


def run_page() -> str:
    return render_report(claimed_run())


def comparison_page() -> str:
    other = make_run(shift_points=-45.0)
    return compare_page(compare(claimed_run(), Result(dict(other.document), dict(other.series))))


def exposures_page() -> str:
    from gammawall.scenarios.chains.exposure_record import exposure_record
    from gammawall.scenarios.chains.exposures_report import exposures_report
    from gammawall.surfaces.dealers.chain_book import dealer_book
    from gammawall.surfaces.dealers.exposures import exposures
    from tests.helpers.synthetic import make_chain

    chain = make_chain()
    book = dealer_book(chain)
    exposed = exposures(book)
    return exposures_report(chain, book, exposed, exposure_record(book, exposed, chain))


def surface_page() -> str:
    from gammawall.scenarios.chains.surface_report import surface_report
    from tests.helpers.synthetic import make_chain

    return surface_report(make_chain())[1]


def calibration_page() -> str:
    from gammawall.scenarios.calibration.record import calibration_record
    from gammawall.scenarios.calibration.report import calibration_report
    from tests.scenarios.calibration.test_history import driven_days

    return calibration_report(calibration_record(driven_days()[0]))


def risk_page() -> str:
    import pandas as pd

    from gammawall.scenarios.risk.record import portfolio_risk, risk_record
    from gammawall.scenarios.risk.report import risk_report
    from gammawall.scenarios.spec.load import load

    few = ["simulation.paths=4096", "simulation.steps=39"]
    scenario, expiry = load("pin-7000", settings=few), "2026-01-28T16:00:00"
    rows = [
        ("call", -50, 7000.0, expiry, "short calls"),
        ("put", -50, 6950.0, expiry, ""),
        ("future", 9, *3 * [""]),
    ]
    held = pd.DataFrame(rows, columns=["type", "contracts", "strike", "expiry", "label"])
    return risk_report(risk_record(portfolio_risk(held, scenario), scenario, "mine", 0.0))


def ledger_page() -> str:
    from gammawall.scenarios.claims.ledger import judge_all, plan
    from gammawall.scenarios.claims.report import ledger_report
    from tests.helpers.scenario_files import CLAIM, SCENARIO, write
    from tests.scenarios.claims.test_ledger import MadeUp

    with tempfile.TemporaryDirectory() as folder:
        files = [write(Path(folder), SCENARIO + CLAIM)]
        return ledger_report(judge_all(plan(files, paths=8192), store=MadeUp(None)))


def sweep_page() -> str:
    from gammawall.scenarios.sweeps.report import sweep_report
    from gammawall.scenarios.sweeps.sweep import sweep
    from tests.helpers.scenario_files import SCENARIO, write

    with tempfile.TemporaryDirectory() as folder:
        grid = {"impact.bp_per_usd_bn": [1.0, 3.0], "book.scale": [-1.0, 1.0]}
        return sweep_report(sweep(write(Path(folder), SCENARIO), grid))


PAGES = [
    pytest.param(run_page, id="run"),
    pytest.param(comparison_page, id="compare"),
    pytest.param(exposures_page, id="exposures", marks=pytest.mark.slow),
    pytest.param(ledger_page, id="ledger"),
    pytest.param(sweep_page, id="sweep", marks=pytest.mark.slow),
    pytest.param(surface_page, id="surface", marks=pytest.mark.slow),
    pytest.param(calibration_page, id="calibrate", marks=pytest.mark.slow),
    pytest.param(risk_page, id="risk", marks=pytest.mark.slow),
]
"""Each makes the text of a page; one line here is all that another report needs."""


@pytest.fixture(scope="module")
def browser() -> Iterator:
    assert CHROMIUM, "no Chromium on the path, and CI=true says that these tests must run: .ci/browser"
    with sync_api.sync_playwright() as play:
        # A container has no namespaces for the sandbox; the pages are our own.
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def faults(browser, file: Path, width: int = 1280, height: int = 800, *, leave: bool = False) -> list[str]:
    """What is wrong with a page on a screen, light or dark, one sentence each.

    With ``leave`` it is also tried to get out of the page: every button is pressed and every link followed.
    """
    found: list[str] = []
    phone = width < 500
    context = browser.new_context(
        viewport={"width": width, "height": height}, is_mobile=phone, has_touch=phone
    )
    page = context.new_page()

    def asked(request) -> None:
        if request.url != file.as_uri() and not request.url.startswith(("data:", "blob:")):
            found.append(f"asks for {request.url}")

    context.on("request", asked)
    context.route(re.compile("^https?:"), lambda route: route.abort())
    context.on("page", lambda _: found.append("opens a window"))
    page.on("framenavigated", lambda frame: _moved(frame.url, file, found))
    page.on("console", lambda said: found.append(f"error: {said.text}") if said.type == "error" else None)
    page.on("pageerror", lambda error: found.append(f"throws {error}"))
    try:
        page.goto(file.as_uri())
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found += [f"{scheme}: {fault}" for fault in page.evaluate(LOOK, {"least": LEAST_CONTRAST})]
        if leave:
            found += page.evaluate(WAYS_OUT)
            page.evaluate(PRESS_ALL)
            # A window or a request of a click comes a moment after it.
            page.wait_for_timeout(300)
    finally:
        context.close()
    return found


def _moved(url: str, file: Path, found: list[str]) -> None:
    if url.partition("#")[0] not in (file.as_uri(), "about:blank"):
        found.append(f"goes to {url}")


WAYS_OUT = """() => {
  const found = [];
  const policy = document.querySelector('meta[http-equiv="Content-Security-Policy"]')?.content ?? "";
  for (const rule of ["default-src 'none'", "form-action 'none'", "base-uri 'none'"])
    if (!policy.includes(rule)) found.push(`no ${rule}`);
  for (const e of document.querySelectorAll("form, iframe, object, embed, base, [target], [ping]"))
    found.push(`has a ${e.tagName.toLowerCase()}`);
  for (const e of document.querySelectorAll("a")) {
    const to = e.getAttribute("href") ?? e.getAttribute("xlink:href") ?? "";
    if (!to.startsWith("#") || !document.getElementById(to.slice(1))) found.push(`links to “${to}”`);
  }
  for (const e of document.querySelectorAll(".modebar-btn")) {
    const says = e.dataset.title ?? "";
    if (/share|cloud|upload|send|studio|produced/i.test(says)) found.push(`has a button “${says}”`);
  }
  for (const plot of document.querySelectorAll("[data-plot]")) {
    const { showSendToCloud, plotlyServerURL, displaylogo } = plot._context;
    if (showSendToCloud || plotlyServerURL || displaylogo) found.push("plotly may send the figure away");
  }
  return found;
}"""
PRESS_ALL = """async () => {
  const press = (e) => e.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
  document.querySelectorAll("details").forEach((e) => (e.open = true));
  document.querySelectorAll(".modebar-btn, button, a, summary, .updatemenu-header").forEach(press);
  // What a button opens may ask before it goes on.
  for (let i = 0; i < 3; i++) {
    await new Promise((next) => setTimeout(next, 50));
    document.querySelectorAll("[class*=dialog] button, [class*=dialog] a").forEach(press);
  }
}"""
LOOK = """({ least }) => {
  const found = [];
  const answer = document.querySelector("#answer h1")?.getBoundingClientRect();
  if (!answer || answer.height < 10) found.push("no answer");
  else if (answer.top < 0 || answer.bottom > innerHeight || answer.right > innerWidth)
    found.push(`the answer ends at ${answer.bottom} of ${innerHeight}`);
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) found.push(`${wide} points wide on a screen of ${innerWidth}`);
  const plots = [...document.querySelectorAll("[data-plot]")];
  if (!plots.length) found.push("no picture");
  for (const plot of plots) {
    const marks = ".trace path, .heatmaplayer image, .barlayer path, .gl-container canvas";
    const svg = plot.querySelector("svg.main-svg")?.getBoundingClientRect();
    if (!plot.querySelector(marks) || !svg || svg.width < 100 || svg.height < 100)
      found.push(`${plot.dataset.plot} is not drawn`);
    if (!plot.getAttribute("aria-label")) found.push(`${plot.dataset.plot} has no name`);
  }
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const faint = (e, place, colour, least) => {
    const got = ratio(rgb(colour), behind(place));
    if (got < least) found.push(`contrast ${got.toFixed(1)} of “${e.textContent.trim().slice(0, 30)}”`);
  };
  const texts = "h1, h2, p, b, span, small, td, th, dt, dd, li, a, pre, figcaption, button";
  for (const e of document.querySelectorAll(texts)) {
    if (!e.textContent.trim() || !e.getClientRects().length) continue;
    faint(e, e, getComputedStyle(e).color, least);
  }
  // Letters of a picture, large beside its lines, need less.
  for (const e of document.querySelectorAll(".plot text")) {
    // On grounds of their own: cells of a map, menus.
    if (e.closest(".heatmaplayer, .updatemenu-container")) continue;
    if (e.textContent.trim()) faint(e, e.closest(".plot"), getComputedStyle(e).fill, 3);
  }
  return found;
}"""


@pytest.mark.parametrize("make", PAGES)
def test_a_report_draws_answers_first_and_asks_nobody(browser, tmp_path, make: Callable[[], str]):
    file = tmp_path / "report.html"
    file.write_text(make(), encoding="utf-8")
    for width, height in SCREENS:
        assert faults(browser, file, width, height, leave=width > 1000) == [], width


def test_the_check_sees_what_is_wrong(browser, tmp_path):
    end = (
        '<img src="https://example.invalid/x.png" alt=""><div style="width: 2000px">x</div>'
        '<p style="color: #ccc">faint</p><script>console.error("wrong")</script></main>'
    )
    breaks = {
        # Without the page's own policy a request that it would stop is seen to be made.
        "default-src 'none'": "default-src *",
        '<header id="answer">': '<header id="answer" style="padding-top: 800px">',
        "</main>": end,
        "const plots": "undefinedFunction(); const plots",
    }
    text = run_page()
    for old, new in breaks.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    file = tmp_path / "report.html"
    file.write_text(text, encoding="utf-8")
    found = "\n".join(faults(browser, file))
    for fault in (
        "asks for https://example.invalid/x.png",
        "throws undefinedFunction is not defined",
        "close-data is not drawn",
        "error: wrong",
        "the answer ends at",
        "points wide on a screen of 1280",
        "light: contrast 1.5 of “faint”",
    ):
        assert fault in found, fault


def test_the_page_s_own_policy_stops_a_request(browser, tmp_path):
    file = tmp_path / "report.html"
    image = '<img src="https://example.invalid/x.png" alt=""></main>'
    file.write_text(run_page().replace("</main>", image), encoding="utf-8")
    found = faults(browser, file)
    assert any("Content Security Policy" in fault for fault in found)
    assert not any("not drawn" in fault for fault in found)


def opened_up(text: str) -> str:
    """A page without what keeps it from leaving: plotly's own settings, no guard."""
    start = text.index("window.open = () => null;")
    guard = text[start : text.index("const plots", start)]
    text = text.replace(guard, "").replace(
        "const settings = {", "const settings = { displayModeBar: true }, _ = {"
    )
    return re.sub(r'"modebar":\{"remove":\[[^]]*\]\},', "", text)


def test_the_check_sees_every_way_out(browser, tmp_path):
    file, text = tmp_path / "report.html", run_page()
    link = '<a href="https://example.invalid/there" target="_blank">there</a></main>'
    file.write_text(opened_up(text).replace("</main>", link), encoding="utf-8")
    found = "\n".join(faults(browser, file, leave=True))
    for fault in (
        "has a button “Share chart...”",
        "has a button “Produced with Plotly.js",
        "plotly may send the figure away",
        "has a a",
        "links to “https://example.invalid/there”",
        "links to “https://plotly.com/”",
        "opens a window",
        "asks for https://example.invalid/there",
        "asks for https://cloud.plotly.com/newchart",
    ):
        assert fault in found, found


def test_the_page_itself_opens_nothing_even_if_it_holds_a_link(browser, tmp_path):
    file = tmp_path / "report.html"
    links = (
        '<a href="https://example.invalid/a" target="_blank">a</a><a href="https://example.invalid/b">b</a>'
        '<svg><a xlink:href="https://example.invalid/c"><text>c</text></a></svg>'
        "<button onclick=\"window.open('https://example.invalid/d')\">d</button>"
        '<form action="https://example.invalid/e"><button>e</button></form></main>'
    )
    file.write_text(run_page().replace("</main>", links), encoding="utf-8")
    found = [fault for fault in faults(browser, file, leave=True) if "asks for" in fault or "opens" in fault]
    assert found == []


SHOWN = {
    "html": lambda figure: figure.to_html(),
    "notebook": lambda figure: figure._repr_html_(),
    "bundle": lambda figure: mime_page(figure._repr_mimebundle_()["application/vnd.plotly.v1+json"]),
}
"""How a figure gets into a page that is not ours; the last is what JupyterLab does."""


def mime_page(bundle: dict) -> str:
    given = ", ".join(json.dumps(bundle.get(key, {})) for key in ("data", "layout", "config"))
    body = f'<div id="g"></div><script>{get_plotlyjs()}</script><script>Plotly.newPlot("g", {given})</script>'
    return f"<!doctype html><meta charset='utf-8'><body>{body}"


def buttons(browser, file: Path) -> list[str]:
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    context.route(re.compile("^https?:"), lambda route: route.abort())
    page.goto(file.as_uri())
    with contextlib.suppress(sync_api.TimeoutError):  # without plotly.js, from another host, there are none
        page.wait_for_selector(".modebar-btn", state="attached", timeout=3000)
    titles = (
        "[...document.querySelectorAll('.modebar-btn, svg a')].map((b) => b.dataset.title ?? b.textContent)"
    )
    found = page.evaluate(titles)
    context.close()
    return found + [url for url in asked if url.startswith("http")]


@pytest.mark.parametrize("shown", SHOWN)
def test_a_figure_shown_in_a_notebook_cannot_be_uploaded(browser, tmp_path, monkeypatch, shown):
    import plotly.io

    monkeypatch.setattr(plotly.io.renderers, "_default_name", "plotly_mimetype")
    monkeypatch.setattr(plotly.io.renderers, "_default_renderers", [plotly.io.renderers["plotly_mimetype"]])
    file, bad = tmp_path / "figure.html", re.compile("share|cloud|Produced|https?:|here", re.IGNORECASE)
    figure = blank_figure('x <a href="https://example.invalid">here</a>', "y")
    figure.add_scatter(x=[1, 2], y=[1, 2])
    file.write_text(SHOWN[shown](figure), encoding="utf-8")
    found = buttons(browser, file)
    assert len(found) > 3
    assert [text for text in found if bad.search(text)] == []

    # A figure of plotly's own class has it all.
    import plotly.graph_objects as go

    plain = go.Figure(figure.data, {"xaxis": {"title": '<a href="https://example.invalid">here</a>'}})
    file.write_text(SHOWN[shown](plain), encoding="utf-8")
    seen = "\n".join(buttons(browser, file))
    out = ("https://cdn.",) if shown == "notebook" else ("Share chart", "Produced with Plotly.js", "here")
    assert all(text in seen for text in out), seen


def test_tables_are_saved_as_csv_and_the_page_prints_inside_the_paper(browser, tmp_path):
    run = claimed_run()
    run.document["metrics"] = [*run.document["metrics"], {"name": "=1+1", "unit": "@x", "value": -0.125}]
    file = tmp_path / "report.html"
    file.write_text(render_report(run), encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    with page.expect_download() as saved:
        page.click("#metrics button.csv")
    assert saved.value.suggested_filename == "metrics.csv"
    text = Path(saved.value.path()).read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == len(run.document["metrics"])
    for row, metric in zip(rows[:-1], run.document["metrics"], strict=False):
        assert (row["measure"], row["unit"]) == (metric["name"], metric["unit"])
        kept = {"hedged": "value", "hedged_stderr": "stderr", "no_hedging": "baseline"}
        for column, key in kept.items():
            assert row[column] == "" if metric[key] is None else float(row[column]) == metric[key]
    assert (rows[-1]["measure"], rows[-1]["unit"], rows[-1]["hedged"]) == ("'=1+1", "'@x", "-0.125")

    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    width = "plots.map((p) => p.querySelector('svg.main-svg').getBoundingClientRect().width)"
    page.wait_for_function(f"Math.max(...{width}) <= 640")
    assert page.evaluate("[...document.querySelectorAll('.csv')].every((b) => !b.offsetParent)")
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()
