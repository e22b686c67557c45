"""Damaged files by the thousand: each is read as it should be or refused in a sentence, nothing else.

    python tests/helpers/fuzz.py --inputs 20000 --seed 1

Every input is a valid synthetic file with one to four changes: bytes, words, numbers, lines, characters. What
carries a digest (results, cells, checkpoints) must moreover come back as it was written, or not at all.
"""

from __future__ import annotations

import argparse
import collections
import functools
import itertools
import random
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from gammawall.scenarios import load  # noqa: E402
from gammawall.scenarios.calibration.file import read_history  # noqa: E402
from gammawall.scenarios.risk.portfolio_file import read_portfolio  # noqa: E402
from gammawall.scenarios.runs import cell_store as cells  # noqa: E402
from gammawall.scenarios.runs.comparison import compare  # noqa: E402
from gammawall.scenarios.runs.comparison_page import compare_page  # noqa: E402
from gammawall.scenarios.runs.export import csv_text, tables  # noqa: E402
from gammawall.scenarios.runs.results import Result  # noqa: E402
from gammawall.scenarios.spec.catalogue import library  # noqa: E402
from gammawall.scenarios.whole_folders import to_json  # noqa: E402
from gammawall.sim.engine.checkpoint import Checkpoint  # noqa: E402
from gammawall.surfaces.chains.read import read_chain  # noqa: E402
from gammawall.surfaces.errors import InputError  # noqa: E402
from tests.helpers.scenario_files import SCENARIO  # noqa: E402
from tests.helpers.synthetic import AS_OF, cboe_csv, make_quotes  # noqa: E402
from tests.surfaces.chains.test_readers import VENDORS  # noqa: E402

LONGEST_S = 20
PORTFOLIO = """type,contracts,strike,expiry,vol_pct,multiplier,label
call,-20,7000,2026-01-28T16:00,12,100,wall
put,-60,6950,2026-01-28T16:00,13,,
future,-3,,,,,hedge
call,10,7050,2026-02-27T16:00,14,100,month
"""
NUMBERS = ["0", "-1", "1e400", "-1e400", "1e-320", "nan", "inf", "-inf", "1_0", "0x10", "1e9", "-0.0", ".5"]
NUMBERS += ["2**63", "9223372036854775808", "5.", "1,000", "9" * 400, "9" * 5000, "1" + "0" * 40, "٣", "1e"]
NUMBERS += ["--1", "0." + "0" * 400 + "1"]
WORDS = [
    "true",
    "false",
    "null",
    "none",
    "NaN",
    "call",
    "put",
    "[]",
    "{}",
    "''",
    "[[]]",
    "{a=1}",
    "=cmd()",
    "@x",
]
WORDS += ["0001-01-01", "9999-12-31T23:59:59", "2026-02-30T09:30:00", "2026-01-28T09:30:00Z", '"""', "'''"]
WORDS += ["../../x", "__class__", "<script>", ""]
SIGNS = [
    "\0",
    "\ufeff",
    "\u202e",
    "\u2028",
    "\x85",
    "\x0b",
    "\x1b[31m",
    "é",
    "🦆",
    "\u0301",
    "\r",
    "\r\n",
    "\t",
]
SIGNS += [",", ";", '"', "'", "\n", "[", "]", "{", "}", "=", "#", "\\", "\\u0000", "\\ud800", " " * 3000]
DEEP = ["[" * 3000, "{" * 3000, '{"a":' * 3000, "(" * 3000, "a." * 3000, "[[" * 500 + "]]" * 500, "\n" * 5000]
TOKEN = re.compile(r"-?\d[\d.eE+_-]*|\w+|[^\w\s]")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def damage_text(content: bytes, rng: random.Random) -> bytes:
    """A text file with one to four changes."""
    for _ in range(rng.randint(1, 4)):
        content = rng.choice((_bytes, _token, _number, _lines, _sign, _deep))(content, rng)
    return content


def damage_bytes(content: bytes, rng: random.Random) -> bytes:
    """A binary file with one to four changes; often only a bit."""
    for _ in range(rng.randint(1, 4)):
        content = rng.choice((_bit, _bit, _bytes))(content, rng)
    return content


