"""Whether less or more of a field is better: from what the runs' evaluators declared, and of fields that are ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from qtlplat.conventions import LEAKAGES
from qtlplat.errors import UsageError, safe_repr
from qtlplat.metrics import SHIPPED, STORED, agreed, declared_metrics
from qtlplat.store.core import schema
from qtlplat.store.core.dialect import among
from qtlplat.store.read.access import Access
from qtlplat.store.read.filters.known_names import KnownNames
from qtlplat.store.read.filters.tree import OVER_EPOCHS, FieldName, field_name

# fields of every store of which less is better, and those of which more is
_LESS = ("parameters", "trainable", "frozen", "seconds", *LEAKAGES)
_MORE = ("reduction_model", "reduction_replaced")
# values of epochs: losses and accuracies of the parts of a dataset
_EPOCHS = {f"{part}{name}": name == "loss" for part in ("", "train_", "validation_", "test_") for name in
           ("loss", "accuracy")}  # fmt: skip


def lower_is_better(
    connection: Connection, names: Sequence[str], runs: sa.Select[Any], fix: Callable[[str], str], place: str
) -> dict[str, bool]:
    """Whether lower is better for each field, by the field as it was named.

    Args:
        connection: in a transaction.
        names: fields as people type them, ``f1``, ``min(f1)``, ``seconds.heads``.
        runs: a SELECT of the ids of the runs that are to be judged.
        fix: field -> what to type where its direction is not known.
        place: what errors about a name say.

    Raises:
        UsageError: If no evaluator declares a direction, or runs declare opposite ones.
    """
    known = KnownNames(connection)
    return {name: _lower(connection, known, field_name(name, where=place), runs, fix(name)) for name in names}


def directions(
    reader: Access, names: Sequence[str], ids: Collection[str], fix: Callable[[str], str], place: str
) -> dict[str, bool]:
    """The same of runs by their full ids, in a store; nothing where there is no store."""
    runs = sa.select(schema.runs.c.id).where(schema.runs.c.id.in_(among(json.dumps(list(ids)))))
    return reader.read(lambda connection: lower_is_better(connection, names, runs, fix, place), ids) or {}


def _lower(connection: Connection, known: KnownNames, field: FieldName, runs: sa.Select[Any], fix: str) -> bool:
    word = field.path[0]
    if field.function in OVER_EPOCHS:
        if word in _EPOCHS and len(field.path) == 1:
            return _EPOCHS[word]
    elif word == "seconds" or (word in _LESS and len(field.path) == 1):
        return True
    elif word in _MORE and len(field.path) == 1:
        return False
    elif field.function == "sd" or (word.endswith("_sd") and known.metric(word.removesuffix("_sd"))):
        return True  # of any metric: a spread
    elif field.function != "n" and len(field.path) == 1 and known.metric(word):
        declared = [] if word in SHIPPED else _declared(connection, word, runs)
        # without a run that has it there is nothing to judge
        return bool(declared or word in SHIPPED) and agreed(word, declared, fix).lower_is_better
    raise UsageError(f"nothing says whether more or less of {safe_repr(str(field))} is better", fix=fix)


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
