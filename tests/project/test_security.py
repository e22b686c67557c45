"""Nothing from a file is run, unpacked without end, written elsewhere, or taken for markup or a formula."""

from __future__ import annotations

import ast
import csv
import gzip
import io
import json
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gammawall import scenarios
from gammawall.scenarios.calibration.file import read_history
from gammawall.scenarios.cli import main as cli
from gammawall.scenarios.risk.portfolio_file import read_portfolio
from gammawall.scenarios.runs.comparison import read_result
from gammawall.scenarios.runs.results import Result
from gammawall.surfaces.chains.read import read_chain
from gammawall.surfaces.errors import InputError
from gammawall.surfaces.limits import MOST_BYTES_NAME, allowed_bytes, read_limited
from tests.helpers.fuzz import PORTFOLIO, history_text, made_up_result
from tests.helpers.scenario_files import SCENARIO, write
from tests.helpers.synthetic import cboe_csv, make_quotes

ROOT = Path(__file__).parents[2]
SOURCES = [file for layer in ("surfaces", "sim", "scenarios") for file in (ROOT / layer).rglob("*.py")]

# --- nothing from a file is executed ------------------------------------------------------------------------

FORBIDDEN = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "code", "runpy", "ctypes"}
MODULES |= {"imp", "xmlrpc", "telnetlib", "ftplib", "smtplib", "urllib", "http", "socket", "requests"}
ATTRIBUTES = {"read_pickle", "to_pickle", "system", "popen", "unsafe_load", "literal_eval", "import_module"}


