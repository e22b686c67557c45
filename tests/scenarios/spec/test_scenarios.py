"""Scenario files: what is refused and how it is said, the library's facts, and what its runs find."""

from __future__ import annotations

import csv
import dataclasses
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gammawall import scenarios
from gammawall.scenarios.pages.numbers import SIGNIFICANT_Z, format_estimate, format_exact
from gammawall.scenarios.runs.answers import verdict
from gammawall.surfaces.dealers.exposures import gex_at
from gammawall.surfaces.errors import InputError
from tests.helpers.scenario_files import BAD_VALUES, SCENARIO, changed, write
from tests.helpers.synthetic import cboe_csv, make_quotes

SHARED = Path(__file__).parents[4] / "shared"
FEW = {"simulation__paths": 8192, "simulation__steps": 78}
CHAIN_ONLY = "\n".join(
    ['name = "chain"', "[book]", 'chain = "quotes.csv"', "[impact]", "bp_per_usd_bn = 3.0", ""]
)


def mistakes(folder: Path, text: str, **more) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        scenarios.load(write(folder, text), **more)
    return caught.value.problems


@pytest.fixture(scope="module")
def pin() -> scenarios.Result:
    return scenarios.run(scenarios.load("pin-7000", **FEW))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs") / "press-sign"


@pytest.fixture(scope="module")
def press(folder) -> scenarios.Result:
    return scenarios.run(scenarios.load("press-sign", **FEW), out=folder)


@pytest.fixture
def quotes(tmp_path) -> str:
    path = tmp_path / "quotes.csv"
    path.write_text(cboe_csv(make_quotes(spot=6485.0)), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(("old", "new", "sentence"), BAD_VALUES, ids=[f"{n[:30]}" for _, n, _ in BAD_VALUES])
def test_a_mistake_is_one_sentence_with_its_place(tmp_path, old, new, sentence):
    (problem,) = mistakes(tmp_path, changed(old, new))
    assert sentence in problem
    assert "\n" not in problem
    assert problem.isprintable()


def test_every_mistake_is_listed_at_once(tmp_path):
    text = SCENARIO.replace("strike = 7000.0\nexpiry = 2026-01-28", "strike = -1\nexpiry = 2026-01-27")
    text = text.replace("paths = 256", "paths = 0").replace("spot = ", "spott = ")
    found = mistakes(tmp_path, text, settings=["nonsense", "simulation.steps=0", "measure.band_points=-1"])
    starts = [
        "--set nonsense: must be key=value",
        "market.spott (line 3): is not a known key",
        "book.position[0].strike (line 8): must be above 0",
        "simulation.paths (line 16): must be at least 2",
        "simulation.steps (--set simulation.steps=0): must be at least 1",
        "measure.band_points (--set measure.band_points=-1): must be above 0",
        "book.position[0].expiry (line 9): must come after market.start",
    ]
    assert [p[: len(s)] for p, s in zip(found, starts, strict=True)] == starts


def test_lines_are_found_past_text_of_several_lines(tmp_path):
    text = changed('name = "small"', 'name = "small"\nstory = """\n[simulation]\npaths = 3\n"""')
    (problem,) = mistakes(tmp_path, text.replace("paths = 256", "paths = 0"))
    assert problem.startswith("simulation.paths (line 20)")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("=5", "must be key=value"),
        ("x..y=1", "must be key=value"),
        ("simulation.pats=5", "did you mean 'paths'?"),
        ("simulation=5", "must be a table: [simulation]; got 5"),
        ("simulation.paths.x=5", "there is no simulation.paths.x to set"),
        ("book.position.7.strike=5", "there is no book.position[7].strike to set; positions count from 0"),
        ("book.position[0].strike=abc", "must be a number; got 'abc'"),
        ("simulation.paths=", "must be a number; got ''"),
        ("foo.x=1", "foo (--set foo.x=1): is not a known key"),
        ("impact.bp_per_usd_bn=6\nname='y'", "must be a number"),
    ],
)
def test_rubbish_settings(tmp_path, setting, sentence):
    (problem,) = mistakes(tmp_path, SCENARIO, settings=[setting])
    assert sentence in problem


