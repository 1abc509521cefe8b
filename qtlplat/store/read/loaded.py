"""Load the stored data of several runs to compare, in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.engine import Connection

from qtlplat.store.core import schema
from qtlplat.store.core.records import CandidateRow, CellRecord, EpochRow, OwnerRow, PredictionRow, RunRecord
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.run_rows import cells_of, interrupted_cell, plain

NO_PROBABILITIES: tuple[float, ...] = ()


@dataclass(frozen=True)
class Gathered:
    """A run with its parts.

    predictions: without probabilities unless they were asked for; owners: the processes that owned it; weights: sha256
    of the files of its trained heads, and backbones: of the pretrained weights that it starts from, both sorted;
    epochs: with their training loss alone, and candidates: () unless training was asked for.
    """

    run: RunRecord
    cells: tuple[CellRecord, ...]
    environment: Mapping[str, str]
    owners: tuple[OwnerRow, ...]
    weights: tuple[str, ...]
    backbones: tuple[str, ...]
    predictions: tuple[PredictionRow, ...] = field(default=(), repr=False)
    epochs: tuple[EpochRow, ...] = field(default=(), repr=False)
    candidates: tuple[CandidateRow, ...] = field(default=(), repr=False)


def gather(
    reader: Reader, ids: Sequence[str], *, probabilities: bool = False, training: bool = False
) -> list[Gathered]:
    """Runs by their full ids, in that order. Raises UsageError if one is not there.

    probabilities: read those of the predictions too, which takes longer than everything else; training: read training
    losses and the candidates of tuned runs.
    """
    runs = reader.several(ids)
    found = reader.read(lambda connection: _rows(connection, ids, probabilities, training), ids)
    cells, parts = found or ({}, {})

    def of(name: str, run_id: str) -> list[Row[Any]]:
        return parts.get(name, {}).get(run_id, [])

    return [
        Gathered(
            run,
            tuple(map(interrupted_cell, cells[run.id]) if run.status == "interrupted" else cells[run.id]),
            {row.name: row.value for row in of("environment", run.id)},
            tuple(OwnerRow(**plain(row)) for row in of("owners", run.id)),
            tuple(sorted({row.sha256 for row in of("weights", run.id)})),
            tuple(sorted({row.sha256 for row in of("backbones", run.id)})),
            tuple(
                PredictionRow(
                    row.cell, row.sample_id, row.source, row.label, row.predicted,
                    tuple(row.probabilities) if probabilities else NO_PROBABILITIES,
                )
                for row in of("predictions", run.id)
            ),
            tuple(
                EpochRow(row.cell, row.epoch, row.seconds, {"train_loss": row.train_loss})
                for row in of("epochs", run.id)
            ),
            tuple(CandidateRow(**plain(row)) for row in of("candidates", run.id)),
        )
        for run in runs
    ]  # fmt: skip


def _rows(
    connection: Connection, ids: Sequence[str], probabilities: bool, training: bool
) -> tuple[dict[str, list[CellRecord]], dict[str, dict[str, list[Row[Any]]]]]:
    """Cells by run, and rows of everything else by what they say and by run."""
    environment, owners = schema.environment.c, schema.owners.c
    artifacts, lineage, predictions = schema.artifacts.c, schema.lineage.c, schema.predictions.c
    of_parent = select(lineage.run_id, artifacts.sha256).join_from(
        schema.lineage, schema.artifacts, artifacts.run_id == lineage.parent_id
    )
    predicted = [predictions[name] for name in ("run_id", "cell", "sample_id", "source", "label", "predicted")]
    queries: dict[str, Select[Any]] = {
        "environment": select(schema.environment).where(environment.run_id.in_(ids)).order_by(environment.name),
        "owners": select(schema.owners).where(owners.run_id.in_(ids)).order_by(owners.number),
        "weights": select(artifacts.run_id, artifacts.sha256).where(
            artifacts.run_id.in_(ids), artifacts.kind == "weights"
        ),
        "backbones": of_parent.where(
            lineage.run_id.in_(ids), lineage.role == "pretraining", artifacts.kind == "weights"
        ),
        "predictions": select(*predicted, *([predictions.probabilities] if probabilities else []))
        .where(predictions.run_id.in_(ids))
        .order_by(predictions.run_id, predictions.cell, predictions.sample_id),
    }
    if training:
        epochs, candidates = schema.epochs.c, schema.candidates.c
        of_epochs = [epochs[name] for name in ("run_id", "cell", "epoch", "seconds", "train_loss")]
        queries["epochs"] = select(*of_epochs).where(epochs.run_id.in_(ids), epochs.train_loss.is_not(None))
        queries["candidates"] = select(schema.candidates).where(candidates.run_id.in_(ids))
    parts: dict[str, dict[str, list[Row[Any]]]] = {name: defaultdict(list) for name in queries}
    for name, query in queries.items():
        for row in connection.execute(query):
            parts[name][row.run_id].append(row)
    return cells_of(connection, ids), parts
