"""The more explicit source wins: option after the command, option before it, environment variable, default."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import click
import pytest
from stored_runs import Called, called_with, store_runs

import qtlplat
from qtlplat.cli.app import COMMANDS, cli
from qtlplat.cli.plugin_commands import plugin_commands
from qtlplat.cli.settings import Settings
from qtlplat.errors import UsageError
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

ROOT = Path(__file__).parents[2]


def leaves() -> Iterator[tuple[str, tuple[click.Command, ...]]]:
    """Every command that does something, with the groups that lead to it."""
    for name in (*COMMANDS, *plugin_commands()):
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {word}", (cli, command, leaf)) for word, leaf in command.commands.items())
        else:
            yield name, (cli, command)


LEAVES = dict(leaves())


def with_variable(command: click.Command) -> list[click.Option]:
    return [p for p in command.params if isinstance(p, click.Option) and p.envvar]


def test_every_variable_of_an_option_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "environment-variables.md").read_text(encoding="utf-8")
    options = {(str(o.envvar), o.opts[0]) for chain in LEAVES.values() for level in chain for o in with_variable(level)}
    assert options >= {("QTLPLAT_STORE", "--store"), ("QTLPLAT_REGISTRY", "--registry")}
    for variable, option in options:
        assert re.search(rf"^\| `{variable}` \|.*\| `{option}` \|$", page, re.MULTILINE)


@pytest.mark.sampled(20)
@pytest.mark.parametrize("path", LEAVES)
def test_the_most_explicit_source_of_every_option_wins(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every combination of the variable and of the option at every level, for every option with a variable."""
    chain, seen = LEAVES[path], dict[str, object]()
    words = path.split()

    def see(*_: object, **values: object) -> None:
        seen.update(vars(click.get_current_context().find_object(Settings) or Settings()) | values)

    monkeypatch.setattr(chain[-1], "callback", see)
    for param in chain[-1].params:
        monkeypatch.setattr(param, "required", False)
    for option in with_variable(chain[-1]):
        at = [
            level for level, command in enumerate(chain) if any(o.opts == option.opts for o in with_variable(command))
        ]
        for variable, *given in product((False, True), repeat=len(at) + 1):
            line: list[str] = []
            expected = "variable" if variable else None
            for level in range(len(chain)):
                line += words[level - 1 : level]
                if level in at and given[at.index(level)]:
                    expected = f"option{level}"
                    line += [option.opts[0], expected]
            with monkeypatch.context() as patch:
                patch.delenv(str(option.envvar), raising=False)
                if variable:
                    patch.setenv(str(option.envvar), "variable")
                seen.clear()
                called = called_with(*line)
            assert called.code == 0, (line, called)
            assert seen[str(option.name)] == expected, (variable, line)


@pytest.mark.parametrize(
    ("line", "verbosity"),
    [
        ("-q runs -v", 1),
        ("-v runs -q", -1),
        ("-q runs", -1),
        ("runs -vv", 2),
        ("-vv runs -v", 1),
        ("-v store path -q", -1),
        ("store -q path", -1),
        ("-q store -v path", 1),
    ],
)
def test_how_much_is_said_is_as_the_last_option_has_it(
    line: str, verbosity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Settings | None] = []
    for chain in (LEAVES["runs"], LEAVES["store path"]):
        monkeypatch.setattr(
            chain[-1], "callback", lambda **_: seen.append(click.get_current_context().find_object(Settings))
        )
    assert called_with(*line.split()).code == 0
    assert [settings and settings.verbosity for settings in seen] == [verbosity]


