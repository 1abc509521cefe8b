"""Weights and features in a store that somebody else wrote: nothing is run, nothing that does not fit is used."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from outcome import assert_fine, assert_refused, assert_sound, here, nothing_lost
from safetensors.torch import load_file, save_file
from sampling import sampled

STORE = Path("s.db")
RUN = "run --dataset squares --backbone net --evaluator half --epochs 1 --pretrain-epochs 1 --store s.db".split()


class Evil:
    """Leaves a file behind where a pickle of it is loaded."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (Path.touch, (Path("ran").absolute(),))  # type: ignore[return-value]


def header(facts: object, body: bytes = b"") -> bytes:
    text = facts if isinstance(facts, bytes) else json.dumps(facts).encode()
    return len(text).to_bytes(8, "little") + text + body


def tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}}


def torch_pickle() -> bytes:
    out = io.BytesIO()
    torch.save({"w": torch.ones(2), "evil": Evil()}, out)
    return out.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "a pickle": lambda: pickle.dumps(Evil()),
    "a file of torch.save": torch_pickle,
    "nothing": lambda: b"",
    "text": lambda: b"no weights",
    "a page": lambda: b"<!DOCTYPE html>" * 99,
    "a header that never ends": lambda: (2**62).to_bytes(8, "little") + b"{}",
    "a header of 200 MB": lambda: (200_000_000).to_bytes(8, "little") + b"{}",
    "a header that is no JSON": lambda: header(b"{'w'"),
    "a header of deep lists": lambda: header(b"[" * 100_000),
    "a header that is a list": lambda: header([1]),
    "a tensor beyond the end": lambda: header(tensor([100], 0, 400)),
    "a tensor before its start": lambda: header(tensor([1], 8, 4), bytes(8)),
    "a tensor of another size": lambda: header(tensor([3], 0, 4), bytes(4)),
    "a tensor of a huge shape": lambda: header(tensor([2**40, 2**40], 0, 4), bytes(4)),
    "an unknown dtype": lambda: header(tensor([1], 0, 4, "EVIL"), bytes(4)),
    "bytes left over": lambda: header(tensor([1], 0, 4), bytes(99)),
}


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