def test_settings_and_overrides_mean_the_same(tmp_path):
    path = write(tmp_path)
    texts = ["book.position[0].strike=6900", "market.start=2026-01-28T10:00:00", "hedging.kind=none"]
    by_text = scenarios.load(path, settings=texts)
    by_key = scenarios.load(
        path,
        book__position__0__strike=np.int64(6900),
        market__start=datetime(2026, 1, 28, 10),
        hedging__kind="none",
    )
    assert by_text.resolved() == by_key.resolved()
    assert by_text.spec.book.position[0].strike == 6900.0
    assert by_text.spec.assumptions[0].startswith("Set for this run")
    assert "hedging.kind = 'none'" in by_text.spec.assumptions[0]
    assert not scenarios.load(path).spec.assumptions


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x00\x01\xff\xfe", "not UTF-8 text"),
        (b"#" * 10_000_000, "at most 1,000,000 are read"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "nested too deeply"),
        (b"spot = " + b"9" * 5000, "is not valid TOML"),
        (b"[market\n", "is not valid TOML"),
        (b'extends = "nowhere"', "extends 'nowhere': there is no scenario 'nowhere'"),
        (b'extends = "bad.toml"', "do they extend each other?"),
        (b"extends = 5", "line 1: extends must name a scenario"),
    ],
    ids=["binary", "10 MB", "deep", "digits", "broken", "unknown", "itself", "number"],
)
def test_files_that_are_no_scenarios(tmp_path, content, sentence):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.toml") as caught:
        scenarios.load(path)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "pin", "a" * 5000, "\0", "none.toml", None, 5, b"x", "."])
