"""An honest score of the best of several candidates: bootstrap bias corrected cross-validation (BBC-CV).

The best of many candidates was picked on the folds that score it, so its mean is too good, the more so the more
candidates there were. Tsamardinos, Greasidou & Borboudakis, "Bootstrapping the out-of-sample predictions for
efficient and accurate cross-validation", Machine Learning 107 (2018), algorithm 2: draw test samples with replacement,
pick the best candidate by its predictions for the drawn samples, score it on the samples that were not drawn, and
average. Nothing is trained again. Groups of samples (those of one source image) are drawn together, for they are not
independent; all predictions for a sample (of several seeds or backbones) belong to it.

Only the choice between the candidates is corrected. Whatever a candidate chose within its training parts (`--tune`,
the epoch of a backbone on a validation part) has not seen the test samples, and needs no correction. Leakage of test
samples into a backbone is not corrected either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qtlplat.analysis.resampled_scores import Floats, Labels, Score, scorer
from qtlplat.conventions import counted, short
from qtlplat.errors import UsageError
from qtlplat.metrics import SHIPPED, Metric

if TYPE_CHECKING:
    from qtlplat.store.read.out_of_fold import OutOfFold

RESAMPLES = 1000
RESAMPLES_ONE_BY_ONE = 200  # of a metric that is computed for one after another
LEAST_GROUPS = 10  # of fewer, what was not drawn is often nothing, or one class
AT_ONCE = 4_000_000  # weights in memory, 8 bytes each


@dataclass(frozen=True)
class HonestScore:
    """What to expect of the best of several candidates on new samples of this kind.

    estimate: the mean over the resamples; interval: their percentiles; pooled: the score of each candidate over all of
    its predictions, as it is computed for a resample; candidates, samples, groups: how many there are; resamples: how
    many counted, fewer than were drawn if some left nothing to score.
    """

    estimate: float
    interval: tuple[float, float]
    pooled: tuple[float, ...]
    candidates: int
    samples: int
    groups: int
    resamples: int
    method: str = "BBC-CV"


class Candidates:
    """Candidates that were tested on the same samples, with their scores on the same resamples.

    Args:
        tested: the predictions of each; of equally good ones the first is picked.
        metric: with its direction.
        score: computes a metric that is not shipped, of the samples of a cell.
        resamples: how many to draw.
        seed: of the draw.

    Raises:
        UsageError: The candidates were not tested on the same samples of the same data, or on too few groups.
    """

    def __init__(
        self,
        tested: Sequence[OutOfFold],
        metric: Metric,
        score: Score | None = None,
        *,
        resamples: int | None = None,
        seed: int = 0,
    ) -> None:
        if metric.name not in SHIPPED and score is None:
            raise UsageError(f"metric {metric.name} cannot be computed from predictions", fix="pass a score for it")
        self._sign = -1.0 if metric.lower_is_better else 1.0
        samples, self.groups, members = _same_samples(tested)
        self.samples = len(samples)
        drawn = resamples or (RESAMPLES if score is None else RESAMPLES_ONE_BY_ONE)
        scorers = [scorer(metric.name, one, groups, score) for one, groups in zip(tested, members, strict=True)]
        whole = np.ones((1, self.groups))
        self.pooled: Floats = np.array([score_of(whole)[0] for score_of in scorers])
        self._inside, self._outside = np.empty((2, len(tested), drawn))
        random = np.random.default_rng(seed)
        step = max(1, AT_ONCE // self.groups)
        for start in range(0, drawn, step):
            size = min(step, drawn - start)
            weights = random.multinomial(self.groups, np.full(self.groups, 1 / self.groups), size).astype(np.float64)
            left = (weights == 0).astype(np.float64)
            for number, score_of in enumerate(scorers):
                self._inside[number, start : start + size] = score_of(weights)
                self._outside[number, start : start + size] = score_of(left)

    def honest(self, among: Sequence[int] | None = None, level: float = 0.95) -> HonestScore:
        """The honest score of the best of some candidates, by their numbers; None: of all.

        Raises UsageError if no resample has a score inside and outside.
        """
        chosen = np.arange(len(self.pooled)) if among is None else np.asarray(among)
        inside = self._sign * self._inside[chosen]
        picked = np.where(np.isnan(inside), -np.inf, inside).argmax(axis=0)
        columns = np.arange(inside.shape[1])
        scores = self._outside[chosen][picked, columns]
        scores = scores[np.isfinite(scores) & np.isfinite(inside[picked, columns])]
        if not len(scores):
            raise UsageError(
                "the metric is not defined for what was drawn", fix="choose another --metric, or test more samples"
            )
        low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
        pooled = tuple(self.pooled[chosen].tolist())
        return HonestScore(
            float(scores.mean()), (float(low), float(high)), pooled, len(chosen), self.samples, self.groups, len(scores)
        )


def _same_samples(tested: Sequence[OutOfFold]) -> tuple[dict[str, int], int, list[Labels]]:
    """The samples by number, how many groups there are, and the group of each prediction of each candidate."""
    first = tested[0]
    for one in tested:
        if not len(one.labels):
            raise UsageError(
                f"run {short(one.run)} has no stored predictions",
                fix=f"train it again: qtlplat replay {short(one.run)}; or leave it out with --where",
            )
        if one.digest != first.digest:
            raise UsageError(
                f"the runs were tested on other data: {short(first.run)} on {short(first.digest)}, {short(one.run)} on "
                f"{short(one.digest)}",
                fix=f"choose runs of one dataset: --where \"dataset_digest = '{first.digest}'\"",
            )
        if one.probabilities.shape[1] != first.probabilities.shape[1]:
            raise UsageError(
                f"runs {short(first.run)} and {short(one.run)} have other numbers of classes", fix="leave one out"
            )
    samples = {name: number for number, name in enumerate(dict.fromkeys(first.samples))}
    sources = dict(zip(first.samples, zip(first.sources, first.labels.tolist(), strict=True), strict=True))
    names = {name: number for number, name in enumerate(sorted(set(first.sources)))}  # whichever comes first
    members = []
    for one in tested:
        mine = set(one.samples)
        if mine != samples.keys():
            common = len(mine & samples.keys())
            raise UsageError(
                f"the runs were tested on different samples: {short(first.run)} on {len(samples)}, {short(one.run)} on "
                f"{len(mine)}, {common} of them the same",
                fix='choose runs of one evaluator that tests every sample, as kfold does: --where "evaluator = '
                "'kfold6'\"",
            )
        facts = zip(one.samples, one.sources, one.labels.tolist(), strict=True)
        if any(sources[sample] != (source, label) for sample, source, label in facts):
            raise UsageError(
                f"runs {short(first.run)} and {short(one.run)} store other labels or sources for the same samples",
                fix="leave one out with --where; qtlplat store check looks for damage",
            )
        members.append(np.array([names[source] for source in one.sources], dtype=np.int64))
    if len(names) < LEAST_GROUPS:
        raise UsageError(
            f"the test samples come from {counted(len(names), 'source image')}, too few to draw from "
            f"(at least {LEAST_GROUPS})",
            fix="test on more images",
        )
    return samples, len(names), members
