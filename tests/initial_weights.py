"""Prints a digest of initial weights by name, as JSON: of everything built in, and of what plugins may build.

Run in a process of its own, because torch chooses its vector unit when it is imported.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from qtlplat.backbones.model import BackboneFactory, HeadFactory, WholeBackbone
from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.host import load_plugins
from qtlplat.quantum.devices.engine import idle_engine
from qtlplat.specs import HeadSpec, QuantumHeadSpec

INITS: dict[str, Callable[[Tensor], Any]] = {
    "normal": nn.init.normal_,
    "narrow normal": lambda t: nn.init.normal_(t, 0.3, 0.02),
    "uniform": lambda t: nn.init.uniform_(t, -0.37, 0.11),
    "truncated normal": nn.init.trunc_normal_,
    "far truncated normal": lambda t: nn.init.trunc_normal_(t, 0.0, 1.0, 1.0, 2.0),
    "xavier uniform": nn.init.xavier_uniform_,
    "xavier normal": nn.init.xavier_normal_,
    "kaiming uniform": nn.init.kaiming_uniform_,
    "kaiming normal": nn.init.kaiming_normal_,
    "orthogonal": nn.init.orthogonal_,
    "sparse": lambda t: nn.init.sparse_(t, 0.3),
    "randn": lambda t: t.copy_(torch.randn(t.shape)),
    "randn_like": lambda t: t.copy_(torch.randn_like(t)),
    "normal of tensors": lambda t: t.copy_(torch.normal(torch.full(t.shape, 0.7), torch.full(t.shape, 0.3))),
    "normal of numbers": lambda t: t.copy_(torch.normal(0.7, 0.3, t.shape)),
    "complex": lambda t: t.copy_(torch.view_as_real(torch.randn(t.shape, dtype=torch.complex64)).sum(-1)),
    "double": lambda t: t.copy_(torch.randn(t.shape, dtype=torch.float64)),
    "bfloat16": lambda t: t.copy_(torch.empty(t.shape, dtype=torch.bfloat16).normal_()),
    "transposed": lambda t: t.T.normal_(),
    "with a generator": lambda t: t.normal_(generator=torch.Generator().manual_seed(5)),
    "rand": lambda t: t.copy_(torch.rand(t.shape)),
}

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(37, 41),
    "convolution": lambda: nn.Conv2d(3, 7, 5),
    "transposed convolution": lambda: nn.ConvTranspose2d(3, 7, 5),
    "bilinear": lambda: nn.Bilinear(5, 6, 7),
    "embedding": lambda: nn.Embedding(11, 13),
    "lstm": lambda: nn.LSTM(5, 7, 2),
    "gru": lambda: nn.GRU(5, 7),
    "attention": lambda: nn.MultiheadAttention(8, 2),
    "transformer": lambda: nn.TransformerEncoderLayer(8, 2, 16),
    "normalised": lambda: nn.Sequential(nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.PReLU(3)),
}


class Drawn(nn.Module):
    """Weights of many sizes and memory layouts, drawn by one of torch's functions."""

    def __init__(self, draw: Callable[[Tensor], Any]) -> None:
        super().__init__()
        shapes = [(1, 2), (3, 5), (4, 4), (16, 3), (31, 33), (100, 7)]
        self.drawn = nn.ParameterList(nn.Parameter(torch.empty(shape)) for shape in shapes)
        with torch.no_grad():
            for weights in self.drawn:
                draw(weights)


def digest(module: nn.Module) -> str:
    state = [(name, t.detach().contiguous().numpy().tobytes()) for name, t in module.state_dict().items()]
    return hashlib.sha256(repr(state).encode()).hexdigest()[:16]


def built() -> dict[str, str]:
    found: dict[str, str] = {}

    def keep(name: str, build: Callable[[], nn.Module]) -> None:
        torch.manual_seed(len(found))
        found[name] = digest(build())

    def of_a_plugin(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        spec = HeadSpec(name="stranger", summary="a plugin's head", build=lambda *_, **__: make())
        return HeadFactory(spec, None, 4, 2, None, "stranger")

    for name, draw in INITS.items():
        keep(f"init {name}", of_a_plugin(lambda draw=draw: Drawn(draw)))
    for name, layer in LAYERS.items():
        keep(f"layer {name}", of_a_plugin(layer))
    catalog = Catalog(load_plugins())
    for component in catalog.components("backbone"):
        factory = BackboneFactory(component.spec, component.spec.options(), (1, 200, 200), 2, "built in")
        keep(f"backbone {component.spec.name}", lambda factory=factory: WholeBackbone(factory(), 1))
    for component in catalog.components("head"):
        spec = component.spec
        options = spec.options()
        engine = idle_engine(spec.circuit(options)) if isinstance(spec, QuantumHeadSpec) else None
        keep(f"head {spec.name}", HeadFactory(spec, options, 33, 2, engine, "built in"))
    return found


if __name__ == "__main__":
    from torch.backends import cpu

    sys.stdout.write(json.dumps({"unit": cpu.get_cpu_capability(), "weights": built()}))
