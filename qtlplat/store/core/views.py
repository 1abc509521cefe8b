"""The views `v_*`: joined tables with convenient names, for SQL by hand and for other programs.

They are no part of a revision: an upgrade drops and recreates them. They leave out runs in the trash, and NaN is NULL,
so that every column has one type. `schema.py` has the tables
that they are made of, `store/read/sql/column_docs.py` says what their columns mean.
"""

# ruff: noqa: S608 -- all of it is constant text
from __future__ import annotations

from sqlalchemy.engine import Connection

from qtlplat.conventions import COUNT_PATHS, LEAKAGES, ROLES
from qtlplat.metrics import SHIPPED
from qtlplat.store.core.schema import EPOCH_COLUMNS

METRICS = tuple(SHIPPED)
SPREAD = ("f1", "accuracy")  # of which least, greatest and variance are shown too

_LIVE = "NOT EXISTS (SELECT 1 FROM trash t WHERE t.run_id = r.id)"
_CELL = "c.backbone_index, c.fold, c.seed, c.variant"


class _Dialect:
    """What the two databases write differently."""

    def __init__(self, name: str) -> None:
        self._postgres = name == "postgresql"

    def number(self, value: str) -> str:
        """A column of numbers, NULL if it is NaN: a text in SQLite, which avg would count as 0."""
        return (
            f"NULLIF({value}, 'NaN'::float8)"
            if self._postgres
            else f"CASE WHEN typeof({value}) = 'real' THEN {value} END"
        )

    def of_all(self, aggregate: str, value: str) -> str:
        """Something about all values of a column of numbers, NULL if one of them is NaN."""
        if self._postgres:
            return f"CASE WHEN bool_and({value} <> 'NaN'::float8) THEN NULLIF({aggregate}, 'NaN'::float8) END"
        return f"CASE WHEN max(typeof({value})) = 'real' THEN {aggregate} END"

    def path(self, column: str, *names: str, number: str = "") -> str:
        """A value inside a JSON column. number: its type where it is one."""
        if not self._postgres:
            return f"json_extract({column}, '$.{'.'.join(names)}')"
        inside = f"({column}::jsonb #>> '{{{','.join(names)}}}')"
        return f"{inside}::{number}" if number else inside

    def item(self, column: str, place: str) -> str:
        """An element of a list in a JSON column."""
        return (
            f"({column}::jsonb ->> ({place})::int)"
            if self._postgres
            else f"json_extract({column}, '$[' || {place} || ']')"
        )

    def number_at(self, column: str, place: str) -> str:
        """A number in such a list, NULL if it is NaN."""
        item = self.item(column, place)
        return (
            self.number(f"{item}::float8") if self._postgres else f"CASE WHEN typeof({item}) <> 'text' THEN {item} END"
        )

    def texts(self, column: str, rows: str) -> str:
        """A column of the selected rows as one text, in alphabetical order."""
        if self._postgres:
            return f"(SELECT string_agg({column}, ', ' ORDER BY {column}) {rows})"
        return f"(SELECT group_concat({column}, ', ') FROM (SELECT {column} {rows} ORDER BY {column}))"


_NAMED = ", ".join(f"r.{role}" for role in ROLES)


