"""What the cells of two sides allow to be said: which of them are paired, over what they vary, by which test.

Backbones are what varies most, and cells that start from one backbone are no evidence about another. So the unit of a
test is the backbone wherever both sides have two or more. On a single backbone that both share, folds or seeds are
tested, and the verdict is about this backbone only. A single backbone against another allows no verdict.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from qtlplat.analysis import statistics, verdicts
from qtlplat.analysis.components import Components, between_backbones, over_backbones
from qtlplat.analysis.designs import (
    Crossing,
    backbone_of,
    backbones,
    by_fold,
    crossing,
    design,
    levels,
    mean_of,
    same_start,
    separate,
)
from qtlplat.analysis.power import Layout, Needed, more_backbones, power_at, repetition
from qtlplat.analysis.statistics import TTest
from qtlplat.conventions import counted, short
from qtlplat.metrics import Metric

if TYPE_CHECKING:
    from qtlplat.store.core.records import CellRecord

CORRECTED = "paired t, Nadeau-Bengio corrected"
ONE_SPLIT = "paired t over the seeds of one split"
WELCH = "Welch's t, unpaired, Nadeau-Bengio corrected"
OVER_BACKBONES = "paired t over backbones, Nadeau-Bengio corrected"
BETWEEN_BACKBONES = "Welch's t over backbones, folds paired, Nadeau-Bengio corrected"
POWER = 0.8
LEAST = 3  # backbones that a general verdict should have: two leave one degree of freedom
Pair = tuple["CellRecord", "CellRecord"]


@dataclass(frozen=True)
class Question:
    """metric: what is compared; level, rope, detect: as of `comparison.Asked`."""

    metric: Metric
    level: float
    rope: float
    detect: float


@dataclass(frozen=True)
class Evidence:
    """A test and what it says. Fields that a row of a comparison has too are described there.

    pairs: cells of either side that are compared one by one, none if the sides are compared as wholes.
    """

    test: TTest
    test_name: str | None = None
    unit: str | None = None
    n_backbones: int | None = None
    power: float = math.nan
    components: Components | None = None
    bootstrap: statistics.Interval = statistics.NOTHING
    rope: statistics.Rope | None = None
    needed: Needed | None = None
    remark: str = ""
    why: str = ""
    notes: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()

    @property
    def n(self) -> int:
        """Values that were tested."""
        return self.test.n


def paired(cells: Sequence[CellRecord], others: Sequence[CellRecord], *, same_backbones: bool = True) -> list[Pair]:
    """Cells of the same seed and fold that were tested on the same samples, by backbone, seed and fold.

    same_backbones: they start from the same pretraining; else from that of the same number in the run.
    """

    def key(cell: CellRecord) -> tuple[str | int, int, int, str]:
        return backbone_of(cell) if same_backbones else cell.backbone_index, cell.seed, cell.fold, cell.test_hash

    partners = {key(cell): cell for cell in others}
    mine = sorted({key(cell): cell for cell in cells}.items(), key=lambda item: (item[1].backbone_index, *item[0][1:]))
    return [(cell, partners[place]) for place, cell in mine if place in partners]


def weigh(cells: Sequence[CellRecord], others: Sequence[CellRecord], asked: Question) -> Evidence:
    """The test of the cells of a side against those of the baseline, all of which have a finite value."""
    sides = backbones(cells), backbones(others)
    common = sides[0] & sides[1]
    pairs = paired(cells, others)
    if pairs and (len(common) > 1 or min(map(len, sides)) == 1):
        found = _of_pairs(pairs, asked)
    elif not common and _alike(alike := paired(cells, others, same_backbones=False), len(cells), len(others), asked):
        test = statistics.corrected_t([0.0] * len(alike), 0.0, asked.level)
        found = Evidence(test, pairs=tuple(alike))
    elif min(map(len, sides)) == 1:
        found = _one_backbone(cells, others, bool(common), asked)
    else:
        found = _of_sides(cells, others, asked)
    left = len(cells) + len(others) - 2 * len(found.pairs)
    if found.pairs and left:
        words = f"{len(found.pairs)} pairs of cells are compared; {left} cells have no partner on the same samples"
        found = replace(found, notes=(words, *found.notes))
    return found


def _alike(pairs: Sequence[Pair], n: int, m: int, asked: Question) -> bool:
    """Whether all cells have a partner with the same value, as after a replay."""
    name = asked.metric.name
    values = [[cell.metrics[name] for cell in side] for side in zip(*pairs, strict=True)]
    return len(pairs) == n == m and not statistics.differences(*values).any()


def _of_pairs(pairs: Sequence[Pair], asked: Question) -> Evidence:
    """Cells that are paired on the same backbones."""
    name, cells = asked.metric.name, [cell for cell, _ in pairs]
    found = statistics.differences([c.metrics[name] for c in cells], [b.metrics[name] for _, b in pairs]).tolist()
    tested = design(cells, found)
    if tested.one_training:
        words = "all cells train on the same samples: their differences are parts of one test, and say nothing about "
        why, test = "every cell trains on the same samples", _untested(len(tested.values), fmean(tested.values), asked)
        return Evidence(test, why=why, notes=(f"{words}another training",), pairs=tuple(pairs))
    n_backbones = len(backbones(cells))
    if n_backbones == 1 or separate(cells):
        evidence = _of_values(pairs, found, asked)
        return evidence if n_backbones == 1 else replace(evidence, unit="backbone", n_backbones=n_backbones)
    crossed = crossing(cells, found)
    if crossed.columns:
        return replace(_of_tables((crossed,), OVER_BACKBONES, asked), pairs=tuple(pairs))
    sides = [(side, [cell.metrics[name] for cell in side]) for side in zip(*pairs, strict=True)]
    return _nothing(sides, "no fold that all backbones have", (), asked)


def _of_values(pairs: Sequence[Pair], found: Sequence[float], asked: Question) -> Evidence:
    """A value for each set of test samples, or for each seed of one split."""
    tested = design([cell for cell, _ in pairs], found)
    values, ratio, possible = tested.values, tested.ratio, asked.metric.possible_differences
    test = statistics.corrected_t(values, ratio, asked.level, possible=possible)
    notes, needed = [], None
    one_backbone = len(backbones(cell for cell, _ in pairs)) == 1
    if len(values) < tested.cells:
        by = "seeds, and the mean over the cells of a seed" if tested.one_split else "splits: the mean over a split"
        notes.append(f"{tested.cells} cells test {len(values)} {by} is one value")
    else:
        folds = max(1, len(values) // tested.seeds)
        needed = repetition(
            asked.detect, test.sd, ratio, folds=folds, seeds=tested.seeds, level=asked.level, power=POWER
        )
        here = "on this backbone, " if one_backbone else ""
        notes.append(here + verdicts.needed_line(needed, asked.metric.name))
    if tested.one_split:
        notes.append("all cells share one split: seeds vary, the data do not; nothing is said about other images")
    if one_backbone:
        notes.append(_only(pairs[0][0]))
    notes += _starts(*([pair[i] for pair in pairs] for i in (0, 1)))
    limits = [words for words, so in (("backbone", one_backbone), ("split", tested.one_split)) if so]
    evidence = _evidence(test, ONE_SPLIT if tested.one_split else CORRECTED, asked)
    return replace(
        evidence,
        unit="seed" if tested.one_split else "fold",
        n_backbones=1,
        # cells that share training data are no values to be drawn independently
        bootstrap=statistics.bootstrap_mean(values, asked.level) if tested.one_split else statistics.NOTHING,
        needed=needed,
        remark=f"for this {' and this '.join(limits)} only" if limits else "",
        why="one seed of one split" if tested.one_split and tested.seeds == 1 else "",
        notes=(*notes, *evidence.notes),
        pairs=tuple(pairs),
    )


def _only(cell: CellRecord) -> str:
    which = f" (pretraining {short(cell.pretraining)})" if cell.pretraining else ""
    return (
        f"all cells start from one backbone{which}, and another may say otherwise: for a general verdict train "
        f"{LEAST} or more on both sides (--backbones {LEAST})"
    )


def _starts(*sides: Sequence[CellRecord]) -> tuple[str, ...]:
    if not any(map(same_start, sides)):
        return ()
    return (
        "each fold has a backbone of its own, all of a run from the same initial weights: how others would do is not "
        f"known (--backbones {LEAST})",
    )


def _of_sides(cells: Sequence[CellRecord], others: Sequence[CellRecord], asked: Question) -> Evidence:
    """Independent backbones, two or more on either side."""
    name, possible = asked.metric.name, asked.metric.possible_differences
    sides = [(side, [cell.metrics[name] for cell in side]) for side in (cells, others)]
    fewest = min(len(set(levels(side))) for side, _ in sides)
    if not (separate(cells) or separate(others)):
        one, two = (crossing(*side) for side in sides)
        if shared_columns := set(one.columns) & set(two.columns):
            return _of_tables((one.only(shared_columns), two.only(shared_columns)), BETWEEN_BACKBONES, asked)
    elif by_fold(cells) and by_fold(others):
        mine, theirs = (_by_samples(side, values) for side, values in sides)
        if len(shared := mine.keys() & theirs.keys()) > 1:
            found = statistics.differences(*([one[key] for key in sorted(shared)] for one in (mine, theirs)))
            test = statistics.corrected_t(found, design(*sides[0]).ratio, asked.level, possible=possible)
            return replace(_evidence(test, CORRECTED, asked), n_backbones=fewest, notes=_starts(cells, others))
    first, second = (mean_of(*side, asked.level) for side in sides)
    if first is None or second is None:
        return _nothing(sides, "no fold that all backbones of a side have", (), asked)
    words = (
        "the runs share no fold and test samples, so their cells are not paired: each side varies by itself, and what "
        "the runs have in common is not used; the same --seed gives both the same folds"
    )
    evidence = _evidence(statistics.independent(first, second, possible=possible), WELCH, asked)
    return replace(evidence, n_backbones=fewest, remark="unpaired", notes=(words, *evidence.notes))


def _by_samples(cells: Sequence[CellRecord], values: Sequence[float]) -> dict[str, float]:
    """The mean of each set of test samples."""
    groups: dict[str, list[float]] = defaultdict(list)
    for cell, value in zip(cells, values, strict=True):
        groups[cell.test_hash].append(value)
    return {samples: fmean(group) for samples, group in groups.items()}


def _of_tables(crossed: tuple[Crossing] | tuple[Crossing, Crossing], name: str, asked: Question) -> Evidence:
    """Differences on the same backbones, or two sides on the same folds: components, test, and what it takes."""
    tables, possible = [one.table() for one in crossed], asked.metric.possible_differences
    if len(tables) == 1:
        test, components = over_backbones(tables[0], asked.level, possible=possible)
    else:
        test, components = between_backbones(tables[0], tables[1], asked.level, possible=possible)
    _, seeds, folds = tables[0].values.shape
    ratio = sum(table.ratio for table in tables) / len(tables)
    layout = Layout(tuple(len(table.values) for table in tables), seeds, folds, ratio, tables[0].same_folds)
    evidence = _evidence(test, name, asked)
    needed = more_backbones(asked.detect, components, layout, level=asked.level, power=POWER)
    notes = [verdicts.needed_line(needed, asked.metric.name, "backbones and seeds")]
    if words := verdicts.components_line(components.shares(), layout):
        notes.append(words)
    if left := sum(one.left for one in crossed):
        notes.append(f"{counted(left, 'cell')} left out: each backbone must be tested on the same folds and seeds")
    one_split = tables[0].test_sets == 1
    if one_split:
        notes.append("all cells test the same samples: nothing is said about other images")
    return replace(
        evidence,
        components=components,
        needed=needed,
        power=needed.power_now,
        remark="on this one split" if one_split else "",
        n_backbones=min(layout.backbones),
        notes=(*notes, *evidence.notes),
    )


def _one_backbone(cells: Sequence[CellRecord], others: Sequence[CellRecord], common: bool, asked: Question) -> Evidence:
    """A side with a single backbone, of which no cell is paired with one on the same backbone."""
    name = asked.metric.name
    sides = [(side, [cell.metrics[name] for cell in side]) for side in (cells, others)]
    if not common or len(backbones([*cells, *others])) > 1:
        words = (
            "the sides start from different backbones, and a side has only one: what differs may be the backbones. "
            f"A verdict takes {LEAST} or more on both sides (--backbones {LEAST}), or the same backbones on both: the "
            "same data, backbone, pretraining and --seed"
        )
        return _nothing(sides, "one backbone against another", (words,), asked)
    mine, theirs = (design(*side) for side in sides)
    if any(one.one_split or one.one_training or one.cells == 1 for one in (mine, theirs)):
        words = (
            "the runs share no fold, seed and test samples, so their cells are not paired; a side that tests or trains "
            "on one set says nothing about other samples, however many seeds it has"
        )
        return _nothing(sides, "not paired, and one side tests a single split", (words,), asked)
    ratios, possible = (mine.ratio, theirs.ratio), asked.metric.possible_differences
    test = statistics.welch_t(mine.values, theirs.values, asked.level, ratios=ratios, possible=possible)
    words = (
        "the runs share no fold, seed and test samples, so their cells are not paired: the variance of either mean "
        "is corrected for the training data that its cells share, and what the runs have in common is not used"
    )
    evidence = _evidence(test, WELCH, asked)
    return replace(
        evidence,
        unit="fold",
        n_backbones=1,
        rope=None,
        remark="unpaired, for this backbone only",
        notes=(words, _only(cells[0]), *evidence.notes),
    )


def _evidence(test: TTest, name: str, asked: Question) -> Evidence:
    """What any test says: its power, the probabilities of worse, equal and better, and whether it is of much use."""
    rope = statistics.equivalence(test, asked.rope, possible=asked.metric.possible_differences)
    if asked.metric.lower_is_better:
        rope = replace(rope, worse=rope.better, better=rope.worse)
    notes = []
    if test.cut_off:
        what = "every difference that is possible" if test.cut_off == 2 else "all that is possible on one side"
        notes.append(
            f"the interval holds {what}: n = {test.n} is too few, or the spread too large, for it to mean much"
        )
    power = power_at(asked.detect, test.standard_error, test.df, asked.level)
    return Evidence(test, name, "backbone", power=power, rope=rope, notes=tuple(notes))


def _nothing(
    sides: Sequence[tuple[Sequence[CellRecord], Sequence[float]]], why: str, notes: tuple[str, ...], asked: Question
) -> Evidence:
    """A difference of two means, of which nothing can be said."""
    (cells, mine), (others, theirs) = sides
    fewest = min(len(backbones(cells)), len(backbones(others)))
    test = _untested(len(mine) + len(theirs), fmean(mine) - fmean(theirs), asked)
    return Evidence(test, n_backbones=fewest, why=why, notes=notes)


def _untested(n: int, mean: float, asked: Question) -> TTest:
    return TTest(n, mean, math.nan, math.nan, math.nan, math.nan, math.nan, statistics.NOTHING, asked.level)
