"""How training says where it is; the command line brings the bars."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Stage(Protocol):
    """One piece of work of known length."""

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """`steps` more are done; `detail` is the latest news, e.g. a loss."""
        ...


class Progress(Protocol):
    """What training reports to."""

    def note(self, text: str) -> None:
        """One line that a user should see."""
        ...

    def stage(self, title: str, total: int) -> AbstractContextManager[Stage]:
        """Around `total` steps of work."""
        ...


class Silent:
    """Discards all reports."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """Say nothing."""

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Stage]:
        """A stage without output."""
        yield self
