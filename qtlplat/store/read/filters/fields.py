"""The fields of the filter language: what each of them is in SQL, for a run of the table `runs`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from qtlplat.conventions import COUNT_PATHS, HEAD, LEAKAGES, ROLES
from qtlplat.store.core import dialect, schema
from qtlplat.store.core.dialect import Expression
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.ownership import is_abandoned
from qtlplat.store.read.filters.known_names import Asked, KnownNames
from qtlplat.store.read.filters.tree import OVER_CELLS, OVER_EPOCHS, FieldName, written

_RUN = schema.runs.c
_OF_COMPONENTS = ("component", "provider", "version", "digest")


@dataclass(frozen=True)
class Field:
    """A field of a run.

    sort: what its values are; 'any' where JSON says it, each by itself.
    value: to be selected, NULL where the field is not there; decode: what is selected -> value.
    items: what a literal of each sort is compared with.
    rows: EXISTS a row of which a condition on an item holds, for fields that may have several values.
    order: what to sort by, NULL where the field is not there.
    """

    sort: Literal["text", "number", "time", "any"]
    value: Expression
    items: Mapping[str, Expression]
    decode: Callable[[Any], Any] = lambda value: value
    rows: Callable[[Expression], Expression] | None = None
    there: Expression | None = None
    order: tuple[Expression, ...] = ()


def _single(sort: Literal["text", "number", "time"], value: Expression) -> Field:
    return Field(sort, value, {"number" if sort == "number" else "text": value}, order=(value,))


def _text(value: Expression) -> Field:
    return _single("text", value)


def _number(value: Expression) -> Field:
    return _single("number", value)


class Fields:
    """Finds fields by name, in a transaction."""

    def __init__(self, connection: Connection, location: StoreLocation) -> None:
        self._connection, self._location = connection, location
        self._known = KnownNames(connection)

    def find(self, name: FieldName, asked: Asked) -> Field:
        """The field of a name. Raises UsageError where there is none; the message has the near names, and all."""
        if name.function in OVER_EPOCHS:
            return self._of_epochs(name, asked)
        if name.function in OVER_CELLS or name.variant:
            return self._metric(name, asked)
        return self._dotted(name, asked) if len(name.path) > 1 else self._word(name.path[0], name, asked)

    def _word(self, word: str, name: FieldName, asked: Asked) -> Field:
        if name.quoted and self._known.metric(word):
            return self._metric(name, asked)
        if word in self._simple:
            return self._simple[word]()
        if word.endswith("_sd") and self._known.metric(word.removesuffix("_sd")):
            return self._metric(FieldName((word.removesuffix("_sd"),), "sd", at=name.at), asked)
        if self._known.metric(word):
            return self._metric(name, asked)
        if self._known.planned(name.path):
            return _in_json(_RUN.plan, name.path)
        options = [f"{role}.{option}" for role in ROLES for option in self._known.options(role)]
        near = [*self._simple, *self._known.metrics(self._simple), *options, *self._known.plans()]
        raise self._known.unknown(asked, name, near, self._known.kinds(self._simple))

    @cached_property
    def _simple(self) -> dict[str, Callable[[], Field]]:
        """Fields that every store has, by name."""
        texts = ("id", "kind", "host", "fingerprint", "dataset_digest")
        return {
            **{name: lambda name=name: _text(_RUN[name]) for name in texts},  # type: ignore[misc]
            "run": lambda: _text(_RUN.id),
            "status": lambda: _text(self._status),
            "error": lambda: _text(sa.func.nullif(_RUN.error, "")),
            **{  # without the column's type, which takes whole numbers only
                name: lambda name=name: _number(sa.type_coerce(_RUN[name], sa.types.NULLTYPE))  # type: ignore[misc]
                for name in ("seed", "pid", "owner")
            },
            "created": lambda: _single("time", _RUN.created),
            "finished": lambda: _single("time", _RUN.finished),
            "seconds": lambda: _number(_seconds("total")),
            "cells": lambda: _number(_count()),
            **{role: lambda role=role: _text(_of_role(role, "name")) for role in ROLES},  # type: ignore[misc]
            **{name: lambda name=name: _of_any_role(name) for name in ("component", "provider", "version")},  # type: ignore[misc]
            **{
                name: lambda path=path: _number(dialect.json_number(_RUN.parameters, dialect.path(path)))  # type: ignore[misc]
                for name, path in COUNT_PATHS.items()
            },
            **{name: lambda name=name: _number(_leak(name)) for name in LEAKAGES},  # type: ignore[misc]
            "tag": lambda: _several(schema.tags.c.run_id, schema.tags.c.tag),
            "note": lambda: _text(_one(schema.notes.c.text, schema.notes.c.run_id == _RUN.id)),
            "trashed": lambda: _single("time", _one(schema.trash.c.since, schema.trash.c.run_id == _RUN.id)),
            "pretraining": lambda: _text(_only_parent()),
        }

    @cached_property
    def _status(self) -> Expression:
        """As a run shows it: what was running when its owner died is interrupted."""
        query = sa.select(_RUN.id, _RUN.host).where(_RUN.status == "running")
        running = self._connection.execute(query).all()
        left = [row.id for row in running if is_abandoned(self._location, row.id, row.host)]
        if not left:
            return _RUN.status
        dead = sa.and_(_RUN.status == "running", _RUN.id.in_(dialect.among(json.dumps(left))))
        return sa.case((dead, sa.literal("interrupted")), else_=_RUN.status)

    def _metric(self, name: FieldName, asked: Asked) -> Field:
        metric = name.path[0]
        if len(name.path) > 1 or not self._known.metric(metric):
            every = self._known.metrics()
            raise self._known.unknown(asked, name, every, [f"metrics: {', '.join(every)}"])
        if name.variant and not self._known.variant(name.variant):
            every = self._known.variants()
            raise self._known.unknown(
                asked, name, [f"{written(metric)}@{variant}" for variant in every], [f"variants: {', '.join(every)}"]
            )
        return _number(_over_cells(name.function or "mean", metric, name.variant or HEAD))

    def _of_epochs(self, name: FieldName, asked: Asked) -> Field:
        value = name.path[0]
        if value in ("loss", "accuracy") and not self._known.of_epochs(value):
            value = f"test_{value}"  # as the metrics of these names, which are of the test part
        if len(name.path) > 1 or not self._known.of_epochs(value):
            every = self._known.epoch_values()
            near = [f"{name.function}({one})" for one in every]
            raise self._known.unknown(asked, name, near, [f"values of epochs: {', '.join(every)}"])
        if name.variant and not self._known.variant(name.variant):
            raise self._known.unknown(asked, name, [], [f"variants: {', '.join(self._known.variants())}"])
        return _number(_over_epochs(name.function, value, name.variant or HEAD))

    def _dotted(self, name: FieldName, asked: Asked) -> Field:
        first, *rest = name.path
        if first in ROLES:
            return self._of_component(first, rest, name, asked)
        if first == "seconds" and len(rest) == 1:
            return _number(_seconds(rest[0]))
        if first == "env" and len(rest) == 1:
            stored = self._known.surrounding(rest[0])
            if stored is None:
                every = self._known.surroundings()
                near = [f"env.{one}" for one in every]
                raise self._known.unknown(asked, name, near, [f"env: {', '.join(every)}"])
            table = schema.environment.c
            return _text(_one(table.value, table.run_id == _RUN.id, table.name == stored))
        path = rest if first == "plan" else name.path
        if self._known.planned(path):
            return _in_json(_RUN.plan, path)
        every = self._known.plans()
        raise self._known.unknown(asked, name, every, self._known.kinds(self._simple))

    def _of_component(self, role: str, rest: list[str], name: FieldName, asked: Asked) -> Field:
        if len(rest) == 1 and rest[0] in _OF_COMPONENTS:
            return _text(_of_role(role, rest[0]))
        if rest[0] == "options" and len(rest) > 1:
            rest = rest[1:]
        if not self._known.option(role, rest):
            every = [*self._known.options(role), *_OF_COMPONENTS]
            notes = [f"of a {role}: {', '.join(every)}"]
            raise self._known.unknown(asked, name, [f"{role}.{one}" for one in every], notes)
        table = schema.components
        return _in_json(table.c.options, rest, table, table.c.run_id == _RUN.id, table.c.role == role)


def _one(column: Expression, *conditions: Expression) -> Expression:
    return sa.select(column).where(*conditions).correlate(schema.runs).scalar_subquery()


def _of_role(role: str, column: str) -> Expression:
    table = schema.components.c
    return _one(table[column], table.run_id == _RUN.id, table.role == role)


def _of_any_role(column: str) -> Field:
    return _several(schema.components.c.run_id, schema.components.c[column])


def _several(run_id: Expression, item: sa.Column[str]) -> Field:
    """A text that a run may have several times, in rows of a table."""

    def rows(condition: Expression) -> Expression:
        return sa.exists().select_from(item.table).where(run_id == _RUN.id, condition).correlate(schema.runs)

    value = _one(dialect.listing(item), run_id == _RUN.id)
    least = _one(sa.func.min(item), run_id == _RUN.id)
    return Field("text", value, {"text": item}, _in_order, rows, rows(sa.true()), (least,))


def _in_json(column: Expression, path: Any, *source: Any) -> Field:
    """A value in a JSON column of `runs`, or of a row of another table: source is that table and its conditions."""
    bound = dialect.path(path)
    element = dialect.Element(column, bound)
    tables, conditions = source[:1], source[1:]

    def rows(condition: Expression) -> Expression:
        found = sa.exists().select_from(*tables, element.table).where(*conditions, condition)
        return found.correlate(schema.runs)

    def read(value: Expression) -> Expression:
        return _one(value, *conditions) if tables else value

    items = {"number": element.number, "text": element.text, "truth": element.truth}
    value = read(dialect.json_part(column, bound))
    as_number = read(dialect.json_number(column, bound))
    # numbers before texts
    order = (sa.case((value.is_(None), None), (as_number.is_(None), 1), else_=0), as_number, value)
    return Field("any", value, items, _from_json, rows, rows(element.there), order)


def _from_json(value: str | None) -> Any:
    return None if value is None else json.loads(value)


def _seconds(stage: str) -> Expression:
    return dialect.number(dialect.json_float(_RUN.seconds, dialect.path([stage])))


def _in_order(texts: str | None) -> list[str] | None:
    return None if texts is None else sorted(json.loads(texts))


def _cells_of(variant: str) -> tuple[Expression, ...]:
    cells = schema.cells.c
    return cells.run_id == _RUN.id, cells.variant == variant, cells.status == "finished"


def _count() -> Expression:
    query = sa.select(sa.func.count()).select_from(schema.cells).where(*_cells_of(HEAD))
    return query.correlate(schema.runs).scalar_subquery()


def _over_cells(function: str, metric: str, variant: str) -> Expression:
    """A metric over a variant's finished cells; not there where a value is NaN, but for n, which counts the others."""
    cells, metrics = schema.cells.c, schema.metrics.c
    value = sa.type_coerce(metrics.value, sa.types.NULLTYPE)
    found = sa.func.count(dialect.number(metrics.value)) if function == "n" else _aggregate(function, value)
    same = sa.and_(metrics.run_id == cells.run_id, metrics.cell == cells.position, metrics.name == metric)
    query = sa.select(found).select_from(schema.cells.join(schema.metrics, same)).where(*_cells_of(variant))
    return query.correlate(schema.runs).scalar_subquery()


