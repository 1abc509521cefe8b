"""The code that a component uses: which modules count, and what of them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qtlplat.catalog.code import code_of, digest_of
from qtlplat.cli.app import _run

FILES = {
    "__init__.py": """
        from qtlplat import BackboneSpec, HeadSpec, hookimpl
        from labelled import backbones, heads

        qtlplat_api_version = (1, 0)


        @hookimpl
        def qtlplat_heads():
            return [HeadSpec(name="flat", summary="a head", build=heads.build, options=heads.HeadOptions)]


        @hookimpl
        def qtlplat_backbones():
            return [BackboneSpec(name="net", summary="a backbone", build=backbones.build)]
        """,
    "backbones.py": """
        from .parts.layers import features


        def build(options, input_shape, n_classes):
            from torch import nn

            from qtlplat import Backbone

            return Backbone(features(), (nn.Linear(100 * input_shape[0], n_classes),))
        """,
    "parts/__init__.py": "",
    "parts/layers.py": """
        def features():
            from torch import nn

            return nn.Sequential(nn.AdaptiveAvgPool2d(10), nn.Flatten())
        """,
    "heads.py": """
        import labelled_common
        from pydantic import Field
        from qtlplat import Options


        class HeadOptions(Options):
            width: int = Field(3, description="how wide it is")


        def build(options, in_features, n_classes):
            from torch import nn

            return nn.Linear(in_features, n_classes)
        """,
    "unused.py": "a = 1\n",
}


@pytest.fixture
def package(install: Callable[..., None], tmp_path: Path) -> Iterator[Path]:
    """A plugin of several modules, and one that lies beside it and is of the same distribution."""
    install("labelled-lab", "labelled_common", "common = 1\n")
    site = tmp_path / "site"
    for name, text in FILES.items():
        path = site / "labelled" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.strip("\n").split("\n")
        margin = len(lines[0]) - len(lines[0].lstrip())
        path.write_text("\n".join(line[margin:] for line in lines) + "\n")
    (site / "labelled_lab-1.5.dist-info" / "entry_points.txt").write_text("[qtlplat]\nlab = labelled\n")
    importlib.invalidate_caches()
    yield site / "labelled"
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("labelled", "labelled_common")]:
        del sys.modules[name]
    importlib.invalidate_caches()


def digests() -> dict[str, dict[str, str]]:
    forget()
    plugin = importlib.import_module("labelled")
    specs = [*plugin.qtlplat_heads(), *plugin.qtlplat_backbones()]
    return {spec.kind: code_of(spec, "labelled-lab", "labelled") for spec in specs}


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_component_uses_its_module_what_that_imports_and_what_made_it(package: Path) -> None:
    found = digests()
    assert sorted(found["backbone"]) == ["labelled", "labelled.backbones", "labelled.parts", "labelled.parts.layers"]
    assert sorted(found["head"]) == ["labelled", "labelled.heads", "labelled_common"]


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("heads.py", "in_features, n_classes)", "in_features, n_classes, bias=False)", ["head"]),
        ("heads.py", "how wide it is", "how wide", []),
        ("heads.py", "HeadOptions(Options):\n", "HeadOptions(Options):\n    '''Those of a head.'''\n\n", []),
        ("heads.py", "def build", "# builds\ndef build", []),
        ("heads.py", "Field(3,", "Field(4,", ["head"]),
        ("parts/layers.py", "Pool2d(10)", "Pool2d( 10 )", []),
        ("parts/layers.py", "Pool2d(10)", "Pool2d((10, 10))", ["backbone"]),
        ("parts/__init__.py", "\n", "a = 1\n", ["backbone"]),
        ("unused.py", "1", "2", []),
        ("__init__.py", '"a head"', '"another text"', []),
        ("__init__.py", "qtlplat_api_version = (1, 0)", "qtlplat_api_version = (1, 0)\nx = 2", ["backbone", "head"]),
        ("../labelled_common.py", "1", "2", ["head"]),
        ("unused.py", "a = 1", "def (", []),
        (
            "parts/layers.py",
            "def features",
            "import importlib\nx = importlib.import_module\ndef features",
            ["backbone"],
        ),
    ],
)
def test_what_changes_the_code_of_whom(package: Path, file: str, old: str, new: str, changed: list[str]) -> None:
    before = digests()
    change(package / file, old, new)
    after = digests()
    assert sorted(kind for kind in before if digest_of(before[kind]) != digest_of(after[kind])) == changed


def test_code_that_imports_by_name_uses_the_whole_package(package: Path) -> None:
    change(package / "parts" / "layers.py", "def features", "from importlib import import_module as load\ndef features")
    before = digests()
    assert "labelled.unused" not in before["backbone"]  # the name alone says nothing
    change(package / "parts" / "layers.py", "import import_module as load", "import import_module")
    change(package / "parts" / "layers.py", "def features", "m = import_module('labelled.heads')\ndef features")
    assert {"labelled.unused", "labelled.heads"} <= digests()["backbone"].keys()


@pytest.mark.slow
def test_a_head_whose_help_is_edited_finds_its_backbone_and_changed_code_is_told(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = "run --dataset steel-synth[per_class=16] --backbone net --head flat --evaluator kfold[folds=2]".split()
    words += "--epochs 1 --pretrain-epochs 1 --store s.db --reuse".split()

    def told(*more: str) -> str:
        forget()
        assert _run([*words, *more]) == 0
        return capsys.readouterr().err

    assert "not used again" not in told()
    assert "found: run" in told()
    change(package / "heads.py", "how wide it is", "its width")
    assert "found: run" in told()
    change(package / "heads.py", "in_features, n_classes)", "in_features, n_classes, bias=False)")
    text = told()
    assert "is not used again: the code of head flat of labelled-lab has changed (module labelled.heads)" in text
    assert "backbone found: pretraining" in text
    change(package / "parts" / "layers.py", "Pool2d(10)", "Pool2d((10, 10))")
    text = told()
    assert "backbone pretrained" in text
    assert text.count("the code of backbone net of labelled-lab has changed (module labelled.parts.layers)") == 2
    assert "not used again" not in told("--seed", "7")


def test_built_in_components_have_code_of_their_own_plugin_only() -> None:
    from qtlplat.catalog.host import load_plugins

    for component in load_plugins().components:
        if component.provider.distribution == "qtlplat":
            assert component.digest
            assert {name.partition(".")[0] for name in component.code} == {component.provider.module.partition(".")[0]}
