"""Upgrade a database to the newest schema; imported only for new and older databases.

On a server a store begins with the newest tables; revisions from 0002 on have to do their work there too: text is
`columns.Text`, and tables are rebuilt (``batch_alter_table(recreate="always")``) in SQLite alone.
"""

from __future__ import annotations

from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from qtlplat.store.core import schema

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
            "transactional_ddl": True,  # true of both, as we open them; the caller commits
            "fn": lambda revision, _context: directory._upgrade_revs(to, revision),
            "script": directory,
        },
    )
    with Operations.context(context):
        context.run_migrations()
