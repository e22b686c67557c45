"""The command about portfolios: what it writes and prints, and every bad file in one sentence."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gammawall import scenarios
from gammawall.scenarios.risk.portfolio_file import read_portfolio
from gammawall.scenarios.risk.record import portfolio_risk, risk_record
from gammawall.scenarios.risk.report import risk_report, risk_sentence
from gammawall.surfaces.errors import InputError
from tests.helpers.scenario_files import write
from tests.scenarios.chains.test_chain_pages import offline
from tests.scenarios.cli.test_cli import checked

HEAD = "type,contracts,strike,expiry,vol_pct,multiplier,label\n"
PORTFOLIO = (
    HEAD
    + "future,20,,,,,hedge\n"
    + "call,-50,7000,2026-01-28T16:00:00,12.5,,short calls\n"
    + "put,-50,6950,2026-01-28T16:00:00,,,\n"
    + "put,30,6900,2026-02-20T09:30:00,15,50,<b>mini & co</b>\n"
)
FEW = ("--paths", "2048", "--quiet")
FILES = ["ladder.csv", "pnl.parquet", "positions.csv", "report.html", "risk.json", "summary.csv"]


def portfolio(folder: Path, text: str = PORTFOLIO, name: str = "mine.csv") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture
def small(tmp_path) -> str:
    return write(tmp_path)


def test_a_run_writes_a_folder_and_says_the_answer(call, tmp_path, small):
    code, said, errors = call("risk", portfolio(tmp_path), small, "--paths", "2048", "--json", "r.json")
    assert (code, errors) == (0, "")
    folder = tmp_path / "runs" / "mine-small-risk"
    assert sorted(p.name for p in folder.iterdir()) == [*FILES, "worst_paths.csv"]
    text = (folder / "risk.json").read_text(encoding="utf-8")
    record = checked(text, "risk")
    assert (tmp_path / "r.json").read_text(encoding="utf-8") == text
    assert risk_sentence(record) in " ".join(said.split())
    for words in ("VaR 95 %", "ES 99 %", "short calls", "report: file://"):
        assert words in said
    assert "Options without vol_pct, 1 in all, are marked with 12.00 %." in said

    positions = pd.read_csv(folder / "positions.csv")
    es = next(r for r in record["summary"] if (r["measure"], r["level"]) == ("ES", 0.99))
    for leg in ("feedback", "no_feedback"):
        assert positions[f"es_{leg}_usd"].sum() == pytest.approx(es[f"{leg}_usd"])
    pnl = pd.read_parquet(folder / "pnl.parquet")
    assert len(pnl) == 2048
    assert pnl["pnl_usd"].mean() == pytest.approx(record["summary"][0]["feedback_usd"])
    # Read back, the table of positions is a portfolio again.
    again = scenarios.portfolio_risk(positions, small_scenario(small))
    assert np.array_equal(again.pnl_usd, pnl["pnl_usd"])


def small_scenario(path: str):
    return scenarios.load(path, settings=["simulation.paths=2048"])


def test_options_of_the_command(call, tmp_path, small):
    mine = portfolio(tmp_path)
    code, said, _ = call("risk", mine, small, *FEW, "--level", "0.9", "--out", "a", "--json", "-")
    record = checked(said, "risk")
    assert code == 0
    assert [r["level"] for r in record["summary"]] == [None, 0.9, 0.9]
    assert record["resolved"]["simulation"]["paths"] == 2048
    setting = ("--set", "impact.bp_per_usd_bn=0")
    assert call("risk", mine, small, *FEW, *setting, "--out", "a", "--json", "b.json") == (0, "", "")
    record = checked((tmp_path / "b.json").read_text(encoding="utf-8"), "risk")
    cost = record["cost_of_ignoring_feedback"]
    assert (cost["difference_usd"], cost["difference_stderr_usd"]) == (0.0, 0.0)
    assert "not clearly different" in risk_sentence(record)


def test_the_page_answers_first_and_lets_nothing_in(tmp_path, small):
    scenario = small_scenario(small)
    found = portfolio_risk(portfolio(tmp_path), scenario)
    page = risk_report(risk_record(found, scenario, "<script>x</script>", 0.0))
    assert offline(page)
    assert "<b>mini" not in page
    assert "<script>x" not in page
    for part in ("pnl", "parts", "ladder", "summary", "worst", "stress", "positions", "notes"):
        assert f'id="{part}"' in page


def test_a_portfolio_without_risk_has_a_page(tmp_path, small):
    scenario = small_scenario(small)
    found = portfolio_risk(portfolio(tmp_path, HEAD + "future,0,,,,,\n"), scenario)
    record = risk_record(found, scenario, "nothing", 0.0)
    assert "The portfolio has the same value on every path." in risk_report(record)
    assert "loses USD 0.00 on average" in risk_sentence(record)


WALL = "call,1,7000,2026-01-28T16:00:00,12,,\n"
BAD = [
    ("", "is empty"),
    (HEAD, "has no rows"),
    (WALL, "column type is missing from the line of column names"),
    (HEAD.replace("type,", "") + WALL[5:], "column type is missing"),
    (HEAD.replace("strike", "strikes") + WALL, "column strike is missing"),
    (HEAD.replace("vol_pct", "vol_pc") + WALL, "column 'vol_pc' is not known: did you mean vol_pct?"),
    (HEAD.replace("label", "type") + WALL, "column type appears twice"),
    (HEAD + WALL + WALL.replace("call", "cal"), "row 2, column type: must be call, put or future (did you"),
    (HEAD + WALL.replace("call", "swap"), "row 1, column type: must be call, put or future; got 'swap'"),
    (HEAD + WALL.replace("7000", "-7000"), "row 1, column strike: must be index points above 0"),
    (HEAD + WALL.replace("7000", "nan"), "row 1, column strike: must be index points above 0"),
    (HEAD + WALL.replace("7000", ""), "row 1, column strike: is missing"),
    (HEAD + WALL.replace("7000", '"7,000"'), "row 1, column strike: must be index points"),
    (HEAD + WALL.replace("call,1", "call,inf"), "row 1, column contracts: must be a number"),
    (HEAD + WALL.replace("call,1", "call,"), "row 1, column contracts: is missing"),
    (HEAD + WALL.replace("call,1", "call,=1+1"), "row 1, column contracts: must be a number"),
    (HEAD + WALL.replace(",12,", ",0,"), "row 1, column vol_pct: must be percent per year"),
    (HEAD + WALL.replace("12,,", "12,0,"), "row 1, column multiplier: must be USD per index point"),
    (HEAD + WALL.replace("2026-01-28T16:00:00", ""), "row 1, column expiry: is missing"),
    (HEAD + WALL.replace("T16:00:00", ""), "row 1, column expiry: got '2026-01-28' without a time of day"),
    (HEAD + WALL.replace("2026-01-28T16:00:00", "soon"), "row 1, column expiry: got 'soon'"),
    (HEAD + WALL.replace("2026", "2025"), "row 1, column expiry: 2025-01-28 16:00 is not after the start"),
    (HEAD + WALL.replace("2026", "2300"), "trading calendar"),
    (HEAD + WALL.replace("call", "future"), "row 1, column strike: a future has none"),
    (HEAD + "future,1,,,12,,\n", "row 1, column vol_pct: a future has none"),
    (HEAD + WALL.replace("12,,", "12,,=cmd()"), "row 1, column label: got '=cmd()'; it would be a formula"),
    (HEAD + WALL.replace("12,,", "12,,\x1b[31m"), "row 1, column label: got '\\x1b[31m'"),
    (HEAD + WALL.replace("12,,", "12,," + "x" * 101), "it must be at most 100 printable characters"),
    (HEAD + WALL.strip() + ",more,more\n", "is not a CSV file in UTF-8 with one width throughout"),
    (HEAD.replace(",", ";") + WALL, "is not a CSV file"),
]


@pytest.mark.parametrize(("text", "said"), BAD)
def test_a_bad_file_is_one_sentence_and_nothing_is_written(call, tmp_path, small, text, said):
    code, printed, errors = call("risk", portfolio(tmp_path, text), small, *FEW)
    assert (code, printed) == (2, "")
    assert said in errors
    assert errors.count("\n") == 1
    assert "\x1b" not in errors
    assert not (tmp_path / "runs").exists()


def test_what_is_no_file_of_text_is_refused(call, tmp_path, small):
    def refused(path: Path) -> str:
        code, printed, errors = call("risk", str(path), small, *FEW)
        assert (code, printed, errors.count("\n")) == (2, "", 1)
        return errors

    assert "No such file" in refused(tmp_path / "none.csv")
    assert "is a folder" in refused(tmp_path)
    zipped = tmp_path / "mine.csv.gz"
    zipped.write_bytes(b"\x1f\x8b\x08\x00" + bytes(range(256)))
    assert "is not a CSV file" in refused(zipped)
    with pytest.raises(InputError, match="cannot be read as a portfolio: of its bytes at most 100 are"):
        read_portfolio(portfolio(tmp_path), most_bytes=100)
    code, _, errors = call("risk", portfolio(tmp_path), small, *FEW, "--level", "95")
    assert (code, "a level must be a share" in errors) == (2, True)
    code, _, errors = call("risk", portfolio(tmp_path), small, *FEW, "--level", "0.999")
    assert (code, "level 0.999 needs at least 10,000 paths" in errors) == (2, True)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    code, _, errors = call("risk", portfolio(tmp_path), small, *FEW, "--out", "taken")
    assert (code, "holds something else" in errors) == (2, True)


def test_random_files_are_read_or_refused(tmp_path):
    rng = random.Random(7)
    pieces = [
        "call",
        "put",
        "future",
        "7000",
        "-1",
        "1e400",
        "nan",
        "",
        '"',
        ",",
        "\n",
        "\x00",
        "=1",
        "é",
        ";",
    ]
    pieces += ["2026-01-28T16:00:00", "0001-01-01T00:00", "9999-12-31 23:59", "label", "12", "\r", "\t", HEAD]
    refused = read = 0
    for _ in range(400):
        text = HEAD if rng.random() < 0.7 else ""
        for _ in range(rng.randint(0, 6)):
            cells = [rng.choice(pieces) for _ in range(rng.choice([7, 7, 7, 3, 9]))]
            text += ",".join(cells) + "\n" if rng.random() < 0.3 else WALL
        path = tmp_path / "fuzz.csv"
        path.write_bytes(text.encode() if rng.random() < 0.9 else text.encode("utf-16"))
        try:
            read_portfolio(path)
        except InputError as error:
            refused += "\n" not in str(error)
        else:
            read += 1
    assert refused + read == 400
    assert min(refused, read) > 10


def test_other_columns_are_named_and_left_out(tmp_path, small):
    text = HEAD.strip() + ",trader\n" + WALL.strip() + ",Ann\n"
    found = portfolio_risk(portfolio(tmp_path, text), small_scenario(small))
    assert "Columns that were not read: trader." in found.notes
    assert json.dumps(found.positions.to_dict("list"), default=str).count("Ann") == 0
