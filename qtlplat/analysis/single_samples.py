"""Tests that look at single samples instead of cells: McNemar's, and the accuracy on shuffled labels.

Both take what they count as independent, so each sample counts once, however many cells test it (several seeds,
repeated k-fold, random splits): in McNemar's test by a vote, on shuffled labels by the shares of its predictions. Where
several samples come from one source, McNemar's test counts sources.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qtlplat.analysis import statistics
from qtlplat.conventions import counted

if TYPE_CHECKING:
    from qtlplat.analysis.sides import Side
    from qtlplat.store.core.records import CellRecord, PredictionRow

Pair = tuple["CellRecord", "CellRecord"]


def vote(right: int, predictions: int) -> float:
    """1 if more than half of the predictions for a sample are right, 0 if fewer; a tie counts half, as 0.5."""
    return float(2 * right > predictions) if 2 * right != predictions else 0.5


def mcnemar(pairs: Sequence[Pair], side: Side, baseline: Side) -> tuple[dict[str, Any] | None, list[str]]:
    """McNemar's test over one vote for each sample, or over sources, and notes on what was counted.

    The votes of both sides are over the same cells. A sample counts for the side with the higher vote, not at all if
    both have the same. Samples of one source are not independent of each other, so where there are such samples a
    source is what counts, for the side with the higher sum of votes. None where predictions are missing, or belong to
    other labels (shuffled ones).
    """
    mine, theirs = (
        {(row.cell, row.sample_id): row for row in one.predictions if row.cell in {pair[i].position for pair in pairs}}
        for i, one in enumerate((side, baseline))
    )
    partners = {cell.position: partner.position for cell, partner in pairs}
    right: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    sources = {}
    for (cell, sample), row in mine.items():
        other = theirs.get((partners[cell], sample))
        if other is None:
            continue
        if row.label != other.label:
            return None, []
        right[sample].append((row.predicted == row.label, other.predicted == other.label))
        sources[sample] = row.group
    if not right:
        return None, []
    net: dict[str, float] = defaultdict(float)  # by how many votes the side is ahead, by source
    for sample, votes in right.items():
        ours, others = (vote(sum(answers), len(votes)) for answers in zip(*votes, strict=True))
        net[sources[sample]] += ours - others
    found = statistics.mcnemar(sum(n > 0 for n in net.values()), sum(n < 0 for n in net.values()))
    n, predictions, by_source = len(right), sum(map(len, right.values())), len(net) < len(right)
    notes = []
    if n < predictions:
        notes.append(
            f"McNemar's test counts each of the {counted(n, 'sample')} once, by a vote of its predictions "
            f"({predictions} in all): right if more than half of them are; a tie counts half"
        )
    if by_source:
        notes.append(
            f"McNemar's test takes what it counts as independent, and {counted(n, 'sample')} come from "
            f"{counted(len(net), 'source')}: it counts sources, each for the run that gets more of its samples right"
        )
    return {
        "run_only": found.first_only,
        "baseline_only": found.second_only,
        "p": found.p,
        "form": found.form,
        "counted": "sources" if by_source else "samples",
        "samples": n,
        "sources": len(net),
        "predictions": predictions,
    }, notes


def against_chance(side: Side) -> str:
    """How far the accuracy on shuffled labels lies from chance, '' without predictions.

    Accuracy and answers are means over samples, each with the shares of its predictions. Chance and standard error are
    the mean and the standard deviation of that accuracy over all permutations of the labels among the samples, the
    answers being what they are (Hoeffding, "A combinatorial central limit theorem", Annals of Mathematical Statistics
    22, 1951, theorem 2).
    """
    positions = {cell.position for cell in side.cells}
    labels, answers = _by_sample(row for row in side.predictions if row.cell in positions)
    n = len(labels)
    if not n:
        return ""
    frequencies = np.bincount(labels, minlength=answers.shape[1]) / n
    expected, given = answers @ frequencies, answers.mean(axis=0)
    chance = float(given @ frequencies)
    accuracy = float(answers[np.arange(n), labels].mean())
    away = answers - expected[:, None] - given + chance  # centred over samples and over labels
    error = math.sqrt(float((away**2 @ frequencies).sum()) / (n * (n - 1))) if n > 1 else 0.0
    words = f", {abs(accuracy - chance) / error:.1f} standard errors away" if error > 1e-12 else ""
    return (
        f"accuracy on shuffled labels {accuracy:.3f}, chance {chance:.3f}{words} (over {counted(n, 'sample')}, each "
        "counted once; mean and standard error over all permutations of the labels)"
    )


def _by_sample(rows: Iterable[PredictionRow]) -> tuple[Any, Any]:
    """The label of each sample, int64 (n,), and the share of its predictions that gave each class, float64 (n, K).

    Classes are numbered as they occur.
    """
    classes: dict[int, int] = {}
    labels: dict[str, int] = {}
    given: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        labels[row.sample_id], answer = (classes.setdefault(c, len(classes)) for c in (row.label, row.predicted))
        given[row.sample_id].append(answer)
    shares = [np.bincount(given[sample], minlength=len(classes)) / len(given[sample]) for sample in labels]
    return np.array(list(labels.values()), dtype=np.int64), np.array(shares)
