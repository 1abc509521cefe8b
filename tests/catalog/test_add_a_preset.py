"""The how-to for presets is true: its file is read, and its presets resolve."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qtlplat.catalog.catalog import open_catalog
from qtlplat.catalog.request import Request
from qtlplat.catalog.resolve import resolve

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-preset.md"


def test_the_pages_registry_works_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    ((name, content),) = re.findall(
        r"^```toml\n# file: (\S+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(content)
    registry, catalog = open_catalog(cwd=tmp_path)
    request = Request(dataset="steel-synth", evaluator="kfold10", protocol="short")
    plan = resolve(request, registry, catalog).plan
    assert (plan.head.name, plan.head.options["qubits"], plan.head.options["layers"]) == ("dressed8x2", 8, 2)
    assert plan.evaluator.options["folds"] == 10
    assert (plan.training.epochs, plan.pretraining.epochs, plan.pretraining.patience) == (10, 20, 3)
    request = Request(
        dataset="steel-synth",
        head="dressed8x2[layers=3]",
        sets=("evaluator.folds=10", "training.batch_size=32"),
    )
    plan = resolve(request, registry, catalog).plan
    assert (plan.head.options["layers"], plan.evaluator.options["folds"], plan.training.batch_size) == (3, 10, 32)
