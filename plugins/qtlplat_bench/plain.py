"""A head as it is usually written: around PennyLane's TorchLayer, or in plain torch where it has no circuit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from qtlplat.contracts import Circuit
from qtlplat.quantum.devices.layer import CircuitLayer
from qtlplat.specs import AnyHeadSpec, build_head
from qtlplat_bench.torch_layer import DEVICE, PlainLayer, copy_state

TORCH_LAYER = f"TorchLayer on {DEVICE}"
TORCH = "torch"


def head_without_engine(
    spec: AnyHeadSpec, options: Any, in_features: int, n_classes: int, circuit: Circuit | None
) -> nn.Module:
    """A head with fresh weights, drawn as `HeadFactory` draws them; its circuit cannot run."""
    layer = None if circuit is None else CircuitLayer(circuit, _no_engine)
    return build_head(spec, options, in_features, n_classes, layer)


def plain_head(spec: AnyHeadSpec, options: Any, in_features: int, n_classes: int, circuit: Circuit | None) -> nn.Module:
    """The head around a TorchLayer, with fresh weights, drawn as `HeadFactory` draws them."""
    head = head_without_engine(spec, options, in_features, n_classes, circuit)
    if circuit is None:
        return head
    plain = build_head(spec, options, in_features, n_classes, PlainLayer(circuit))
    copy_state(head, plain)
    return plain


def runs_singly(head: nn.Module) -> bool:
    """Whether a plain head's TorchLayer runs sample by sample, as its circuit is another one for a batch."""
    return any(isinstance(module, PlainLayer) and not module.batched for module in head.modules())


def _no_engine(inputs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    raise AssertionError(f"a head without an engine was called: {inputs.shape}, {list(weights)}")
