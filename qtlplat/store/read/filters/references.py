"""Finds the run that a reference describes, `@best:f1` or `@tag:paper`, in a transaction."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from qtlplat.errors import MAX_VALUE, UsageError, cut, safe_repr
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.conditions import conditions_of, mixture
from qtlplat.store.read.filters.directions import lower_is_better
from qtlplat.store.read.filters.language import Value
from qtlplat.store.read.filters.names import field_name
from qtlplat.store.read.filters.selection import Selection


@dataclass(frozen=True)
class Described:
    """A run's id. mixed: a sentence where it was chosen among runs whose scores are not comparable, else ''."""

    run: str
    mixed: str = ""


def described(connection: Connection, location: StoreLocation, reference: str) -> Described | None:
    """The run of a reference, None if there is none.

    `@best:f1` is the finished run of a head with the best value of a field of the filter language, `@best:-loss` that
    with the lowest one, `@best:+loss` that with the highest one, the newest of equals; `@tag:x` is the newest run with
    that tag.

    Raises UsageError if a field or a tag is missing, or the field is none, or no evaluator declared its direction.
    """
    kind, _, name = reference.partition(":")
    sign = name[:1] if kind == "@best" and name[:1] in "+-" else ""
    if not name.removeprefix(sign).strip():
        raise UsageError(
            f"run reference {safe_repr(reference)} names nothing", fix="@best:f1, @best:-loss for the lowest, @tag:NAME"
        )
    sort = mixed = ""
    if kind == "@tag":
        where = f"tag = {Value(unicodedata.normalize('NFC', name))}"  # as tags are stored
    else:
        field = str(field_name(name.removeprefix(sign), where=cut(reference, MAX_VALUE)))
        where = f"kind = 'run' and status = 'finished' and {field} is not null"
        runs = Selection(connection, location, where, field, reference).ids().order_by(None)
        if words := mixture(conditions_of(connection, runs)):
            mixed = f"{reference} chooses among runs of {words}: their scores are not comparable (qtlplat best)"
        fix = f"@best:-{field} for the run with the least, @best:+{field} for that with the most"
        lower = (
            sign == "-"
            if sign
            else lower_is_better(connection, location, [field], lambda: runs, lambda _: fix, reference)[field]
        )
        sort = field if lower else f"-{field}"
    found = Selection(connection, location, where, sort, reference).first(limit=1)
    return Described(found[0], mixed) if found else None
