"""Lines on stderr that quiet commands print too: what the store says while it works, and warnings of other packages."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qtlplat.errors import safe_repr

MOST_WARNINGS = 20  # different ones; a package that has more to say is not heard
LONGEST = 400  # characters of a warning


class _Notes(logging.Handler):
    """Prints what is logged as one line, inert and without passwords."""

    def emit(self, record: logging.LogRecord) -> None:
        """A line on stderr."""
        from qtlplat.cli.render.terminal import note

        note(record.getMessage())


class _Warnings(logging.Handler):
    """Prints warnings of other packages, raised or logged: each once, as one line."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Records of loggers without a handler."""
        self._say(record.getMessage, record.name.partition(".")[0])

    def show(self, message: Warning | str, category: type[Warning], filename: str, *_: object, **__: object) -> None:
        """Takes the place of ``warnings.showwarning``."""
        self._say(lambda: str(message), _package(filename))

    def _say(self, text: Callable[[], str], package: str) -> None:
        from qtlplat.cli.render.terminal import note

        try:
            words = " ".join(text().split())
        except Exception:  # noqa: BLE001 -- a stranger's __str__
            words = "a warning that cannot be read"
        if words in self._said or len(self._said) > MOST_WARNINGS:
            return
        self._said.add(words)
        if len(self._said) > MOST_WARNINGS:
            note("warning: further warnings are left out")
        else:
            note(f"warning from {safe_repr(package)[1:-1]}: {safe_repr(words, LONGEST)[1:-1]}")


def _package(filename: str) -> str:
    """The name of the package, or module, in which a file lies."""
    parts = Path(filename).parts
    roots = [i for i, part in enumerate(parts) if part in ("site-packages", "dist-packages")]
    return parts[roots[-1] + 1] if roots and roots[-1] + 1 < len(parts) else Path(filename).stem


@contextmanager
def telling() -> Iterator[None]:
    """Inside, what is logged to `qtlplat` is printed, and each warning of another package once."""
    log, handler, others = logging.getLogger("qtlplat"), _Notes(logging.WARNING), _Warnings()
    before = warnings.showwarning, logging.lastResort
    log.addHandler(handler)
    warnings.showwarning, logging.lastResort = others.show, others
    try:
        yield
    finally:
        warnings.showwarning, logging.lastResort = before
        log.removeHandler(handler)
