"""The torch module of the dressed head."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from qtlplat_dressed.options import DressedOptions

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "tanh": torch.tanh, "none": lambda x: x}


class DressedHead(nn.Module):
    """``post_net(activation(circuit(scale * tanh(pre_net(x)))))`` (Bhowmik & Thapliyal, Eq. 5 and Fig. 2).

    (B, in_features) -> logits (B, n_classes). The softmax of the paper's Table II belongs to the loss.
    """

    def __init__(self, options: DressedOptions, in_features: int, n_classes: int, circuit: nn.Module) -> None:
        super().__init__()
        self.pre_net = nn.Linear(in_features, options.qubits)
        self.circuit = circuit
        self.post_net = nn.Linear(options.qubits, n_classes)
        self.scale = math.pi / 2 if options.input_scale == "pi/2" else 1.0
        self.activation = ACTIVATIONS[options.activation]

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, n_classes) of features (B, in_features)."""
        angles = self.scale * torch.tanh(self.pre_net(features))
        logits: Tensor = self.post_net(self.activation(self.circuit(angles)))
        return logits
