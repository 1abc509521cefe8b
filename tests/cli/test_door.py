"""The front door: help, unknown commands, exit codes, signals, and nothing heavy imported before it is needed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from qtlplat.cli import app as door
from qtlplat.cli.app import COMMANDS, _lines
from qtlplat.errors import (
    BusyError,
    ConfigError,
    DataError,
    PluginError,
    QtlplatError,
    StoreError,
    TrainingError,
    UntrustedError,
    UsageError,
)

HEAVY = ("torch", "pennylane", "sklearn", "scipy", "PIL", "sqlalchemy", "rich", "numpy", "pydantic", "pluggy")


def run(
    *arguments: str, cwd: Path, code: str = "from qtlplat.cli.app import main; main()"
) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("QTLPLAT_")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def leave(*arguments: str) -> int:
    """Exit code of the command line in this process."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as caught:
            door.main(arguments)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> object:
    """A command `fail` that raises what it is given."""

    def install(error: BaseException) -> None:
        @click.command("fail")
        def fail_command() -> None:
            raise error

        monkeypatch.setitem(COMMANDS, "fail", ("fail", "Fails."))
        module = type(sys)("qtlplat.cli.commands.fail")
        module.fail_command = fail_command  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "qtlplat.cli.commands.fail", module)

    return install


def imported_by(*commands: list[str], cwd: Path) -> set[str]:
    """Which heavy modules a fresh process has imported after these commands, each of which must succeed."""
    code = f"""
import sys, qtlplat.cli.app as door
for command in {commands!r}:
    try:
        door.main(command)
    except SystemExit as left:
        assert not left.code, command
print("imported", *(m for m in {HEAVY!r} if m in sys.modules))
"""
    done = run(cwd=cwd, code=code)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    assert imported_by(["--help"], cwd=tmp_path) == set()


def test_listings_import_neither_torch_nor_pennylane(tmp_path: Path) -> None:
    commands = (["ls", "--json"], ["plugins", "list"], ["plugins", "doctor"], ["info", "kfold6"], ["info", "mlp"])
    assert imported_by(*commands, cwd=tmp_path) <= {"numpy", "pydantic", "pluggy", "rich"}


def test_resume_without_anything_to_do_does_not_import_torch(tmp_path: Path) -> None:
    assert not {"torch", "pennylane"} & imported_by(["resume", "--json"], cwd=tmp_path)


def test_the_package_can_be_called_by_its_name(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "qtlplat", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("qtlplat")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("--help") == 0
    out = capsys.readouterr().out
    for name, line in _lines():
        assert re.search(rf"^  {name} +{re.escape(line[:30])}", out, re.MULTILINE)


def test_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    import qtlplat

    assert leave("--version") == 0
    assert qtlplat.__version__ in capsys.readouterr().out


def test_an_unknown_command_is_answered_with_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("plugin") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Did you mean plugins" in captured.err


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("ls", "--jsn") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--json" in captured.err


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (QtlplatError, 1),
        (UsageError, 2),
        (ConfigError, 3),
        (DataError, 3),
        (PluginError, 4),
        (StoreError, 5),
        (TrainingError, 6),
        (BusyError, 7),
        (UntrustedError, 8),
    ],
)
def test_each_error_leaves_with_its_published_code(
    kind: type[QtlplatError],
    code: int,
    failing,  # type: ignore[no-untyped-def]
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing(kind("the thing is wrong", where="here", fix="do this"))
    assert leave("fail") == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: the thing is wrong\n  where: here\n  fix: do this\n"


def test_a_long_message_is_cut_to_twelve_lines(failing, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    failing(ConfigError("\n".join(f"line {i}" for i in range(50)), where="w", fix="f"))
    assert leave("fail") == 3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 12
    assert lines[-2:] == ["  where: w", "  fix: f"]
    assert "more" in lines[-3]


def test_a_bug_of_ours_says_so_without_a_traceback(failing, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    failing(KeyError("\x1b[31m"))
    assert leave("fail") == 1
    err = capsys.readouterr().err
    assert "a bug in qtlplat: KeyError" in err
    assert "Traceback" not in err
    assert "\x1b" not in err


def test_debug_shows_the_traceback_before_the_message_and_keeps_the_code(failing, capsys) -> None:  # type: ignore[no-untyped-def]
    failing(StoreError("the disk is full", fix="free some space"))
    assert leave("--debug", "fail") == 5
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-2:] == ["error: the disk is full", "  fix: free some space"]


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (door.Terminated(), 143)])
def test_signals_have_their_codes(error: BaseException, code: int, failing) -> None:  # type: ignore[no-untyped-def]
    failing(error)
    assert leave("fail") == code


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    line = f"{sys.executable} -c 'from qtlplat.cli.app import main; main()' ls | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


@pytest.mark.parametrize("name", dict(_lines()))
def test_every_command_has_help_and_takes_the_common_options(name: str) -> None:
    context = click.Context(door.cli)
    command = door.cli.get_command(context, name)
    assert command is not None
    assert command.help
    leaves = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    for leaf in leaves:
        assert leaf.help, f"{name} {leaf.name}"
        options = {option for param in leaf.params for option in param.opts}
        assert {"--store", "--registry", "--quiet", "--verbose", "--debug"} <= options, f"{name} {leaf.name}"
