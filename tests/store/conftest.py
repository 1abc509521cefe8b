from pathlib import Path

import pytest

from qtlplat.store.location import StoreLocation, find_store


@pytest.fixture
def location(tmp_path: Path) -> StoreLocation:
    return find_store(str(tmp_path / "a ü?#%.db"))  # a name that a careless URI would cut or decode
