"""A run is done again from its stored plan: the same comes out bit for bit, or it is said what differs and why."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quantum.made_devices import install
from quick_runs import PLUGIN, RUN, leftovers

from qtlplat.cli.app import _run
from qtlplat.runs.numeric_agreement import Part, verdict
from qtlplat.signals import Stop
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.lineage import family
from qtlplat.store.read.queries import Reader

Call = Callable[[str], int]
SHORT = f"{RUN} --epochs 3 --pretrain-epochs 2"
QUANTUM = "--head 'dressed[qubits=2,layers=1]' --controls linear,shuffled"


def reader_of(store: Path) -> Reader:
    return Reader(find_store(str(store)))


def everything(store: Path, run: str) -> dict[str, Any]:
    """All that is stored of a run, but what came of it."""
    reader = reader_of(store)
    parts = (reader.run, reader.cells, reader.epochs, reader.predictions, reader.artifacts, reader.environment)
    return {part.__name__: part(run) for part in parts}


@pytest.fixture(scope="module")
def trained(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a finished run of a linear head; never written to."""
    store = tmp_path_factory.mktemp("trained") / "runs.db"
    assert _run([*shlex.split(f"{SHORT} --head linear -q"), "--store", str(store)]) == 0
    return store


@pytest.fixture
def finished(trained: Path, store: Path) -> str:
    """The id of the finished run, in a store of the test's own."""
    shutil.copytree(trained.parent, store.parent, dirs_exist_ok=True)
    return reader_of(store).runs(kind="run")[0].id


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str], store: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Replay and verify; returns exit code and outcome."""

    def call(*words: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = _run(["replay", *words, "--verify", "--json", "-q", "--store", str(store)])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else {}

    return call


def test_a_replay_on_the_same_machine_is_bitwise_the_same(qtlplat: Call, store: Path, replay: Any) -> None:
    assert qtlplat(f"{SHORT} {QUANTUM} -q") == 0
    (first,) = reader_of(store).runs(kind="run")
    before = everything(store, first.id)
    code, outcome = replay(first.id)
    again, _ = reader_of(store).runs(kind="run")
    assert code == 0
    assert {k: outcome[k] for k in ("run", "replay", "verdict", "max_difference", "why")} == {
        "run": first.id,
        "replay": again.id,
        "verdict": "bitwise",
        "max_difference": 0.0,
        "why": "no stored setting has changed",
    }
    compared = {part["name"]: (part["compared"], part["unequal"]) for part in outcome["parts"]}
    # 9 cells of 3 epochs with 4 values; 9 metrics; 32 test samples of 2 classes in each cell
    assert compared == {
        "epochs": (108, 0),
        "metrics": (81, 0),
        "predictions": (576, 0),
        "weights": (1, 0),
        "backbone: epochs": (16, 0),
        "backbone: metrics": (18, 0),
        "backbone: predictions": (80, 0),
        "backbone: weights": (1, 0),
    }
    assert everything(store, first.id) == before
    assert leftovers(store) == []


@pytest.mark.slow
def test_a_replay_is_linked_and_starts_from_nothing(store: Path, finished: str, replay: Any) -> None:
    assert replay("@last")[0] == 0
    reader = reader_of(store)
    again, first = reader.runs(kind="run")
    new, old = reader.runs(kind="pretraining")
    assert reader.run(again.id).replay_of == first.id == finished
    assert reader.run(new.id).replay_of == old.id
    assert (again.pretraining, first.pretraining) == (new.id, old.id)
    assert again.fingerprint == first.fingerprint
    assert {one.role for one in family(reader, first.id).below} == {"replay"}


def test_heads_alone_start_from_the_stored_weights(store: Path, finished: str, replay: Any) -> None:
    code, outcome = replay(finished, "--heads-only")
    assert (code, outcome["verdict"], outcome["heads_only"]) == (0, "bitwise", True)
    assert [part["name"] for part in outcome["parts"]] == ["epochs", "metrics", "predictions", "weights"]
    assert len(reader_of(store).runs(kind="pretraining")) == 1


def test_a_pretraining_can_be_done_again_too(store: Path, finished: str, replay: Any) -> None:
    (first,) = reader_of(store).runs(kind="pretraining")
    code, outcome = replay(first.id)
    assert (code, outcome["verdict"], outcome["heads_only"]) == (0, "bitwise", False)
    assert reader_of(store).run(outcome["replay"]).replay_of == first.id
    assert replay(first.id, "--heads-only")[0] == 2


@pytest.mark.slow
def test_cells_with_backbones_of_their_own_are_held_against_each_other(qtlplat: Call, store: Path, replay: Any) -> None:
    nested = SHORT.replace("kfold", "nested")
    assert qtlplat(f"{nested} --head linear -q") == 0
    code, outcome = replay("@last")
    assert (code, outcome["verdict"]) == (0, "bitwise")
    assert len([part for part in outcome["parts"] if part["name"].startswith("backbone")]) == 12
    part_of_the_data = reader_of(store).runs(kind="pretraining")[0]
    assert replay(part_of_the_data.id)[0] == 3


@pytest.mark.slow
def test_code_that_changed_behind_its_version_is_found_out(
    install: Callable[..., None], store: Path, replay: Any
) -> None:
    source = PLUGIN.replace("quick-", "changing-").replace("quick2026", "changing2026")
    run = shlex.split(SHORT.replace("quick-", "changing-"))
    install("changing-plugin", "changing_plugin", source)
    assert _run([*run, "--head", "linear", "-q", "--store", str(store)]) == 0
    changed = source.replace("nn.ReLU(), nn.Dropout(0.3)", "nn.Sigmoid(), nn.Dropout(0.3)")
    install("changing-plugin", "changing_plugin", changed)
    sys.modules.pop("changing_plugin")
    code, outcome = replay("@last")
    assert (code, outcome["verdict"]) == (9, "different")
    assert outcome["max_difference"] > 0.01
    assert "code of changing-plugin (digest)" in outcome["why"]
    assert "largest in" in outcome["why"]


ROUNDS = """
    from torch import nn
    import os

    class Rounds(nn.Module):
        def forward(self, x):
            return x * (1 + float(os.environ.get("OTHER_MACHINE", "0")))
