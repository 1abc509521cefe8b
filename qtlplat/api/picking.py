"""Honest scores of picked runs: the best of several candidates, corrected for having been picked on its own folds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qtlplat.errors import PluginError, UsageError, safe_repr
from qtlplat.metrics import SHIPPED, Metric
from qtlplat.store.read.conditions import Condition, mixture
from qtlplat.store.read.filters.names import unquoted
from qtlplat.store.read.out_of_fold import OutOfFold, out_of_fold, planned_predictions
from qtlplat.store.read.queries import Reader

if TYPE_CHECKING:
    from qtlplat.analysis.best import Best
    from qtlplat.analysis.picked import HonestScore
    from qtlplat.analysis.resampled_scores import Floats, Labels
    from qtlplat.catalog.catalog import Catalog
    from qtlplat.specs import EvaluatorSpec
    from qtlplat.store.core.records import RunRecord

# read without having been asked to: about half a second
MOST_CANDIDATES = 200
MOST_PREDICTIONS = 60_000
ONE_RUN = "one run: nothing was picked"


@dataclass(frozen=True)
class Picked:
    """A run that was picked as the best of `candidates` runs, and what to expect of it on new samples.

    picked: its mean on the folds that it was picked on; honest: None if it is not known, for the reason `why`; method:
    how `honest` was found; pooled: the run's score as the method computes it, over all predictions; interval: of
    `honest`, 95 %; samples, groups: that were tested, and the source images that they come from.
    """

    run: str
    picked: float
    candidates: int
    honest: float | None = None
    method: str | None = None
    interval: tuple[float, float] | None = None
    pooled: float | None = None
    samples: int | None = None
    groups: int | None = None
    why: str = ""

    def form(self) -> dict[str, Any]:
        """For programs, but for `run` and `candidates`."""
        return {
            "picked": self.picked,
            "honest": self.honest,
            "method": self.method,
            "interval": None if self.interval is None else list(self.interval),
            "pooled": self.pooled,
            "why": self.why or None,
        }


@dataclass(frozen=True)
class Choice:
    """The honest scores of a ranking: of each group's best run, in its order, and of the best of all; None: no run."""

    groups: tuple[Picked, ...] = ()
    overall: Picked | None = None


def honest_choice(
    reader: Reader,
    found: Sequence[Best],
    metric: str,
    *,
    tested: Mapping[str, Condition],
    lower_is_better: bool,
    everything: bool | None = None,
    catalog: Callable[[], Catalog] | None = None,
) -> Choice:
    """Honest scores of the best runs of groups, and of the best of them all.

    Args:
        reader: of the store.
        found: the best run of each group with its candidates, the best group first.
        metric: the metric or field that they were ranked by.
        tested: how the candidates were tested, by their conditions as text.
        lower_is_better: its direction.
        everything: read the predictions of all candidates; None: `MOST_PREDICTIONS` of `MOST_CANDIDATES` at most, the
            best groups first; False: of none.
        catalog: opens the components, to compute metrics that an evaluator of a plugin declares; None: such metrics
            have no honest score.
    """
    if not found:
        return Choice()
    picking = _Picking(reader, metric, tested, lower_is_better, catalog)
    alike = [best for best in found if len(best.conditions) == 1]  # others have no honest score anyway
    if everything is None:
        alike = [best for best in alike if best.runs <= MOST_CANDIDATES]
    affordable = _affordable(reader, [best.candidates for best in alike], everything)
    order = {run: place for place, run in enumerate(reader.newest_first(affordable))}
    read = [best.run in affordable for best in found]  # then all of its group are
    groups = tuple(
        picking.picked(best, sorted(best.candidates, key=order.__getitem__) if one else None)
        for best, one in zip(found, read, strict=True)
    )
    if len(found) == 1:
        return Choice(groups, groups[0])
    conditions = frozenset(condition for best in found for condition in best.conditions)
    overall = replace(found[0], runs=sum(best.runs for best in found), conditions=conditions)
    every = [run for best in found for run in sorted(best.candidates, key=order.__getitem__)] if all(read) else None
    return Choice(groups, picking.picked(overall, every))


