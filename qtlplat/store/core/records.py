"""Records that are written to and read from the store: plain and frozen, no ORM objects, no SQL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from qtlplat.conventions import HEAD as HEAD  # noqa: PLC0414 -- whoever makes records finds it here

RunKind = Literal["run", "pretraining"]
# roles of the run that is repeated, in the lineage of the run that repeats it: all of it, or from its stored backbones
REPLAY, REPLAY_OF_HEADS = "replay", "replay of heads"
Status = Literal["running", "finished", "failed", "interrupted"]


@dataclass(frozen=True)
class ComponentRow:
    """A component of a run. role: dataset, backbone, head or evaluator; options: resolved, JSON-able."""

    role: str
    name: str
    component: str
    provider: str
    version: str
    digest: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Remarks:
    """What people say of a run. tags: in alphabetical order; trashed: since when it lies in the trash (UTC), if so."""

    tags: tuple[str, ...] = ()
    note: str | None = None
    trashed: str | None = None


@dataclass(frozen=True)
class NewRun:
    """A run about to start.

    plan: the whole plan, JSON-able; parameters: their counts (may be empty for a pretraining);
    environment: versions, host, threads, ... as text by name; dataset_digest: sha256 of the prepared data.
    classes: names of the dataset's classes, by label; image_shape: (C, H, W), None if unknown.
    parents: ids of the runs that it repeats or builds on from the start, by role; made_for: id of the run that needs
    this pretraining, None if none does.
    tags, note: annotations from the start; no part of its plan.
    """

    kind: RunKind
    fingerprint: str
    seed: int
    plan: Mapping[str, Any]
    components: Sequence[ComponentRow]
    dataset_digest: str
    environment: Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    classes: Sequence[str] = ()
    image_shape: tuple[int, int, int] | None = None
    parents: Mapping[str, str] = field(default_factory=dict)
    made_for: str | None = None
    tags: Sequence[str] = ()
    note: str | None = None


@dataclass(frozen=True)
class NewCell:
    """A cell about to be trained. train_hash, test_hash: sha256 over the sorted sample ids.

    variant: "head", or the control that it belongs to; pretraining: id of the run that its backbone comes from;
    backbone_index: which of the run's independent backbones that is, from 0;
    leakage: share of its test samples that this backbone was trained on; group_leakage: share whose source image is in
    the training set of the head or the backbone; selection_leakage: share whose accuracy chose the backbone's best
    epoch. None if unknown.
    """

    position: int
    fold: int
    seed: int
    n_train: int
    n_test: int
    train_hash: str
    test_hash: str
    variant: str = HEAD
    leakage: float | None = None
    group_leakage: float | None = None
    selection_leakage: float | None = None
    pretraining: str | None = None
    backbone_index: int = 0


@dataclass(frozen=True)
class EpochRow:
    """One epoch of one cell. cell: its position; values: by name (train_loss, test_loss, test_accuracy, ...)."""

    cell: int
    epoch: int
    seconds: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class CandidateRow:
    """A way to train that was tried for a cell. cell: its position; number: its place in the grid, from 0.

    loss: mean cross-entropy of the inner folds, in nats; None if training diverged. learning_rate, epochs: of Adam, and
    the best number of them; None for a control with a solver of its own. options: of such a control, by name.
    """

    cell: int
    number: int
    loss: float | None
    learning_rate: float | None = None
    epochs: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictionRow:
    """A prediction for one sample in one cell. probabilities: K values, by label."""

    cell: int
    sample_id: str
    group: str
    label: int
    predicted: int
    probabilities: Sequence[float]


@dataclass(frozen=True)
class EndedCell:
    """What is stored of a cell when its training has ended. seconds: spent on it."""

    position: int
    predictions: Sequence[PredictionRow]
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class ArtifactRow:
    """A file that belongs to a run. path: relative to the store's file directory, with '/'; bytes: its size.

    kind: e.g. 'weights', 'features'; cell: position, or None for the whole run; meta: JSON-able facts.
    """

    kind: str
    path: str
    sha256: str
    bytes: int
    cell: int | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OwnerRow:
    """A process that owned a run. number: from 1; since: UTC, ISO 8601.

    drift: what had changed when it took the run over and was allowed to, as (before, after) by name.
    """

    number: int
    since: str
    host: str
    pid: int
    drift: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class CellRecord:
    """A stored cell with its final metrics by name; status as of a run's, everything else as of `NewCell`."""

    position: int
    fold: int
    seed: int
    n_train: int
    n_test: int
    train_hash: str
    test_hash: str
    status: Status
    seconds: float | None
    metrics: Mapping[str, float]
    variant: str = HEAD
    leakage: float | None = None
    group_leakage: float | None = None
    selection_leakage: float | None = None
    pretraining: str | None = None
    backbone_index: int = 0


@dataclass(frozen=True)
class RunRecord:
    """A stored run as a listing needs it.

    metrics: values of all finished cells of the head itself, no controls, in their order, by name; seconds: by stage
    (total, pretrain, ...); pretraining: id of the run that its backbone's weights come from, None if there is none,
    or more than one (the cells know theirs).
    leakage, group_leakage, selection_leakage: of all that the head's cells test, as of `NewCell`.
    created, finished: UTC, ISO 8601; error: what stopped it, '' if nothing did; host, pid: the process that owned it
    last; owner: the number of that one, above 1 where the run was taken up again.
    classes, image_shape, made_for: as of `NewRun`; replay_of: id of the run that it repeats, None if it is no replay;
    heads_only: whether it repeats that from its stored backbones.
    tags, note, trashed: as of `Remarks`.
    """

    id: str
    kind: RunKind
    status: Status
    fingerprint: str
    seed: int
    created: str
    finished: str | None
    plan: Mapping[str, Any]
    components: Mapping[str, ComponentRow]
    dataset_digest: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, tuple[float, ...]]
    seconds: Mapping[str, float]
    pretraining: str | None
    error: str
    host: str = ""
    pid: int | None = None
    owner: int = 1
    leakage: float | None = None
    group_leakage: float | None = None
    selection_leakage: float | None = None
    classes: tuple[str, ...] = ()
    image_shape: tuple[int, int, int] | None = None
    made_for: str | None = None
    replay_of: str | None = None
    heads_only: bool = False
    tags: tuple[str, ...] = ()
    note: str | None = None
    trashed: str | None = None


@dataclass(frozen=True)
class ClaimRow:
    """A claim of a publication, compared with runs.

    place: where it is printed; printed, tolerance, ours, low, high: in `unit`; ours is None if nothing was measured,
    low and high if there is no interval; note: why, in words; runs: ids of the runs that `ours` comes from.
    """

    name: str
    kind: str
    quantity: str
    model: str
    place: str
    printed: float
    unit: str
    tolerance: float
    ours: float | None
    low: float | None
    high: float | None
    verdict: str
    note: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class NewReproduction:
    """The verdicts on a recipe's claims under a budget. cuts: omitted parts of the publication, by name.

    provider, version, digest: of the plugin that offers the recipe; dataset_digest: of the data that was used.
    """

    recipe: str
    provider: str
    version: str
    digest: str
    budget: str
    dataset_digest: str
    cuts: Mapping[str, str]
    claims: tuple[ClaimRow, ...]

    @property
    def id(self) -> str:
        """16 hexadecimal characters that follow from the content: the same outcome is stored once."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ReproductionRecord:
    """A stored reproduction with its claims. created: UTC, ISO 8601."""

    id: str
    created: str
    content: NewReproduction
