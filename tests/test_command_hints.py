"""Commands in messages name the store and the registry of the command that printed them."""

import shlex
import subprocess

import pytest

from qtlplat.cli.app import COMMANDS
from qtlplat.cli.plugin_commands import plugin_commands
from qtlplat.command_hints import OPEN_STORE, READ_REGISTRY, completed, shell_word


def test_every_command_opens_the_store_or_reads_the_registry() -> None:
    assert {*COMMANDS, *plugin_commands()} == OPEN_STORE | READ_REGISTRY


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("list them: qtlplat runs", "list them: qtlplat runs --store S"),
        ("qtlplat show ab12 --plan   qtlplat runs", "qtlplat show ab12 --plan --store S   qtlplat runs --store S"),
        ("qtlplat ls heads", "qtlplat ls --registry R heads"),
        ("qtlplat store upgrade (it backs up first)", "qtlplat store upgrade --store S (it backs up first)"),
        ("qtlplat show RUN prints its plan", "qtlplat show RUN --store S prints its plan"),
        ('qtlplat sql "SELECT a, b FROM v; x"; or else', 'qtlplat sql "SELECT a, b FROM v; x" --store S; or else'),
        ("qtlplat tag @last --add paper", "qtlplat tag @last --add paper --store S"),
        ("qtlplat show ab12 --plan prints it", "qtlplat --store S show ab12 --plan prints it"),
        ("qtlplat compare ccdfbfcc   qtlplat runs", "qtlplat compare ccdfbfcc --store S   qtlplat runs --store S"),
        ("qtlplat replay ccdfbfcc --verify", "qtlplat replay ccdfbfcc --verify --store S --registry R"),
        ("qtlplat show ccdfbfccaeeadbfa prints it", "qtlplat show ccdfbfccaeeadbfa --store S prints it"),
        ("qtlplat show ccdfbfcc deadbeef, again", "qtlplat show ccdfbfcc deadbeef --store S, again"),
        ("qtlplat show mine --plan   more", "qtlplat show mine --plan --store S   more"),
        ("qtlplat show defaced runs", "qtlplat show --store S defaced runs"),
        ("continue: qtlplat sweep circuits", "continue: qtlplat sweep --store S --registry R circuits"),
        ("qtlplat sweep show circuits --sort -f1", "qtlplat sweep show circuits --sort -f1 --store S --registry R"),
        ("again: qtlplat sweep retry circuits", "again: qtlplat sweep retry --store S --registry R circuits"),
        ("make one: qtlplat run", "make one: qtlplat run --store S --registry R"),
        ("name OTHER: qtlplat store check --store OTHER", "name OTHER: qtlplat store check --store OTHER"),
        ("qtlplat run --help", "qtlplat run --help"),
        ("there is no command 'qtlplat runs'", "there is no command 'qtlplat runs'"),
        ("this version of qtlplat does not know it", "this version of qtlplat does not know it"),
        ("pip install qtlplat", "pip install qtlplat"),
    ],
)  # fmt: skip
def test_commands_are_completed_where_they_end(text: str, told: str) -> None:
    assert completed(text, "S", "R") == told
    assert completed(text) == text


@pytest.mark.parametrize("name", ["a b.db", "it's", "\x1b[31m.db", "a\nb", "$HOME", "\u202e", "\udcff"])
def test_a_name_is_one_word_for_the_shell(name: str) -> None:
    word = shell_word(name)
    assert word.isprintable()
    done = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)
    assert done.stdout == name.encode("utf-8", "surrogateescape")
    if name.isprintable():
        assert shlex.split(word) == [name]


def test_names_with_commas_between_them_are_one_word():
    for names in ("linear,mlp", "svm-rbf,logistic,quantum-kernel"):
        assert completed(f"qtlplat run --controls {names}", "s.db") == f"qtlplat run --controls {names} --store s.db"
    assert (
        completed("see qtlplat show 1a2b, or try again", "s.db") == "see qtlplat show 1a2b --store s.db, or try again"
    )
