"""Parses what users type: ``preset``, ``component[option=value,...]``, ``dist:name`` and ``-S role.option=value``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qtlplat.conventions import ROLES
from qtlplat.errors import UsageError, safe_repr, unknown_name

_OPENING, _CLOSING = "[{(", "]})"
EXAMPLE = "write a preset, a component, or 'component[option=value,option=value]'"


@dataclass(frozen=True)
class Given:
    """A value for an option. raw: as typed, where it was typed; source: for messages ('' where obvious)."""

    value: Any
    raw: str | None = None
    source: str = ""


@dataclass(frozen=True)
class Reference:
    """A reference taken apart. name: ``preset``, ``component`` or ``dist:component``; options: from the brackets."""

    text: str
    name: str
    options: dict[str, Given] = field(default_factory=dict)


def _place(role: str) -> str:
    """What a command line calls it: an option for each role, else an argument."""
    return f"--{role}" if role in (*ROLES, "device") else role.upper()


def parse_reference(text: str, role: str) -> Reference:
    """Take a reference apart. Raises UsageError if it cannot be read."""
    name, bracket, rest = text.strip().partition("[")
    name = name.strip()
    if not name or "]" in name or (bracket and not rest.endswith("]")):
        raise UsageError(f"{role} {safe_repr(text)} cannot be read", where=_place(role), fix=EXAMPLE)
    options: dict[str, Given] = {}
    for part in _split(rest[:-1]):
        key, equals, raw = part.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(
                f"{safe_repr(part.strip())} in {role} {safe_repr(text)} is not option=value",
                where=_place(role),
                fix=EXAMPLE,
            )
        if key in options:
            raise UsageError(f"duplicate option {safe_repr(key)} in {role} {safe_repr(text)}", where=_place(role))
        options[key] = Given(parse_value(raw), raw.strip(), "")
    return Reference(text.strip(), name, options)


def parse_sets(sets: Iterable[str], roles: Sequence[str]) -> dict[str, dict[str, Given]]:
    """``role.option=value`` texts -> what is given, by role and option; a later one wins.

    Raises UsageError for a text of another form or an unknown role.
    """
    given: dict[str, dict[str, Given]] = {role: {} for role in roles}
    for text in sets:
        key, equals, raw = text.partition("=")
        role, dot, option = key.strip().partition(".")
        if not equals or not dot or not option:
            raise UsageError(
                f"{safe_repr(text)} is not role.option=value", where="-S", fix="for example: -S evaluator.folds=10"
            )
        if role not in given:
            raise UsageError(unknown_name("role", role, roles), where=f"-S {safe_repr(text)}")
        given[role][option] = Given(parse_value(raw), raw.strip(), "-S")
    return given


def parse_value(raw: str) -> Any:
    """A JSON scalar, list or object; anything else is the text itself."""
    text = raw.strip()
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


def reference_text(name: str, options: Mapping[str, Any]) -> str:
    """A component with options, as `parse_reference` takes it apart again."""
    inside = ",".join(f"{key}={value_text(value)}" for key, value in options.items())
    return f"{name}[{inside}]" if inside else name


def value_text(value: Any) -> str:
    """A value as an option takes it: JSON, without quotes where the text cannot be mistaken for anything else."""
    plain = isinstance(value, str) and value == value.strip() and not set(value) & set('[]{}(),"=')
    if plain and value.isprintable() and parse_value(value) == value:
        return str(value)
    written = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    # A reference is split at commas before its values are read: a backslash must not hide the quote that ends a text.
    return written.replace("\\\\", "\\u005c")


def _refuse_constant(name: str) -> Any:
    # Python's reader takes NaN and Infinity, JSON does not: keep the text, and let the option's type decide.
    raise ValueError(name)


def _split(text: str) -> list[str]:
    """Parts between commas that stand outside of brackets and double quotes; empty parts are left out."""
    parts, depth, quoted, start = [], 0, False, 0
    for i, char in enumerate(text):
        if char == '"' and (i == 0 or text[i - 1] != "\\"):
            quoted = not quoted
        elif quoted:
            continue
        elif char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [part for part in [*parts, text[start:]] if part.strip()]
