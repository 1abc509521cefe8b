"""What goes wrong ends with the right exit code, a message that says what, where and how to mend it, and a row."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

from .conftest import SMALL


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("run --head dresed5x3", 2, "did you mean: dressed5x3"),
        ("run --backbone 'lenet2[architecture'", 2, "cannot be read"),
        ("run --nonsense", 2, "--nonsense"),
        ("rnu", 2, "Did you mean run"),
        ("run -S head.qbits=3", 3, "qubits"),
        ("run -S head.qubits=0 -S evaluator.folds=1", 3, "2 options are wrong"),
        (f"run {SMALL} --replace 9", 3, "the backbone has 4"),
        ("run --replace 0", 2, "--replace all"),
        ("run --dataset neu-det", 3, "QTLPLAT_NEU_DET"),
        ("run --dataset neu-det -S dataset.root=/nowhere/at/all", 3, "/nowhere/at/all"),
        ("data check neu-det -S dataset.root=/nowhere/at/all", 3, "/nowhere/at/all"),
        ("run --registry /nowhere/registry.toml", 3, "/nowhere/registry.toml"),
        ("show abcdef", 2, "abcdef"),
    ],
)
@pytest.mark.sampled(13)
def test_wrong_input_is_refused_with_a_short_message(qtlplat, tmp_path, line, code, words):
    found, out, err = qtlplat(line + " --store", tmp_path / "s.db")
    assert found == code, err
    assert words in err
    assert out == ""
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 14  # the message has at most 12; notes may stand before it
    assert not (tmp_path / "s.db").exists()


def test_a_loss_that_is_not_finite_fails_the_run_and_keeps_its_epochs(qtlplat, tmp_path):
    store = tmp_path / "s.db"
    code, out, err = qtlplat(f"run {SMALL} --head linear -S training.learning_rate=1e37 --epochs 5 --store", store)
    assert (code, out) == (6, "")
    assert "fix: lower the learning rate" in err
    run = Reader(find_store(str(store))).runs(kind="run")[0]
    assert run.status == "failed"
    assert "loss became" in run.error


def test_what_torch_refuses_fails_the_run_with_a_training_error(qtlplat, tmp_path, monkeypatch):
    def out_of_memory(*_args, **_kwargs):
        raise RuntimeError("not enough memory: you tried to allocate 9 bytes\nand more")

    monkeypatch.setattr("qtlplat.runs.execute.HeadTraining", out_of_memory)
    store = tmp_path / "s.db"
    code, out, err = qtlplat(f"run {SMALL} --head linear --store", store)
    assert (code, out) == (6, "")
    assert "training failed: RuntimeError: " in err
    assert "not enough memory" in err
    (run,) = Reader(find_store(str(store))).runs(kind="run")
    assert run.status == "failed"
    assert f"  where: run {run.id}\n" in err


def start(line, *more):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    program = "from qtlplat.cli.app import main; main()"
    command = [sys.executable, "-c", program, *shlex.split(line), *map(str, more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_a_signal_leaves_interrupted_runs_and_the_epochs_so_far(tmp_path, number, code):
    store = tmp_path / "s.db"
    process = start(f"run {SMALL} --head linear --pretrain-epochs 500 -S pretraining.patience=0 --store", store)
    reader = Reader(find_store(str(store)))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (
        store.exists() and any(reader.epochs(r.id) for r in reader.runs(kind="pretraining"))
    ):
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    process.send_signal(number)
    sent = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert time.monotonic() - sent < 10
    assert out == ""
    assert "Traceback" not in err
    assert {r.status for r in reader.runs()} == {"interrupted"}
    assert reader.epochs(reader.runs(kind="pretraining")[0].id)
