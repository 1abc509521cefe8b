"""References that describe a run, `@best:f1` and `@tag:paper`, as filter and order; runs by references and a filter."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from qtlplat.errors import MAX_VALUE, UsageError, cut, safe_repr
from qtlplat.store.read.filters.tree import Value, field_name


@dataclass(frozen=True)
class Description:
    """A filter and what to sort by; the first run is the one that is meant.

    best: a field whose own direction decides the order, '' where `sort` says it; score: runs are chosen by a value.
    """

    where: str
    sort: str = ""
    best: str = ""
    score: bool = False


def description(reference: str) -> Description:
    """What a reference means.

    `@best:f1` is the finished run of a head with the best value of a field of the filter language, `@best:-loss` that
    with the lowest one, `@best:+loss` that with the highest one, the newest of equals; `@tag:x` is the newest run with
    that tag.

    Raises
    ------
    UsageError: where a field or a tag is missing, or the field is none.
    """
    kind, _, name = reference.partition(":")
    sign = name[:1] if kind == "@best" and name[:1] in "+-" else ""
    if not name.removeprefix(sign).strip():
        raise UsageError(
            f"run reference {safe_repr(reference)} names nothing", fix="@best:f1, @best:-loss for the lowest, @tag:NAME"
        )
    if kind == "@tag":
        return Description(f"tag = {Value(unicodedata.normalize('NFC', name))}")  # as tags are stored
    field = field_name(name.removeprefix(sign), where=cut(reference, MAX_VALUE))
    where = f"kind = 'run' and status = 'finished' and {field} is not null"
    if not sign:
        return Description(where, best=str(field), score=True)
    return Description(where, f"{field}" if sign == "-" else f"-{field}", score=True)
