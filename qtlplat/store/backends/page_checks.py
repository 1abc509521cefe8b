"""When all pages of a file were last looked at: of a large one, that takes longer than most commands."""

from __future__ import annotations

import time
from contextlib import suppress

from qtlplat.store.core import database
from qtlplat.store.core.location import StoreLocation

LARGE = 256_000_000  # bytes: half a second
HOLDS = 3600.0  # seconds that a look at a large file is enough
_MARK = "pages-checked"


def check_before_writing(location: StoreLocation) -> None:
    """Look at every page of the file, unless it is large and that was done within the last hour.

    Raises StoreError as `database.check_pages`.
    """
    if not _is_known(location):
        database.check_pages(location)
        with suppress(OSError):  # where nothing can be written, the next command looks again
            if location.path.stat().st_size > LARGE:
                (location.locks / _MARK).write_text(_identity(location), encoding="utf-8")


def _is_known(location: StoreLocation) -> bool:
    mark = location.locks / _MARK
    try:
        age = time.time() - mark.stat().st_mtime
        return (
            location.path.stat().st_size > LARGE
            and 0 <= age < HOLDS
            and mark.read_text(encoding="utf-8") == _identity(location)
        )
    except (OSError, ValueError):
        return False


def _identity(location: StoreLocation) -> str:
    """What is another one if the file was replaced, as by a backup or a copy."""
    found = location.path.stat()
    return f"{found.st_dev} {found.st_ino}"
