"""Progress on stderr: bars with ETA on a terminal, a line now and then elsewhere, nothing with --quiet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from qtlplat.cli.render.terminal import clean, note, stderr_console
from qtlplat.cli.settings import suggest
from qtlplat.progress import Progress, Silent, Stage

QUIET_SECONDS = 10.0  # between two lines where there is no terminal


def make_progress(verbosity: int) -> Progress:
    """What fits stderr: bars, lines or silence."""
    if verbosity < 0:
        return Silent()
    return _Bars() if stderr_console().is_terminal else _Lines()


class _Bars:
    """One rich bar per stage; notes are printed above it."""

    def __init__(self) -> None:
        self.console = stderr_console()

    def note(self, text: str) -> None:
        """Print one line above the bar."""
        self.console.print(clean(suggest(text)), soft_wrap=True)  # a command in it can be copied

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Stage]:
        """A bar of `total` steps with elapsed and remaining time."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress as Bar,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
        )
        with Bar(*columns, console=self.console) as bar:
            task = bar.add_task(clean(title), total=total, detail="")

            class One:
                def advance(self, steps: int = 1, detail: str = "") -> None:
                    bar.advance(task, steps)
                    if detail:
                        bar.update(task, detail=clean(detail))

            yield One()


class _Lines:
    """A line at the start and the end of a stage, and one every ten seconds with the time left."""

    def note(self, text: str) -> None:
        """Print one line."""
        note(text)

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Stage]:
        """Lines about `total` steps."""
        started = said = time.monotonic()
        done, latest = 0, ""

        class One:
            def advance(self, steps: int = 1, detail: str = "") -> None:
                nonlocal done, said, latest
                done, latest, now = done + steps, detail or latest, time.monotonic()
                if now - said >= QUIET_SECONDS and done < total:
                    said = now
                    left = f", at most {(now - started) / done * (total - done):.0f} s left" if done else ""
                    note(f"{title}: {done}/{total}{left}{', ' + latest if latest else ''}")

        note(f"{title} ...")
        yield One()
        note(f"{title}: done in {time.monotonic() - started:.1f} s{', ' + latest if latest else ''}")
