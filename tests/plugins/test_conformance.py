"""Our own plugins pass the suites for plugin authors, and the suites find what is broken."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

import qtlplat
from qtlplat import Backbone, BackboneSpec, Cell, Circuit, DatasetSpec, EvaluatorSpec, HeadSpec, ImageSet, Options
from qtlplat.testing import check_backbone, check_dataset, check_evaluator, check_head, check_plugin

OURS = sorted(e.value for e in entry_points(group="qtlplat") if e.dist and e.dist.name == "qtlplat")
SLOW = {"qtlplat_neu_det", "qtlplat_lenet", "qtlplat_dressed", "qtlplat_steel_synth"}


@pytest.mark.parametrize("module", [pytest.param(m, marks=[pytest.mark.slow] * (m in SLOW)) for m in OURS])
def test_a_built_in_plugin_conforms(module: str) -> None:
    assert check_plugin(module)


def test_all_built_in_plugins_are_entered() -> None:
    assert {"qtlplat_linear", "qtlplat_kfold", "qtlplat_lenet", "qtlplat_dressed"} <= set(OURS)


class TestHeads:
    def test_a_small_quantum_head_conforms(self) -> None:
        check_head(quantum_head(), in_features=(3,), n_classes=(2,))

    @pytest.mark.parametrize(
        ("forward", "message"),
        [
            (lambda head, x: head.post_net(x).double(), "must give float32 \\(1, 2\\), gave float64"),
            (lambda head, x: head.post_net(x)[:, :1], "must give float32 \\(1, 2\\), gave float32 \\(1, 1\\)"),
            (lambda head, x: head.post_net(x).squeeze(), "must give float32 \\(1, 2\\), gave float32 \\(2,\\)"),
            (lambda head, x: head.post_net(x) / 0, "not finite"),
            (lambda head, x: x[:, :2] * head.post_net.weight.sum(), "no gradient reaches post_net.bias"),
            (lambda head, x: head.post_net(x - x.mean(0)), "depend on the other samples"),
            (lambda head, x: head.post_net(x) + id(head) % 1000, "state_dict does not hold everything"),
        ],
    )
    def test_a_broken_head_is_told_what_to_mend(self, forward: Callable[..., Any], message: str) -> None:
        class Broken(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.post_net = nn.Linear(3, 2)

            def forward(self, x: torch.Tensor) -> Any:
                return forward(self, x)

        with pytest.raises(AssertionError, match=message):
            check_head(head(lambda *_: Broken()), in_features=(3,), n_classes=(2,))

    def test_weights_from_a_private_generator_are_found(self) -> None:
        def build(*_: Any) -> nn.Module:
            module = nn.Linear(3, 2)
            with torch.no_grad():
                module.weight.copy_(torch.from_numpy(np.random.default_rng().random((2, 3), dtype=np.float32)))
            return module

        with pytest.raises(AssertionError, match="the same seed gave different weights"):
            check_head(head(build), in_features=(3,), n_classes=(2,))

    def test_an_option_without_description_is_found(self) -> None:
        class Mute(Options):
            width: int = 3

        with pytest.raises(AssertionError, match="option width needs a description"):
            check_head(HeadSpec(name="h", summary="s", build=lambda *_: nn.Linear(3, 2), options=Mute))

    def test_an_option_without_default_is_found(self) -> None:
        class Needy(Options):
            width: int = Field(description="neurons")

        with pytest.raises(AssertionError, match="option width needs a default"):
            check_head(HeadSpec(name="h", summary="s", build=lambda *_: nn.Linear(3, 2), options=Needy))

    def test_the_callers_random_state_is_left_alone(self) -> None:
        torch.manual_seed(5)
        before = torch.random.get_rng_state()
        check_head(head(lambda _o, f, k, _c: nn.Linear(f, k)))
        assert torch.equal(before, torch.random.get_rng_state())


class TestBackbones:
    @pytest.mark.parametrize(
        ("features", "dense", "message"),
        [
            (nn.Conv2d(1, 2, 3), (nn.Linear(2, 2),), "features: must give float32 \\(2, F\\)"),
            (nn.Flatten(), (nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 2)), "dense\\[1\\] has no parameters"),
            (nn.Flatten(), (nn.Linear(64, 7),), "dense\\[0\\]: must give float32 \\(2, 2\\)"),
            (nn.Flatten(), (), "dense must be a tuple of modules"),
        ],
    )
    def test_a_broken_backbone_is_told_what_to_mend(
        self, features: nn.Module, dense: tuple[nn.Module, ...], message: str
    ) -> None:
        spec = BackboneSpec(name="b", summary="s", build=lambda *_: Backbone(features, dense))
        with pytest.raises(AssertionError, match=message):
            check_backbone(spec, input_shape=(1, 8, 8), n_classes=(2,))

    def test_a_small_backbone_conforms(self) -> None:
        def build(_options: Any, shape: tuple[int, int, int], k: int) -> Backbone:
            c, h, w = shape
            return Backbone(nn.Flatten(), (nn.Sequential(nn.Linear(c * h * w, 4), nn.ReLU()), nn.Linear(4, k)))

        check_backbone(BackboneSpec(name="b", summary="s", build=build), input_shape=(3, 8, 8))


class TestDatasets:
    def test_a_dataset_that_changes_is_found(self) -> None:
        rng = np.random.default_rng()
        spec = DatasetSpec(name="d", summary="s", load=lambda _: images(rng))
        with pytest.raises(AssertionError, match="two different datasets"):
            check_dataset(spec)

    def test_a_check_that_returns_text_is_found(self) -> None:
        spec = DatasetSpec(name="d", summary="s", load=lambda _: images(), check=lambda _: ["bad file"])  # type: ignore[list-item,return-value]
        with pytest.raises(AssertionError, match="check must return a list of qtlplat.Problem"):  # noqa: RUF043
            check_dataset(spec)

    def test_files_must_be_text_by_source(self) -> None:
        spec = DatasetSpec(name="d", summary="s", load=lambda _: images(), files=lambda _, sources: sources)  # type: ignore[arg-type, return-value]
        with pytest.raises(AssertionError, match="files must return a mapping of sources to text"):
            check_dataset(spec)
        check_dataset(DatasetSpec(name="d", summary="s", load=lambda _: images(), files=lambda _, __: {"a": "b"}))

    def test_data_that_is_not_at_hand_is_asked_for(self) -> None:
        spec = DatasetSpec(name="d", summary="s", load=lambda _: images(), is_available=lambda _: False)
        with pytest.raises(AssertionError, match="pass options that point to it"):
            check_dataset(spec)

    def test_a_small_dataset_conforms(self) -> None:
        check_dataset(DatasetSpec(name="d", summary="s", load=lambda _: images(), check=lambda _: []))


class TestEvaluators:
    def test_cells_from_the_global_generator_are_found(self) -> None:
        def cells(_o: Any, samples: Any) -> list[Cell]:
            order = [np.random.permutation(len(samples)) for _ in samples.seeds]
            return [
                Cell(0, s, o[:50].astype(np.int64), o[50:].astype(np.int64))
                for s, o in zip(samples.seeds, order, strict=True)
            ]

        with pytest.raises(AssertionError, match="gave different cells"):
            check_evaluator(EvaluatorSpec(name="e", summary="s", cells=cells))

    def test_overlapping_cells_are_found(self) -> None:
        def cells(_o: Any, samples: Any) -> list[Cell]:
            return [Cell(0, s, np.arange(10), np.arange(5, 20)) for s in samples.seeds]

        with pytest.raises(qtlplat.PluginError, match="train and test overlap"):
            check_evaluator(EvaluatorSpec(name="e", summary="s", cells=cells))

    def test_ignored_seeds_are_found(self) -> None:
        def cells(*_: Any) -> list[Cell]:
            return [Cell(0, 0, np.arange(10), np.arange(10, 20))]

        with pytest.raises(AssertionError, match="must carry the seeds"):
            check_evaluator(EvaluatorSpec(name="e", summary="s", cells=cells))


def test_a_plugin_that_offers_nothing_is_told_so() -> None:
    module = ModuleType("empty_plugin")
    module.qtlplat_api_version = 1  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match="offers nothing"):
        check_plugin(module)


def head(build: Callable[..., Any]) -> HeadSpec:
    return HeadSpec(name="h", summary="s", build=build)


def images(rng: np.random.Generator | None = None) -> ImageSet:
    pixels = (rng or np.random.default_rng(0)).integers(0, 255, (6, 1, 4, 4), dtype=np.uint8)
    names = tuple(f"s{i}" for i in range(6))
    return ImageSet(pixels, np.arange(6, dtype=np.int64) % 2, names, names, ("a", "b"))


def quantum_head() -> HeadSpec:
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

    return HeadSpec(
        name="small",
        summary="two qubits",
        build=lambda _o, f, k, c: Head(f, k, c),
        circuit=lambda _o: Circuit(function, 2, {"weights": (1, 2)}, 2, 2),
    )
