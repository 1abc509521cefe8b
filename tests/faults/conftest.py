"""Every command runs elsewhere: no store, registry, dataset or configuration of the surroundings is used."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from faulty_plugins import source


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working directory."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("QTLPLAT_STORE", "QTLPLAT_REGISTRY", "QTLPLAT_NEU_DET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return folder


@pytest.fixture
def faulty(install: Callable[..., None], request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Install the distribution `faulty-lab`: the sound plugin with changes below it."""

    def add(changes: str = "", *, text: str = "") -> None:
        install(
            "faulty-lab",
            f"faulty_{sha256(request.node.nodeid.encode()).hexdigest()[:12]}",
            text or source(changes),
            entry="lab",
        )

    return add
