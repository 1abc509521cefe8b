"""Pretraining a backbone: several initialisations on one split, the best epoch of the best one kept.

No storage here: a generator yields epochs, and every initialisation with its weights and predictions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qtlplat.backbones.stratified import stratified_split
from qtlplat.backbones.trainer import BackboneTrainer, Network
from qtlplat.catalog.plan import PretrainingOptions
from qtlplat.contracts import Backbone, Cell, ImageSet, Split
from qtlplat.errors import ConfigError
from qtlplat.progress import Progress
from qtlplat.seeding import derive_seed, isolated_rng
from qtlplat.state.epochs import CellEpoch, CellKey, TrainedEpoch
from qtlplat.state.snapshots import (
    Snapshot,
    below,
    count,
    fitting,
    require,
    require_like,
    require_probabilities,
    require_same,
    seconds,
)


@dataclass(frozen=True)
class Initialisation:
    """One trained initialisation, as it was in its best epoch.

    position: from 0; seed: of its weights and batches; score: what it was chosen by, larger is better;
    probabilities: float64 (n_test, K) on the split's test part.
    """

    position: int
    seed: int
    best_epoch: int
    score: float
    state: dict[str, Tensor]
    probabilities: npt.NDArray[np.float64]
    seconds: float


def make_split(
    labels: npt.NDArray[np.int64],
    groups: Sequence[str],
    options: PretrainingOptions,
    seed: int,
    within: npt.NDArray[np.int64] | None = None,
) -> Split:
    """A stratified split by `test_size` and `val_size`, the same for every initialisation.

    labels: int64 (N,); groups: N names, kept whole where `options.grouped`; within: the indices to split, all if None.
    Raises ConfigError if a class has too few samples to be split.
    """
    names = np.asarray(groups)

    def halved(indices: npt.NDArray[np.int64], share: float, state: int) -> list[npt.NDArray[np.int64]]:
        if not options.grouped:
            return [indices[half] for half in stratified_split(labels[indices], share, state)]
        from sklearn.model_selection import StratifiedGroupKFold

        # One of as many folds as come nearest to the share: whole groups cannot be cut to measure.
        folds = StratifiedGroupKFold(max(2, round(1 / share)), shuffle=True, random_state=state)
        train, kept = next(folds.split(indices[:, None], labels[indices], names[indices]))
        return [indices[train], indices[kept]]

    def part(indices: npt.NDArray[np.int64], share: float, purpose: str) -> list[npt.NDArray[np.int64]]:
        state = derive_seed("split", purpose, seed) % 2**32
        try:
            halves = halved(indices, share, state)
        except ValueError as error:
            raise ConfigError(
                f"cannot keep {share:.0%} of {len(indices)} samples for {purpose}: {error}",
                where=f"pretraining.{purpose.removesuffix('idation')}_size",
                fix="use more samples or a larger share",
            ) from error
        return [np.sort(half) for half in halves]

    everything = np.arange(len(labels), dtype=np.int64) if within is None else within
    train, test = part(everything, options.test_size, "test")
    if not options.val_size:
        return Split(train, np.zeros(0, dtype=np.int64), test)
    train, validation = part(train, options.val_size, "validation")
    return Split(train, validation, test)


def pretraining_cells(split: Split, options: PretrainingOptions, seed: int) -> list[Cell]:
    """One cell per initialisation, on the same samples; validation samples belong to the training part."""
    return [Cell(0, seed + i, split.seen, split.test) for i in range(options.n_init)]


class BackboneTraining:
    """Trains every initialisation with Adam on the cross-entropy, and keeps the one with the best score.

    The score is minus the validation loss, or (``monitor = "test"``, optimistic) the test accuracy, of the best
    epoch; with ``monitor = "last"`` minus the training loss of the last one. Standardization uses the pixels of
    ``split.train`` only. With ``options.ema_epochs`` the exponential average of the weights is evaluated and kept. Ties
    keep the earlier epoch and initialisation.

    accelerator: the torch device that computes: initial weights and the order of batches do not depend on it, and what
    is kept lies on the CPU.
    """

    def __init__(
        self,
        build: Callable[[], Backbone],
        images: ImageSet,
        split: Split,
        options: PretrainingOptions,
        seed: int,
        *,
        progress: Progress,
        accelerator: str = "cpu",
    ) -> None:
        self._build, self._split, self._options, self._seed = build, split, options, seed
        self._pixels = torch.tensor(images.images).to(accelerator)
        self._labels = torch.tensor(images.labels).to(accelerator)
        self._classes, self._progress = len(images.class_names), progress
        self._search = _Search()
        self._network: Network | None = None

    @property
    def best(self) -> Initialisation:
        """The initialisation with the best score, of those that have ended."""
        assert self._search.kept is not None
        return self._search.kept

    def run(self) -> Generator[TrainedEpoch | Initialisation | None]:
        """Train to the end; yields None after each step, where stopping does no harm, and what has ended.

        That is each epoch, and each initialisation after its last one. A caller that stops must close the generator:
        inside, random numbers are those of the training. Raises TrainingError at the first loss that is not finite.
        """
        with isolated_rng():
            while self._search.position < self._options.n_init:
                network = self._network or self._fresh(self._search.position)
                one = yield from self._train(network, self._search)
                yield one
                kept = self._search.kept
                best = one if kept is None or one.score > kept.score else kept
                self._search, self._network = _Search(self._search.position + 1, kept=best), None

    def restore(self, start: Snapshot) -> None:
        """Let `run` resume from a snapshot of this training; raises UnfitError, and changes nothing, for others."""
        with fitting():
            search = _Search.restored(start, self._options)
        with isolated_rng():
            network = self._fresh(search.position)
            with fitting():
                search.check(start, network, self._classes)
        self._search, self._network = search, network

    def _fresh(self, position: int) -> Network:
        return Network(self._build, self._pixels, self._labels, self._split, self._options, self._seed + position)

    def _train(self, network: Network, search: _Search) -> Generator[TrainedEpoch | None, None, Initialisation]:
        """Train the initialisation that a search has come to, to its end."""
        options, learner, title = self._options, network.learner, "pretraining"
        if options.n_init > 1:
            title += f" {search.position + 1}/{options.n_init}"
        with self._progress.stage(title, (options.epochs - search.epoch) * network.steps) as stage:
            while search.epoch < options.epochs:
                if options.patience and search.epoch - search.clear_epoch >= options.patience:
                    left = (options.epochs - search.epoch) * network.steps
                    stage.advance(left, f"stopped after epoch {search.epoch}, best was {search.best_epoch}")
                    break
                started = time.perf_counter()
                values = yield from network.epoch(search.epoch + 1, stage)
                seconds = time.perf_counter() - started
                search.seconds += seconds
                score = values["test_accuracy"] if options.monitor == "test" else -values[_LOSSES[options.monitor]]
                search.see(search.epoch + 1, score, options, network)
                row = CellEpoch(CellKey(0, search.position), search.epoch, seconds, values)
                yield TrainedEpoch([row], lambda: search.saved(learner))
                stage.advance(0, f"epoch {search.epoch}, loss {values['train_loss']:.3f}")
        learner.judged.load_state_dict(search.best_state)
        probabilities = network.logits(self._split.test).double().softmax(1).numpy()
        return Initialisation(
            search.position,
            network.seed,
            search.best_epoch,
            search.best_score,
            search.best_state,
            probabilities,
            search.seconds,
        )


@dataclass
class _Search:
    """Where the search for the best epoch is.

    position: of the initialisation in training; epoch: trained of it; best_*: its best epoch so far; clear_*: the last
    one that was clearly better than all before; seconds: spent on it; kept: the best initialisation that has ended.
    """

    position: int = 0
    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf
    best_state: dict[str, Tensor] = field(default_factory=dict)
    clear_epoch: int = 0
    clear_score: float = -math.inf
    seconds: float = 0.0
    kept: Initialisation | None = None

    def see(self, epoch: int, score: float, options: PretrainingOptions, network: Network) -> None:
        """An epoch has ended with a score, larger is better."""
        self.epoch = epoch
        if score > self.clear_score + options.min_delta:
            self.clear_epoch, self.clear_score = epoch, score
        if score > self.best_score or options.monitor == "last":
            self.best_epoch, self.best_score = epoch, score
            self.best_state = network.weights()

    def saved(self, learner: BackboneTrainer) -> Snapshot:
        """All of it, and the network in training."""
        facts: dict[str, Any] = {name: getattr(self, name) for name in _COUNTS}
        # as text: a score may be infinite
        facts |= {name: getattr(self, name).hex() for name in _SCORES}
        tensors = {**learner.save(), **below("best", self.best_state)}
        if self.kept:
            one = self.kept
            facts["kept"] = [one.position, one.seed, one.best_epoch, one.score.hex(), one.seconds]
            tensors |= below("kept", one.state)
            tensors["probabilities"] = torch.from_numpy(one.probabilities.copy())
        return Snapshot(tensors, facts)

    @classmethod
    def restored(cls, saved: Snapshot, options: PretrainingOptions) -> _Search:
        """What `saved` gave. Raises whatever comes of facts that it could not have given."""
        facts = saved.facts
        epoch = count(facts, "epoch", 1, options.epochs)
        counts: dict[str, Any] = {name: count(facts, name, 1, epoch) for name in ("best_epoch", "clear_epoch")}
        counts["position"] = count(facts, "position", 0, options.n_init - 1)
        scores: dict[str, Any] = {name: float.fromhex(facts[name]) for name in _SCORES}
        require(not any(map(math.isnan, scores.values())), "its scores are no numbers")
        kept = None
        if counts["position"]:
            position, seed, best_epoch, score, spent = facts["kept"]
            require(0 <= position < counts["position"], "an initialisation is kept that has not ended")
            require(0 <= best_epoch <= options.epochs, "an epoch is kept that was not trained")
            probabilities = saved.tensors["probabilities"].numpy()
            state = saved.part("kept")
            kept = Initialisation(
                position, seed, best_epoch, float.fromhex(score), state, probabilities, seconds(spent)
            )
        spent = seconds(facts["seconds"])
        return cls(epoch=epoch, **counts, **scores, seconds=spent, best_state=saved.part("best"), kept=kept)

    def check(self, taken: Snapshot, network: Network, classes: int) -> None:
        """Restore a snapshot into a fresh network; raises UnfitError if it does not fit this search and network."""
        network.learner.load(taken)
        like = network.weights()
        require_like(self.best_state, like, "its best weights")
        if self.kept:
            require_like(self.kept.state, like, "the weights that it keeps")
            rows = len(network.split.test)
            require_probabilities(torch.from_numpy(self.kept.probabilities), rows, classes)
        require_same(taken, self.saved(network.learner))


_COUNTS = ("position", "epoch", "best_epoch", "clear_epoch", "seconds")
_SCORES = ("best_score", "clear_score")
_LOSSES = {"validation": "validation_loss", "last": "train_loss"}  # what is minus the score, by what selects
