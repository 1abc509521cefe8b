"""Heads trained together equal heads trained one by one, and everything random follows from the seeds."""

import functools
from contextlib import closing

import numpy as np
import pytest
import torch
from torch import nn

from qtlplat.backbones.model import HeadFactory
from qtlplat.catalog.plan import TrainingOptions
from qtlplat.contracts import Cell
from qtlplat.errors import TrainingError
from qtlplat.heads.fit import HeadTraining, Limits, why_not_stackable
from qtlplat.heads.lockstep import Task
from qtlplat.quantum.devices.engines import choose_engine
from qtlplat.state.epochs import CellKey
from qtlplat.state.snapshots import UnfitError
from qtlplat_dressed import circuit, qtlplat_heads
from qtlplat_dressed.options import DressedOptions

N, F = 60, 6


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    features = torch.tensor(rng.normal(size=(N, F)), dtype=torch.float32)
    return features, (features[:, 0] + features[:, 1] > 0).long()


def folds(n=N, d=3, seed=0):
    everything = np.arange(n, dtype=np.int64)
    return [Cell(f, seed, np.setdiff1d(everything, everything[f::d]), everything[f::d]) for f in range(d)]


@functools.cache
def dressed(device="compiled"):
    options = DressedOptions(qubits=2, layers=1)
    return HeadFactory(qtlplat_heads()[0], options, F, 2, choose_engine(circuit(options), device))


def mlp():
    return nn.Sequential(nn.Linear(F, 4), nn.Tanh(), nn.Linear(4, 2))


def normalised():
    return nn.Sequential(nn.BatchNorm1d(F), nn.Linear(F, 2))


class Unstackable(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(F, 2)

    def forward(self, x):
        return self.layer(x) if float(x.detach().abs().max()) < 1e9 else x[:, :2]


OPTIONS = TrainingOptions(epochs=3, learning_rate=0.05, batch_size=16)


def train(tasks, cells, features, start=None, options=OPTIONS, **settings):
    """The fitted cells, the rows of all epochs, a snapshot after each."""
    training = HeadTraining(tasks, cells, [features] * len(cells), options, **settings)
    if start:
        training.restore(start)
    rows, taken = [], []
    for epoch in filter(None, training.run()):
        rows.extend(epoch.rows)
        taken.append(epoch.snapshot())
    return training.fitted, rows, taken


def fit(make, data, cells, stack=True, **changes):
    features, labels = data
    return train([Task(make, labels, stack)], cells, features, options=OPTIONS.model_copy(update=changes))[:2]


@pytest.mark.parametrize("make", [dressed(), mlp], ids=["dressed", "mlp"])
def test_stacked_cells_equal_cells_trained_one_by_one(make, data):
    cells = folds(59)  # folds of 20, 20 and 19 samples: the last batches differ in length
    together, rows = fit(make, data, cells)
    alone, rows_alone = fit(make, data, cells, stack=False)
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    # Weights are not compared: where a gradient is exactly zero (a rotation about the measured axis), Adam follows
    # rounding errors, and the weight drifts without changing any prediction.
    by_key = {(r.key, r.epoch): r.values for r in rows_alone}
    assert len(rows) == len(by_key) == 9
    for row in rows:
        assert row.values == pytest.approx(by_key[row.key, row.epoch], abs=1e-5)


def test_training_equals_a_plain_torch_loop(data):
    """An independent answer: Adam on the mean cross-entropy, batches in the documented order."""
    from qtlplat.seeding import derive_seed, generator

    (cell,) = folds()[:1]
    (fitted,), _ = fit(mlp, data, [cell])
    features, labels = data
    torch.manual_seed(derive_seed("head", cell.seed, cell.fold))
    model = mlp()
    adam = torch.optim.Adam(model.parameters(), lr=0.05)
    train = torch.from_numpy(cell.train)
    for epoch in (1, 2, 3):
        order = train[torch.randperm(len(train), generator=generator("order", cell.seed, cell.fold, epoch))]
        for batch in order.split(16):
            adam.zero_grad()
            nn.functional.cross_entropy(model(features[batch]), labels[batch]).backward()
            adam.step()
    expected = model(features[torch.from_numpy(cell.test)]).softmax(1).detach().numpy()
    np.testing.assert_allclose(fitted.probabilities, expected, atol=1e-6)


def test_cells_with_unequal_numbers_of_steps_all_train(data):
    everything = np.arange(N, dtype=np.int64)
    cells = [Cell(0, 0, everything[:16], everything[40:]), Cell(1, 0, everything[:17], everything[40:])]
    fitted, rows = fit(mlp, data, cells)
    assert [f.key for f in fitted] == [(0, 0), (0, 1)]
    assert len(rows) == 6


def test_same_seed_gives_bitwise_equal_results_and_another_seed_does_not(data):
    first, first_rows = fit(dressed(), data, folds())
    second, second_rows = fit(dressed(), data, folds())
    other, _ = fit(dressed(), data, folds(seed=1))
    assert [r.values for r in first_rows] == [r.values for r in second_rows]
    assert all(np.array_equal(a.probabilities, b.probabilities) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0].probabilities, other[0].probabilities)


