"""Patience with a server that is away: tries again for a while, and tells what is being waited for.

What the store has to say while it works goes to the logger `qtlplat.store`; the command line prints it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import TypeVar

from qtlplat.errors import ConfigError, safe_repr
from qtlplat.store.backends import postgres
from qtlplat.store.core.location import StoreLocation

T = TypeVar("T")
LOG = logging.getLogger("qtlplat.store")
DEFAULT_SECONDS = 120.0
PAUSE_SECONDS = 2.0  # between two tries; asking more often would not bring a server back


def nobody_waits() -> None:
    """What is called while waiting, where nobody wants to end it."""


def longest_wait() -> float:
    """Seconds for which a server may be away before a command gives up. Raises ConfigError for what is no number."""
    text = os.environ.get("QTLPLAT_STORE_WAIT", "")
    try:
        return max(0.0, float(text)) if text else DEFAULT_SECONDS
    except ValueError:
        raise ConfigError(
            f"{safe_repr(text)} is not a number of seconds", where="QTLPLAT_STORE_WAIT", fix="QTLPLAT_STORE_WAIT=120"
        ) from None


def patiently(location: StoreLocation, attempt: Callable[[], T], on_wait: Callable[[], None] = nobody_waits) -> T:
    """What `attempt` returns; while the server is away it is tried again, up to `longest_wait` seconds.

    At once first, for a connection that was kept may have been lost long ago. on_wait: called while waiting, may raise.
    Raises what the last attempt raised.
    """
    tries, until = 0, time.monotonic() + longest_wait()
    while True:
        try:
            return attempt()
        except Exception as error:
            assert location.server is not None
            tries += 1
            if not postgres.is_away(error) or (tries > 1 and time.monotonic() >= until):
                raise
            if tries == 2:
                what = postgres.explained(error, location.server).what
                LOG.warning("%s; trying again for %.0f seconds", what, until - time.monotonic())
        if tries > 1:
            pause(min(PAUSE_SECONDS, until - time.monotonic()), on_wait)


def pause(seconds: float, on_wait: Callable[[], None]) -> None:
    """Sleep, but look up every now and then."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        on_wait()
        time.sleep(min(left, 0.1))
    on_wait()
