import contextlib
import io
import json
import math
import re
from pathlib import Path

import pytest
from stored_runs import HOSTILE, is_inert, qtlplat, store_runs

from qtlplat.cli.app import _run
from qtlplat.cli.render.show_tables import sparkline
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import EpochRow, NewCell, NewRun
from qtlplat.store.write.writer import Writer

STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    """What a command takes for a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(store: Path, width: int, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What a terminal of so many columns shows, without the styles of its letters."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(io.StringIO()):
        assert _run([*arguments, "--store", str(store)]) == 0
    return STYLE.sub("", terminal.getvalue())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


def test_the_page_tells_the_run(store: Path) -> None:
    pretraining, run, _ = store_runs(store)
    called = qtlplat(store, "show", "@-2")
    assert called.code == 0
    first = called.out.splitlines()[0].split()
    assert first == ["run", run, "run", "finished"]
    for line in (
        "mine = dressed[qubits=5, note=mine]  (qtlplat 0.1)",
        "score        F1 0.9500 ± 0.0707, accuracy nan ± nan (mean ± sd of 2 cells)",
        f"data aaaaaaaaaaaa\npretraining {pretraining}  mine  finished\nthis run {run}\n",
    ):
        assert line in called.out
    assert "mean\t\t\t\t\t0.9500\tnan\t" in called.out
    assert "± sd\t\t\t\t\t0.0707\tnan\t" in called.out
    assert "0\t7\t3\t1.000 █▃▁ 0.250\t0.000 ▁▅█ 0.500" in called.out
    assert "1\t7\t3\t1.000 █▁× nan\t" in called.out
    assert "circuit\t15" in called.out
    assert f"qtlplat show {pretraining[:8]}" in called.err


def test_a_failed_run_tells_why(store: Path) -> None:
    _, _, failed = store_runs(store, error="loss is NaN in fold 3")
    called = qtlplat(store, "show", failed[:6])
    assert "failed" in called.out.splitlines()[0]
    assert "error        loss is NaN in fold 3" in called.out


def test_a_pretraining_names_what_builds_on_it(store: Path) -> None:
    pretraining, run, _ = store_runs(store)
    lineage = qtlplat(store, "show", pretraining).out.split("lineage")[1]
    assert f"this pretraining {pretraining}\n  run {run}  mine on mine  finished\n" in lineage
    form = json.loads(qtlplat(store, "show", pretraining, "--json").out)
    kin = {"role": "pretraining", "kind": "run", "status": "finished", "backbone": "mine", "head": "mine"}
    count = {"parents": 0, "children": 1}
    assert form["lineage"] == {"parents": [], "children": [{**kin, "run": run}], "count": count}


def test_json_has_everything_and_is_strict(store: Path) -> None:
    def refuse(name: str) -> float:
        raise AssertionError(name)

    _, run, _ = store_runs(store)
    form = json.loads(qtlplat(store, "show", run, "--json").out, parse_constant=refuse)
    listed = json.loads(qtlplat(store, "runs", "--json").out)[1]
    assert listed.items() <= form.items()
    assert [(cell["fold"], cell["seed"], cell["metrics"]["f1"]) for cell in form["cells"]] == [(0, 7, 0.9), (1, 7, 1.0)]
    assert form["epochs"][-1] == {"cell": 1, "epoch": 2, "seconds": 0.1, "test_loss": None, "test_accuracy": 0.5}
    assert form["plan"] == {"seed": 7, "note": "mine"}
    assert form["environment"]["python"] == "3.11"
    assert form["artifacts"][0]["path"] == "w.safetensors"


@pytest.mark.parametrize(
    ("flag", "there", "key"),
    [
        ("--cells", "0.9500", "cells"),
        ("--curve", "test_loss", "epochs"),
        ("--params", "trainable\t42", "parameters"),
        ("--plan", '"note": "mine"', "plan"),
        ("--env", "python\t3.11", "environment"),
    ],
)
def test_a_flag_narrows_to_its_section(store: Path, flag: str, there: str, key: str) -> None:
    _, run, _ = store_runs(store)
    called = qtlplat(store, "show", run, flag)
    assert there in called.out
    assert "fingerprint" not in called.out
    form = json.loads(qtlplat(store, "show", run, flag, "--json").out)
    assert form[key]
    assert len({"cells", "epochs", "parameters", "plan", "environment"} & set(form)) == 1


@pytest.mark.parametrize("width", [80, 120])
def test_the_page_keeps_to_the_width_of_a_terminal(store: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in store_runs(store, name=f"a name of {'many ' * 20}words", error="no " * 60)[::2]:
        shown = on_terminal(store, width, monkeypatch, "show", run)
        assert max(map(len, shown.splitlines())) <= width
        assert is_inert(shown)


def test_a_terminal_shows_the_lineage_as_a_tree(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretraining, run, _ = store_runs(store)
    shown = on_terminal(store, 80, monkeypatch, "show", run)
    assert f"data aaaaaaaaaaaa\n└── pretraining {pretraining}  mine  finished\n    └── this run {run}\n" in shown


def test_a_running_run_says_how_far_it_is(store: Path) -> None:
    with Writer(find_store(str(store))) as writer:
        run = writer.start_run(NewRun("run", "f" * 64, 7, {"training": {"epochs": 4}}, [], "a" * 64, {}))
        assert "progress     waits for its backbone" in qtlplat(store, "show", run).out
        cells = [NewCell(i, i, 7, 10, 5, "1" * 64, "2" * 64, "linear" if i == 2 else "head") for i in range(3)]
        writer.add_cells(run, cells)
        for epoch in (1, 2):
            writer.add_epochs(run, [EpochRow(i, epoch, 0.5, {"test_accuracy": 0.1 * (i + epoch)}) for i in range(3)])
        called = qtlplat(store, "show", run)
        form = json.loads(qtlplat(store, "show", run, "--json").out)
        assert "progress     epoch 2 of 4, accuracy 0.250, 3 s left" in called.out
        assert "qtlplat runs --watch" in called.err
        assert form["progress"] == pytest.approx(
            {"epoch": 2, "epochs": 4, "done": 6, "planned": 12, "accuracy": 0.25, "seconds": 3.0, "seconds_left": 3.0}
        )
    assert json.loads(qtlplat(store, "show", run, "--json").out)["progress"] is None
    assert f"qtlplat resume {run[:8]}" in qtlplat(store, "show", run).err


def test_the_page_has_what_people_say_of_a_run(store: Path) -> None:
    _, run, _ = store_runs(store)
    assert not re.search("^(tags|note|trash) ", qtlplat(store, "show", run).out, re.MULTILINE)
    with Writer(find_store(str(store))) as writer:
        writer.tag([run], ["paper", "best"])
        writer.note(run, "look\nat fold 1")
        writer.trash([run])
    page = qtlplat(store, "show", run).out
    assert "\ntags         best, paper\nnote         look\n             at fold 1\n" in page
    assert re.search(r"^trash        since 2\S+; it is listed nowhere", page, re.MULTILINE)


def test_a_backbone_of_many_runs_names_the_newest(store: Path) -> None:
    with Writer(find_store(str(store))) as writer:
        shared = writer.start_run(NewRun("pretraining", "f" * 64, 7, {}, [], "a" * 64, {}))
        writer.finish_run(shared, "finished", {})
        runs = []
        for _ in range(15):
            runs.append(writer.start_run(NewRun("run", "f" * 64, 7, {}, [], "a" * 64, {})))
            writer.link(runs[-1], "pretraining", shared)
            writer.finish_run(runs[-1], "finished", {})
    page = qtlplat(store, "show", shared).out
    assert [run in page for run in runs] == [False] * 3 + [True] * 12
    assert "and 3 older" in page
    form = json.loads(qtlplat(store, "show", shared, "--json").out)
    assert form["children"] == runs[::-1]
    assert [one["run"] for one in form["lineage"]["children"]] == runs[:2:-1]


@pytest.mark.parametrize("flags", [[], ["--json"], ["--plan"], ["--env"]])
def test_hostile_text_is_inert(store: Path, flags: list[str]) -> None:
    *_, failed = store_runs(store, name=HOSTILE, error=HOSTILE)
    called = qtlplat(store, "show", failed, *flags)
    assert called.code == 0
    assert is_inert(called.out + called.err)


def test_an_unknown_run_ends_with_2_and_names_the_newest(store: Path) -> None:
    *_, failed = store_runs(store)
    called = qtlplat(store, "show", "zzz")
    assert (called.code, called.out) == (2, "")
    assert failed[:8] in called.err
    assert "qtlplat runs" in called.err


def test_sparklines_keep_their_width_and_mark_what_is_not_finite() -> None:
    assert sparkline([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 8) == "▁▂▃▄▅▆▇█"
    assert len(sparkline([float(i) for i in range(1000)], 40)) == 40
    assert sparkline([math.nan, 1.0, math.inf, 2.0], 4) == "×▁×█"
    assert sparkline([3.0, 3.0], 4) == "▁▁"
    assert sparkline([math.nan], 4) == "×"
    assert sparkline([], 4) == ""
