"""Reading scenario files: inheritance, overrides, and every mistake with its line."""

from __future__ import annotations

import copy
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gammawall.scenarios.spec.build import build
from gammawall.scenarios.spec.catalogue import locate, read_text
from gammawall.scenarios.spec.mistakes import Keys
from gammawall.scenarios.spec.scalars import shown
from gammawall.scenarios.spec.scenario import Scenario
from gammawall.scenarios.spec.schema import problems
from gammawall.surfaces.errors import InputError

__all__ = ["as_scenario", "load", "read_setting", "vary"]

_DEPTH = 8
_LEVELS = 16


def load(
    name_or_path: str | os.PathLike[str],
    *,
    chain: str | os.PathLike[str] | None = None,
    settings: Sequence[str] = (),
    **overrides: Any,
) -> Scenario:
    """Read a scenario of the library or a TOML file, and build what it describes.

    Args:
        name_or_path: a name of `library`, or the path of a TOML file.
        chain: a quote file that takes the place of the scenario's market, book and measure.
        settings: overrides as text, ``"impact.bp_per_usd_bn=6"``; the value is TOML.
        **overrides: overrides by key, with ``__`` between levels: ``impact__bp_per_usd_bn=6``.

    Raises:
        InputError: the file cannot be read, or has mistakes; `problems` lists them all.

    Example:
        >>> scenarios.load("pin-7000", impact__bp_per_usd_bn=6.0).impact.bp_per_usd_bn
        6.0
    """
    data, where = _read(locate(name_or_path), _DEPTH)
    data = copy.deepcopy(data if chain is None else _replace_by_chain(data, chain))
    lines, changes = [], []
    asked = [(f"--set {text}", partial(read_setting, text)) for text in settings]
    asked += [(f"{key}={shown(value)}", partial(_override, key, value)) for key, value in overrides.items()]
    for origin, read in asked:
        try:
            keys, value = read()
            _assign(data, keys, value)
        except ValueError as error:
            lines.append(f"{origin}: {error}")
            continue
        where[keys] = origin
        for length in range(1, len(keys)):
            where.setdefault(keys[:length], origin)
        changes.append((keys, value))
    spec, found = problems(_with_changes(data, changes))
    lines += [f"{_dotted(keys)} ({_origin(keys, where)}): {text}" for keys, text in found]
    if lines or spec is None:
        count = "a mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        raise InputError(f"{os.fspath(name_or_path)} has {count}:", problems=tuple(lines))
    return build(spec)


def as_scenario(scenario: Scenario | str | os.PathLike[str]) -> Scenario:
    """A scenario as it is, or loaded by its name or path."""
    return scenario if isinstance(scenario, Scenario) else load(scenario)


def vary(scenario: Scenario, settings: Sequence[str]) -> Scenario:
    """A scenario with some of its keys set anew, as ``--set`` does: ``["impact.bp_per_usd_bn=6"]``.

    Raises:
        InputError: the scenario then has mistakes; `problems` lists them all.
    """
    if not settings:
        return scenario
    data = scenario.spec.model_dump(exclude_unset=True)
    lines = []
    for text in settings:
        try:
            _assign(data, *read_setting(text))
        except ValueError as error:
            lines.append(f"{text}: {error}")
    spec, found = problems(data)
    lines += [f"{'.'.join(map(str, keys))}: {sentence}" for keys, sentence in found]
    if lines or spec is None:
        raise InputError(f"{scenario.name} cannot be set to {', '.join(settings)}:", problems=tuple(lines))
    return build(spec)


def _read(path: Path, depth: int) -> tuple[dict[str, Any], dict[Keys, str]]:
    """The merged data of a file and its ancestors, and where each key was written."""
    text = read_text(path)
    try:
        own = _shallow(tomllib.loads(text))
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{path} is not valid TOML: {reason}") from None
    where = {keys: f"line {line}" for keys, line in _line_numbers(text).items()}
    book = own.get("book")
    if isinstance(book, dict) and isinstance(book.get("chain"), str):
        # A scenario travels with its quotes, so their path starts from the scenario's folder.
        book["chain"] = str(path.parent / book["chain"])
    parent = own.pop("extends", None)
    if parent is None:
        return own, where
    line = f"{path}, {where.get(('extends',), 'line 1')}"
    if not isinstance(parent, str):
        raise InputError(f"{line}: extends must name a scenario or a .toml file; got {shown(parent)}")
    if depth == 0:
        raise InputError(f"{line}: extends goes more than {_DEPTH} files deep; do they extend each other?")
    beside = path.parent / parent
    try:
        base, inherited = _read(beside if beside.suffix == ".toml" else locate(parent), depth - 1)
    except InputError as error:
        # The innermost message already names the file and line that are to blame.
        raise InputError(f"{error}" if depth < _DEPTH else f"{line}: extends {parent!r}: {error}") from None
    inherited = {k: place if " of " in place else f"{place} of {parent}" for k, place in inherited.items()}
    return _merge(base, own), inherited | where


