"""Tests that look at single samples instead of cells: McNemar's, and the accuracy on shuffled labels.

Both take what they count as independent, so each sample may count once only: of a sample that several cells of a run
test (several seeds, repeated k-fold, random splits) the first prediction counts, whatever the others say. Where several
samples come from one source, McNemar's test counts sources.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.analysis import statistics
from qtlplat.conventions import counted

if TYPE_CHECKING:
    from qtlplat.analysis.sides import Side
    from qtlplat.store.core.records import CellRecord, PredictionRow

Pair = tuple["CellRecord", "CellRecord"]


def disjoint_cells(cells: Sequence[CellRecord], samples: Mapping[int, set[str]]) -> list[CellRecord]:
    """Cells of the first seed, in the order of their folds, without those that test a sample of an earlier one again.

    samples: ids by the position of a cell. Of a repeated k-fold this is the first repeat, of random splits the first
    one; nothing is chosen by what was predicted.
    """
    seed = min((cell.seed for cell in cells), default=0)
    kept, seen = [], set[str]()
    for cell in sorted((cell for cell in cells if cell.seed == seed), key=lambda cell: (cell.fold, cell.position)):
        mine = samples.get(cell.position, set())
        if mine and not mine & seen:
            kept.append(cell)
            seen |= mine
    return kept


def mcnemar(pairs: Sequence[Pair], side: Side, baseline: Side) -> tuple[dict[str, Any] | None, list[str]]:
    """McNemar's test over samples that stand once, or over their sources, and notes on what was counted.

    Samples of one source hang together, so where there are such samples a source is what counts. None where predictions
    are missing, or belong to other labels (shuffled ones).
    """
    partners = {cell.position: partner for cell, partner in pairs}
    mine, theirs = (
        _by_cell(one.predictions, {pair[i].position for pair in pairs}) for i, one in enumerate((side, baseline))
    )
    shared = {
        cell.position: set(mine.get(cell.position, {})) & set(theirs.get(partner.position, {}))
        for cell, partner in pairs
    }
    kept = disjoint_cells([cell for cell, _ in pairs], shared)
    rows = [
        (mine[cell.position][sample], theirs[partners[cell.position].position][sample])
        for cell in kept
        for sample in sorted(shared[cell.position])
    ]
    if not rows or any(one.label != other.label for one, other in rows):
        return None, []
    notes = []
    of_seed = sum(bool(shared[cell.position]) for cell, _ in pairs if cell.seed == kept[0].seed)
    if len(kept) < of_seed:
        notes.append(
            f"McNemar's test takes samples as independent, and the {of_seed} cells of seed {kept[0].seed} test some "
            f"samples several times: it uses the first {counted(len(kept), 'cell')} only, in which no sample is "
            "tested twice"
        )
    net: dict[str, int] = defaultdict(int)  # by how many samples more the side gets a source right
    for one, other in rows:
        net[one.group] += (one.predicted == one.label) - (other.predicted == other.label)
    found = statistics.mcnemar(sum(n > 0 for n in net.values()), sum(n < 0 for n in net.values()))
    by_source = len(net) < len(rows)
    if by_source:
        notes.append(
            f"McNemar's test takes what it counts as independent, and {counted(len(rows), 'sample')} come from "
            f"{counted(len(net), 'source')}: it counts sources, each for the run that gets more of its samples right"
        )
    return {
        "run_only": found.first_only,
        "baseline_only": found.second_only,
        "p": found.p,
        "form": found.form,
        "counted": "sources" if by_source else "samples",
        "samples": len(rows),
        "sources": len(net),
        "seed": kept[0].seed,
    }, notes


def against_chance(side: Side) -> str:
    """How far the accuracy on shuffled labels lies from chance, '' without predictions.

    Chance is the accuracy of answers that are given as often, but know nothing of the labels: the sum over the classes
    of their share among the labels times their share among the answers. The standard error is that of a share over
    distinct samples: labels were shuffled sample by sample, so that a guess is right or wrong on each by itself.
    """
    by_cell = _by_cell(side.predictions, {cell.position for cell in side.cells})
    kept = disjoint_cells(side.cells, {position: set(rows) for position, rows in by_cell.items()})
    rows = [row for cell in kept for row in by_cell[cell.position].values()]
    if not rows:
        return ""
    n = len(rows)
    labels, answers = (Counter(getattr(row, name) for row in rows) for name in ("label", "predicted"))
    chance = sum(labels[name] * answers[name] for name in labels) / n**2
    accuracy = sum(row.label == row.predicted for row in rows) / n
    error = math.sqrt(chance * (1 - chance) / n)
    away = f", {abs(accuracy - chance) / error:.1f} standard errors away" if error else ""
    of = f", {len(kept)} of {counted(len(side.cells), 'cell')}" if len(kept) < len(side.cells) else ""
    return (
        f"accuracy on shuffled labels {accuracy:.3f}, chance {chance:.3f}{away} (standard error of a share over "
        f"{counted(n, 'sample')}, each counted once{of})"
    )


def _by_cell(predictions: Sequence[PredictionRow], positions: set[int]) -> dict[int, dict[str, PredictionRow]]:
    found: dict[int, dict[str, PredictionRow]] = defaultdict(dict)
    for row in predictions:
        if row.cell in positions:
            found[row.cell][row.sample_id] = row
    return found
