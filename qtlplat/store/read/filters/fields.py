"""The fields of the filter language: what each of them is in SQL, for a run of `runs`, and which way is better."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from qtlplat.conventions import COUNT_PATHS, HEAD, LEAKAGES, ROLES
from qtlplat.errors import safe_repr
from qtlplat.store.core import dialect, schema
from qtlplat.store.core.dialect import Expression
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.ownership import is_abandoned
from qtlplat.store.read.filters.known_names import KnownNames, UnknownFieldError
from qtlplat.store.read.filters.language import Asked, unknown_function
from qtlplat.store.read.filters.names import FUNCTIONS, OVER_EPOCHS, FieldName, written

_RUN = schema.runs.c
_OF_COMPONENTS = ("component", "provider", "version", "digest")
_OVER_CELLS = {"mean": "mean", "sd": "sd", "min": "least", "max": "most", "n": "n"}  # functions, as columns
# values of epochs, losses and accuracies of the parts of a dataset: whether less is better
_EPOCHS = {f"{part}{name}": name == "loss" for part in ("", "train_", "validation_", "test_") for name in
           ("loss", "accuracy")}  # fmt: skip


@dataclass(frozen=True)
class Field:
    """A field of a run, or a column of a listing.

    sort: what its values are; 'any' where each has a sort of its own.
    value: to be selected, NULL if the field is not there; decode: what is selected -> value, None for itself.
    items: what a literal of each sort is compared with.
    rows: EXISTS a row of which a condition on an item holds, for fields that may have several values; listed: whether
    there may be rows, or a list without any.
    there: whether the field is there, where that is not what `value` says.
    order: what to sort by, NULL if the field is not there.
    lower: whether less of it is better, None if nothing says so; metric: the evaluator's metric whose declaration does.
    average: metric and variant of the mean that it is, which an index has in order.
    """

    sort: Literal["text", "number", "time", "truth", "any"]
    value: Expression
    items: Mapping[str, Expression]
    decode: Callable[[Any], Any] | None = None
    rows: Callable[[Expression], Expression] | None = None
    listed: Expression = field(default_factory=sa.true)
    there: Expression | None = None
    order: tuple[Expression, ...] = ()
    lower: bool | None = None
    metric: str = ""
    average: tuple[str, str] | None = None


def _text(value: Expression) -> Field:
    return Field("text", value, {"text": value}, order=(value,))


def _time(value: Expression) -> Field:
    return Field("time", value, {"text": value}, order=(value,))


def _number(value: Expression, lower: bool | None = None, metric: str = "") -> Field:
    return Field("number", value, {"number": value}, order=(value,), lower=lower, metric=metric)


@cache
def simple_fields() -> dict[str, Field]:
    """The fields that every store has, by name."""
    counts = {name: dialect.json_number(_RUN.parameters, dialect.path(path)) for name, path in COUNT_PATHS.items()}
    better = {"trainable": True, "parameters": True, "frozen": True, "reduction_model": False}
    better["reduction_replaced"] = False
    numbers = ("seed", "pid", "owner")  # without the column's type, which takes whole numbers only
    return {
        "run": _text(_RUN.id),
        **{name: _text(_RUN[name]) for name in ("id", "kind", "host", "fingerprint", "dataset_digest", "status")},
        "error": _text(sa.func.nullif(_RUN.error, "")),
        **{name: _number(sa.type_coerce(_RUN[name], sa.types.NULLTYPE)) for name in numbers},
        **{name: _time(_RUN[name]) for name in ("created", "finished")},
        "seconds": _seconds("total"),
        "cells": _number(_one(sa.func.count(), *_cells_of(HEAD))),
        **{name: _text(_RUN[name]) for name in (*ROLES, "condition")},
        **{
            name: _several(schema.components.c.run_id, schema.components.c[name])
            for name in ("component", "provider", "version")
        },
        **{name: _number(count, better.get(name)) for name, count in counts.items()},
        **{name: _number(_leak(name), lower=True) for name in LEAKAGES},
        "tag": _several(schema.tags.c.run_id, schema.tags.c.tag),
        "note": _text(_one(schema.notes.c.text, schema.notes.c.run_id == _RUN.id)),
        "trashed": _time(_one(schema.trash.c.since, schema.trash.c.run_id == _RUN.id)),
        "pretraining": _text(_only_parent()),
    }


class Fields:
    """Finds fields by name, in a transaction."""

    def __init__(self, connection: Connection, location: StoreLocation) -> None:
        self._connection, self._location = connection, location
        self._known = KnownNames(connection, simple_fields())

    def find(self, name: FieldName, asked: Asked) -> Field:
        """The field of a name. Raises UsageError if there is none; the message has the near names, and all."""
        if name.function not in ("", *FUNCTIONS):
            raise asked.error(name.at, unknown_function(name))
        try:
            return self._found(name)
        except UnknownFieldError as unknown:
            words = str(name)
            raise asked.error(name.at, f"unknown field {safe_repr(words)}", unknown.lines(words)) from None

    def _found(self, name: FieldName) -> Field:
        if name.function in OVER_EPOCHS:
            return self._of_epochs(name)
        if name.function or name.variant:
            return self._of_cells(name)
        return self._dotted(*name.path) if len(name.path) > 1 else self._word(name.path[0], name)

    def _word(self, word: str, name: FieldName) -> Field:
        known = self._known
        if name.quoted and known.metric(word):
            return self._of_cells(name)
        if word in simple_fields():
            return _text(self._status) if word == "status" else simple_fields()[word]
        if word.endswith("_sd") and known.metric(word.removesuffix("_sd")):
            return self._of_cells(FieldName((word.removesuffix("_sd"),), "sd"))
        return self._of_cells(name) if known.metric(word) else self._in_plan([word])

    def _dotted(self, first: str, *rest: str) -> Field:
        if first in ROLES:
            return self._of_component(first, rest)
        if first == "seconds" and len(rest) == 1:
            return _seconds(rest[0])
        if first == "env" and len(rest) == 1:
            return self._of_environment(rest[0])
        return self._in_plan(rest if first == "plan" else (first, *rest))

    def _in_plan(self, path: Sequence[str]) -> Field:
        if not self._known.planned(path):
            raise self._known.unknown()
        return _in_json(_RUN.plan, path)

    @cached_property
    def _status(self) -> Expression:
        """As a run shows it: what was running when its owner died is interrupted."""
        query = sa.select(_RUN.id, _RUN.host).where(schema.IS_RUNNING)
        running = self._connection.execute(query).all()
        left = [row.id for row in running if is_abandoned(self._location, row.id, row.host)]
        if not left:
            return _RUN.status
        dead = sa.and_(_RUN.status == "running", _RUN.id.in_(dialect.among(left)))
        return sa.case((dead, sa.literal("interrupted")), else_=_RUN.status)

    def _of_cells(self, name: FieldName) -> Field:
        metric = name.path[0]
        if len(name.path) > 1 or not self._known.metric(metric):
            every = self._known.metrics()
            raise UnknownFieldError(every, [f"metrics: {', '.join(every)}"])
        self._refuse_unknown_variant(name, f"{written(metric)}@")
        lower = {"sd": True, "n": None}.get(name.function)  # of any metric: a spread
        function, variant = name.function or "mean", name.variant or HEAD
        found = _number(_over_cells(function, metric, variant), lower, "" if name.function in ("sd", "n") else metric)
        return replace(found, average=(metric, variant)) if function == "mean" else found

    def _of_epochs(self, name: FieldName) -> Field:
        value = name.path[0]
        if value in ("loss", "accuracy") and not self._known.of_epochs(value):
            value = f"test_{value}"  # as the metrics of these names, which are of the test part
        if len(name.path) > 1 or not self._known.of_epochs(value):
            every = self._known.epoch_values()
            near = [f"{name.function}({one})" for one in every]
            raise UnknownFieldError(near, [f"values of epochs: {', '.join(every)}"])
        self._refuse_unknown_variant(name, f"{name.function}({written(value)}@")
        return _number(_over_epochs(name.function, value, name.variant or HEAD), _EPOCHS.get(value))

    def _refuse_unknown_variant(self, name: FieldName, before: str) -> None:
        if name.variant and not self._known.variant(name.variant):
            every = self._known.variants()
            raise UnknownFieldError([before + one for one in every], [f"variants: {', '.join(every)}"])

    def _of_environment(self, name: str) -> Field:
        stored = self._known.surrounding(name)
        if stored is None:
            every = self._known.surroundings()
            raise UnknownFieldError([f"env.{one}" for one in every], [f"env: {', '.join(every)}"])
        table = schema.environment.c
        return _text(_one(table.value, table.run_id == _RUN.id, table.name == stored))

    def _of_component(self, role: str, rest: Sequence[str]) -> Field:
        if len(rest) == 1 and rest[0] in _OF_COMPONENTS:
            return _text(_of_role(role, rest[0]))
        if rest[0] == "options" and len(rest) > 1:
            rest = rest[1:]
        if not self._known.option(role, rest):
            every = [*self._known.options(role), *_OF_COMPONENTS]
            raise UnknownFieldError([f"{role}.{one}" for one in every], [f"of a {role}: {', '.join(every)}"])
        table = schema.components
        return _in_json(table.c.options, rest, table, table.c.run_id == _RUN.id, table.c.role == role)


def _one(column: Expression, *conditions: Expression) -> Expression:
    return sa.select(column).where(*conditions).correlate(schema.runs).scalar_subquery()


def _of_role(role: str, column: str) -> Expression:
    table = schema.components.c
    return _one(table[column], table.run_id == _RUN.id, table.role == role)


def _several(run_id: Expression, item: sa.Column[str]) -> Field:
    """A text that a run may have several times, in rows of a table."""

    def rows(condition: Expression) -> Expression:
        return sa.exists().select_from(item.table).where(run_id == _RUN.id, condition).correlate(schema.runs)

    value = _one(dialect.listing(item), run_id == _RUN.id)
    least = _one(sa.func.min(item), run_id == _RUN.id)
    return Field("text", value, {"text": item}, _in_order, rows, there=rows(sa.true()), order=(least,))


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
    return Field("any", value, items, _from_json, rows, value.is_not(None), rows(element.there), order)


def _from_json(value: str | None) -> Any:
    return None if value is None else json.loads(value)


def _seconds(stage: str) -> Field:
    return _number(dialect.number(dialect.json_float(_RUN.seconds, dialect.path([stage]))), lower=True)


def _in_order(texts: str | None) -> list[str] | None:
    return None if texts is None else sorted(json.loads(texts))


def _cells_of(variant: str) -> tuple[Expression, ...]:
    cells = schema.cells.c
    return cells.run_id == _RUN.id, cells.variant == variant, cells.status == "finished"


def _over_cells(function: str, metric: str, variant: str) -> Expression:
    """A metric over a variant's finished cells; not there where a value is NaN, but for n, which counts the others."""
    table = schema.run_metrics.c
    column = table[_OVER_CELLS[function]]
    value = _one(sa.type_coerce(column, sa.types.NULLTYPE), table.run_id == _RUN.id, *average_of(metric, variant))
    return sa.func.coalesce(value, 0) if function == "n" else value


def average_of(metric: str, variant: str) -> tuple[Expression, Expression]:
    """The conditions of a row of `run_metrics`, besides its run."""
    table = schema.run_metrics.c
    return table.name == metric, table.variant == variant


def _mean(value: Expression) -> Expression:
    return sa.case((dialect.all_numbers(value), dialect.result(sa.func.avg(dialect.number(value)))))


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
    return _one(_mean(per_cell.c.value))


def _leak(name: str) -> Expression:
    cells = schema.cells.c
    share = sa.func.sum(cells[name] * cells.n_test) / sa.func.sum(cells.n_test)
    return _one(share, cells.run_id == _RUN.id, cells.variant == HEAD, cells.leakage.is_not(None))


def _only_parent() -> Expression:
    lineage = schema.lineage.c
    only = sa.case((sa.func.count() == 1, sa.func.min(lineage.parent_id)))
    return _one(only, lineage.run_id == _RUN.id, lineage.role == "pretraining")
