"""What the store says while it works, as that a server is waited for, as lines on stderr; quiet commands say it too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _Notes(logging.Handler):
    """Prints what is logged as one line, inert and without passwords."""

    def emit(self, record: logging.LogRecord) -> None:
        """A line on stderr."""
        from qtlplat.cli.output import note

        note(record.getMessage())


@contextmanager
def telling() -> Iterator[None]:
    """Inside, what is logged to `qtlplat` is printed."""
    log, handler = logging.getLogger("qtlplat"), _Notes(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
