"""Revision 0005: people's remarks about runs: tags, a note, and whether a run lies in the trash."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Three tables; the views are made anew by whoever upgrades."""
    _remark("tags", sa.Column("tag", sa.Text(), nullable=False), sa.Column("since", sa.Text(), nullable=False), "tag")
    _remark("notes", sa.Column("text", sa.Text(), nullable=False), sa.Column("since", sa.Text(), nullable=False))
    _remark("trash", sa.Column("since", sa.Text(), nullable=False))
    op.create_index(op.f("ix_tags_tag"), "tags", ["tag"])


def _remark(name: str, *columns: sa.Column[str] | str) -> None:
    key = [column for column in columns if isinstance(column, str)]
    op.create_table(
        name,
        sa.Column("run_id", sa.Text(), nullable=False),
        *(column for column in columns if not isinstance(column, str)),
        sa.PrimaryKeyConstraint("run_id", *key, name=op.f(f"pk_{name}")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f(f"fk_{name}_run_id_runs"), ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