def test_names_that_are_no_scenarios(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        scenarios.load(name)


def test_a_child_inherits_and_names_the_file_of_a_mistake(tmp_path):
    write(tmp_path, changed("spot = 7000.0", "spot = -1"), "parent.toml")
    (problem,) = mistakes(tmp_path, 'extends = "parent.toml"\nname = "child"\n')
    assert problem.startswith("market.spot (line 3 of parent.toml): must be above 0")
    child = scenarios.load(
        write(tmp_path, 'extends = "parent.toml"\nname = "child"\n[market]\nspot = 6990.0\n')
    )
    assert (child.name, child.market.spot, child.config.steps) == ("child", 6990.0, 8)


def test_a_chain_brings_its_own_market_wall_and_band(quotes):
    scenario = scenarios.load("pin-7000", chain=quotes)
    assert scenario.market.spot == 6485.0
    assert f"{scenario.market.start:%H:%M} {scenario.market.close:%H:%M}" == "14:15 16:00"
    same_day = scenario.book.select(scenario.book.same_day())
    assert scenario.measure.strike in same_day.strike
    # Closes exactly at the strikes next to it, 5 points away, must not count as at this one.
    assert scenario.measure.band_points == 2.5
    assert len(scenario.notes) == 3
    assert scenario.spec.facts == ("Quotes, open interest, spot and time are the file's.",)
    assert "convention" in scenario.spec.assumptions[0]


def test_a_chain_file_is_found_from_the_scenario_s_folder(quotes, monkeypatch):
    folder = Path(quotes).parent
    path = write(folder, CHAIN_ONLY)
    monkeypatch.chdir("/")
    assert scenarios.load(path).chain is not None
    (problem,) = mistakes(folder, CHAIN_ONLY + "[market]\nrate_pct = 4\n")
    assert "market.rate_pct (line 7): does nothing with book.chain" in problem


def test_a_chain_read_after_its_close_asks_for_the_next_session(tmp_path):
    path = tmp_path / "late.csv"
    live = make_quotes(as_of="2025-09-05T20:00", expiries=make_expiries(), spot=6485.0)
    path.write_text(cboe_csv(live, stamp="September 5, 2025 at 8:15 PM GMT-4"), encoding="utf-8")
    with pytest.raises(InputError, match=r"market\.start=2025-09-08T09:30:00"):
        scenarios.load("pin-7000", chain=path)
    later = scenarios.load("pin-7000", chain=path, settings=["market.start=2025-09-08T09:30:00"])
    # The book is valued when the run begins: what expires on the Monday is now of the same day.
    assert later.book.as_of == later.market.start
    assert later.book.same_day().any()
    with pytest.raises(InputError, match="before the quotes"):
        scenarios.load("pin-7000", chain=path, settings=["market.start=2025-09-05T09:30:00"])


def make_expiries():
    return (("SPXW", datetime(2025, 9, 8).date()), ("SPXW", datetime(2025, 9, 12).date()))


@pytest.mark.parametrize("chain", ["none.csv", ".", "empty.csv", "cut.csv", "idle.csv"])
def test_chains_that_cannot_be_used(tmp_path, monkeypatch, quotes, chain):
    monkeypatch.chdir(tmp_path)
    text = Path(quotes).read_text(encoding="utf-8")
    idle = make_quotes(spot=6485.0).assign(open_interest=0.0)
    Path("empty.csv").write_text("")
    Path("cut.csv").write_text(text[: len(text) // 2])
    Path("idle.csv").write_text(cboe_csv(idle))
    with pytest.raises(InputError) as caught:
        scenarios.load("pin-7000", chain=chain)
    assert "\n" not in str(caught.value)


def test_a_run_from_python_writes_a_result_and_a_report(press, folder, tmp_path):
    assert {p.name for p in folder.iterdir()} == {"report.html", "result.json", "series.npz"}
    assert scenarios.Result.open(folder).document["scenario"] == "press-sign"
    report = scenarios.write_report(press, tmp_path / "again.html")
    assert report.read_text(encoding="utf-8") == (folder / "report.html").read_text(encoding="utf-8")


def test_a_folder_that_holds_something_else_is_refused_before_the_run(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"holds something else \(thesis\.tex\)"):
        scenarios.run("no such scenario", out=tmp_path)


def test_the_wall_of_pin_7000_meets_the_desk_notes():
    book = scenarios.load("pin-7000").book
    below, at = gex_at(book, np.array([0.99 * 7000.0, 7000.0])) / 1e9
    assert below == pytest.approx(6.0, rel=0.05)
    assert at == pytest.approx(12.0, rel=0.05)
    around = np.arange(6800.0, 7200.0)
    assert abs(around[np.argmax(gex_at(book, around))] - 7000.0) < 5.0
    (same_day,) = book.contracts[book.same_day()]
    assert same_day == 20_000


def test_the_facts_of_pin_7000_are_the_recorded_closes():
    history = SHARED / "history" / "gex_daily.csv"
    if not history.exists():
        pytest.skip("the recorded closes are not here")
    with history.open() as file:
        close = {row[0]: float(row[1]) for row in list(csv.reader(file))[1:]}
    scenario = scenarios.load("pin-7000")
    assert scenario.market.spot == close["2026-01-27"]
    facts = " ".join(scenario.spec.facts)
    for day in ("2026-01-27", "2026-01-28"):
        assert f"{close[day]:,.2f}" in facts


def test_press_sign_is_the_same_book_turned():
    pin, press = scenarios.load("pin-7000"), scenarios.load("press-sign")
    for field in ("strike", "vol", "expiry", "is_call", "variance_years"):
        assert (getattr(pin.book, field) == getattr(press.book, field)).all()
    np.testing.assert_array_equal(press.book.contracts, -pin.book.contracts)
    for part in ("market", "dynamics", "impact", "hedging", "config", "measure", "seed"):
        assert getattr(pin, part) == getattr(press, part)


def effect(result: scenarios.Result) -> float:
    pinned = result.metric("pin_probability")
    return pinned.difference / pinned.difference_stderr


def test_a_long_wall_pins(pin):
    assert effect(pin) > 10.0
    assert verdict(pin.document, pin.series).text.endswith("the wall pins.")
    assert pin.metric("pin_mass").value > 0.1
    assert pin.metric("vol_amplification").value < 0.9
    assert {row["name"] for row in pin.document["theory"]} >= {"pin_mass", "pin_probability", "close_mean"}
    for row in pin.document["theory"]:
        assert abs(row["z"]) < SIGNIFICANT_Z, row


def test_the_press_s_sign_repels(press):
    assert effect(press) < -10.0
    assert verdict(press.document, press.series).text.endswith("the price is repelled.")
    assert press.metric("pin_mass").value == 0.0
    assert press.metric("vol_amplification").value > 1.1
    assert press.document["status"]["jump"] > 0


def test_the_atom_is_kept_apart_from_the_density(pin):
    series, paths = pin.series, pin.document["resolved"]["simulation"]["paths"]
    mass = pin.metric("pin_mass").value
    assert series["atom_mass"][list(series["atom_strike"]).index(7000.0)] == pytest.approx(mass, abs=1e-12)
    inside = series["close_density"] @ np.diff(series["close_edges"]) + series["atom_mass"].sum()
    assert inside == pytest.approx(1.0, abs=0.002 + 1.0 / paths)


def test_no_verdict_where_capped_paths_could_turn_it(pin):
    document = json.loads(json.dumps(pin.document))
    paths, pinned = document["resolved"]["simulation"]["paths"], pin.metric("pin_probability")
    document["status"]["paths_capped"] = 1
    assert verdict(document, pin.series).kind == "pins"
    document["status"]["paths_capped"] = int(pinned.difference * paths)
    assert verdict(document, pin.series).kind == "unknown"
    assert "no verdict, since on" in verdict(document, pin.series).text


def test_a_long_wall_that_holds_the_price_elsewhere_is_not_called_repelling(pin):
    document = json.loads(json.dumps(pin.document))
    metric = next(m for m in document["metrics"] if m["name"] == "pin_probability")
    metric["difference"] *= -1.0
    assert verdict(document, pin.series).text.endswith("the price is held elsewhere.")


def digest(scenario: scenarios.Scenario) -> str:
    from gammawall.scenarios.spec.origin import provenance

    return provenance(scenario)["scenario_hash"]


def test_the_hash_is_of_the_numbers(tmp_path, quotes):
    base = digest(scenarios.load(write(tmp_path)))
    same = SCENARIO.replace("20_000", "2e4").replace("small", "renamed") + '[dynamics]\nprofile = "flat"\n'
    assert digest(scenarios.load(write(tmp_path, same))) == base
    assert digest(scenarios.load(write(tmp_path), story="another story")) == base
    different = [
        {"book__position__0__contracts": 20_001},
        {"simulation__seed": 1},
        {"simulation__paths": 257},
        {"measure__band_points": 5.5},
        {"market__close": "2026-01-28T15:59:00"},
        {"hedging__kind": "none"},
    ]
    digests = {digest(scenarios.load(write(tmp_path), **change)) for change in different} | {base}
    assert len(digests) == len(different) + 1
    first = digest(scenarios.load("pin-7000", chain=quotes))
    copy = tmp_path / "copy.csv"
    copy.write_text(Path(quotes).read_text(encoding="utf-8"), encoding="utf-8")
    assert digest(scenarios.load("pin-7000", chain=copy)) == first
    copy.write_text(cboe_csv(make_quotes(spot=6485.0, seed=8)), encoding="utf-8")
    assert digest(scenarios.load("pin-7000", chain=copy)) != first


def test_provenance_is_complete(pin):
    stamp = pin.document["provenance"]
    assert stamp["version"]
    assert stamp["seed"] == 7
    assert stamp["dtype"] == "float64"
    assert len(stamp["scenario_hash"]) == 64
    assert stamp["chain_sha256"] is None
    assert pd.Timestamp(stamp["created"]).tzinfo is not None
    if (Path(__file__).parents[3] / ".git").exists():
        assert len(stamp["git_commit"]) == 40
        assert isinstance(stamp["git_changed"], bool)


def test_names_with_markup_stay_text(pin, capsys, monkeypatch):
    from gammawall.scenarios.cli import runs
    from gammawall.scenarios.runs.report import render_report

    name = "[red]x[/] <script>alert(1)</script>"
    document = pin.document | {"scenario": name, "story": name}
    document["resolved"] = document["resolved"] | {"name": name, "notes": [name]}
    document["claim"] = document["claim"] | {"text": name}
    page = render_report(dataclasses.replace(pin, document=document))
    assert "<script>alert(1)" not in page
    runs._print_run(dataclasses.replace(pin, document=document), Path("/tmp/[b]/r.html"))
    printed = capsys.readouterr().out
    assert f"note: {name}" in printed
    assert f"“{name}”, holds in this one run" in printed
    assert "\x1b" not in printed


def test_exact_numbers_get_one_digit_more_than_their_estimates():
    assert format_estimate(6486.5634, 0.0103) == "6,486.56 ± 0.01"
    assert format_exact(6486.5704, 0.0103) == "6,486.570"
    assert format_exact(0.25) == "0.25"
    # A ratio of a number with itself has rounding for an error.
    assert format_estimate(1.0, 1e-17) == "1"