def _shallow(data: dict[str, Any]) -> dict[str, Any]:
    """The data itself; dotted keys nest deeper than the parser's own recursion would allow."""
    level: list[Any] = [data]
    for _ in range(_LEVELS):
        inner = [v.values() if isinstance(v, dict) else v for v in level]
        level = [v for values in inner for v in values if isinstance(v, dict | list)]
        if not level:
            return data
    raise RecursionError


def _merge(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _replace_by_chain(data: Mapping[str, Any], chain: str | os.PathLike[str]) -> dict[str, Any]:
    """Keep what a chain does not know: dynamics, impact, hedging, simulation."""
    if not isinstance(chain, (str, os.PathLike)):
        raise InputError(f"chain must be the path of a quote file; got a {type(chain).__name__}")
    kept = {"book": ("convention", "size", "scale"), "market": ("overnight", "weekend")}
    tables = {
        name: {k: v for k, v in data[name].items() if k in keys} if isinstance(data.get(name), dict) else {}
        for name, keys in kept.items()
    }
    return {
        **data,
        "market": tables["market"],
        "book": {**tables["book"], "chain": os.fspath(chain)},
        "measure": {},
        "claim": None,
        "story": f"The options of {Path(chain).name}, from its own time to the close of that session.",
        "facts": ["Quotes, open interest, spot and time are the file's."],
        "assumptions": [
            "Who is long each option is a convention, not a fact: see book.convention.",
            "Impact and the hedged share are the scenario's: see impact.bp_per_usd_bn and hedging.fraction.",
            "The price is driven by the chain's own implied vol unless market.vol_pct is set; that vol "
            "already reflects whatever hedging the market expects.",
        ],
    }


def _with_changes(data: dict[str, Any], changes: Sequence[tuple[Keys, Any]]) -> dict[str, Any]:
    """Say in the assumptions what was overridden: sentences written for the file may no longer hold."""
    said = data.get("assumptions", [])
    if not changes or not isinstance(said, list):
        return data
    text = ", ".join(f"{_dotted(keys)} = {shown(value)}" for keys, value in changes)
    return data | {"assumptions": [f"Set for this run, whatever else is said here: {text}.", *said]}


def _keys(dotted: str) -> Keys:
    return tuple(int(k) if k.isdigit() else k for k in re.sub(r"\[(\d+)\]", r".\1", dotted).split("."))


def read_setting(text: str) -> tuple[Keys, Any]:
    key, sign, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not sign or not re.fullmatch(r"\w[\w-]*(\.[\w-]+|\[\d+\])*", key):
        raise ValueError("must be key=value, such as impact.bp_per_usd_bn=6")
    try:
        read = _shallow(tomllib.loads(f"value = {value}"))
    except (ValueError, RecursionError):
        read = {}
    # A bare word is meant as text: --set hedging.kind=none
    return _keys(key), read["value"] if read.keys() == {"value"} else value


def _override(key: str, value: object) -> tuple[Keys, object]:
    return _keys(key.replace("__", ".")), value


def _assign(data: dict[str, Any], keys: Keys, value: object) -> None:
    at: Any = data
    try:
        for key in keys[:-1]:
            at = at.setdefault(str(key), {}) if isinstance(at, dict) else at[key]
        at[str(keys[-1]) if isinstance(at, dict) else keys[-1]] = value
    except (IndexError, TypeError):
        raise ValueError(f"there is no {_dotted(keys)} to set; positions count from 0") from None


def _dotted(keys: Keys) -> str:
    text = ""
    for key in keys:
        # A key is text of others and must not reach a terminal as control characters.
        name = key if isinstance(key, int) or key.isprintable() else repr(key)[1:-1]
        text += f"[{key}]" if isinstance(key, int) else f".{name}" if text else str(name)
    return text


def _origin(keys: Keys, where: Mapping[Keys, str]) -> str:
    """Where a key, or failing that the nearest table around it, was written."""
    for length in range(len(keys), 0, -1):
        if keys[:length] in where:
            return where[keys[:length]]
    return "not in the file"


_HEADER = re.compile(r"^\s*(\[\[?)([A-Za-z0-9_.\- \t\"']+)\]\]?\s*(#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\-\"']+)\s*=")
_LONG = re.compile(r"\"\"\"|'''")


def _line_numbers(text: str) -> dict[Keys, int]:
    """Line of every table and key; good enough for messages, the values themselves come from the parser."""
    found: dict[Keys, int] = {}
    table: Keys = ()
    count: dict[Keys, int] = {}
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        began, inside = inside, inside ^ (len(_LONG.findall(line)) % 2 == 1)
        if began:
            continue
        if header := _HEADER.match(line):
            table = tuple(part.strip(" \t\"'") for part in header[2].split("."))
            for length in range(1, len(table)):
                found.setdefault(table[:length], number)
            if header[1] == "[[":
                found.setdefault(table, number)
                count[table] = count.get(table, -1) + 1
                table = (*table, count[table])
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *(part.strip("\"'") for part in key[1].split("."))), number)
    return found
