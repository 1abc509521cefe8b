"""What is particular to a store behind a server: how it is made and shared, what is refused, what errors say."""

import multiprocessing
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from a_server import IN_URLS, PASSWORD, PostgresServer
from by_hand import sql
from damage import fill
from sample_runs import (
    epoch,
    finished_run,
    new_cells,
    new_run,
    open_and_store_one,
    prediction,
    store_many,
)
from sqlalchemy import exc
from test_database import next_revision as next_revision  # noqa: PLC0414 -- a fixture
from test_reproductions import OUTCOME

from qtlplat.errors import ConfigError, QtlplatError, StoreError
from qtlplat.store.backends import postgres_errors
from qtlplat.store.backends.bootstrap import prepare
from qtlplat.store.backends.find import find_store
from qtlplat.store.backends.postgres import PostgresBackend
from qtlplat.store.core import database, row_digests
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.ownership import is_abandoned, this_host
from qtlplat.store.maintenance.check import check
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


@pytest.fixture
def location(behind_a_server: StoreLocation) -> StoreLocation:
    return behind_a_server


def lines_of(error: QtlplatError) -> str:
    text = "\n".join(error.lines())
    assert PASSWORD not in text
    assert "s3cret" not in text
    assert len(error.lines()) <= 12
    return text


# --- how it is made


def test_its_tables_are_those_of_a_file_with_one_beside_them(location: StoreLocation, tmp_path: Path) -> None:
    file = find_store(str(tmp_path / "file.db"))
    for place in (location, file):
        prepare(place)
        assert prepare(place) is None
    names = {}
    for place in (location, file):
        from qtlplat.store.core.dialect import columns_of

        with database.engine(place, write=False).begin() as connection:
            names[place.name] = columns_of(connection)
    here, there = names[location.name], names[file.name]
    assert {name: dict(columns) for name, columns in here.items() if name != "received"} == {
        name: dict(columns) for name, columns in there.items()
    }
    assert sql(location, "SELECT run, f1, tags FROM v_runs") == []


def test_text_is_in_the_order_of_its_code_points_and_numbers_have_64_bits(location: StoreLocation) -> None:
    samples = ["a", "B", "_", "ä", "Z", "10", "9", "🜁", "\uffff"]
    with Writer(location) as writer:
        run_id = writer.start_run(new_run(seed=2**62))
        writer.add_cells(run_id, new_cells(1))
        writer.add_predictions(run_id, [prediction(0, name) for name in samples])
        writer.finish_cell(run_id, 0, dict.fromkeys(samples, 1.0), 0.1)
        writer.finish_run(run_id, "finished", {})
    assert [p.sample_id for p in Reader(location).predictions(run_id)] == sorted(samples)
    assert list(Reader(location).run(run_id).metrics) == sorted(samples)
    assert Reader(location).run(run_id).seed == 2**62
    of_text = sql(location, "SELECT table_name, collation_name FROM information_schema.columns "
                  "WHERE table_schema = current_schema() AND data_type = 'text'")  # fmt: skip
    assert {collation for table, collation in of_text if not table.startswith("v_")} == {"C"}


def test_a_nul_character_is_refused_in_words_and_leaves_nothing(location: StoreLocation) -> None:
    with Writer(location) as writer, pytest.raises(StoreError, match="NUL character") as caught:
        writer.start_run(new_run(environment={"argv": "a\0b"}))
    assert "s3cret" not in lines_of(caught.value)
    assert Reader(location).runs() == []


