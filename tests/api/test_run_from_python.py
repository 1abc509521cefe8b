"""`qtlplat.run`: the request of the command line, stored in the same way, found again, refused in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import qtlplat

QUICK: dict[str, Any] = {
    "dataset": "steel-synth[per_class=24,images_per_kind=6,size=96]",
    "backbone": "lenet2",
    "head": "linear",
    "evaluator": "kfold[folds=3]",
    "epochs": 2,
    "pretrain_epochs": 1,
    "n_init": 1,
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[qtlplat.Run, list[str], Path]:
    told: list[str] = []
    store = tmp_path_factory.mktemp("python") / "store.db"
    return qtlplat.run(**QUICK, store=store, tell=told.append), told, store


def test_it_is_the_run_of_the_command_line(
    done: tuple[qtlplat.Run, list[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from qtlplat.cli.app import _run

    run, told, store = done
    assert run.status == "finished"
    assert len(run.values("f1")) == 3
    assert any("pretrain" in line for line in told)
    flags = [part for name, value in QUICK.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    assert _run(["run", *flags, "--reuse", "--json", "--quiet", "--store", str(store)]) == 0
    assert f'"run": "{run.id}"' in capsys.readouterr().out


def test_what_is_needed_is_not_trained_again(done: tuple[qtlplat.Run, list[str], Path]) -> None:
    run, _, place = done
    store = qtlplat.open_store(place)
    again = qtlplat.run(**QUICK, store=store, reuse=True, tags=["quick"], note="again")
    assert again.id == run.id
    assert (again.record.tags, again.record.note) == (("quick",), "again")
    assert len(store.runs(kind="run")) == 1


@pytest.mark.parametrize(
    ("wrong", "error", "what"),
    [
        ({"head": "linea"}, qtlplat.QtlplatError, "linear"),
        ({"options": {"head.layers": 3}}, qtlplat.ConfigError, "layers"),
        ({"replace": 0}, qtlplat.QtlplatError, "replace"),
        ({"seed": -1}, qtlplat.ConfigError, "seed"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_stored(
    tmp_path: Path, wrong: dict[str, Any], error: type[Exception], what: str
) -> None:
    store = qtlplat.open_store(tmp_path / "store.db")
    with pytest.raises(error, match=what):
        qtlplat.run(**{**QUICK, **wrong}, store=store)
    assert not store.location.exists
