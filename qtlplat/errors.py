"""Every error qtlplat raises on purpose, each with its exit code.

QtlplatError (1)
├── UsageError (2)        the command line or a call cannot be understood
├── ConfigError (3)       an option, a registry file or the surroundings are wrong
│   └── DataError (3)     a dataset is wrong: all problems at once
├── PluginError (4)       a plugin is broken, or two of them clash, where it was named
├── StoreError (5)        the experiment store or the disk
├── TrainingError (6)     training could not go on (NaN, out of memory)
├── BusyError (7)         owned by another process
└── UntrustedError (8)    a file from outside is refused

The codes are published and frozen; 9 (a contradicted claim), 130 and 143 (signals) are not errors of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

MAX_LINES = 12  # of a message on stderr


def shown(value: object, limit: int = 80) -> str:
    """``repr`` of a value, cut at `limit` characters; safe to print to a terminal."""
    text = repr(value)
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


class QtlplatError(Exception):
    """What is wrong, where, and how to mend it.

    Parameters
    ----------
    what: one lower-case sentence without a full stop, values quoted with `shown`.
    where: the file, line, field or component.
    fix: a command to type or the line to change.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.fix = what, where, fix

    def lines(self) -> list[str]:
        """The message as at most 12 lines, without colour."""
        body = [line for line in self.what.splitlines() if line.strip()] or [type(self).__name__]
        tail = [f"  where: {self.where}"] if self.where else []
        tail += [f"  fix: {self.fix}"] if self.fix else []
        room = MAX_LINES - len(tail)
        if len(body) > room:
            left = len(body) - room + 1
            body = [*body[: room - 1], f"  … and {left} more"]
        return [f"error: {body[0]}", *body[1:], *tail]


class UsageError(QtlplatError):
    """The command line, or a reference in it, cannot be understood."""

    exit_code = 2


class ConfigError(QtlplatError):
    """An option, a registry file or the surroundings are wrong."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a dataset or a set of options.

    where: file or component; field: what in it ('' if the whole); what: the finding, values quoted.
    """

    where: str
    field: str
    what: str

    def __str__(self) -> str:
        """``where: field: what``."""
        return ": ".join(part for part in (self.where, self.field, self.what) if part)


class DataError(ConfigError):
    """A dataset is wrong; `problems` holds every finding, the message the first ones."""

    def __init__(self, what: str, *, problems: Sequence[Problem] = (), where: str = "", fix: str = "") -> None:
        super().__init__("\n".join([what, *(f"  {p}" for p in problems)]), where=where, fix=fix)
        self.problems = tuple(problems)


class PluginError(QtlplatError):
    """A plugin is broken or ambiguous, and was named."""

    exit_code = 4


class StoreError(QtlplatError):
    """The experiment store or the disk under it."""

    exit_code = 5


class TrainingError(QtlplatError):
    """Training could not go on."""

    exit_code = 6


class BusyError(QtlplatError):
    """Something is owned by another process."""

    exit_code = 7


class UntrustedError(QtlplatError):
    """A file from outside is refused."""

    exit_code = 8


class Terminated(BaseException):
    """SIGTERM, as something that unwinds the stack: what is running marks itself interrupted on the way."""


def unknown_name(kind: str, asked: str, known: Iterable[str], *, notes: Sequence[str] = ()) -> str:
    """The text for an unknown name: what was asked, the near matches, all known names, further notes."""
    names = sorted(set(known))
    near = get_close_matches(asked, names, n=3, cutoff=0.5)
    lines = [f"unknown {kind} {shown(asked)}"]
    if near:
        lines.append(f"  did you mean: {', '.join(near)}")
    lines.append(f"  known: {', '.join(names) if names else 'none'}")
    return "\n".join([*lines, *(f"  {n}" for n in notes)])
