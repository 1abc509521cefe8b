"""The store's tables, as SQLAlchemy Core sees them; how they come about is the migrations' business."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from operator import index
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from qtlplat.store.records import HEAD

APPLICATION_ID = 0x51544C50  # "QTLP", in the header of the file: no other database is ever written to
VERSION_TABLE = "qtlplat_schema"
REVISIONS = ("0001", "0002")  # in their order; the last one is what this version of qtlplat reads and writes

# Values of an epoch that have a column of their own; any other is kept in `epochs.further`.
EPOCH_COLUMNS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Number(TypeDecorator[float]):
    """A float of which nothing is lost: SQLite would bind NaN as NULL, so NaN is kept as the text 'NaN'."""

    impl = Float
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> Any:
        """NaN as text; infinities are ordinary REAL values in SQLite."""
        if value is None:
            return None
        return "NaN" if math.isnan(value) else float(value)

    def bind_processor(self, dialect: Dialect) -> Any:
        """Without the float conversion of the implementing type, which would turn the text back into NaN."""
        return lambda value: self.process_bind_param(value, dialect)

    def process_result_value(self, value: Any, dialect: Dialect) -> float | None:
        """The text 'NaN' as NaN."""
        return None if value is None else float(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Only the line above."""
        return lambda value: self.process_result_value(value, dialect)


class Whole(TypeDecorator[int]):
    """An integer of any kind, numpy's too; a float is an error (TypeError)."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        """As Python's own int, the only one that SQLite's driver takes."""
        return None if value is None else index(value)


class Facts(TypeDecorator[Any]):
    """A value as strict JSON text, its keys in their order; a NaN in it is an error (ValueError)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Value -> text."""
        return None if value is None else to_json(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Text -> value."""
        return None if value is None else json.loads(value)


class Numbers(Facts):
    """Floats, in a list or by name, as strict JSON text; NaN and infinities are kept as the strings 'NaN', ..."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Value -> text."""
        if value is None:
            return None
        if isinstance(value, Mapping):
            return to_json({str(name): _json_number(number) for name, number in value.items()})
        return to_json([_json_number(number) for number in value])

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Text -> value."""
        if value is None:
            return None
        numbers = json.loads(value)
        if isinstance(numbers, dict):
            return {name: _from_json_number(number) for name, number in numbers.items()}
        return [_from_json_number(number) for number in numbers]


def to_json(value: Any) -> str:
    """Strict JSON. Raises ValueError for NaN and infinities, TypeError for what JSON has no form for."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _json_number(value: float) -> float | str:
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _from_json_number(value: float | str) -> float:
    return _NOT_FINITE[value] if isinstance(value, str) else float(value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _part_of_a_run() -> Column[str]:
    return Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)


def _status(values: str = "'running', 'finished', 'failed', 'interrupted'") -> CheckConstraint:
    return CheckConstraint(f"status IN ({values})", name="status")


runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("seed", Whole, nullable=False),
    Column("created", Text, nullable=False),
    Column("finished", Text),
    Column("host", Text, nullable=False),
    Column("pid", Whole, nullable=False),
    Column("dataset_digest", Text, nullable=False),
    Column("plan", Facts, nullable=False),
    Column("parameters", Facts, nullable=False),
    Column("seconds", Numbers, nullable=False),
    Column("error", Text, nullable=False),
    CheckConstraint("kind IN ('run', 'pretraining')", name="kind"),
    _status(),
    Index(None, "fingerprint", "status"),
    Index(None, "created"),
)

components = Table(
    "components",
    metadata,
    _part_of_a_run(),
    Column("role", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("component", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("options", Facts, nullable=False),
    sqlite_with_rowid=False,
)

cells = Table(
    "cells",
    metadata,
    _part_of_a_run(),
    Column("position", Whole, primary_key=True),
    Column("fold", Whole, nullable=False),
    Column("seed", Whole, nullable=False),
    Column("n_train", Whole, nullable=False),
    Column("n_test", Whole, nullable=False),
    Column("train_hash", Text, nullable=False),
    Column("test_hash", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("seconds", Number),
    Column("variant", Text, nullable=False, server_default=HEAD),
    Column("leak", Number),
    Column("group_leak", Number),
    Column("pretraining", Text),
    _status(),
    sqlite_with_rowid=False,
)


def _part_of_a_cell() -> tuple[Column[Any], ...]:
    return Column("run_id", Text, primary_key=True), Column("cell", Whole, primary_key=True)


def _to_the_cell() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["run_id", "cell"], ["cells.run_id", "cells.position"], ondelete="CASCADE")


epochs = Table(
    "epochs",
    metadata,
    *_part_of_a_cell(),
    Column("epoch", Whole, primary_key=True),
    Column("seconds", Number, nullable=False),
    *(Column(name, Number) for name in EPOCH_COLUMNS),
    Column("further", Numbers, nullable=False),
    _to_the_cell(),
    sqlite_with_rowid=False,
)

metrics = Table(
    "metrics",
    metadata,
    *_part_of_a_cell(),
    Column("name", Text, primary_key=True),
    Column("value", Number, nullable=False),
    _to_the_cell(),
    sqlite_with_rowid=False,
)

predictions = Table(
    "predictions",
    metadata,
    *_part_of_a_cell(),
    Column("sample_id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("label", Whole, nullable=False),
    Column("predicted", Whole, nullable=False),
    Column("probabilities", Numbers, nullable=False),
    _to_the_cell(),
    sqlite_with_rowid=False,
)

artifacts = Table(
    "artifacts",
    metadata,
    _part_of_a_run(),
    Column("path", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("bytes", Whole, nullable=False),
    Column("cell", Whole),
    Column("meta", Facts, nullable=False),
    sqlite_with_rowid=False,
)

environment = Table(
    "environment",
    metadata,
    _part_of_a_run(),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)

lineage = Table(
    "lineage",
    metadata,
    _part_of_a_run(),
    Column("role", Text, primary_key=True),
    Column("parent_id", Text, ForeignKey("runs.id"), primary_key=True),
    Index(None, "parent_id"),
    sqlite_with_rowid=False,
)
