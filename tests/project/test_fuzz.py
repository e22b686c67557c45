"""A few hundred damaged files of every kind; `make fuzz` reads twenty thousand."""

from __future__ import annotations

import os
import random

import pytest

from gammawall.surfaces.errors import InputError
from tests.helpers.fuzz import Reader, damage_bytes, damage_text, fuzz

pytestmark = pytest.mark.skipif(os.name != "posix", reason="inputs that hang are stopped by a signal")


def test_damaged_files_are_read_or_refused(tmp_path):
    counts, failures = fuzz(300, 20, tmp_path)
    assert failures == []
    assert len(counts) == 10
    assert all(found["accepted"] + found["refused"] == 30 for found in counts.values())
    assert sum(found["refused"] for found in counts.values()) > 200


def test_anything_else_is_counted(tmp_path):
    """The control: a reader with a bug, one that hands damage on, and one that does neither."""

    def careless(content: bytes) -> bool:
        if content != b"[1, 2]":
            raise ValueError("a bug")
        return True

    def careful(content: bytes) -> bool:
        if content != b"[1, 2]":
            raise InputError("damaged")
        return True

    kinds = [Reader(read.__name__, [b"[1, 2]"], damage_text, read) for read in (careless, careful)]
    counts, failures = fuzz(40, 1, tmp_path, kinds)
    assert counts["careless"]["anything else"] == len(failures) > 15
    assert counts["careful"]["anything else"] == 0
    assert "ValueError: a bug" in failures[0]
    with pytest.raises(AssertionError, match="a whole strict is refused"):
        fuzz(1, 1, tmp_path, [Reader("strict", [b"1"], damage_text, lambda content: False)])


@pytest.mark.parametrize("damage", [damage_text, damage_bytes])
def test_the_same_seed_makes_the_same_damage(damage):
    whole = b'{"a": [1.5, 2], "b": "text"}\n' * 20
    made = [damage(whole, random.Random(seed)) for seed in [*range(50), *range(50)]]
    assert made[:50] == made[50:]
    assert len(set(made)) > 45


@pytest.mark.slow
def test_thousands_of_damaged_files(tmp_path):
    counts, failures = fuzz(5000, 5, tmp_path)
    assert failures == []
    assert all(found["accepted"] for found in counts.values())
