"""Times a pretraining step of a backbone against the plain eager form of the same network."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from qtlplat.backbones.model import WholeBackbone
from qtlplat.backbones.trainer import BackboneTrainer
from qtlplat.contracts import Backbone
from qtlplat.quantum.devices.threads import torch_threads
from qtlplat.seeding import isolated_rng
from qtlplat_bench.timing import row, summary

COMPARED_STEPS = 5  # before anything is timed
LEARNING_RATE, DECAY = 1e-4, 0.99  # neither changes what a step costs
STORED = 4  # batches among the stored images

Step = Callable[[Tensor], float]  # indices (B,) of stored images -> loss


def bench_backbone(
    build: Callable[[], Backbone],
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    batch: int,
    threads: int,
    repeats: int,
) -> list[dict[str, Any]]:
    """Rows of two engines for one pretraining step of `batch` noisy images (C, H, W), timed in turn `repeats` times.

    A step gathers its batch from uint8 images, standardizes it, goes forward and backward, and updates weights (Adam)
    and their exponential average. "qtlplat" is what pretraining runs. "plain" is the same network with the same initial
    weights, batches and dropout as it is usually written: NCHW float32, ReLU before max-pooling, torch's default Adam.

    Each row: engine, qubits and layers (None), batch, cells (1), threads, ms_per_step (median), ms_per_cell_step,
    spread (interquartile range / median), max_value_error (largest difference from "plain" of the losses of five
    training steps), max_gradient_error (of the first step: max |difference| / max |gradient| of the worst parameter).
    Both engines start each of the five steps from the weights of "plain": Adam makes a full step of a gradient that is
    zero up to rounding, so that even two memory layouts of the same torch code would drift apart.
    """
    with torch_threads(threads), isolated_rng():
        return _measure(build, input_shape, n_classes, batch, threads, repeats)


def _measure(
    build: Callable[[], Backbone],
    shape: tuple[int, int, int],
    n_classes: int,
    batch: int,
    threads: int,
    repeats: int,
) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    ours = WholeBackbone(build(), shape[0]).train()
    pixels = torch.randint(0, 256, (STORED * batch, *shape), dtype=torch.uint8)
    labels = torch.randint(0, n_classes, (len(pixels),))
    ours.standardize.fit(pixels)
    plain = PlainBackbone(ours).train()
    learner = BackboneTrainer(ours, LEARNING_RATE, DECAY)
    steps: dict[str, Step] = {
        "plain": _plain_step(plain, pixels, labels),
        "qtlplat": lambda rows: learner.step(pixels[rows], labels[rows])[0],
    }
    losses: dict[str, list[float]] = {engine: [] for engine in steps}
    seconds: dict[str, list[float]] = {engine: [] for engine in steps}
    gradient_error = 0.0
    for number in range(COMPARED_STEPS + repeats):
        rows = torch.randperm(len(pixels))[:batch]
        for engine, step in steps.items():
            torch.manual_seed(number + 1)  # the same dropout
            started = time.perf_counter()
            loss = step(rows)
            seconds[engine].append(time.perf_counter() - started)
            losses[engine].append(loss)
        if number == 0:
            gradient_error = _gradient_error(plain, ours)
        if number < COMPARED_STEPS:
            with torch.no_grad():
                for theirs, parameter in zip(plain.parameters(), ours.parameters(), strict=True):
                    parameter.copy_(theirs)
    differences = [abs(a - b) for a, b in zip(losses["plain"], losses["qtlplat"], strict=True)][:COMPARED_STEPS]
    errors = {"plain": (0.0, 0.0), "qtlplat": (max(differences), gradient_error)}
    return [
        row(
            engine,
            summary(seconds[engine][COMPARED_STEPS:]),
            qubits=None,
            layers=None,
            batch=batch,
            cells=1,
            threads=threads,
            errors=errors[engine],
        )
        for engine in steps
    ]


class PlainBackbone(nn.Module):
    """A copy of a backbone as it is usually written: layers in turn, NCHW, ReLU before max-pooling."""

    def __init__(self, whole: WholeBackbone) -> None:
        super().__init__()
        whole = copy.deepcopy(whole).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.mean, self.std = whole.standardize.mean, whole.standardize.std
        self.features = _activation_first(whole.features)
        self.dense = whole.dense

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of uint8 images (B, C, H, W)."""
        x: Tensor = self.features((images.float() - self.mean) / self.std)
        for block in self.dense:
            x = block(x)
        return x


def _activation_first(features: nn.Module) -> nn.Module:
    """Every ReLU behind a max-pooling before it: the same function."""
    if type(features) is not nn.Sequential:
        return features
    layers = list(features)
    for i in range(len(layers) - 1):
        if type(layers[i]) is nn.MaxPool2d and type(layers[i + 1]) is nn.ReLU:
            layers[i], layers[i + 1] = layers[i + 1], layers[i]
    return nn.Sequential(*layers)


def _plain_step(model: nn.Module, pixels: Tensor, labels: Tensor) -> Step:
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(DECAY))

    def step(rows: Tensor) -> float:
        loss = cross_entropy(model(pixels[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update_parameters(model)
        return loss.item()

    return step


def _gradient_error(plain: nn.Module, ours: nn.Module) -> float:
    """Largest over parameters of max |difference| / max |gradient|; both have their parameters in the same order."""
    worst = 0.0
    for a, b in zip(plain.parameters(), ours.parameters(), strict=True):
        if a.grad is not None and b.grad is not None:
            scale = a.grad.abs().max().clamp_min(torch.finfo(a.dtype).tiny)
            worst = max(worst, float((a.grad - b.grad).abs().max() / scale))
    return worst
