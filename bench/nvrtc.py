"""NVRTC, CUDA's compiler as a library: jax's CUDA wheels bring it along."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
from ctypes import byref
from pathlib import Path
from typing import Any

__all__ = ["CudaError", "compiled", "find_nvrtc"]

_SOURCES = Path(__file__).resolve().parent / "c"


class CudaError(RuntimeError):
    """A call of the driver or of the compiler failed."""


def find_nvrtc() -> str | None:
    """The newest NVRTC of the installed wheels, else the system's."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in spec.submodule_search_locations or []] if spec is not None else []
    found = sorted(str(file) for folder in folders for file in folder.glob("*/lib/libnvrtc.so*"))
    found = found or sorted(str(file) for file in Path("/usr/local").glob("cuda*/lib64/libnvrtc.so*"))
    return found[-1] if found else ctypes.util.find_library("nvrtc")


def compiled(source: str, architecture: str, library: str) -> bytes:
    """Machine code of a file of bench/c.

    Args:
        source: name of the file.
        architecture: as "sm_90".
        library: NVRTC.

    Raises:
        CudaError: it does not compile; the compiler's first complaint is in the message.
        OSError: there is no such library.
    """
    nvrtc, program, size = ctypes.CDLL(library), ctypes.c_void_p(), ctypes.c_size_t()

    def call(name: str, *arguments: Any) -> None:
        if status := getattr(nvrtc, name)(*arguments):
            raise CudaError(f"{name} failed with code {status}{_complaint(nvrtc, program)}")

    headers = sorted(_SOURCES.glob("*.h"))
    texts = (ctypes.c_char_p * len(headers))(*(file.read_bytes() for file in headers))
    names = (ctypes.c_char_p * len(headers))(*(file.name.encode() for file in headers))
    options = (ctypes.c_char_p * 1)(f"--gpu-architecture={architecture}".encode())
    text = (_SOURCES / source).read_bytes()
    call("nvrtcCreateProgram", byref(program), text, source.encode(), len(headers), texts, names)
    try:
        call("nvrtcCompileProgram", program, len(options), options)
        call("nvrtcGetCUBINSize", program, byref(size))
        binary = ctypes.create_string_buffer(size.value)
        call("nvrtcGetCUBIN", program, binary)
    finally:
        nvrtc.nvrtcDestroyProgram(byref(program))
    return binary.raw


def _complaint(nvrtc: ctypes.CDLL, program: ctypes.c_void_p) -> str:
    size = ctypes.c_size_t()
    if not program or nvrtc.nvrtcGetProgramLogSize(program, byref(size)) or size.value < 2:
        return ""
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    return ": " + log.value.decode(errors="replace").splitlines()[0]
