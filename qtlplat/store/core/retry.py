"""Retrying while a server is away, with growing pauses, up to the patience of a store's location.

What the store has to say while it works goes to the logger `qtlplat.store`; the command line prints it.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from qtlplat.store.core.location import StoreLocation

T = TypeVar("T")
LOG = logging.getLogger("qtlplat.store")
SHORTEST_PAUSE = 0.5  # seconds before the second attempt; doubled after every further one
LONGEST_PAUSE = 15.0


def nobody_waits() -> None:
    """The `on_wait` of a caller that nothing can stop."""


def retry(location: StoreLocation, attempt: Callable[[], T], on_wait: Callable[[], None] = nobody_waits) -> T:
    """Call `attempt` until it succeeds or the server has been away for `location.patience` seconds.

    The first retry is immediate: a connection that was kept may have been closed long ago.

    Args:
        location: A store on a server.
        attempt: The action; an error that is not about the connection ends the retries.
        on_wait: Called ten times a second while waiting; may raise to stop.

    Raises:
        Exception: What the last attempt raised.
    """
    until = time.monotonic() + location.patience
    for tries, seconds in zip(itertools.count(1), itertools.chain((0.0,), pauses())):
        try:
            return attempt()
        except Exception as error:
            left = until - time.monotonic()
            if not location.backend.is_away(error) or (tries > 1 and left <= 0):
                raise
            if tries == 2:
                LOG.warning("%s; retrying for %.0f seconds", location.backend.explain_error(error, location).what, left)
        pause(min(seconds, max(left, 0.0)), on_wait)
    raise AssertionError


def pauses() -> Iterator[float]:
    """Seconds between attempts."""
    seconds = SHORTEST_PAUSE
    while True:
        yield seconds
        seconds = min(2 * seconds, LONGEST_PAUSE)


def pause(seconds: float, on_wait: Callable[[], None]) -> None:
    """Sleep, calling `on_wait` ten times a second."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        on_wait()
        time.sleep(min(left, 0.1))
    on_wait()
