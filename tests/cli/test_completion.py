"""TAB: the scripts for shells, and what they are answered; nothing but that is printed, whatever happens."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from stored_runs import Called, called_with, store_runs

from qtlplat.cli.app import COMMANDS, GROUPS, cli
from qtlplat.cli.completion import SHELLS
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("QTLPLAT_STORE", "QTLPLAT_REGISTRY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> object:
    """What bash gets for a command line, of which the last word is completed."""

    def complete(line: str) -> list[str]:
        with monkeypatch.context() as patch:
            patch.setenv("_QTLPLAT_COMPLETE", "bash_complete")
            patch.setenv("COMP_WORDS", f"qtlplat {line}")
            patch.setenv("COMP_CWORD", str(len(f"qtlplat {line}x".split()) - 1))
            called = called_with()
        assert (called.code, called.err) == (0, "")
        return [answer.partition(",")[2] for answer in called.out.splitlines()]

    return complete


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_for_a_shell_and_nothing_else(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_QTLPLAT_COMPLETE", f"{shell}_source")
    called = called_with()
    assert (called.code, called.err) == (0, "")
    assert f"{shell}_complete" in called.out
    if shell in ("bash", "zsh") and shutil.which(shell):
        subprocess.run([shell, "-n"], input=called.out, text=True, check=True)


@pytest.mark.parametrize(
    "instruction", ["tcsh_source", "bash", "bash_", "_source", "source_bash", "bash_sauce", "\x1b[31m", "x" * 1000]
)
def test_another_shell_is_a_usage_error(instruction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_QTLPLAT_COMPLETE", instruction)
    called = called_with()
    assert (called.code, called.out) == (2, "")
    assert called.err.startswith("error: ")
    assert "bash_source, fish_source, powershell_source, zsh_source" in called.err
    assert "\x1b" not in called.err


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("words", [{}, {"COMP_WORDS": "qtlplat"}, {"COMP_WORDS": "qtlplat", "COMP_CWORD": "x"}])
def test_a_shell_that_does_not_tell_the_line_is_a_usage_error(
    shell: str, words: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_QTLPLAT_COMPLETE", f"{shell}_complete")
    for name, value in words.items():
        monkeypatch.setenv(name, value)
    called = called_with()
    if not (shell == "fish" and words.get("COMP_CWORD")):  # fish tells the word itself there
        assert (called.code, called.out) == (2, "")


def test_commands_and_options(ask) -> None:  # type: ignore[no-untyped-def]
    assert ask("") == [*(name for group in GROUPS.values() for name in group), "bench"]
    assert ask("re") == ["resume", "reproduce", "replay", "report"]
    assert {"check", "backup", "gc"} <= set(ask("store "))
    assert {"--sort", "--store"} <= set(ask("runs --s"))
    assert ask("export x --to m") == ["mlflow"]
    assert ask("nonsense ") == []


def test_names_of_components(ask) -> None:  # type: ignore[no-untyped-def]
    assert {"dressed5x3", "dressed"} <= set(ask("run --head d"))
    assert {"lenet2", "lenet"} <= set(ask("run --backbone l"))
    assert "lenet2" not in ask("run --head l")
    assert "kfold6" in ask("run --evaluator ")
    assert {"standard", "paper"} <= set(ask("run --protocol "))
    assert {"dressed5x3", "lenet2", "kfold6"} <= set(ask("info "))
    assert "steel-synth" in ask("data check ")
    assert "bhowmik2024" in ask("reproduce ")
    assert "dressed5x3" in ask("bench head ")
    assert ask("bench backbone d") == []
    Path("r.toml").write_text("[heads.mine]\ncomponent = 'linear'\n")
    assert ask("--registry r.toml run --head mi") == ask("run --registry r.toml --head mi") == ["mine"]
    assert ask("run --head mi") == []


def test_runs_and_tags(ask) -> None:  # type: ignore[no-untyped-def]
    assert ask("show ") == []
    store_runs(Path("s.db"))
    ids = [run.id for run in Reader(find_store("s.db")).runs()]
    with Writer(find_store("s.db")) as writer:
        writer.tag(ids[:1], ["paper"], [])
    assert ask("--store s.db show ") == ["@last", *(run[:8] for run in ids), "@tag:paper"]
    for line in ("show", "rm", "tag", "note", "compare x", "diff x", "plot", "report", "export", "predict", "resume"):
        assert ids[0][:8] in ask(f"--store s.db {line} {ids[0][:3]}"), line
    assert ask("--store s.db tag @last --add p") == ["paper"]
    assert ask("--store ") == [""]  # a file: the shell's business


def test_what_goes_wrong_is_not_written_into_the_prompt(ask, install, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    Path("s.db").write_text("no store")
    assert ask("--store s.db show ") == []
    assert ask("--store mysql://x/y show ") == []
    assert ask("--registry nowhere.toml run --head ") == []
    install("loud", "loud_plugin", "import sys\nprint('out')\nprint('err', file=sys.stderr)\nraise ValueError('x')")
    assert "dressed5x3" in ask("run --head ")


def test_names_that_are_no_word_of_a_shell_are_not_offered(ask) -> None:  # type: ignore[no-untyped-def]
    Path("r.toml").write_text('[heads."mine"]\ncomponent = "linear"\nsummary = "\\u001b[31m\\nplain,evil"\n')
    assert ask("--registry r.toml run --head m") == ["mine", "mlp"]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("line", ["run --head d", "show ", "info l", "data check "])
def test_no_torch_is_imported(line: str, tmp_path: Path) -> None:
    store_runs(tmp_path / "s.db")
    code = (
        "import sys\nfrom qtlplat.cli.app import main\ntry: main()\nexcept SystemExit as left: assert not left.code\n"
        "print(*({'torch', 'pennylane', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    words = f"qtlplat {line}"
    asked = {"_QTLPLAT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(f"{words}x".split()) - 1)}
    environment = {**os.environ, **asked, "QTLPLAT_STORE": "s.db"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    *found, imported = done.stdout.splitlines()
    assert found
    assert imported == ""


# A group without a command


def groups() -> list[str]:
    named = {name: cli.get_command(click.Context(cli), name) for name in COMMANDS}
    needing = [n for n, c in named.items() if isinstance(c, click.Group) and not c.invoke_without_command]
    return ["", *needing]


@pytest.mark.parametrize("group", groups())
def test_a_group_without_a_command_prints_its_help(group: str) -> None:
    helped: Called = called_with(*group.split(), "--help")
    bare = called_with(*group.split())
    assert (bare.code, bare.out, bare.err) == (2, "", helped.out)
    assert helped.code == 0
    assert helped.out.startswith("Usage: qtlplat")
