"""What a careful reader would ask of a dataset, as JSON-able facts and findings in plain words; prints nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from qtlplat.analysis.duplicates import Duplicates, find_duplicates, joined_groups
from qtlplat.analysis.shortcuts import FROM_PIXELS, Score, shortcut_scores
from qtlplat.contracts import Cell, ImageSet

IMBALANCE = 2.0  # the largest class over the smallest, from which it is worth a word
MOST, SOME = 0.5, 0.25  # of the way from a constant answer's F1 to 1


def audit(images: ImageSet, cells: Sequence[Cell] | None, evaluator: str, *, seed: int = 0) -> dict[str, Any]:
    """The fixed shape of ``data audit --json``.

    cells: those of the evaluator that a run would use, None where it cannot divide this dataset; evaluator: its name;
    seed: of the folds and forests that the trivial features are tried with.
    """
    duplicates = find_duplicates(images)
    joined = joined_groups(images, duplicates)
    scores = shortcut_scores(images, joined, seed)
    facts: dict[str, Any] = {
        "images": len(images),
        "class_counts": {name: int(np.sum(images.labels == label)) for label, name in enumerate(images.class_names)},
        "groups": len(set(images.groups)),
        "joined_groups": len(set(joined)),
        "folds": None if cells is None else {"evaluator": evaluator, **_sharing(cells, joined)},
        "duplicates": {
            "exact": [[images.sample_ids[i] for i in same] for same in duplicates.exact],
            "near": [[images.sample_ids[p.first], images.sample_ids[p.second]] for p in duplicates.near],
        },
        "near_duplicates": [
            {
                "first": images.sample_ids[p.first],
                "second": images.sample_ids[p.second],
                "similarity": p.similarity,
                "turn": p.turn,
                "same_class": bool(images.labels[p.first] == images.labels[p.second]),
                "same_group": images.groups[p.first] == images.groups[p.second],
            }
            for p in duplicates.near
        ],
        "facts": {
            name: {
                class_name: _spread(values[images.labels == label])
                for label, class_name in enumerate(images.class_names)
            }
            for name, values in images.facts.items()
        },
        "shortcuts": [asdict(score) for score in scores],
    }
    facts["findings"] = [
        *_on_duplicates(images, duplicates, facts),
        *_on_folds(facts["folds"], evaluator),
        *_on_balance(facts["class_counts"]),
        *_on_shortcuts(scores),
    ]
    return facts


def _sharing(cells: Sequence[Cell], groups: Sequence[str]) -> dict[str, Any]:
    """Of how many groups samples stand on both sides of a cell, and the mean share of test samples of such groups."""
    names, numbers = np.unique(np.asarray(groups), return_inverse=True)
    shared = np.zeros(len(names), bool)
    shares = []
    for cell in cells:
        both = np.intersect1d(numbers[cell.train], numbers[cell.test])
        shared[both] = True
        shares.append(float(np.isin(numbers[cell.test], both).mean()))
    return {"cells": len(cells), "shared_groups": int(shared.sum()), "shared_samples": float(np.mean(shares))}


def _spread(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    return {"min": float(values.min()), "median": float(np.median(values)), "max": float(values.max())}


def _on_duplicates(images: ImageSet, found: Duplicates, facts: Mapping[str, Any]) -> list[str]:
    lines = []
    if found.exact:
        n = sum(len(same) for same in found.exact)
        lines.append(f"{n} samples have the same pixels as another one ({_sets(len(found.exact))})")
    if found.near:
        lines.append(f"{_pairs(len(found.near))} of samples show nearly the same picture")
    links = [*found.exact, *((p.first, p.second) for p in found.near)]
    torn = sum(len({int(images.labels[i]) for i in same}) > 1 for same in links)
    if torn:
        lines.append(f"{_sets(torn)} of duplicates with different classes: at least one label is wrong")
    lost = facts["groups"] - facts["joined_groups"]
    if lost:
        s = "s" if lost > 1 else ""
        lines.append(
            f"duplicates lie in different groups: {lost} group{s} fewer once they are joined; "
            "folds that keep groups together do not keep these together"
        )
    return lines


def _on_folds(folds: Mapping[str, Any] | None, evaluator: str) -> list[str]:
    if folds is None:
        return [f"{evaluator} cannot divide this dataset into folds"]
    if not folds["shared_groups"]:
        return []
    return [
        f"under {evaluator} {folds['shared_samples']:.0%} of the test samples have their source image, or a duplicate "
        f"of it, in training ({folds['shared_groups']} groups): use grouped folds"
    ]


def _on_balance(counts: Mapping[str, int]) -> list[str]:
    low, high = min(counts, key=lambda c: counts[c]), max(counts, key=lambda c: counts[c])
    if counts[high] < IMBALANCE * counts[low]:
        return []
    return [f"the classes are not balanced: {counts[high]} of {high}, {counts[low]} of {low}"]


def _on_shortcuts(scores: Sequence[Score]) -> list[str]:
    constant, *tried = scores
    if not tried:
        return ["trivial features could not be tried: a class has a single group"]
    pixels = set(FROM_PIXELS)
    from_pixels = [s for s in tried if set(s.features.split(" + ")) <= pixels]
    facts = [s for s in tried if s.features not in pixels and " + " not in s.features]
    lines = []
    for score in sorted({max((s for s in facts if s.features == f.features), key=_f1) for f in facts}, key=_name):
        if _gain(score, constant) >= MOST:
            lines.append(f"{_reaches(score, constant)}: how samples were made tells their class")
    best = max(from_pixels, key=_f1)
    # one feature that does nearly as well as all of them names the shortcut better
    alone = [s for s in from_pixels if " + " not in s.features and _gain(s, constant) >= MOST]
    for score in {max(alone, key=_f1), best} if alone else {best}:
        gain = _gain(score, constant)
        what = "explains most of" if gain >= MOST else "explains a part of" if gain >= SOME else "explains little of"
        lines.append(f"{_reaches(score, constant)}: a shortcut {what} what a model can score here")
    return lines


def _reaches(score: Score, constant: Score) -> str:
    *names, last = score.features.split(" + ")
    subject = f"{', '.join(names)} and {last} together reach" if names else f"{last} alone reaches"
    return f"{subject} F1 {score.f1:.3f} under grouped folds ({score.model}; a constant answer: {constant.f1:.3f})"


def _gain(score: Score, constant: Score) -> float:
    return (score.f1 - constant.f1) / max(1 - constant.f1, 1e-9)


def _f1(score: Score) -> float:
    return score.f1


def _name(score: Score) -> str:
    return score.features


def _sets(n: int) -> str:
    return f"{n} set{'s' if n > 1 else ''}"


def _pairs(n: int) -> str:
    return f"{n} pair{'s' if n > 1 else ''}"
