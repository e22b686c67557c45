"""From a path to text, and the table that every reader hands back."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zlib
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd

from gammawall.surfaces.errors import InputError
from gammawall.surfaces.limits import MOST_BYTES_NAME, allowed_bytes

__all__ = ["LARGEST_BYTES", "RawChain", "Reader", "Request", "load_text"]

LARGEST_BYTES = 512 * 2**20
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 2**20
# Quote files shrink 5 to 30 times; a bomb, a thousand times.
_LARGEST_RATIO = 200
_SMALLEST_BOMB = 32 * 2**20
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
        dropped: contracts listed in the file but not in ``quotes``, by reason.
        latest_trade: time of the last trade listed, a hint where ``as_of`` is missing.
    """

    format: str
    quotes: pd.DataFrame
    spot: float | None
    as_of: pd.Timestamp | None
    notes: tuple[str, ...] = ()
    dropped: dict[str, int] = field(default_factory=dict)
    latest_trade: pd.Timestamp | None = None


@dataclass(frozen=True)
class Request:
    """What the caller said about a file.

    Args:
        name: the file's path, for messages and, for one vendor, the underlying's name.
        as_of: New York instant of the quotes wanted; midnight means any time of that day.
        underlying: the underlying wanted, such as ``SPX``.
    """

    name: str
    as_of: pd.Timestamp | None = None
    underlying: str | None = None


class Reader(Protocol):
    """A module that knows one family of files."""

    def matches(self, head: str) -> bool:
        """True when a file that begins so is of this family."""
        ...

    def read(self, text: str, request: Request) -> RawChain:
        """Everything listed in a file.

        Args:
            text: the whole file.
            request: what the caller said about it.

        Raises:
            InputError: damage, with its file, line, value and mend.
        """
        ...


def load_text(path: str | os.PathLike[str]) -> str:
    """Whole text of a quote file, UTF-8 or UTF-16 with its mark; unpacked when the name ends in ``.gz``.

    Raises:
        InputError: missing, unreadable, empty, too large, binary or in another encoding.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        raise InputError(f"{name} is a folder; give the quote file inside it")
    try:
        size = os.path.getsize(name)
        most = allowed_bytes(LARGEST_BYTES)
        if size > most:
            raise InputError(
                f"{name} has {size / 2**20:.0f} MiB; at most {most // 2**20} are read: split it, or set "
                f"{MOST_BYTES_NAME}"
            )
        with open(name, "rb") as file:
            data = file.read(most)
    except FileNotFoundError:
        raise InputError(f"{name} does not exist; check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read: {error}") from None
    if name.lower().endswith(".gz") and data.startswith(_GZIP_MAGIC):
        data = _unpack(name, data)
    if not data.strip():
        raise InputError(f"{name} is empty; download the quote table again")
    return _decode(name, data)


def _unpack(name: str, data: bytes) -> bytes:
    usual = min(LARGEST_BYTES, max(_SMALLEST_BOMB, _LARGEST_RATIO * len(data)))
    text, allowed = bytearray(), allowed_bytes(usual)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            while chunk := stream.read(_CHUNK):
                text += chunk
                if len(text) > allowed:
                    raise InputError(
                        f"{name} unpacks to more than {allowed / 2**20:.0f} MiB, which no quote file of "
                        f"{len(data) / 2**20:.2g} MiB does: unpack and check it yourself"
                    )
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{name} cannot be unpacked: {error}; download it again") from None
    return bytes(text)


def _decode(name: str, data: bytes) -> str:
    try:
        if data.startswith(_UTF16):
            return data.decode("utf-16")
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{name}, line {line}: not UTF-8 text (byte 0x{data[error.start]:02x}) but compressed, binary or "
            "in another encoding; unpack it (or name it .gz) or save it as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(
            f"{name}, line {line}: holds a zero byte, so it is not a text file; give the CSV itself"
        )
    return text
