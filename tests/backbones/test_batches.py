"""Batches: a last one of a single sample, layers that need more, statistics that belong to averaged weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn

from qtlplat.backbones.batches import Batches, recompute_statistics, split_order, why_not_trainable
from qtlplat.backbones.trainer import Network
from qtlplat.catalog.plan import PretrainingOptions, TrainingOptions
from qtlplat.contracts import Backbone, Cell, Split
from qtlplat.errors import ConfigError, PluginError
from qtlplat.heads.fit import HeadTraining
from qtlplat.heads.lockstep import FittedCell, Task
from qtlplat.progress import Silent
from qtlplat.runs.preflight import try_backbone, try_batches, try_head
from qtlplat.seeding import derive_seed, generator

F = 6


@given(st.integers(1, 200), st.integers(1, 40), st.integers(1, 2))
def test_every_sample_is_in_one_batch_and_none_is_too_small(n: int, size: int, smallest: int) -> None:
    order = torch.randperm(n)
    batches = split_order(order, size, smallest)
    assert torch.equal(torch.cat(batches), order)
    assert all(len(batch) == size for batch in batches[:-2])
    if n % size != 1 or smallest == 1:
        assert [len(b) for b in batches] == [len(b) for b in order.split(size)]
    elif size > 1 and n > 1:
        assert min(map(len, batches)) >= 2


def normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(F, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


class Plain(nn.Module):
    """Looks at values, and so is neither stacked nor traced."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(F, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        float(x.sum())
        return self.layer(x)


def data() -> tuple[torch.Tensor, torch.Tensor]:
    features = torch.rand(60, F, generator=torch.Generator().manual_seed(0))
    return features, (features[:, 0] > 0.5).long()


CELLS = [Cell(0, 3, np.arange(33, dtype=np.int64), np.arange(33, 60, dtype=np.int64))]  # 33 = 2 * 16 + 1


def fitted(tasks: list[Task], features: torch.Tensor) -> list[FittedCell]:
    options = TrainingOptions(epochs=3, learning_rate=0.05, batch_size=16)
    training = HeadTraining(tasks, CELLS, [features], options)
    list(training.run())
    return training.fitted


def test_a_head_with_batch_normalisation_is_trained_as_torch_would_on_batches_of_at_least_two() -> None:
    features, labels = data()
    (ours,) = fitted([Task(normalised, labels, stack=False, smallest=2)], features)
    torch.manual_seed(derive_seed("head", 3, 0))
    head = normalised()
    adam = torch.optim.Adam(head.parameters(), lr=0.05)
    for epoch in range(1, 4):
        order = torch.randperm(33, generator=generator("order", 3, 0, epoch))
        for rows in (order[:16], order[16:]):
            adam.zero_grad()
            nn.functional.cross_entropy(head.train()(features[rows]), labels[rows]).backward()
            adam.step()
    expected = head.eval()(features[33:]).softmax(1).detach().numpy()
    assert ours.probabilities == pytest.approx(expected, abs=1e-6)


def test_other_heads_are_bitwise_what_they_are_without_it() -> None:
    features, labels = data()
    plain = Task(Plain, labels, stack=False)
    (alone,) = fitted([plain], features)
    beside, _ = fitted([plain, Task(normalised, labels, stack=False, smallest=2)], features)
    assert np.array_equal(alone.probabilities, beside.probabilities)
    assert all(torch.equal(alone.state[name], beside.state[name]) for name in alone.state)


