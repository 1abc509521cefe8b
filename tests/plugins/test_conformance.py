"""Our own plugins pass the suites for plugin authors, and the suites find what is broken."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

from qtlplat import (
    Backbone,
    BackboneSpec,
    Cell,
    Circuit,
    DatasetSpec,
    EvaluatorSpec,
    HeadSpec,
    ImageSet,
    Metric,
    Options,
    PluginError,
    QuantumHeadSpec,
)
from qtlplat.testing import (
    BackboneConformance,
    DatasetConformance,
    EvaluatorConformance,
    HeadConformance,
    PluginConformance,
)

OURS = sorted(e.value for e in entry_points(group="qtlplat") if e.dist and e.dist.name == "qtlplat")
SLOW = {"qtlplat_neu_det", "qtlplat_lenet", "qtlplat_dressed", "qtlplat_steel_synth"}


@pytest.mark.parametrize("module", [pytest.param(m, marks=[pytest.mark.slow] * (m in SLOW)) for m in OURS])
def test_a_built_in_plugin_conforms(module: str) -> None:
    type("Own", (PluginConformance,), {"module": module})().test_components()


class TestSmallQuantumHead(HeadConformance):
    """A suite as its users write it; pytest collects its tests."""

    in_features = (3,)
    n_classes = (2,)

    @property
    def spec(self) -> QuantumHeadSpec:  # type: ignore[override]
        return quantum_head()


def passes(suite: type[Any], spec: Any, **attributes: Any) -> None:
    """Run every test of a suite on a spec."""
    own = type("Own", (suite,), {"spec": spec, **attributes})()
    for name in sorted(name for name in dir(own) if name.startswith("test_")):
        getattr(own, name)()


def test_all_built_in_plugins_are_entered() -> None:
    assert {"qtlplat_linear", "qtlplat_kfold", "qtlplat_lenet", "qtlplat_dressed"} <= set(OURS)


class TestHeads:
    @pytest.mark.parametrize(
        ("forward", "message"),
        [
            (lambda head, x: head.post_net(x).double(), "logits must be float32, is float64"),
            (lambda head, x: head.post_net(x)[:, :1], "must have shape \\(5, 2\\), has \\(5, 1\\)"),
            (lambda head, x: head.post_net(x).flatten(), "must have shape \\(5, 2\\), has \\(10,\\)"),
            (lambda head, x: head.post_net(x) / 0, "not finite"),
            (lambda head, x: x[:, :2] * head.post_net.weight.sum(), "no gradient reaches post_net.bias"),
            (lambda head, x: head.post_net(x - x.mean(0)), "depend on the other samples"),
            (lambda head, x: head.post_net(x) + head.drawn, "state_dict does not hold everything"),
        ],
    )
    def test_a_broken_head_is_told_what_to_mend(self, forward: Callable[..., Any], message: str) -> None:
        class Broken(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.post_net = nn.Linear(3, 2)
                self.drawn = float(torch.rand(()))

            def forward(self, x: torch.Tensor) -> Any:
                return forward(self, x)

        with pytest.raises((AssertionError, PluginError), match=message):
            passes(HeadConformance, head(lambda *_, **__: Broken()), in_features=(3,), n_classes=(2,))

    def test_weights_from_a_private_generator_are_found(self) -> None:
        def build(*_: Any, **__: Any) -> nn.Module:
            module = nn.Linear(3, 2)
            with torch.no_grad():
                module.weight.copy_(torch.from_numpy(np.random.default_rng().random((2, 3), dtype=np.float32)))
            return module

        with pytest.raises(PluginError, match="other weights from the same seed"):
            passes(HeadConformance, head(build), in_features=(3,), n_classes=(2,))

    def test_an_option_without_description_is_found(self) -> None:
        class Mute(Options):
            width: int = 3

        with pytest.raises(AssertionError, match="option width needs a description"):
            passes(HeadConformance, HeadSpec(name="h", summary="s", build=linear, options=Mute))

    def test_an_option_without_default_is_found(self) -> None:
        class Needy(Options):
            width: int = Field(description="neurons")

        with pytest.raises(AssertionError, match="option width needs a default"):
            passes(HeadConformance, HeadSpec(name="h", summary="s", build=linear, options=Needy))

    def test_the_callers_random_state_is_left_alone(self) -> None:
        torch.manual_seed(5)
        before = torch.random.get_rng_state()
        passes(HeadConformance, head(linear))
        assert torch.equal(before, torch.random.get_rng_state())


class TestBackbones:
    @pytest.mark.parametrize(
        ("features", "dense", "message"),
        [
            (nn.Conv2d(1, 2, 3), (nn.Linear(2, 2),), "features of 3 samples must have shape"),
            (nn.Flatten(), (nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 2)), "dense\\[1\\] has no parameters"),
            (nn.Flatten(), (nn.Linear(64, 7),), "dense block 1 of 3 samples must have shape \\(3, 2\\)"),
            (nn.Flatten(), (), "at least one dense block"),
        ],
    )
    def test_a_broken_backbone_is_told_what_to_mend(
        self, features: nn.Module, dense: tuple[nn.Module, ...], message: str
    ) -> None:
        spec = BackboneSpec(name="b", summary="s", build=lambda *_, **__: copy.deepcopy(Backbone(features, dense)))
        with pytest.raises((AssertionError, PluginError), match=message):
            passes(BackboneConformance, spec, input_shape=(1, 8, 8), n_classes=(2,))

    def test_a_small_backbone_conforms(self) -> None:
        def build(_options: Any, /, *, input_shape: tuple[int, int, int], n_classes: int) -> Backbone:
            c, h, w = input_shape
            return Backbone(nn.Flatten(), (nn.Sequential(nn.Linear(c * h * w, 4), nn.ReLU()), nn.Linear(4, n_classes)))

        passes(BackboneConformance, BackboneSpec(name="b", summary="s", build=build), input_shape=(3, 8, 8))


class TestDatasets:
    def test_a_dataset_that_changes_is_found(self) -> None:
        rng = np.random.default_rng()
        spec = DatasetSpec(name="d", summary="s", load=lambda _: images(rng))
        with pytest.raises(AssertionError, match="two different datasets"):
            passes(DatasetConformance, spec)

    def test_a_check_that_returns_text_is_found(self) -> None:
        spec = DatasetSpec(name="d", summary="s", load=lambda _: images(), check=lambda _: ["bad file"])  # type: ignore[list-item,return-value]
        with pytest.raises(PluginError, match="check must return qtlplat.Problem"):  # noqa: RUF043
            passes(DatasetConformance, spec)

    def test_files_must_be_text_by_source(self) -> None:
        spec = DatasetSpec(name="d", summary="s", load=lambda _: images(), locate_files=lambda _, sources: sources)  # type: ignore[arg-type, return-value]
        with pytest.raises(PluginError, match="locate_files must return text by source"):
            passes(DatasetConformance, spec)
        passes(
            DatasetConformance,
            DatasetSpec(name="d", summary="s", load=lambda _: images(), locate_files=lambda _, __: {"a": "b"}),
        )

    def test_data_that_is_not_at_hand_is_asked_for(self) -> None:
        spec = DatasetSpec(name="d", summary="s", load=lambda _: images(), is_available=lambda _: False)
        with pytest.raises(pytest.skip.Exception, match="set `options` to those that point to it"):
            passes(DatasetConformance, spec)

    def test_a_small_dataset_conforms(self) -> None:
        passes(DatasetConformance, DatasetSpec(name="d", summary="s", load=lambda _: images(), check=lambda _: []))


class TestEvaluators:
    def test_cells_from_the_global_generator_are_found(self) -> None:
        def cells(_o: Any, samples: Any) -> list[Cell]:
            order = [np.random.permutation(len(samples)) for _ in samples.seeds]
            return [
                Cell(0, s, o[:50].astype(np.int64), o[50:].astype(np.int64))
                for s, o in zip(samples.seeds, order, strict=True)
            ]

        with pytest.raises(AssertionError, match="gave different cells"):
            passes(EvaluatorConformance, EvaluatorSpec(name="e", summary="s", cells=cells))

    def test_overlapping_cells_are_found(self) -> None:
        def cells(_o: Any, samples: Any) -> list[Cell]:
            return [Cell(0, s, np.arange(10), np.arange(5, 20)) for s in samples.seeds]

        with pytest.raises(PluginError, match="train and test overlap"):
            passes(EvaluatorConformance, EvaluatorSpec(name="e", summary="s", cells=cells))

    def test_ignored_seeds_are_found(self) -> None:
        def cells(*_: Any) -> list[Cell]:
            return [Cell(0, 0, np.arange(10), np.arange(10, 20))]

        with pytest.raises(AssertionError, match="must carry the seeds"):
            passes(EvaluatorConformance, EvaluatorSpec(name="e", summary="s", cells=cells))

    def test_a_metric_without_a_direction_is_found(self) -> None:
        def cells(_o: Any, samples: Any) -> list[Cell]:
            return [Cell(0, s, np.arange(50), np.arange(50, 99)) for s in samples.seeds]

        spec = EvaluatorSpec(name="e", summary="s", cells=cells, metrics=lambda *_: {"cost": 0.5})
        with pytest.raises(AssertionError, match="declare them in metric_info"):
            passes(EvaluatorConformance, spec)
        passes(EvaluatorConformance, replace(spec, metric_info=[Metric("cost", higher_is_better=False)]))


def test_a_plugin_that_offers_nothing_is_told_so() -> None:
    module = ModuleType("empty_plugin")
    module.qtlplat_api_version = (1, 0)  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match="offers nothing"):
        type("Own", (PluginConformance,), {"module": module})().test_components()


def linear(_options: Any, /, *, in_features: int, n_classes: int) -> nn.Module:
    return nn.Linear(in_features, n_classes)


def head(build: Callable[..., Any]) -> HeadSpec:
    return HeadSpec(name="h", summary="s", build=build)


def images(rng: np.random.Generator | None = None) -> ImageSet:
    pixels = (rng or np.random.default_rng(0)).integers(0, 255, (6, 1, 4, 4), dtype=np.uint8)
    names = tuple(f"s{i}" for i in range(6))
    return ImageSet(pixels, np.arange(6, dtype=np.int64) % 2, names, names, ("a", "b"))


def quantum_head() -> QuantumHeadSpec:
    import pennylane as qml

    def function(inputs: Any, weights: Any, wires: Any) -> list[Any]:
        qml.AngleEmbedding(inputs, wires=wires)
        qml.BasicEntanglerLayers(weights, wires=wires, rotation=qml.RY)
        return [qml.expval(qml.PauliZ(wire)) for wire in wires]

    class Head(nn.Module):
        def __init__(self, in_features: int, n_classes: int, circuit: nn.Module) -> None:
            super().__init__()
            self.pre_net, self.circuit, self.post_net = nn.Linear(in_features, 2), circuit, nn.Linear(2, n_classes)

        def forward(self, x: torch.Tensor) -> Any:
            return self.post_net(self.circuit(self.pre_net(x)))

    return QuantumHeadSpec(
        name="small",
        summary="two qubits",
        build=lambda _o, *, in_features, n_classes, circuit: Head(in_features, n_classes, circuit),
        circuit=lambda _o: Circuit(function, 2, {"weights": (1, 2)}, 2, 2),
    )
