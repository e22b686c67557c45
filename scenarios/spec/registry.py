"""The kinds that a scenario file can name: where they are registered, and whose code they are.

Light: nothing here loads jax, and another distribution's code is loaded only when a file names a kind that is
not ours, or when the kinds are listed.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import sys
import typing
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gammawall.surfaces.errors import InputError

if TYPE_CHECKING:
    from gammawall.sim import Catalyst

__all__ = [
    "GROUP",
    "OURS",
    "TABLES",
    "Drive",
    "Kind",
    "Package",
    "find_kind",
    "foreign_kinds",
    "kinds_of",
    "register_kind",
]

GROUP = "gammawall.kinds"
"""Entry-point group: each entry is a function without arguments that calls `register_kind`."""

TABLES = {
    "dynamics": "gbm",
    "impact": "linear",
    "hedging": "clearing",
    "surface": "sticky_strike",
    "flow": "none",
}
"""Table of a scenario file → its kind where the file names none."""

LIMITS = ("above", "at_least", "below", "at_most")
_METADATA = (*LIMITS, "one_of", "unit")
_VALUES = (float, int, bool, str, datetime)

_PROCESS = uuid.uuid4().hex
"""stands for code that has no file: results of one process are never taken for another's"""


@dataclass(frozen=True)
class Package:
    """The distribution that a kind comes from."""

    name: str
    version: str | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name} {self.version}"


OURS = Package("gammawall")


