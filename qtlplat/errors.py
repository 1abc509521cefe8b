"""Every error qtlplat raises on purpose, each with its exit code.

QtlplatError (1)
├── UsageError (2)        the command line or a call cannot be understood
├── ConfigError (3)       an option, a registry file or the surroundings are wrong
│   └── DataError (3)     a dataset is wrong: all problems at once
├── PluginError (4)       a plugin is broken, or two of them clash, where it was named
├── StoreError (5)        the experiment store or the disk
│   └── LockedError (7)   the store's database is locked by another process
├── TrainingError (6)     training failed (NaN, out of memory)
├── BusyError (7)         owned by another process
└── UntrustedError (8)    a file from outside is refused

The codes are published and frozen; 9 (a contradicted claim), 130 and 143 (signals) are no error classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

MAX_LINES = 12  # of a message on stderr
MAX_VALUE = 80  # characters of a value in it
MAX_WIDTH = 1000  # characters of one of its lines
LONGEST = 10_000  # characters of a value that are looked at

# user:password@ of a URL, and key=value forms of a connection
_IN_URL = re.compile(r"(?<=[\w+.-])(:/{1,2})[^\s/:@]*:\S*@")
_IN_WORDS = re.compile(r"(?i)(?<=password=)[^\s&'\"]+")


def escape_control(text: str) -> str:
    """Text that steers no terminal: line breaks, control characters and half characters are spelled out."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def without_passwords(text: str) -> str:
    """The text with the passwords of database URLs and connections blotted out."""
    return _IN_WORDS.sub("***", _IN_URL.sub(r"\1***@", text))


def safe_repr(value: object, limit: int = MAX_VALUE) -> str:
    """``repr`` of a value without passwords; safe to print, whatever the value is.

    Args:
        value: Anything, also an object whose ``__repr__`` fails.
        limit: Number of characters to cut the text at.

    Returns:
        One line of printable text; of a value that has no ``repr``, its type.
    """
    try:
        text = repr(value[:LONGEST] if isinstance(value, str | bytes) else value)
        text = escape_control(without_passwords(text[:LONGEST])[: 2 * limit])
    except BaseException:  # noqa: BLE001 -- a stranger's __repr__, or a number with too many digits
        text = f"<a value of {type(value).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def describe_exception(error: BaseException, limit: int = 160) -> str:
    """An exception that is not ours in a few words: its type, and its text where it has one."""
    try:
        text = str(error).strip()
    except BaseException:  # noqa: BLE001 -- a stranger's __str__
        text = ""
    return f"{type(error).__name__}: {safe_repr(text, limit)}" if text else type(error).__name__


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a dataset or a set of options.

    Attributes:
        where: File or component.
        field: The part of it, '' for the whole.
        what: The finding, values quoted.
        hostile: Whether reading on would have done harm (a file that unpacks without bounds, a name that leads out of
            an archive).
    """

    where: str
    field: str
    what: str
    hostile: bool = False

    def __str__(self) -> str:
        """``where: field: what``, on one line."""
        return escape_control(": ".join(part for part in (self.where, self.field, self.what) if part))


class QtlplatError(Exception):
    """What is wrong, where, and how to fix it.

    Args:
        what: One lower-case sentence without a full stop, values quoted with `safe_repr`.
        problems: All problems found, a line each below `what`; the message shows the first ones.
        where: The file, line, field or component.
        fix: A command to type or the line to change.
    """

    exit_code = 1
    usual_fix = ""  # where nothing better was said

    def __init__(self, what: str, *, problems: Sequence[Problem] = (), where: str = "", fix: str = "") -> None:
        what = "\n".join([what, *(f"  {p}" for p in problems)])
        super().__init__(what)
        self.what, self.problems, self.where, self.fix = what, tuple(problems), where, fix

    def lines(self, complete: Callable[[str], str] = str) -> list[str]:
        """The message as at most 12 lines, without colour, control characters and passwords.

        Args:
            complete: called with each line first; completes the commands in it (see `qtlplat.command_hints`).
        """
        return [cut(escape_control(without_passwords(complete(line)))) for line in self._lines()]

    def _lines(self) -> list[str]:
        body = [line for line in self.what.splitlines() if line.strip()] or [type(self).__name__]
        tail = [f"  where: {self.where}"] if self.where else []
        fix = self.fix or self.usual_fix
        tail += [f"  fix: {fix}"] if fix else []
        room = MAX_LINES - len(tail)
        if len(body) > room:
            left = len(body) - room + 1
            body = [*body[: room - 1], f"  … and {left} more"]
        return [f"error: {body[0]}", *body[1:], *tail]


class UsageError(QtlplatError):
    """The command line, or a reference in it, cannot be understood."""

    exit_code = 2
    usual_fix = "see what it may be: the command with --help"


class ConfigError(QtlplatError):
    """An option, a registry file or the surroundings are wrong."""

    exit_code = 3


class DataError(ConfigError):
    """A dataset is wrong; `problems` holds every finding, the message the first ones."""


class PluginError(QtlplatError):
    """A plugin is broken or ambiguous, and was named."""

    exit_code = 4


class StoreError(QtlplatError):
    """The experiment store or the disk under it."""

    exit_code = 5
    usual_fix = "look for damage: qtlplat store check"


class LockedError(StoreError):
    """Another process has held the store's database for longer than is waited for."""

    exit_code = 7


class TrainingError(QtlplatError):
    """Training failed."""

    exit_code = 6


class BusyError(QtlplatError):
    """Something is owned by another process."""

    exit_code = 7


class UntrustedError(QtlplatError):
    """A file from outside is refused: to read it would do harm. `problems` holds every finding."""

    exit_code = 8


class Terminated(BaseException):
    """SIGTERM, as something that unwinds the stack: what is running marks itself interrupted on the way."""


def refused_data(
    what: str, *, problems: Sequence[Problem], where: str = "", fix: str = ""
) -> DataError | UntrustedError:
    """The error for a dataset with these problems, to be raised.

    Args:
        what: One lower-case sentence without a full stop.
        problems: All problems found.
        where: The file, line, field or component.
        fix: A command to type or the line to change.

    Returns:
        UntrustedError if one of the problems is hostile, else DataError.
    """
    kind = UntrustedError if any(problem.hostile for problem in problems) else DataError
    return kind(what, problems=problems, where=where, fix=fix)


def unknown_name(kind: str, asked: str, known: Iterable[str], *, notes: Sequence[str] = ()) -> str:
    """The text for an unknown name: what was asked, the near matches, all known names, further notes."""
    names = sorted(set(known))
    near = get_close_matches(asked[:100], names, n=3, cutoff=0.5)
    lines = [f"unknown {kind} {safe_repr(asked)}"]
    if not asked.isascii():  # a letter of another alphabet may look like the one that was meant
        lines.append(f"  spelled out: {safe_repr(ascii(asked)[1:-1])}")
    if near:
        lines.append(f"  did you mean: {', '.join(near)}")
    lines.append(f"  known: {', '.join(names) if names else 'none'}")
    return "\n".join([*lines, *(f"  {n}" for n in notes)])


def cut(line: str, limit: int = MAX_WIDTH) -> str:
    """A line of at most `limit` characters."""
    return line if len(line) <= limit else line[: limit - 1] + "…"


def one_line(error: Exception | str) -> str:
    """What an error says, in one line of at most 240 characters."""
    return safe_repr(" ".join(str(error).split()) or type(error).__name__, 240)[1:-1]
