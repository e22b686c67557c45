"""What a result was made with."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, TypedDict

import jax

__all__ = ["Environment", "Provenance", "environment"]


class Environment(TypedDict):
    """What made a result, beside its inputs; the last is an ISO time."""

    version: str
    git_commit: str | None
    git_changed: bool | None
    jax_version: str
    python_version: str
    device: str
    dtype: str
    created: str


class Provenance(Environment):
    """What is needed to repeat a result."""

    seed: int
    scenario_hash: str
    chain_sha256: str | None
    kinds: dict[str, Any]
    """of other packages: package, version and digest of their source"""


def environment() -> Environment:
    """Versions, source commit, device and time: what a result needs to be repeated, beside its inputs."""
    commit, changed = _git_state()
    return {
        "version": metadata.version("gammawall"),
        "git_commit": commit,
        "git_changed": changed,
        "jax_version": jax.__version__,
        "python_version": platform.python_version(),
        "device": f"{jax.devices()[0].platform}: {jax.devices()[0].device_kind}",
        "dtype": "float64",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _git_state() -> tuple[str | None, bool | None]:
    """Commit of the source tree this runs from and whether its code differs; None when installed."""
    folder = Path(__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None, None

    def git(*words: str) -> str:
        asked = ["git", "-C", str(folder), *words]
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "surfaces", "sim", "scenarios")
        return git("rev-parse", "HEAD"), bool(changed)
    except (OSError, subprocess.SubprocessError):
        return None, None
