"""Facts about this installation, and one number of each layer against a value known beforehand."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata

import jax
import numpy as np
from scipy.special import ndtr

from gammawall.sim.noise import philox4x32
from gammawall.surfaces.black import black_price

__all__ = ["Check", "examine"]

_PACKAGES = ("jax", "jaxlib", "numpy", "pandas", "scipy", "optax", "pydantic", "plotly")


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, what was found, whether it is as it should be."""

    name: str
    text: str
    good: bool = True


def examine() -> list[Check]:
    """Versions, devices, precision, and known answers."""
    devices = jax.devices()
    x64 = bool(jax.config.read("jax_enable_x64"))
    names = ", ".join(f"{d.platform} ({d.device_kind})" for d in devices)
    faster = "; a GPU build of jax would simulate there" if devices[0].platform == "cpu" else ""
    return [
        Check("gammawall", metadata.version("gammawall")),
        Check("python", f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores"),
        Check("packages", ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)),
        Check("devices", names + faster),
        Check(
            "precision",
            f"float64 inside gammawall; jax's own default here is {'float64' if x64 else 'float32'}",
        ),
        _black_check(),
        _generator_check(),
    ]


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