class Spread(nn.Module):
    """Divides by the spread of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(F, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x)
        return y / (y.std(0) + 1) if self.training else y


@pytest.mark.parametrize(
    ("build", "works"),
    [
        (normalised, False),
        (Plain, True),
        (lambda: nn.Sequential(nn.Linear(F, 2), nn.Dropout(0.5)), True),
        (Spread, False),  # not an error, but NaN
    ],
)
def test_whether_one_sample_can_be_trained_on_is_tried(build: Callable[[], nn.Module], works: bool) -> None:
    assert (why_not_trainable(build(), torch.rand(1, F)) == "") == works
    assert why_not_trainable(build(), torch.rand(2, F)) == ""


def tried(build: Callable[[], nn.Module], n: int, size: int) -> int:
    return try_batches(
        build, lambda m: torch.rand(m, F), Batches((n,), size, "training.batch_size"), "head", "acme", full=True
    )


def test_the_smallest_batch_of_a_training_follows_from_the_trial() -> None:
    assert tried(normalised, 33, 16) == 2
    assert tried(normalised, 34, 16) == 1
    assert tried(Plain, 33, 16) == 1
    for n, size in ((33, 1), (1, 16)):
        with pytest.raises(ConfigError, match="single sample") as caught:
            tried(normalised, n, size)
        assert "training.batch_size" in caught.value.fix


def test_a_head_that_takes_no_batch_of_some_size_is_refused_before_training() -> None:
    class Picky(Plain):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert len(x) in (1, 2, 16)
            return self.layer(x)

    with pytest.raises(PluginError, match="batch of 5 samples"):
        tried(Picky, 37, 16)


def test_one_sample_is_evaluated_in_the_trial() -> None:
    class Squeezes(Plain):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x).squeeze(0)

    with pytest.raises(PluginError, match=r"one sample must have shape \(1, 2\), has \(2,\)"):
        try_head(Squeezes, F, 2, "acme")
    with pytest.raises(PluginError, match=r"one sample must have shape \(1, F\)"):
        try_backbone(
            lambda: Backbone(nn.Flatten(), (nn.Sequential(nn.Linear(16, 2), Squeeze()),)), (1, 4, 4), 2, "acme"
        )
    assert try_head(normalised, F, 2, "acme")


class Squeeze(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.squeeze(0)


def convolutional() -> Backbone:
    features = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.2), nn.Flatten())
    return Backbone(features, (nn.Sequential(nn.Linear(108, 4), nn.BatchNorm1d(4)), nn.Linear(4, 2)))


def network(ema_epochs: float, n: int = 33) -> tuple[Network, torch.Tensor, torch.Tensor]:
    pixels = torch.randint(256, (n + 8, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = (pixels[:, 0, 0, 0] > 127).long()
    split = Split(np.arange(n), np.zeros(0, np.int64), np.arange(n, n + 8))
    options = PretrainingOptions(batch_size=16, ema_epochs=ema_epochs, learning_rate=0.01, monitor="test")
    return Network(convolutional, pixels, labels, split, options, 5), pixels, labels


def epoch_of(trained: Network, epoch: int) -> dict[str, float]:
    steps = trained.epoch(epoch, Silent())
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            return dict(ended.value)


def test_averaged_weights_are_evaluated_with_the_statistics_of_their_own_activations() -> None:
    """Against a loop in plain torch: the average by hand, then mean and unbiased variance at each layer, by hand."""
    ours, pixels, labels = network(ema_epochs=0.5)
    torch.manual_seed(derive_seed("backbone", 5))
    model = copy.deepcopy(network(ema_epochs=0.5)[0].learner.model)
    assert ours.steps == 2
    adam = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    decay, average = math.exp(-1 / (0.5 * 2)), None
    for epoch in (1, 2):
        values = epoch_of(ours, epoch)
        torch.manual_seed(derive_seed("dropout", 5, epoch))
        order = torch.randperm(33, generator=generator("order", 5, epoch))
        model.train()
        for rows in (order[:16], order[16:]):
            adam.zero_grad()
            nn.functional.cross_entropy(model(pixels[rows]), labels[rows]).backward()
            adam.step()
            now = {name: p.detach().clone() for name, p in model.named_parameters()}
            average = now if average is None else {k: decay * average[k] + (1 - decay) * now[k] for k in now}
    assert average is not None
    by_hand = copy.deepcopy(model).eval()
    by_hand.load_state_dict({**by_hand.state_dict(), **average})
    with torch.no_grad():
        x = by_hand.features[0](by_hand.standardize(pixels[:33]))
        by_hand.features[1].running_mean = x.mean((0, 2, 3))
        by_hand.features[1].running_var = x.var((0, 2, 3), unbiased=False)  # a layer in training normalises so
        y = by_hand.dense[0][0](by_hand.features(by_hand.standardize(pixels[:33])))
        by_hand.dense[0][1].running_mean, by_hand.dense[0][1].running_var = y.mean(0), y.var(0)
        by_hand.features[1].running_var = x.var((0, 2, 3))
        expected = by_hand(pixels[33:])
    assert torch.allclose(ours.logits(np.arange(33, 41)), expected, atol=1e-4)
    assert values["test_loss"] == pytest.approx(float(nn.functional.cross_entropy(expected, labels[33:])), abs=1e-4)
    stale = {k: v for k, v in model.state_dict().items() if "running" in k}
    by_hand.load_state_dict({**by_hand.state_dict(), **stale})
    assert not torch.allclose(by_hand(pixels[33:]), expected, atol=1e-2)


def test_weights_as_they_are_keep_the_statistics_of_their_training() -> None:
    ours, *_ = network(ema_epochs=0)
    epoch_of(ours, 1)
    layer = ours.learner.model.dense[0][1]
    assert layer.num_batches_tracked == 2
    assert layer.momentum == 0.1


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm1d(F), nn.BatchNorm1d(F, momentum=None), nn.InstanceNorm1d(F, track_running_stats=True)]
)
def test_statistics_are_weighted_by_samples_and_the_layer_stays_as_it_was(layer: nn.Module) -> None:
    module = nn.Sequential(copy.deepcopy(layer), nn.Dropout(0.5)).train()
    shape = (10, F, 4) if isinstance(layer, nn.InstanceNorm1d) else (10, F)
    x = torch.rand(shape)
    recompute_statistics(module, x.split([6, 4]))
    axes = (0, 2) if len(shape) == 3 else (0,)
    assert torch.allclose(module[0].running_mean, x.mean(axes), atol=1e-6)  # type: ignore[arg-type]
    assert module[0].momentum == layer.momentum
    assert not module.training


def test_a_run_with_such_a_head_and_backbone_ends_well(
    install: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qtlplat.cli.app import _run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    install("norm-lab", "norm_lab", PLUGIN)
    words = "run --dataset steel-synth[per_class=16] --backbone normed --head normed --evaluator kfold[folds=2]".split()
    words += "--epochs 1 --pretrain-epochs 1 --store s.db -S training.batch_size=5 -S pretraining.batch_size=11".split()
    assert _run(words) == 0  # 23 and 16 samples: a last batch of one sample
    assert _run([*words, "-S", "training.batch_size=1"]) == 3


PLUGIN = """
from qtlplat import Backbone, BackboneSpec, HeadSpec, hookimpl

qtlplat_api_version = (1, 0)


def backbone(options, input_shape, n_classes):
    from torch import nn

    features = nn.Sequential(nn.AvgPool2d(20), nn.Flatten())
    width = input_shape[0] * (input_shape[1] // 20) * (input_shape[2] // 20)
    return Backbone(features, (nn.Sequential(nn.Linear(width, 4), nn.BatchNorm1d(4)), nn.Linear(4, n_classes)))


def head(options, in_features, n_classes):
    from torch import nn

    return nn.Sequential(nn.BatchNorm1d(in_features), nn.Linear(in_features, n_classes))


@hookimpl
def qtlplat_backbones():
    return [BackboneSpec(name="normed", summary="a backbone", build=backbone)]


@hookimpl
def qtlplat_heads():
    return [HeadSpec(name="normed", summary="a head", build=head)]
"""
