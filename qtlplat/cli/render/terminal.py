"""All output goes through this module, so that no value can control a terminal.

Commands print with `say`, `note` and `write_row`, a line at a time, so that a value cannot contain a line break. The
streams are guarded as a whole, too (`guarded_streams`): control characters in the output of click, libraries and
plugins are escaped. Only rich writes its own escape sequences past the guard; its consoles escape each text.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

import click

from qtlplat.cli.settings import suggest
from qtlplat.errors import cut, escape_control, without_passwords
from qtlplat.streams import set_streams

if TYPE_CHECKING:
    from rich.console import Console

LAYOUT = ("\n", "\t")  # the control characters that a stream may get


def clean(text: str) -> str:
    """Text without passwords, and with control characters (ESC, C1, newlines) as escapes: inert in any terminal."""
    return escape_control(without_passwords(text))


def say(*lines: str) -> None:
    """Lines on stdout, one for each text, whatever is in it; an empty one for none."""
    for line in lines or ("",):
        click.echo(clean(line))


def note(message: str) -> None:
    """One line for people on stderr, cut where it would fill the screen; commands in it name their store."""
    click.echo(cut(clean(suggest(message))), err=True)


def complain(lines: Sequence[str]) -> None:
    """What ends a command, on stderr; if nothing can be said there, the exit code says it."""
    with suppress(OSError):
        for line in lines:
            click.echo(clean(line), err=True)


def write_row(cells: Iterable[str]) -> None:
    """A line of tab-separated cells on stdout."""
    click.echo("\t".join(map(clean, cells)))


def write(text: str) -> None:
    """A whole document on stdout, as its format has it (JSON, CSV, ...); its makers spell out what steers."""
    sys.stdout.write(text)


def on_terminal() -> bool:
    """Whether what is printed is looked at by people, and not a listing in a form that was asked for."""
    ctx = click.get_current_context(silent=True)
    asked = ctx.meta.get("qtlplat.listing", {}).get("fmt") if ctx else None
    return sys.stdout.isatty() and not asked


def stdout_console() -> Console:
    """A rich console on stdout: no markup, no highlighting, plain where it is not a terminal; every text is inert."""
    return _console(sys.stdout)


def stderr_console() -> Console:
    """The same on stderr, for progress and notes."""
    return _console(sys.stderr)


def _console(stream: Any) -> Console:
    from qtlplat.cli.render.console import InertConsole

    behind = stream.stream if isinstance(stream, Guarded) else stream
    return InertConsole(file=behind, markup=False, highlight=False, emoji=False)


class Guarded:
    """A text stream that spells out every control character but line breaks and tabs; else as the stream behind it.

    Args:
        stream: what is behind it.
        of_threads: where to write what another thread than the main one says; answers are of the main thread.
    """

    def __init__(self, stream: TextIO, of_threads: TextIO | None = None) -> None:
        self.stream, self.of_threads = stream, of_threads or stream

    def write(self, text: str) -> int:
        """Write the text, inert; returns its length."""
        stream = self.stream if threading.current_thread() is threading.main_thread() else self.of_threads
        stream.write(inert_layout(text) if isinstance(text, str) else text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write the lines, inert."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def inert_layout(text: str) -> str:
    """As `inert`, but line breaks and tabs stay: they are a document's own."""
    plain = text
    for character in LAYOUT:
        plain = plain.replace(character, "")
    if plain.isprintable():
        return text
    return "".join(c if c.isprintable() or c in LAYOUT else escape_control(c) for c in text)


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Inside, everything that is written to stdout and stderr is inert."""
    out, err = sys.stdout, sys.stderr
    set_streams(stdout=Guarded(out, err), stderr=Guarded(err))
    try:
        yield
    finally:
        set_streams(stdout=out, stderr=err)
