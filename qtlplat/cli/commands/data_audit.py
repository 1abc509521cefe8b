"""What `qtlplat data audit` needs and prints: the default evaluator's folds, tables, findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qtlplat.catalog.plugin_calls import evaluator_cells
from qtlplat.catalog.resolve import resolve_component
from qtlplat.cli.components import open_components
from qtlplat.cli.render.columns import Column
from qtlplat.cli.render.files import write_output
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.terminal import clean, note, say
from qtlplat.cli.settings import Settings
from qtlplat.contracts import Cell, ImageSet, Samples, Split
from qtlplat.conventions import counted
from qtlplat.specs import EvaluatorSpec

SCORES = (("f1", "f1"), ("f1_sd", "± sd"), ("balanced_accuracy", "balanced accuracy"))

LISTED = ("duplicate_sets", "near_duplicates")

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
    """The facts with at most `limit` duplicates of a kind; all for None."""
    duplicates = {kind: found[:limit] for kind, found in facts["duplicates"].items()}
    return {**facts, "duplicates": duplicates, **{name: facts[name][:limit] for name in LISTED}}


def print_audit(facts: Mapping[str, Any], limit: int) -> None:
    """Counts, at most `limit` sets of duplicates, shortcuts and findings, for people."""
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


def write_sheet(images: ImageSet, facts: Mapping[str, Any], output: Path, force: bool, limit: int) -> None:
    """A contact sheet of the first `limit` sets of duplicates, or a note that there are none."""
    from qtlplat.analysis.contact_sheet import png
    from qtlplat.analysis.duplicate_sets import duplicate_sheet

    rows = facts["duplicate_sets"][:limit]
    if not rows:
        note("no duplicates to show: no contact sheet is written")
        return
    write_output(output, png(duplicate_sheet(images, rows)), force)
    note(f"contact sheet of {counted(len(rows), 'set')} of duplicates: {output}")


def _print_duplicates(facts: Mapping[str, Any], limit: int) -> None:
    sets = facts["duplicate_sets"]
    if rows := [{**row, "classes": sorted(set(row["classes"]))} for row in sets[:limit]]:
        say("", "duplicates")
        columns = [Column("grade", "evidence"), Column("samples", "samples"), Column("classes", "classes")]
        emit(rows, [*columns, Column("similarity", "similarity", right=True, show="{:.2f}".format)])
    if left := len(sets) - len(rows):
        note(f"{counted(left, 'more set')} of duplicates: --limit {len(sets)} lists all")
