"""Kept cells: the same record from disk as from a run, and no damaged one taken for good."""

from __future__ import annotations

import json
import shutil
import threading

import pytest

from gammawall.scenarios import load
from gammawall.scenarios.runs import cell_store as cells
from gammawall.scenarios.runs.cell_store import CellStore, cell_key, own_sources
from gammawall.scenarios.whole_folders import write_bytes
from gammawall.surfaces.errors import InputError
from tests.helpers.scenario_files import SCENARIO, write


@pytest.fixture
def scenario(tmp_path):
    return load(write(tmp_path))


def the_file(store: CellStore):
    assert store.folder is not None
    (path,) = store.folder.iterdir()
    return path


def counts(store: CellStore) -> tuple[int, int, int]:
    return store.hits, store.computed, store.redone


def test_a_cell_is_run_once_and_then_read(tmp_path, scenario):
    store = CellStore(tmp_path / "cells")
    fresh = store.compute(scenario)
    assert counts(store) == (0, 1, 0)
    assert store.compute(scenario) == fresh
    assert counts(store) == (1, 1, 0)
    assert CellStore(tmp_path / "cells").compute(scenario) == fresh


def test_a_record_holds_the_run_and_nothing_that_differs_between_runs(scenario):
    first, second = (CellStore(None).compute(scenario) for _ in range(2))
    assert first == second
    found = {m["name"]: m for m in first["metrics"]}
    # P(±5) of this wall at these 256 paths is about a third, against a twelfth without it.
    assert 0.2 < found["pin_probability"]["value"] < 0.5 > 0.15 > found["pin_probability"]["baseline"] > 0.0
    assert set(first) == {"name", "key", "resolved", "metrics", "theory", "status", "provenance"}
    assert not {"created", "timing", "git_changed"} & set(json.dumps(first).replace('"', " ").split())


@pytest.mark.parametrize("damage", ["cut short", "a digit", "another cell", "empty", "not text", "a list"])
def test_a_damaged_file_is_noticed_and_made_anew(tmp_path, scenario, damage, caplog):
    store = CellStore(tmp_path / "cells")
    right = store.compute(scenario)
    path = the_file(store)
    whole = path.read_bytes()
    if damage == "another cell":
        other = CellStore(tmp_path / "other")
        other.compute(load(write(tmp_path), simulation__seed=5))
        shutil.copy(the_file(other), path)
    else:
        value = str(right["metrics"][0]["value"]).encode()
        assert value in whole
        path.write_bytes(
            {
                "cut short": whole[:-40],
                "a digit": whole.replace(value, b"0.5", 1),
                "empty": b"",
                "not text": b"\x00\xff" * 99,
                "a list": b"[1, 2]",
            }[damage]
        )
    with caplog.at_level("WARNING"):
        assert store.compute(scenario) == right
    assert counts(store) == (0, 2, 1)
    assert "is run again" in caplog.text
    assert path.read_bytes() == whole


def test_the_key_follows_numbers_code_and_versions_but_no_words(tmp_path, scenario, monkeypatch):
    key = cell_key(scenario)
    renamed = SCENARIO.replace('name = "small"', 'name = "other"\nstory = "Told anew."')
    assert cell_key(load(write(tmp_path, renamed))) == key
    for changed in (
        {"impact__bp_per_usd_bn": 3.0000001},
        {"simulation__seed": 1},
        {"simulation__paths": 258},
        {"book__scale": -1.0},
        {"hedging__kind": "none"},
        {"measure__band_points": 4.0},
    ):
        assert cell_key(load(write(tmp_path), **changed)) != key, changed
    made_with = cells.code_versions()
    for name in made_with:
        monkeypatch.setattr(cells, "code_versions", lambda name=name: made_with | {name: "other"})
        assert cell_key(scenario) != key, name


def test_the_same_numbers_under_another_name_are_one_cell(tmp_path, scenario):
    store = CellStore(tmp_path / "cells")
    store.compute(scenario)
    renamed = store.compute(load(write(tmp_path, SCENARIO.replace("small", "other"))))
    assert renamed["name"] == "other"
    assert counts(store) == (1, 1, 0)


def test_without_a_folder_nothing_is_kept(tmp_path, scenario, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    store = CellStore(None)
    store.compute(scenario)
    store.compute(scenario)
    assert counts(store) == (0, 2, 0)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_written_is_an_input_error(tmp_path, scenario):
    (tmp_path / "file").write_text("taken")
    with pytest.raises(InputError, match="cannot write"):
        CellStore(tmp_path / "file").compute(scenario)


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path):
    path, contents = tmp_path / "cell.json", [bytes([65 + i]) * 200_000 for i in range(8)]
    writers = [threading.Thread(target=write_bytes, args=(path, text)) for text in contents for _ in range(5)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            seen.add(path.read_bytes())
    for writer in writers:
        writer.join()
    assert seen | {path.read_bytes()} <= set(contents)
    assert list(tmp_path.iterdir()) == [path]


def test_the_fingerprint_covers_what_makes_numbers_and_no_picture():
    found = own_sources()
    deciding = {
        "runs/runner",
        "runs/cell_store",
        "spec/build",
        "spec/kinds",
        "spec/tables",
        "spec/load",
        "record",
    }
    assert deciding <= set(found)
    assert not [name for name in found if name.startswith(("pages/", "cli/")) or "figures" in name]
