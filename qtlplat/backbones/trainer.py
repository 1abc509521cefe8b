"""A backbone that learns: its steps, its epochs, how it is evaluated. What is kept of it, `pretrain` decides."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Generator, Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from qtlplat.backbones.batches import recompute_statistics, split_order, why_not_trainable
from qtlplat.backbones.model import WholeBackbone
from qtlplat.catalog.plan import PretrainingOptions
from qtlplat.contracts import Backbone, Split
from qtlplat.errors import TrainingError
from qtlplat.plugin_modules import Surroundings, called, logits_of
from qtlplat.progress import Stage
from qtlplat.seeding import derive_seed, generator, seed_torch
from qtlplat.state.optimizer import Adam
from qtlplat.state.snapshots import Snapshot, below
from qtlplat.state.weights import plain

EVALUATION_BATCH = 128


class BackboneTrainer:
    """A model that learns step by step. judged: what is evaluated and kept, the average of its weights or the weights.

    decay: of the average, per step, in (0, 1); None keeps no average; dtype: of the logits.
    """

    def __init__(
        self, model: nn.Module, learning_rate: float, decay: float | None, dtype: torch.dtype = torch.float32
    ) -> None:
        self.model, self.dtype = model, dtype
        self.optimizer = Adam(model.parameters(), learning_rate)
        self.average: AveragedModel | None = None
        if decay is not None:
            self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.judged: nn.Module = self.average.module if self.average else model

    def step(self, images: Tensor, labels: Tensor) -> tuple[float, Tensor]:
        """One step on images (B, C, H, W) and labels (B,): the loss and logits (B, K) before it.

        A loss that is not finite changes no weight.
        """
        logits = logits_of(self.model, images, dtype=self.dtype)
        loss = cross_entropy(logits, labels)
        value = loss.item()
        if math.isfinite(value):
            self.optimizer.zero_grad()
            called(loss.backward)
            self.optimizer.step()
            if self.average:
                self.average.update_parameters(self.model)
        return value, logits.detach()

    def set_rate(self, learning_rate: float) -> None:
        """The learning rate from the next step on."""
        self.optimizer.learning_rate = learning_rate

    def settle(self, batches: Iterable[Tensor]) -> None:
        """Before an evaluation: an average of weights gets the running statistics that belong to it.

        batches: images (B, C, H, W) of the training part; they are used only if a layer keeps such statistics.
        """
        if self.average:
            recompute_statistics(self.judged, batches)

    def save(self) -> dict[str, Tensor]:
        """All that training changes, by name, copied to the CPU."""
        average = below("average", self.average.state_dict()) if self.average else {}
        model = below("model", self.model.state_dict())
        return {**model, **average, **below("adam", self.optimizer.tensors())}

    def load(self, saved: Snapshot) -> None:
        """Continue from the state that `save` returned, bit for bit."""
        self.model.load_state_dict(saved.part("model"))
        if self.average:
            self.average.load_state_dict(saved.part("average"))
        self.optimizer.load(saved.part("adam"))


class Network:
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
        self.surroundings = Surroundings()
        self.batch_size = options.batch_size
        seed_torch(derive_seed("backbone", seed))
        model = WholeBackbone(build(), pixels.shape[1])
        model.standardize.fit(pixels[torch.from_numpy(split.train)])
        self._dtypes = {name: tensor.dtype for name, tensor in model.state_dict().items()}
        model.to(pixels.device)
        if options.precision == "double":
            model.double()
        self.smallest = 1
        if len(split.train) % options.batch_size == 1:  # a last batch of one sample
            self.smallest = 2 if why_not_trainable(copy.deepcopy(model), pixels[split.train[:1]]) else 1
        self.steps = len(split_order(torch.empty(len(split.train)), options.batch_size, self.smallest))
        self.options, self.total = options, options.epochs * self.steps
        decay = math.exp(-1 / (options.ema_epochs * self.steps)) if options.ema_epochs else None
        self.learner = BackboneTrainer(model, options.learning_rate, decay, model.standardize.mean.dtype)

    def epoch(self, epoch: int, stage: Stage) -> Generator[None, None, dict[str, float]]:
        """Train one epoch and evaluate; batch order and dropout depend on (seed, epoch) alone.

        stage: advances with every step. Yields after each step, where stopping does no harm; returns the values.
        """
        seed_torch(derive_seed("dropout", self.seed, epoch))
        shuffled = torch.randperm(len(self.split.train), generator=generator("order", self.seed, epoch))
        order = torch.from_numpy(self.split.train)[shuffled]
        self.learner.model.train()
        loss_sum, hits = 0.0, 0
        for step, rows in enumerate(split_order(order, self.batch_size, self.smallest), start=1):
            labels = self.labels[rows]
            self.learner.set_rate(self._rate((epoch - 1) * self.steps + step - 1))
            loss, logits = self.learner.step(self.pixels[rows], labels)
            if not math.isfinite(loss):
                state = self.learner.model.state_dict()
                broken = next((name for name, tensor in state.items() if not tensor.isfinite().all()), "the logits")
                raise TrainingError(
                    f"the loss became {loss} in {broken}",
                    where=f"pretraining, seed {self.seed}, epoch {epoch}, step {step}",
                    fix="lower the learning rate, e.g. -S pretraining.learning_rate=1e-4",
                )
            loss_sum += loss * len(rows)
            hits += int((logits.argmax(1) == labels).sum())
            stage.advance(1)
            yield
        self.surroundings.put_back()
        parts = split_order(torch.from_numpy(self.split.train), EVALUATION_BATCH, 2)
        self.learner.settle(self.pixels[rows] for rows in parts)
        values = {"train_loss": loss_sum / len(order), "train_accuracy": hits / len(order)}
        for name, part in (("validation", self.split.validation), ("test", self.split.test)):
            if len(part):
                logits, truth = self.logits(part), self.labels[torch.from_numpy(part)].cpu()
                values[f"{name}_loss"] = float(cross_entropy(logits.double(), truth))
                values[f"{name}_accuracy"] = float((logits.argmax(1) == truth).double().mean())
        return values

    def _rate(self, before: int) -> float:
        """The learning rate of a step with so many steps before it."""
        rate = self.options.learning_rate
        return rate if self.options.schedule == "constant" else rate * (1 + math.cos(math.pi * before / self.total)) / 2

    def weights(self) -> dict[str, Tensor]:
        """Copies of the weights that are kept, by name, on the CPU, rounded to the types that they were built with."""
        return {name: plain(t.to(self._dtypes[name])) for name, t in self.learner.judged.state_dict().items()}

    def logits(self, indices: npt.NDArray[np.int64]) -> Tensor:
        """Logits (n, K) of samples, by what is kept; on the CPU."""
        self.learner.judged.eval()
        with torch.no_grad():
            batches = [self.pixels[rows] for rows in torch.from_numpy(indices).split(EVALUATION_BATCH)]
            return torch.cat([logits_of(self.learner.judged, x, dtype=self.learner.dtype).cpu() for x in batches])
