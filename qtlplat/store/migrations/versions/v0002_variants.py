"""Revision 0002: cells know their variant, their backbone, and what that backbone had seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns; cells from before are of the head itself, and what their backbone saw was not written down."""
    kept_alike = {"sqlite_with_rowid": False}
    with op.batch_alter_table("cells", recreate="always", table_kwargs=kept_alike) as batch:
        batch.add_column(sa.Column("variant", sa.Text(), nullable=False, server_default="head"))
        batch.add_column(sa.Column("leak", sa.Float()))
        batch.add_column(sa.Column("group_leak", sa.Float()))
        batch.add_column(sa.Column("pretraining", sa.Text()))
