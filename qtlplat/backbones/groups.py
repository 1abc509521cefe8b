"""Which samples must stay together in a grouped split: those of one source, and duplicates of them; kept by content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from qtlplat.analysis import duplicates
from qtlplat.catalog.plan import canonical_json
from qtlplat.contracts import ImageSet
from qtlplat.store.core.files import write_atomically


def source_groups(images: ImageSet, directory: Path | None = None, *, keep: bool = True) -> tuple[str, ...]:
    """The group of each sample; duplicates are found once for each dataset and method.

    directory: where what was found is kept, by content; None: nowhere. A file that cannot be read is made again.
    keep: whether what was not found there may be written.
    """
    if directory is None:
        return duplicates.joined_groups(images)
    method = Path(duplicates.__file__).read_text(encoding="utf-8")
    key = hashlib.sha256(canonical_json({"dataset": images.digest, "method": method}).encode()).hexdigest()
    path = directory / f"{key}.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = None
    if isinstance(known, list) and len(known) == len(images) and all(isinstance(name, str) for name in known):
        return tuple(known)
    groups = duplicates.joined_groups(images)
    if keep:
        write_atomically(path, json.dumps(groups).encode())
    return groups
