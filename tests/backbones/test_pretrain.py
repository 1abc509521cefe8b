"""Pretraining: what splits, what stops, what is kept, and by which samples it is chosen."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from qtlplat.backbones.features import frozen_features
from qtlplat.backbones.model import WholeBackbone
from qtlplat.backbones.pretrain import BackboneTraining, Initialisation, make_split, pretraining_cells
from qtlplat.backbones.trainer import BackboneTrainer
from qtlplat.catalog.plan import PretrainingOptions
from qtlplat.contracts import Backbone, ImageSet
from qtlplat.errors import ConfigError, TrainingError
from qtlplat.progress import Silent


@pytest.fixture(scope="module")
def images():
    """60 noisy images of 8x8; those of class 1 have a bright left half."""
    rng = np.random.default_rng(0)
    labels = np.arange(60, dtype=np.int64) % 2
    pixels = rng.integers(60, 120, size=(60, 1, 8, 8)).astype(np.uint8)
    pixels[labels == 1, :, :, :4] += 25
    ids = tuple(f"s{i}" for i in range(60))
    return ImageSet(pixels, labels, ids, ids, ("dark", "bright"))


def tiny():
    return Backbone(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten()), (nn.Linear(72, 2),))


def options(**changes):
    return PretrainingOptions(**{"epochs": 5, "batch_size": 8, "patience": 0, "learning_rate": 0.01} | changes)


def search(images, split, chosen, seed=0, start=None, build=tiny):
    """The best initialisation, the rows of all epochs, a snapshot after each, all initialisations."""
    training = BackboneTraining(build, images, split, chosen, seed, progress=Silent())
    if start:
        training.restore(start)
    rows, taken, kept = [], [], []
    for one in filter(None, training.run()):
        if isinstance(one, Initialisation):
            kept.append(one)
        else:
            rows.extend(one.rows)
            taken.append(one.snapshot())
    return training.best, rows, taken, kept


def train(images, chosen, seed=0):
    split = make_split(images.labels, images.groups, chosen, seed)
    best, rows, _, kept = search(images, split, chosen, seed)
    return best, rows, kept, split


def test_the_split_is_stratified_disjoint_and_follows_from_the_seed(images):
    chosen = options(test_size=0.2, val_size=0.25)
    split = make_split(images.labels, images.groups, chosen, 3)
    parts = [split.train, split.validation, split.test]
    assert [len(p) for p in parts] == [36, 12, 12]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(60))
    assert [images.labels[p].mean() for p in parts] == [0.5, 0.5, 0.5]
    assert np.array_equal(split.test, make_split(images.labels, images.groups, chosen, 3).test)
    assert not np.array_equal(split.test, make_split(images.labels, images.groups, chosen, 4).test)


def test_grouped_splits_divide_no_source(images):
    chosen = options(test_size=0.2, val_size=0.25, grouped=True)
    groups = np.array([f"source {i // 4}" for i in range(60)])
    split = make_split(images.labels, groups, chosen, 3)
    parts = [split.train, split.validation, split.test]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(60))
    assert [len(p) for p in parts] == [36, 12, 12]
    assert not any(set(groups[a]) & set(groups[b]) for a, b in itertools.combinations(parts, 2))
    assert np.array_equal(split.seen, np.sort(np.concatenate(parts[:2])))


def test_a_split_of_a_part_stays_within_it(images):
    within = np.arange(10, 50)
    split = make_split(images.labels, images.groups, options(), 0, within)
    assert np.array_equal(np.sort(np.concatenate([split.seen, split.test])), within)


def test_a_class_with_too_few_samples_is_named(images):
    with pytest.raises(ConfigError, match="20% of 5 samples for test") as caught:
        make_split(np.array([0, 0, 0, 0, 1]), "abcde", options(), 0)
    assert caught.value.where == "pretraining.test_size"


def test_validation_samples_belong_to_the_training_part_of_a_cell(images):
    chosen = options(n_init=2)
    split = make_split(images.labels, images.groups, chosen, 7)
    cells = pretraining_cells(split, chosen, 7)
    assert [c.seed for c in cells] == [7, 8]
    assert set(cells[0].train) == set(split.train) | set(split.validation)


@pytest.mark.parametrize("ema_epochs", [0.0, 0.5])
def test_the_best_epoch_by_validation_loss_is_kept(images, ema_epochs):
    best, rows, _, split = train(images, options(ema_epochs=ema_epochs, learning_rate=0.05))
    losses = [r.values["validation_loss"] for r in rows]
    assert best.best_epoch == 1 + int(np.argmin(losses))
    assert best.score == -min(losses)
    accuracy = float(np.mean(best.probabilities.argmax(1) == images.labels[split.test]))
    assert accuracy == pytest.approx(rows[best.best_epoch - 1].values["test_accuracy"])


def test_the_papers_choice_is_by_test_accuracy_and_needs_no_validation(images):
    best, rows, _, _ = train(images, options(monitor="test", val_size=0.0))
    accuracies = [r.values["test_accuracy"] for r in rows]
    assert best.score == max(accuracies)
    assert best.best_epoch == 1 + accuracies.index(max(accuracies))
    assert "validation_loss" not in rows[0].values


def test_the_last_epoch_is_kept_if_asked_and_the_initialisation_with_the_lowest_training_loss(images):
    chosen = options(monitor="last", val_size=0.0, n_init=3, epochs=4, learning_rate=0.1)
    best, rows, kept, split = train(images, chosen)
    ends = [row.values for row in rows if row.epoch == 4]
    losses = [values["train_loss"] for values in ends]
    assert [one.best_epoch for one in kept] == [4, 4, 4]
    assert (best.position, best.score) == (int(np.argmin(losses)), -min(losses))
    accuracy = float(np.mean(best.probabilities.argmax(1) == images.labels[split.test]))
    assert accuracy == pytest.approx(ends[best.position]["test_accuracy"])


def test_the_last_epoch_leaves_nothing_to_wait_for():
    with pytest.raises(ValueError, match="needs patience = 0"):
        options(monitor="last", patience=3)


@pytest.mark.parametrize("gain", [0.0, 0.02])
def test_patience_stops_after_so_many_epochs_without_a_clearly_better_one(images, gain):
    best, rows, _, _ = train(images, options(epochs=200, patience=3, learning_rate=0.05, min_delta=gain))
    losses = [r.values["validation_loss"] for r in rows]
    clear = [0]
    for i in range(1, len(losses)):
        if losses[i] < losses[clear[-1]] - gain:
            clear.append(i)
    assert len(losses) < 200
    assert len(losses) == clear[-1] + 1 + 3
    assert best.score == -min(losses)


def test_the_best_of_several_initialisations_is_returned(images):
    best, rows, kept, _ = train(images, options(n_init=3, epochs=2))
    assert [k.position for k in kept] == [0, 1, 2]
    assert best.score == max(k.score for k in kept)
    assert {(r.key.cell, r.epoch) for r in rows} == {(p, e) for p in range(3) for e in (1, 2)}


@pytest.mark.parametrize(
    ("ema_epochs", "schedule", "precision"),
    [(0.0, "constant", "single"), (0.5, "cosine", "single"), (0.5, "cosine", "double")],
)
@pytest.mark.sampled(1)
def test_a_search_that_goes_on_after_any_epoch_ends_the_same(images, ema_epochs, schedule, precision):
    chosen = options(
        n_init=2, epochs=8, ema_epochs=ema_epochs, learning_rate=0.05, schedule=schedule, precision=precision
    )
    # labels that nothing can be learned about: the best epoch is not the last one
    images = replace(images, labels=np.random.default_rng(0).permutation(images.labels))
    split = make_split(images.labels, images.groups, chosen, 0)
    whole, _, snapshots, _ = search(images, split, chosen)
    assert whole.best_epoch < 8, "an epoch after the best one is needed, or it could be forgotten"
    for taken in snapshots:
        again = search(images, split, chosen, start=taken)[0]
        assert (again.position, again.best_epoch, again.score) == (whole.position, whole.best_epoch, whole.score)
        assert all(torch.equal(again.state[name], tensor) for name, tensor in whole.state.items())
        assert np.array_equal(again.probabilities, whole.probabilities)


@pytest.mark.parametrize(
    ("schedule", "precision", "tolerance"),
    [("constant", "single", 1e-5), ("cosine", "single", 1e-5), ("cosine", "double", 1.2e-7)],
)
def test_averaged_weights_are_the_exponential_average_of_the_weights_after_each_step(
    images, schedule, precision, tolerance
):
    """Two epochs by hand, w_avg = d w_avg + (1 - d) w with d = exp(-1 / (ema_epochs * steps)), started at step one.

    The learning rate is that of torch's schedulers. In double precision both agree to the last digit of float32.
    """
    from qtlplat.seeding import derive_seed, generator

    chosen = options(epochs=2, ema_epochs=0.5, schedule=schedule, monitor="last", precision=precision)
    best, _, _, split = train(images, chosen)
    torch.manual_seed(derive_seed("backbone", 0))
    model = WholeBackbone(tiny(), 1)
    pixels, labels = torch.tensor(images.images), torch.tensor(images.labels)
    part = torch.from_numpy(split.train)
    model.standardize.fit(pixels[part])
    if precision == "double":
        model.double()
    adam = torch.optim.Adam(model.parameters(), lr=chosen.learning_rate)
    batches = [
        rows
        for epoch in (1, 2)
        for rows in part[torch.randperm(len(part), generator=generator("order", 0, epoch))].split(chosen.batch_size)
    ]
    rates = torch.optim.lr_scheduler
    rate = rates.CosineAnnealingLR(adam, len(batches)) if schedule == "cosine" else rates.ConstantLR(adam, 1.0)
    decay = np.exp(-1 / (0.5 * len(batches) / 2))
    average = None
    for rows in batches:
        adam.zero_grad()
        nn.functional.cross_entropy(model(pixels[rows]), labels[rows]).backward()
        adam.step()
        rate.step()
        now = {n: p.detach().clone() for n, p in model.named_parameters()}
        average = now if average is None else {n: decay * average[n] + (1 - decay) * now[n] for n in now}
    for name, tensor in average.items():
        torch.testing.assert_close(best.state[name], tensor.float(), atol=0.1 * tolerance, rtol=tolerance)


@pytest.mark.parametrize(("precision", "same"), [("single", False), ("double", True)])
def test_sums_in_another_order_give_the_same_weights_in_double_precision(images, precision, same, monkeypatch):
    """Gradients are sums over the parts of a batch, as large as MAP_BYTES; other processors have other orders, too."""

    def build() -> Backbone:
        convolution = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten())
        return Backbone(convolution, (nn.Linear(36, 2),))

    chosen = options(epochs=20, precision=precision, monitor="last")
    split = make_split(images.labels, images.groups, chosen, 0)
    usual = search(images, split, chosen, build=build)[0].state
    monkeypatch.setattr("qtlplat.backbones.fused_conv.MAP_BYTES", 1)
    other = search(images, split, chosen, build=build)[0].state
    assert {tensor.dtype for tensor in usual.values()} == {torch.float32}
    assert all(torch.equal(usual[name], other[name]) for name in usual) is same


def test_standardization_uses_the_training_pixels_only(images):
    best, _, _, split = train(images, options(epochs=1))
    pixels = images.images[split.train].astype(np.float64)
    assert float(best.state["standardize.mean"]) == pytest.approx(pixels.mean(), rel=1e-6)
    assert float(best.state["standardize.std"]) == pytest.approx(pixels.std(), rel=1e-6)


def test_same_seed_gives_the_same_weights(images):
    first, second, other = (train(images, options(), seed)[0] for seed in (1, 1, 2))
    assert all(torch.equal(first.state[n], second.state[n]) for n in first.state)
    assert not all(torch.equal(first.state[n], other.state[n]) for n in first.state)


def test_what_an_accelerator_computes_comes_back_on_the_cpu(images, tmp_path):
    chosen = options(epochs=1)
    split = make_split(images.labels, images.groups, chosen, 0)
    best = search(images, split, chosen)[0]
    assert {t.device.type for t in best.state.values()} == {"cpu"}
    model = WholeBackbone(tiny(), 1)
    model.load_state_dict(best.state)
    features, path, found = frozen_features(model, 1, images, tmp_path, "key", Silent(), accelerator="cpu")
    with torch.no_grad():
        torch.testing.assert_close(features, model.kept(torch.tensor(images.images), 1))
    assert (features.device.type, path.exists(), found) == ("cpu", True, False)


def test_a_loss_that_is_not_finite_stops_with_the_step_named(images):
    with pytest.raises(TrainingError, match="the loss became") as caught:
        train(images, options(learning_rate=1e30))
    assert "seed 0, epoch 1, step" in caught.value.where


@pytest.mark.parametrize("broken", [None, "weight", "bias"])
def test_the_first_tensor_that_is_not_finite_is_named(images, broken):
    """Where all weights are, it is what the network makes of them."""

    def build() -> Backbone:
        backbone = tiny()
        if broken:
            getattr(backbone.dense[-1], broken).data.fill_(float("nan"))
        else:
            backbone.features.append(Infinite())
        return backbone

    split = make_split(images.labels, images.groups, options(), 0)
    with pytest.raises(TrainingError, match="the loss became nan in ") as caught:
        search(images, split, options(), build=build)
    named = caught.value.what.rpartition(" in ")[2]
    assert named.endswith(f".{broken}") if broken else named == "the logits"


class Infinite(nn.Module):
    """Makes no number of anything."""

    def forward(self, x):
        return x * float("nan")


def test_a_loss_that_is_not_finite_changes_no_weight():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    before = {name: t.clone() for name, t in model.state_dict().items()}
    loss, _ = BackboneTrainer(model, 0.1, 0.9).step(torch.full((2, 1, 2, 2), float("nan")), torch.tensor([0, 1]))
    assert np.isnan(loss)
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
