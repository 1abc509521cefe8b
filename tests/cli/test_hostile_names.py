"""Hostile names at every place that a name can come from: nothing that is printed steers a terminal."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import json
import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from stored_runs import store_runs

from qtlplat.cli.app import COMMANDS, cli, main
from qtlplat.cli.plugin_commands import plugin_commands
from qtlplat.cli.render.terminal import Guarded, clean, inert_layout, say, stdout_console
from qtlplat.errors import QtlplatError, safe_repr
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

# a title is set, the screen cleared by C1, the line begun anew, text turned around; markup, and a line of its own
EVIL = "\x1b]0;evil\x07\x9b2J\r\x08\u202eevil\u2066\u200b[bold red]x[/][link=file:///x]y[/link]\nerror: all is well"
NAME = EVIL.replace("/", "_")  # of a file
TRAINING = ("execute", "reuse", "prepare", "replay", "resume")
OF_RICH = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")  # colours, and the cursor of a bar, on a terminal


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def called(*line: str, terminal: bool = False) -> tuple[int, str, str]:
    """Exit code and what was printed by a command line."""
    out, err = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
    before = signal.getsignal(signal.SIGTERM)
    code: object = None
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(line)
    except SystemExit as ended:
        code = ended.code
    finally:
        signal.signal(signal.SIGTERM, before)
    assert isinstance(code, int)
    return code, out.getvalue(), err.getvalue()


def assert_inert(line: tuple[str, ...], terminal: bool = False) -> tuple[int, str, str]:
    code, out, err = called(*line, terminal=terminal)
    for text, layout in ((out, "\n\t"), (err, "\n")):
        plain = OF_RICH.sub("", text) if terminal else text
        steering = {c for c in plain if not c.isprintable() and c not in layout}
        assert not steering, (line, steering, text)
    assert "\nerror: all is well" not in err, (line, err)
    assert code != 1, (line, err)
    assert "Traceback" not in err
    return code, out, err


def leaves() -> Iterator[tuple[str, click.Command]]:
    for name in (*COMMANDS, *plugin_commands()):
        command = cli.get_command(click.Context(cli), name)
        members = command.commands.items() if isinstance(command, click.Group) else ()
        yield from ((f"{name} {word}", leaf) for word, leaf in members)
        if command is not None and not members:
            yield name, command


LEAVES = dict(leaves())
SLOW = ("bench", "reproduce", "data audit", "data preview", "data info", "data check")  # they would work for long


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store under a hostile name, of runs with hostile names, errors, tags and notes; nobody trains."""
    folder = tmp_path / NAME
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("QTLPLAT_STORE", "QTLPLAT_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    store = folder / f"{NAME}.db"
    store_runs(store, EVIL, EVIL)
    with Writer(find_store(str(store))) as writer:
        writer.note(Reader(find_store(str(store))).runs()[0].id, EVIL)
    return store


@pytest.fixture
def nobody_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise QtlplatError(safe_repr(EVIL), where=EVIL, fix=EVIL)

    # All are imported before the first is replaced: what imports a name meanwhile would keep the replacement for good.
    training = {name: importlib.import_module(f"qtlplat.runs.{name}") for name in TRAINING}
    for name in ("execute", "prepare", "replay", "resume"):
        monkeypatch.setattr(training[name], name, refuse)
    monkeypatch.setattr(QtlplatError, "exit_code", 3)


def lines(path: str, command: click.Command) -> Iterator[tuple[str, ...]]:
    """The command with what is hostile in place of each argument and of each option's value in turn."""
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    sound = ["@last" if p.name != "recipe" else "bhowmik2024" for p in arguments]
    for place in range(len(arguments)):
        yield (*path.split(), "--", *sound[:place], EVIL, *sound[place + 1 :])
    for option in command.params:
        if isinstance(option, click.Option) and not option.is_flag and not option.count:
            yield (*path.split(), option.opts[0], EVIL, *sound)
    yield (*path.split(), f"--{EVIL}")
    yield (*path.split(), f"--quiet={EVIL}")
    yield (*path.split(), *sound, *[EVIL] * 9)


@pytest.mark.sampled(31)
@pytest.mark.usefixtures("nobody_trains")
@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("path", [path for path in LEAVES if not path.startswith(SLOW)])
def test_every_argument_and_option(path: str, terminal: bool, evil: Path) -> None:
    for line in lines(path, LEAVES[path]):
        assert_inert((*line[:1], "--store", str(evil), *line[1:]) if "store" not in line else line, terminal)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.slow] * (path == "bench devices"))
        for path in LEAVES
        if path.startswith(SLOW)
    ],
)
def test_every_option_of_what_works_for_long(path: str, evil: Path) -> None:
    words = path.split()
    reading = [(*words, "--registry", EVIL)] if path != "bench store" else []
    for line in ((*words, f"--{EVIL}"), (*words, EVIL, EVIL), *reading):
        assert_inert(line)