def _runs(sql: _Dialect) -> str:
    of_head = "c.run_id = r.id AND c.variant = 'head' AND c.status = 'finished'"
    values = "FROM cells c JOIN metrics m ON m.run_id = c.run_id AND m.cell = c.position"

    def metric(name: str, column: str, title: str) -> str:
        known = f"FROM run_metrics m WHERE m.run_id = r.id AND m.variant = 'head' AND m.name = '{name}'"
        return f"(SELECT m.{column} {known}) AS {title}"

    def variance(name: str) -> str:
        known = f"WHERE {of_head} AND m.name = '{name}'"
        mean = f"(SELECT avg(m.value) AS mean {values} {known}) a"
        squares = "sum((m.value - a.mean) * (m.value - a.mean)) / NULLIF(count(*) - 1, 0)"
        return f"(SELECT {sql.of_all(squares, 'm.value')} {values} CROSS JOIN {mean} {known}) AS {name}_variance"

    metrics = [metric(name, "mean", name) for name in METRICS]
    for name in SPREAD:
        metrics += [metric(name, column, f"{name}_{which}") for which, column in (("min", "least"), ("max", "most"))]
        metrics.append(variance(name))
    tested = "FROM cells c WHERE c.run_id = r.id AND c.variant = 'head' AND c.leakage IS NOT NULL"
    leaks = [f"(SELECT sum(c.{name} * c.n_test) / sum(c.n_test) {tested}) AS {name}" for name in LEAKAGES]
    counted = ("trainable", "parameters", "frozen")
    totals = [f"{sql.path('r.parameters', *COUNT_PATHS[name], number='bigint')} AS {name}" for name in counted]
    parents = "FROM lineage l WHERE l.run_id = r.id AND l.role = 'pretraining'"
    columns = [
        "r.id AS run, r.kind, r.status, r.created, r.finished",
        _NAMED,
        f"{sql.path('r.parameters', 'replaced_layers', number='bigint')} AS replaced, r.seed",
        f"{sql.path('r.plan', 'backbones', number='bigint')} AS backbones",
        *metrics,
        f"(SELECT count(*) FROM cells c WHERE {of_head}) AS cells",
        *totals,
        *leaks,
        f"{sql.path('r.seconds', 'total', number='double precision')} AS seconds",
        f"(SELECT CASE WHEN count(*) = 1 THEN min(l.parent_id) END {parents}) AS pretraining",
        f"{sql.texts('tag', 'FROM tags g WHERE g.run_id = r.id')} AS tags",
        "(SELECT n.text FROM notes n WHERE n.run_id = r.id) AS note",
        "r.error, r.host, r.fingerprint, r.dataset_digest",
    ]
    return f"SELECT {', '.join(columns)} FROM runs r WHERE {_LIVE}"


def _cells(sql: _Dialect) -> str:
    known = "FROM metrics m WHERE m.run_id = c.run_id AND m.cell = c.position AND m.name"
    metrics = [f"(SELECT {sql.number('m.value')} {known} = '{name}') AS {name}" for name in METRICS]
    return (
        f"SELECT r.id AS run, r.kind, {_NAMED}, c.position AS cell, {_CELL}, c.status, "
        f"c.n_train, c.n_test, {', '.join(metrics)}, "
        f"{', '.join('c.' + name for name in LEAKAGES)}, c.seconds, c.pretraining "
        f"FROM runs r JOIN cells c ON c.run_id = r.id WHERE {_LIVE}"
    )


def _epochs(sql: _Dialect) -> str:
    values = ", ".join(f"{sql.number(f'e.{name}')} AS {name}" for name in EPOCH_COLUMNS)
    return (
        f"SELECT r.id AS run, r.kind, {_NAMED}, e.cell, {_CELL}, e.epoch, "
        f"{values}, e.seconds, e.further "
        "FROM runs r JOIN cells c ON c.run_id = r.id "
        f"JOIN epochs e ON e.run_id = c.run_id AND e.cell = c.position WHERE {_LIVE}"
    )


def _predictions(sql: _Dialect) -> str:
    return (
        f"SELECT r.id AS run, r.kind, {_NAMED}, p.cell, {_CELL}, p.sample_id AS sample, "
        "p.source, p.label, p.predicted, CASE WHEN p.label = p.predicted THEN 1 ELSE 0 END AS correct, "
        f"{sql.number_at('p.probabilities', 'p.predicted')} AS confidence, "
        f"{sql.item('r.classes', 'p.label')} AS class, "
        f"{sql.item('r.classes', 'p.predicted')} AS predicted_class, p.probabilities "
        "FROM runs r JOIN cells c ON c.run_id = r.id "
        f"JOIN predictions p ON p.run_id = c.run_id AND p.cell = c.position WHERE {_LIVE}"
    )


def _claims(sql: _Dialect) -> str:
    numbers = {name: f"{sql.number(f'k.{name}')} AS {name}" for name in ("printed", "tolerance", "ours", "low", "high")}
    return (
        "SELECT o.id AS outcome, o.recipe, o.budget, o.created, k.position, k.name, k.kind, k.quantity, k.model, "
        f"k.place, {numbers['printed']}, k.unit, {numbers['tolerance']}, {numbers['ours']}, {numbers['low']}, "
        f"{numbers['high']}, k.verdict, k.note, k.runs, o.provider, "
        "o.version, o.dataset_digest FROM reproductions o JOIN claims k ON k.reproduction_id = o.id"
    )


VIEWS = {"v_runs": _runs, "v_cells": _cells, "v_epochs": _epochs, "v_predictions": _predictions, "v_claims": _claims}


def drop_views(connection: Connection) -> None:
    """Drop them, those of earlier versions too: a table that a view names cannot be changed."""
    for name in VIEWS:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")


def create_views(connection: Connection) -> None:
    """Make them over the newest schema."""
    sql = _Dialect(connection.dialect.name)
    for name, select in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {select(sql)}")