@dataclass(frozen=True)
class Kind:
    """One model that a file can name."""

    table: str
    name: str
    parameters: type
    """a frozen dataclass: the keys of its table in a file"""
    build: Callable[..., Any]
    """parameters → object; dynamics and flows are also given the `Drive`"""
    package: Package = OURS
    by_call: bool = False
    """registered in this process by a plain call, so that another call may replace it"""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys that it takes."""
        return tuple(field.name for field in dataclasses.fields(self.parameters))

    def code(self) -> dict[str, str | None]:
        """Whose code it is: what a number depends on besides the file that names the kind."""
        return {
            "package": self.package.name,
            "version": self.package.version,
            "source_sha256": _source_digest(self.parameters, self.build),
        }


@dataclass(frozen=True)
class Drive:
    """What the tables say of the price without hedging, whatever its kind."""

    vol: float
    """annual decimal"""
    drift: float | str = "martingale"
    """"martingale", or a decimal a year"""
    catalysts: tuple[Catalyst, ...] = ()
    """scheduled jumps"""


_FOUND: dict[str, dict[str, Kind]] = {table: {} for table in TABLES}
_LOADING: ContextVar[Package | None] = ContextVar(
    "the distribution whose entry point is running", default=None
)


def register_kind(table: str, name: str, parameters: type, build: Callable[..., Any]) -> None:
    """Make a model of your own nameable in scenario files: ``[impact] kind = "square_root"``.

    A file only names the kind and gives its numbers; it never executes anything. To register in every process
    (the command line, the workers of a sweep on Dask) put the call into a function of an installed
    distribution and name that function in its pyproject.toml; a call in a script or a notebook holds for that
    process alone, and may be repeated to replace the kind.

        [project.entry-points."gammawall.kinds"]
        acme = "acme_impacts:register"

    Args:
        table: "dynamics", "impact", "hedging" (its groups as well), "surface" or "flow".
        name: what a file writes as ``kind``.
        parameters: a frozen dataclass. Its fields are the keys of the table, its defaults theirs; each is a
            float, int, bool, str or datetime, or one of these or None. ``field(metadata=...)`` may hold
            limits, "above", "at_least", "below", "at_most", a sequence "one_of", and a "unit" for messages.
            What its ``__post_init__`` refuses with a `ValueError` is reported with the table.
        build: makes the object that `sim.simulate` takes out of the parameters. For "dynamics" and "flow" it
            is called with a second argument, the `Drive`: vol, drift and catalysts of the unhedged price.

    Raises:
        InputError: the table is unknown, the parameters are no such dataclass, or another distribution has
            this kind already.

    Example:
        >>> from dataclasses import dataclass, field
        >>> from gammawall import scenarios, sim
        >>> @dataclass(frozen=True)
        ... class SquareRoot:
        ...     bp_at_usd_bn_per_min: float = field(metadata={"above": 0.0, "unit": "bp"})
        >>> def build(p):
        ...     return sim.PowerLaw(p.bp_at_usd_bn_per_min, 0.5, 1.0)
        >>> scenarios.register_kind("impact", "square_root", SquareRoot, build)
    """
    loading = _LOADING.get()
    package = loading or _package_of(build)
    add_kind(Kind(table, name, parameters, build, package, by_call=loading is None))


def add_kind(kind: Kind) -> None:
    """Register a kind of a given package.

    Raises:
        InputError: as for `register_kind`.
    """
    wrong = _complaint(kind)
    if wrong:
        raise InputError(f"kind {kind.name!r} of [{kind.table}] cannot be registered: {wrong}")
    if kind.package is not OURS:
        _load_ours()
    there = _FOUND[kind.table].get(kind.name)
    same = there is not None and (there.parameters, there.build) == (kind.parameters, kind.build)
    if there is not None and not same and not (there.by_call and kind.by_call):
        raise InputError(
            f"[{kind.table}] kind {kind.name!r} is taken by {there.package}: choose another name"
        )
    _FOUND[kind.table][kind.name] = kind


def find_kind(table: str, name: str) -> Kind | None:
    """A kind by its name; None where nobody has registered it."""
    _load_ours()
    if name not in _FOUND[table]:
        load_entry_points()
    return _FOUND[table].get(name)


def kinds_of(table: str) -> dict[str, Kind]:
    """Every kind of a table, ours first, then those of other distributions."""
    _load_ours()
    load_entry_points()
    return dict(_FOUND[table])


@functools.cache
def load_entry_points() -> dict[str, str]:
    """Let the installed distributions register their kinds, once a process.

    Returns:
        entry point → why it failed. A plug-in that fails must not stop a run that does not name its kinds.
    """
    failed = {}
    for point in metadata.entry_points(group=GROUP):
        known = point.dist
        package = Package(point.module) if known is None else Package(known.name, known.version)
        try:
            with _registering(package):
                point.load()()
        except Exception as error:  # whatever another's code raises
            failed[f"{package} ({point.value})"] = f"{type(error).__name__}: {error}"
    return failed


@contextmanager
def _registering(package: Package) -> Iterator[None]:
    token = _LOADING.set(package)
    try:
        yield
    finally:
        _LOADING.reset(token)


def _load_ours() -> None:
    import_module("gammawall.scenarios.spec.kinds")


def field_type(parameters: type, name: str) -> type | None:
    """float, int, bool, str or datetime, also where a field may be None; None for another type."""
    said = typing.get_type_hints(parameters)[name]
    options = [t for t in (typing.get_args(said) or (said,)) if t is not type(None)]
    return options[0] if len(options) == 1 and options[0] in _VALUES else None


def _complaint(kind: Kind) -> str | None:
    """What is wrong with a registration, None where nothing is."""
    if kind.table not in TABLES:
        return f"the table must be {', '.join(TABLES)}"
    if not (isinstance(kind.name, str) and kind.name.isidentifier()):
        return "a name must be a word of letters, digits and underscores, such as 'square_root'"
    if not callable(kind.build):
        return f"build must be a function of the parameters; got {kind.build!r}"
    if not (isinstance(kind.parameters, type) and dataclasses.is_dataclass(kind.parameters)):
        return f"parameters must be a frozen dataclass; got {kind.parameters!r}"
    for field in dataclasses.fields(kind.parameters):
        if field.name in ("kind", "group", "profile", "drift", "catalyst"):
            return f"its parameter {field.name!r} has the name of a key that the table has already"
        if field_type(kind.parameters, field.name) is None:
            return (
                f"its parameter {field.name!r} must be a float, int, bool, str or datetime, or one or "
                f"None; got {field.type}"
            )
        unknown = [key for key in field.metadata if key not in _METADATA]
        if unknown:
            return f"the metadata of {field.name!r} may hold {', '.join(_METADATA)}; got {unknown[0]!r}"
    return None


def _package_of(build: Callable[..., Any]) -> Package:
    """The distribution of a function, or failing that its module."""
    top = (getattr(build, "__module__", None) or "__main__").partition(".")[0]
    names = metadata.packages_distributions().get(top)
    return Package(names[0], metadata.version(names[0])) if names else Package(top)


def _source_digest(*objects: object) -> str:
    """SHA-256 of the source of the packages that some objects come from."""
    files: set[Path] = set()
    for thing in objects:
        top = (inspect.getmodule(thing) or sys.modules["__main__"]).__name__.partition(".")[0]
        file = getattr(sys.modules.get(top), "__file__", None)
        if file is None or not Path(file).is_file():
            return f"of this process only: {_PROCESS}"
        path = Path(file)
        files |= set(path.parent.rglob("*.py")) if path.name == "__init__.py" else {path}
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def foreign_kinds() -> list[str]:
    """One line for each kind of another distribution; empty, and quick, where none is installed."""
    if not metadata.entry_points(group=GROUP):
        return []
    found = [kind for table in TABLES for kind in kinds_of(table).values() if kind.package is not OURS]
    return [
        f'[{k.table}] kind = "{k.name}" ({", ".join(k.keys) or "no keys"}), of {k.package}' for k in found
    ]
