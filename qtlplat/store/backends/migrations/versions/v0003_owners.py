"""Revision 0003: runs know their owners, one after another; only the newest one may write."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Runs from before have had one owner, who started them."""
    with op.batch_alter_table("runs", recreate="always") as batch:
        batch.add_column(sa.Column("owner", sa.Integer(), nullable=False, server_default="1"))
    op.create_table(
        "owners",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("drift", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f("pk_owners")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_owners_run_id_runs"), ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO owners (run_id, number, since, host, pid, drift) SELECT id, 1, created, host, pid, '{}' FROM runs"
    )