def offences(source: str) -> list[str]:
    """Ways of running what was read, unpickling it, or asking the network."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in FORBIDDEN:
                found.append(name)
            case ast.Attribute(attr=name) if name in ATTRIBUTES:
                found.append(name)
            case ast.Attribute(value=ast.Name(id="pd"), attr="eval"):
                found.append("pd.eval")
            case ast.Import(names=names):
                found += [name.name for name in names if name.name.split(".")[0] in MODULES]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in MODULES:
                found.append(module)
            case ast.Call(func=ast.Attribute(attr="load", value=ast.Name(id="np")), keywords=words):
                safe = [w for w in words if w.arg == "allow_pickle" and ast.unparse(w.value) == "False"]
                found += [] if safe else ["np.load"]
            case ast.keyword(arg="shell" | "allow_pickle", value=value) if ast.unparse(value) != "False":
                found.append(str(node.arg))
            case ast.Call(func=ast.Attribute(attr="query" | "eval" as name, value=ast.Name(id=of))):
                found.append(f"{of}.{name}")
    return found


def test_no_source_runs_or_unpickles_what_it_reads():
    assert len(SOURCES) > 120
    found = {str(file.relative_to(ROOT)): offences(file.read_text(encoding="utf-8")) for file in SOURCES}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "import pickle",
        "from yaml import load",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "frame.eval(text)",
    ],
)
def test_the_check_sees_what_it_should(line):
    assert offences(line)


def test_a_pickle_in_place_of_arrays_is_not_opened(tmp_path):
    ran = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (ran,)

    folder = made_up_result().save(tmp_path / "run")
    buffer = io.BytesIO()
    np.savez(buffer, close_edges=np.array([Bomb()], dtype=object))
    (folder / "series.npz").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="not a whole result folder"):
        Result.open(folder)
    assert not ran.exists()
    np.load(io.BytesIO(buffer.getvalue()), allow_pickle=True)["close_edges"]
    assert ran.exists()  # the control: it would have run


# --- sizes --------------------------------------------------------------------------------------------------

READERS: dict[str, Callable[[Path], Any]] = {
    "scenario": lambda path: scenarios.load(path),
    "portfolio": read_portfolio,
    "history": read_history,
    "chain": lambda path: read_chain(path, as_of="2025-09-04"),
    "record": read_result,
}


def _sparse(path: Path, size: int = 2**30) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


@pytest.mark.parametrize("kind", READERS)
def test_a_gigabyte_is_refused_at_once(kind, tmp_path):
    path = _sparse(tmp_path / "large.toml")
    began = time.perf_counter()
    with pytest.raises(InputError, match=r"large\.toml.*(bytes|MiB)"):
        READERS[kind](path)
    assert time.perf_counter() - began < 5.0


def test_a_gigabyte_inside_a_result_folder_is_refused(tmp_path):
    for name in ("result.json", "series.npz"):
        folder = made_up_result().save(tmp_path / name)
        _sparse(folder / name)
        with pytest.raises(InputError, match="at most 268,435,456 are read"):
            Result.open(folder)


def test_a_bomb_inside_an_archive_is_refused(tmp_path):
    folder = made_up_result().save(tmp_path / "run")
    with zipfile.ZipFile(folder / "series.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(9):
            archive.writestr(f"a{i}.npy", b"\0" * (32 * 2**20))
    assert (folder / "series.npz").stat().st_size < 2**20
    with pytest.raises(InputError, match="unpacks to 301,989,888 bytes"):
        Result.open(folder)


def test_an_array_that_says_it_is_endless_is_refused(tmp_path):
    folder = made_up_result().save(tmp_path / "run")
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)})
    with zipfile.ZipFile(folder / "series.npz", "w") as archive:
        archive.writestr("a.npy", buffer.getvalue())
    with pytest.raises(InputError, match="not a whole result folder"):
        Result.open(folder)


def test_what_is_packed_is_not_unpacked_behind_the_limit(tmp_path):
    """A reader that goes by the file's name would unpack it after its size was found small."""
    for name, text, reader in (
        ("h.csv.gz", history_text(), read_history),
        ("p.csv.gz", PORTFOLIO.encode(), read_portfolio),
    ):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text))
        with pytest.raises(InputError, match=name):
            reader(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device here")
@pytest.mark.parametrize("kind", ["scenario", "portfolio", "history"])
def test_a_device_without_end_is_not_read_to_its_end(kind, tmp_path):
    link = tmp_path / "endless.toml"
    link.symlink_to("/dev/zero")
    with pytest.raises(InputError, match="bytes"):
        READERS[kind](link)


def test_every_limit_can_be_raised(tmp_path, monkeypatch):
    path = tmp_path / "long.toml"
    path.write_text(SCENARIO + "# much\n" * 200_000, encoding="utf-8")
    with pytest.raises(InputError, match=f"at most 1,000,000 are read.*{MOST_BYTES_NAME}"):
        scenarios.load(path)
    monkeypatch.setenv(MOST_BYTES_NAME, str(10**7))
    assert scenarios.load(path).name == "small"
    assert allowed_bytes(5) == 10**7
    monkeypatch.setenv(MOST_BYTES_NAME, "3")
    assert allowed_bytes(5) == 5  # it raises limits and never lowers them
    monkeypatch.setenv(MOST_BYTES_NAME, "lots")
    assert allowed_bytes(5) == 5
    (tmp_path / "six").write_bytes(b"123456")
    with pytest.raises(ValueError, match="at most 5 are read"):
        read_limited(tmp_path / "six", 5)
    assert read_limited(tmp_path / "six", 6) == b"123456"


def test_a_long_line_in_a_scenario_takes_no_time(tmp_path):
    """A table's name was once looked for in a time that grew with the cube of the spaces before it."""
    text = SCENARIO.replace('name = "small"', 'name = "small"\nfacts = [\n[' + " " * 20_000 + "{}],\n]")
    began = time.perf_counter()
    with pytest.raises(InputError, match="facts"):
        scenarios.load(write(tmp_path, text))
    assert time.perf_counter() - began < 2.0


def test_line_numbers_of_spaced_headers_are_still_found(tmp_path):
    text = SCENARIO.replace("[impact]\nbp_per_usd_bn = 3.0", "  [ \timpact ]  # so\nbp_per_usd_bn = -3.0")
    with pytest.raises(InputError) as refusal:
        scenarios.load(write(tmp_path, text))
    assert refusal.value.problems == ("impact.bp_per_usd_bn (line 14): must be at least 0; got -3.0",)


# --- places, markup, formulas -------------------------------------------------------------------------------

PLACES = ["../../x", "/etc/x", "..", "a/../../b", "x\0y", "C:\\x", "~root", "$(touch x)", "-rf", "con\n"]


@pytest.mark.parametrize("name", PLACES)
def test_a_scenario_s_name_cannot_lead_out_of_the_folder(name, tmp_path):
    from gammawall.scenarios.cli.terminal import folder_name

    path = write(tmp_path, SCENARIO.replace('"small"', json.dumps(name)))
    try:
        told = scenarios.load(path).name
    except InputError:
        return
    place = (tmp_path / "runs" / folder_name(told)).resolve()
    assert place.parent == tmp_path / "runs"
    assert place.name[0] not in ".-"


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>=cmd()"
FORMULA = "=cmd()"
COMMANDS = [
    ("run", "evil.toml", "--out", "out/run"),
    ("run", "evil.toml", "--set", "impact.bp_per_usd_bn=6", "--out", "out/other"),
    ("compare", "out/run", "out/other", "--report", "out/compare.html"),
    ("export", "out/run", "--to", "csv", "--out", "out/csv"),
    ("export", "out/run", "--to", "pine", "--out", "out/run.pine"),
    ("sweep", "evil.toml", "--grid", "impact.bp_per_usd_bn=3,6", "--out", "out/sweep"),
    ("ledger", "evil.toml", "--out", "out/ledger"),
    ("risk", "<img src=x onerror=alert(1)>.csv", "evil.toml", "--level", "0.9", "--out", "out/risk"),
    ("exposures", "<img src=x onerror=alert(1)>q.csv", "--report", "out/exposures.html"),
    ("surface", "<img src=x onerror=alert(1)>q.csv", "--report", "out/surface.html"),
    ("calibrate-impact", "<img src=x onerror=alert(1)>h.csv", "--report", "out/calibrate.html"),
]


@pytest.mark.slow
def test_no_command_lets_markup_or_a_formula_through(tmp_path, monkeypatch, capsys):
    """Every command that writes a page or a table, on files whose every free text is an attack."""
    monkeypatch.chdir(tmp_path)
    text = SCENARIO.replace(
        'name = "small"',
        f'name = "{FORMULA}{EVIL}"\nstory = "{EVIL}"\nfacts = ["{EVIL}"]\nassumptions = ["{EVIL}"]',
    )
    text += (
        f'[claim]\nid = "C1"\ntext = "{EVIL}"\nmetric = "pin_probability"\neffect = "ratio to baseline"\n'
        f'holds = "above"\nthreshold = 1.5\nhinge = "{EVIL}"\n'
    )
    write(tmp_path, text, "evil.toml")
    image = "<img src=x onerror=alert(1)>"
    (tmp_path / f"{image}.csv").write_text(PORTFOLIO.replace("wall", f'"{EVIL}"'), encoding="utf-8")
    (tmp_path / f"{image}q.csv").write_text(cboe_csv(make_quotes()), encoding="utf-8")
    (tmp_path / f"{image}h.csv").write_bytes(history_text())
    for words in COMMANDS:
        monkeypatch.setattr(sys, "argv", ["gammawall", *words])
        code = cli.run_guarded()
        said = capsys.readouterr()
        assert code == 0, (words, said.err)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    pages = [path for path in written if path.suffix == ".html"]
    assert len(pages) == 9, pages
    for page in pages:
        content = page.read_text(encoding="utf-8")
        assert "<script>alert(1)" not in content, page
        assert "<img src=x" not in content, page
    rows = 0
    for path in (path for path in written if path.suffix == ".csv" and "out" in path.parts):
        for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8"))):
            rows += 1
            for cell in row:
                assert not cell.lstrip().startswith(("=", "+", "@")), (path, cell)
                assert not cell.startswith("-") or float(cell) <= 0.0, (path, cell)
    assert rows > 50
    assert {path.relative_to(tmp_path).parts[0] for path in written if image not in path.name} == {
        "out",
        "evil.toml",
    }
