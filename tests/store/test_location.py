import os
import shlex
from pathlib import Path

import pytest
from sample_runs import new_run, whole_run

from qtlplat.errors import BusyError, ConfigError, StoreError
from qtlplat.store.backends.address import printable
from qtlplat.store.backends.copies import backup
from qtlplat.store.backends.find import find_store
from qtlplat.store.maintenance.check import check
from qtlplat.store.maintenance.merge import merge
from qtlplat.store.maintenance.recover import recover
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


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


def test_why_names_the_variable_if_it_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTLPLAT_STORE", "x.db")
    assert "QTLPLAT_STORE" in find_store("x.db", tmp_path, asked="QTLPLAT_STORE").why
    assert "--store" in find_store("x.db", tmp_path).why


def test_a_command_needs_the_store_that_an_option_named(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to("x.db")
    for name in ("x.db", "link.db"):
        assert find_store(name, tmp_path).flag == f" --store {shlex.quote(str(tmp_path / 'x.db'))}"
        assert find_store(name, tmp_path, asked="QTLPLAT_STORE").flag == ""
    assert find_store(None, tmp_path).flag == ""


@pytest.mark.parametrize("url", ["oracle://me:s3cret@host/db", "mysql+pymysql://me:s3cret@host/db"])
def test_other_databases_are_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_store(url)
    assert "not supported" in caught.value.what
    assert "s3cret" not in "\n".join(caught.value.lines())


@pytest.mark.parametrize("text", ["me:s3cret@host/db", ":s3cret@host", "me:s3cret@host:5432/db?sslmode=require"])
def test_an_address_without_its_scheme_is_no_file_and_not_shown(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="without its scheme") as caught:
        find_store(text, tmp_path)
    assert "s3cret" not in "\n".join(caught.value.lines())
    assert find_store(f"./{text}", tmp_path).path == tmp_path / text


@pytest.mark.parametrize("nothing", ["sqlite://", "sqlite:///", ":memory:", "sqlite:///:memory:", "a\0b"])
def test_what_names_no_file_is_refused(nothing: str) -> None:
    with pytest.raises(ConfigError, match="does not name a file"):
        find_store(nothing)


def test_a_link_is_the_store_that_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to("real.db")  # which is not there yet
    found = find_store(str(tmp_path / "link.db"))
    assert (found.path, found.files) == (tmp_path / "real.db", tmp_path / "real.files")
    assert f"by a link at {tmp_path / 'link.db'}" in found.why


def test_a_run_is_seen_alike_by_whatever_name_the_store_is_called(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "way").symlink_to("deep")
    (tmp_path / "link.db").symlink_to("deep/store.db")
    names = ["deep/store.db", "way/store.db", "link.db", "deep/../way/store.db"]
    places = [find_store(str(tmp_path / name)) for name in names]
    with Writer(places[2]) as writer:
        run_id = writer.start_run(new_run())
        assert [Reader(place).run(run_id).status for place in places] == ["running"] * 4
        with Writer(places[0]) as other, pytest.raises(BusyError):
            other.add_cells(run_id, [])
        whole_run(writer, places[2])
    assert [Reader(place).run(run_id).status for place in places] == ["interrupted"] * 4
    assert [check(place).problems for place in places] == [()] * 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "link.db", "way"]


def test_a_second_hard_link_is_read_and_not_written(tmp_path: Path) -> None:
    location = find_store(str(tmp_path / "store.db"))
    with Writer(location) as writer:
        run_id = whole_run(writer, location)
    (tmp_path / "second.db").hardlink_to(location.path)
    for name in ("store.db", "second.db"):
        place = find_store(str(tmp_path / name))
        assert [run.id for run in Reader(place).runs()] == [run_id]
        with pytest.raises(StoreError, match="hard link") as caught:
            Writer(place)
        assert "cp STORE COPY && mv COPY STORE" in caught.value.fix


HOSTILE = [
    "a?mode=memory",
    "a#b",
    "100%41",
    "a b",
    "a&immutable=1",
    "file:x",
    "-v",
    "ü",
    "a\nb",
    "\x1b[31mred",
    "café\udce9",
]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_any_name_is_a_name(tmp_path: Path, name: str) -> None:
    location = find_store(str(tmp_path / name))
    with Writer(location) as writer:
        run_id = whole_run(writer, location)
    copy = backup(location)
    saved = find_store(str(tmp_path / f"saved {name}"))
    recover(location, saved)
    merge(saved, location)
    for place in (location, find_store(str(copy)), saved):
        assert [run.id for run in Reader(place).runs()] == [run_id]
    assert check(location).problems == ()
    there = {os.fsencode(path.name) for path in tmp_path.iterdir()}
    names = {location.path.name, location.files.name, copy.name, saved.path.name, saved.files.name}
    assert there == {os.fsencode(one) for one in names}


