"""Revision 0002: cells know their variant, their backbone, and what that backbone had seen; claims are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Cells from before are of the head itself, and what their backbone saw was not written down."""
    kept_alike = {"sqlite_with_rowid": False}
    with op.batch_alter_table("cells", recreate="always", table_kwargs=kept_alike) as batch:
        batch.add_column(sa.Column("variant", sa.Text(), nullable=False, server_default="head"))
        batch.add_column(sa.Column("leakage", sa.Float()))
        batch.add_column(sa.Column("group_leakage", sa.Float()))
        batch.add_column(sa.Column("selection_leakage", sa.Float()))
        batch.add_column(sa.Column("pretraining", sa.Text()))
    op.create_table(
        "reproductions",
        *_texts("id", "recipe", "provider", "version", "digest", "budget", "dataset_digest", "cuts", "created"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reproductions")),
    )
    op.create_index(op.f("ix_reproductions_recipe_created"), "reproductions", ["recipe", "created"])
    op.create_table(
        "claims",
        *_texts("reproduction_id"),
        sa.Column("position", sa.Integer(), nullable=False),
        *_texts("name", "kind", "quantity", "model", "place"),
        sa.Column("printed", sa.Float(), nullable=False),
        *_texts("unit"),
        sa.Column("tolerance", sa.Float(), nullable=False),
        sa.Column("ours", sa.Float()),
        sa.Column("low", sa.Float()),
        sa.Column("high", sa.Float()),
        *_texts("verdict", "note", "runs"),
        sa.PrimaryKeyConstraint("reproduction_id", "position", name=op.f("pk_claims")),
        sa.ForeignKeyConstraint(
            ["reproduction_id"],
            ["reproductions.id"],
            name=op.f("fk_claims_reproduction_id_reproductions"),
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("kind IN ('arithmetic', 'metric', 'comparison')", name=op.f("ck_claims_kind")),
        sa.CheckConstraint(
            "verdict IN ('confirmed', 'contradicted', 'inconclusive', 'misprint', 'not run')",
            name=op.f("ck_claims_verdict"),
        ),
        sqlite_with_rowid=False,
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]