# What comes of it


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two stores with the same sorts of runs; the variable names the first one."""
    monkeypatch.chdir(tmp_path)
    for name in ("A.db", "B.db"):
        store_runs(tmp_path / name)
    monkeypatch.setenv("QTLPLAT_STORE", "A.db")
    return tmp_path / "A.db", tmp_path / "B.db"


def trashed(store: Path) -> int:
    return len(Reader(find_store(str(store))).runs(trash=True))


def test_rm_trashes_a_run_of_the_store_that_was_named_before_it(stores: tuple[Path, Path]) -> None:
    one, other = stores
    done = called_with("--store", "B.db", "rm", "@last")
    assert (done.code, trashed(one), trashed(other)) == (0, 0, 1)
    assert f"store: {other} (named by --store)" in done.err
    assert "qtlplat rm --restore" in done.err
    assert "--store B.db" in done.err
    done = called_with("rm", "@last")
    assert (done.code, trashed(one), trashed(other)) == (0, 1, 1)
    assert f"store: {one} (named by QTLPLAT_STORE)" in done.err
    assert "--store" not in done.err


def test_a_store_that_is_not_there_is_not_another_one(stores: tuple[Path, Path]) -> None:
    assert called_with("runs").out
    for line in (["--store", "/nonexistent/x.db", "runs"], ["runs", "--store", "/nonexistent/x.db"]):
        done = called_with(*line)
        assert done.out == ""
        assert "no runs yet in /nonexistent/x.db" in done.err


@pytest.mark.parametrize("option", ["--store", "--registry"])
@pytest.mark.parametrize("before", [True, False])
def test_an_empty_name_does_not_stand_for_the_default(option: str, before: bool, stores: tuple[Path, Path]) -> None:
    done = called_with(*([option, "", "runs"] if before else ["runs", option, ""]))
    assert (done.code, done.out) == (2, "")
    assert option in done.err


@pytest.mark.parametrize(
    "line",
    ["tag @last --add x", "note @last words", "note @last --clear", "rm @last", "store merge A.db", "store gc"],
)
def test_a_command_that_writes_names_the_store(line: str, stores: tuple[Path, Path]) -> None:
    _, other = stores
    assert f"store: {other} (named by --store)\n" in called_with(*line.split(), "--store", "B.db").err


@pytest.mark.parametrize(
    "line", ["tag @last --remove x", "tag nothing --add x", "store merge C.db", "import A.db", "run --head no"]
)
def test_a_command_that_is_refused_does_not(line: str, stores: tuple[Path, Path]) -> None:
    done = called_with(*line.split(), "--store", "B.db")
    assert done.code
    assert done.err.startswith("error: ")


@pytest.mark.parametrize("line", ["tag", "tag @last", "note @last", "runs", "show @last", "store gc --dry-run"])
def test_a_command_that_reads_does_not(line: str, stores: tuple[Path, Path]) -> None:
    assert "store: " not in called_with(*line.split(), "--store", "B.db").err


def test_the_default_store_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".qtlplat").mkdir()
    store_runs(Path(".qtlplat/store.db"))
    done = called_with("rm", "@last")
    assert done.code == 0
    assert "store" not in done.err.splitlines()[0]


def test_every_fix_names_the_store_that_an_option_named(stores: tuple[Path, Path]) -> None:
    def fix(done: Called) -> str:
        return next(line for line in done.err.splitlines() if line.startswith("  fix: "))

    assert fix(called_with("show", "zzz", "--store", "B.db")).endswith("qtlplat runs --store B.db")
    assert fix(called_with("--store", "B.db", "show", "zzz")).endswith("qtlplat runs --store B.db")
    assert fix(called_with("show", "zzz")).endswith("qtlplat runs")
    Path("a b").mkdir()
    assert fix(called_with("show", "zzz", "--store", "a b/c.db")).endswith("qtlplat runs --store 'a b/c.db'")
    Path("r.toml").write_text("")
    done = called_with("info", "nobody", "--registry", "r.toml", "--store", "B.db")
    assert fix(done).endswith("qtlplat ls --registry r.toml")
    stores[1].write_bytes(stores[1].read_bytes()[:9000])
    done = called_with("store", "check", "--store", "B.db", "--json")
    assert done.code == 5
    fixes = [one["fix"] for one in json.loads(done.out)["problems"] if "qtlplat " in one["fix"]]
    assert fixes
    assert all("--store B.db" in one for one in fixes)


# The same in Python


def test_in_python_what_is_named_wins_over_the_variable(
    stores: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = stores
    assert qtlplat.open_store().location.path == one
    assert qtlplat.open_store("B.db").location.path == other
    for wrong in ({"store": ""}, {"registry": ""}):
        with pytest.raises(UsageError, match="'' names no"):
            qtlplat.run(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'' names no store"):
        qtlplat.open_store("")
    for name in ("variable", "option"):
        Path(f"{name}.toml").write_text(f"[{name}]")
    monkeypatch.setenv("QTLPLAT_REGISTRY", "variable.toml")
    with pytest.raises(qtlplat.QtlplatError, match=re.escape("option.toml")):
        qtlplat.run(registry="option.toml")
    with pytest.raises(qtlplat.QtlplatError, match=re.escape("variable.toml")):
        qtlplat.run()


def test_in_python_a_fix_names_the_store(stores: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError) as caught:
        qtlplat.open_store("B.db").run("zzz")
    assert f"  fix: list them: qtlplat runs --store {stores[1]}" in caught.value.__notes__
    with pytest.raises(UsageError) as caught:
        qtlplat.open_store().run("zzz")
    assert "  fix: list them: qtlplat runs" in caught.value.__notes__
