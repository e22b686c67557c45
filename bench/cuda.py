"""The CUDA kernels of bench/c on the first GPU, through the driver."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any

import numpy as np
from nvrtc import CudaError, compiled, find_nvrtc

__all__ = ["Cuda"]

_COMPUTE_MAJOR, _COMPUTE_MINOR = 75, 76
_THREADS = 256


class Cuda:
    """The first GPU, in the context that jax uses too; `why_not` says what is missing where there is none.

    Args:
        driver: the driver's library.
        compiler: NVRTC's library; not given, it is looked for.
    """

    def __init__(self, driver: str = "libcuda.so.1", compiler: str | None = None) -> None:
        self.why_not = ""
        self._held: list[ctypes.c_uint64] = []
        self._modules: dict[str, ctypes.c_void_p] = {}
        found = compiler or find_nvrtc()
        if found is None:
            self.why_not = "NVRTC is not installed (it comes with jax[cuda13])"
            return
        self._compiler = found
        try:
            self._driver = ctypes.CDLL(driver)
            self._architecture = self._open()
        except (OSError, CudaError) as error:
            self.why_not = f"no CUDA driver or GPU ({error})"

    @property
    def available(self) -> bool:
        return not self.why_not

    def _open(self) -> str:
        device, context, digits = ctypes.c_int(), ctypes.c_void_p(), []
        self._call("cuInit", 0)
        self._call("cuDeviceGet", byref(device), 0)
        for attribute in (_COMPUTE_MAJOR, _COMPUTE_MINOR):
            value = ctypes.c_int()
            self._call("cuDeviceGetAttribute", byref(value), attribute, device)
            digits.append(str(value.value))
        # The primary context is the one that jax works in: no second one competes for the device.
        self._call("cuDevicePrimaryCtxRetain", byref(context), device)
        self._call("cuCtxSetCurrent", context)
        return "sm_" + "".join(digits)

    def put(self, array: np.ndarray) -> ctypes.c_uint64:
        """A copy of an array on the device, until `free`."""
        there = self.room(array.nbytes)
        self._call("cuMemcpyHtoD_v2", there, _address(array), ctypes.c_size_t(array.nbytes))
        return there

    def room(self, size: int) -> ctypes.c_uint64:
        """Device memory of so many bytes, until `free`."""
        there = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", byref(there), ctypes.c_size_t(size))
        self._held.append(there)
        return there

    def get(self, there: ctypes.c_uint64, array: np.ndarray) -> np.ndarray:
        """Fill an array from the device."""
        self._call("cuMemcpyDtoH_v2", _address(array), there, ctypes.c_size_t(array.nbytes))
        return array

    def free(self) -> None:
        """Give back all device memory."""
        while self._held:
            self._call("cuMemFree_v2", self._held.pop())

    def kernel(self, source: str, function: str) -> ctypes.c_void_p:
        """A function of a file of bench/c, compiled for this GPU."""
        if source not in self._modules:
            module = ctypes.c_void_p()
            binary = compiled(source, self._architecture, self._compiler)
            self._call("cuModuleLoadData", byref(module), binary)
            self._modules[source] = module
        found = ctypes.c_void_p()
        self._call("cuModuleGetFunction", byref(found), self._modules[source], function.encode())
        return found

    def run(self, kernel: ctypes.c_void_p, count: int, *arguments: Any) -> None:
        """Launch one thread for each of `count`, with ctypes arguments, and wait until all are done."""
        pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(a) for a in arguments))
        blocks = -(-count // _THREADS)
        self._call("cuLaunchKernel", kernel, blocks, 1, 1, _THREADS, 1, 1, 0, None, pointers, None)
        self._call("cuCtxSynchronize")

    def _call(self, name: str, *arguments: Any) -> None:
        if status := getattr(self._driver, name)(*arguments):
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(status, byref(text))
            raise CudaError(f"{name}: {(text.value or b'unknown error').decode()} ({status})")


def _address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
