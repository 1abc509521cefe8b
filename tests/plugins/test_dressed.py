"""The dressed head: its formula and its parameter count."""

import math

import pytest
import torch
from torch import nn

from qtlplat.quantum.devices.engines import choose_engine
from qtlplat_dressed import build, circuit
from qtlplat_dressed.options import DressedOptions


class Doubled(nn.Module):
    """Stands where the circuit runs: its output shows what came in."""

    def forward(self, inputs):
        return 2 * inputs - 0.5


@pytest.mark.parametrize(("scale", "factor"), [(1, 1.0), ("pi/2", math.pi / 2)])
@pytest.mark.parametrize(
    ("activation", "function"), [("relu", torch.relu), ("tanh", torch.tanh), ("none", lambda x: x)]
)
def test_the_head_is_post_net_of_activation_of_circuit_of_scaled_tanh_of_pre_net(scale, factor, activation, function):
    torch.manual_seed(0)
    head = build(DressedOptions(qubits=3, input_scale=scale, activation=activation), 7, 2, Doubled())
    x = torch.randn(5, 7)
    inside = function(2 * factor * torch.tanh(x @ head.pre_net.weight.T + head.pre_net.bias) - 0.5)
    torch.testing.assert_close(head(x), inside @ head.post_net.weight.T + head.post_net.bias)


@pytest.mark.parametrize(
    ("in_features", "qubits", "layers", "n_classes"), [(2048, 5, 3, 2), (16, 2, 1, 3), (9, 1, 4, 2)]
)
def test_parameters_follow_equation_6(in_features, qubits, layers, n_classes):
    options = DressedOptions(qubits=qubits, layers=layers)
    head = build(options, in_features, n_classes, choose_engine(circuit(options)).layer())
    expected = in_features * qubits + qubits + 3 * qubits * layers + qubits * n_classes + n_classes
    assert sum(p.numel() for p in head.parameters()) == expected
    assert head(torch.rand(2, in_features)).shape == (2, n_classes)
