"""Remove unused files of killed processes from a store's directory."""

from __future__ import annotations

import shutil

from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.ownership import remove_free_lock
from qtlplat.store.read.queries import Reader


def remove_leftovers(location: StoreLocation) -> None:
    """Delete unused checkpoints and locks of processes that were killed while their run started or ended."""
    # Looked for first: whatever run another process begins from now on has nothing among them.
    checkpoints, locks = list((location.files / "checkpoints").glob("*")), list(location.locks.glob("*.lock"))
    if not checkpoints and not locks:
        return
    reader = Reader(location)
    open_ones = (reader.table(["run"], where="status != 'finished'", trash=trash) for trash in (False, True))
    unfinished = {row["run"] for rows in open_ones for row in rows}
    if reader.damaged:  # they may be of a run that can be recovered
        return
    for directory in checkpoints:
        if directory.name not in unfinished:
            shutil.rmtree(directory, ignore_errors=True)
    for lock in locks:
        if lock.stem not in unfinished:
            remove_free_lock(location, lock.stem)