def _aggregate(function: str, value: Expression) -> Expression:
    aggregates: dict[str, Callable[[Expression], Expression]] = {
        "mean": sa.func.avg,
        "min": sa.func.min,
        "max": sa.func.max,
        "sd": dialect.deviation,
    }
    return sa.case((dialect.all_numbers(value), dialect.result(aggregates[function](dialect.number(value)))))


def _over_epochs(function: str, name: str, variant: str) -> Expression:
    """A value of epochs, one for each cell of a variant, whether finished or not, and the mean of them."""
    cells, epochs = schema.cells.c, schema.epochs.c
    own = name in schema.EPOCH_COLUMNS
    value = epochs[name] if own else dialect.json_float(epochs.further, dialect.path([name]))
    measured = value.is_not(None) if own else dialect.json_there(epochs.further, dialect.path([name]))
    of_cell = sa.select().where(epochs.run_id == cells.run_id, epochs.cell == cells.position, measured)
    if function in ("first", "last"):
        order = epochs.epoch if function == "first" else epochs.epoch.desc()
        chosen = of_cell.add_columns(sa.type_coerce(value, sa.types.NULLTYPE)).order_by(order).limit(1)
    else:
        numbers = dialect.number(value)
        chosen = of_cell.add_columns(sa.func.min(numbers) if function == "lowest" else sa.func.max(numbers))
    each = chosen.correlate(schema.cells).scalar_subquery().label("value")
    conditions = (cells.run_id == _RUN.id, cells.variant == variant)
    per_cell = sa.select(each).select_from(schema.cells).where(*conditions).correlate(schema.runs).subquery()
    return sa.select(_aggregate("mean", per_cell.c.value)).correlate(schema.runs).scalar_subquery()


def _leak(name: str) -> Expression:
    cells = schema.cells.c
    share = sa.func.sum(cells[name] * cells.n_test) / sa.func.sum(cells.n_test)
    return _one(share, cells.run_id == _RUN.id, cells.variant == HEAD, cells.leakage.is_not(None))


def _only_parent() -> Expression:
    lineage = schema.lineage.c
    only = sa.case((sa.func.count() == 1, sa.func.min(lineage.parent_id)))
    return _one(only, lineage.run_id == _RUN.id, lineage.role == "pretraining")