@pytest.mark.parametrize(("opens", "writers", "each"), [(6, 3, 2), pytest.param(32, 8, 20, marks=pytest.mark.slow)])
def test_many_processes_open_and_write_at_once(location: StoreLocation, opens: int, writers: int, each: int) -> None:
    context = multiprocessing.get_context("forkserver")
    for work, arguments, n in ((open_and_store_one, (), opens), (store_many, (each,), writers)):
        barrier = context.Barrier(n)
        workers = [context.Process(target=work, args=(location, barrier, *arguments)) for _ in range(n)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
        assert [worker.exitcode for worker in workers] == [0] * n
    runs = Reader(location).runs()
    assert [run.status for run in runs] == ["finished"] * (opens + writers * each)
    assert hashes_that_changed(location) == {}


def hashes_that_changed(location: StoreLocation) -> dict[str, list[str]]:
    with database.engine(location, write=False).begin() as connection:
        return row_digests.all_changed(connection)


def test_a_reader_sees_one_moment_and_cannot_write(location: StoreLocation) -> None:
    with Writer(location) as writer:
        finished_run(writer)
        reading = database.engine(location, write=False)
        with reading.begin() as connection:
            before = connection.exec_driver_sql("SELECT count(*) FROM runs").scalar()
            finished_run(writer)
            assert connection.exec_driver_sql("SELECT count(*) FROM runs").scalar() == before
        with pytest.raises(exc.DBAPIError, match="read-only"), reading.begin() as connection:
            connection.exec_driver_sql("DELETE FROM runs")


def test_a_run_is_judged_only_where_its_lock_is(
    location: StoreLocation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user of this machine, or another machine of this name, has other directories."""
    with Writer(location) as writer:
        run_id = writer.start_run(new_run())
    assert is_abandoned(location, run_id, "whatever")
    elsewhere = StoreLocation(tmp_path / "x.db", tmp_path / "x.files", "", location.backend)
    assert not is_abandoned(elsewhere, run_id, this_host())
    assert Reader(location).run(run_id).status == "interrupted"
    assert Reader(elsewhere).run(run_id).status == "running"


def test_two_writers_of_one_run_wait_for_each_other_and_others_do_not(location: StoreLocation) -> None:
    with Writer(location) as writer:
        one, other = writer.start_run(new_run()), writer.start_run(new_run())
        writer.add_cells(other, new_cells(1))
        with database.engine(location, write=True).begin() as connection:
            connection.exec_driver_sql(f"SELECT 1 FROM runs WHERE id = '{one}' FOR UPDATE")
            writer.add_epochs(other, [epoch(0, 1)])  # would wait for 30 seconds
            writer.link(other, "pretraining", other)
    assert len(Reader(location).epochs(other)) == 1


# --- what is refused


def test_somebody_elses_tables_are_refused_untouched(location: StoreLocation, postgres: PostgresServer) -> None:
    assert isinstance(location.backend, PostgresBackend)
    name = location.backend.server.schema
    postgres.sql(f"CREATE SCHEMA {name} AUTHORIZATION researcher; CREATE TABLE {name}.precious (id int);", "lab")
    postgres.sql("CREATE TABLE IF NOT EXISTS public.runs (id int)", "lab")
    for attempt in (lambda: Reader(location).runs(), lambda: Writer(location), lambda: check_and_raise(location)):
        with pytest.raises(StoreError, match="it has not been touched") as caught:
            attempt()
        assert "belongs to something else (table 'precious')" in caught.value.what
        assert "schema=" in lines_of(caught.value)
    assert sql(location, "SELECT tablename FROM pg_tables WHERE schemaname = ?", name) == [("precious",)]
    other = find_store(postgres.store())  # tables of others in other schemas are no conflict
    fill(other, 0)
    assert postgres.sql("SELECT count(*) FROM public.runs", "lab") == "0"


def check_and_raise(location: StoreLocation) -> None:
    (problem,) = check(location).problems
    raise StoreError(problem.what, where=problem.where, fix=problem.fix)


def test_a_newer_schema_is_refused_untouched_with_the_command(location: StoreLocation) -> None:
    fill(location, 0)
    sql(location, "UPDATE qtlplat_schema SET version_num = '9999'")
    for attempt in (lambda: Writer(location), lambda: Reader(location).runs()):
        with pytest.raises(StoreError, match="9999") as caught:
            attempt()
        assert caught.value.fix == "pip install --upgrade qtlplat"
    assert sql(location, "SELECT version_num FROM qtlplat_schema") == [("9999",)]


def test_a_missing_driver_is_named_with_its_command(location: StoreLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match="requires psycopg, which is not installed") as caught:
        Reader(location)
    assert caught.value.exit_code == 3
    assert caught.value.fix == "pip install 'qtlplat[postgres]'"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTLPLAT_STORE_PATIENCE", "0")


REFUSED = {
    "password": ("refuses user and password", "PGPASSWORD"),
    "nobody": ("refuses user and password", "PGPASSWORD"),
    "database": ("there is no such database", "createdb -h 127.0.0.1 -U researcher nowhere"),
    "port": ("the server does not answer", "start it"),
    "option": ("an option that libpq does not know", ""),
    "ssl": ("cannot be made safe", "sslmode"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_server_that_lets_nobody_in_is_told_in_words(what: str, postgres: PostgresServer, impatient: None) -> None:
    urls = {
        "password": postgres.url("lab", password="s3cretwrong"),
        "nobody": postgres.url("lab", user="nobody-of-that-name"),
        "database": postgres.url("nowhere"),
        "port": postgres.url("lab").replace(str(postgres.port), "1"),
        "option": postgres.url("lab", more="?speed=high"),
        "ssl": postgres.url("lab", more="?sslmode=require"),
    }
    for attempt in (lambda: Reader(find_store(urls[what])).runs(), lambda: Writer(find_store(urls[what]))):
        with pytest.raises(QtlplatError) as caught:
            attempt()
        assert caught.value.exit_code == (3 if what == "option" else 5)
        text, (words, fix) = lines_of(caught.value), REFUSED[what]
        assert words in caught.value.what
        assert fix in caught.value.fix
        assert "127.0.0.1" in text


@pytest.fixture
def guest(postgres: PostgresServer, location: StoreLocation) -> Iterator[StoreLocation]:
    """The same store for a user who may do nothing with it."""
    assert isinstance(location.backend, PostgresBackend)
    postgres.sql("DROP ROLE IF EXISTS guest")
    postgres.sql("CREATE ROLE guest LOGIN PASSWORD 's3cret'")
    yield find_store(
        postgres.url("lab", user="guest", password="s3cret", more=f"?schema={location.backend.server.schema}")
    )
    postgres.sql("DROP OWNED BY guest", "lab")


def test_a_missing_permission_is_told_with_what_its_owner_types(
    location: StoreLocation, guest: StoreLocation, postgres: PostgresServer
) -> None:
    assert isinstance(location.backend, PostgresBackend)
    name = location.backend.server.schema
    with pytest.raises(StoreError, match="lacks a permission") as caught:
        Writer(guest)
    assert f'CREATE SCHEMA {name} AUTHORIZATION "guest"' in lines_of(caught.value)
    with Writer(location) as writer:
        run_id = finished_run(writer)
    for attempt in (lambda: Reader(guest).runs(), lambda: Writer(guest)):
        with pytest.raises(StoreError, match="lacks a permission") as caught:
            attempt()
        assert f'GRANT USAGE ON SCHEMA {name} TO "guest"' in lines_of(caught.value)
    postgres.sql(f"GRANT USAGE ON SCHEMA {name} TO guest; GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO guest", "lab")
    assert Reader(guest).run(run_id).status == "finished"
    with pytest.raises(StoreError, match="lacks a permission"):
        Writer(guest)
    postgres.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO guest", "lab")
    with Writer(guest) as writer:
        finished_run(writer)


def test_a_group_shares_a_store_by_the_role_in_the_url(postgres: PostgresServer, guest: StoreLocation) -> None:
    """As the page on sharing says: tables belong to the group, whoever made them."""
    postgres.sql("DROP ROLE IF EXISTS team")
    postgres.sql("CREATE ROLE team; GRANT team TO researcher, guest; GRANT CREATE ON DATABASE lab TO team", "lab")
    more = "?schema=team_runs&options=-c%20role%3Dteam"
    ids = []
    try:
        for user, password in (("researcher", IN_URLS), ("guest", "s3cret")):
            with Writer(find_store(postgres.url("lab", user=user, password=password, more=more))) as writer:
                ids.append(finished_run(writer))
        assert [run.id for run in Reader(find_store(postgres.url("lab", more=more))).runs()] == ids[::-1]
    finally:
        postgres.sql("DROP OWNED BY team", "lab")


FAILING = """
CREATE FUNCTION {schema}.fail() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{code}'; END $$;
CREATE TRIGGER fail BEFORE INSERT ON {schema}.runs EXECUTE FUNCTION {schema}.fail();
"""


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("53100", "the server's disk is full"),
        ("57014", "stopped a statement after its time limit"),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in (
                ("55P03", "locked by another process"),
                ("25006", "the server only reads"),
                ("58030", "the server's disk reported an error"),
                ("XX001", "the server's data is damaged"),
                ("40P01", "locked by another process"),
                ("0A000", "the store cannot do that"),
            )
        ),
    ],
)
def test_what_goes_wrong_inside_the_server_is_told_in_words(
    location: StoreLocation, postgres: PostgresServer, code: str, words: str
) -> None:
    assert isinstance(location.backend, PostgresBackend)
    prepare(location)
    postgres.sql(FAILING.format(schema=location.backend.server.schema, code=code), "lab")
    with Writer(location) as writer, pytest.raises(StoreError) as caught:
        writer.start_run(new_run())
    assert words in caught.value.what
    assert code in lines_of(caught.value) or code == "0A000"
    assert list(location.locks.iterdir()) == []


def test_a_full_disk_of_the_server_stops_no_run_that_is_going_on(
    location: StoreLocation, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(location.backend, PostgresBackend)
    monkeypatch.setattr("qtlplat.store.core.retry.SHORTEST_PAUSE", 0.1)
    with Writer(location) as writer:
        run_id = writer.start_run(new_run())
        writer.add_cells(run_id, new_cells(1))
        failing = FAILING.format(schema=location.backend.server.schema, code="53100").replace(".runs", ".epochs")
        postgres.sql(failing, "lab")
        for number in range(3):
            writer.add_epochs(run_id, [epoch(0, number)])
        assert Reader(location).epochs(run_id) == []
        postgres.sql(f"DROP TRIGGER fail ON {location.backend.server.schema}.epochs", "lab")
        writer.finish_run(run_id, "failed", {})
    assert len(Reader(location).epochs(run_id)) == 3
    assert Reader(location).run(run_id).status == "failed"


def test_a_database_of_another_encoding_is_refused(postgres: PostgresServer) -> None:
    postgres.sql("DROP DATABASE IF EXISTS latin")
    postgres.sql("CREATE DATABASE latin OWNER researcher ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreError, match="encoding LATIN1") as caught:
        Writer(find_store(postgres.url("latin")))
    assert "createdb --encoding UTF8" in lines_of(caught.value)


def test_an_error_of_a_kind_that_nobody_knows_is_told_too() -> None:
    server = find_store("postgresql://me:s3cret@host/db").backend.server
    assert server
    error = postgres_errors.explained(
        exc.InternalError("x", None, psycopg.InternalError("odd: password=s3cret")), server
    )
    assert "the store cannot do that: InternalError" in lines_of(error)


@pytest.mark.parametrize(
    "text",
    [
        "connection timeout expired",
        "FATAL:  the database system is starting up",
        "FATAL:  sorry, too many clients already",
        "server closed the connection unexpectedly",
        "SSL connection has been closed unexpectedly",
    ],
)
def test_what_libpq_says_of_a_server_that_comes_back_is_waited_for(text: str) -> None:
    assert postgres_errors.is_away(exc.OperationalError("x", None, psycopg.OperationalError(text)))


def test_an_outcome_is_stored_once(location: StoreLocation) -> None:
    with Writer(location) as writer:
        for _ in range(2):
            writer.add_reproduction(OUTCOME)
    assert [record.content for record in Reader(location).reproductions()] == [OUTCOME]
