"""Bringing a database to the newest schema; imported only when one is new or behind."""

from __future__ import annotations

from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from qtlplat.store import schema

HERE = Path(__file__).parent


def scripts(folder: Path = HERE) -> ScriptDirectory:
    """Alembic's view of the revisions below a folder."""
    return ScriptDirectory(str(folder))


def upgrade(connection: Connection, folder: Path = HERE, *, to: str = "head") -> None:
    """Run every missing revision, up to one of them, inside the transaction that `connection` is in."""
    directory = scripts(folder)
    context = MigrationContext.configure(
        connection,
        opts={
            "version_table": schema.VERSION_TABLE,
            "transactional_ddl": True,  # true of SQLite as we open it; the caller commits
            "fn": lambda revision, _context: directory._upgrade_revs(to, revision),
            "script": directory,
        },
    )
    with Operations.context(context):
        context.run_migrations()
