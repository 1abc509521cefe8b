"""Numbers that are too large for what they would become, and names that name no file: refused before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from outcome import assert_fine, assert_refused, here

from qtlplat.store.backends.find import find_store
from qtlplat.store.write.writer import Writer

HUGE = "99999999999999999999999"
RUN = "run --dataset squares --backbone net --head dense --evaluator half --epochs 1 --pretrain-epochs 1".split()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("-S", f"training.batch_size={HUGE}"), "training.batch_size"),
        (("-S", f"pretraining.batch_size={HUGE}"), "pretraining.batch_size"),
        (("-S", f"pretraining.n_init={HUGE}"), "pretraining.n_init"),
        (("--epochs", HUGE), "training.epochs"),
        (("--seed", str(2**63 - 1), "--n-init", "2"), "--seed"),
        (("--seed", str(2**63 - 2), "--n-seeds", "3"), "--seed"),
        (("--n-seeds", HUGE), "--n-seeds"),
        (("--backbones", HUGE), "--backbones"),
    ],
)
def test_an_option_of_a_run(more: tuple[str, ...], words: str, faulty: Callable[..., None]) -> None:
    faulty()
    assert_refused(here(*RUN, *more, "--store", "s.db"), 3, words)
    assert not Path("s.db").exists()


@pytest.mark.slow
def test_the_largest_seed_is_a_seed(faulty: Callable[..., None]) -> None:
    faulty()
    assert_fine(
        here(*RUN, "--seed", str(2**62 - 1), "--n-seeds", "2", "--n-init", "2", "--backbones", "2", "--store", "s.db")
    )
    assert_fine(here("store", "check", "--store", "s.db"))


@pytest.mark.parametrize(
    "line",
    [
        ("runs", "-n", HUGE),
        ("runs", "-n", "0"),
        ("ls", "-n", HUGE),
        ("store", "backup", "-o", "/"),
        ("store", "backup", "-o", "."),
    ],
)
def test_a_number_of_rows_or_a_name_of_no_file(line: tuple[str, ...]) -> None:
    with Writer(find_store("s.db")):
        pass
    more = () if line[0] == "ls" else ("--store", "s.db")
    assert_refused(here(*line, *more), 2)
