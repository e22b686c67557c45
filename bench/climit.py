"""The C loops of bench/c, compiled with the system compiler: the limit beside which jax is measured."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

__all__ = ["CLimit"]

_SOURCES = Path(__file__).resolve().parent / "c"
_COMPILE = ("-Ofast", "-march=native", "-fopenmp", "-fPIC", "-c")
# Linked apart: to a library linked with -Ofast gcc adds code that makes every subnormal number of the process
# zero, ours and those of the peers.
_LINK = ("-fopenmp", "-shared")


class CLimit:
    """Compiled loops; `available` is false, with the reason in `why_not`, where there is no compiler."""

    def __init__(self) -> None:
        self.why_not = ""
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            self.why_not = "no C compiler on this machine"
            return
        self._libraries = {}
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            for name in ("greeks", "paths", "two_metrics"):
                source, made, target = _SOURCES / f"{name}.c", *(Path(folder) / f"{name}.{e}" for e in "os")
                for words in (
                    (*_COMPILE, *_registers(), source, "-o", made),
                    (*_LINK, made, "-o", target, "-lm"),
                ):
                    done = subprocess.run([compiler, *words], capture_output=True, text=True, check=False)
                    if done.returncode:
                        complaint = done.stderr.splitlines()[0] if done.stderr else "?"
                        self.why_not = f"the C compiler failed: {complaint}"
                        return
                self._libraries[name] = ctypes.CDLL(str(target))

    @property
    def available(self) -> bool:
        return not self.why_not

    def greeks(self, columns: list[np.ndarray], out: np.ndarray) -> None:
        """Eleven greeks of [F, K, T, σ, r, ±1] into out [11, n]; float64 or float32 by the columns."""
        wide = columns[0].dtype == np.float64
        function = self._libraries["greeks"]["greeks64" if wide else "greeks32"]
        function(ctypes.c_long(columns[0].size), *(_pointer(c) for c in columns), _pointer(out))

    def paths(self, count: int, table: np.ndarray, numbers: tuple[float, ...], out: np.ndarray) -> None:
        """Path-steps of a fixed book; `numbers` are y_first, y_width, spread, drift, impact, shift, start."""
        steps, cells, _ = table.shape
        doubles = [ctypes.c_double(x) for x in numbers]
        self._libraries["paths"].paths(
            ctypes.c_long(count),
            ctypes.c_int(steps),
            ctypes.c_int(cells),
            _pointer(table),
            *doubles,
            _pointer(out),
        )

    def two_metrics(
        self,
        count: int,
        table: np.ndarray,
        numbers: tuple[float, ...],
        close: tuple[float, ...],
        out: np.ndarray,
    ) -> None:
        """Sums over `count` paths, a multiple of 32, of two metrics of both markets and of their products.

        Args:
            count, table, numbers: as for `paths`.
            close: the band's ends and the strike, log prices, and the log move of its whole hedge.
            out: [20].
        """
        steps, cells, _ = table.shape
        doubles = [ctypes.c_double(x) for x in (*numbers, *close)]
        self._libraries["two_metrics"].two_metrics(
            ctypes.c_long(count),
            ctypes.c_int(steps),
            ctypes.c_int(cells),
            _pointer(table),
            *doubles,
            _pointer(out),
        )


def _registers() -> tuple[str, ...]:
    """XLA told to do without 512-bit registers, the C loops do without them too."""
    return ("-mno-avx512f",) if "--xla_cpu_max_isa=AVX2" in os.environ.get("XLA_FLAGS", "") else ()


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
