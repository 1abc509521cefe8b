"""What a report is made of: runs with their backbones, cells and epochs, as the store has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from qtlplat.metrics import Metric
from qtlplat_reports.figures.stored import F1, StoredRun, read
from qtlplat_reports.report.privacy import public_facts, public_run, request

if TYPE_CHECKING:
    from qtlplat.api.picking import Picked
    from qtlplat.store.core.records import ReproductionRecord
    from qtlplat.store.read.queries import Reader
    from qtlplat_reports.figures.sweeps import StoredSweep


@dataclass(frozen=True)
class Audit:
    """An audited dataset. name: as requested; facts: of `audit`, None if it is not available; why: the reason."""

    name: str
    digest: str
    facts: Mapping[str, Any] | None
    why: str = ""


@dataclass(frozen=True)
class Material:
    """Everything that a report says.

    runs: heads and backbones, in the order of Table III; kept: position of the cell (initialisation) whose weights a
    pretraining has kept, by its id; environments: public facts, requests: what was typed, commands: that make a run
    again, each by run id; reproduction: a stored one, where claims are reported; publication: what its recipe says of
    it; audits: of datasets; metric: by which runs are compared; sweep: that the runs are members of, with cells, and
    picked, its best member.
    """

    runs: tuple[StoredRun, ...]
    kept: Mapping[str, int] = field(default_factory=dict)
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    reproduction: ReproductionRecord | None = None
    publication: tuple[str, ...] = ()
    audits: tuple[Audit, ...] = ()
    metric: Metric = F1
    sweep: StoredSweep | None = None
    picked: Picked | None = None

    @property
    def heads(self) -> list[StoredRun]:
        """The runs of heads."""
        return [stored for stored in self.runs if stored.run.kind == "run"]

    @property
    def backbones(self) -> list[StoredRun]:
        """The pretrainings."""
        return [stored for stored in self.runs if stored.run.kind == "pretraining"]


def collect(reader: Reader, ids: Sequence[str]) -> Material:
    """Runs by their full ids, and the pretrainings that they start from."""
    named = {run_id: _read(reader, run_id) for run_id in dict.fromkeys(ids)}
    parents = dict.fromkeys(parent.id for stored in named.values() for parent in stored.backbones)
    every = named | {parent: _read(reader, parent) for parent in parents if parent not in named}
    environments = {run_id: reader.environment(run_id) for run_id in every}
    kept = {}
    for run_id, stored in every.items():
        if stored.run.kind == "pretraining":
            weights = next((a for a in reader.artifacts(run_id) if a.kind == "weights"), None)
            if weights is not None and isinstance(weights.meta.get("initialisation"), int):
                kept[run_id] = weights.meta["initialisation"]
    runs = [_public(stored) for stored in every.values()]
    return Material(
        tuple(sorted(runs, key=_order)),
        kept,
        {run_id: public_facts(facts) for run_id, facts in environments.items()},
        {run_id: request(facts["command"]) for run_id, facts in environments.items() if facts.get("command")},
    )


def _read(reader: Reader, run_id: str) -> StoredRun:
    """A run; that of a head with its predictions, for what looks at single samples."""
    stored = read(reader, run_id)
    return replace(stored, predictions=tuple(reader.predictions(run_id))) if stored.run.kind == "run" else stored


def _public(stored: StoredRun) -> StoredRun:
    return replace(stored, run=public_run(stored.run), backbones=tuple(map(public_run, stored.backbones)))


def _order(stored: StoredRun) -> tuple[Any, ...]:
    """By dataset and backbone; there the backbone itself first, then heads by how much they replace."""
    run, names = stored.run, {role: row.name for role, row in stored.run.components.items()}
    replaced = run.parameters.get("replaced_layers")
    return (
        run.dataset_digest,
        names.get("backbone", ""),
        run.kind == "run",
        replaced if isinstance(replaced, int) else -1,
        names.get("head", ""),
        names.get("evaluator", ""),
        run.created,
        run.id,
    )
