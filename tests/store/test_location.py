from pathlib import Path

import pytest

from qtlplat.errors import ConfigError
from qtlplat.store.location import find_store


@pytest.mark.parametrize("form", ["{}/x.db", "sqlite:///{}/x.db", "sqlite+pysqlite:///{}/x.db"])
def test_a_file_is_taken_by_path_or_url(tmp_path: Path, form: str) -> None:
    found = find_store(form.format(tmp_path), tmp_path)
    assert found.path == tmp_path / "x.db"
    assert found.files == tmp_path / "x.files"
    assert not found.exists
    found.path.touch()
    assert found.exists


def test_sqlite_urls_count_slashes_as_sqlalchemy_does(tmp_path: Path) -> None:
    assert find_store("sqlite:///x.db", tmp_path).path == tmp_path / "x.db"
    assert find_store(f"sqlite:///{tmp_path}/x.db", Path("/")).path == tmp_path / "x.db"


def test_a_directory_holds_store_db(tmp_path: Path) -> None:
    assert find_store(str(tmp_path), tmp_path).path == tmp_path / "store.db"
    assert find_store("not-there-yet/", tmp_path).path == tmp_path / "not-there-yet" / "store.db"


def test_a_qtlplat_directory_above_is_found_and_the_nearest_wins(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / ".qtlplat").mkdir()
    assert find_store(None, deep).path == tmp_path / ".qtlplat" / "store.db"
    (tmp_path / "a" / ".qtlplat").mkdir()
    nearest = find_store("", deep)
    assert nearest.path == tmp_path / "a" / ".qtlplat" / "store.db"
    assert str(tmp_path / "a") in nearest.why


def test_else_it_is_in_the_users_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    found = find_store(None, tmp_path)
    assert found.path.name == "store.db"
    assert "user's data directory" in found.why


def test_why_names_the_variable_where_it_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTLPLAT_STORE", "x.db")
    assert "QTLPLAT_STORE" in find_store("x.db", tmp_path).why
    assert "--store" in find_store("y.db", tmp_path).why


@pytest.mark.parametrize("url", ["postgresql://me:s3cret@host/db", "mysql+pymysql://me:s3cret@host/db"])
def test_other_databases_are_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_store(url)
    assert "not supported" in caught.value.what
    assert "s3cret" not in "\n".join(caught.value.lines())


@pytest.mark.parametrize("nothing", ["sqlite://", "sqlite:///", ":memory:", "sqlite:///:memory:", "a\0b"])
def test_what_names_no_file_is_refused(nothing: str) -> None:
    with pytest.raises(ConfigError, match="does not name a file"):
        find_store(nothing)
