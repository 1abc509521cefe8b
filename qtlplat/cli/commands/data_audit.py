"""What `qtlplat data audit` needs and prints: the default evaluator's folds, tables, findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qtlplat.catalog.plugin_calls import evaluator_cells
from qtlplat.catalog.resolve import resolve_component
from qtlplat.cli.components import open_components
from qtlplat.cli.render.columns import Column
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.terminal import clean, note, say
from qtlplat.cli.settings import Settings
from qtlplat.contracts import Cell, Samples, Split
from qtlplat.specs import EvaluatorSpec

SCORES = (("f1", "f1"), ("f1_sd", "± sd"), ("balanced_accuracy", "balanced accuracy"))

Divide = Callable[[npt.NDArray[np.int64], Sequence[str]], Sequence[Cell]]


def default_folds(settings: Settings) -> tuple[str, Divide]:
    """Name of the registry's default evaluator, and (labels, groups) -> its cells for seed 0.

    A backbone's split does not exist yet; evaluators that need one get a random fifth as its test part.
    """
    component, options, choice = resolve_component("evaluator", None, *open_components(settings))
    spec: EvaluatorSpec = component.spec

    def divide(labels: npt.NDArray[np.int64], groups: Sequence[str]) -> Sequence[Cell]:
        order = np.random.default_rng(0).permutation(len(labels))
        fifth = max(1, len(labels) // 5)
        split = Split(np.sort(order[fifth:]), np.zeros(0, np.int64), np.sort(order[:fifth]))
        samples = Samples(labels, groups, (0,), split)
        return evaluator_cells(spec, options, samples, choice.provider)

    return choice.name, divide


def limited(facts: Mapping[str, Any], limit: int | None) -> dict[str, Any]:
    """The facts with at most `limit` sets and pairs of duplicates; all for None."""
    duplicates = {kind: found[:limit] for kind, found in facts["duplicates"].items()}
    return {**facts, "duplicates": duplicates, "near_duplicates": facts["near_duplicates"][:limit]}


def print_audit(facts: Mapping[str, Any], limit: int) -> None:
    """Counts, duplicates (at most `limit` of a kind), shortcuts and findings, for people."""
    rows = [
        {"what": "images", "value": facts["images"]},
        {"what": "classes", "value": facts["class_counts"]},
        {"what": "groups", "value": facts["groups"]},
        {"what": "groups, duplicates joined", "value": facts["joined_groups"]},
    ]
    if facts["folds"]:
        folds = facts["folds"]
        share = f"{100 * folds['shared_samples']:.1f} % of the test samples"
        words = f"{folds['shared_groups']} of them in {folds['cells']} cells, {share}"
        rows.append({"what": f"divided by {folds['evaluator']}", "value": words})
    for name, classes in facts["facts"].items():
        for class_name, spread in classes.items():
            rows.append({"what": f"{name.replace('_', ' ')} of {class_name}", "value": spread})
    rows += [{"what": name, "value": text} for name, text in facts["notes"].items()]
    emit(rows, [Column("what", "what"), Column("value", "value")])
    _print_duplicates(facts, limit)
    say("", "shortcuts: F1 of trivial features under grouped folds")
    columns = [Column("features", "features"), Column("model", "model")]
    columns += [Column(key, title, right=True, show="{:.4f}".format) for key, title in SCORES]
    emit(facts["shortcuts"], columns)
    say("", "findings")
    for finding in facts["findings"]:
        say(f"- {clean(finding)}")


def _print_duplicates(facts: Mapping[str, Any], limit: int) -> None:
    exact = [{"kind": "exact", "samples": same} for same in facts["duplicates"]["exact"]]
    near = [
        {"kind": "near", "samples": [p["first"], p["second"]], "similarity": p["similarity"], "turn": p["turn"]}
        for p in facts["near_duplicates"]
    ]
    rows = exact[:limit] + near[:limit]
    if rows:
        say("", "duplicates")
        columns = [Column("kind", "kind"), Column("samples", "samples")]
        emit(rows, [*columns, Column("similarity", "similarity", right=True), Column("turn", "turn")])
    if left := len(exact) + len(near) - len(rows):
        note(f"{left} more duplicates: --limit {max(len(exact), len(near))} lists all")
