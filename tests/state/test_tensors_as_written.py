"""What is written or hashed is the value of a tensor, whatever torch has only marked, shared or laid out."""

import shlex
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from qtlplat.backbones.features import frozen_features
from qtlplat.backbones.model import WholeBackbone
from qtlplat.catalog.reopen import stored_images
from qtlplat.cli.app import _run
from qtlplat.cli.components import open_components
from qtlplat.cli.settings import Settings
from qtlplat.contracts import Backbone, ImageSet
from qtlplat.errors import PluginError
from qtlplat.models.loaded import open_trained
from qtlplat.progress import Silent
from qtlplat.runs.preflight import try_head
from qtlplat.state.checkpoints import Checkpoints
from qtlplat.state.snapshots import Snapshot, below, require_same
from qtlplat.state.weights import decode, encode, load_weights, plain, save_weights
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

Z = torch.tensor([[1 + 2j, 3 - 4j, -5j], [0.5, -1, 2 + 2j]])
ROW = torch.arange(12.0)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch calls it experimental
    HALF = Z.to(torch.complex32)
TENSORS = {
    "conjugated": Z.conj(),
    "conjugated in double precision": Z.to(torch.complex128).conj(),
    "conjugated in half precision": HALF.conj(),
    "conjugated and transposed": Z.conj().T,
    "conjugated without dimensions": Z[0, 0].conj(),
    "conjugated without elements": Z[:0].conj(),
    "conjugated and expanded": Z[:1].conj().expand(4, 3),
    "conjugated parameter": nn.Parameter(Z.conj()),
    "negated": Z.conj().imag,
    "negated, of one element": Z[:1, :1].conj().imag,
    "negated without dimensions": Z[0, 0].conj().imag,
    "negated in double precision": Z.to(torch.complex128)[:1, :1].conj().imag,
    "expanded": torch.tensor([1.5]).expand(3, 2),
    "sliced": ROW[3:7],
    "with steps": ROW[::3],
    "overlapping": ROW.as_strided((4, 3), (2, 1)),
    "transposed": ROW.reshape(3, 4).T,
    "channels last": torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "without dimensions": torch.tensor(2.5),
    "without elements": torch.zeros(0, 3),
    "bfloat16": torch.rand(3).bfloat16(),
    "eight bits": torch.rand(3).to(torch.float8_e4m3fn),
    "truth": torch.tensor([True, False]),
    "unsigned": torch.tensor([1, 2**63], dtype=torch.uint64),
    "complex": Z,
    "complex in double precision": Z.to(torch.complex128),
    "NaN": torch.tensor([float("nan"), -0.0, float("inf")]),
    "of NumPy": torch.from_numpy(np.arange(6, dtype=np.int32)[::2].copy()),
}
REFUSED = {
    "sparse": torch.eye(3).to_sparse(),
    "of another library": torch.eye(3).to_mkldnn(),
    "no tensor": {"a": 1},
}


def bits(tensor: torch.Tensor) -> tuple[object, ...]:
    """Value, bit for bit, found by a way of its own: element by element."""
    flat = [tensor.detach()[index] for index in np.ndindex(*tensor.shape)]
    return (
        tensor.dtype,
        tuple(tensor.shape),
        [torch.view_as_real(one.clone()).tolist() if one.is_complex() else repr(one.item()) for one in flat],
    )


@pytest.mark.parametrize("name", TENSORS)
def test_every_writer_and_hash_sees_the_value(name: str, tmp_path: Path) -> None:
    tensor, value = TENSORS[name], bits(TENSORS[name])
    assert bits(plain(tensor)) == value
    (found,) = decode(encode({"x": tensor}, {})).values()
    assert bits(found) == value
    ready = torch.empty_like(tensor, memory_format=torch.contiguous_format).copy_(tensor.detach())
    path, digest = save_weights(tmp_path, {"x": tensor}, {})
    assert (path, digest) == save_weights(tmp_path, {"x": ready}, {}), "equal values have equal digests"
    assert bits(load_weights(path, digest)["x"]) == value
    copied = below("b", {"x": tensor})["b.x"]
    assert bits(copied) == value
    assert not tensor.numel() or copied.untyped_storage().data_ptr() != tensor.untyped_storage().data_ptr()
    with Checkpoints(tmp_path / "run", lambda _note: None) as checkpoints:
        checkpoints.save(Snapshot({"x": tensor}, {}))
    with Checkpoints(tmp_path / "run", lambda _note: None) as checkpoints:
        taken = checkpoints.take_up(lambda _one: None)
    assert bits(taken.tensors["x"]) == value
    require_same(taken, Snapshot({"x": tensor}, {}))


