"""Facts about this installation, and one number of each layer against a value known beforehand."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import jax
import numpy as np
from scipy.special import ndtr

from gammawall.scenarios.compile_cache import find_cache
from gammawall.sim.sampling.noise import philox4x32
from gammawall.surfaces.pricing.black import black_price

__all__ = ["Check", "doctor"]

_PACKAGES = ("jax", "jaxlib", "numpy", "pandas", "scipy", "optax", "pydantic", "plotly")


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, what was found, whether it is as it should be."""

    name: str
    text: str
    good: bool = True


def doctor() -> list[Check]:
    """Check this installation: versions, devices, precision, what would make it faster, and known answers.

    Returns:
        One line each, with its name, its text and whether it is ``good``.

    Example:
        >>> all(check.good for check in scenarios.doctor())
        True
    """
    x64 = bool(jax.config.read("jax_enable_x64"))
    return [
        Check("gammawall", metadata.version("gammawall")),
        Check("python", f"{platform.python_version()} on {platform.machine()}"),
        Check("packages", ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)),
        Check("devices", _devices()),
        Check("cores", _cores()),
        Check("compile cache", _compile_cache()),
        Check(
            "precision",
            f"float64 inside gammawall; jax's own default here is {'float64' if x64 else 'float32'}",
        ),
        _black_check(),
        _generator_check(),
    ]


def _devices() -> str:
    devices = jax.devices()
    names = ", ".join(f"{d.platform} ({d.device_kind})" for d in devices)
    if devices[0].platform != "cpu":
        return names
    if shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists():
        return names + "; there is an NVIDIA GPU that this jax cannot use: pip install 'jax[cuda13]'"
    return (
        names + "; on a machine with a GPU, jax with its plugin (pip install 'jax[cuda13]') simulates there"
    )


def _cores() -> str:
    # What this process may use, which a container or a scheduler can make less than there is.
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else os.cpu_count() or 1
    whole = os.cpu_count() or usable
    text = f"{usable} of {whole} usable" if usable < whole else f"{usable}"
    return text if usable > 1 else text + "; a second one would compile and simulate at the same time"


def _compile_cache() -> str:
    kept = find_cache()
    if kept.folder is None:
        return kept.why
    return (
        f"{kept.folder}, {kept.bytes / 2**20:.1f} MB: a second run reads what was compiled once ({kept.why})"
    )


def _black_check() -> Check:
    """An at-the-money call is F (2 Φ(s/2) − 1)."""
    got, expected = float(black_price(7000.0, 7000.0, 1.0, 0.12)), 7000.0 * (2.0 * float(ndtr(0.06)) - 1.0)
    good = abs(got / expected - 1.0) < 1e-13
    return Check("Black-76", f"at-the-money call {got:.12g}, closed form {expected:.12g}", good)


def _generator_check() -> Check:
    """The published answer of Philox4x32-10 for a zero counter and key."""
    with jax.enable_x64(True):
        zero = jax.numpy.zeros(1, np.uint32)
        words = [int(w[0]) for w in philox4x32((zero, zero, zero, zero), (zero[0], zero[0]))]
    good = words == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    return Check("random numbers", " ".join(f"{w:08x}" for w in words), good)
