"""What a figure is made of: a run with its cells, epochs, predictions and backbones, as the store has them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qtlplat.analysis.sides import Side, leaks, variants
from qtlplat.conventions import HEAD, backbones_line, cells_in_words, leakage_line, share_of, short
from qtlplat.errors import DataError, StoreError, UsageError, safe_repr, unknown_name
from qtlplat.metrics import SHIPPED, Metric, agreed, declared_metrics

if TYPE_CHECKING:
    from qtlplat.store.core.records import CandidateRow, CellRecord, EpochRow, PredictionRow, RunRecord
    from qtlplat.store.read.queries import Reader


F1 = SHIPPED["f1"]
ONE = "one backbone:"  # how the line on a single backbone begins
MOST_NAMED = 12  # runs in a line of a caption


@dataclass(frozen=True)
class StoredRun:
    """A stored run.

    predictions: () where not asked for; backbones: the pretrainings that its cells start from; classes: names by label,
    () where the run has not stored them; declared: what its evaluator declares of its metrics, by name; candidates: of
    a tuned run.
    """

    run: RunRecord
    cells: tuple[CellRecord, ...]
    epochs: tuple[EpochRow, ...] = ()
    predictions: tuple[PredictionRow, ...] = ()
    backbones: tuple[RunRecord, ...] = ()
    classes: tuple[str, ...] = ()
    declared: Mapping[str, Metric] = field(default_factory=dict)
    candidates: tuple[CandidateRow, ...] = ()

    @property
    def id(self) -> str:
        """The first characters of the run's id."""
        return short(self.run.id)

    @property
    def name(self) -> str:
        """What the run is, in a few words: head, backbone, how many dense layers were replaced."""
        names = {role: row.name for role, row in self.run.components.items()}
        if self.run.kind == "pretraining":
            return f"{names.get('backbone', 'backbone')}, pretraining"
        replaced = self.run.parameters.get("replaced_layers")
        last = "" if replaced is None else f", last {replaced}"
        return f"{names.get('head', 'head')} on {names.get('backbone', 'backbone')}{last}"

    def class_names(self, k: int) -> tuple[str, ...]:
        """The names of K classes by label; their numbers where the run has not stored names."""
        return self.classes if len(self.classes) == k else tuple(map(str, range(k)))

    def finished(self, variant: str = HEAD) -> list[CellRecord]:
        """The finished cells of the head itself, or of one of its controls, in their order."""
        return [cell for cell in self.cells if cell.status == "finished" and cell.variant == variant]

    @property
    def variants(self) -> list[str]:
        """Variants with finished cells on whole training parts: the head first, then its controls in their order."""
        whole = (cell for cell in self.cells if cell.status == "finished" and share_of(cell.variant) == 1)
        found = dict.fromkeys(cell.variant for cell in whole)
        return sorted(found, key=lambda variant: variant != HEAD)


def sides(stored: StoredRun, *, predictions: bool = False) -> list[Side]:
    """The head of a run and its controls, for comparisons; predictions: whether single samples are looked at."""
    rows = stored.predictions if predictions else ()
    return variants(stored.run, stored.cells, rows, stored.declared, stored.epochs, stored.candidates)


def read(reader: Reader, run_id: str, *, predictions: bool = False) -> StoredRun:
    """A run by its full id, with its backbones; predictions only where asked for, for they are many."""
    run, cells = reader.run(run_id), tuple(reader.cells(run_id))
    parents = dict.fromkeys([run.pretraining, *(cell.pretraining for cell in cells if cell.variant == HEAD)])
    return StoredRun(
        run,
        cells,
        tuple(reader.epochs(run_id)),
        tuple(reader.predictions(run_id)) if predictions else (),
        tuple(reader.run(parent) for parent in parents if parent is not None),
        run.classes,
        declared_metrics(reader.environment(run_id)),
        tuple(reader.candidates(run_id)),
    )


def metric_of(runs: Sequence[StoredRun], name: str) -> Metric:
    """What the runs declare of a metric. Raises UsageError if no cell has it or its direction is not declared."""
    known = {metric for stored in runs for cell in stored.cells for metric in cell.metrics}
    if name not in {*SHIPPED, *known}:
        raise UsageError(unknown_name("metric", name, known), where="--metric")
    return agreed(name, [(stored.id, stored.declared.get(name)) for stored in runs], "plot runs of one evaluator")


def refuse_unknown_labels(rows: Sequence[PredictionRow]) -> None:
    """Raise StoreError if a label or a predicted class is none of the classes that have probabilities."""
    for row in rows:
        classes = len(row.probabilities)
        if not (0 <= row.label < classes and 0 <= row.predicted < classes):
            raise StoreError(
                f"the store is damaged: a prediction has label {row.label}, class {row.predicted} of {classes} classes",
                where=f"cell {row.cell}, sample {safe_repr(row.sample_id)}",
                fix="qtlplat store check",
            )


def finite_values(cells: Sequence[CellRecord], metric: Metric) -> list[float]:
    """The metric of the cells that have a finite one, in their order."""
    values = (cell.metrics.get(metric.name, math.nan) for cell in cells)
    return [value for value in values if math.isfinite(value)]


def backbones_in_words(runs: Sequence[StoredRun]) -> list[str]:
    """Over which backbones the scores of runs are, a line for each answer."""
    told: dict[str, list[str]] = {}
    for stored in runs:
        cells = stored.finished() if stored.run.kind == "run" else []
        words = backbones_line([(cell.backbone_index, cell.seed, cell.pretraining) for cell in cells])
        if not words and len({cell.backbone_index for cell in cells}) > 1:
            words = cells_in_words([(cell.backbone_index, cell.seed, cell.fold) for cell in cells])
        if words:
            told.setdefault(words, []).append(stored.id)
    lines = []
    for words, ids in told.items():
        named = "all" if len(ids) == len(runs) > 3 else _named(ids)
        used = {c.pretraining for stored in runs if stored.id in ids for c in stored.finished()}
        each = "one backbone in each run: the scores of a run hold for its backbone only"
        said = each if words.startswith(ONE) and len(used) > 1 else words
        lines.append(f"{said[0].upper()}{said[1:]} ({named}).")
    return lines


def notes(runs: Sequence[StoredRun]) -> list[str]:
    """How the runs were tested, and on which backbones, which may have seen of it: what every figure says."""
    tested: dict[str, list[str]] = {}
    told: dict[str, list[str]] = {}
    for stored in runs:
        if evaluator := stored.run.components.get("evaluator"):
            tested.setdefault(evaluator.name, []).append(stored.id)
        if words := leakage_line(leaks(stored.finished())).removeprefix("leakage: "):
            told.setdefault(words, []).append(stored.id)
    by = "; ".join(f"{name}: {_named(ids)}" for name, ids in tested.items())
    lines = [f"Tested by {by}."] if by else []
    lines += backbones_in_words(runs)
    return [*lines, *(f"Leakage in {_named(ids)}: {words}." for words, ids in told.items())]


def _named(ids: Sequence[str]) -> str:
    """The ids; of many only how many there are."""
    return ", ".join(ids) if len(ids) <= MOST_NAMED else f"{len(ids)} runs"


def missing(stored: StoredRun, what: str) -> DataError:
    """The error for a run that has not what a figure shows."""
    return DataError(
        f"run {stored.id} has no {what}",
        where=f"{stored.run.status} {stored.run.kind}",
        fix=f"qtlplat show {stored.id}",
    )
