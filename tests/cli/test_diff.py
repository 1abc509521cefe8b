import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compared_runs import LINEAR, QUANTUM, cell, store_run
from stored_runs import HOSTILE, is_inert, qtlplat, store_runs

from qtlplat.analysis.explain_difference import KINDS
from qtlplat.cli.commands.diff import WEIGHTS
from qtlplat.store.core.records import PredictionRow

ENVIRONMENT = {"python": "3.11", "threads": "2", "host": "one", "version of torch": "2.12", "command": "run"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


def diffed(store: Path, *arguments: str) -> dict[str, Any]:
    called = qtlplat(store, "diff", *arguments, "--json")
    assert (called.code, called.err) == (0, "")
    found: dict[str, Any] = json.loads(called.out, parse_constant=pytest.fail)
    return found


def predicted(probabilities: Sequence[float]) -> Mapping[int, list[PredictionRow]]:
    return {0: [PredictionRow(0, f"s{i}", "i", 1, int(p > 0.5), (1 - p, p)) for i, p in enumerate(probabilities)]}


def test_the_weightiest_cause_stands_first_and_nothing_that_is_equal_is_told(store: Path) -> None:
    plan = {"seed": 0, "training": {"epochs": 40, "batch_size": 64}, "replace": "all"}
    first = store_run(store, LINEAR, plan=plan, environment=ENVIRONMENT)
    changed = {**ENVIRONMENT, "threads": "4", "host": "other", "version of torch": "2.13"}
    cells = [cell(i, i, **({"test_hash": "other"} if i < 2 else {})) for i in range(6)]
    second = store_run(
        store, QUANTUM, head="mlp", digest="b" * 64, plan={**plan, "training": {"epochs": 50, "batch_size": 64}},
        environment=changed, cells=cells,
    )  # fmt: skip
    rows = diffed(store, first, second)["rows"]
    assert [
        (row["kind"], row["what"], row["before"], row["after"]) for row in rows if "samples" not in row["what"]
    ] == [
        ("data", "data digest", "a" * 64, "b" * 64),
        ("head", "head", "dressed5x3", "mlp"),
        ("training", "training.epochs", 40, 50),
        ("packages", "version of torch", "2.12", "2.13"),
        ("hardware", "threads", "2", "4"),
        ("place", "host", "one", "other"),
    ]
    (samples,) = [row for row in rows if "samples" in row["what"]]
    assert (samples["what"], samples["remark"]) == ("test samples", "2 of 6 common cells have others")
    order = [kind.name for kind in KINDS]
    assert [order.index(row["kind"]) for row in rows] == sorted(order.index(row["kind"]) for row in rows)
    assert {row["weight"] for row in rows} == {"decisive", "strong", "rounding", "none"}


def test_every_weight_has_its_words() -> None:
    assert {kind.weight for kind in KINDS} == set(WEIGHTS)


def test_options_are_held_against_each_other_within_a_component_only(store: Path) -> None:
    first, other = store_run(store, LINEAR), store_run(store, LINEAR, head="mlp")
    assert [row["what"] for row in diffed(store, first, other)["rows"]] == ["head"]


def test_two_runs_of_the_same_numbers_are_bitwise_equal(store: Path) -> None:
    first, other = (store_run(store, (*LINEAR[:5], math.nan), predicted=predicted([0.1, 0.9])) for _ in range(2))
    found = diffed(store, first, other)
    assert (found["rows"], found["same_plan"]) == ([], True)
    assert found["numbers"]["verdict"] == "bitwise"
    assert found["numbers"]["samples"] == 2
    said = qtlplat(store, "diff", first, other)
    assert said.out == ""
    assert "no stored setting differs" in said.err
    assert "the numbers: bitwise equal (6 pairs of cells, 2 predictions)" in said.err


def test_last_digits_are_rounding_and_a_sample_of_another_class_is_not(store: Path) -> None:
    first = store_run(store, LINEAR, predicted=predicted([0.1, 0.5000001]))
    near = store_run(store, [value + 4e-7 for value in LINEAR], predicted=predicted([0.1, 0.5000002]))
    flipped = store_run(store, LINEAR, predicted=predicted([0.1, 0.4999999]))
    numbers = diffed(store, first, near)["numbers"]
    assert numbers["verdict"] == "rounding"
    assert numbers["largest"] == pytest.approx(4e-7)
    assert numbers["largest_probability"] == pytest.approx(1e-7)
    numbers = diffed(store, first, flipped)["numbers"]
    assert (numbers["verdict"], numbers["other_class"]) == ("different", 1)


def test_paired_differences_are_those_that_numpy_computes(store: Path) -> None:
    first, other = store_run(store, LINEAR), store_run(store, (*QUANTUM[:5], LINEAR[5]))
    numbers = diffed(store, first, other)["numbers"]
    d = np.subtract((*QUANTUM[:5], LINEAR[5]), LINEAR)
    (f1,) = [one for one in numbers["metrics"] if one["metric"] == "f1"]
    assert (f1["n"], f1["equal"]) == (6, 1)
    assert (f1["first"], f1["second"]) == pytest.approx((np.mean(LINEAR), np.mean(LINEAR) + d.mean()))
    assert (f1["difference"], f1["largest"]) == pytest.approx((d.mean(), np.abs(d).max()))
    assert numbers["verdict"] == "different"


def test_cells_without_a_partner_are_never_called_equal(store: Path) -> None:
    first, other = store_run(store, LINEAR), store_run(store, LINEAR[:4])
    numbers = diffed(store, first, other)["numbers"]
    assert (numbers["verdict"], numbers["cells"], numbers["alone"]) == ("different", 4, 2)
    elsewhere = store_run(store, LINEAR, cells=[cell(i, i, seed=9) for i in range(6)])
    numbers = diffed(store, first, elsewhere)["numbers"]
    assert (numbers["verdict"], numbers["largest"], numbers["metrics"]) == ("not paired", None, [])


def test_a_run_and_a_pretraining_do_not_measure_the_same(store: Path) -> None:
    pretraining, run, failed = store_runs(store)
    first = diffed(store, run, pretraining)["rows"][0]
    assert (first["what"], first["before"], first["after"]) == ("kind", "run", "pretraining")
    assert diffed(store, run, failed)["rows"][0]["what"] == "status"


def test_a_changed_missing_value_is_not_equal_to_a_number(store: Path) -> None:
    first, other = store_run(store, LINEAR), store_run(store, (*LINEAR[:5], math.nan))
    numbers = diffed(store, first, other)["numbers"]
    assert (numbers["verdict"], numbers["largest"]) == ("different", None)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"], ["--md"]])
def test_hostile_names_are_inert(store: Path, form: list[str]) -> None:
    one, other = store_run(store, LINEAR), store_run(store, QUANTUM, head=HOSTILE, environment={HOSTILE: HOSTILE})
    called = qtlplat(store, "diff", one, other, *form)
    assert called.code == 0
    assert is_inert(called.out + called.err)
    if form == ["--csv"]:
        (head,) = [row for row in csv.DictReader(io.StringIO(called.out)) if row["what"] == "head"]
        assert head["after"].startswith("'=")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["@last"], "missing argument"), (["@last", "@-9"], "no run"), (["@last"] * 3, "unexpected")],
)
def test_what_cannot_be_held_against_each_other_ends_with_2(store: Path, arguments: list[str], words: str) -> None:
    store_run(store, LINEAR)
    called = qtlplat(store, "diff", *arguments)
    assert (called.code, called.out) == (2, "")
    assert words in called.err
