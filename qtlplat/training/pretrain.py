"""Pretraining a backbone: several initialisations on one split, the best epoch of the best one kept.

No storage here: epochs go to a callback, weights and predictions come back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from qtlplat.catalog.plan import PretrainingOptions
from qtlplat.contracts import Backbone, Cell, ImageSet, Split
from qtlplat.errors import ConfigError, TrainingError
from qtlplat.training.fit import CellEpoch
from qtlplat.training.model import WholeBackbone
from qtlplat.training.progress import Progress, Stage
from qtlplat.training.seeding import derive_seed, generator, isolated_rng

EVALUATION_BATCH = 128


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
    """A stratified split by `test_share` and `validation_share`, the same for every initialisation.

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
                where=f"pretraining.{purpose}_share",
                fix="use more samples or a larger share",
            ) from error
        return [np.sort(half) for half in halves]

    everything = np.arange(len(labels), dtype=np.int64) if within is None else within
    train, test = part(everything, options.test_share, "test")
    if not options.validation_share:
        return Split(train, np.zeros(0, dtype=np.int64), test)
    train, validation = part(train, options.validation_share, "validation")
    return Split(train, validation, test)


def pretraining_cells(split: Split, options: PretrainingOptions, seed: int) -> list[Cell]:
    """One cell per initialisation, on the same samples; validation samples belong to the training part."""
    return [Cell(0, seed + i, split.seen, split.test) for i in range(options.initialisations)]


def pretrain(
    build: Callable[[], Backbone],
    images: ImageSet,
    split: Split,
    options: PretrainingOptions,
    seed: int,
    *,
    progress: Progress,
    on_epoch: Callable[[CellEpoch], None],
    on_initialisation: Callable[[Initialisation], None],
    accelerator: str = "cpu",
) -> Initialisation:
    """Train every initialisation with Adam on the cross-entropy; returns the one with the best score.

    The score is minus the validation loss, or (``select_by = "test"``, optimistic) the test accuracy. Standardization
    uses the pixels of ``split.train`` only. With ``options.averaging`` the exponential average of the weights is
    evaluated and kept. Ties keep the earlier epoch and initialisation. accelerator: the torch device that computes;
    initial weights and the order of batches do not depend on it, and what is returned lies on the CPU.
    """
    best: Initialisation | None = None
    pixels = torch.tensor(images.images).to(accelerator)
    labels = torch.tensor(images.labels).to(accelerator)
    with isolated_rng():
        for position in range(options.initialisations):
            title = "pretraining"
            if options.initialisations > 1:
                title += f" {position + 1}/{options.initialisations}"
            one = _train(build, pixels, labels, split, options, (position, seed + position), title, progress, on_epoch)
            on_initialisation(one)
            if best is None or one.score > best.score:
                best = one
    assert best is not None
    return best


def _train(
    build: Callable[[], Backbone],
    pixels: Tensor,
    labels: Tensor,
    split: Split,
    options: PretrainingOptions,
    which: tuple[int, int],
    title: str,
    progress: Progress,
    on_epoch: Callable[[CellEpoch], None],
) -> Initialisation:
    position, seed = which
    network = _Network(build, pixels, labels, split, options, seed)
    best_epoch, best_score, best_state, total = 0, -math.inf, {}, 0.0
    clear_epoch, clear_score = 0, -math.inf  # the last epoch that was clearly better than all before
    with progress.stage(title, options.epochs * network.steps) as stage:
        for epoch in range(1, options.epochs + 1):
            started = time.perf_counter()
            values = network.epoch(epoch, stage)
            seconds = time.perf_counter() - started
            total += seconds
            on_epoch(CellEpoch(position, epoch, seconds, values))
            score = values["test_accuracy"] if options.select_by == "test" else -values["validation_loss"]
            stage.advance(0, f"epoch {epoch}, loss {values['train_loss']:.3f}")
            if score > clear_score + options.least_gain:
                clear_epoch, clear_score = epoch, score
            if score > best_score:
                best_epoch, best_score = epoch, score
                best_state = {n: t.to("cpu", copy=True) for n, t in network.learner.judged.state_dict().items()}
            if options.patience and epoch - clear_epoch >= options.patience:
                left = (options.epochs - epoch) * network.steps
                stage.advance(left, f"stopped after epoch {epoch}, best was {best_epoch}")
                break
    network.learner.judged.load_state_dict(best_state)
    probabilities = network.logits(split.test).double().softmax(1).numpy()
    return Initialisation(position, seed, best_epoch, best_score, best_state, probabilities, total)


