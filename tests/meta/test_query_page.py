"""The page of questions: every command on it prints, on the store that the page makes, what the page says."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from examples import Example, examples

from qtlplat.cli.app import _run
from qtlplat.store.backends.find import find_store
from qtlplat_bench.store import make_store

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "query.md"
FIRST, *COMMANDS = examples(PAGE, "sh")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    words = shlex.split(FIRST.code.splitlines()[0])
    path = tmp_path_factory.mktemp("example") / words[words.index("--keep") + 1]
    make_store(find_store(str(path)), int(words[words.index("--runs") + 1]))
    return str(path)


def test_the_page_answers_at_least_twenty_questions() -> None:
    assert len(COMMANDS) >= 20
    assert PAGE.read_text(encoding="utf-8").count("?**") >= 20


@pytest.mark.parametrize("example", COMMANDS, ids=[f"line {one.line}" for one in COMMANDS])
def test_a_command_of_the_page_prints_what_it_says(
    store: str, example: Example, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QTLPLAT_STORE", store)
    if "$(" in example.code:  # for a shell
        script = (
            f'qtlplat() {{ "{sys.executable}" -c "from qtlplat.cli.app import main; main()" "$@"; }}\n{example.code}'
        )
        done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
        printed = done.stdout
    else:
        assert _run(shlex.split(example.code)[1:]) == 0
        printed = capsys.readouterr().out
    assert example.expected is not None
    # the page aligns columns, where programs get them separated by tabs
    assert [line.split() for line in printed.splitlines()] == [line.split() for line in example.expected.splitlines()]
