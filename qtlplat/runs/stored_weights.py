"""The weights that a stored run left: where they are, and whether they are what was saved. Without torch."""

from __future__ import annotations

from pathlib import Path

from qtlplat.errors import StoreError, UntrustedError, safe_repr
from qtlplat.store.core.artifacts import path_below, what_is_wrong
from qtlplat.store.core.records import CellRecord, RunRecord
from qtlplat.store.read.queries import Reader


def pretraining_of(record: RunRecord, cell: CellRecord) -> str:
    """Id of the pretraining that a run's cell started from. Raises StoreError if it is not stored."""
    source = cell.pretraining or record.pretraining
    if source is None:
        what = f"cell {cell.position} of run {record.id} does not say what its backbone is"
        raise StoreError(what, where=f"run {record.id}")
    return source


def checked_weights(reader: Reader, run: str, fix: str) -> tuple[Path, str]:
    """File and sha256 of a run's weights, which are what the run saved.

    Args:
        reader: Of its store.
        run: Id.
        fix: What to do without them, for errors.

    Raises:
        StoreError: They are missing.
        UntrustedError: The file holds something else than was saved, or lies outside of the store's files.
    """
    artifact = next((a for a in reader.artifacts(run) if a.kind == "weights"), None)
    if artifact is None:
        raise StoreError(f"run {run} has no weights", fix=fix)
    path = path_below(reader.location, artifact.path)
    if path is None:
        what = f"weights are refused: the file {safe_repr(artifact.path)} lies outside of the store's files"
        raise UntrustedError(what, where=f"run {run}", fix=fix)
    fix = f"copy the file from where the run was trained, or {fix}"
    if not path.exists():
        raise StoreError(f"the weights of run {run} are not here", where=str(path), fix=fix)
    if wrong := what_is_wrong(reader.location, artifact.path, artifact.sha256, artifact.bytes):
        raise UntrustedError(f"the weights of run {run} are refused: {wrong}", where=str(path), fix=fix)
    return path, artifact.sha256
