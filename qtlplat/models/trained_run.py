"""What is known of a run's trained model before torch is loaded, so that what it cannot do is refused at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.reopen import stored_images, stored_run
from qtlplat.catalog.resolve import Resolved
from qtlplat.conventions import HEAD, counted
from qtlplat.errors import UsageError
from qtlplat.models.image_files import Resample
from qtlplat.runs.stored_weights import checked_weights, pretraining_of
from qtlplat.store.core.records import CellRecord, RunRecord
from qtlplat.store.read.queries import Reader


@dataclass(frozen=True)
class TrainedRun:
    """A finished run of heads, of which weights are stored.

    Attributes:
        cells: Those that are asked for.
        resolved: Its stored plan with the components of today.
        shape: (C, H, W) of the images that it takes.
        class_names: By label.
        weights: File and sha256, by id of the run and of the pretrainings that its cells started from.
        sources: Ids of those pretrainings, by position of the cell.
    """

    cells: tuple[CellRecord, ...]
    resolved: Resolved
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    weights: dict[str, tuple[Path, str]]
    sources: dict[int, str]

    @property
    def resample(self) -> Resample:
        """How its dataset resized what it cropped, bilinear if it does not say."""
        said = self.resolved.plan.dataset.options.get("resample")
        return next((way for way in get_args(Resample) if way == said), "bilinear")


def look_up(
    reader: Reader, record: RunRecord, catalog: Catalog, *, cells: Sequence[int] = (), sets: Sequence[str] = ()
) -> TrainedRun:
    """The trained run that a record tells of; nothing is built, and its weights are checked, not loaded.

    Args:
        reader: Of its store.
        record: The run.
        catalog: What can be used today.
        cells: Positions; all of the head's if none is named.
        sets: ``dataset.option=value``; the data is read only for a run from before the shape of images was stored.

    Raises:
        UsageError: The run is a pretraining, has not finished, or has no such cell.
        StoreError: Weights are missing; the message says how to get them back.
        UntrustedError: A file holds something else than was saved, or lies outside of the store's files.
        PluginError, ConfigError: As `qtlplat.catalog.reopen.stored_run`.
    """
    chosen = _chosen(reader, record, cells)
    resolved = stored_run(record.plan, catalog, sets)
    sources = {cell.position: pretraining_of(record, cell) for cell in chosen}
    weights = {
        run: checked_weights(reader, run, f"repeat the run: qtlplat replay {run[:8]}")
        for run in dict.fromkeys([*sources.values(), record.id])
    }
    shape, names = record.image_shape, record.classes
    if not (shape and names):
        images = stored_images(record.plan, record.dataset_digest, catalog, sets)
        shape, names = images.shape, images.class_names
    return TrainedRun(tuple(chosen), resolved, shape, names, weights, sources)


def _chosen(reader: Reader, record: RunRecord, positions: Sequence[int]) -> list[CellRecord]:
    if record.kind == "pretraining":
        fix = f"name a run that builds on it: qtlplat show {record.id[:8]}"
        raise UsageError(f"run {record.id} is a pretraining: it has no heads", fix=fix)
    if record.status != "finished":
        raise UsageError(f"run {record.id} is {record.status}: its weights are stored when it has finished")
    known = {cell.position: cell for cell in reader.cells(record.id)}
    own = [cell for cell in known.values() if cell.variant == HEAD]
    for position in positions:
        if position not in known:
            last = max(cell.position for cell in own)
            what = f"run {record.id} has no cell {position}, it has {counted(len(own), 'cell')}"
            raise UsageError(what, where="--cell", fix=f"choose 0 to {last}")
        if known[position].variant != HEAD:
            what = f"cell {position} belongs to the control {known[position].variant}"
            raise UsageError(what, where="--cell", fix=f"see qtlplat show {record.id[:8]} --cells")
    return [known[position] for position in positions] or own
