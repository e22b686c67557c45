"""Compiled programs kept between runs of the command line, in a folder of the user's.

What jax compiled once it can read back, which halves a second run. What it reads it executes: so the folder
is the user's alone, or it is not used. Nothing here imports jax; jax reads the environment that is set here
when it is first imported, inside a command.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
import sys
import warnings
from collections.abc import MutableMapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

__all__ = ["MOST_BYTES", "SWITCH", "Kept", "find_cache", "keep_compiled_programs"]

SWITCH = "GAMMAWALL_COMPILE_CACHE"
"""The environment variable that switches the cache off, or names another folder for it."""
MOST_BYTES = 256 * 2**20
"""When the folder has grown beyond this, its oldest programs go, down to half of it."""
_JAX_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_SETTINGS = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
_OFF = ("off", "0", "no", "false")
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class Kept:
    """Where compiled programs are kept, or why they are not."""

    folder: Path | None
    why: str
    """said after the folder, or in its place"""

    @property
    def bytes(self) -> int:
        return sum(size for _, size, _ in _programs(self.folder)) if self.folder is not None else 0


def keep_compiled_programs(environment: MutableMapping[str, str] = os.environ) -> Kept:
    """Let jax keep its compiled programs; called by the command line alone, before jax is imported.

    Never fails: without a folder that is the user's alone, programs are compiled anew. Warnings that one
    could not be read or written, as on a full disk, are not shown: the run is right all the same.
    """
    kept = find_cache(environment)
    if kept.folder is not None and _JAX_FOLDER not in environment:
        environment[_JAX_FOLDER] = str(kept.folder)
        for name, value in _SETTINGS.items():
            environment.setdefault(name, value)
        # jax says so once per program.
        warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache")
        _make_room(kept.folder.parent)
    return kept


def find_cache(environment: MutableMapping[str, str] = os.environ) -> Kept:
    """The folder in use, made with mode 0700 where there is none yet; or the reason why there is none."""
    told, own = environment.get(SWITCH, "").strip(), environment.get(_JAX_FOLDER)
    if own and Path(own).name != _version():
        return Kept(Path(own), f"as {_JAX_FOLDER} says")
    if told.lower() in _OFF:
        return Kept(None, f"off, as {SWITCH} says")
    if os.name != "posix" and not told:
        return Kept(None, f"off: name a folder of yours with {SWITCH}")
    base = Path(told) if told else _home(environment)
    if base is None or not base.is_absolute():
        return Kept(None, f"off: there is no home folder; name an absolute one with {SWITCH}")
    folder = base / _version()
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        for place in (base, folder):
            if reason := _unsafe(place):
                return Kept(None, f"off: {place} {reason}; mend it or name another folder with {SWITCH}")
    except OSError as error:
        return Kept(None, f"off: cannot use {folder} ({error.strerror or error}); name another with {SWITCH}")
    return Kept(folder, f"{SWITCH}=off switches it off")


def _home(environment: MutableMapping[str, str]) -> Path | None:
    """The user's cache folder, by the rule of the platform."""
    if cache := environment.get("XDG_CACHE_HOME"):
        return Path(cache) / "gammawall"
    if not (home := environment.get("HOME")):
        return None
    return Path(home) / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "gammawall"


def _unsafe(place: Path) -> str | None:
    """Why a folder is not the user's alone."""
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return "is not a folder"
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        return "belongs to another user"
    if os.name == "posix" and found.st_mode & _OTHERS_MAY_WRITE:
        return "may be written by others"
    return None


def _version() -> str:
    """What a compiled program depends on besides its source: the versions and the kind of processor."""
    words = [metadata.version(name) for name in ("gammawall", "jax", "jaxlib")]
    return "-".join([*words, hashlib.sha256(_processor().encode()).hexdigest()[:12]])


def _processor() -> str:
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
        told = ("model name", "flags", "Features")
        rows = [row for row in first.splitlines() if row.split(":")[0].strip() in told]
        return "\n".join([platform.machine(), *rows])
    return f"{platform.machine()} {platform.processor()}"


def _programs(base: Path) -> list[tuple[float, int, Path]]:
    """Time, size and path of every program below a folder."""
    found = []
    for path in base.rglob("*-cache"):
        with contextlib.suppress(OSError):
            told = path.lstat()
            found.append((told.st_mtime, told.st_size, path))
    return found


def _make_room(base: Path) -> None:
    """Take the oldest programs away, those of other versions first, once all together are too large."""
    programs = _programs(base)
    total = sum(size for _, size, _ in programs)
    if total <= MOST_BYTES:
        return
    current = _version()
    for _, size, path in sorted(programs, key=lambda p: (p[2].parent.name == current, p[0])):
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size
        if total <= MOST_BYTES // 2:
            return
