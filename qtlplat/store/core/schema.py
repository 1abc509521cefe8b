"""The store's tables, as SQLAlchemy Core sees them; how they come about is the migrations' business."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Table,
)

from qtlplat.store.core.columns import Facts, Number, Numbers, Text, Time, Whole

APPLICATION_ID = 0x51544C50  # "QTLP", in the header of the file: no other database is ever written to
VERSION_TABLE = "qtlplat_schema"
REVISIONS = ("0001",)  # in order; the last one is what this version reads and writes

# Values of an epoch that have a column of their own; any other is kept in `epochs.further`.
EPOCH_COLUMNS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")

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
    Column("created", Time, nullable=False),
    Column("finished", Time),
    Column("host", Text, nullable=False),
    Column("pid", Whole, nullable=False),
    Column("dataset_digest", Text, nullable=False),
    Column("plan", Facts, nullable=False),
    Column("parameters", Facts, nullable=False),
    Column("seconds", Numbers, nullable=False),
    Column("error", Text, nullable=False),
    Column("owner", Whole, nullable=False),
    Column("classes", Facts(list), nullable=False),
    Column("image_shape", Facts(list)),
    Column("made_for", Text),
    CheckConstraint("kind IN ('run', 'pretraining')", name="kind"),
    _status(),
    Index(None, "fingerprint", "status"),
    Index(None, "created"),
)

owners = Table(
    "owners",
    metadata,
    _part_of_a_run(),
    Column("number", Whole, primary_key=True),
    Column("since", Time, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Whole, nullable=False),
    Column("drift", Facts, nullable=False),
    sqlite_with_rowid=False,
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
    Column("variant", Text, nullable=False),
    Column("leakage", Number),
    Column("group_leakage", Number),
    Column("selection_leakage", Number),
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
    Column("probabilities", Numbers(list), nullable=False),
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

reproductions = Table(
    "reproductions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("recipe", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("budget", Text, nullable=False),
    Column("dataset_digest", Text, nullable=False),
    Column("cuts", Facts, nullable=False),
    Column("created", Time, nullable=False),
    Index(None, "recipe", "created"),
)

claims = Table(
    "claims",
    metadata,
    Column("reproduction_id", Text, ForeignKey("reproductions.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Whole, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("quantity", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("printed", Number, nullable=False),
    Column("unit", Text, nullable=False),
    Column("tolerance", Number, nullable=False),
    Column("ours", Number),
    Column("low", Number),
    Column("high", Number),
    Column("verdict", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("runs", Facts(list), nullable=False),
    CheckConstraint("kind IN ('arithmetic', 'metric', 'comparison')", name="kind"),
    CheckConstraint("verdict IN ('confirmed', 'contradicted', 'inconclusive', 'misprint', 'not run')", name="verdict"),
    sqlite_with_rowid=False,
)

tags = Table(
    "tags",
    metadata,
    _part_of_a_run(),
    Column("tag", Text, primary_key=True),
    Column("since", Time, nullable=False),
    Index(None, "tag"),
    sqlite_with_rowid=False,
)

notes = Table(
    "notes",
    metadata,
    _part_of_a_run(),
    Column("text", Text, nullable=False),
    Column("since", Time, nullable=False),
    sqlite_with_rowid=False,
)

trash = Table(
    "trash",
    metadata,
    _part_of_a_run(),
    Column("since", Time, nullable=False),
    sqlite_with_rowid=False,
)

# What people say of runs, at any time; all other tables of a run do not change any more once it has ended.
REMARKS = ("tags", "notes", "trash")

digests = Table(
    "digests",
    metadata,
    Column("record", Text, primary_key=True),
    Column("part", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    sqlite_with_rowid=False,
)

OWNERS = {"runs": "run_id", "reproductions": "reproduction_id"}  # table of records -> how others refer to it


def key_of(table: Table) -> str | None:
    """The column with the id of a record, None for a table of something else."""
    if table.name in OWNERS:
        return "id"
    return next((reference for reference in OWNERS.values() if reference in table.c), None)
