"""Each variant and cell gets the learning rate and the epochs that an inner cross-validation by hand would choose."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import StratifiedGroupKFold
from torch import nn

from qtlplat.catalog.plan import TrainingOptions, TuningOptions
from qtlplat.contracts import Cell
from qtlplat.errors import ConfigError, TrainingError
from qtlplat.heads.fit import HeadTraining, Limits
from qtlplat.heads.lockstep import Schedule, Task
from qtlplat.heads.tuning import Tuning, inner_cells
from qtlplat.seeding import derive_seed, generator
from qtlplat.state.epochs import CellKey

N, F = 48, 5
OPTIONS = TuningOptions(learning_rates=(0.003, 0.1), epochs=6, folds=3)
TRAINING = TrainingOptions(epochs=4, learning_rate=0.05, batch_size=16)
GROUPS = [f"image {i // 2}" for i in range(N)]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    features = torch.tensor(rng.normal(size=(N, F)), dtype=torch.float32)
    return features, (features[:, 0] + 0.7 * torch.tensor(rng.normal(size=N)) > 0).long()


def cells(d=2, seed=0):
    everything = np.arange(N, dtype=np.int64)
    return [Cell(f, seed, np.setdiff1d(everything, everything[f::d]), everything[f::d]) for f in range(d)]


def linear():
    return nn.Linear(F, 2)


def mlp():
    return nn.Sequential(nn.Linear(F, 4), nn.Tanh(), nn.Linear(4, 2))


def normalised():
    return nn.Sequential(nn.BatchNorm1d(F), nn.Linear(F, 2))


def tuned(data, makes=(linear, mlp), options=OPTIONS, **changes):
    features, labels = data
    tasks = [Task(make, labels, stack=make is not normalised) for make in makes]
    own = dict(enumerate(cells()))
    tuning = Tuning(tasks, own, dict.fromkeys(own, features), labels.numpy(), GROUPS, options, TRAINING, Limits())
    rows = sum(len(epoch.rows) for epoch in filter(None, tuning.run()))
    assert rows == tuning.all_rows
    return tuning.candidates()


def by_hand(make, features, labels, cell, rate, epochs):
    """Mean test losses after each epoch, by a plain torch loop."""
    torch.manual_seed(derive_seed("head", cell.seed, cell.fold))
    model, train, losses = make(), torch.from_numpy(cell.train), []
    adam = torch.optim.Adam(model.parameters(), lr=rate)
    for epoch in range(1, epochs + 1):
        order = train[torch.randperm(len(train), generator=generator("order", cell.seed, cell.fold, epoch))]
        for batch in order.split(TRAINING.batch_size):
            adam.zero_grad()
            nn.functional.cross_entropy(model(features[batch]), labels[batch]).backward()
            adam.step()
        with torch.no_grad():
            losses.append(float(nn.functional.cross_entropy(model(features[cell.test]), labels[cell.test])))
    return np.array(losses)


def test_the_choice_is_that_of_a_cross_validation_by_hand(data):
    features, labels = data
    found = tuned(data)
    assert [(one.key, one.learning_rate) for one in found] == [
        (CellKey(variant, cell), rate) for variant in (0, 1) for cell in (0, 1) for rate in OPTIONS.learning_rates
    ]
    for one in found:
        make, cell = (linear, mlp)[one.key.variant], cells()[one.key.cell]
        inner = inner_cells(cell, labels.numpy(), GROUPS, 3)
        mean = np.mean([by_hand(make, features, labels, part, one.learning_rate, 6) for part in inner], axis=0)
        assert one.loss == pytest.approx(mean.min(), abs=1e-5)
        assert mean[one.epochs - 1] == pytest.approx(mean.min(), abs=1e-5)


def test_inner_folds_are_those_of_scikit_learn_and_hold_no_test_sample(data):
    labels = data[1].numpy()
    for cell in cells():
        inner = inner_cells(cell, labels, GROUPS, 3)
        expected = StratifiedGroupKFold(3, shuffle=True, random_state=inner[0].seed % 2**32)
        parts = expected.split(cell.train[:, None], labels[cell.train], np.array(GROUPS)[cell.train])
        for one, (train, test) in zip(inner, parts, strict=True):
            assert np.array_equal(one.train, cell.train[train])
            assert np.array_equal(one.test, cell.train[test])
            names = np.array(GROUPS)
            assert not set(names[one.train]) & set(names[one.test])
        assert not np.intersect1d(np.concatenate([one.train for one in inner]), cell.test).size


def test_few_groups_are_divided_and_too_few_samples_refused(data):
    labels = data[1].numpy()
    one_source = ["one image"] * N
    assert len(inner_cells(cells()[0], labels, one_source, 3)) == 3
    few = Cell(4, 0, np.array([*np.flatnonzero(labels == 0)[:2], *np.flatnonzero(labels == 1)[:9]]), np.array([1]))
    with pytest.raises(ConfigError, match=r"3 inner folds need .* fold 4 has 2") as caught:
        inner_cells(few, labels, GROUPS, 3)
    assert "tuning.folds" in caught.value.fix


def test_a_rate_with_which_training_diverges_is_not_chosen(data):
    # a loss that is not finite ends a run, but a candidate that diverges only loses
    class Diverging(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(F, 2))

        def forward(self, x):
            return x @ self.weight / (1 - 2 * self.weight.abs().max()).clamp(min=0)

    found = tuned(data, [Diverging], TuningOptions(learning_rates=(1e-4, 5.0), epochs=3, folds=2))
    assert all(np.isfinite(one.loss) for one in found if one.learning_rate == 1e-4)
    assert {one.loss for one in found if one.learning_rate == 5.0} == {np.inf}
    with pytest.raises(TrainingError, match="diverges with every learning rate from 5 to 5"):
        tuned(data, [Diverging], TuningOptions(learning_rates=(5.0,), epochs=3, folds=2))


@pytest.mark.parametrize("make", [mlp, normalised])
def test_cells_with_schedules_of_their_own_equal_cells_trained_alone(data, make):
    """Rates and epochs differ within a stack; a head whose epochs are over stays as it is, bit for bit."""
    features, labels = data
    keys = [CellKey(0, 0), CellKey(0, 1)]
    schedules = dict(zip(keys, [Schedule(0.1, 2), Schedule(0.01, 5)], strict=True))
    task = Task(make, labels, stack=make is mlp)

    def train(own, stack_of):
        training = HeadTraining([task], cells(), [features] * 2, TRAINING, schedules=own)
        rows = [row for epoch in filter(None, training.run()) for row in epoch.rows if row.key in stack_of]
        return {one.key: one for one in training.fitted if one.key in stack_of}, rows

    together, rows = train(schedules, keys)
    assert [(row.key.cell, row.epoch) for row in rows if row.key.cell == 0] == [(0, 1), (0, 2)]
    assert [row.epoch for row in rows if row.key.cell == 1] == [1, 2, 3, 4, 5]
    for key, schedule in schedules.items():
        alone, _ = train({one: Schedule(schedule.learning_rate, schedule.epochs) for one in keys}, [key])
        for name, tensor in together[key].state.items():
            torch.testing.assert_close(tensor, alone[key].state[name], atol=1e-7, rtol=1e-6)
    short, _ = train({**schedules, keys[1]: Schedule(0.01, 2)}, [keys[0]])
    for name, tensor in short[keys[0]].state.items():
        assert torch.equal(tensor, together[keys[0]].state[name])


def test_a_training_with_schedules_resumes_bit_for_bit(data):
    features, labels = data
    schedules = {CellKey(0, 0): Schedule(0.1, 2), CellKey(0, 1): Schedule(0.01, 5)}

    def training():
        return HeadTraining([Task(mlp, labels)], cells(), [features] * 2, TRAINING, schedules=schedules)

    whole = training()
    taken = [(epoch.snapshot(), whole.rows) for epoch in filter(None, whole.run())]
    assert [rows for _, rows in taken] == [2, 4, 5, 6, 7]
    assert whole.all_rows == 7
    for snapshot, rows in taken:
        resumed = training()
        resumed.restore(snapshot)
        assert resumed.rows == rows
        for _ in resumed.run():
            pass
        for one, other in zip(whole.fitted, resumed.fitted, strict=True):
            assert np.array_equal(one.probabilities, other.probabilities)
            assert all(torch.equal(one.state[name], other.state[name]) for name in one.state)
