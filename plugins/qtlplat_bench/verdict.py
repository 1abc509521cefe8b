"""How often comparisons are wrong: same-plan runs that are found different, planted differences that are not found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from qtlplat.analysis.comparison import Asked, compare
from qtlplat.analysis.components import SOURCES, Components, Table, between_backbones, over_backbones
from qtlplat.analysis.designs import crossing
from qtlplat.analysis.evidence import paired
from qtlplat.analysis.sides import Side
from qtlplat.analysis.statistics import Floats, TTest

LEVEL = 0.95
FAMILIES = 200  # simulated sets of runs, for how much their pairs depend on each other
SAME_BACKBONES, OTHER_BACKBONES = "same backbones", "other backbones"
DESIGNS = (SAME_BACKBONES, OTHER_BACKBONES)


@dataclass(frozen=True)
class Measured:
    """What runs vary by, in one cell. values: of a score; differences: of two heads on the same backbone."""

    values: Components
    differences: Components
    folds: int
    ratio: float


def rate(rejected: int, pairs: int, effective: float | None = None, **further: Any) -> dict[str, Any]:
    """The share of pairs that are found different, with its Clopper-Pearson interval.

    effective: the number of independent pairs that tell as much, if the pairs depend on each other.
    """
    share, n = rejected / pairs, pairs if effective is None else effective
    low, high = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    least = float(stats.beta.ppf(low, share * n, n - share * n + 1)) if rejected else 0.0
    most = float(stats.beta.ppf(high, share * n + 1, n - share * n)) if rejected < pairs else 1.0
    return {"pairs": pairs, "rejected": rejected, "rate": share, "interval": [least, most], **further}


def real_pairs(sides: Sequence[Side], metric: str, tell: Callable[[str], None]) -> tuple[int, int, int]:
    """All pairs of same-plan runs, as `compare` judges them: how many, found different, without a verdict."""
    tests = []
    pairs = list(combinations(sides, 2))
    for number, (baseline, other) in enumerate(pairs, 1):
        tests.append(compare(baseline, [other], Asked(metric, LEVEL))[1].test)
        if number % 100 == 0:
            tell(f"{number} of {len(pairs)} pairs are compared")
    p_values = [math.nan if test is None else test.p for test in tests]
    return len(pairs), sum(p < 1 - LEVEL for p in p_values), sum(map(math.isnan, p_values))


def measured(heads: Sequence[Side], others: Sequence[Side], metric: str) -> Measured:
    """Mean components of variance over runs: of the scores of a head, and of its differences from another head."""
    values, differences, tables = [], [], []
    for side, other in zip(heads, others, strict=True):
        tables.append(crossing(side.cells, [cell.metrics[metric] for cell in side.cells]).table())
        values.append(over_backbones(tables[-1])[1])
        pairs = paired(side.cells, other.cells)
        found = [second.metrics[metric] - first.metrics[metric] for first, second in pairs]
        differences.append(over_backbones(crossing([cell for cell, _ in pairs], found).table())[1])
    return Measured(_mean(values), _mean(differences), tables[0].test_sets, tables[0].ratio)


def _mean(found: Sequence[Components]) -> Components:
    mean = {name: float(np.mean([one.form()[name] for one in found])) for name in SOURCES}
    between = ((mean["backbone"], mean["rest"]),)
    return Components(mean["backbone"], math.nan, mean["fold"], mean["rest"], between)


class Simulation:
    """Tables of normal values with the components of real runs, and the tests of their differences."""

    def __init__(self, of: Measured, seed: int = 0) -> None:
        self.of, self.random = of, np.random.default_rng(seed)

    def own(self, components: Components, backbones: int, seeds: int = 1) -> Floats:
        """What backbones and the rest contribute; (B, S, F)."""
        deviations = self.random.standard_normal((backbones, 1, 1)) * math.sqrt(components.backbone)
        rest = self.random.standard_normal((backbones, seeds, self.of.folds)) * math.sqrt(components.rest)
        return deviations + rest

    def folds(self, seeds: int = 1) -> Floats:
        """By how much two heads differ on each fold; correlated as Nadeau & Bengio's correction supposes."""
        rho = self.of.ratio / (1 + self.of.ratio)
        common, own = self.random.standard_normal(), self.random.standard_normal((1, seeds, self.of.folds))
        effects: Floats = math.sqrt(self.of.differences.fold) * (math.sqrt(rho) * common + math.sqrt(1 - rho) * own)
        return effects

    def tests(self, design: str, backbones: int, seeds: int, difference: float, pairs: int) -> Iterator[TTest]:
        """Tests of pairs of sides that differ by `difference` on the average."""
        for _ in range(pairs):
            folds = self.folds(seeds) + difference
            if design == SAME_BACKBONES:
                yield over_backbones(self.table(folds + self.own(self.of.differences, backbones, seeds)), LEVEL)[0]
            else:
                one, two = (self.own(self.of.values, backbones, seeds) for _ in range(2))
                yield between_backbones(self.table(one + folds), self.table(two), LEVEL)[0]

    def table(self, values: Floats) -> Table:
        """With the ratio of the real runs."""
        return Table(values, self.of.ratio)

    def family(self, runs: int, backbones: int) -> float:
        """The share of all pairs of same-plan runs that are found different, in a set of runs."""
        tables = [self.table(self.own(self.of.values, backbones)) for _ in range(runs)]
        found = [between_backbones(one, two, LEVEL)[0].p < 1 - LEVEL for one, two in combinations(tables, 2)]
        return float(np.mean(found))


def rejected(tests: Iterator[TTest]) -> int:
    """How many find a difference."""
    return sum(test.p < 1 - LEVEL for test in tests)


def independent_pairs(simulation: Simulation, runs: int, backbones: int) -> float:
    """How many independent pairs tell as much as all pairs of so many runs, from simulated sets of runs."""
    shares = [simulation.family(runs, backbones) for _ in range(FAMILIES)]
    mean, variance = float(np.mean(shares)), float(np.var(shares, ddof=1))
    pairs = runs * (runs - 1) / 2
    return min(pairs, mean * (1 - mean) / variance) if variance > 0 else pairs


def simulated(
    simulation: Simulation,
    differences: Sequence[float],
    backbones: Sequence[int],
    pairs: int,
    tell: Callable[[str], None],
) -> list[dict[str, Any]]:
    """A row for each design, number of backbones, and difference; the first of these should be 0."""
    rows = []
    for design in DESIGNS:
        for number in backbones:
            tell(f"{pairs} simulated pairs each of {design}, {number} on either side")
            for difference in differences:
                found = rejected(simulation.tests(design, number, 1, difference, pairs))
                of = {"difference": difference, "backbones": number, "seeds": 1, "design": design}
                rows.append(of | rate(found, pairs))
    return rows
