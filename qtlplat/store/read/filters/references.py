"""References that describe a run, `@best:f1` and `@tag:paper`, as filter and order; runs by references and a filter."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtlplat.errors import MAX_VALUE, UsageError, cut, safe_repr
from qtlplat.store.read.filters.tree import Value, field_name

if TYPE_CHECKING:
    from qtlplat.store.read.queries import Reader


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


def chosen(reader: Reader, references: Sequence[str], where: str | None) -> list[str]:
    """Ids of the runs that are meant, each once: those that are named, in their order, of which a filter holds.

    where: a filter, None or '' for none. Without references it selects from all runs of heads, newest first.

    Raises
    ------
    UsageError: where a reference means nothing, no run is left, or neither references nor a filter are given.
    """
    found = list(dict.fromkeys(map(reader.resolve, references)))
    if where:
        held = [str(row["run"]) for row in reader.table(["run"], None if references else "run", where=where)]
        found = [run for run in found if run in set(held)] if references else held
        if not found:
            raise UsageError(
                "no runs match the filter", where="--where", fix="try the filter: qtlplat runs --where ..."
            )
    if not found:
        raise UsageError("no run is named", fix="name one, as @last, or choose: --where \"head = 'dressed5x3'\"")
    return found
