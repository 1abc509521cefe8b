"""The golden databases: stores as the code of each released schema wrote them (`golden/make.py`)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from qtlplat.store.core.location import StoreLocation, find_store

FOLDER = Path(__file__).parent / "golden"
REVISIONS = sorted(path.stem for path in FOLDER.glob("*.sql"))


def golden(revision: str, path: Path) -> StoreLocation:
    """A store of that schema, at a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = sqlite3.connect(path)
    raw.executescript((FOLDER / f"{revision}.sql").read_text(encoding="utf-8"))
    raw.close()
    return find_store(str(path))
