"""Ctrl-C that is neither lost nor leaves anything half-written."""

from __future__ import annotations

import signal
from types import FrameType

__all__ = ["heed_interrupts", "interrupted", "on_interrupt"]

_interrupts: list[int] = []


def on_interrupt(number: int, frame: FrameType | None) -> None:
    """Ctrl-C. An exception raised inside jax's garbage-collection callback is lost, so come back soon."""
    _interrupts.append(number)
    if frame is not None and frame.f_code.co_name == "_xla_gc_callback" and hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        return
    raise KeyboardInterrupt


def interrupted() -> bool:
    return bool(_interrupts)


def heed_interrupts() -> None:
    """Stop for a Ctrl-C whose exception was lost on its way, as some extension modules do while loading."""
    if _interrupts:
        raise KeyboardInterrupt
