"""Several values in one text: ``a|b|c``, ``2..8``, ``2..8:2``, ``1e-4..1e-2*5``, ``0.1..0.5+5``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal

import numpy as np

from qtlplat.catalog.references import parse_value, value_text
from qtlplat.errors import UsageError, safe_repr

MOST_VALUES = 10_000  # of one option
DIGITS = 6  # significant ones of the values between the ends of a range
GRAMMAR = "write a|b|c, 2..8 (whole numbers), 2..8:2 (every second one), 1e-4..1e-2*5 (five, logarithmic) or 0.1..0.5+5"

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\.\.({_NUMBER})(?:\s*([:*+])\s*(\d+))?\s*")
_WHOLE = re.compile(r"[+-]?\d+")


def split(text: str, separator: str) -> list[str]:
    """Parts between separators that stand outside of brackets and double quotes, without blanks around them."""
    parts, depth, quoted, start = [], 0, False, 0
    for i, char in enumerate(text):
        if char == '"' and (i == 0 or text[i - 1] != "\\"):
            quoted = not quoted
        elif quoted:
            continue
        elif char in "[{(":
            depth += 1
        elif char in "]})":
            depth -= 1
        elif char == separator and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [*parts, text[start:].strip()]


def values(text: str, where: str) -> list[str]:
    """The values that a text stands for, each as it would be typed alone; one where the text is a value.

    Args:
        text: What was typed for an option. A text in double quotes is one value, whatever is in it.
        where: What errors name as the place.

    Returns:
        At least one value, in order, none of them twice.

    Raises:
        UsageError: if a range cannot be read, a value is missing or occurs twice, or there are too many.
    """
    parts = split(text, "|")
    found = [value for part in parts for value in _of_part(part, len(parts) > 1, where)]
    if len(found) > MOST_VALUES:
        raise UsageError(f"{safe_repr(text)} are more than {MOST_VALUES} values", where=where, fix="name fewer")
    seen: set[str] = set()
    for value in found:
        if (same := json.dumps(parse_value(value))) in seen:
            raise UsageError(
                f"the value {safe_repr(value)} occurs twice in {safe_repr(text)}", where=where, fix=GRAMMAR
            )
        seen.add(same)
    return found


def _of_part(part: str, among_others: bool, where: str) -> Iterator[str]:
    if not part and among_others:
        raise UsageError("a value is missing next to a '|'", where=where, fix=GRAMMAR)
    match = _RANGE.fullmatch(part)
    if match is None:
        yield part
        return
    low, high, kind, number = match.groups()
    if Decimal(low) >= Decimal(high):
        raise UsageError(f"the range {safe_repr(part)} does not ascend", where=where, fix=GRAMMAR)
    if kind in ("*", "+"):
        yield from _between(low, high, kind, int(number), where)
        return
    if not (_WHOLE.fullmatch(low) and _WHOLE.fullmatch(high)):
        fix = f"{part}*5 for five values on a logarithmic scale, {part}+5 for five at equal distances"
        raise UsageError(f"the range {safe_repr(part)} does not say how many values", where=where, fix=fix)
    step = int(number or 1)
    if step < 1 or (int(high) - int(low)) // step >= MOST_VALUES:
        raise UsageError(f"{safe_repr(part)} is no range, or too long a one", where=where, fix=GRAMMAR)
    yield from map(str, range(int(low), int(high) + 1, step))


def _between(low: str, high: str, kind: str, number: int, where: str) -> Iterator[str]:
    """Values with both ends as they were typed, and those between rounded."""
    if not 2 <= number <= MOST_VALUES:
        raise UsageError(f"a range has 2 to {MOST_VALUES} values, not {number}", where=where, fix=GRAMMAR)
    if kind == "*" and float(low) <= 0:
        raise UsageError(f"a logarithmic scale has no {low}", where=where, fix=f"{low}..{high}+{number}")
    if not math.isfinite(float(low) + float(high)):
        raise UsageError(f"a range ends at a finite number, not {low if len(low) > len(high) else high}", where=where,
                         fix=GRAMMAR)  # fmt: skip
    spaced = np.geomspace if kind == "*" else np.linspace
    inner = spaced(float(low), float(high), number)[1:-1]
    yield low
    yield from (value_text(float(f"{value:.{DIGITS}g}")) for value in inner)
    yield high
