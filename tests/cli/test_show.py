import json
import math
from pathlib import Path

import pytest
from stored_runs import HOSTILE, is_inert, qtlplat, store_runs

from qtlplat.cli.show import sparkline


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


def test_the_page_tells_the_run(store: Path) -> None:
    pretraining, run, _ = store_runs(store)
    called = qtlplat(store, "show", "@-2")
    assert called.code == 0
    first = called.out.splitlines()[0].split()
    assert first == ["run", run, "run", "finished"]
    for line in ("mine = dressed[qubits=5, note=mine]  (qtlplat 0.1)", f"pretraining  {pretraining}"):
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
    assert run in qtlplat(store, "show", pretraining).out.split("runs that build on it")[1]


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
