"""Controls: what each of them is, which heads have which, and that the head itself is not changed by them."""

import pennylane as qml
import pytest
import torch
from torch import nn

from qtlplat.backbones.model import HeadFactory, trainable_count
from qtlplat.catalog.plan import CONTROLS
from qtlplat.catalog.provider import Component, Provider
from qtlplat.contracts import Circuit, NoOptions
from qtlplat.errors import ConfigError
from qtlplat.quantum.devices.engines import choose_engine
from qtlplat.quantum.devices.layer import CircuitLayer
from qtlplat.runs.controls import make_variants
from qtlplat.specs import HeadSpec, QuantumHeadSpec
from qtlplat_dressed import circuit, qtlplat_heads
from qtlplat_dressed.options import DressedOptions
from qtlplat_linear import build_linear, nearest_width, qtlplat_controls

F, K = 7, 2
OWNER = Provider("qtlplat", "1", "linear", "qtlplat_linear")
BASELINES = {spec.name: Component(spec, OWNER) for spec in qtlplat_controls()}


def dressed(**options):
    chosen = DressedOptions(**{"qubits": 3, "layers": 2} | options)
    return HeadFactory(qtlplat_heads()[0], chosen, F, K, choose_engine(circuit(chosen)))


def quantum(function, n_outputs, weights=(2,)):
    """A third party's head, with nothing but what the contract asks for."""
    declared = Circuit(function, 2, {"angles": weights}, n_inputs=2, n_outputs=n_outputs)

    def build(_options, in_features, n_classes, circuit):
        return nn.Sequential(nn.Linear(in_features, 2), circuit, nn.Linear(n_outputs, n_classes))

    spec = QuantumHeadSpec(name="theirs", summary="a stranger's", build=build, circuit=lambda _options: declared)
    return HeadFactory(spec, NoOptions(), F, K, choose_engine(declared))


def classical():
    return HeadFactory(HeadSpec(name="linear", summary="one layer", build=build_linear), NoOptions(), F, K, None)


def variants(names, head):
    made, notes = make_variants(names, head, trainable_count(head()), "acme", choose_engine, BASELINES)
    return {variant.name: variant for variant in made}, notes


def fresh(variant):
    torch.manual_seed(0)
    return variant.make_head()


def test_without_controls_there_is_the_head_alone():
    made, notes = variants((), dressed())
    assert list(made) == ["head"]
    assert notes == []


def test_a_dressed_head_has_them_all():
    made, notes = variants(("auto",), dressed())
    assert list(made) == ["head", *CONTROLS]
    assert notes == []
    head = (F + 1) * 3 + 18 + 4 * K
    counts = {name: variant.trainable for name, variant in made.items()}
    assert counts == {
        "head": head,
        "linear": (F + 1) * K,
        "mlp": (F + 1) * 5 + 6 * K,  # 52: the nearest to 50
        "identity": head - 18,
        "unentangled": head,
        "frozen": head - 18,
        "shuffled": head,
    }
    assert counts == {name: trainable_count(fresh(variant)) for name, variant in made.items()}


@pytest.mark.parametrize(("parameters", "width"), [(10_302, 5), (1, 1), (50, 5), (45, 4), (47, 4), (48, 5)])
def test_the_mlp_is_as_wide_as_comes_nearest(parameters, width):
    in_features = 2048 if parameters > 1000 else F
    assert nearest_width(parameters, in_features, K) == width

    def count(w):
        return w * (in_features + 1) + K * (w + 1)

    assert abs(count(width) - parameters) <= min(abs(count(w) - parameters) for w in range(1, width + 9))


def test_identity_takes_the_circuit_out_and_leaves_the_rest():
    made, _ = variants(("identity",), dressed())
    head = fresh(made["identity"])
    own = fresh(made["head"])
    assert torch.equal(head.pre_net.weight, own.pre_net.weight)
    assert torch.equal(head.post_net.weight, own.post_net.weight)
    x = torch.rand(4, F)
    expected = head.post_net(torch.relu(torch.tanh(head.pre_net(x))))
    torch.testing.assert_close(head(x), expected)


def test_frozen_has_the_weights_of_the_head_and_never_changes_those_of_the_circuit():
    made, _ = variants(("frozen",), dressed())
    head, frozen = fresh(made["head"]), fresh(made["frozen"])
    assert all(torch.equal(a, b) for a, b in zip(head.parameters(), frozen.parameters(), strict=True))
    (layer,) = (m for m in frozen.modules() if isinstance(m, CircuitLayer))
    assert not any(p.requires_grad for p in layer.parameters())
    assert frozen.pre_net.weight.requires_grad


def test_shuffled_is_the_head_itself_on_other_labels():
    made, _ = variants(("shuffled",), dressed())
    assert made["shuffled"].shuffled
    assert made["shuffled"].make_head is made["head"].make_head


def test_a_classical_head_has_the_classical_ones():
    made, notes = variants(("auto",), classical())
    assert list(made) == ["head", "linear", "mlp", "shuffled"]
    assert notes == [f"no control {name}: it has no circuit" for name in ("identity", "unentangled", "frozen")]


def test_a_strangers_circuit_gets_what_fits_it():
    def product(inputs, wires, angles):
        qml.AngleEmbedding(inputs, wires=wires)
        qml.RY(angles[0], wires[0])
        return [qml.probs(wires=wires)]

    made, notes = variants(("auto",), quantum(product, 4))
    assert list(made) == ["head", "linear", "mlp", "frozen", "shuffled"]
    assert notes == [
        "no control identity: its circuit takes 2 numbers and returns 4",
        "no control unentangled: its circuit has no entangling gates",
    ]


def test_what_was_asked_for_by_name_and_does_not_fit_is_an_error():
    with pytest.raises(ConfigError, match="control identity does not fit the head linear: it has no circuit") as caught:
        variants(("identity",), classical())
    assert caught.value.where == "--controls"
