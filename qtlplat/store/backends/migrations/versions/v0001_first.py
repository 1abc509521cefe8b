"""Revision 0001: everything."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables."""
    statuses = "status IN ('running', 'finished', 'failed', 'interrupted')"
    op.create_table(
        "runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("finished", sa.Text()),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("dataset_digest", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.CheckConstraint("kind IN ('run', 'pretraining')", name=op.f("ck_runs_kind")),
        sa.CheckConstraint(statuses, name=op.f("ck_runs_status")),
    )
    op.create_index(op.f("ix_runs_fingerprint_status"), "runs", ["fingerprint", "status"])
    op.create_index(op.f("ix_runs_created"), "runs", ["created"])

    _part_of_a_run(
        "components",
        ["role"],
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
    )
    _part_of_a_run(
        "cells",
        ["position"],
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("fold", sa.Integer(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("n_train", sa.Integer(), nullable=False),
        sa.Column("n_test", sa.Integer(), nullable=False),
        sa.Column("train_hash", sa.Text(), nullable=False),
        sa.Column("test_hash", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Float()),
        sa.CheckConstraint(statuses, name=op.f("ck_cells_status")),
    )
    _part_of_a_cell(
        "epochs",
        ["epoch"],
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("train_loss", sa.Float()),
        sa.Column("train_accuracy", sa.Float()),
        sa.Column("test_loss", sa.Float()),
        sa.Column("test_accuracy", sa.Float()),
        sa.Column("further", sa.Text(), nullable=False),
    )
    _part_of_a_cell(
        "metrics",
        ["name"],
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
    )
    _part_of_a_cell(
        "predictions",
        ["sample_id"],
        sa.Column("sample_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("label", sa.Integer(), nullable=False),
        sa.Column("predicted", sa.Integer(), nullable=False),
        sa.Column("probabilities", sa.Text(), nullable=False),
    )
    _part_of_a_run(
        "artifacts",
        ["path"],
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("cell", sa.Integer()),
        sa.Column("meta", sa.Text(), nullable=False),
    )
    _part_of_a_run(
        "environment",
        ["name"],
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
    )
    _part_of_a_run(
        "lineage",
        ["role", "parent_id"],
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["runs.id"], name=op.f("fk_lineage_parent_id_runs")),
    )
    op.create_index(op.f("ix_lineage_parent_id"), "lineage", ["parent_id"])


def _part_of_a_run(table: str, key: list[str], *parts: sa.Column[object] | sa.Constraint) -> None:
    op.create_table(
        table,
        sa.Column("run_id", sa.Text(), nullable=False),
        *parts,
        sa.PrimaryKeyConstraint("run_id", *key, name=op.f(f"pk_{table}")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f(f"fk_{table}_run_id_runs"), ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )


def _part_of_a_cell(table: str, key: list[str], *columns: sa.Column[object]) -> None:
    op.create_table(
        table,
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("cell", sa.Integer(), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("run_id", "cell", *key, name=op.f(f"pk_{table}")),
        sa.ForeignKeyConstraint(
            ["run_id", "cell"],
            ["cells.run_id", "cells.position"],
            name=op.f(f"fk_{table}_run_id_cell_cells"),
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )
