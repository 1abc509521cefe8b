"""The two sides of a comparison: cells of a run's variant, and what differs between them, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qtlplat.analysis.convergence import Unconverged, unconverged
from qtlplat.analysis.verdicts import CIRCUIT_ADDED, CIRCUIT_REMOVED, CONTROLS, Wording
from qtlplat.conventions import HEAD, share_of
from qtlplat.errors import UsageError
from qtlplat.metrics import Metric, declared_metrics

if TYPE_CHECKING:
    from qtlplat.store.core.records import CandidateRow, CellRecord, EpochRow, PredictionRow, RunRecord
    from qtlplat.store.read.loaded import Gathered

_COMPONENTS = ("dataset", "backbone", "head", "evaluator")
_PARTS = ("head", "backbone")  # parts of a model, which may help; data and evaluators only make a difference
SETTINGS = (
    "replace",
    "training",
    "pretraining",
    "tuning",
    "seed",
)  # not the number of seeds: cells are paired one by one


@dataclass(frozen=True)
class Side:
    """One side of a comparison: the finished cells of one variant of a run.

    cells, predictions: those of the run; of the predictions only the ones of these cells are looked at. declared: what
    the run's evaluator declares of its metrics, by name; unconverged: why its training counts as not converged, None
    if it has converged or if that is not known.
    """

    run: RunRecord
    cells: Sequence[CellRecord]
    predictions: Sequence[PredictionRow] = ()
    variant: str = HEAD
    declared: Mapping[str, Metric] = field(default_factory=dict)
    unconverged: Unconverged | None = None

    @property
    def label(self) -> str:
        """What people call it: the variant, or head and backbone."""
        if self.variant != HEAD:
            return self.variant
        return " on ".join(
            self.run.components[role].name for role in ("head", "backbone") if role in self.run.components
        )


def variants(
    run: RunRecord,
    cells: Sequence[CellRecord],
    predictions: Sequence[PredictionRow] = (),
    declared: Mapping[str, Metric] | None = None,
    epochs: Sequence[EpochRow] = (),
    candidates: Sequence[CandidateRow] = (),
) -> list[Side]:
    """The head of a run and its controls as sides, the head first, the others in the order of their cells.

    Cells that were trained on a share of their training part are left out. epochs, candidates: () if it does not matter
    whether training has converged.
    """
    training = {
        "plan": run.plan,
        "cells": [vars(cell) for cell in cells],
        "epochs": [{**epoch.values, "cell": epoch.cell, "epoch": epoch.epoch} for epoch in epochs],
        "candidates": [vars(one) for one in candidates],
    }
    still = unconverged(training)
    finished = [cell for cell in cells if cell.status == "finished"]
    names = dict.fromkeys([HEAD, *(cell.variant for cell in cells if share_of(cell.variant) == 1)])
    return [
        Side(run, [c for c in finished if c.variant == name], predictions, name, declared or {}, still.get(name))
        for name in names
    ]


def opposed(runs: Sequence[Gathered], *, twice: bool) -> tuple[Side, list[Side]]:
    """What is compared with what: the baseline, and all others in the order given.

    A single run is compared with its controls, or with itself where it was named twice: no mistake that could do harm,
    and the answer is known. Raises UsageError if there is nothing to compare with.
    """
    first, *others = [
        variants(r.run, r.cells, r.predictions, declared_metrics(r.environment), r.epochs, r.candidates) for r in runs
    ]
    if others:
        return first[0], [other[0] for other in others]
    head, *controls = first
    if twice:
        return head, [head]
    controls = [side for side in controls if side.cells]  # an interrupted run may not have come to all of them
    if not controls:
        raise UsageError(
            f"run {head.run.id} has no controls to compare its head with",
            fix="name a second run, or train one with controls: qtlplat run ... --controls auto",
        )
    return head, controls


def leaks(cells: Sequence[CellRecord]) -> dict[str, float | None]:
    """The leakage shares of all test samples of the cells, named as in a `NewCell`; None if no cell has it."""
    return {name: _share(cells, name) for name in ("leakage", "group_leakage", "selection_leakage")}


def _share(cells: Sequence[CellRecord], name: str) -> float | None:
    known = [(value, cell.n_test) for cell in cells if (value := getattr(cell, name)) is not None]
    total = sum(n for _, n in known)
    return sum(value * n for value, n in known) / total if total else None


def parameters(side: Side) -> tuple[int | None, int | None]:
    """Trained parameters of a side's head, and all of its model; None if the run has not stored them.

    `frozen` trains fewer than it has: its model is as large as the head's.
    """
    counts = side.run.parameters
    trainable = {HEAD: counts.get("head", {}).get("total"), **counts.get("controls", {})}.get(side.variant)
    if side.variant in (HEAD, "frozen", "shuffled") or trainable is None or "kept" not in counts:
        return trainable, counts.get("model_total") if side.variant in (HEAD, "frozen", "shuffled") else None
    return trainable, counts["kept"] + trainable


def what_differs(side: Side, baseline: Side) -> tuple[Wording, list[str]]:
    """How to speak of the difference between two sides, and a warning where it has no single cause.

    "The quantum head helps" is said only where nothing but the head differs and only one of the heads has a circuit;
    "the circuit helps" only of the control that takes the circuit alone away.
    """
    if side.run.id == baseline.run.id and side.variant != baseline.variant:
        known = CONTROLS.get(side.variant) if baseline.variant == HEAD else None
        return _control(known, baseline) or Wording(by=f"with control {side.variant}"), []
    names = [role for role in _COMPONENTS if _component(side.run, role) != _component(baseline.run, role)]
    circuits = [bool(s.run.parameters.get("head", {}).get("vqc")) for s in (side, baseline)]
    relevant = (*SETTINGS, "device") if all(circuits) else SETTINGS
    settings = [name for name in relevant if side.run.plan.get(name) != baseline.run.plan.get(name)]
    if side.run.dataset_digest != baseline.run.dataset_digest and "dataset" not in names:
        names.insert(0, "data")
    notes = []
    if len(names) + len(settings) > 1:
        notes.append(f"{', '.join([*names, *settings])} differ: the difference has no single cause")
    elif not names and not settings and side.run.fingerprint == baseline.run.fingerprint:
        notes.append("both are the same plan: what differs is chance" if side.run.id != baseline.run.id else
                     "the run is compared with itself")  # fmt: skip
    if [*names, *settings] == ["head"]:
        if circuits == [True, False]:
            return CIRCUIT_ADDED, notes
        if circuits == [False, True]:
            return CIRCUIT_REMOVED, notes
    if len(names) + len(settings) == 1 and names:
        name = f"{names[0]} {_name(side.run, names[0])}".strip()
        return Wording(f"{name} {'helps' if names[0] in _PARTS else 'makes a difference'}", f"with {name}"), notes
    return Wording(), notes


def _control(wording: Wording | None, baseline: Side) -> Wording | None:
    """A control's wording; that of a classical head has no circuit to speak of."""
    quantum = baseline.run.parameters.get("head", {}).get("vqc")
    if wording and not quantum and any(word in wording.claim for word in ("circuit", "quantum")):
        return None
    return wording


def _component(run: RunRecord, role: str) -> Any:
    row = run.components.get(role)
    return row and (row.component, row.provider, dict(row.options))


def _name(run: RunRecord, role: str) -> str:
    return run.components[role].name if role in run.components else ""
