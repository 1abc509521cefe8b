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


def conditions(reader: Access, ids: Collection[str]) -> set[Condition]:
    """The conditions of runs by their full ids, as `conditions_of`."""
    chosen = select(schema.runs.c.id).where(schema.runs.c.id.in_(among(ids)))
    return reader.read(lambda connection: conditions_of(connection, chosen), ids) or set()


def conditions_of(connection: Connection, ids: Select[Any]) -> set[Condition]:
    """The conditions of the runs whose ids a SELECT gives; within a transaction.

    Datasets are distinguished by content: if data differ under one name, the beginning of the digest follows.
    Evaluators are distinguished by component and options: if options differ under one name, they follow.
    """
    known = select(schema.runs.c.condition).where(schema.runs.c.id.in_(ids)).distinct()
    return set(_named(connection, connection.execute(known).scalars().all()).values())


def named_conditions(reader: Access, known: Collection[str]) -> dict[str, Condition]:
    """Conditions by their text in the store, as `conditions_of` names them. known: those texts."""
    return reader.read(lambda connection: _named(connection, known)) or {}


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


def _named(connection: Connection, known: Collection[str]) -> dict[str, Condition]:
    """Conditions by their text; the names are those of the oldest runs that were tested so."""
    runs, evaluator, older = schema.runs.c, schema.components.c, schema.runs.alias()
    text = among(known).subquery().c.value
    oldest = select(older.c.id).where(older.c.condition == text).order_by(older.c.created, older.c.id).limit(1)
    ids = select(oldest.correlate(text.table).scalar_subquery()).select_from(text.table)
    of_run = and_(evaluator.run_id == runs.id, evaluator.role == "evaluator")
    query = (
        select(
            runs.condition, runs.dataset_digest.label("digest"), runs.dataset, runs.evaluator, evaluator.component,
            evaluator.provider, evaluator.options,
        )
        .join_from(schema.runs, schema.components, of_run, isouter=True)
        .where(runs.id.in_(ids))
        .order_by(runs.created, runs.id)
    )  # fmt: skip
    rows: list[Row[Any]] = list(connection.execute(query))
    datasets = _told_apart([(row.digest, row.dataset, (short(row.digest), row.digest)) for row in rows])
    evaluators = _told_apart([(_key(row), row.evaluator, _details(row)) for row in rows])
    return {row.condition: Condition(datasets[row.digest], evaluators[_key(row)]) for row in rows}


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