"""


@pytest.mark.slow
def test_what_only_rounds_otherwise_is_within_the_tolerance(
    install: Callable[..., None], store: Path, replay: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = PLUGIN.replace("quick-", "rounding-").replace("quick2026", "rounding2026")
    source = source.replace("\n    from torch import nn\n", ROUNDS).replace("nn.Flatten()", "nn.Flatten(), Rounds()")
    install("rounding-plugin", "rounding_plugin", source)
    run = shlex.split(SHORT.replace("quick-", "rounding-"))
    assert _run([*run, "--head", "linear", "-q", "--store", str(store)]) == 0
    first = reader_of(store).runs(kind="run")[0].id
    monkeypatch.setenv("OTHER_MACHINE", "1e-6")
    code, outcome = replay(first, "--heads-only")
    assert (code, outcome["verdict"], outcome["tolerance"]) == (0, "tolerance", 0.01)
    assert 0 < outcome["max_difference"] < 1e-4
    assert outcome["why"].startswith("no stored setting has changed")
    code, outcome = replay(first, "--heads-only", "--tolerance", "1e-12")
    assert (code, outcome["verdict"]) == (9, "different")
    # features that came out otherwise lie beside those of the run, whose file is what it was
    features = {a.path for run in reader_of(store).runs(kind="run") for a in reader_of(store).artifacts(run.id)}
    assert len([path for path in features if path.startswith("features/")]) == 2
    assert _run(["store", "check", "-q", "--store", str(store)]) == 0


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Stop training at the n-th step from now, as Ctrl-C would."""
    steps: list[int] = []

    def check(_self: Stop) -> None:
        steps.append(1)
        if len(steps) == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(Stop, "check", check)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("again", ["resume --all -q", "replay @-2 --verify -q"])