def test_tensors_that_share_memory_are_written_once_each() -> None:
    tensors = {"a": ROW, "b": ROW, "c": ROW[2:5], "d": ROW[:0], "e": ROW.reshape(3, 4).T, "f": Z.conj(), "g": Z}
    found = decode(encode(tensors, {}))
    assert {name: bits(t) for name, t in found.items()} == {name: bits(t) for name, t in tensors.items()}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_stored_is_refused_before_any_work(name: str) -> None:
    class Odd(nn.Linear):
        def get_extra_state(self) -> object:
            return REFUSED[name]

        def set_extra_state(self, state: object) -> None:
            """Nothing."""

    with pytest.raises(PluginError, match=r"the head cannot be stored: '_extra_state' (is of type|has layout)"):
        try_head(lambda: Odd(4, 2), 4, 2, "stranger")


def test_frozen_features_are_written_as_they_are(tmp_path: Path) -> None:
    class Negated(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.complex(x.mean((1, 2, 3)), x.amax((1, 2, 3)))[:, None].conj().imag

    pixels = np.arange(5 * 16, dtype=np.uint8).reshape(5, 1, 4, 4)
    ids = tuple("abcde")
    images = ImageSet(pixels, np.array([0, 1, 0, 1, 0]), ids, ids, ("no", "yes"))
    model = WholeBackbone(Backbone(Negated(), (nn.Linear(1, 2),)), 1)
    for found in (False, True):
        features, _, was_there = frozen_features(model, 1, images, tmp_path, "k", Silent())
        assert was_there == found
        assert features.flatten().tolist() == [-15.0, -31.0, -47.0, -63.0, -79.0]


PLUGIN = '''
"""A backbone and a head with lazily conjugated weights, that tell a value from its conjugate."""
import torch
from torch import nn
from qtlplat import Backbone, BackboneSpec, HeadSpec, hookimpl

qtlplat_api_version = (1, 0)


class Turned(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.turn = nn.Parameter(torch.complex(torch.rand(n), torch.rand(n)).conj(), requires_grad=False)
        self.register_buffer("fixed", torch.complex(torch.rand(n), torch.rand(n)).conj())
        self.register_buffer("minus", torch.complex(torch.rand(n), torch.rand(n)).conj().imag)
        self.register_buffer("precise", torch.complex(torch.rand(2), torch.rand(2)).to(torch.complex128).conj())

    def forward(self, x):
        turned = (x * self.turn * self.fixed).imag
        return x + turned + self.minus + self.precise.imag.sum().float()


def backbone(options, input_shape, n_classes):
    features = nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Flatten(), Turned(9))
    return Backbone(features, (nn.Linear(9, n_classes),))


def head(options, in_features, n_classes):
    return nn.Sequential(Turned(in_features), nn.Linear(in_features, n_classes))


@hookimpl
def qtlplat_backbones():
    return [BackboneSpec(name="turned-net", summary="with complex weights", build=backbone)]


@hookimpl
def qtlplat_heads():
    return [HeadSpec(name="turned", summary="with complex weights", build=head)]
'''


@pytest.mark.slow
def test_a_trained_model_is_the_one_that_was_stored(install, tmp_path: Path, monkeypatch) -> None:
    install("turned", "turned_plugin", PLUGIN)
    store = tmp_path / "runs.db"
    monkeypatch.setenv("QTLPLAT_STORE", str(store))
    line = (
        "run --dataset 'steel-synth[per_class=12]' --backbone turned-net --head turned --evaluator 'kfold[folds=2]' "
        "--epochs 2 --pretrain-epochs 2 --n-init 1 -q"
    )
    assert _run(shlex.split(line)) == 0
    assert _run(["export", "@last", "--output", str(tmp_path / "bundle.zip"), "-q"]) == 0
    _, catalog = open_components(Settings())
    for place in (store, tmp_path / "other.db"):
        if place != store:
            assert _run(["import", str(tmp_path / "bundle.zip"), "--store", str(place), "-q"]) == 0
        reader = Reader(find_store(str(place)))
        (record,) = reader.runs(kind="run")

        images = stored_images(record.plan, record.dataset_digest, catalog)
        probabilities = open_trained(reader, record, catalog).probabilities(images.images)
        number = {sample: i for i, sample in enumerate(images.sample_ids)}
        for row in reader.predictions(record.id):
            ours = probabilities[row.cell, number[row.sample_id]]
            # the stack adds up in another order; a weight that is not conjugated changes the first digits
            np.testing.assert_allclose(ours, row.probabilities, rtol=0, atol=1e-6)
