"""What a careful reader would ask of a dataset, as JSON-able facts and findings in plain words; prints nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qtlplat.analysis.duplicate_sets import as_rows, duplicate_sets, findings_on_duplicates, grade_of
from qtlplat.analysis.duplicates import LEAST_SIMILARITY, Duplicates, find_duplicates, joined_groups
from qtlplat.analysis.shortcuts import FROM_PIXELS, Score, shortcut_scores
from qtlplat.contracts import Cell, ImageSet
from qtlplat.conventions import percent
from qtlplat.errors import ConfigError

IMBALANCE = 2.0  # the largest class over the smallest, from which it is worth a word
MOST, SOME = 0.5, 0.25  # of the way from a guess to a balanced accuracy of 1


def audit(
    images: ImageSet,
    evaluator: str,
    divide: Callable[[Sequence[str]], Sequence[Cell]],
    *,
    seed: int = 0,
    least: float = LEAST_SIMILARITY,
) -> dict[str, Any]:
    """The fixed shape of ``data audit --json``.

    evaluator: name of the one that a run would use; divide: its cells, given the joined group of each sample, or a
    ConfigError where it cannot divide this dataset; seed: of the folds and forests that trivial features are tried
    with; least: similarity of near duplicates that are listed. Groups are joined as runs join them, whatever it is.
    """
    found = find_duplicates(images, min(least, LEAST_SIMILARITY))
    joined = joined_groups(images, _similar(found, LEAST_SIMILARITY))
    duplicates = _similar(found, least)
    sets = duplicate_sets(duplicates, images.labels.tolist())
    try:
        folds, refused = {"evaluator": evaluator, **_sharing(divide(joined), joined)}, ""
    except ConfigError as error:
        folds, refused = {}, error.what.splitlines()[0]
    scores = shortcut_scores(images, joined, seed)
    facts: dict[str, Any] = {
        "images": len(images),
        "class_counts": {name: int(np.sum(images.labels == label)) for label, name in enumerate(images.class_names)},
        "groups": len(set(images.groups)),
        "joined_groups": len(set(joined)),
        "largest_joined": max(Counter(joined).values()),
        "folds": folds or None,
        "duplicates": {
            "exact": [[images.sample_ids[i] for i in same] for same in duplicates.exact],
            "near": [[images.sample_ids[p.first], images.sample_ids[p.second]] for p in duplicates.near],
        },
        "duplicate_sets": as_rows(images, sets),
        "least_similarity": least,
        "near_duplicates": [
            {
                "first": images.sample_ids[p.first],
                "second": images.sample_ids[p.second],
                "similarity": p.similarity,
                "turn": p.turn,
                "same_class": bool(images.labels[p.first] == images.labels[p.second]),
                "same_group": images.groups[p.first] == images.groups[p.second],
                "grade": grade_of(p.similarity),
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
        "shortcuts": [
            {
                "features": " + ".join(s.features) or "none",
                "model": s.model,
                "f1": s.f1,
                "f1_sd": s.sd,
                "balanced_accuracy": s.balanced_accuracy,
            }
            for s in scores
        ],
    }
    facts["notes"] = dict(images.notes)
    facts["findings"] = [
        *images.remarks(),
        *findings_on_duplicates(sets),
        *_on_groups(images.groups, facts),
        *([f"{evaluator} cannot divide this dataset: {refused}"] if refused else _on_folds(folds)),
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


def _similar(found: Duplicates, least: float) -> Duplicates:
    return Duplicates(found.exact, tuple(pair for pair in found.near if pair.similarity >= least))


def _on_groups(groups: Sequence[str], facts: Mapping[str, Any]) -> list[str]:
    if facts["groups"] == facts["joined_groups"]:
        return []
    largest, before = facts["largest_joined"], max(Counter(groups).values())
    grown = f"; the largest has {largest} samples instead of {before}" if largest > before else ""
    return [
        "duplicates have different source images: grouped evaluators take these for one, "
        f"{facts['joined_groups']} groups instead of {facts['groups']}{grown}"
    ]


def _on_folds(folds: Mapping[str, Any]) -> list[str]:
    if not folds["shared_groups"]:
        return []
    return [
        f"under {folds['evaluator']} {percent(folds['shared_samples'])} of the test samples have another sample of "
        f"their source image, or of a duplicate of it, in training ({folds['shared_groups']} sources): grouped folds "
        "keep them together"
    ]


def _on_balance(counts: Mapping[str, int]) -> list[str]:
    low, high = min(counts, key=lambda c: counts[c]), max(counts, key=lambda c: counts[c])
    if counts[high] < IMBALANCE * counts[low]:
        return []
    return [f"the classes are not balanced: {counts[high]} of {high}, {counts[low]} of {low}"]


def _on_shortcuts(scores: Sequence[Score]) -> list[str]:
    constant, *tried = scores
    if not tried:
        return ["trivial features could not be tried: a class has too few groups for folds"]
    best: dict[tuple[str, ...], Score] = {}
    for score in tried:
        if score.features not in best or _worth(score) > _worth(best[score.features]):
            best[score.features] = score
    lines = [
        f"{_reaches(score, constant)}: how samples were made tells their class"
        for names, score in best.items()
        if len(names) == 1 and names[0] not in FROM_PIXELS and _gain(score, constant) >= MOST
    ]
    alone = max((best[name,] for name in FROM_PIXELS), key=_worth)
    together = best[FROM_PIXELS]
    if _gain(alone, constant) >= MOST and _worth(alone) < _worth(together):
        lines.append(f"{_reaches(alone, constant)}: a shortcut {_share(alone, constant)} what a model can score here")
    top = max(alone, together, key=_worth)
    lines.append(f"{_reaches(top, constant)}: a shortcut {_share(top, constant)} what a model can score here")
    return lines


def _worth(score: Score) -> float:
    """What scores are picked by: the same number that the findings judge them by, see `_gain`."""
    return score.balanced_accuracy


def _reaches(score: Score, constant: Score) -> str:
    *names, last = score.features
    subject = f"{', '.join(names)} and {last} together reach" if names else f"{last} alone reaches"
    return f"{subject} F1 {score.f1:.3f} under grouped folds ({_beside(score, constant)})"


def _beside(score: Score, constant: Score) -> str:
    balanced = f"balanced accuracy {score.balanced_accuracy:.3f}"
    return f"{score.model}, {balanced}; a constant answer: {constant.f1:.3f}, {constant.balanced_accuracy:.3f}"


def _share(score: Score, constant: Score) -> str:
    gain = _gain(score, constant)
    return "explains most of" if gain >= MOST else "explains a part of" if gain >= SOME else "explains little of"


def _gain(score: Score, constant: Score) -> float:
    """How far a score lies on the way from a guess to 1, in balanced accuracy.

    Not in F1: the constant answer of two equal classes has an F1 of 0.667, though it knows no more than a coin.
    """
    return (score.balanced_accuracy - constant.balanced_accuracy) / (1 - constant.balanced_accuracy)
