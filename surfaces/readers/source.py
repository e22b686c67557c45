"""From a path to text, and the table that every reader hands back."""

from __future__ import annotations

import codecs
import os
from dataclasses import dataclass

import pandas as pd

from gammawall.surfaces.errors import InputError

__all__ = ["LARGEST_BYTES", "RawChain", "load_text"]

LARGEST_BYTES = 512 * 2**20
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class RawChain:
    """What a reader found in a file.

    Args:
        format: name of the file's format.
        quotes: one row per contract as listed, expired ones included, in the columns of ``OptionChain``.
        spot: index level, or None when the file has none.
        as_of: tz-aware instant of the quotes, or None when the file has none.
        notes: sentences about what was assumed.
    """

    format: str
    quotes: pd.DataFrame
    spot: float | None
    as_of: pd.Timestamp | None
    notes: tuple[str, ...] = ()


def load_text(path: str | os.PathLike[str]) -> str:
    """Whole text of a quote file, UTF-8 or UTF-16 with its mark.

    Raises:
        InputError: missing, unreadable, empty, too large, binary or in another encoding.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        raise InputError(f"{name} is a folder; give the quote file inside it")
    try:
        size = os.path.getsize(name)
        if size > LARGEST_BYTES:
            limit = LARGEST_BYTES // 2**20
            raise InputError(f"{name} has {size / 2**20:.0f} MiB; at most {limit} are read: split it")
        with open(name, "rb") as file:
            data = file.read(LARGEST_BYTES)
    except FileNotFoundError:
        raise InputError(f"{name} does not exist; check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read: {error}") from None
    if not data.strip():
        raise InputError(f"{name} is empty; download the quote table again")
    return _decode(name, data)


def _decode(name: str, data: bytes) -> str:
    try:
        if data.startswith(_UTF16):
            return data.decode("utf-16")
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{name}, line {line}: not UTF-8 text (byte 0x{data[error.start]:02x}) but compressed, binary or "
            "in another encoding; unpack it or save it as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(
            f"{name}, line {line}: holds a zero byte, so it is not a text file; give the CSV itself"
        )
    return text
