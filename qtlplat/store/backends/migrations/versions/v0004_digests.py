"""Revision 0004: every record that has ended has a digest of its rows in each table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The table alone: whoever upgrades computes the digests afterwards, over the schema that is then there."""
    op.create_table(
        "digests",
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("record", "part", name=op.f("pk_digests")),
        sqlite_with_rowid=False,
    )
