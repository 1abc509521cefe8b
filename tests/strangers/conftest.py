"""Other people's distributions, the sound one really built and installed, and the command line run beside them."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

import pytest
from stranger_sources import write_broken, write_good
from stranger_tools import Cli, install_by_hand, pip_install, python


@pytest.fixture(scope="session")
def stranger_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for PYTHONPATH with acme-surface: acme-squares, acme-net, acme-ry, acme-half."""
    root = tmp_path_factory.mktemp("good")
    return pip_install(root / "site", write_good(root))


@pytest.fixture(scope="session")
def broken_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for PYTHONPATH with five distributions, each broken in its own way."""
    root = tmp_path_factory.mktemp("broken")
    return install_by_hand(root / "site", *write_broken(root))


@pytest.fixture
def qtlplat(tmp_path: Path) -> Cli:
    """Run the command line in an empty directory: qtlplat('ls', '--json', path=stranger_path)."""

    def run(*arguments: str, path: Path | None = None) -> CompletedProcess[str]:
        return python("from qtlplat.cli.app import main; main()", *arguments, path=path, cwd=tmp_path)

    return run