URL = "postgresql://me:s3cret@Db.example:6000/runs"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (URL, "postgresql://me@db.example:6000/runs"),
        ("postgresql+psycopg://me:s3cret@h/runs", "postgresql://me@h/runs"),
        ("postgres://h/runs?user=me&password=s3cret&sslmode=require", "postgresql://me@h/runs?sslmode=require"),
        ("PostgreSQL://h/runs?sslpassword=s3cret&schema=thesis", "postgresql://h/runs?schema=thesis"),
        ("postgresql://me%40lab:s3%2Fc%40ret@[::1]:5432/my%20runs", "postgresql://me%40lab@[::1]/my%20runs"),
        ("postgresql:///runs?host=/var/run/postgresql", "postgresql:///runs?host=/var/run/postgresql"),
        ("postgresql://h/?dbname=runs", "postgresql://h/runs"),
    ],
)
def test_a_server_is_named_by_its_url_and_told_without_its_password(
    url: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGHOST", "PGPORT", "QTLPLAT_STORE"):
        monkeypatch.delenv(name, raising=False)
    found = find_store(url)
    assert found.name == told
    assert found.flag == f" --store {shlex.quote(told)}"
    assert printable(url) == told
    assert find_store(told).backend.server == found.backend.server
    for text in (repr(found), str(found), str(found.backend.server), found.why, str(found.files), str(found.path)):
        assert "s3" not in text
    assert found.exists
    assert not found.path.parent.exists()


def test_a_password_is_known_to_the_driver_alone() -> None:
    for url in (URL, "postgresql://db.example:6000/runs?user=me&password=s3cret"):
        found = find_store(url).backend.server
        assert found
        assert dict(found.secrets) == {"password": "s3cret"}


def test_files_of_a_server_lie_on_this_machine_in_a_directory_for_each_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    at_home = find_store(URL)
    assert at_home.files.is_relative_to(tmp_path / "data" / "qtlplat" / "servers")
    assert at_home.locks.is_relative_to(at_home.files)
    monkeypatch.setenv("QTLPLAT_FILES", str(tmp_path / "scratch"))
    found = find_store(URL)
    assert found.files.parent.parent == tmp_path / "scratch"
    same = ["postgresql://other@db.example:6000/runs", "postgresql://DB.EXAMPLE:6000/runs?sslmode=require"]
    others = [
        "postgresql://db.example/runs",
        "postgresql://db.example:6000/runs2",
        f"{URL}?schema=b",
        "postgresql:///runs",
    ]
    assert {find_store(url).files for url in same} == {found.files}
    assert len({find_store(url).files for url in [URL, *others]}) == 5


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("postgresql://me:s3cret@host", "names no database"),
        ("postgresql://me:s3cret@host/", "names no database"),
        ("postgresql://me:s3cret@host/a/b", "cannot be understood"),
        ("postgresql://me:s3cret@host/a#s3cret", "cannot be understood"),
        ("postgresql://me:s3 cret@host/db", "a space"),
        ("postgresql://me:s3\x1bcret@host/db", "control character"),
        ("postgresql://me:s3cret@host:port/db", "cannot be understood"),
        ("postgresql:me:s3cret@host/db", "lacks the //"),
        ("postgresql+asyncpg://me:s3cret@host/db", "driver 'asyncpg' is not supported"),
        ("postgresql+psycopg2://me:s3cret@host/db", "driver 'psycopg2' is not supported"),
        ("postgresql://me:s3cret@host/db?schema=pg_catalog", "the schema has to be"),
        ("postgresql://me:s3cret@host/db?schema=a%22b", "the schema has to be"),
    ],
)
def test_a_wrong_url_is_refused_without_showing_it(url: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_store(url)
    text = "\n".join(caught.value.lines())
    assert what in text
    assert "cret" not in text
    assert "cret" not in repr(caught.value.__context__)
    assert "cret" not in printable(url)


def test_the_patience_is_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://me@host/db"
    monkeypatch.delenv("QTLPLAT_STORE_PATIENCE")
    assert (find_store(url).patience, find_store(url).for_training().patience) == (30, 600)
    assert find_store(url, patience=5).for_training().patience == 5
    for text, seconds in (("0", 0), ("1.5", 1.5), ("-3", 0)):
        monkeypatch.setenv("QTLPLAT_STORE_PATIENCE", text)
        assert find_store(url).for_training().patience == seconds
    monkeypatch.setenv("QTLPLAT_STORE_PATIENCE", "long")
    with pytest.raises(ConfigError, match="'long' is not a number of seconds"):
        find_store(url)