def _affordable(reader: Reader, groups: Sequence[Sequence[str]], everything: bool | None) -> set[str]:
    """The runs whose predictions are read: those of whole groups with several runs first, then all others, or none."""
    if everything is not None:
        return {run for group in groups for run in group} if everything else set()
    several, single = ([group for group in groups if (len(group) > 1) == many] for many in (True, False))
    parts = [*several, [group[0] for group in single]]
    planned = planned_predictions(reader, [run for part in parts for run in part]) if parts else {}
    chosen: set[str] = set()
    left = MOST_PREDICTIONS
    for part in parts:
        size = sum(planned.get(run, 0) for run in part)
        if len(chosen) + len(part) <= MOST_CANDIDATES and size <= left:
            chosen.update(part)
            left -= size
    return chosen


class _Picking:
    """Computes honest scores; the predictions of a run are read once."""

    def __init__(
        self,
        reader: Reader,
        metric: str,
        tested: Mapping[str, Condition],
        lower_is_better: bool,
        catalog: Callable[[], Catalog] | None,
    ) -> None:
        self._reader, self._tested, self._catalog = reader, tested, catalog
        self._metric = Metric(unquoted(metric), not lower_is_better)
        self._read: dict[str, OutOfFold] = {}

    def picked(self, best: Best, ids: Sequence[str] | None) -> Picked:
        """The best of some candidates. ids: of them, newest first; None if their predictions may not be read."""
        result = Picked(best.run, best.value, best.runs)
        if best.runs == 1:
            return replace(result, honest=best.value, method=ONE_RUN)
        if words := mixture({self._tested[condition] for condition in best.conditions}):
            return replace(result, why=f"the runs use {words}, whose scores are not comparable; --where selects runs")
        if ids is None:
            return replace(result, why=f"the predictions of {best.runs} runs were not read; --honest reads them")
        try:
            found = self._scored(best.run, ids)
        except (UsageError, PluginError) as error:
            return replace(result, why=f"{error.what}; {error.fix}" if error.fix else error.what)
        return replace(
            result, honest=found.estimate, method=found.method, interval=found.interval,
            pooled=found.pooled[ids.index(best.run)], samples=found.samples, groups=found.groups,
        )  # fmt: skip

    def _scored(self, run: str, ids: Sequence[str]) -> HonestScore:
        from qtlplat.analysis.picked import Candidates

        record = self._reader.run(run)
        name = self._metric.name
        if name not in SHIPPED and name not in record.metrics:
            raise UsageError(f"{safe_repr(name)} is not computed from predictions", fix="choose a metric of the cells")
        for one in ids:
            if one not in self._read:
                self._read[one] = out_of_fold(self._reader, one)
        tested = [self._read[one] for one in ids]
        if name in SHIPPED:
            return Candidates(tested, self._metric).honest()
        return self._with_plugin(record, tested)

    def _with_plugin(self, record: RunRecord, tested: Sequence[OutOfFold]) -> HonestScore:
        """The same by a metric of the run's evaluator."""
        from qtlplat.analysis.picked import Candidates
        from qtlplat.catalog.plugin_calls import guarded

        row, name = record.components["evaluator"], self._metric.name
        if self._catalog is None:
            raise UsageError(f"{safe_repr(name)} is computed by a plugin", fix="ask the command: qtlplat best")
        spec: EvaluatorSpec = self._catalog().component("evaluator", f"{row.provider}:{row.component}").spec
        compute = spec.metrics
        if compute is None:
            what = f"evaluator {row.component} of {row.provider} no longer has {safe_repr(name)}"
            raise UsageError(what, fix=f"install the version that the run was made with: {safe_repr(row.version)}")

        def score(labels: Labels, probabilities: Floats) -> float:
            try:
                return float(compute(labels, probabilities)[name])
            except (ArithmeticError, LookupError, TypeError, ValueError):  # as where a class was not drawn
                return math.nan

        work = partial(Candidates, tested, self._metric, score)
        return guarded(work, row.provider, f"computing {safe_repr(name)}").honest()
