"""The modules behind `linear` and `mlp`; imported only when a head is built.

The children are named `pre_net` and `post_net`, so that the parameter counts can say what stands where.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


class Linear(nn.Module):
    """Logits that are affine in the features: (B, in_features) -> (B, n_classes)."""

    def __init__(self, in_features: int, n_classes: int) -> None:
        super().__init__()
        self.post_net = nn.Linear(in_features, n_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """float32 (B, in_features) -> float32 (B, n_classes)."""
        logits: torch.Tensor = self.post_net(features)
        return logits


class Mlp(nn.Module):
    """A multilayer perceptron: (B, in_features) -> (B, n_classes).

    hidden: widths of the hidden layers; activation and dropout (a share in [0, 1)) follow each of them.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        *,
        hidden: Sequence[int],
        activation: Literal["relu", "tanh"],
        dropout: float,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = in_features
        for next_width in hidden:
            layers += [nn.Linear(width, next_width), _ACTIVATIONS[activation]()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = next_width
        self.pre_net = nn.Sequential(*layers)
        self.post_net = nn.Linear(width, n_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """float32 (B, in_features) -> float32 (B, n_classes)."""
        logits: torch.Tensor = self.post_net(self.pre_net(features))
        return logits
