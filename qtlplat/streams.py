"""Replacing the streams of the process (`sys.stdout`, ...) while other threads may be printing."""

from __future__ import annotations

import sys
from typing import Any

_EVER: dict[int, Any] = {}  # CPython's `print` holds no reference to its stream: one that is freed meanwhile crashes it


def set_streams(**streams: Any) -> None:
    """Set attributes of `sys`, as ``stdout=...``; the streams that were there stay alive."""
    for name, stream in streams.items():
        before = getattr(sys, name, None)
        _EVER[id(before)] = before
        setattr(sys, name, stream)
