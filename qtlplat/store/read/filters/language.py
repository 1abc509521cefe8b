"""Reads a filter, as in ``head = 'mlp' and (f1 > 0.9 or tag = 'paper')``, and says where it cannot be read.

`docs/reference/filters.md` describes the language.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal

from qtlplat.errors import UsageError, escape_control
from qtlplat.store.read.filters.names import FIELD, FUNCTIONS, FieldName, field_name

if TYPE_CHECKING:
    from lark import Lark
    from lark.exceptions import UnexpectedInput

WHERE = "--where"
LONGEST = 10_000  # characters of a filter
DEEPEST = 50  # parts inside each other
MOST = 400  # comparisons; SQLite takes expressions of depth 1000
WINDOW = 72  # characters that are shown around an error
MANUAL = "docs/reference/filters.md describes filters; for example: --where \"head = 'dressed5x3' and f1 > 0.97\""

GRAMMAR = rf"""
?start: either
?either: both (_OR both)*
?both: single (_AND single)*
?single: NOT single -> negated
    | "(" either ")"
    | FIELD OPERATOR value -> comparison
    | FIELD [NOT] IN "(" value ("," value)* ")" -> comparison
    | FIELD [NOT] LIKE text -> comparison
    | FIELD [NOT] BETWEEN value _AND value -> comparison
    | FIELD _IS [NOT] NULL -> comparison
value: TEXT -> text | NUMBER -> number | TRUTH -> truth
text: TEXT
_OR.2: /or\b/i
_AND.2: /and\b/i
NOT.2: /not\b/i
IN.2: /in\b/i
LIKE.2: /like\b/i
BETWEEN.2: /between\b/i
_IS.2: /is\b/i
NULL.2: /null\b/i
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
    "IN": "in",
    "LIKE": "like",
    "BETWEEN": "between",
    "_IS": "is",
    "NULL": "null",
    "NOT": "not",
    "_AND": "and",
    "_OR": "or",
    "LPAR": "'('",
    "RPAR": "')'",
    "COMMA": "','",
    "$END": "the end",
}


@dataclass(frozen=True)
class Value:
    """A literal. at: where it stands in the text."""

    content: str | float | bool
    at: int = field(default=0, compare=False)

    @property
    def sort(self) -> Literal["text", "number", "truth"]:
        """Which of the three it is."""
        if isinstance(self.content, str):
            return "text"
        return "truth" if isinstance(self.content, bool) else "number"

    def __str__(self) -> str:
        if isinstance(self.content, str):
            return "'" + self.content.replace("'", "''") + "'"
        return repr(self.content).lower().replace("inf", "1e999")


@dataclass(frozen=True)
class Comparison:
    """A field compared with values: one, two for `between`, none for `null`, any number for `in`.

    negated: the field is there, and the comparison does not hold (for `null`: it is there).
    """

    field: FieldName
    operator: Literal["=", "<", "<=", ">", ">=", "in", "like", "between", "null"]
    values: tuple[Value, ...] = ()
    negated: bool = False


@dataclass(frozen=True)
class Joined:
    """Filters of which all hold, or at least one, or (of a single one) not."""

    word: Literal["and", "or", "not"]
    parts: tuple[Filter, ...]


Filter = Comparison | Joined


class Asked:
    """Where fields were named, to point there in errors. text: the filter; where: the option, as in `--sort`."""

    def __init__(self, text: str = "", where: str = WHERE) -> None:
        self._text, self._where = text, where

    def error(self, at: int, what: str, notes: Sequence[str] = (), fix: str = MANUAL) -> UsageError:
        """An error that shows the place in a filter, or names the option."""
        if self._text:
            return misplaced(self._text, at, what, fix, notes)
        return UsageError("\n".join([what, *(f"  {words}" for words in notes)]), where=self._where, fix=fix)


@lru_cache(32)
def parse(text: str) -> Filter | None:
    """What a filter says; None for one without words, which everything passes.

    Raises:
        UsageError: if it cannot be read; the message shows the place and what was expected there.
    """
    if not text.strip():
        return None
    if len(text) > LONGEST:
        raise UsageError(f"the filter has {len(text)} characters, more than {LONGEST}", where=WHERE, fix=MANUAL)
    if strange := re.search("[\0\ud800-\udfff]", text):
        raise misplaced(text, strange.start(), "this character is in no text of a store")
    from lark.exceptions import UnexpectedInput, UnexpectedToken

    try:
        found: Filter = _parser().parse(text)  # type: ignore[assignment]
    except UnexpectedInput as error:
        ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        at = len(text.rstrip()) if ended else error.pos_in_stream or 0
        raise unreadable(text, at, _expected(error, text[:at])) from None
    _refuse(text, found)
    return found


def _refuse(text: str, tree: Filter) -> None:
    """Refuse unknown functions, and filters that are too large or too deep for a database."""
    left, count = [(tree, 0)], 0
    while left:
        part, depth = left.pop()
        if depth > DEEPEST:
            raise UsageError(f"more than {DEEPEST} ands, ors and nots inside each other", where=WHERE, fix=MANUAL)
        if isinstance(part, Joined):
            left += [(inner, depth + 1) for inner in reversed(part.parts)]
            continue
        count += 1
        if part.field.function not in ("", *FUNCTIONS):
            raise misplaced(text, part.field.at, unknown_function(part.field))
    if count > MOST:
        raise UsageError(
            f"the filter has more than {MOST} comparisons", where=WHERE, fix="use in (...) for many values"
        )


def unknown_function(name: FieldName) -> str:
    """What is wrong with a field with a function that there is not."""
    return f"unknown function {name.function}; known: {', '.join(FUNCTIONS)}"


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


@cache
def _parser() -> Lark:
    from lark import Lark, Transformer, v_args

    @v_args(inline=True)
    class Tree(Transformer[Any, Any]):
        """Rules of the grammar -> the filter; called from the leaves up, while the text is read."""

        def either(self, *parts: Filter) -> Filter:
            return Joined("or", parts)

        def both(self, *parts: Filter) -> Filter:
            return Joined("and", parts)

        def negated(self, _not: str, part: Filter) -> Filter:
            return Joined("not", (part,))

        def comparison(self, name: Any, *parts: Any) -> Filter:
            values = tuple(part for part in parts if isinstance(part, Value))
            words = [part.lower() for part in parts if isinstance(part, str)]  # the operator, after a not
            sign: Any = {"!=": "=", "<>": "=", "==": "="}.get(words[-1], words[-1])
            negated = "not" in words or words[-1] in ("!=", "<>")
            return Comparison(field_name(str(name), name.start_pos, WHERE), sign, values, negated)

        def text(self, token: Any) -> Value:
            quote = token[0]
            return Value(str(token[1:-1]).replace(quote * 2, quote), token.start_pos)

        def number(self, token: Any) -> Value:
            whole = len(token) <= 18 and token.lstrip("+-").isdigit()
            return Value(int(token) if whole else float(token), token.start_pos)

        def truth(self, token: Any) -> Value:
            return Value(token.lower() == "true", token.start_pos)

    return Lark(GRAMMAR, parser="lalr", transformer=Tree())
