"""What decided the numbers of stored runs, as facts in a fixed order of weight, and which of them differ between runs.

Reads nothing and prints nothing: it gets stored values as arguments. The order is a judgement, with a reason for each
kind; it claims no probabilities.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtlplat.conventions import HEAD, NUMERICS, THREAD_VARIABLES, VARIABLE, flat_counts
from qtlplat.metrics import SHIPPED, declared_metrics

if TYPE_CHECKING:
    from qtlplat.store.core.records import CellRecord, RunRecord
    from qtlplat.store.read.loaded import Gathered


@dataclass(frozen=True)
class Kind:
    """A kind of facts. weight: what a difference in it can do to the numbers; why: the reason."""

    name: str
    weight: str
    why: str


# from what is most likely to explain a difference to what cannot explain any
KINDS = (
    Kind(
        "what", "decisive", "not the same measurement: a pretraining, a part of a run, a metric that goes the other way"
    ),
    Kind("data", "decisive", "other images or labels are another task"),
    Kind("folds", "decisive", "other samples train or test: scores vary from split to split"),
    Kind("backbone", "strong", "other frozen features reach the head"),
    Kind("head", "strong", "another model learns"),
    Kind("training", "strong", "the same model learns in another way"),
    Kind("code", "possible", "the same plan may compute something else"),
    Kind("seed", "chance", "other initial weights and batches: as much as seeds differ among themselves"),
    Kind("device", "rounding", "the same circuit computed elsewhere: last digits, but far more with shots or noise"),
    Kind("packages", "rounding", "the same operations by other code: last digits, which training can magnify"),
    Kind("hardware", "rounding", "the same operations in another order: last digits, which training can magnify"),
    Kind("interruption", "rounding", "taken up again: the same bits, unless something had changed meanwhile"),
    Kind("parameters", "consequence", "follows from backbone, head and what is replaced"),
    Kind("place", "none", "where it ran and how it was typed reaches no number"),
)
RANKS = {kind.name: rank for rank, kind in enumerate(KINDS)}
BY_NAME = {kind.name: kind for kind in KINDS}

_ROLES = {"dataset": "data", "evaluator": "folds", "backbone": "backbone", "head": "head"}
# entries of a plan -> kind; those of a role are told from its component, what is not named here trains the model
_PLAN = {
    "replace": "head",
    "pretraining": "backbone",
    "samples": "folds",
    "seed": "seed",
    "seeds": "folds",
    "backbones": "backbone",
    "device": "device",
    "accelerator": "device",
    "controls": "place",
    "control_code": "place",
}
_ENVIRONMENT = {
    "version of qtlplat": "code",
    "git commit": "code",
    "engine": "device",
    "gradient method": "device",
    "shots": "device",
    "shots repeat": "device",
    "cells are stacked": "device",
    "python": "packages",
    "processor": "hardware",
    "threads": "hardware",
    "vector instructions": "hardware",
    **dict.fromkeys(NUMERICS, "hardware"),
    "platform": "hardware",
    "host": "place",
    "cpus": "place",
    "command": "place",
}
_STARTS = {"version of ": "packages", VARIABLE: "hardware"}  # of a name in the environment -> kind
_COUNTS = ("parameters", "trainable", "frozen", "replaced")
_ONLY_OF_CIRCUITS = ("engine", "gradient method", "shots", "shots repeat", "cells are stacked")
_ABSENT = object()
DIRECTION = "direction of "


@dataclass(frozen=True)
class Difference:
    """Something that is not the same in all runs. values: in the order of the runs, None if a run has none."""

    kind: str
    what: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class _Facts:
    """values: by kind and name; components: what each role is, for only the same components share options."""

    values: Mapping[tuple[str, str], Any]
    components: Mapping[str, str]


def differing(runs: Sequence[Gathered]) -> list[Difference]:
    """What differs between runs, the weightiest kinds first, components before their options.

    Options and code are compared between runs with the same component only: they follow from another component.
    """
    facts = [_facts(run) for run in runs]
    same_data = len({run.run.dataset_digest for run in runs}) == 1
    found = []
    for kind, what in dict.fromkeys(key for one in facts for key in one.values):
        values = [one.values.get((kind, what), _ABSENT) for one in facts]
        if _differ(what, values, facts):
            shown = tuple(None if value is _ABSENT else value for value in values)
            # the data are the same bytes, whatever made them
            of_data = same_data and kind == "data" and what != "classes"
            found.append(Difference("place" if of_data else kind, what, shown))
    for role, kind in _ROLES.items():
        if difference := _components(role, kind, runs):
            of_data = same_data and kind == "data"
            found.append(Difference("place", difference.what, difference.values) if of_data else difference)
    return sorted(found, key=lambda one: (RANKS[one.kind], one.what not in _ROLES, "." in one.what))


def moved_cells(first: Sequence[CellRecord], second: Sequence[CellRecord], part: str) -> tuple[int, int]:
    """How many cells of the same variant, backbone, fold and seed have other samples, and how many there are.

    part: "train" or "test".
    """
    mine, theirs = (
        {(c.variant, c.backbone_index, c.fold, c.seed): getattr(c, f"{part}_hash") for c in cells}
        for cells in (first, second)
    )
    shared = mine.keys() & theirs.keys()
    return sum(mine[key] != theirs[key] for key in shared), len(shared)


def _facts(gathered: Gathered) -> _Facts:
    values: dict[tuple[str, str], Any] = {}
    for kind, what, value in _all(gathered):
        values[kind, what] = value
    components = {role: f"{row.provider}:{row.component}" for role, row in gathered.run.components.items()}
    return _Facts(values, components)


def _all(gathered: Gathered) -> Iterator[tuple[str, str, Any]]:
    """Every fact as (kind, name, value)."""
    run, environment = gathered.run, gathered.environment
    yield "what", "kind", run.kind
    yield "what", "status", run.status
    yield "data", "data digest", run.dataset_digest
    yield from _declared(run, environment)
    yield from _of_cells(gathered.cells)
    yield from _of_components(run)
    if gathered.backbones:
        yield "backbone", "backbone weights", _digest(gathered.backbones)
    for name, value in run.plan.items():
        if name not in _ROLES and name != "dataset_digest":
            for path, part in _flat(value, name):
                yield _PLAN.get(name, "training"), path, part
    yield "seed", "seed", run.seed
    for name, value in environment.items():
        if kind := _ENVIRONMENT.get(name) or next((k for start, k in _STARTS.items() if name.startswith(start)), ""):
            yield kind, name, value
    yield "interruption", "times taken up again", max(0, len(gathered.owners) - 1)
    for owner in gathered.owners[1:]:
        for name, (before, after) in owner.drift.items():
            yield "interruption", f"changed meanwhile: {name}", f"{before} -> {after}"
    counts = flat_counts(run.parameters)
    for name in _COUNTS:
        if counts[name] is not None:
            yield "parameters", name, counts[name]


def _declared(run: RunRecord, environment: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    """The class names of the dataset, and the directions of the evaluator's own metrics."""
    if run.classes:
        yield "data", "classes", list(run.classes)
    for name, metric in declared_metrics(environment).items():
        if name not in SHIPPED:
            yield "what", f"{DIRECTION}{name}", f"{'more' if metric.higher_is_better else 'less'} is better"


