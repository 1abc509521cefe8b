"""Reads a filter, as in ``head = 'mlp' and (f1 > 0.9 or tag = 'paper')``, into its tree; says where it cannot be read.

`docs/reference/filters.md` describes the language.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from qtlplat.errors import UsageError, escape_control
from qtlplat.store.read.filters.tree import (
    FIELD,
    FUNCTIONS,
    Both,
    Comparison,
    Either,
    FieldName,
    Filter,
    Negated,
    Value,
    comparisons,
    field_name,
)

if TYPE_CHECKING:
    from lark import Lark
    from lark.exceptions import UnexpectedInput

WHERE = "--where"
LONGEST = 10_000  # characters of a filter
DEEPEST = 50  # parentheses and nots inside each other
MOST = 400  # comparisons; SQLite takes expressions of depth 1000
WINDOW = 72  # characters that are shown around an error
MANUAL = "docs/reference/filters.md describes filters; for example: --where \"head = 'dressed5x3' and f1 > 0.97\""

GRAMMAR = rf"""
?start: either
?either: both (_OR both)*
?both: single (_AND single)*
?single: NOT single -> negated
    | "(" either ")"
    | FIELD OPERATOR value -> compared
    | FIELD [NOT] _IN "(" value ("," value)* ")" -> listed
    | FIELD [NOT] _LIKE text -> alike
    | FIELD [NOT] _BETWEEN value _AND value -> within
    | FIELD _IS [NOT] _NULL -> missing
