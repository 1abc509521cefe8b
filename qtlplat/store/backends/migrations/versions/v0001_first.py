"""Revision 0001: everything, as `schema` declares it. With a revision 0002, the text of these tables is frozen here."""

from __future__ import annotations

from alembic import op

from qtlplat.store.core import schema

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables and indices."""
    schema.metadata.create_all(op.get_bind(), checkfirst=False)
