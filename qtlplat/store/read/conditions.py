"""On which data and by which evaluator runs were tested: scores are comparable only where both are the same."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, Select, and_, select
from sqlalchemy.engine import Connection

from qtlplat.conventions import short
from qtlplat.store.core import schema
from qtlplat.store.core.dialect import among
from qtlplat.store.read.access import Access


@dataclass(frozen=True)
class Condition:
    """How a run was tested. Both are names for people, the same for the same data and the same evaluator only."""

    dataset: str
    evaluator: str


def conditions(reader: Access, ids: Collection[str]) -> dict[str, Condition]:
    """The conditions of runs, by their full ids, as `conditions_of`."""
    chosen = select(schema.runs.c.id).where(schema.runs.c.id.in_(among(ids)))
    return reader.read(lambda connection: conditions_of(connection, chosen), ids) or {}


def conditions_of(connection: Connection, ids: Select[Any]) -> dict[str, Condition]:
    """The conditions of the runs whose ids a SELECT gives, by id; within a transaction.

    Datasets are distinguished by content: if data differ under one name, the beginning of the digest follows.
    Evaluators are distinguished by component and options: if options differ under one name, they follow.
    """
    rows = _rows(connection, ids)
    datasets = _told_apart([(row.digest, row.dataset, (short(row.digest), row.digest)) for row in rows])
    evaluators = _told_apart([(_key(row), row.evaluator, _details(row)) for row in rows])
    return {row.id: Condition(datasets[row.digest], evaluators[_key(row)]) for row in rows}


def mixture(found: Collection[Condition]) -> str:
    """One clause on what is mixed, '' where all runs were tested alike: ``2 datasets (a, b) and 2 evaluators (..)``."""
    parts = []
    for role in ("dataset", "evaluator"):
        names = sorted({getattr(one, role) for one in found})
        if len(names) > 1:
            shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            parts.append(f"{len(names)} {role}s ({shown})")
    return " and ".join(parts)


def ambiguous(found: Collection[Condition], role: Literal["dataset", "evaluator"]) -> bool:
    """Whether one name stands for different data, or for an evaluator with different options."""
    return any(" [" in getattr(one, role) for one in found)


def mixed_facts(found: Collection[Condition]) -> dict[str, Any]:
    """The same for programs: the names of the datasets and of the evaluators."""
    return {f"{role}s": sorted({getattr(one, role) for one in found}) for role in ("dataset", "evaluator")}


def _rows(connection: Connection, ids: Select[Any]) -> Sequence[Any]:
    runs, dataset, evaluator = schema.runs.c, schema.components.alias(), schema.components.alias()
    of_role = {
        role: and_(table.c.run_id == runs.id, table.c.role == role)
        for role, table in (("dataset", dataset), ("evaluator", evaluator))
    }
    query = (
        select(
            runs.id,
            runs.dataset_digest.label("digest"),
            dataset.c.name.label("dataset"),
            evaluator.c.name.label("evaluator"),
            evaluator.c.component,
            evaluator.c.provider,
            evaluator.c.options,
        )
        .select_from(schema.runs)
        .outerjoin(dataset, of_role["dataset"])
        .outerjoin(evaluator, of_role["evaluator"])
        .where(runs.id.in_(ids))
        .order_by(runs.created, runs.id)
    )
    return connection.execute(query).all()


def _key(row: Row[Any]) -> str:
    return json.dumps([row.provider, row.component, row.options], sort_keys=True)


def _details(row: Row[Any]) -> tuple[str, str]:
    options = ", ".join(f"{name}={value}" for name, value in (row.options or {}).items()) or "no options"
    return options, f"{row.component} of {row.provider}, {options}"


def _told_apart(things: Sequence[tuple[str, str | None, tuple[str, str]]]) -> dict[str, str]:
    """A distinct name for each thing, by its key.

    things: key, given name, distinguishing text in short, and in full.
    """
    named: dict[str, str] = {}
    details: dict[str, tuple[str, str]] = {}
    keys: dict[str, set[str]] = defaultdict(set)
    for key, name, told in things:
        named.setdefault(key, name or "none")
        details[key] = told
    for key, name in named.items():
        keys[name].add(key)
    full = {name: len({details[key][0] for key in alike}) < len(alike) for name, alike in keys.items()}
    return {
        key: name if len(keys[name]) == 1 else f"{name} [{details[key][full[name]]}]" for key, name in named.items()
    }
