"""Runs arranged by configuration and block: which of them are the same model, tested in which place."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from qtlplat.conventions import ROLES
from qtlplat.errors import UsageError, safe_repr, unknown_name

if TYPE_CHECKING:
    from qtlplat.analysis.sides import Side
    from qtlplat.store.core.records import ComponentRow, RunRecord

# parts of a plan that tell configurations apart, in addition to head and backbone; seeds do not
PARTS = ("replace", "training", "pretraining", "tuning")
Arranged = dict[str, dict[str, list["Side"]]]


def arranged(sides: Sequence[Side], fields: Sequence[str]) -> tuple[Arranged, dict[str, str], list[str]]:
    """Sides by configuration and block, the label of each configuration, and the blocks, in the order given.

    Runs of one configuration and block differ in seeds only. Raises UsageError for an unknown field, and if runs of a
    block were tested on other data or by another evaluator.
    """
    blocks = _named([_block(side.run, fields) for side in sides])
    keys = [_configuration(side.run, fields) for side in sides]
    table: Arranged = {}
    for side, key, block in zip(sides, keys, blocks, strict=True):
        table.setdefault(key, {}).setdefault(block, []).append(side)
    _refuse_mixed(table)
    return table, _labels(sides, keys), list(dict.fromkeys(blocks))


def score(side: Side, name: str) -> float | None:
    """The mean of a metric over the cells of a side; None if a cell has no finite one, or there is no cell."""
    values = [cell.metrics.get(name, math.nan) for cell in side.cells]
    return fmean(values) if values and all(map(math.isfinite, values)) else None


def _component(row: ComponentRow | None) -> Any:
    return row and [row.component, row.provider, dict(row.options)]


def _block(run: RunRecord, fields: Sequence[str]) -> list[tuple[str, str]]:
    """Of each field its value for people, and what tells it apart."""
    found = []
    for name in fields:
        if name == "dataset":
            row = run.components.get("dataset")
            found.append((row.name if row else "none", run.dataset_digest))
        elif name in ROLES:
            row = run.components.get(name)
            found.append((row.name if row else "none", json.dumps(_component(row), sort_keys=True)))
        else:
            value = _setting(run, name)
            found.append((str(value), json.dumps(value, sort_keys=True, default=str)))
    return found


def _setting(run: RunRecord, name: str) -> Any:
    if name == "seed":
        return run.seed
    first, *path = name.split(".")
    value: Any = dict(run.components[first].options) if first in run.components else run.plan.get(first)
    known: Any = sorted([*ROLES, "seed", *run.plan])
    for part in path:
        known = sorted(value) if isinstance(value, Mapping) else []
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None:
        raise UsageError(unknown_name("field", name, [str(one) for one in known]), where="--across")
    return value


def _named(blocks: Sequence[Sequence[tuple[str, str]]]) -> list[str]:
    """A name for each block; where different ones have one name, the beginning of a digest, or a number, follows."""
    keys: dict[str, dict[str, None]] = defaultdict(dict)
    whole = [(", ".join(name for name, _ in block), json.dumps([key for _, key in block])) for block in blocks]
    for name, key in whole:
        keys[name][key] = None
    return [name if len(keys[name]) == 1 else f"{name} [{1 + list(keys[name]).index(key)}]" for name, key in whole]


def _configuration(run: RunRecord, fields: Sequence[str]) -> str:
    """What tells configurations apart: components and settings, but for what makes a block, and for seeds."""
    parts: dict[str, Any] = {
        role: _component(run.components.get(role)) for role in ("head", "backbone") if role not in fields
    }
    parts |= {name: run.plan.get(name) for name in PARTS}
    for name in fields:
        first, *path = name.split(".")
        place: Any = parts.get(first)
        place = place[2] if isinstance(place, list) else place
        if not path:
            parts.pop(first, None)
        elif isinstance(place, Mapping):
            kept = {key: value for key, value in place.items() if key != path[0]}
            parts[first] = [*parts[first][:2], kept] if isinstance(parts[first], list) else kept
    return json.dumps(parts, sort_keys=True, default=str)


def _labels(sides: Sequence[Side], keys: Sequence[str]) -> dict[str, str]:
    """Head and backbone, only what differs of them; where that does not tell, which settings do."""
    runs = dict(zip(reversed(keys), (side.run for side in reversed(sides)), strict=True))
    runs = {key: runs[key] for key in dict.fromkeys(keys)}
    names = {
        role: [run.components[role].name if role in run.components else "none" for run in runs.values()]
        for role in ("head", "backbone")
    }
    told = [role for role, values in names.items() if len(set(values)) > 1] or ["head"]
    labels = [" on ".join(parts) for parts in zip(*(names[role] for role in told), strict=True)]
    flat = [_flat(json.loads(key)) for key in runs]
    named = []
    for label, mine in zip(labels, flat, strict=True):
        alike = [one for one, other in zip(flat, labels, strict=True) if other == label]
        differ = [name for name in mine if len({json.dumps(one.get(name)) for one in alike}) > 1]
        named.append(f"{label} [{', '.join(f'{name}={mine[name]}' for name in differ[:3])}]" if differ else label)
    again = Counter(named)
    told_apart = [label if again[label] == 1 else f"{label} #{i + 1}" for i, label in enumerate(named)]
    return dict(zip(runs, told_apart, strict=True))


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found: dict[str, Any] = {}
    for key, part in items:
        found |= _flat(part, f"{path}.{key}" if path else str(key))
    return found if items != () else {path: value}


def _refuse_mixed(table: Mapping[str, Mapping[str, Sequence[Side]]]) -> None:
    """Raise UsageError if runs of one block were tested on other data or by another evaluator."""
    tested: dict[str, tuple[str, Any]] = {}
    for row in table.values():
        for block, sides in row.items():
            for side in sides:
                condition = (side.run.dataset_digest, _component(side.run.components.get("evaluator")))
                if tested.setdefault(block, condition) != condition:
                    which = "data" if tested[block][0] != condition[0] else "evaluators"
                    fix = "add dataset to --across" if which == "data" else "choose runs of one evaluator"
                    raise UsageError(f"runs of {safe_repr(block)} were tested with different {which}", fix=fix)
