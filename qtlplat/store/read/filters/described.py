"""Finds the run that a reference describes, `@best:f1` or `@tag:paper`, in a transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.conditions import conditions_of, mixture
from qtlplat.store.read.filters.directions import lower_is_better
from qtlplat.store.read.filters.references import description
from qtlplat.store.read.filters.selection import Selection


@dataclass(frozen=True)
class Described:
    """A run's id. mixed: a sentence where it was chosen among runs whose scores are not comparable, else ''."""

    run: str
    mixed: str = ""


def described(connection: Connection, location: StoreLocation, reference: str) -> Described | None:
    """The run of a reference, None if there is none.

    Raises UsageError for an invalid reference, and if no evaluator declared the direction of its metric.
    """
    meant = description(reference)
    sort, mixed = meant.sort, ""
    if meant.score:
        runs = Selection(connection, location, meant.where, meant.best or sort, reference).ids().order_by(None)
        if words := mixture(set(conditions_of(connection, runs).values())):
            mixed = f"{reference} chooses among runs of {words}: their scores are not comparable (qtlplat best)"
        if meant.best:
            fix = f"@best:-{meant.best} for the run with the least, @best:+{meant.best} for that with the most"
            less = lower_is_better(connection, [meant.best], runs, lambda _: fix, reference)
            sort = meant.best if less[meant.best] else f"-{meant.best}"
    ids = Selection(connection, location, meant.where, sort, place=reference).ids(limit=1)
    found = connection.execute(ids).scalar()
    return Described(str(found), mixed) if found is not None else None
