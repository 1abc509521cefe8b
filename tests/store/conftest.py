from pathlib import Path

import pytest
from a_server import PostgresServer
from damage import fill
from sample_runs import NAME

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.location import StoreLocation


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder with a store, to be copied: a pretraining, a run that builds on it, an outcome; the ids of the two."""
    folder = tmp_path_factory.mktemp("filled")
    return folder, fill(find_store(str(folder / NAME)), 1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that is marked `every_store` is run with a file and with a server; there slowly where it says so."""
    marker = metafunc.definition.get_closest_marker("every_store")
    only_a_file = metafunc.definition.get_closest_marker("in_a_file")
    if marker and not only_a_file and "location" in metafunc.fixturenames:
        marks = [pytest.mark.slow] if marker.kwargs.get("slow") else []
        metafunc.parametrize("location", ["sqlite", pytest.param("postgres", marks=marks)], indirect=True)


@pytest.fixture
def location(request: pytest.FixtureRequest, tmp_path: Path) -> StoreLocation:
    if getattr(request, "param", "sqlite") == "postgres":
        return request.getfixturevalue("behind_a_server")
    return find_store(str(tmp_path / NAME))


@pytest.fixture
def behind_a_server(postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreLocation:
    """A store in a schema of its own."""
    monkeypatch.setenv("QTLPLAT_FILES", str(tmp_path / "files"))
    return find_store(postgres.store())
