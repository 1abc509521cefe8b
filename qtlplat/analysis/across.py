"""Configurations compared across datasets, or across backbones or any other part of a plan: ranks, tests, a verdict.

Runs make a table: a column for each configuration (head, backbone and settings), a row for each block, which is a
dataset or whatever else they are compared across. A value is the mean over the cells of the runs there, several seeds
together. The blocks are what the tests count: cells of one block say nothing about another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import numpy as np

from qtlplat.analysis import statistics
from qtlplat.analysis.block_variance import block_variance
from qtlplat.analysis.blocks import Arranged, arranged, score
from qtlplat.analysis.rank_tests import (
    DatasetsNeeded,
    Ranks,
    SignedRank,
    bayesian_signed_rank,
    datasets_needed,
    ranked,
    signed_rank,
)
from qtlplat.analysis.statistics import Floats, Rope
from qtlplat.conventions import counted, mean_std, short, strict
from qtlplat.errors import UsageError, safe_repr
from qtlplat.metrics import Metric

if TYPE_CHECKING:
    from qtlplat.analysis.comparison import Asked
    from qtlplat.analysis.sides import Side

WILCOXON = "Wilcoxon signed rank"


@dataclass(frozen=True)
class Configuration:
    """What is compared: label, how it is called; runs: their ids, by the block."""

    label: str
    runs: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class AcrossRow:
    """A configuration compared with the baseline, over all blocks. Fields without a test are None for the baseline.

    values: by block; differences: from the baseline's, by block; better, worse: blocks where it is; mean, std: over
    the blocks; p_adjusted: Holm's; variance: of a difference, by source, see `block_variance`.
    """

    configuration: Configuration
    values: Mapping[str, float]
    rank: float
    differences: Mapping[str, float] | None = None
    test: SignedRank | None = None
    p_adjusted: float = math.nan
    rope: Rope | None = None
    needed: DatasetsNeeded | None = None
    variance: Mapping[str, float] | None = None
    verdict: str = "baseline"

    def form(self) -> dict[str, Any]:
        """The row as `compare --across --json` prints it."""
        mean, std = mean_std(list(self.values.values()))
        differences = None if self.differences is None else list(self.differences.values())
        form = {
            "label": self.configuration.label,
            "runs": [run for runs in self.configuration.runs.values() for run in runs],
            "mean": mean,
            "std": std,
            "n": len(self.values),
            "rank": self.rank,
            "difference": None if differences is None else fmean(differences),
            "better": None if differences is None else sum(d > 0 for d in differences),
            "worse": None if differences is None else sum(d < 0 for d in differences),
            "p": self.test and self.test.p,
            "p_adjusted": self.p_adjusted,
            "test": self.test and WILCOXON,
            "rope": self.rope and vars(self.rope),
            "needed": self.needed and vars(self.needed),
            "variance": self.variance and dict(self.variance),
            "verdict": self.verdict,
            "blocks": {
                block: {"mean": value, "difference": self.differences and self.differences[block]}
                for block, value in self.values.items()
            },
        }
        found: dict[str, Any] = strict(form)
        return found


@dataclass(frozen=True)
class Across:
    """The comparison: rows, the baseline first; blocks: their names; ranks: with three configurations or more."""

    fields: tuple[str, ...]
    blocks: tuple[str, ...]
    rows: tuple[AcrossRow, ...]
    ranks: Ranks
    lower_is_better: bool
    level: float
    notes: tuple[str, ...] = field(default=())

    def facts(self) -> dict[str, Any]:
        """What `compare --across --json` prints next to the rows."""
        several = len(self.rows) > 2
        names = [row.configuration.label for row in self.rows]

        def by(labels: Sequence[str], values: Floats) -> dict[str, dict[str, float]]:
            return {one: dict(zip(names, row, strict=True)) for one, row in zip(labels, values.tolist(), strict=True)}

        facts = {
            "across": list(self.fields),
            "blocks": list(self.blocks),
            "ranks": {
                b: dict(zip(names, r, strict=True)) for b, r in zip(self.blocks, self.ranks.ranks.tolist(), strict=True)
            },
            "friedman": {"chi2": self.ranks.chi2, "f": self.ranks.f, "p": self.ranks.p} if several else None,
            "nemenyi": {
                "critical_difference": self.ranks.critical_difference,
                "p": {
                    one: dict(zip(names, row, strict=True))
                    for one, row in zip(names, self.ranks.nemenyi.tolist(), strict=True)
                },
                "groups": [[names[i] for i in group] for group in self.ranks.groups],
            }
            if several
            else None,
            "notes": list(self.notes),
        }
        found: dict[str, Any] = strict(facts)
        return found


def compare_across(sides: Sequence[Side], fields: Sequence[str], asked: Asked) -> Across:
    """Compare the configurations of runs over blocks.

    Args:
        sides: the heads of the runs; the configuration of the first one is the baseline.
        fields: what makes a block: ``dataset``, ``backbone``, a part of the plan as ``training.epochs``, or several.
        asked: metric, level, ROPE and the difference to see.

    Raises:
        UsageError: Fewer than two blocks or configurations are complete, runs of a block were tested in other ways, or
            a field is unknown.
    """
    metric = asked.metric_of(sides)
    scored = [side for side in sides if score(side, metric.name) is not None]
    notes = [
        f"run {short(side.run.id)} is left out: it has no finished cells with a finite {metric.name}"
        for side in sides
        if side not in scored
    ]
    if not scored or scored[0] is not sides[0]:
        what = f"the baseline, run {short(sides[0].run.id)}, has no finished cells with a finite {metric.name}"
        raise UsageError(what, fix="choose another --baseline or --metric")
    what = " and ".join(fields)
    table, labels, names = arranged(scored, fields)
    whole = [block for block in names if all(block in row for row in table.values())]
    missing = [f"{labels[key]} on {block}" for key, row in table.items() for block in names if block not in row]
    _refuse_too_few(labels, names, whole, missing, what)
    if missing:
        left = counted(len(names) - len(whole), what)
        notes.append(f"{left} of {len(names)} left out, for runs are missing: {', '.join(missing)}")
    values = np.array(
        [[fmean(score(side, metric.name) or 0.0 for side in row[block]) for row in table.values()] for block in whole]
    )
    ranks = ranked(values, lower_is_better=metric.lower_is_better, level=asked.level)
    rows = _rows(table, labels, whole, values, ranks, asked, metric, what)
    if "dataset" not in fields:
        notes.append(
            "all were tested on the same data: what is found holds for these data, and the tests take the "
            f"values of a {what} as independent, which a common test sample makes them not"
        )
    return Across(tuple(fields), tuple(whole), tuple(rows), ranks, metric.lower_is_better, asked.level, tuple(notes))


def _rows(
    table: Arranged, labels: Mapping[str, str], blocks: Sequence[str], values: Floats, ranks: Ranks, asked: Asked,
    metric: Metric, what: str,
) -> list[AcrossRow]:  # fmt: skip
    first = next(iter(table.values()))
    sign = -1 if metric.lower_is_better else 1
    differences = np.round(values - values[:, :1], 12)
    tests = [signed_rank(sign * differences[:, i]) for i in range(1, len(table))]
    adjusted = statistics.holm([test.p for test in tests])
    rows = []
    for i, (key, row) in enumerate(table.items()):
        runs = {block: tuple(side.run.id for side in row[block]) for block in blocks}
        own = dict(zip(blocks, values[:, i].tolist(), strict=True))
        base = AcrossRow(Configuration(labels[key], runs), own, float(ranks.means[i]))
        if i == 0:
            rows.append(base)
            continue
        found, test, p = differences[:, i], tests[i - 1], adjusted[i - 1]
        compared = replace(
            base,
            differences=dict(zip(blocks, found.tolist(), strict=True)),
            test=test,
            p_adjusted=p,
            rope=bayesian_signed_rank(sign * found, asked.rope),
            needed=datasets_needed(asked.detect, float(found.std(ddof=1)), len(blocks), asked.level, tests=len(tests)),
            variance=block_variance([(row[b], first[b]) for b in blocks], metric, found.tolist()),
        )
        rows.append(replace(compared, verdict=_verdict(compared, asked, what, len(tests))))
    return rows


def _verdict(row: AcrossRow, asked: Asked, what: str, family: int) -> str:
    """One sentence on a configuration that was compared; family: how many were."""
    test, rope, differences = row.test, row.rope, row.differences
    assert test is not None
    assert rope is not None
    assert differences is not None
    blocks = counted(test.n, what)
    holm = f" after Holm over {family} tests" if family > 1 else ""
    shown = f"median difference {median(differences.values()):+.4f}, p = {row.p_adjusted:.3g}{holm}"
    if row.p_adjusted < 1 - asked.level:
        return f"{'better' if test.better > test.worse else 'worse'} across {blocks}: {shown}"
    if rope.equal >= asked.level:
        return f"practically equal across {blocks}: within ±{asked.rope:g} with probability {rope.equal:.2f}; {shown}"
    if family * test.least_p >= 1 - asked.level:
        return f"no verdict from {blocks}: {shown}; so few cannot have a p below {1 - asked.level:.2g}"
    return f"no evidence of a difference across {blocks}: {shown}"


def _refuse_too_few(
    labels: Mapping[str, str], blocks: Sequence[str], whole: Sequence[str], missing: Sequence[str], what: str
) -> None:
    if len(labels) < 2:
        raise UsageError(
            f"all runs are of one configuration, {safe_repr(next(iter(labels.values())))}: there is nothing to compare",
            fix="name runs of two heads or more",
        )
    if len(blocks) < 2:
        raise UsageError(
            f"all runs have the same {what}, {safe_repr(blocks[0])}: a difference there may be absent or reversed "
            "elsewhere, so nothing can be said in general",
            where="--across",
            fix=f"train the same configurations with another {what}; without --across, compare speaks of this one",
        )
    if len(whole) < 2:
        raise UsageError(
            f"fewer than two of {len(blocks)} have runs of every configuration; missing: {', '.join(missing)}",
            where=f"--across {what}",
            fix="train the missing runs, or leave out a configuration",
        )