def test_fitting_leaves_the_global_generator_alone(data):
    before = torch.random.get_rng_state()
    fit(mlp, data, folds())
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_head_that_cannot_be_vectorised_gives_a_reason_and_trains_cell_by_cell(data):
    reason = why_not_stackable(Unstackable, F)
    assert reason
    assert why_not_stackable(dressed(), F) == ""
    assert "rest of the batch" in why_not_stackable(normalised, F)
    fitted, _ = fit(Unstackable, data, folds(), stack=not reason)
    assert len(fitted) == 3


def test_a_loss_that_is_not_finite_names_cell_epoch_and_step(data):
    features, labels = data[0].clone(), data[1]
    features[folds()[1].train[0]] = float("inf")
    with pytest.raises(TrainingError, match="loss became") as caught:
        fit(mlp, (features, labels), folds())
    assert "epoch 1, step" in caught.value.where


def test_a_batch_larger_than_the_training_part_is_the_training_part(data):
    cells = folds()
    (one, *_), _ = fit(mlp, data, cells, batch_size=4096)
    (other, *_), _ = fit(mlp, data, cells, batch_size=len(cells[0].train))
    np.testing.assert_array_equal(one.probabilities, other.probabilities)


def dropping():
    return nn.Sequential(nn.Linear(F, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 2))


def test_variants_in_lockstep_come_out_as_each_would_alone(data):
    """Bit for bit, random numbers included: controls beside a head change nothing about it."""
    features, labels = data
    shuffled = labels[torch.randperm(N, generator=torch.Generator().manual_seed(0))]
    tasks = [
        Task(dressed(), labels),
        Task(dropping, labels),
        Task(dropping, shuffled),
        Task(Unstackable, labels, False),
    ]
    together, _, _ = train(tasks, folds(), features)
    assert [one.key for one in together] == [(task, cell) for task in range(4) for cell in range(3)]
    assert [one.key.position(3) for one in together] == list(range(12))
    for number, task in enumerate(tasks):
        for one in train([task], folds(), features)[0]:
            other = together[CellKey(number, one.key.cell).position(3)]
            assert np.array_equal(one.probabilities, other.probabilities)
            assert all(torch.equal(tensor, other.state[name]) for name, tensor in one.state.items())
    assert not np.array_equal(together[3].probabilities, together[6].probabilities)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("at", [1, 2, 3, 4, 7, 9])
def test_training_goes_on_from_any_snapshot_bit_for_bit(at, data):
    features, labels = data
    tasks = [Task(dropping, labels), Task(dressed(), labels), Task(Unstackable, labels, stack=False)]
    whole, rows, taken = train(tasks, folds(), features, limits=Limits(cells=2))
    rest, rows_again, _ = train(tasks, folds(), features, taken[at - 1], limits=Limits(cells=2))
    assert len(taken) == 2 * 3 + 3 * 3
    assert [row.values for row in rows_again] == [row.values for row in rows[-len(rows_again) :]]
    for one, other in zip(whole, rest, strict=True):
        assert one.key == other.key
        assert np.array_equal(one.probabilities, other.probabilities)
        assert all(torch.equal(tensor, other.state[name]) for name, tensor in one.state.items())


@pytest.mark.parametrize("stack", [True, False])
def test_cells_with_features_of_their_own_come_out_as_each_would_alone(stack, data):
    """Of several backbones: every cell sees its own features, and the labels are those of the samples."""
    features, labels = data
    ones = [features, features.flip(1) * 2, features]
    task = Task(mlp, labels, stack)
    training = HeadTraining([task], folds(), ones, OPTIONS)
    rows = [row for epoch in filter(None, training.run()) for row in epoch.rows]
    for number, (cell, own) in enumerate(zip(folds(), ones, strict=True)):
        (alone,), expected, _ = train([task], [cell], own)
        np.testing.assert_allclose(training.fitted[number].probabilities, alone.probabilities, atol=1e-6)
        mine = [row.values for row in rows if row.key.cell == number]
        assert mine == [pytest.approx(row.values, abs=1e-6) for row in expected]


def test_a_snapshot_that_does_not_fit_changes_nothing(data):
    """Training continues from the previous one."""
    features, labels = data
    task, other = Task(mlp, labels), Task(dressed(), labels)
    whole, _, taken = train([task], folds(), features)
    _, _, strange = train([other], folds(), features)
    training = HeadTraining([task], folds(), [features] * 3, OPTIONS)
    training.restore(taken[0])
    with pytest.raises(UnfitError):
        training.restore(strange[1])
    assert training.rows == 3
    assert len(list(filter(None, training.run()))) == 2
    for one, again in zip(whole, training.fitted, strict=True):
        assert np.array_equal(one.probabilities, again.probabilities)


def test_whoever_stops_in_the_middle_gets_the_global_generator_back(data):
    features, labels = data
    before = torch.random.get_rng_state()
    with closing(HeadTraining([Task(mlp, labels)], folds(), [features] * 3, OPTIONS).run()) as epochs:
        assert next(epochs) is None
    assert torch.equal(before, torch.random.get_rng_state())