value: TEXT -> text | NUMBER -> number | TRUTH -> truth
text: TEXT
_OR.2: /or\b/i
_AND.2: /and\b/i
NOT.2: /not\b/i
_IN.2: /in\b/i
_LIKE.2: /like\b/i
_BETWEEN.2: /between\b/i
_IS.2: /is\b/i
_NULL.2: /null\b/i
TRUTH.2: /(?:true|false)\b/i
OPERATOR: /<=|>=|!=|<>|==|=|<|>/
NUMBER: /[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])/
TEXT: /'(?:[^']|'')*'|"(?:[^"]|"")*"/
FIELD: /{FIELD}/
%ignore /\s+/
"""
# what the terminals of the grammar are called in errors, in this order
_CALLED = {
    "FIELD": "a field",
    "TEXT": "a text in quotes",
    "NUMBER": "a number",
    "TRUTH": "true or false",
    "OPERATOR": "a comparison (= != < <= > >=)",
    "_IN": "in",
    "_LIKE": "like",
    "_BETWEEN": "between",
    "_IS": "is",
    "_NULL": "null",
    "NOT": "not",
    "_AND": "and",
    "_OR": "or",
    "LPAR": "'('",
    "RPAR": "')'",
    "COMMA": "','",
    "$END": "the end",
}


@lru_cache(32)
def parse(text: str) -> Filter | None:
    """The tree of a filter; None for one without words, which everything passes.

    Raises
    ------
    UsageError: where it cannot be read; the message shows the place and what was expected there.
    """
    if not text.strip():
        return None
    _refuse_size(text)
    from lark.exceptions import UnexpectedInput, UnexpectedToken

    try:
        tree: Filter = _parser().parse(text)  # type: ignore[assignment]
    except UnexpectedInput as error:
        ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        at = len(text.rstrip()) if ended else error.pos_in_stream or 0
        raise unreadable(text, at, _expected(error, text[:at])) from None
    found = list(comparisons(tree))
    for name in (one.field for one in found):
        if name.function not in ("", *FUNCTIONS):
            raise misplaced(text, name.at, f"unknown function {name.function}; known: {', '.join(FUNCTIONS)}")
    if len(found) > MOST:
        raise UsageError(
            f"the filter has more than {MOST} comparisons", where=WHERE, fix="use in (...) for many values"
        )
    return tree


def _expected(error: UnexpectedInput, before: str) -> Collection[str]:
    """The terminals that may follow a text that could be read so far."""
    from lark.exceptions import UnexpectedInput, UnexpectedToken

    if isinstance(error, UnexpectedToken):
        return error.accepts or error.expected
    try:  # a character that begins nothing: what the parser says of the end there
        _parser().parse(before)
    except UnexpectedInput as at_end:
        return _expected(at_end, "") if isinstance(at_end, UnexpectedToken) else ()
    return ("_AND", "_OR", "$END")


def unreadable(text: str, at: int, expected: Collection[str]) -> UsageError:
    """The error for a text that cannot be read on at a place; expected: terminals of the grammar."""
    words = [called for name, called in _CALLED.items() if name in expected]
    what = f"expected {', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else f"expected {''.join(words)}"
    fix = MANUAL
    bare = re.match(r"[^\s()',\"<>=!]+", text[at:])
    if "TEXT" in expected and bare and bare[0].lower() == "null":
        fix = "write: is null, or is not null"
    elif "TEXT" in expected and bare:
        fix = f"put text in quotes: '{escape_control(bare[0])[:80]}'"
    elif "OPERATOR" in expected and bare:
        fix = f"put a name with spaces or signs in double quotes: '\"my metric\" > 0.9'; or: {MANUAL}"
    elif text[at : at + 1] in ("'", '"'):
        what = "this quote is not closed" if "TEXT" in expected else what
    return misplaced(text, at, what, fix)


def misplaced(text: str, at: int, what: str, fix: str = MANUAL, notes: Sequence[str] = ()) -> UsageError:
    """An error with the part of the filter around a place, a mark below that, and further lines."""
    first = max(0, at - WINDOW // 2)
    before, after = escape_control(text[first:at]), escape_control(text[at : first + WINDOW])
    begin, end = "…" if first else "", "…" if len(text) > first + WINDOW else ""
    lines = [f"the filter cannot be used: {what}", f"  {begin}{before}{after}{end}", f"  {' ' * len(begin + before)}^"]
    return UsageError("\n".join([*lines, *(f"  {words}" for words in notes)]), where=WHERE, fix=fix)


def _refuse_size(text: str) -> None:
    """Refuse what is too long or nested too deep, and characters that no database takes."""
    if len(text) > LONGEST:
        raise UsageError(f"the filter has {len(text)} characters, more than {LONGEST}", where=WHERE, fix=MANUAL)
    for at, char in enumerate(text):
        if char == "\0" or "\ud800" <= char <= "\udfff":
            raise misplaced(text, at, "this character is in no text of a store")
    outer: list[int] = []
    depth = 0
    for token in re.finditer(rf"{_TEXT}|[()]|\b(?:not|and|or)\b", text, re.IGNORECASE):
        word = token[0].lower()
        if word == "(":
            outer.append(depth)
            depth += 1
        elif word == ")":
            depth = outer.pop() if outer else 0
        elif word == "not":
            depth += 1
        elif word in ("and", "or"):
            depth = outer[-1] + 1 if outer else 0
        if depth > DEEPEST:
            raise misplaced(text, token.start(), f"more than {DEEPEST} parentheses and nots inside each other")


_TEXT = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""


@cache
def _parser() -> Lark:
    from lark import Lark, Transformer, v_args

    @v_args(inline=True)
    class Tree(Transformer[Any, Any]):
        """Rules of the grammar -> the tree; called from the leaves up, while the text is read."""

        def either(self, *parts: Filter) -> Filter:
            return Either(_flat(Either, parts))

        def both(self, *parts: Filter) -> Filter:
            return Both(_flat(Both, parts))

        def negated(self, _not: str, part: Filter) -> Filter:
            return Negated(part)

        def compared(self, name: Any, operator: str, value: Value) -> Filter:
            sign = {"!=": "=", "<>": "=", "==": "="}.get(operator, str(operator))
            return Comparison(_field(name), sign, (value,), operator in ("!=", "<>"))  # type: ignore[arg-type]

        def listed(self, name: Any, no: str | None, *values: Value) -> Filter:
            return Comparison(_field(name), "in", values, no is not None)

        def alike(self, name: Any, no: str | None, value: Value) -> Filter:
            return Comparison(_field(name), "like", (value,), no is not None)

        def within(self, name: Any, no: str | None, low: Value, high: Value) -> Filter:
            return Comparison(_field(name), "between", (low, high), no is not None)

        def missing(self, name: Any, no: str | None) -> Filter:
            return Comparison(_field(name), "null", (), no is not None)

        def text(self, token: Any) -> Value:
            quote = token[0]
            return Value(str(token[1:-1]).replace(quote * 2, quote), token.start_pos)

        def number(self, token: Any) -> Value:
            whole = len(token) <= 18 and token.lstrip("+-").isdigit()
            return Value(int(token) if whole else float(token), token.start_pos)

        def truth(self, token: Any) -> Value:
            return Value(token.lower() == "true", token.start_pos)

    return Lark(GRAMMAR, parser="lalr", transformer=Tree(), maybe_placeholders=True)


def _flat(kind: type[Both | Either], parts: Sequence[Filter]) -> tuple[Filter, ...]:
    """Parts of the same kind as one row: parentheses around them say nothing."""
    return tuple(inner for part in parts for inner in (part.parts if isinstance(part, kind) else (part,)))


def _field(token: Any) -> FieldName:
    return field_name(str(token), token.start_pos, WHERE)
