"""What `compare`, `diff`, `best`, `pareto` and `errors` show on terminals of two widths."""

import contextlib
import io
import re
from pathlib import Path

import pytest
from compared_runs import CLASSICAL, LINEAR, QUANTUM, predictions, store_run
from stored_runs import HOSTILE, is_inert

from qtlplat.cli.app import _run

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("terminal") / "s.db"
    wrong = {0: predictions(0, [True, False, False])}
    parameters = {"model_total": 1000, **CLASSICAL}
    store_run(path, LINEAR, head="linear", parameters=parameters, predicted=wrong, environment={"threads": "2"})
    store_run(path, QUANTUM, parameters={"model_total": 900}, predicted=wrong, environment={"threads": "4"})
    store_run(path, QUANTUM, head=HOSTILE, parameters={"model_total": 800}, predicted=wrong)
    return path


def shown(store: Path, width: int, monkeypatch: pytest.MonkeyPatch, *command: str) -> str:
    """What a terminal of that width gets, without colours; its tables must fit."""
    monkeypatch.setenv("COLUMNS", str(width))
    out = Terminal()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        assert _run([*command, "--store", str(store)]) == 0
    text = COLOURS.sub("", out.getvalue())
    assert is_inert(text)
    tables = [line for line in text.splitlines() if line.startswith(" ")]
    assert tables
    assert max(map(len, tables)) <= width
    return text


@pytest.mark.parametrize("width", [80, 120])
def test_compare_begins_with_what_differs(store: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(store, width, monkeypatch, "compare", "@-3", "@-2")
    first, _, rest = text.partition("difference ")
    assert re.search(r"what differs +[0-9a-f]{8} +[0-9a-f]{8}", first)
    assert re.search(r"head +linear +dressed5x3", first)
    assert re.search(r"threads +2 +4", first)
    assert "kfold6" not in text  # the same in both
    assert "+0.00" in rest


@pytest.mark.parametrize("width", [80, 120])
def test_diff_says_what_it_ranks_and_why(store: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(store, width, monkeypatch, "diff", "@-3", "@-2")
    assert re.search(r"^before +[0-9a-f]{8} +linear on lenet2", text)
    assert re.search(r"head +linear +dressed5x3 +much", text)
    assert "hardware: the same operations in another order" in text
    assert "the numbers: different (6 pairs of cells, 3 predictions)" in text
    assert re.search(r"f1 +6 +0\.\d{6} +0\.\d{6} +\+0\.00", text)


@pytest.mark.parametrize("width", [80, 120])
def test_best_keeps_how_many_and_the_median(store: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(store, width, monkeypatch, "best", "--by", "backbone,evaluator")
    assert re.search(r"lenet2 +kfold6 +[0-9a-f]{8} +0\.98\d\d +0\.\d{4}.* 3 .*0\.98\d\d", text)


@pytest.mark.parametrize("width", [80, 120])
def test_front_shows_which_way_is_better(store: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    both = "head in ('linear', 'dressed5x3')"
    text = shown(store, width, monkeypatch, "pareto", "f1", "parameters", "--all", "--where", both)
    assert "f1 ↑" in text
    assert "parameters ↓" in text
    assert [line.split()[-1] == "yes" for line in text.splitlines() if "lenet2" in line] == [True, False]


@pytest.mark.parametrize("width", [80, 120])
def test_errors_name_the_heads(store: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(store, width, monkeypatch, "errors", "@-3", "@-2")
    assert re.search(r"s1 +1 +0 +2 of 2 .*dressed5x3 1/1, linear 1/1", text)
    hostile = shown(store, width, monkeypatch, "errors", "@last", "@-2")
    assert "<script>" in hostile  # literal text, no markup


@pytest.mark.parametrize(
    "command",
    [("sql", "SELECT * FROM v_runs"), ("runs", "--cols", "run,kind,dataset,evaluator,head,created,f1,finished")],
)
def test_a_listing_of_too_many_columns_stays_legible(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    out = Terminal()
    with contextlib.redirect_stdout(out):
        assert _run([*command, "--store", str(store)]) == 0
    lines = COLOURS.sub("", out.getvalue()).splitlines()
    assert max(map(len, lines)) <= 60
    assert re.match(r" run +kind ", next(line for line in lines if "run" in line))
    assert " f1, " in capsys.readouterr().err.partition("too narrow for: ")[2]


@pytest.mark.parametrize("command", ["runs", "best"])
def test_a_listing_of_nothing_names_no_columns(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with contextlib.redirect_stdout(Terminal()):
        assert _run([command, "--where", "f1 > 2", "--store", str(store)]) == 0
    assert "too narrow" not in capsys.readouterr().err
