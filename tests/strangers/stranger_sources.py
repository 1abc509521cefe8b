"""Source trees of other people's distributions: one good, five broken in the ways that have been seen."""

from __future__ import annotations

from pathlib import Path

GOOD = "acme-surface"

_PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "2.3.4"

[project.entry-points.qtlplat]
{entry} = "{module}"
"""

_INIT = '''
"""A dataset of squares, a backbone, a quantum head and an evaluator; 16x16 images, 2 classes, 40 samples."""
import numpy as np
from pydantic import Field
from qtlplat import (
    Backbone, BackboneSpec, Cell, Circuit, DatasetSpec, EvaluatorSpec, ImageSet, Options, QuantumHeadSpec,
    hookimpl,
)

qtlplat_api_version = (1, 0)


class SquaresOptions(Options):
    size: int = Field(16, ge=8, le=64, description="height and width, pixels")
    per_class: int = Field(20, ge=2, le=1000, description="images of each class")


def load(options):
    n = 2 * options.per_class
    rng = np.random.default_rng(0)
    images = rng.integers(0, 80, (n, 1, options.size, options.size), dtype=np.uint8)
    labels = np.arange(n, dtype=np.int64) % 2
    images[labels == 1, :, 4:8, 4:8] += 150
    names = tuple(f"square{i}" for i in range(n))
    return ImageSet(images, labels, names, names, ("empty", "square"))


def build_net(options, input_shape, n_classes):
    from torch import nn

    c, h, w = input_shape
    features = nn.Sequential(nn.MaxPool2d(4), nn.Flatten())
    return Backbone(
        features,
        (nn.Sequential(nn.Linear(c * (h // 4) * (w // 4), 8), nn.ReLU()), nn.Linear(8, n_classes)),
    )


class RyOptions(Options):
    qubits: int = Field(2, ge=1, le=6, description="qubits")


def circuit(options):
    import pennylane as qml

    def function(inputs, angles, wires):
        qml.AngleEmbedding(inputs, wires=wires)
        for wire in wires:
            qml.RY(angles[wire], wires=wire)
        return [qml.expval(qml.PauliZ(wire)) for wire in wires]

    q = options.qubits
    return Circuit(function, q, {"angles": (q,)}, q, q)


def build_head(options, in_features, n_classes, circuit):
    from collections import OrderedDict
    from torch import nn

    q = options.qubits
    return nn.Sequential(OrderedDict(pre_net=nn.Linear(in_features, q), vqc=circuit, post_net=nn.Linear(q, n_classes)))


def cells(options, samples):
    half = np.arange(len(samples)) % 4 < 2
    return [Cell(0, seed, np.flatnonzero(half), np.flatnonzero(~half)) for seed in samples.seeds]


@hookimpl
def qtlplat_datasets():
    return [DatasetSpec(name="acme-squares", summary="made-up squares", load=load, options=SquaresOptions)]


@hookimpl
def qtlplat_backbones():
    return [BackboneSpec(name="acme-net", summary="two dense layers", build=build_net)]


@hookimpl
def qtlplat_heads():
    return [
        QuantumHeadSpec(
            name="acme-ry", summary="RY on each qubit", build=build_head, options=RyOptions, circuit=circuit
        )
    ]


@hookimpl
def qtlplat_evaluators():
    return [EvaluatorSpec(name="acme-half", summary="half is kept for testing", cells=cells)]
'''

_HOOK = """
from qtlplat import HeadSpec, hookimpl
qtlplat_api_version = (1, 0)


@hookimpl
def {hook}():
    {body}
"""

# what is wrong -> source of the plugin's module
BROKEN = {
    "import-error": "import a_module_that_nobody_has",
    "system-exit": "raise SystemExit('no licence')",
    "hook-raises": _HOOK.format(hook="qtlplat_heads", body="raise RuntimeError('not today')"),
    "misspelt-hook": _HOOK.format(hook="qtlplat_haeds", body="return []"),
    "name-clash": _HOOK.format(
        hook="qtlplat_heads",
        body="return [HeadSpec(name='linear', summary='not the built-in one', build=lambda o, **k: None)]",
    ),
}


def write_good(parent: Path) -> Path:
    """The source tree of a distribution with one component of each kind."""
    return _write(parent, GOOD, "acme", "acme_surface", _INIT)


def write_broken(parent: Path) -> list[Path]:
    """The source trees of five distributions, each broken in its own way."""
    return [
        _write(parent, f"broken-{what}", what, f"broken_{what.replace('-', '_')}", source)
        for what, source in BROKEN.items()
    ]


def _write(parent: Path, name: str, entry: str, module: str, source: str) -> Path:
    tree = parent / name
    (tree / module).mkdir(parents=True)
    (tree / "pyproject.toml").write_text(_PYPROJECT.format(name=name, entry=entry, module=module))
    (tree / module / "__init__.py").write_text(source)
    return tree
