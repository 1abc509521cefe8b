"""What the store's tables are made of: columns with their meaning, and references."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, ForeignKeyConstraint, MetaData, Table

from qtlplat.store.core.columns import Text, Whole

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def table_of(name: str, row: str, *parts: Any, sqlite_with_rowid: bool = False) -> Table:
    """A table. row: what each of its rows is, for `sql --schema` and the docs, as `doc` of the columns."""
    return Table(name, metadata, *parts, info={"row": row}, sqlite_with_rowid=sqlite_with_rowid)


def key(name: str, kind: Any, doc: str, *parts: Any) -> Column[Any]:
    """A column of the primary key."""
    return Column(name, kind, *parts, primary_key=True, doc=doc)


def column(name: str, kind: Any, doc: str) -> Column[Any]:
    """A column that is never NULL."""
    return Column(name, kind, nullable=False, doc=doc)


def optional(name: str, kind: Any, doc: str) -> Column[Any]:
    """A column that may be NULL."""
    return Column(name, kind, doc=doc)


def part_of_a_run() -> Column[Any]:
    """The reference to the run that a row belongs to."""
    return key("run_id", Text, "the run that the row belongs to", ForeignKey("runs.id", ondelete="CASCADE"))


def status_check() -> CheckConstraint:
    """That a status is one that there is."""
    return CheckConstraint("status IN ('running', 'finished', 'failed', 'interrupted')", name="status")


def part_of_a_cell() -> tuple[Column[Any], ...]:
    """The columns that refer to the cell of a row."""
    return (
        key("run_id", Text, "the run that the row belongs to"),
        key("cell", Whole, "the cell of the run, its position"),
    )


def to_the_cell() -> ForeignKeyConstraint:
    """That this cell is there."""
    return ForeignKeyConstraint(["run_id", "cell"], ["cells.run_id", "cells.position"], ondelete="CASCADE")
