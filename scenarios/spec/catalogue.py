"""The scenarios that come with the project. Light, so that listing them answers at once."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path

from gammawall.surfaces.limits import read_limited

__all__ = ["library", "locate", "read_text", "show", "summaries"]

_LIMIT_BYTES = 1_000_000


def library() -> dict[str, Path]:
    """Name → file of every scenario that comes with the project.

    Example:
        >>> scenarios.library()["pin-7000"].name
        'pin-7000.toml'
    """
    return {path.stem: path for path in sorted((Path(__file__).parents[1] / "library").glob("*.toml"))}


def summaries() -> dict[str, str]:
    """Name → first sentence of the story of every scenario of the library."""
    stories = {name: tomllib.loads(read_text(path)).get("story", "") for name, path in library().items()}
    return {name: re.split(r"(?<=\.)\s", story, maxsplit=1)[0] for name, story in stories.items()}


def show(name_or_path: str | os.PathLike[str]) -> str:
    """The text of a scenario file, and a comment for each kind that another distribution adds.

    Args:
        name_or_path: a name of `library`, or the path of a file.

    Raises:
        InputError: there is no such scenario, or its file cannot be read.

    Example:
        >>> print(scenarios.show("pin-7000").splitlines()[0])
        name = "pin-7000"
    """
    from gammawall.scenarios.spec.registry import foreign_kinds

    lines = (f"# also installed: {line}\n" for line in foreign_kinds())
    return "".join([read_text(locate(name_or_path)), *lines])


def locate(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a scenario.

    Args:
        name_or_path: a name of `library`, or the path of a file.

    Raises:
        InputError: neither.
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        kind = type(name_or_path).__name__
        raise _refusal(f"a scenario is given by its name or the path of a .toml file; got a {kind}")
    known, text = library(), os.fspath(name_or_path)
    if text in known:
        return known[text]
    if text.endswith(".toml") or os.path.isfile(text):
        return Path(text)
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    names = ", ".join(known)
    raise _refusal(f"there is no scenario {text[:80]!r}{hint}: use {names}, or the path of a .toml file")


def read_text(path: Path) -> str:
    """A text file of limited size, without a byte-order mark.

    Raises:
        InputError: missing, not a file, too large or not UTF-8.
    """
    try:
        return read_limited(path, _LIMIT_BYTES).decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        reason = error.strerror
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text"
    except ValueError as error:
        reason = error
    raise _refusal(f"{str(path)[:200]} cannot be read as a scenario file: {reason}")


def _refusal(message: str) -> Exception:
    # Importing the error's home loads jax, too slow for a list that comes out right.
    from gammawall.surfaces.errors import InputError

    return InputError(message)
