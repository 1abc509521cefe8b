"""Weights and features on disk: whole or not at all, named by content, damage noticed."""

import contextlib
import fcntl
import hashlib
import os
import stat

import numpy as np
import pytest
import torch
from torch import nn

from qtlplat.backbones.features import features_key, frozen_features
from qtlplat.backbones.model import WholeBackbone
from qtlplat.contracts import Backbone, ImageSet
from qtlplat.errors import StoreError, TrainingError
from qtlplat.progress import Silent
from qtlplat.state.weights import encode, load_weights, save_weights
from qtlplat.store.core.files import write_atomically

TENSORS = {"b": torch.arange(6.0).view(2, 3), "a": torch.tensor([float("nan"), float("inf")])}


def test_weights_survive_a_round_trip_and_equal_contents_give_equal_bytes(tmp_path):
    path, digest = save_weights(tmp_path, TENSORS, {"epoch": 3})
    loaded = load_weights(path, digest)
    assert set(loaded) == set(TENSORS)
    for name, tensor in TENSORS.items():
        torch.testing.assert_close(loaded[name], tensor, rtol=0, atol=0, equal_nan=True)
    assert encode(TENSORS, {"epoch": 3}) == encode(dict(reversed(TENSORS.items())), {"epoch": 3})


def test_any_flipped_bit_is_noticed(tmp_path):
    path, digest = save_weights(tmp_path, TENSORS, {})
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="weights are damaged"):
            load_weights(path, digest)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        write_atomically(path, b"new")
    assert caught.value.fix == "free some space"
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_process_left_is_deleted_and_what_a_living_one_writes_is_not(tmp_path):
    path = tmp_path / "file[1]"
    left, living, other = (tmp_path / f".{name}.{n}" for name, n in (("file[1]", 1), ("file[1]", 2), ("file1", 3)))
    for one in (left, living, other):
        one.write_bytes(b"half")
    with living.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_atomically(path, b"whole")
        assert {p.name for p in tmp_path.iterdir()} == {path.name, living.name, other.name}
    write_atomically(path, b"again")
    assert {p.name for p in tmp_path.iterdir()} == {path.name, other.name}


def test_files_get_the_modes_that_the_umask_asks_for(tmp_path):
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


@pytest.fixture
def small():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, size=(70, 1, 6, 6)).astype(np.uint8)
    ids = tuple(map(str, range(70)))
    images = ImageSet(pixels, np.arange(70, dtype=np.int64) % 2, ids, ids, ("a", "b"))
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
    return images, WholeBackbone(Backbone(body, (nn.Linear(32, 4), nn.Linear(4, 2))), 1)


@pytest.mark.parametrize(("replaced", "width"), [(2, 32), (1, 4)])
def test_features_are_what_the_kept_layers_yield(tmp_path, small, replaced, width):
    images, model = small
    features, _, found = frozen_features(model, replaced, images, tmp_path, "k", Silent())
    assert (tuple(features.shape), found) == ((70, width), False)
    x = model.features((torch.tensor(images.images).float() - model.standardize.mean) / model.standardize.std)
    expected = x if replaced == 2 else model.dense[0](x)
    torch.testing.assert_close(features, expected.detach(), atol=1e-5, rtol=1e-5)


def test_features_are_found_again_and_damaged_ones_computed_again(tmp_path, small):
    images, model = small
    first, path, _ = frozen_features(model, 2, images, tmp_path, "k", Silent())
    again, _, found = frozen_features(model, 2, images, tmp_path, "k", Silent())
    assert found
    assert torch.equal(first, again)
    path.write_bytes(path.read_bytes()[:-3])
    repaired, _, found = frozen_features(model, 2, images, tmp_path, "k", Silent())
    assert not found
    assert torch.equal(first, repaired)


def test_the_key_depends_on_weights_cut_and_data():
    keys = {features_key(w, r, d) for w in ("w", "v") for r in (1, 2) for d in ("d", "e")}
    assert len(keys) == 8


def test_features_that_are_not_finite_name_the_sample(tmp_path, small):
    images, model = small
    model.standardize.std[:] = 0
    with pytest.raises(TrainingError, match="not finite") as caught:
        frozen_features(model, 2, images, tmp_path, "k", Silent())
    assert caught.value.where == "sample '0'"


@pytest.fixture
def pieces(monkeypatch):
    """Pieces of one batch of 16 samples: five of them for 70."""
    monkeypatch.setattr("qtlplat.backbones.features.BATCH", 16)
    monkeypatch.setattr("qtlplat.backbones.features.PIECE", 16)


def stopped_after(batches, small, directory):
    """Extraction that is stopped after so many batches; returns how many there were."""
    images, model = small
    seen = []

    def stop():
        seen.append(1)
        if len(seen) == batches:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        frozen_features(model, 2, images, directory, "k", Silent(), on_step=stop)
    return len(seen)


def test_features_go_on_where_their_extraction_was_stopped_bit_for_bit(tmp_path, small, pieces):
    images, model = small
    whole, path, _ = frozen_features(model, 2, images, tmp_path / "whole", "k", Silent())
    assert stopped_after(3, small, tmp_path) == 3
    assert len(list((tmp_path / "k").glob("*.npy"))) == 2
    assert stopped_after(99, small, tmp_path) == 3
    assert (tmp_path / "k.npy").read_bytes() == path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["k.npy", "k.sha256", "whole"]
    assert torch.equal(whole, frozen_features(model, 2, images, tmp_path, "k", Silent())[0])


@pytest.mark.parametrize("damage", ["cut", "another width", "gone", "a directory"])
def test_pieces_of_features_that_are_damaged_are_computed_again(tmp_path, small, pieces, damage):
    images, model = small
    stopped_after(4, small, tmp_path)
    piece = tmp_path / "k" / "00000016.npy"
    whole = piece.read_bytes()
    if damage == "another width":
        np.save(piece, np.ones((16, 3), np.float32))
        piece.with_suffix(".sha256").write_text(hashlib.sha256(piece.read_bytes()).hexdigest())
    else:
        piece.unlink()
        if damage == "cut":
            piece.write_bytes(whole[:-1])
        elif damage == "a directory":
            piece = piece.with_suffix(".sha256")
            piece.unlink()
            (piece / "evil").mkdir(parents=True)
    if damage == "a directory":  # in whose place nothing can be written
        with pytest.raises(StoreError, match="a directory is in the place of a file"):
            frozen_features(model, 2, images, tmp_path, "k", Silent())
        return
    assert stopped_after(99, small, tmp_path) == 3
    _, path, _ = frozen_features(model, 2, images, tmp_path / "sound", "k", Silent())
    assert (tmp_path / "k.npy").read_bytes() == path.read_bytes()
