"""Sweeps as rows of a store, without any training."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import ComponentRow, NewCell, NewRun, PredictionRow
from qtlplat.store.core.sweep_records import FailureRow, MemberRow, NewSweep
from qtlplat.store.write.writer import Writer

SINCE = "2026-11-29T12:00:00.000000+00:00"
Point = Mapping[str, Any]
# of a point: the values of its cells, or "failed", "killed" or "missing"
Scores = Callable[[Point], Sequence[float] | str]


def crossed(**axes: Sequence[Any]) -> list[dict[str, Any]]:
    """All combinations; names of axes have a dot where `_in_` stands."""
    names = [name.replace("_in_", ".") for name in axes]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*axes.values())]


def store_sweep(
    path: Path, points: Sequence[Point], scores: Scores, name: str = "mine", error: str = "loss is NaN"
) -> dict[str, str]:
    """A sweep of these points: each seed has a backbone and folds of its own. Ids of runs by fingerprint."""
    axes: dict[str, list[Any]] = {}
    for point in points:
        for axis, value in point.items():
            if repr(value) not in map(repr, axes.setdefault(axis, [])):
                axes[axis].append(value)
    members = tuple(
        MemberRow(i, f"{name} {i}", f"pretraining {point.get('seed', 0)}", dict(point), {"seed": point.get("seed", 0)})
        for i, point in enumerate(points)
    )
    sweep = NewSweep(name, {"options": {"head": "dressed"}, "axes": axes}, members)
    ids: dict[str, str] = {}
    with Writer(find_store(str(path))) as writer:
        writer.add_sweep(sweep)
        backbones: dict[int, str] = {}
        for member, point in zip(members, points, strict=True):
            found, seed = scores(point), point.get("seed", 0)
            if isinstance(found, str):
                for _ in range({"failed": 1, "killed": 3}.get(found, 0)):
                    kind = "failed" if found == "failed" else "killed"
                    writer.add_failure(sweep.id, FailureRow(member.position, SINCE, kind, error, ""))  # type: ignore[arg-type]
                continue
            if seed not in backbones:
                backbones[seed] = _pretraining(writer, seed)
            ids[member.fingerprint] = _run(writer, member, found, backbones[seed])
    return ids


def _components(head: str, *roles: str) -> list[ComponentRow]:
    names = {"dataset": "steel", "backbone": "lenet2", "head": head, "evaluator": "kfold6"}
    return [ComponentRow(role, names[role], names[role], "qtlplat", "0.1", "d" * 64, {}) for role in roles]


def _pretraining(writer: Writer, seed: int) -> str:
    rows = _components("", "dataset", "backbone")
    run = writer.start_run(NewRun("pretraining", f"pretraining {seed}", seed, {"seed": seed}, rows, "a" * 64, {}, {}))
    writer.add_cells(run, [NewCell(0, 0, seed, 50, 10, "train", "test")])
    writer.finish_cell(run, 0, {"f1": 0.9 + seed / 100}, 1.0)
    writer.finish_run(run, "finished", {"total": 1.0})
    return run


def _run(writer: Writer, member: MemberRow, f1: Sequence[float], backbone: str) -> str:
    point, seed = member.point, member.point.get("seed", 0)
    head = ",".join(f"{axis.rpartition('.')[2]}={value}" for axis, value in point.items() if axis != "seed")
    size = int(10 * point.get("head.qubits", 1) * point.get("head.layers", 1))
    parameters = {"backbone_total": 5000, "model_total": 2000 + size, "replaced_layers": 4, "head": {"total": size}}
    rows = _components(head, "dataset", "backbone", "head", "evaluator")
    run = writer.start_run(
        NewRun("run", member.fingerprint, seed, {"seed": seed}, rows, "a" * 64, {"python": "3.11"}, parameters)
    )
    writer.link(run, "pretraining", backbone)
    writer.add_cells(
        run,
        [
            NewCell(i, i, seed, 50, 10, f"train {i} {seed}", f"test {i} {seed}", pretraining=backbone)
            for i in range(len(f1))
        ],
    )
    for i, value in enumerate(f1):
        rights = [j < round(10 * value) for j in range(10)]
        writer.add_predictions(
            run,
            [
                PredictionRow(i, f"s{10 * i + j}", f"s{10 * i + j}", j % 2, j % 2 if ok else 1 - j % 2,
                              (0.1, 0.9) if (j % 2 == 1) == ok else (0.9, 0.1))
                for j, ok in enumerate(rights)
            ],
        )  # fmt: skip
        writer.finish_cell(run, i, {"f1": value, "loss": 1 - value}, 0.5 * size)
    writer.finish_run(run, "finished", {"total": 3.0})
    return run