class Learner:
    """A model that learns step by step. judged: what is evaluated and kept, the average of its weights or the weights.

    decay: of the average, per step, in (0, 1); None keeps no average.
    """

    def __init__(self, model: nn.Module, learning_rate: float, decay: float | None) -> None:
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
        self.average: AveragedModel | None = None
        if decay is not None:
            self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.judged: nn.Module = self.average.module if self.average else model

    def step(self, images: Tensor, labels: Tensor) -> tuple[float, Tensor]:
        """One step on images (B, C, H, W) and labels (B,): the loss and logits (B, K) before it.

        A loss that is not finite changes no weight.
        """
        logits: Tensor = self.model(images)
        loss = cross_entropy(logits, labels)
        value = loss.item()
        if math.isfinite(value):
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.average:
                self.average.update_parameters(self.model)
        return value, logits.detach()


class _Network:
    """A backbone in training, with its data; both lie where it is computed."""

    def __init__(
        self,
        build: Callable[[], Backbone],
        pixels: Tensor,
        labels: Tensor,
        split: Split,
        options: PretrainingOptions,
        seed: int,
    ) -> None:
        self.pixels, self.labels, self.split, self.seed = pixels, labels, split, seed
        self.batch_size = options.batch_size
        self.steps = -(-len(split.train) // options.batch_size)
        torch.manual_seed(derive_seed("backbone", seed))
        model = WholeBackbone(build(), pixels.shape[1])
        model.standardize.fit(pixels[torch.from_numpy(split.train)])
        decay = math.exp(-1 / (options.averaging * self.steps)) if options.averaging else None
        self.learner = Learner(model.to(pixels.device), options.learning_rate, decay)

    def epoch(self, epoch: int, stage: Stage) -> dict[str, float]:
        """Train one epoch and evaluate; batch order and dropout depend on (seed, epoch) alone."""
        torch.manual_seed(derive_seed("dropout", self.seed, epoch))
        shuffled = torch.randperm(len(self.split.train), generator=generator("order", self.seed, epoch))
        order = torch.from_numpy(self.split.train)[shuffled]
        self.learner.model.train()
        loss_sum, hits = 0.0, 0
        for step, rows in enumerate(order.split(self.batch_size), start=1):
            labels = self.labels[rows]
            loss, logits = self.learner.step(self.pixels[rows], labels)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss}",
                    where=f"pretraining, seed {self.seed}, epoch {epoch}, step {step}",
                    fix="lower the learning rate, e.g. -S pretraining.learning_rate=1e-4",
                )
            loss_sum += loss * len(rows)
            hits += int((logits.argmax(1) == labels).sum())
            stage.advance(1)
        values = {"train_loss": loss_sum / len(order), "train_accuracy": hits / len(order)}
        for name, part in (("validation", self.split.validation), ("test", self.split.test)):
            if len(part):
                logits, truth = self.logits(part), self.labels[torch.from_numpy(part)].cpu()
                values[f"{name}_loss"] = float(cross_entropy(logits.double(), truth))
                values[f"{name}_accuracy"] = float((logits.argmax(1) == truth).double().mean())
        return values

    def logits(self, indices: npt.NDArray[np.int64]) -> Tensor:
        """Logits (n, K) of samples, by what is kept; on the CPU."""
        self.learner.judged.eval()
        with torch.no_grad():
            batches = torch.from_numpy(indices).split(EVALUATION_BATCH)
            return torch.cat([self.learner.judged(self.pixels[rows]).cpu() for rows in batches])