def _of_cells(cells: Sequence[CellRecord]) -> Iterator[tuple[str, str, Any]]:
    """What the head's own cells train on and test; controls have the same cells."""
    head = [cell for cell in cells if cell.variant == HEAD]
    for part in ("train", "test") if head else ():
        # each once: more backbones on the same folds are no other samples
        samples = _digest(sorted({(c.fold, c.seed, getattr(c, f"{part}_hash")) for c in head}))
        yield "folds", f"{part} samples", samples


def _of_components(run: RunRecord) -> Iterator[tuple[str, str, Any]]:
    """Options, code and versions of the components; options that say where something lies are places."""
    for role, kind in _ROLES.items():
        if (row := run.components.get(role)) is None:
            continue
        chosen = run.plan.get(role)
        places = chosen.get("locations", ()) if isinstance(chosen, Mapping) else ()
        for name, value in _flat(row.options, role):
            yield ("place" if name.removeprefix(f"{role}.") in places else kind), name, value
        yield "code", f"{role} code", row.digest
        yield "code", f"version of {row.provider}", row.version


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The entries of nested mappings by dotted path."""
    if not isinstance(value, Mapping):
        yield path, value
        return
    for name, part in value.items():
        yield from _flat(part, f"{path}.{name}")


def _differ(what: str, values: Sequence[Any], facts: Sequence[_Facts]) -> bool:
    if what in THREAD_VARIABLES and not _several(one.values.get(("hardware", "threads")) for one in facts):
        return False
    # only some runs have a circuit, or an evaluator with that metric
    if what in NUMERICS or what.startswith(VARIABLE):  # of a run that has stored none nothing is known
        return _several(
            value
            for value, one in zip(values, facts, strict=True)
            if any(("hardware", name) in one.values for name in NUMERICS)
        )
    if what in _ONLY_OF_CIRCUITS or what.startswith(DIRECTION):
        return _several(value for value in values if value is not _ABSENT)
    role = what.removesuffix(" code") if what.endswith(" code") else what.partition(".")[0]
    if role not in _ROLES or what == role:
        return _several(values)
    alike: dict[str | None, list[Any]] = defaultdict(list)
    for value, one in zip(values, facts, strict=True):
        alike[one.components.get(role)].append(value)
    return any(map(_several, alike.values()))


def _components(role: str, kind: str, runs: Sequence[Gathered]) -> Difference | None:
    """The names of a role's components where they differ in more than what they are called."""
    rows = [run.run.components.get(role) for run in runs]
    names = [row and row.name for row in rows]
    components = [row and f"{row.provider}:{row.component}" for row in rows]
    meant = [row and (row.provider, row.component, dict(row.options)) for row in rows]
    if _several(meant):
        if _several(names):
            return Difference(kind, role, tuple(names))
        return Difference(kind, role, tuple(components)) if _several(components) else None
    return Difference("place", role, tuple(names)) if _several(names) else None


def _several(values: Iterable[Any]) -> bool:
    return len({value if value is _ABSENT else json.dumps(value, sort_keys=True, default=str) for value in values}) > 1


def _digest(values: Iterable[Any]) -> str:
    """Stands for many values: the same where all of them are, in whatever order."""
    return hashlib.sha256(json.dumps(sorted(values)).encode()).hexdigest()
