"""Weights and features in a store that somebody else wrote: nothing is run, nothing that does not fit is used."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_files import FILES, Evil, torch_pickle
from outcome import assert_fine, assert_refused, assert_sound, here, nothing_lost
from safetensors.torch import load_file, save_file
from sampling import sampled

STORE = Path("s.db")
RUN = "run --dataset squares --backbone net --evaluator half --epochs 1 --pretrain-epochs 1 --store s.db".split()


@pytest.fixture
def stored(faulty: Callable[..., None]) -> Path:
    """A finished run of the sound plugin; returns the file of its backbone's weights."""
    faulty()
    assert_fine(here(*RUN, "--head", "dense"))
    with contextlib.closing(sqlite3.connect(STORE)) as db:
        query = "SELECT path FROM artifacts JOIN runs ON runs.id = run_id WHERE runs.kind = 'pretraining'"
        ((path,),) = db.execute(query).fetchall()
    return Path("s.files", path)


def forge(weights: Path, data: bytes) -> None:
    """Replace weights, and what the store knows of them, so that they look as if they had been saved so."""
    weights.write_bytes(data)
    with contextlib.closing(sqlite3.connect(STORE)) as db, db:
        change = "UPDATE artifacts SET sha256 = ?, bytes = ? WHERE path = ?"
        db.execute(change, (hashlib.sha256(data).hexdigest(), len(data), weights.relative_to("s.files").as_posix()))


def test_no_pickle_is_ever_loaded(stored: Path) -> None:
    forge(stored, torch_pickle())
    with nothing_lost(STORE):
        assert_refused(here(*RUN, "--head", "linear"), 8, "weights are no safetensors file")
    assert not Path("ran").exists()


@pytest.mark.slow
def test_weights_that_hold_something_else(stored: Path) -> None:
    for make in FILES.values():
        forge(stored, make())
        with nothing_lost(STORE):
            assert_refused(here(*RUN, "--head", "linear"), 8, "weights are no safetensors file", str(stored.name))
        assert not Path("ran").exists()


@pytest.mark.slow
def test_weights_of_another_network(stored: Path) -> None:
    sound = load_file(stored)
    changes = {
        "another shape": {**sound, "dense.1.weight": torch.ones(9, 9)},
        "another name": {**sound, "evil": torch.ones(1)},
        "a name missing": {k: v for k, v in sound.items() if k != "dense.1.weight"},
        "nothing at all": {"x": torch.zeros(0)},
    }
    for tensors in changes.values():
        save_file(tensors, "forged")
        forge(stored, Path("forged").read_bytes())
        with nothing_lost(STORE):
            assert_refused(here(*RUN, "--head", "linear"), 8, "weights do not fit the backbone")


@pytest.mark.parametrize("place", sampled(["changed", "gone", "folder", "pipe"], 4))
def test_weights_that_are_not_what_was_saved_are_trained_again(place: str, stored: Path) -> None:
    data = stored.read_bytes()
    stored.unlink()
    {
        "gone": lambda: None,
        "folder": stored.mkdir,
        "pipe": lambda: os.mkfifo(stored),
        "changed": lambda: stored.write_bytes(data[:-1] + b"\1"),
    }[place]()
    done = here(*RUN, "--head", "linear")
    assert "cannot be used, training again" in done.err
    if done.code:  # a file cannot be written in place of a folder
        assert_refused(done, 5)
    else:
        assert_sound(STORE)


def npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.ones(3))
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


CACHES: dict[str, Callable[[], bytes]] = {
    "a pickle": lambda: pickle.dumps(Evil()),
    "objects": lambda: npy(np.array([Evil()], dtype=object)),
    "an archive": npz,
    "another number of samples": lambda: npy(np.ones((3, 16), np.float32)),
    "another number of features": lambda: npy(np.ones((16, 5), np.float32)),
    "another dtype": lambda: npy(np.ones((16, 16))),
    "another number of axes": lambda: npy(np.ones(16, np.float32)),
    "values that are not finite": lambda: npy(np.full((16, 16), np.nan, np.float32)),
    "a header that lies": lambda: b"\x93NUMPY\1\0\xff\xff{'descr': '<f4', 'shape': (2**60,)}",
    "nothing": lambda: b"",
}


@pytest.mark.slow
def test_features_that_somebody_made_are_computed_again(faulty: Callable[..., None]) -> None:
    faulty()
    assert_fine(here(*RUN, "--head", "dense"))
    (file,) = Path("s.files/features").glob("*.npy")
    sound = file.read_bytes()
    for make in CACHES.values():
        forged = make()
        file.write_bytes(forged)
        file.with_suffix(".sha256").write_text(hashlib.sha256(forged).hexdigest())
        done = here(*RUN, "--head", "dense")
        assert_fine(done)
        assert "frozen features found" not in done.err
        assert file.read_bytes() == sound
        assert not Path("ran").exists()
