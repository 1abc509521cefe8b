"""Checkpoints: two are kept, what is damaged is found, what is read is what was written, bit for bit."""

import json
import random

import pytest
import safetensors.torch
import torch
from torch import nn

from qtlplat.errors import StoreError
from qtlplat.state.checkpoints import Checkpoints
from qtlplat.state.optimizer import Adam
from qtlplat.state.snapshots import Snapshot, below
from qtlplat.state.weights import encode


def snapshot(number):
    tensors = {"a.weight": torch.full((3, 2), float(number)), "a.count": torch.tensor(number), "b": torch.rand(4)}
    return Snapshot(tensors, {"epoch": number, "score": (0.1 * number).hex()})


def same(one, other):
    return one.facts == other.facts and all(torch.equal(one.tensors[n], other.tensors[n]) for n in other.tensors)


@pytest.fixture
def notes():
    return []


@pytest.fixture
def kept(tmp_path, notes):
    """A directory with three checkpoints, of which two are left, and the snapshots."""
    ones = [snapshot(n) for n in (1, 2, 3)]
    with Checkpoints(tmp_path / "run", notes.append) as checkpoints:
        for one in ones:
            checkpoints.save(one)
    return tmp_path / "run", ones


def load(directory, notes):
    with Checkpoints(directory, notes.append) as checkpoints:
        return checkpoints.take_up(lambda _one: None)


def test_the_newest_is_read_and_two_are_kept(kept, notes):
    directory, ones = kept
    assert sorted(p.name for p in directory.iterdir()) == [
        "000002.json", "000002.safetensors", "000003.json", "000003.safetensors",
    ]  # fmt: skip
    assert same(load(directory, notes), ones[2])
    assert notes == []


def test_equal_snapshots_give_equal_bytes(tmp_path, notes):
    one = snapshot(1)
    for name in ("a", "b"):
        with Checkpoints(tmp_path / name / "run", notes.append) as checkpoints:
            checkpoints.save(one)
    for name in ("000001.json", "000001.safetensors"):
        assert (tmp_path / "a" / "run" / name).read_bytes() == (tmp_path / "b" / "run" / name).read_bytes()


def test_100_of_100_bit_flips_are_found_and_the_older_one_is_used(kept, notes):
    directory, ones = kept
    draw = random.Random(0)
    for number in range(100):
        path = directory / ("000003.json" if number % 2 else "000003.safetensors")
        whole = path.read_bytes()
        broken = bytearray(whole)
        broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
        path.write_bytes(broken)
        assert same(load(directory, notes), ones[1])
        path.write_bytes(whole)
    assert len(notes) == 100
    assert all("000003.json is damaged and not used" in note for note in notes)
    assert same(load(directory, notes), ones[2])


@pytest.mark.parametrize("cut", [0, 1, 40, -1])
@pytest.mark.parametrize("name", ["000003.json", "000003.safetensors"])
def test_a_file_that_was_cut_short_is_found(cut, name, kept, notes):
    directory, ones = kept
    path = directory / name
    path.write_bytes(path.read_bytes()[:cut])
    assert same(load(directory, notes), ones[1])
    assert len(notes) == 1


def test_tensors_without_a_manifest_are_no_checkpoint(kept, notes):
    """As after a kill between the two files."""
    directory, ones = kept
    (directory / "000003.json").unlink()
    assert same(load(directory, notes), ones[1])
    assert notes == []
    for name in ("000002.json", "000003.safetensors"):
        (directory / name).unlink()
    assert load(directory, notes) is None


def test_after_a_damaged_one_the_next_takes_its_place(kept, notes):
    directory, _ = kept
    (directory / "000003.safetensors").write_bytes(b"nothing")
    with Checkpoints(directory, notes.append) as checkpoints:
        checkpoints.take_up(lambda _one: None)
        checkpoints.save(snapshot(33))
    assert load(directory, notes).facts["epoch"] == 33
    assert json.loads((directory / "000003.json").read_text())["facts"]["epoch"] == 33


def test_a_disk_that_is_full_is_an_error_of_the_next_save(tmp_path, notes, monkeypatch):
    def full(*_):
        raise StoreError("cannot write: No space left on device")

    monkeypatch.setattr("qtlplat.state.checkpoints.write_atomically", full)
    with Checkpoints(tmp_path / "run", notes.append) as checkpoints:
        checkpoints.save(snapshot(1))
        with pytest.raises(StoreError, match="No space"):
            checkpoints.save(snapshot(2))


def test_what_stopped_training_is_told_before_a_checkpoint_that_failed(tmp_path, notes, monkeypatch):
    def full(*_):
        raise StoreError("cannot write: No space left on device")

    monkeypatch.setattr("qtlplat.state.checkpoints.write_atomically", full)

    def train():
        with Checkpoints(tmp_path / "run", notes.append) as checkpoints:
            checkpoints.save(snapshot(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("fused", [True, False])
def test_an_optimizer_goes_on_bit_for_bit(layout, fused):
    """As torch's own; also with weights whose order in memory is not that of their indices, which no file keeps."""
    images = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))

    def model():
        torch.manual_seed(0)
        return nn.Conv2d(3, 4, 3).to(memory_format=layout)

    def steps(net, adam, n):
        for _ in range(n):
            adam.zero_grad()
            net(images).square().sum().backward()
            adam.step()

    whole, halves = model(), model()
    adam = torch.optim.Adam(whole.parameters(), fused=fused)
    steps(whole, adam, 10)
    first = Adam(halves.parameters(), 1e-3, fused=fused)
    steps(halves, first, 4)
    saved = safetensors.torch.load(encode(below("adam", first.tensors()), {}))
    second = Adam(halves.parameters(), 1e-3, fused=fused)
    second.load(Snapshot(saved).part("adam"))
    steps(halves, second, 6)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), halves.parameters(), strict=True))


def test_a_file_in_the_place_of_the_checkpoints_is_told_and_replaced(tmp_path, notes):
    place = tmp_path / "run"
    place.write_text("mine")
    with Checkpoints(place, notes.append) as checkpoints:
        assert checkpoints.take_up(lambda _one: None) is None
        checkpoints.save(one := snapshot(1))
    assert "is a file in the place of the run's checkpoints" in notes[0]
    with Checkpoints(place, notes.append) as checkpoints:
        assert same(checkpoints.take_up(lambda _one: None), one)
        checkpoints.remove()
    place.write_text("mine")
    with Checkpoints(place, notes.append) as checkpoints:
        checkpoints.remove()
    assert not place.exists()
