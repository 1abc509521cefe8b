"""What processes that were killed have left beside a store, and nobody needs any more."""

from __future__ import annotations

import shutil

from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.ownership import remove_free_lock
from qtlplat.store.read.queries import Reader


def remove_leftovers(location: StoreLocation) -> None:
    """Delete what a process left that was killed as its run began or ended: checkpoints and locks that nobody needs."""
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