@pytest.mark.slow
def test_an_interrupted_replay_goes_on_as_one(
    qtlplat: Call, store: Path, finished: str, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 15)  # in the second initialisation of its backbone
        assert qtlplat("replay @last -q") == 130
    (stopped,) = reader_of(store).interrupted(kind="run")
    assert qtlplat(again) == 0
    reader = reader_of(store)
    second, first = reader.runs(kind="run")
    assert (second.id, first.id) == (stopped.id, finished)
    assert second.pretraining != first.pretraining
    assert len(reader.runs(kind="pretraining")) == 2
    assert [row.values for row in reader.epochs(second.id)] == [row.values for row in reader.epochs(first.id)]


@pytest.mark.slow
def test_another_sort_of_replay_does_not_go_on_with_it(
    qtlplat: Call, store: Path, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 1)
        assert qtlplat("replay @last -q") == 130
    assert qtlplat(f"replay {finished} --heads-only -q") == 0
    statuses = [run.status for run in reader_of(store).runs(kind="run")]
    assert statuses == ["finished", "interrupted", "finished"]


def test_without_verify_the_new_run_is_shown(
    qtlplat: Call, store: Path, finished: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qtlplat("replay @last --heads-only -q") == 0
    again = reader_of(store).runs(kind="run")[0].id
    assert f"run {again}  run  finished" in capsys.readouterr().out
    assert qtlplat("replay @last --heads-only -q --json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "finished"


def test_the_table_says_what_was_compared(
    qtlplat: Call, store: Path, finished: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qtlplat("replay @last --verify --heads-only -q") == 0
    out = capsys.readouterr().out
    assert "predictions\t192\t0\t0\t" in out
    assert "bitwise the same\nwhy: no stored setting has changed\n" in out


def test_a_run_that_has_not_finished_is_not_replayed(
    qtlplat: Call, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 1)
        assert qtlplat(f"{SHORT} --head linear -q") == 130
    assert qtlplat("replay @last --verify") == 2
    assert "qtlplat resume" in capsys.readouterr().err


@pytest.mark.slow
def test_shots_that_cannot_be_repeated_are_expected(
    qtlplat: Call, store: Path, replay: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch)
    short = f"{RUN} --epochs 1 --pretrain-epochs 1"
    assert qtlplat(f"{short} --head 'dressed[qubits=2,layers=1]' --device made.own_shots") == 0
    assert capsys.readouterr().err.count("the shots of made.own_shots cannot be repeated") == 1
    (first,) = reader_of(store).runs(kind="run")
    known = reader_of(store).environment(first.id)
    assert (known["shots"], known["shots repeat"]) == ("1000, chosen by the device", "no")
    code, outcome = replay(first.id, "--tolerance", "1e-9")
    assert (code, outcome["verdict"]) == (0, "not repeatable")
    assert outcome["why"].startswith("new shots of a device that cannot repeat them; largest in ")
    assert not any(part["unequal"] for part in outcome["parts"] if part["name"].startswith("backbone"))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([Part("epochs", 9, 0, 0.0, "", True)], "bitwise"),
        ([Part("epochs", 9, 1, 0.001, "x", True)], "tolerance"),
        ([Part("epochs", 9, 1, 0.5, "x", True), Part("weights", 1, 1, None, "x", True)], "not repeatable"),
        ([Part("epochs", 9, 1, 0.5, "x", True), Part("backbone: epochs", 9, 1, 0.5, "x")], "different"),
        ([Part("epochs", 9, 1, math.inf, "x", True)], "different"),
    ],
)
def test_only_what_follows_from_shots_may_differ(parts: list[Part], expected: str) -> None:
    assert verdict(parts, 0.01) == expected
