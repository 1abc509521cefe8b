"""Records that are stored in one transaction, and change no more: outcomes of reproductions, and sweeps."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Connection

from qtlplat.store.core import row_digests, schema
from qtlplat.store.core.records import NewReproduction
from qtlplat.store.core.sweep_records import FailureRow, NewSweep


def add_reproduction(connection: Connection, reproduction: NewReproduction, created: str) -> None:
    """Store an outcome; one that is stored already becomes the newest."""
    known = schema.reproductions.c.id == reproduction.id
    renewed = connection.execute(update(schema.reproductions).where(known).values(created=created))
    if not renewed.rowcount:
        row = {key: value for key, value in vars(reproduction).items() if key != "claims"}
        connection.execute(insert(schema.reproductions).values(id=reproduction.id, created=created, **row))
        claims = [
            {"reproduction_id": reproduction.id, "position": i, **vars(claim)}
            for i, claim in enumerate(reproduction.claims)
        ]
        if claims:
            connection.execute(insert(schema.claims), claims)
    row_digests.seal(connection, "reproductions", reproduction.id)


def add_sweep(connection: Connection, sweep: NewSweep, created: str) -> None:
    """Store what a sweep asks for, unless it is there."""
    if connection.execute(select(schema.sweeps.c.id).where(schema.sweeps.c.id == sweep.id)).first():
        return
    row = {"id": sweep.id, "name": sweep.name, "created": created, "definition": sweep.definition}
    connection.execute(insert(schema.sweeps).values(row))
    connection.execute(insert(schema.sweep_members), [{"sweep_id": sweep.id, **vars(one)} for one in sweep.members])
    row_digests.seal(connection, "sweeps", sweep.id)


def remove_sweep(connection: Connection, sweep_id: str) -> None:
    """Delete a sweep with its members and their failures; runs stay."""
    for column in (schema.digests.c.record, schema.sweeps.c.id):
        connection.execute(delete(column.table).where(column == sweep_id))


def add_failure(connection: Connection, sweep_id: str, failure: FailureRow) -> None:
    """Store that a member could not be trained, unless the sweep is gone."""
    table = schema.sweep_failures
    if not connection.execute(select(schema.sweeps.c.id).where(schema.sweeps.c.id == sweep_id)).first():
        return
    of_member = (table.c.sweep_id == sweep_id, table.c.position == failure.position)
    last = connection.execute(select(func.max(table.c.number)).where(*of_member)).scalar()
    connection.execute(insert(table).values(sweep_id=sweep_id, number=(last or 0) + 1, **vars(failure)))


def forget_failures(connection: Connection, sweep_id: str, positions: Collection[int]) -> None:
    """Delete the failures of members."""
    table = schema.sweep_failures
    connection.execute(delete(table).where(table.c.sweep_id == sweep_id, table.c.position.in_(sorted(positions))))
