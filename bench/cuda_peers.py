"""Hand-written CUDA kernels beside the same jobs of ours, where there is a GPU."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import jax
import numpy as np
from cuda import Cuda
from jobs import GPU_PATHS, array_bytes, contracts, fixed_rows, flat_book, same_greeks, same_law
from measure import Line, beside, timed
from nvrtc import CudaError

__all__ = ["cuda_greeks", "cuda_lines", "cuda_paths"]


def cuda_lines(lines: list[Line], *, quick: bool) -> Iterator[Line]:
    """The kernels beside `lines`, those of the same jobs in this run."""
    if jax.default_backend() != "gpu":
        print(f"no CUDA kernels: jax runs on the {jax.default_backend()}")
        return
    gpu = Cuda()
    if not gpu.available:
        print(f"no CUDA kernels: {gpu.why_not}")
        return
    count = (2_000_000 if quick else 32_000_000) // 8
    try:
        for dtype in (np.float64, np.float32):
            yield cuda_greeks(gpu, lines, contracts(count, dtype))
        yield cuda_paths(gpu, lines, GPU_PATHS)
    except CudaError as error:
        print(f"no more CUDA kernels: {error}")


def cuda_greeks(gpu: Cuda, lines: list[Line], columns: list[np.ndarray]) -> Line:
    """Eleven greeks of F, K, T, σ, r and call flags."""
    *numbers, is_call = columns
    dtype, count = numbers[0].dtype, is_call.size
    kernel = gpu.kernel("greeks.cu", "greeks64" if dtype == np.float64 else "greeks32")
    try:
        given = [gpu.put(c) for c in (*numbers, np.where(is_call, 1.0, -1.0).astype(dtype))]
        out = gpu.room(11 * count * dtype.itemsize)

        def run() -> None:
            gpu.run(kernel, count, ctypes.c_long(count), *given, out)

        timing = timed(run)
        found = gpu.get(out, np.empty((11, count), dtype))
    finally:
        gpu.free()
    same_greeks("the CUDA kernel", found, columns)
    name = f"greeks, 11 outputs, {count:,}, {dtype.name}, on the device"
    moved = count * array_bytes(dtype.type, 11)
    return Line.of(f"{name}, CUDA kernel", timing, count, "contract", bytes=moved, **beside(lines, name))


def cuda_paths(gpu: Cuda, lines: list[Line], count: int, steps: int = 390) -> Line:
    """Path-steps of the fixed book, all of a path's in one launch."""
    rows, numbers = fixed_rows(*flat_book(), steps)
    kernel = gpu.kernel("paths.cu", "paths")
    sizes = ctypes.c_long(count), ctypes.c_int(steps), ctypes.c_int(rows.shape[1])
    try:
        table, out = gpu.put(rows), gpu.room(16 * count)
        doubles = [ctypes.c_double(x) for x in numbers]
        timing = timed(lambda: gpu.run(kernel, count, *sizes, table, *doubles, out))
        same_law("the CUDA kernel", gpu.get(out, np.empty((count, 2))))
    finally:
        gpu.free()
    start = "path-steps, one strike"
    name = f"{start}, {count:,} × {steps}"
    own = beside(lines, name) or beside(lines, start)
    return Line.of(f"{name}, CUDA kernel", timing, count * steps, "path-step", **own)
