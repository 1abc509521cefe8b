"""What an exporter is given; no torch, nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtlplat.catalog.catalog import Catalog
    from qtlplat.store.read.queries import Reader


@dataclass(frozen=True, kw_only=True)
class Export:
    """What `qtlplat export --to` asks of an exporter.

    Attributes:
        reader: Reads the store.
        catalog: The installed components, to open a stored model or its dataset again.
        runs: Full ids of the runs; exactly one for an exporter of single runs.
        output: The file or directory to write.
        options: The exporter's validated options.
        sets: ``dataset.option=value`` texts, for data that was moved since the run.
        save: Writes `output` as a file, whole or not at all; for exporters of single runs.
        note: Shows a line to the user.
    """

    reader: Reader
    catalog: Catalog
    runs: Sequence[str]
    output: Path
    options: Any
    sets: Sequence[str]
    save: Callable[[bytes], None]
    note: Callable[[str], None]
