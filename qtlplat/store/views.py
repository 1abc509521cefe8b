"""The views `v_*`: the tables joined and named as people ask for them, for SQL by hand and for other programs.

They are no part of a revision: whoever upgrades a store drops them first and makes them anew. Runs in the trash are
in none of them. `store/schema.py` has the tables that they are made of.
"""

# ruff: noqa: S608 -- all of it is constant text
from __future__ import annotations

from sqlalchemy.engine import Connection

ROLES = ("dataset", "backbone", "head", "evaluator")
METRICS = ("f1", "accuracy", "precision", "recall", "loss")
LEAKS = ("leak", "group_leak", "selection_leak")

_LIVE = "NOT EXISTS (SELECT 1 FROM trash t WHERE t.run_id = r.id)"


class _Dialect:
    """What the two databases write differently."""

    def __init__(self, name: str) -> None:
        self._postgres = name == "postgresql"
        # a NaN is a text in SQLite, which avg would count as 0
        self.mean = "avg({0})" if self._postgres else "CASE WHEN max(typeof({0})) = 'real' THEN avg({0}) END"
        self.texts = "string_agg({0}, ', ' ORDER BY {0})" if self._postgres else "group_concat({0}, ', ')"

    def path(self, column: str, *names: str, number: str = "") -> str:
        """A value inside a JSON column. number: its type where it is one."""
        if not self._postgres:
            return f"json_extract({column}, '$.{'.'.join(names)}')"
        inside = f"({column}::jsonb #>> '{{{','.join(names)}}}')"
        return f"{inside}::{number}" if number else inside

    def item(self, column: str, place: str) -> str:
        """An element of a list in a JSON column."""
        return f"({column}::jsonb ->> {place})" if self._postgres else f"json_extract({column}, '$[' || {place} || ']')"


def _named(run: str) -> str:
    """The names of a run's components."""
    of_role = "(SELECT name FROM components k WHERE k.run_id = {run} AND k.role = '{role}') AS {role}"
    return ", ".join(of_role.format(run=run, role=role) for role in ROLES)


def _runs(sql: _Dialect) -> str:
    cells = "FROM cells c JOIN metrics m ON m.run_id = c.run_id AND m.cell = c.position"
    of_head = "WHERE c.run_id = r.id AND c.variant = 'head' AND c.status = 'finished'"
    metric = f"(SELECT {{what}} {cells} {of_head} AND m.name = '{{name}}') AS {{title}}"
    metrics = [metric.format(what=sql.mean.format("m.value"), name=name, title=name) for name in METRICS]
    metrics += [
        metric.format(what=sql.mean.format("m.value").replace("avg", which), name="f1", title=f"f1_{which}")
        for which in ("min", "max")
    ]
    tested = "FROM cells c WHERE c.run_id = r.id AND c.variant = 'head' AND c.leak IS NOT NULL"
    leaks = [f"(SELECT sum(c.{name} * c.n_test) / sum(c.n_test) {tested}) AS {name}" for name in LEAKS]
    counted = (("head", "total"), "trainable"), (("model_total",), "parameters"), (("kept",), "frozen")
    ledger = [f"{sql.path('r.parameters', *path, number='bigint')} AS {title}" for path, title in counted]
    tags = f"(SELECT {sql.texts.format('g.tag')} FROM tags g WHERE g.run_id = r.id) AS tags"
    columns = [
        "r.id AS run, r.kind, r.status, r.created, r.finished",
        _named("r.id"),
        f"{sql.path('r.parameters', 'replaced_layers', number='bigint')} AS replaced, r.seed",
        *metrics,
        f"(SELECT count(*) FROM cells c {of_head}) AS cells",
        *ledger,
        *leaks,
        f"{sql.path('r.seconds', 'total', number='double precision')} AS seconds",
        tags,
        "(SELECT n.text FROM notes n WHERE n.run_id = r.id) AS note",
        "r.error, r.host, r.fingerprint, r.dataset_digest",
    ]
    return f"SELECT {', '.join(columns)} FROM runs r WHERE {_LIVE}"


def _cells(_sql: _Dialect) -> str:
    metric = (
        "(SELECT m.value FROM metrics m WHERE m.run_id = c.run_id AND m.cell = c.position AND m.name = '{0}') AS {0}"
    )
    return (
        f"SELECT r.id AS run, r.kind, {_named('r.id')}, c.position AS cell, c.fold, c.seed, c.variant, c.status, "
        f"c.n_train, c.n_test, {', '.join(metric.format(name) for name in METRICS)}, "
        f"{', '.join('c.' + name for name in LEAKS)}, c.seconds, c.pretraining "
        f"FROM runs r JOIN cells c ON c.run_id = r.id WHERE {_LIVE}"
    )


def _epochs(_sql: _Dialect) -> str:
    return (
        f"SELECT r.id AS run, r.kind, {_named('r.id')}, e.cell, c.fold, c.seed, c.variant, e.epoch, "
        "e.train_loss, e.train_accuracy, e.test_loss, e.test_accuracy, e.seconds, e.further "
        "FROM runs r JOIN cells c ON c.run_id = r.id "
        f"JOIN epochs e ON e.run_id = c.run_id AND e.cell = c.position WHERE {_LIVE}"
    )


def _predictions(sql: _Dialect) -> str:
    known = "(SELECT {0} FROM environment v WHERE v.run_id = r.id AND v.name = 'classes') AS {1}"
    return (
        f"SELECT r.id AS run, r.kind, {_named('r.id')}, p.cell, c.fold, c.seed, c.variant, p.sample_id AS sample, "
        "p.source, p.label, p.predicted, CASE WHEN p.label = p.predicted THEN 1 ELSE 0 END AS correct, "
        f"{known.format(sql.item('v.value', 'p.label'), 'class')}, "
        f"{known.format(sql.item('v.value', 'p.predicted'), 'predicted_class')}, p.probabilities "
        "FROM runs r JOIN cells c ON c.run_id = r.id "
        f"JOIN predictions p ON p.run_id = c.run_id AND p.cell = c.position WHERE {_LIVE}"
    )


def _claims(_sql: _Dialect) -> str:
    return (
        "SELECT o.id AS outcome, o.recipe, o.budget, o.created, k.position, k.name, k.kind, k.quantity, k.model, "
        "k.place, k.printed, k.unit, k.tolerance, k.ours, k.low, k.high, k.verdict, k.note, k.runs, o.provider, "
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
