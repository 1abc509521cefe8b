"""Pretraining a backbone: several initialisations on one split, the best epoch of the best one kept.

No storage here: epochs go to a callback, weights and predictions come back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from qtlplat.backbones.trainer import BackboneTrainer, Network
from qtlplat.catalog.plan import PretrainingOptions
from qtlplat.contracts import Backbone, Cell, ImageSet, Split
from qtlplat.errors import ConfigError
from qtlplat.progress import Progress
from qtlplat.seeding import derive_seed, isolated_rng
from qtlplat.state.epochs import CellEpoch
from qtlplat.state.snapshots import (
    Snapshot,
    Take,
    below,
    count,
    fitting,
    require,
    require_like,
    require_probabilities,
    require_same,
    seconds,
)
from qtlplat.state.weights import plain


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
    Raises ConfigError where a class has too few samples to be split.
    """
    from sklearn.model_selection import StratifiedGroupKFold, train_test_split

    names = np.asarray(groups)

    def halved(indices: npt.NDArray[np.int64], share: float, state: int) -> list[npt.NDArray[np.int64]]:
        if not options.grouped:
            return list(train_test_split(indices, test_size=share, stratify=labels[indices], random_state=state))
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


def pretrain(
    build: Callable[[], Backbone],
    images: ImageSet,
    split: Split,
    options: PretrainingOptions,
    seed: int,
    *,
    progress: Progress,
    on_epoch: Callable[[CellEpoch, Take], None],
    on_initialisation: Callable[[Initialisation], None],
    on_step: Callable[[], None] = lambda: None,
    accelerator: str = "cpu",
    start: Snapshot | None = None,
    on_start: Callable[[], None] = lambda: None,
) -> Initialisation:
    """Train every initialisation with Adam on the cross-entropy; returns the one with the best score.

    The score is minus the validation loss, or (``monitor = "test"``, optimistic) the test accuracy, of the best
    epoch; with ``monitor = "last"`` minus the training loss of the last one. Standardization uses the pixels of
    ``split.train`` only. With ``options.ema_epochs`` the exponential average of the weights is evaluated and kept. Ties
    keep the earlier epoch and initialisation.

    on_epoch: called after each epoch, with what takes a snapshot; on_initialisation: after each initialisation that
    ends; on_step: after each step, may raise to stop; accelerator: the torch device that computes: initial weights and
    the order of batches do not depend on it, and what is returned lies on the CPU; start: a snapshot to resume from;
    on_start: called when it is restored. Raises UnfitError before that, if it does not belong to this training.
    """
    pixels = torch.tensor(images.images).to(accelerator)
    labels = torch.tensor(images.labels).to(accelerator)

    def make(position: int) -> Network:
        return Network(build, pixels, labels, split, options, seed + position)

    with isolated_rng():
        search, network = _Search(), None
        if start:
            with fitting():
                search = _Search.restored(start, options)
            network = make(search.position)
            with fitting():
                search.check(start, network, len(images.class_names))
            on_start()
        while search.position < options.n_init:
            network = network or make(search.position)
            one = _train(network, split, options, search, progress, on_epoch, on_step)
            on_initialisation(one)
            best = one if search.kept is None or one.score > search.kept.score else search.kept
            search, network = _Search(search.position + 1, kept=best), None
    assert search.kept is not None
    return search.kept


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

    def see(self, epoch: int, score: float, options: PretrainingOptions, judged: nn.Module) -> None:
        """An epoch has ended with a score, larger is better."""
        self.epoch = epoch
        if score > self.clear_score + options.min_delta:
            self.clear_epoch, self.clear_score = epoch, score
        if score > self.best_score or options.monitor == "last":
            self.best_epoch, self.best_score = epoch, score
            self.best_state = {n: plain(t) for n, t in judged.state_dict().items()}

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
        like = network.learner.judged.state_dict()
        require_like(self.best_state, like, "its best weights")
        if self.kept:
            require_like(self.kept.state, like, "the weights that it keeps")
            rows = len(network.split.test)
            require_probabilities(torch.from_numpy(self.kept.probabilities), rows, classes)
        require_same(taken, self.saved(network.learner))


_COUNTS = ("position", "epoch", "best_epoch", "clear_epoch", "seconds")
_SCORES = ("best_score", "clear_score")
_LOSSES = {"validation": "validation_loss", "last": "train_loss"}  # what is minus the score, by what selects


def _train(
    network: Network,
    split: Split,
    options: PretrainingOptions,
    search: _Search,
    progress: Progress,
    on_epoch: Callable[[CellEpoch, Take], None],
    on_step: Callable[[], None],
) -> Initialisation:
    """Train the initialisation that a search has come to, to its end."""
    position, learner = search.position, network.learner
    title = "pretraining"
    if options.n_init > 1:
        title += f" {position + 1}/{options.n_init}"
    with progress.stage(title, (options.epochs - search.epoch) * network.steps) as stage:

        def step() -> None:
            stage.advance(1)
            on_step()

        while search.epoch < options.epochs:
            if options.patience and search.epoch - search.clear_epoch >= options.patience:
                left = (options.epochs - search.epoch) * network.steps
                stage.advance(left, f"stopped after epoch {search.epoch}, best was {search.best_epoch}")
                break
            started = time.perf_counter()
            epoch = search.epoch + 1
            values = network.epoch(epoch, step)
            seconds = time.perf_counter() - started
            search.seconds += seconds
            score = values["test_accuracy"] if options.monitor == "test" else -values[_LOSSES[options.monitor]]
            search.see(epoch, score, options, learner.judged)
            on_epoch(CellEpoch(position, epoch, seconds, values), lambda: search.saved(learner))
            stage.advance(0, f"epoch {epoch}, loss {values['train_loss']:.3f}")
    learner.judged.load_state_dict(search.best_state)
    probabilities = network.logits(split.test).double().softmax(1).numpy()
    return Initialisation(
        position,
        network.seed,
        search.best_epoch,
        search.best_score,
        search.best_state,
        probabilities,
        search.seconds,
    )
