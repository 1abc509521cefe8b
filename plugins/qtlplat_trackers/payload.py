"""A stored run in the words of experiment trackers: parameters, metrics with steps, tags, and its cells as parts."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from qtlplat.conventions import HEAD, ROLES, mean_std, short
from qtlplat.store.read.serialize import short_form

if TYPE_CHECKING:
    from qtlplat.store.core.records import CellRecord, ComponentRow, EpochRow, RunRecord
    from qtlplat.store.read.queries import Reader

LONGEST = 5000  # characters of a single value; trackers refuse longer ones


@dataclass(frozen=True)
class Step:
    """Values of an epoch by name. seconds: from the start of training to its end."""

    epoch: int
    seconds: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class CellFacts:
    """A cell. params: as text, by name; metrics: at its end, by name; steps: its epochs, in order."""

    name: str
    position: int
    variant: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class RunFacts:
    """A run. created, finished: seconds since 1970, finished None if it has not.

    params: plan, components, parameter counts as text, by name; metrics: mean (`f1`) and sample standard deviation
    (`f1_sd`) over the finished cells of the head, and of every control (`f1 of linear`); steps: means over the head's
    cells that have the epoch; facts: ids and versions as text, by name; tags, note: its annotations.
    """

    id: str
    name: str
    status: str
    created: float
    finished: float | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    steps: tuple[Step, ...]
    facts: Mapping[str, str]
    tags: tuple[str, ...]
    note: str
    environment: Mapping[str, str]
    cells: tuple[CellFacts, ...]


def facts(reader: Reader, run_id: str) -> RunFacts:
    """The data of a run for trackers, by its full id."""
    record = reader.run(run_id)
    cells = reader.cells(run_id)
    by_cell: dict[int, list[EpochRow]] = defaultdict(list)
    for row in reader.epochs(run_id):
        by_cell[row.cell].append(row)
    steps = {cell.position: tuple(_steps(by_cell[cell.position])) for cell in cells}
    said = short_form(record)
    return RunFacts(
        id=record.id,
        name=_name(record),
        status=record.status,
        created=_time(record.created),
        finished=None if record.finished is None else _time(record.finished),
        params=dict(_params(record)),
        metrics={**_means(cells), **_of_all(record)},
        steps=tuple(_mean_steps([steps[cell.position] for cell in cells if cell.variant == HEAD])),
        facts=_facts(record),
        tags=tuple(said.get("tags", ())),
        note=cut(said.get("note") or ""),
        environment={name: cut(value) for name, value in {**reader.environment(run_id), **_data(record)}.items()},
        cells=tuple(_cell(cell, steps[cell.position]) for cell in cells),
    )


def _data(record: RunRecord) -> dict[str, str]:
    """What the data is like."""
    shape = {"image shape": " x ".join(map(str, record.image_shape))} if record.image_shape else {}
    return {"classes": json.dumps(record.classes, ensure_ascii=False), **shape}


def cut(text: str) -> str:
    """A text that trackers take."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _time(stored: str) -> float:
    return datetime.fromisoformat(stored).timestamp()


def _name(record: RunRecord) -> str:
    names = [row.name for role in ("head", "backbone") if (row := record.components.get(role))]
    return cut(f"{' on '.join(names) or record.kind} {short(record.id)}")


def _facts(record: RunRecord) -> dict[str, str]:
    known = {
        "run": record.id,
        "kind": record.kind,
        "status": record.status,
        "fingerprint": record.fingerprint,
        "dataset_digest": record.dataset_digest,
        "pretraining": record.pretraining,
        "error": record.error,
    }
    return {name: cut(value) for name, value in known.items() if value}


def _params(record: RunRecord) -> Iterator[tuple[str, str]]:
    for role in ROLES:
        if row := record.components.get(role):
            yield from ((name, cut(value)) for name, value in _component(role, row))
    plan = {name: value for name, value in record.plan.items() if name not in ROLES}
    for prefix, values in (("plan", plan), ("parameters", record.parameters)):
        for name, value in flat(values, prefix):
            yield name, cut(value if isinstance(value, str) else json.dumps(value))


def _component(role: str, row: ComponentRow) -> Iterator[tuple[str, str]]:
    yield role, row.name
    yield f"{role}.component", row.component
    yield f"{role}.provider", row.provider
    yield f"{role}.version", row.version
    for name, value in flat(row.options, f"{role}.options"):
        yield name, value if isinstance(value, str) else json.dumps(value)


def flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Nested values under names with dots; lists stay whole."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}", value


def _means(cells: Sequence[CellRecord]) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for cell in cells:
        if cell.status == "finished":
            for name, value in cell.metrics.items():
                values[name if cell.variant == HEAD else f"{name} of {cell.variant}"].append(value)
    found: dict[str, float] = {}
    for name, numbers in values.items():
        mean, sd = mean_std(numbers)
        metric, of, variant = name.partition(" of ")
        found |= {name: mean} if mean is not None else {}
        found |= {f"{metric}_sd{of}{variant}": sd} if sd is not None else {}
    return found


def _of_all(record: RunRecord) -> dict[str, float]:
    leaks = {name: getattr(record, name) for name in ("leakage", "group_leakage", "selection_leakage")}
    seconds = {f"seconds.{stage}": value for stage, value in record.seconds.items()}
    return {name: value for name, value in {**leaks, **seconds}.items() if value is not None}


def _steps(epochs: Sequence[EpochRow]) -> Iterator[Step]:
    passed = 0.0
    for row in epochs:
        passed += row.seconds if math.isfinite(row.seconds) else 0.0
        yield Step(row.epoch, passed, row.values)


def _mean_steps(cells: Sequence[Sequence[Step]]) -> Iterator[Step]:
    by_epoch: dict[int, list[Step]] = defaultdict(list)
    for steps in cells:
        for step in steps:
            by_epoch[step.epoch].append(step)
    for epoch, steps in sorted(by_epoch.items()):
        names = dict.fromkeys(name for step in steps for name in step.values)
        means = {name: mean_std([s.values[name] for s in steps if name in s.values])[0] for name in names}
        yield Step(epoch, max(s.seconds for s in steps), {k: v for k, v in means.items() if v is not None})


def _cell(cell: CellRecord, steps: tuple[Step, ...]) -> CellFacts:
    params = {
        "cell": str(cell.position),
        "variant": cell.variant,
        "backbone_index": str(cell.backbone_index),
        "fold": str(cell.fold),
        "seed": str(cell.seed),
        "n_train": str(cell.n_train),
        "n_test": str(cell.n_test),
        "train_hash": cell.train_hash,
        "test_hash": cell.test_hash,
    }
    leaks = {name: getattr(cell, name) for name in ("leakage", "group_leakage", "selection_leakage", "seconds")}
    metrics = {**cell.metrics, **{name: value for name, value in leaks.items() if value is not None}}
    backbone = f", backbone {cell.backbone_index}" if cell.backbone_index else ""
    name = cut(f"{cell.variant}{backbone}, fold {cell.fold}, seed {cell.seed}")
    return CellFacts(name, cell.position, cell.variant, cell.status, params, metrics, steps)
