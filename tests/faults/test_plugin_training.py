"""A component that goes wrong in the middle of training: the run is stored as failed, what was there before stays."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from faulty_components import instead
from outcome import assert_fine, assert_refused, here, nothing_lost
from sampling import sampled

from qtlplat.errors import PluginError, TrainingError
from qtlplat.plugin_modules import training_errors

Faulty = Callable[..., None]
STORE = Path("s.db")
RUN = "run --dataset squares --backbone net --evaluator half --epochs 3 --pretrain-epochs 1 --store s.db".split()
RUN += ["-S", "training.batch_size=3"]


def later(body: str, calls: int, otherwise: str) -> str:
    """A function's body that does something else from its n-th call on."""
    return f"global n; n = globals().get('n', 0) + 1\nif n > {calls}:\n    {body}\n{otherwise}"


def statuses() -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(STORE)) as db:
        return [tuple(row) for row in db.execute("SELECT kind, status FROM runs ORDER BY rowid")]


def refused_in_the_middle(code: int, *words: str) -> None:
    """A sound run before it stays as it is; the run itself is stored as failed."""
    assert_fine(here(*RUN, "--head", "linear"))
    with nothing_lost(STORE):
        assert_refused(here(*RUN, "--head", "dense"), code, *words)
    assert statuses() == [("run", "finished"), ("pretraining", "finished"), ("run", "failed")]


# What looks at values can be neither traced nor stacked: it is called in every step.
SOUND = "float(x.sum()); return self.layer(x)"
IN_TRAINING = 12  # calls before, by all trials


RAISED = {
    "a ValueError": ("raise ValueError('no more')", "ValueError: 'no more'"),
    "a KeyError": ("raise KeyError('x')", "KeyError"),
    "a RuntimeError": ("raise RuntimeError('mine')", "RuntimeError: 'mine'"),
    "an exit": ("raise SystemExit(0)", "SystemExit"),
    "what steers a terminal": (r"raise LookupError('\x1b[31m\n')", r"\x1b[31m"),
}


@pytest.mark.parametrize("fault", sampled(RAISED, 3))
@pytest.mark.sampled(1)
def test_a_head_that_raises_in_training(fault: str, faulty: Faulty) -> None:
    body, words = RAISED[fault]
    faulty(instead("forward", "self, x, torch", later(body, IN_TRAINING, SOUND)))
    refused_in_the_middle(4, words, "faulty-lab")


@pytest.mark.parametrize("fault", sampled(RAISED, 3))
@pytest.mark.sampled(1)
def test_metrics_that_raise_after_training(fault: str, faulty: Faulty) -> None:
    body, words = RAISED[fault]
    faulty(instead("metrics", "labels, probabilities", later(body, 3, "return {}")))
    refused_in_the_middle(4, words, "faulty-lab")


@pytest.mark.slow
def test_a_head_that_cannot_be_built_again(faulty: Faulty) -> None:
    sound = "import torch; return torch.nn.Linear(in_features, n_classes)"
    faulty(instead("build_head", "options, in_features, n_classes", later("raise SystemExit(0)", 4, sound)))
    refused_in_the_middle(4, "SystemExit", "faulty-lab")


@pytest.mark.slow
def test_a_loss_that_is_not_finite_says_where(faulty: Faulty) -> None:
    body = later("return self.layer(x) * float('nan')", IN_TRAINING, SOUND)
    faulty(instead("forward", "self, x, torch", body))
    refused_in_the_middle(6, "the loss became nan", "epoch", "step", "cell 0")


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("raise RuntimeError('mine')", PluginError, "RuntimeError: 'mine'"),
        ("raise SystemExit(0)", PluginError, "SystemExit"),
        ("raise type('Own', (BaseException,), {})('deep')", PluginError, "Own: 'deep'"),
        ("import torch; return torch.ones(2, 3) @ torch.ones(2, 3)", PluginError, "RuntimeError"),
        ("raise MemoryError", TrainingError, "MemoryError"),
        ("raise RuntimeError('not enough memory: you tried to allocate 9 bytes')", TrainingError, "not enough memory"),
    ],
)
def test_whose_fault_it_is_is_told_by_the_traceback(
    body: str, kind: type[Exception], words: str, install: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    install("guilty-lab", "guilty", instead("step", "", body), entry="guilty")
    import guilty

    with pytest.raises(kind, match=words) as caught, training_errors():
        guilty.step()
    assert "guilty-lab" in str(caught.value.where) or kind is TrainingError  # type: ignore[attr-defined]


def test_what_torch_refuses_without_a_plugin_is_a_failed_training_and_our_bugs_are_bugs() -> None:
    import torch

    with pytest.raises(TrainingError, match="Expected more than 1 value"), training_errors():
        torch.nn.BatchNorm1d(3)(torch.ones(1, 3))
    with pytest.raises(AttributeError), training_errors():
        None.nothing  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(KeyboardInterrupt), training_errors():
        raise KeyboardInterrupt


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory")])
def test_memory_that_ran_out_is_mended_by_smaller_batches(error: Exception) -> None:
    with pytest.raises(TrainingError) as caught, training_errors():
        raise error
    assert "batch_size" in caught.value.fix


def test_what_is_printed_in_training_stays_off_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with training_errors():
        print("loud")  # noqa: T201
    assert capsys.readouterr() == ("", "loud\n")
