from pathlib import Path

import pytest
from damage import fill
from sample_runs import NAME

from qtlplat.store.location import StoreLocation, find_store


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder with a store, to be copied: a pretraining, a run that builds on it, an outcome; the ids of the two."""
    folder = tmp_path_factory.mktemp("filled")
    return folder, fill(find_store(str(folder / NAME)), 1)


@pytest.fixture
def location(tmp_path: Path) -> StoreLocation:
    return find_store(str(tmp_path / NAME))