def _bit(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return content
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _bytes(content: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(content))
    kind, length = rng.randrange(5), rng.randint(0, 40)
    new = rng.randbytes(rng.randint(0, 8))
    if kind == 0:
        return content[:at]
    if kind == 1:
        other = rng.randint(0, len(content))
        return content[:at] + content[other : other + 20 * length] + content[at:]
    return content[:at] + (new if kind < 4 else b"\0" * length) + content[at + length * (kind > 2) :]


def _replace(pattern: re.Pattern[str], pool: list[str], content: bytes, rng: random.Random) -> bytes:
    text = content.decode("utf-8", "surrogateescape")
    found = list(itertools.islice(pattern.finditer(text), 5000))
    if not found:
        return content
    at = rng.choice(found)
    new = rng.choice(pool) if rng.random() < 0.7 else rng.choice(found)[0]
    return (text[: at.start()] + new + text[at.end() :]).encode("utf-8", "surrogateescape")


_number: Callable[[bytes, random.Random], bytes] = functools.partial(_replace, NUMBER, NUMBERS)
_token: Callable[[bytes, random.Random], bytes] = functools.partial(_replace, TOKEN, NUMBERS + WORDS)


def _lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(5)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(other, lines[at])
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 3:
        lines[at:at] = [lines[at]] * 300
    else:
        lines[at] += lines[other]
    return b"\n".join(lines)


def _insert(pool: list[str], content: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(content))
    return content[:at] + rng.choice(pool).encode() + content[at:]


_sign: Callable[[bytes, random.Random], bytes] = functools.partial(_insert, SIGNS)
_deep: Callable[[bytes, random.Random], bytes] = functools.partial(_insert, DEEP)


# --- what reads them ---------------------------------------------------------------------------------------


class Reader(NamedTuple):
    name: str
    valid: list[bytes]
    damage: Callable[[bytes, random.Random], bytes]
    read: Callable[[bytes], bool | None]
    """True: accepted; False or an InputError: refused"""


def _at(path: Path, read: Callable[[Path], Any]) -> Callable[[bytes], bool]:
    def write_and_read(content: bytes) -> bool:
        path.write_bytes(content)
        read(path)
        return True

    return write_and_read


def history_text() -> bytes:
    """A year and a half of closes and gamma."""
    rng, close, gex, rows = np.random.default_rng(1), 4000.0, 5.0, ["date,close,gex"]
    for day in np.arange("2019-01-02", "2020-07-01", dtype="datetime64[D]"):
        if np.is_busday(day):
            close *= 1.0 + 0.02 / (1.0 + 0.1 * gex) * rng.standard_normal()
            gex = 5.0 + 4.0 * rng.uniform(-1.0, 1.0)
            rows.append(f"{day},{close:.2f},{1e9 * gex:.0f}")
    return ("\n".join(rows) + "\n").encode()


def _vendor_files() -> list[bytes]:
    found = [cboe_csv(make_quotes()).encode()]
    for vendor in VENDORS:
        table: Any = vendor.write(vendor.quotes.head(16))
        text = table if isinstance(table, str) else table.to_csv(index=table.index.name is not None)
        found.append(text.encode())
    return found


def made_up_result() -> Result:
    """A small record with every part that is read, and its arrays."""
    names = ("pin_probability", "pin_mass", "touch_probability")
    numbers = dict.fromkeys(cells_numbers(), 0.25)
    metrics = [{"name": n, "unit": "probability", "description": "P.", **numbers} for n in names]
    document = {
        "scenario": "small",
        "metrics": metrics,
        "theory": [{"name": "pin_mass", "closed_form": 0.2, "simulated": 0.2, "stderr": 0.01, "z": 0.1}],
        "resolved": {"name": "small", "market": {"spot": 7000.0}, "simulation": {"paths": 256, "steps": 8}},
        "status": {"stable": 2048, "jump": 0, "capped": 0, "paths_capped": 0},
        "provenance": {"version": "0", "seed": 1, "device": "cpu"},
        "exposures": {"spot": 7000.0, "zero_gamma": [6990.0], "call_wall": 7000.0},
        "claim": {"metric": "pin_probability", "text": "It pins."},
    }
    edges = np.linspace(6900.0, 7100.0, 41)
    series = {"close_edges": edges, "close_density": np.full(40, 0.025), "minutes": np.arange(9.0)}
    series |= {"fan_levels": np.array([0.1, 0.5, 0.9]), "fan": np.full((3, 9), 7000.0)}
    return Result(document, series)


def cells_numbers() -> tuple[str, ...]:
    return ("value", "stderr", "baseline", "baseline_stderr", "difference", "difference_stderr")


def _results(folder: Path) -> list[Reader]:
    right = made_up_result()
    kept = right.save(folder / "result")
    text, arrays = ((kept / name).read_bytes() for name in ("result.json", "series.npz"))
    document = to_json(Result.open(kept).document)

    def as_written(name: str, content: bytes) -> bool:
        for file, whole in (("result.json", text), ("series.npz", arrays)):
            (kept / file).write_bytes(content if file == name else whole)
        back = Result.open(kept)
        assert to_json(back.document) == document, "a damaged record was taken for good"
        assert back.series.keys() == right.series.keys(), "a damaged result was taken for good"
        for key, array in right.series.items():
            np.testing.assert_array_equal(back.series[key], array, "damaged arrays were taken for good")
        return True

    def used(content: bytes) -> bool:
        (folder / "record.json").write_bytes(content)
        found = compare(right, folder / "record.json")
        compare_page(found)
        for table in tables(found.runs[1]).values():
            csv_text(table)
        return True

    return [
        Reader("result.json", [text], damage_text, functools.partial(as_written, "result.json")),
        Reader("series.npz", [arrays], damage_bytes, functools.partial(as_written, "series.npz")),
        Reader("record, compared and exported", [document.encode()], damage_text, used),
    ]


def _cells(folder: Path) -> Reader:
    (folder / "cell.toml").write_text(SCENARIO, encoding="utf-8")
    scenario, store = load(folder / "cell.toml"), cells.CellStore(folder / "cells")
    document = made_up_result().document
    made = {name: document[name] for name in ("metrics", "theory", "status", "provenance")}
    store.save({"name": "small", "key": cells.cell_key(scenario), **made})
    (path,) = (folder / "cells").iterdir()
    valid, right = path.read_bytes(), store.load(scenario)

    def read(content: bytes) -> bool:
        path.write_bytes(content)
        found = store.load(scenario)
        assert found is None or found == right, "a damaged cell was taken for good"
        return found is not None

    return Reader("kept cell", [valid], damage_text, read)


def _checkpoints(folder: Path) -> Reader:
    store = Checkpoint.open(folder / "blocks", "a run")
    right = {"close": np.linspace(0.0, 1.0, 64), "count": np.arange(3)}
    store.save(0, 64, right)
    path = next((folder / "blocks").glob("*.npz"))

    def read(content: bytes) -> bool:
        path.write_bytes(content)
        found = store.load(0, 64)
        if found is None:
            return False
        for name, array in right.items():
            np.testing.assert_array_equal(found[name], array, "a damaged block was taken for good")
        return True

    return Reader("checkpoint", [path.read_bytes()], damage_bytes, read)


def readers(folder: Path) -> list[Reader]:
    """Every kind of file that is read, with valid ones to begin from."""
    stories = [SCENARIO.encode(), *(path.read_bytes() for path in library().values())]
    chain = functools.partial(read_chain, as_of=AS_OF)
    (folder / "small.toml").write_text(SCENARIO, encoding="utf-8")

    def setting(content: bytes) -> bool:
        load(folder / "small.toml", settings=[content.decode("utf-8", "replace")])
        return True

    settings = [b"impact.bp_per_usd_bn=6", b"book.position[0].strike=7010", b"hedging.kind=none"]
    return [
        Reader("scenario", stories, damage_text, _at(folder / "s.toml", load)),
        Reader("--set", settings, damage_text, setting),
        Reader("option chain", _vendor_files(), damage_text, _at(folder / "spx_eod.csv", chain)),
        Reader("portfolio", [PORTFOLIO.encode()], damage_text, _at(folder / "p.csv", read_portfolio)),
        Reader("GEX history", [history_text()], damage_text, _at(folder / "h.csv", read_history)),
        *_results(folder),
        _cells(folder),
        _checkpoints(folder),
    ]


def fuzz(
    inputs: int, seed: int, folder: Path, kinds: list[Reader] | None = None
) -> tuple[dict[str, collections.Counter[str]], list[str]]:
    """Read `inputs` damaged files, as many of each kind.

    Args:
        inputs: how many.
        seed: of the damage; the same seed makes the same files.
        folder: where they are written.
        kinds: what to read; by default every kind of file.

    Returns:
        By kind: how many were accepted, refused, and ended in anything else; and the tracebacks of those.
    """
    kinds = readers(folder) if kinds is None else kinds
    counts: dict[str, collections.Counter[str]] = {kind.name: collections.Counter() for kind in kinds}
    slowest: dict[str, float] = dict.fromkeys(counts, 0.0)
    failures: list[str] = []
    signal.signal(signal.SIGALRM, _too_long)
    for kind in kinds:
        assert all(map(kind.read, kind.valid)), f"a whole {kind.name} is refused"
    for i in range(inputs):
        kind, rng = kinds[i % len(kinds)], random.Random(f"{seed}:{i}")
        content = kind.damage(rng.choice(kind.valid), rng)
        began = time.perf_counter()
        signal.alarm(LONGEST_S)
        try:
            outcome = "accepted" if kind.read(content) else "refused"
        except InputError:
            outcome = "refused"
        except Exception:
            outcome = "anything else"
            failures.append(f"{kind.name}, seed {seed}, input {i}: {traceback.format_exc()}")
            (folder / f"failure-{i}").write_bytes(content)
        finally:
            signal.alarm(0)
        counts[kind.name][outcome] += 1
        slowest[kind.name] = max(slowest[kind.name], time.perf_counter() - began)
    for name, seconds in slowest.items():
        counts[name]["slowest, ms"] = round(1e3 * seconds)
    return counts, failures


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"an input took more than {LONGEST_S} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    import logging
    import warnings

    logging.disable()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        counts, failures = fuzz(asked.inputs, asked.seed, Path(folder))
    columns = ("accepted", "refused", "anything else", "slowest, ms")
    print(f"{'file':32}" + "".join(f"{name:>15}" for name in columns))
    for name, found in counts.items():
        print(f"{name:32}" + "".join(f"{found[column]:15,}" for column in columns))
    totals = [sum(found[column] for found in counts.values()) for column in columns[:3]]
    print(f"{'in all':32}" + "".join(f"{total:15,}" for total in totals))
    for text in failures[:10]:
        print(f"{text[:200]} … {text[-800:]}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
