"""Pretraining a backbone: several initialisations on one split, the best epoch of the best one kept.

No storage here: epochs go to a callback, weights and predictions come back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from qtlplat.catalog.plan import PretrainingOptions
from qtlplat.contracts import Backbone, Cell, ImageSet
from qtlplat.errors import ConfigError, TrainingError
from qtlplat.training.fit import CellEpoch
from qtlplat.training.model import WholeBackbone
from qtlplat.training.progress import Progress
from qtlplat.training.seeding import derive_seed, generator, isolated_rng

EVALUATION_BATCH = 128


@dataclass(frozen=True)
class Split:
    """Indices int64 into the dataset: what trains, what chooses (may be empty), what tests; disjoint."""

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]


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


def make_split(labels: npt.NDArray[np.int64], options: PretrainingOptions, seed: int) -> Split:
    """A stratified split by `test_share` and `validation_share`, the same for every initialisation.

    labels: int64 (N,). Raises ConfigError where a class has too few samples to be split.
    """
    from sklearn.model_selection import train_test_split

    def part(indices: npt.NDArray[np.int64], share: float, purpose: str) -> list[npt.NDArray[np.int64]]:
        state = derive_seed("split", purpose, seed) % 2**32
        try:
            halves = train_test_split(indices, test_size=share, stratify=labels[indices], random_state=state)
        except ValueError as error:
            raise ConfigError(
                f"cannot keep {share:.0%} of {len(indices)} samples for {purpose}: {error}",
                where=f"pretraining.{purpose}_share",
                fix="use more samples or a larger share",
            ) from error
        return [np.sort(half) for half in halves]

    everything = np.arange(len(labels), dtype=np.int64)
    train, test = part(everything, options.test_share, "test")
    if not options.validation_share:
        return Split(train, np.zeros(0, dtype=np.int64), test)
    train, validation = part(train, options.validation_share, "validation")
    return Split(train, validation, test)


def pretraining_cells(split: Split, options: PretrainingOptions, seed: int) -> list[Cell]:
    """One cell per initialisation, on the same samples; validation samples belong to the training part."""
    train = np.sort(np.concatenate([split.train, split.validation]))
    return [Cell(0, seed + i, train, split.test) for i in range(options.initialisations)]


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
) -> Initialisation:
    """Train every initialisation with Adam on the cross-entropy; returns the one with the best score.

    The score is minus the validation loss, or (``select_by = "test"``, optimistic) the test accuracy. Standardization
    uses the pixels of ``split.train`` only. With ``options.averaging`` the exponential average of the weights is
    evaluated and kept. Ties keep the earlier epoch and initialisation.
    """
    best: Initialisation | None = None
    pixels = torch.tensor(images.images)
    labels = torch.tensor(images.labels)
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
    torch.manual_seed(derive_seed("backbone", seed))
    model = WholeBackbone(build(), pixels.shape[1])
    train = torch.from_numpy(split.train)
    model.standardize.fit(pixels[train])
    optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate)
    steps = -(-len(train) // options.batch_size)
    averaged: AveragedModel | None = None
    if options.averaging:
        decay = math.exp(-1 / (options.averaging * steps))
        averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    judged = averaged.module if averaged else model  # what is evaluated and kept
    best_epoch, best_score, best_state, total = 0, -float("inf"), {}, 0.0
    with progress.stage(title, options.epochs * steps) as stage:
        for epoch in range(1, options.epochs + 1):
            started = time.perf_counter()
            torch.manual_seed(derive_seed("dropout", seed, epoch))
            order = train[torch.randperm(len(train), generator=generator("order", seed, epoch))]
            model.train()
            loss_sum, hits = 0.0, 0
            for step, rows in enumerate(order.split(options.batch_size), start=1):
                logits = model(pixels[rows])
                loss = cross_entropy(logits, labels[rows])
                if not torch.isfinite(loss):
                    raise TrainingError(
                        f"the loss became {float(loss)}",
                        where=f"pretraining, initialisation {position}, epoch {epoch}, step {step}",
                        fix="lower the learning rate, e.g. -S pretraining.learning_rate=1e-4",
                    )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if averaged:
                    averaged.update_parameters(model)
                loss_sum += float(loss.detach()) * len(rows)
                hits += int((logits.detach().argmax(1) == labels[rows]).sum())
                stage.advance(1)
            values = {"train_loss": loss_sum / len(train), "train_accuracy": hits / len(train)}
            for name, part in (("validation", split.validation), ("test", split.test)):
                if len(part):
                    loss_value, accuracy = _evaluate(judged, pixels, labels, torch.from_numpy(part))
                    values |= {f"{name}_loss": loss_value, f"{name}_accuracy": accuracy}
            seconds = time.perf_counter() - started
            total += seconds
            on_epoch(CellEpoch(position, epoch, seconds, values))
            by_test = options.select_by == "test"
            score = values["test_accuracy"] if by_test else -values["validation_loss"]
            stage.advance(0, f"epoch {epoch}, loss {values['train_loss']:.3f}")
            if score > best_score:
                best_epoch, best_score = epoch, score
                best_state = {name: t.detach().clone() for name, t in judged.state_dict().items()}
            elif options.patience and epoch - best_epoch >= options.patience:
                stage.advance((options.epochs - epoch) * steps, f"stopped after epoch {epoch}, best was {best_epoch}")
                break
    judged.load_state_dict(best_state)
    probabilities = _logits(judged, pixels, torch.from_numpy(split.test)).double().softmax(1).numpy()
    return Initialisation(position, seed, best_epoch, best_score, best_state, probabilities, total)


def _logits(model: nn.Module, pixels: Tensor, rows: Tensor) -> Tensor:
    model.eval()
    with torch.no_grad():
        return torch.cat([model(pixels[r]) for r in rows.split(EVALUATION_BATCH)])


def _evaluate(model: nn.Module, pixels: Tensor, labels: Tensor, rows: Tensor) -> tuple[float, float]:
    logits = _logits(model, pixels, rows)
    return (
        float(cross_entropy(logits.double(), labels[rows])),
        float((logits.argmax(1) == labels[rows]).double().mean()),
    )
