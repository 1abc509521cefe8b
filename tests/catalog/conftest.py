"""Fake distributions for the catalog's tests: a module and a dist-info directory on sys.path, no mocks."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_plugins import Install


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a fake distribution: install(distribution, module, source, entry='name')."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    modules: set[str] = set()

    def add(distribution: str, module: str, source: str, entry: str = "", version: str = "1.5") -> None:
        (site / f"{module}.py").write_text(textwrap.dedent(source))
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        points = info / "entry_points.txt"
        text = points.read_text() if points.exists() else "[qtlplat]\n"
        points.write_text(f"{text}{entry or module} = {module}\n")
        modules.add(module)
        importlib.invalidate_caches()

    yield add
    for module in modules:
        sys.modules.pop(module, None)
