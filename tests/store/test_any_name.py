"""Metrics of any name are stored, suggested, asked for as they were suggested, and found."""

import shlex
import shutil
from pathlib import Path

import pytest
from by_hand import sql
from damage import fill
from hypothesis import HealthCheck, example, given, settings, strategies as st

from qtlplat.cli.app import _run
from qtlplat.errors import UsageError
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.filters.fields import simple_fields
from qtlplat.store.read.filters.known_names import KnownNames
from qtlplat.store.read.filters.language import parse
from qtlplat.store.read.filters.matching import matching
from qtlplat.store.read.filters.names import field_name, listed, sort_keys, unquoted, written
from qtlplat.store.read.queries import Reader

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)
ODD = ("my metric", "and", "Not", "in", "seed", "run", "head", "f1_sd", "min", "f1@linear", "a.b", "head.size",
       'a"b', '"', "", " ", "a, b", "-f1", "x:+", "f1:-", "a)b(", "top-5", "größe", "a'b", "a\\b", "1st", "%", "null",
       "tag", "a\nb", "--", "e\u0301")  # fmt: skip


@given(NAMES)
@example("and")
@example('"')
def test_a_written_name_is_read_back(name: str) -> None:
    for form in (written(name), written(name, quoted=True)):
        assert field_name(form).path == (name,)
        assert unquoted(form) == name
        assert field_name(f"min({form})") == field_name(str(field_name(f"min({form})")))
        assert field_name(f"f1@{form}").variant == name
        assert field_name(f"head.{form}").path == ("head", name)
        one = parse(f"{form} > 0.5 and {form} is not null").parts[0]  # type: ignore[union-attr]
        assert (one.field.path, str(one.field)) == ((name,), str(field_name(form)))
        assert [key.path for key, _ in sort_keys(f"-{form},{form}, f1")] == [(name,), (name,), ("f1",)]
        assert listed(f"f1, {form},{form}") == ["f1", form, form]


def find(location: StoreLocation, name: str, run: str) -> None:
    """Rename a metric of a run, and look for it by what the store then suggests."""
    sql(location, "DELETE FROM metrics WHERE run_id = ? AND value = 0.375", run)
    sql(location, "DELETE FROM run_metrics WHERE run_id = ? AND mean = 0.375", run)
    if name in ("f1", "accuracy"):
        return
    sql(location, "INSERT INTO metrics VALUES (?, 0, ?, 0.375)", run, name)
    sql(location, "INSERT INTO run_metrics VALUES (?, 'head', ?, 0.375, NULL, 0.375, 0.375, 1)", run, name)
    reader = Reader(location)
    suggested = reader.read(lambda connection: KnownNames(connection, simple_fields()).metrics()) or []
    (form,) = [one for one in suggested if unquoted(one) == name]
    assert reader.table([form, f"max({form})", "run"], where=f"{form} = 0.375", sort=f"-{form}") == [
        {form: 0.375, f"max({form})": 0.375, "run": run}
    ]
    assert reader.resolve(f"@best:-{form}") == run
    assert matching([{name: 1}, {name: 2}], [name], f"{written(name, quoted=True)} > 1") == [1]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, filled: tuple[Path, list[str]]) -> tuple[StoreLocation, str]:
    from qtlplat.store.backends.find import find_store

    folder = tmp_path_factory.mktemp("names") / "at"
    shutil.copytree(filled[0], folder)
    return find_store(str(next(folder.glob("*.db")))), filled[1][1]


@pytest.mark.sampled(10)
@pytest.mark.parametrize("name", ODD)
def test_a_stored_name_is_found_as_it_is_suggested(stored: tuple[StoreLocation, str], name: str) -> None:
    find(stored[0], name, stored[1])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NAMES)
@pytest.mark.slow
def test_any_stored_name_is_found_as_it_is_suggested(stored: tuple[StoreLocation, str], name: str) -> None:
    find(stored[0], name, stored[1])


@pytest.mark.slow
def test_behind_a_server_too(behind_a_server: StoreLocation) -> None:
    run = fill(behind_a_server, 1)[1]
    for name in ODD:
        find(behind_a_server, name, run)


def test_every_command_takes_what_an_error_suggests(
    stored: tuple[StoreLocation, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    location, run = stored
    find(location, "my metric, best", run)
    with pytest.raises(UsageError) as caught:
        Reader(location).table(["my_metric_best"])
    (line,) = [line for line in caught.value.lines() if "did you mean" in line]
    form = line.partition(": ")[2].split(", f1")[0]
    assert form == '"my metric, best"'
    pasted = shlex.quote(form)
    for command in (
        f"runs --where '{form} > 0.3'",
        f"runs --sort {pasted} --cols run,{pasted}",
        f"runs --cols {pasted} --csv",
        f"best --metric {pasted} --maximize",
        f"best --by {pasted}",
        f"best --where '{form} > 0.3' --json",
        f"pareto {pasted}:+ f1",
        f"show @best:-{pasted}",
    ):
        assert _run(["--store", str(location.path), *shlex.split(command)]) == 0, command
        out, _ = capsys.readouterr()
        assert run[:8] in out or "--csv" in command, command


def test_a_name_with_spaces_that_is_not_quoted_is_answered_with_quotes(stored: tuple[StoreLocation, str]) -> None:
    for attempt in (lambda: parse("my metric > 0.5"), lambda: sort_keys("my metric")):
        with pytest.raises(UsageError) as caught:
            attempt()
        assert '"my metric"' in caught.value.fix
