"""Filters written down twice: as text in the filter language, and as a plain Python test of a run's facts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Facts = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """A filter as text, and what it means."""

    text: str
    holds: Callable[[Facts], bool]


TEXTS = ("dressed5x3", "mlp", "o'brien", 'a"b', "Élan", "100%", "mlp_2", "run", "finished", "interrupted", "failed")
TEXTS += ("paper", "Draft", "it's", "X", "y", "3", "9", "all", "linear", "lenet1", "0.2", "3.1", "2.13", "note 1", "")
PATTERNS = ("%", "mlp%", "%E%", "d_aft", "%'%", "L%2", "MLP_2", "", "%0%", "élan", "Él%", "note _", "\\%")
NUMBERS = (0, 1, 2, 3, 10, 30, 0.0, 0.25, 0.5, 0.625, 0.75, 0.9375, 1e3, -1, 0.3, 1e999)
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
TEXT_FIELDS = "id kind status error head backbone backbone.version pretraining note env.python env.torch".split()
ANY_FIELDS = (
    "head.layers head.flag head.axis head.sizes head.rate head.options.version training.epochs replace controls".split()
)
NUMBER_FIELDS = (
    "seed trainable leakage seconds seconds.heads cells f1 accuracy min(f1) max(f1) sd(f1) n(f1) f1@linear "
    "max(f1@linear) first(test_loss) last(test_loss) last(own) lowest(test_loss) highest(own)"
).split()
MANY = ("tag", "component")


def quoted(text: str, quote: str) -> str:
    return quote + text.replace(quote, quote * 2) + quote


def literal(value: Any, quote: str = "'") -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return quoted(value, quote)
    return "1e999" if value == math.inf else repr(value)


def there(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None or value != value else [value]


def same_sort(one: Any, other: Any) -> bool:
    sorts = [bool if isinstance(v, bool) else str if isinstance(v, str) else float for v in (one, other)]
    return sorts[0] is sorts[1]


def fits(value: Any, pattern: str) -> bool:
    regex = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)
    return isinstance(value, str) and re.fullmatch(regex, value, re.IGNORECASE | re.ASCII | re.DOTALL) is not None


def compared(field: str, text: str, one: Callable[[Any], bool], *, negated: bool) -> Written:
    def holds(facts: Facts) -> bool:
        values = there(facts[field])
        if negated:
            return (bool(values) or isinstance(facts[field], list)) and not any(map(one, values))
        return any(map(one, values))

    return Written(f"{field} {text}", holds)


@st.composite
def comparisons(draw: st.DrawFn) -> Written:
    """One comparison of any sort."""
    sort = draw(st.sampled_from(("text", "number", "any", "many", "time")))
    if sort == "time":
        return draw(times())
    fields = {"text": TEXT_FIELDS, "number": NUMBER_FIELDS, "any": ANY_FIELDS, "many": MANY}[sort]
    field = draw(st.sampled_from(fields))
    values = {"text": st.sampled_from(TEXTS), "number": st.sampled_from(NUMBERS), "many": st.sampled_from(TEXTS)}
    any_value = st.one_of(st.sampled_from(TEXTS), st.sampled_from(NUMBERS), st.booleans())
    value = values.get(sort, any_value)
    quote = draw(st.sampled_from("'\""))
    no = draw(st.booleans())
    forms = ["order", "in", "null", "between", *(["like"] if sort != "number" else [])]
    form = draw(st.sampled_from(forms))
    if form == "null":
        holds = lambda facts: bool(there(facts[field])) == no  # noqa: E731
        return Written(f"{field} is{' not' if no else ''} null", holds)
    if form == "like":
        pattern = draw(st.sampled_from(PATTERNS))
        return compared(
            field, f"{'NOT ' if no else ''}like {quoted(pattern, quote)}", lambda v: fits(v, pattern), negated=no
        )
    if form == "in":
        several = draw(st.lists(value, min_size=1, max_size=4))
        return compared(
            field,
            f"{'not ' if no else ''}in ({', '.join(literal(v, quote) for v in several)})",
            lambda v: any(same_sort(v, s) and v == s for s in several),
            negated=no,
        )
    if form == "between":
        low = draw(value.filter(lambda v: not isinstance(v, bool)))
        high = draw(value.filter(lambda v: same_sort(v, low)))
        return compared(
            field,
            f"{'not ' if no else ''}Between {literal(low, quote)} and {literal(high, quote)}",
            lambda v: same_sort(v, low) and low <= v <= high,
            negated=no,
        )
    chosen = draw(value)
    sign = draw(st.sampled_from(("=", "!=") if isinstance(chosen, bool) else (*ORDER, "!=")))
    test = ORDER.get(sign, ORDER["="])
    return compared(
        field,
        f"{sign} {literal(chosen, quote)}",
        lambda v: same_sort(v, chosen) and test(v, chosen),
        negated=sign == "!=",
    )


@st.composite
def times(draw: st.DrawFn) -> Written:
    """A comparison of the time of creation, with a day or a point in time."""
    day = draw(st.sampled_from(("2026-02-28", "2026-03-01", "2026-03-02", "2026-03-03")))
    hour = draw(st.sampled_from((None, "05:00", "12:00:00")))
    sign = draw(st.sampled_from(tuple(ORDER)))
    if hour is None:
        return Written(f"created {sign} '{day}'", lambda facts: ORDER[sign](facts["created"][:10], day))
    point = f"{day}T{hour:0<8}".replace("05:00000", "05:00:00") + ".000000+00:00"
    return Written(f"created {sign} '{day} {hour}'", lambda facts: ORDER[sign](facts["created"], point))


def joined(parts: list[Written], word: str) -> Written:
    test = all if word == "and" else any
    return Written(f" {word} ".join(f"({p.text})" for p in parts), lambda facts: test(p.holds(facts) for p in parts))


def negated(part: Written) -> Written:
    return Written(f"not ({part.text})", lambda facts: not part.holds(facts))


def unbracketed(first: Written, second: Written, third: Written) -> Written:
    """What stands without parentheses: `and` binds stronger than `or`, `not` stronger than both."""
    return Written(
        f"not {first.text} and {second.text} or {third.text}",
        lambda facts: (not first.holds(facts) and second.holds(facts)) or third.holds(facts),
    )


filters = st.recursive(
    st.one_of(comparisons(), st.builds(unbracketed, comparisons(), comparisons(), comparisons())),
    lambda inner: st.one_of(
        st.builds(joined, st.lists(inner, min_size=2, max_size=3), st.sampled_from(("and", "or"))),
        st.builds(negated, inner),
    ),
    max_leaves=6,
)
