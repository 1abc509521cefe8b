"""A store with runs and a bundle of them, made once and copied for every test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from exchanged import Sent, fill, qtlplat


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, str, str]]:
    folder = tmp_path_factory.mktemp("sent")
    (folder / "here").mkdir()
    ids = fill(folder / "here" / "s.db")
    assert qtlplat(folder / "here" / "s.db", "export", ids[1], "-o", folder / "b.zip").code == 0
    return folder, ids


@pytest.fixture
def sent(made: tuple[Path, tuple[str, str, str]], tmp_path: Path) -> Sent:
    folder, ids = made
    shutil.copytree(folder, tmp_path / "sent")
    (tmp_path / "there").mkdir()
    here = tmp_path / "sent"
    return Sent(here / "here" / "s.db", *ids, here / "b.zip", tmp_path / "there" / "t.db")
