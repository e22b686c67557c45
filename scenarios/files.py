"""Reading scenario files: the library, inheritance, overrides, and mistakes with their line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from gammawall.scenarios.build import build
from gammawall.scenarios.schema import Scenario, problems
from gammawall.surfaces.errors import InputError

__all__ = ["library", "load", "read_text"]

_LIMIT_BYTES = 1_000_000
_DEPTH = 8
Path_ = tuple[str | int, ...]


def library() -> dict[str, Path]:
    """Name → file of every scenario that comes with the project."""
    folder = Path(str(resources.files("gammawall.scenarios"))) / "library"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load(
    name_or_path: str, *, chain: str | None = None, settings: Sequence[str] = (), **overrides: Any
) -> Scenario:
    """Read a scenario of the library or a TOML file, and build what it describes.

    Args:
        name_or_path: a name of `library`, or the path of a TOML file.
        chain: a quote file that takes the place of the scenario's market, book, and measured strike.
        settings: overrides as text, ``"impact.bp_per_usd_bn=6"``; the value is TOML.
        **overrides: overrides by key, with ``__`` between levels: ``impact__bp_per_usd_bn=6``.

    Raises:
        InputError: the file cannot be read, or has mistakes; all of them are listed.
    """
    path = _locate(name_or_path)
    data, where = _read(path, _DEPTH)
    if chain is not None:
        data = _replace_by_chain(data, chain)
    for text in settings:
        keys, value = _setting(text)
        _assign(data, keys, value, where, f"--set {text}")
    for key, value in overrides.items():
        _assign(data, _keys(key.replace("__", ".")), value, where, f"{key}={value!r}")
    part, found = problems(data)
    if part is None:
        lines = [f"{_dotted(keys)} ({_origin(keys, where)}): {text}" for keys, text in found]
        count = "a mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        raise InputError(f"{name_or_path} has {count}:", problems=tuple(lines))
    return build(part)


def read_text(path: Path) -> str:
    """A text file of limited size.

    Raises:
        InputError: missing, not a file, too large or not UTF-8.
    """
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise InputError(f"{path} is larger than {_LIMIT_BYTES:,} bytes: it is not a scenario file")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: it is not a scenario file") from None


def _locate(name_or_path: str) -> Path:
    known = library()
    if name_or_path in known:
        return known[name_or_path]
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.exists():
        return path
    raise InputError(
        f"there is no scenario {name_or_path!r}: use one of {', '.join(known)}, or the path of a .toml file"
    )


def _read(path: Path, depth: int) -> tuple[dict[str, Any], dict[Path_, str]]:
    """The merged data of a file and its ancestors, and where each key was written."""
    text = read_text(path)
    try:
        own = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None
    where = {keys: f"line {line}" for keys, line in _line_numbers(text).items()}
    parent = own.pop("extends", None)
    if parent is None:
        return own, where
    if not isinstance(parent, str) or depth == 0:
        raise InputError(f"{path}: extends must name a scenario (at most {_DEPTH} deep); got {parent!r}")
    beside = path.parent / parent
    base, base_where = _read(beside if beside.suffix == ".toml" else _locate(parent), depth - 1)
    inherited = {keys: f"{place.split(' of ')[0]} of {parent}" for keys, place in base_where.items()}
    return _merge(base, own), inherited | where


def _merge(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _replace_by_chain(data: Mapping[str, Any], chain: str) -> dict[str, Any]:
    """Keep what a chain does not know: impact, hedging, simulation, the band, the profile."""
    book = {k: v for k, v in _table(data, "book").items() if k in ("convention", "size", "scale")}
    market = {k: v for k, v in _table(data, "market").items() if k in ("overnight", "weekend")}
    measure = {k: v for k, v in _table(data, "measure").items() if k == "band_points"}
    return {
        **data,
        "market": market,
        "book": {**book, "chain": chain},
        "measure": measure,
        "story": f"The options of {Path(chain).name}, from the time of its quotes to the close of that session.",
        "facts": ["Quotes, open interest, spot and time are the file's."],
        "assumptions": [
            "Who is long each option is a convention, not a fact: see book.convention.",
            "Impact, the hedged share and the vol that drives the price are the scenario's, unless noted.",
        ],
    }


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name, {})
    return value if isinstance(value, Mapping) else {}


def _keys(dotted: str) -> Path_:
    return tuple(int(k) if k.isdigit() else k for k in dotted.split("."))


def _setting(text: str) -> tuple[Path_, Any]:
    key, sign, value = text.partition("=")
    key = key.strip()
    if not sign or not re.fullmatch(r"[A-Za-z0-9_.-]+", key):
        raise InputError(f"--set takes key=value such as impact.bp_per_usd_bn=6; got {text!r}")
    try:
        return _keys(key), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        # A bare word is meant as text: --set hedging.kind=none
        return _keys(key), value.strip()


def _assign(data: dict[str, Any], keys: Path_, value: Any, where: dict[Path_, str], origin: str) -> None:
    at: Any = data
    for i, key in enumerate(keys[:-1]):
        if isinstance(at, list) and isinstance(key, int) and key < len(at):
            at[key] = dict(at[key])
            at = at[key]
        elif isinstance(at, dict) and isinstance(key, str):
            child = at.get(key, {})
            at[key] = (
                list(child) if isinstance(child, list) else dict(child) if isinstance(child, dict) else {}
            )
            at = at[key]
        else:
            raise InputError(f"{origin}: there is no {_dotted(keys[: i + 1])} to set")
    if isinstance(at, list) and not (isinstance(keys[-1], int) and keys[-1] < len(at)):
        raise InputError(f"{origin}: there is no {_dotted(keys)} to set")
    at[keys[-1]] = value
    where[keys] = origin


def _dotted(keys: Path_) -> str:
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text or "scenario"


def _origin(keys: Path_, where: Mapping[Path_, str]) -> str:
    """Where a key, or failing that the nearest table around it, was written."""
    for length in range(len(keys), 0, -1):
        if keys[:length] in where:
            return where[keys[:length]]
    return "not in the file"


_HEADER = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\- \"']+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\-\"']+)\s*=")


def _line_numbers(text: str) -> dict[Path_, int]:
    """Line of every table and key; good enough for messages, the values themselves come from the parser."""
    found: dict[Path_, int] = {}
    table: Path_ = ()
    count: dict[Path_, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = tuple(part.strip(" \"'") for part in header[2].split("."))
            if header[1] == "[[":
                count[table] = count.get(table, -1) + 1
                table = (*table, count[table])
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *(part.strip("\"'") for part in key[1].split("."))), number)
    return found
