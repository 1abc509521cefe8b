"""The predictions of heads for their test samples, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, select
from sqlalchemy.engine import Connection

from qtlplat.conventions import HEAD
from qtlplat.errors import StoreError
from qtlplat.store.core import database, schema
from qtlplat.store.core.dialect import among
from qtlplat.store.read.access import Access

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What a run's head predicted, a row for each cell and test sample; n rows.

    run: its id; digest: of its data; samples, sources: (n,), ids of the samples, and of the images they come from;
    cells: int64 (n,), positions; repeats: int64 (n,), equal where backbone index and seed are, so that a repeat holds
    the folds of one cross-validation; labels: int64 (n,); probabilities: float64 (n, K), K is 0 without rows.
    """

    run: str
    digest: str
    samples: Sequence[str]
    sources: Sequence[str]
    cells: npt.NDArray[np.int64]
    repeats: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]


def out_of_fold(reader: Access, run_id: str) -> OutOfFold:
    """The predictions of a run's head by its full id, in the order of cells and samples.

    Raises StoreError if classes and probabilities of a prediction do not fit each other.
    """
    import numpy as np  # takes longer than most queries, which need none

    cells, predictions, runs = schema.cells.c, schema.predictions.c, schema.runs.c
    columns = (
        predictions.cell,
        cells.backbone_index,
        cells.seed,
        predictions.sample_id,
        predictions.source,
        predictions.label,
        predictions.probabilities,
    )
    query = (
        select(*columns)
        .join_from(
            schema.cells,
            schema.predictions,
            and_(predictions.run_id == cells.run_id, predictions.cell == cells.position),
        )
        .where(cells.run_id == run_id, cells.variant == HEAD)
        .order_by(predictions.cell, predictions.sample_id)
    )
    of_run = select(runs.dataset_digest).where(runs.id == run_id)

    def read(connection: Connection) -> tuple[str, list[Sequence[Any]]]:
        values = database.columns_of_rows(connection, columns, query)
        return connection.execute(of_run).scalar_one(), values

    digest, found = reader.read(read, [run_id]) or ("", [])
    if not found:
        nothing = np.empty(0, dtype=np.int64)
        return OutOfFold(run_id, digest, (), (), nothing, nothing, nothing, np.empty((0, 0)))
    cell, backbone, seed, samples, sources, labels, probabilities = found
    classes = len(probabilities[0])
    if any(len(row) != classes for row in probabilities) or not all(0 <= label < classes for label in labels):
        what = f"the store is damaged: predictions of run {run_id} do not have {classes} classes each"
        raise StoreError(what, where=reader.location.name, fix=f"qtlplat store check{reader.location.flag}")
    numbers: dict[tuple[int, int], int] = {}
    repeats = [numbers.setdefault(key, len(numbers)) for key in zip(backbone, seed, strict=True)]
    return OutOfFold(
        run_id, digest, samples, sources, np.array(cell, dtype=np.int64), np.array(repeats, dtype=np.int64),
        np.array(labels, dtype=np.int64), np.array(probabilities, dtype=np.float64),
    )  # fmt: skip


def planned_predictions(reader: Access, ids: Sequence[str]) -> dict[str, int]:
    """How many predictions of their heads runs can have, by full id: the sum of the test samples of their cells."""
    cells = schema.cells.c
    query = (
        select(cells.run_id, func.sum(cells.n_test))
        .where(cells.run_id.in_(among(ids)), cells.variant == HEAD)
        .group_by(cells.run_id)
    )
    return {row[0]: int(row[1]) for row in reader.read(lambda connection: connection.execute(query).all(), ids) or []}