@pytest.mark.sampled(30)
@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    "line",
    [
        ("runs",),
        ("runs", "--cols", "run,head,note,error"),
        ("runs", "--md"),
        ("runs", "--latex"),
        ("runs", "--csv"),
        ("runs", "--json"),
        ("show", "@last"),
        ("show", "@-2", "--plan"),
        ("show", "@-2", "--env"),
        ("show", "@-2", "--cells"),
        ("show", "@-2", "--json"),
        ("compare", "@-1", "@-2"),
        ("diff", "@-1", "@-2"),
        ("best",),
        ("pareto", "f1", "parameters"),
        ("note", "@last"),
        ("tag",),
        ("rm", "@last"),
        ("rm", "@last", "--restore"),
        ("sql", "select * from runs"),
        ("sql", "select 1 as 'a\x1b[2J\n'"),
        ("report",),
        ("plot", "@-2"),
        ("errors",),
        ("store", "path"),
        ("store", "check"),
        ("store", "backup"),
        ("store", "gc"),
        ("resume", "--all"),
        (EVIL,),
    ],
)
def test_what_is_stored(line: tuple[str, ...], terminal: bool, evil: Path) -> None:
    assert_inert(("--store", str(evil), *line), terminal)


@pytest.mark.parametrize(
    "line", [("runs",), ("show", "@last"), ("rm", "@last"), ("store", "path"), ("sql", "select 1")]
)
@pytest.mark.parametrize("name", ["QTLPLAT_STORE", "QTLPLAT_REGISTRY", "QTLPLAT_STORE_PATIENCE", "QTLPLAT_FILES"])
@pytest.mark.sampled(8)
def test_the_surroundings(line: tuple[str, ...], name: str, evil: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, EVIL)
    assert_inert(line)
    assert_inert(("ls",))
    if name == "QTLPLAT_STORE":
        _, _, err = assert_inert(("runs",))
        assert "no runs yet in" in err


def test_a_registry_and_a_plugin(evil: Path, install) -> None:  # type: ignore[no-untyped-def]
    evil.with_name("r.toml").write_text(f"[heads.mine]\ncomponent = 'linear'\nsummary = {json.dumps(EVIL)}\n")
    for line in (("ls",), ("info", "mine"), ("ls", "--json"), ("ls", "--md")):
        assert_inert((*line, "--registry", "r.toml"))
        assert_inert((*line, "--registry", "r.toml"), terminal=True)
    install(
        "evil-lab",
        "evil_lab",
        f"import sys\nprint({EVIL!r})\nprint({EVIL!r}, file=sys.stderr)\nraise ValueError({EVIL!r})",
    )
    for line in (("plugins",), ("plugins", "doctor"), ("ls",), ("info", "nobody")):
        code, out, err = called(*line)
        assert code in (0, 2, 4)
        assert not {c for c in out + err if not c.isprintable() and c not in "\n\t"}


@pytest.mark.parametrize("kind", [ValueError, OSError, KeyError, QtlplatError, click.UsageError, click.FileError])
def test_the_text_of_an_exception(kind: type[Exception], evil: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        sys.stdout.write(EVIL)
        sys.stderr.write(EVIL)
        warnings.warn(EVIL, stacklevel=1)
        raise kind(EVIL)

    monkeypatch.setattr(LEAVES["runs"], "callback", fail)
    for line in (("runs",), ("--debug", "runs")):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            monkeypatch.setattr(warnings, "showwarning", lambda message, *_: sys.stderr.write(f"{message}\n"))
            code, out, err = called(*line)
        assert code
        assert not {c for c in out + err if not c.isprintable() and c not in "\n\t"}
        assert any(text.startswith("error: ") for text in err.splitlines())


def test_machine_formats_stay_exact(evil: Path) -> None:
    at = ("--store", str(evil))
    found = json.loads(called("show", "@last", "--json", *at)[1])
    assert found["note"] == EVIL
    assert found["error"] == EVIL
    assert json.loads(called("store", "path", "--json", *at)[1])["path"] == str(evil)
    rows = list(csv.DictReader(io.StringIO(called("runs", "--csv", "--cols", "run,note", *at)[1])))
    assert [row["note"] for row in rows if row["note"]] == [clean(EVIL)]


# The door itself


def test_a_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\nb", "c")
    say()
    assert capsys.readouterr().out == "a\\nb\nc\n\n"


def test_a_guarded_stream_is_as_the_one_behind_it() -> None:
    behind = io.StringIO()
    stream = Guarded(behind)
    assert stream.write("a\x1b\n\tb") == 5
    stream.writelines(["\x07", "ü鋼\n"])
    assert behind.getvalue() == "a\\x1b\n\tb\\x07ü鋼\n"
    assert not stream.isatty()
    for text in ("plain\ntext\t1", "", "\n"):
        assert inert_layout(text) is text


def test_rich_keeps_its_colours_and_no_text_has_any(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.table import Table
    from rich.text import Text

    monkeypatch.setattr("sys.stdout", Guarded(Terminal()))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    console = stdout_console()
    table = Table(title=EVIL)
    table.add_column(EVIL)
    table.add_row(Text(EVIL, style="bold"))
    console.print(table)
    console.print(EVIL, EVIL)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[1m" in written
    assert {c for c in OF_RICH.sub("", written) if not c.isprintable()} == {"\n"}


def test_the_streams_of_the_process_are_put_back() -> None:
    before = sys.stdout, sys.stderr
    called("runs", "--store", os.devnull)
    assert (sys.stdout, sys.stderr) == before
