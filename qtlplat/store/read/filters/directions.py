"""Whether less or more of a field is better: from what the runs' evaluators declared, and of fields that are ours."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from qtlplat.errors import UsageError, safe_repr
from qtlplat.metrics import SHIPPED, STORED, agreed, declared_metrics
from qtlplat.store.core import schema
from qtlplat.store.core.dialect import among
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.access import Access
from qtlplat.store.read.filters.fields import Fields
from qtlplat.store.read.filters.language import Asked
from qtlplat.store.read.filters.names import field_name


def lower_is_better(
    connection: Connection,
    location: StoreLocation,
    names: Sequence[str],
    runs: Callable[[], sa.Select[Any]],
    fix: Callable[[str], str],
    place: str,
) -> dict[str, bool]:
    """Whether lower is better for each field, by the field as it was named.

    Args:
        connection: in a transaction.
        location: of the store.
        names: fields as people type them, ``f1``, ``min(f1)``, ``seconds.heads``.
        runs: makes a SELECT of the ids of the runs that are to be judged.
        fix: field -> what to type where its direction is not known.
        place: what errors about a name say.

    Raises:
        UsageError: If no evaluator declares a direction, or runs declare opposite ones.
    """
    fields, found = Fields(connection, location), {}
    for name in names:
        field = fields.find(field_name(name, where=place), Asked(where=place))
        lower = field.lower
        if field.metric:
            declared = [] if field.metric in SHIPPED else _declared(connection, field.metric, runs())
            # without a run that has it there is nothing to judge
            judged = bool(declared or field.metric in SHIPPED)
            lower = judged and agreed(field.metric, declared, fix(name)).lower_is_better
        if lower is None:
            raise UsageError(f"nothing says whether more or less of {safe_repr(name)} is better", fix=fix(name))
        found[name] = lower
    return found


def directions(
    reader: Access, names: Sequence[str], ids: Callable[[], Collection[str]], fix: Callable[[str], str], place: str
) -> dict[str, bool]:
    """The same of runs by their full ids, in a store; nothing if there is no store. ids: called if they are needed."""

    def runs() -> sa.Select[Any]:
        return sa.select(schema.runs.c.id).where(schema.runs.c.id.in_(among(ids())))

    return reader.read(lambda connection: lower_is_better(connection, reader.location, names, runs, fix, place)) or {}


def _declared(connection: Connection, metric: str, runs: sa.Select[Any]) -> list[tuple[str, Any]]:
    """A run for each declaration that there is, of the runs that have the metric; None stands for no declaration."""
    ids, environment, metrics = schema.runs.c.id, schema.environment.c, schema.metrics.c
    stored = sa.and_(environment.run_id == ids, environment.name == STORED)
    has = sa.exists().where(metrics.run_id == ids, metrics.name == metric).correlate(schema.runs)
    query = (
        sa.select(environment.value, sa.func.min(ids).label("run"))
        .select_from(schema.runs.outerjoin(schema.environment, stored))
        .where(ids.in_(runs), has)
        .group_by(environment.value)
    )
    return [
        (row.run[:8], declared_metrics({} if row.value is None else {STORED: row.value}).get(metric))
        for row in connection.execute(query)
    ]
