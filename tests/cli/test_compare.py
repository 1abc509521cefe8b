import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compared_runs import CIRCUIT, CLASSICAL, LINEAR, QUANTUM, cell, predictions, store_controls, store_run
from scipy import stats
from sqlalchemy import event
from stored_runs import HOSTILE, is_inert, qtlplat, store_runs

from qtlplat.analysis.explain_difference import differing
from qtlplat.cli.render.differences import print_differences
from qtlplat.conventions import leakage_line
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.loaded import gather
from qtlplat.store.read.queries import Reader

FIXED = {"run", "mean", "std", "n", "difference", "interval", "p", "test", "verdict"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


def refuse_constants(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


def compared(store: Path, *arguments: str) -> dict[str, Any]:
    called = qtlplat(store, "compare", *arguments, "--json")
    assert called.code == 0, called.err
    assert called.err == ""
    found: dict[str, Any] = json.loads(called.out, parse_constant=refuse_constants)
    return found


def test_two_runs_are_paired_by_fold_seed_and_test_samples(store: Path) -> None:
    linear = store_run(store, LINEAR, head="linear", parameters=CLASSICAL)
    quantum = store_run(store, QUANTUM)
    found = compared(store, linear, quantum)
    assert (found["metric"], found["baseline"]) == ("f1", linear)
    first, row = found["rows"]
    assert set(row) >= FIXED
    assert (first["run"], first["difference"], first["p"], first["verdict"]) == (linear, None, None, "baseline")
    assert first["mean"] == pytest.approx(np.mean(LINEAR))
    d = np.subtract(QUANTUM, LINEAR)
    t = d.mean() / math.sqrt(d.var(ddof=1) * (1 / 6 + 368 / 1840))
    assert (row["run"], row["n"], row["test"]) == (quantum, 6, "paired t, Nadeau-Bengio corrected")
    assert (row["mean"], row["std"]) == pytest.approx((np.mean(QUANTUM), np.std(QUANTUM, ddof=1)))
    assert (row["difference"], row["p"]) == pytest.approx((d.mean(), 2 * stats.t.sf(abs(t), 5)))
    assert row["verdict"].startswith("no evidence that the quantum head helps: +0.4 points, 95 % interval -1.3 to +2.1")
    reach = stats.t.ppf(0.975, 5) * d.mean() / t
    assert row["interval"] == pytest.approx([d.mean() - reach, d.mean() + reach])
    assert row["p_adjusted"] == row["p"]
    assert row["rope"]["width"] == 0.01
    assert row["needed"]["folds"] == 6


def test_runs_of_the_same_name_are_told_apart_by_their_ids(store: Path) -> None:
    nested = [cell(i, i, test_hash=f"other {i}") for i in range(6)]
    one, other = store_run(store, QUANTUM), store_run(store, QUANTUM, cells=nested, evaluator="nested6")
    third = store_run(store, LINEAR, head="linear", parameters=CLASSICAL)
    said = qtlplat(store, "compare", one, other, third).err
    assert f"dressed5x3 on lenet2 ({other[:8]}): " in said
    assert f"({third[:8]})" not in said


def test_the_baseline_is_the_first_run_or_the_one_named(store: Path) -> None:
    linear, quantum = store_run(store, LINEAR, head="linear", parameters=CLASSICAL), store_run(store, QUANTUM)
    there, back = compared(store, linear, quantum), compared(store, linear, quantum, "--baseline", "@last")
    assert back["baseline"] == quantum
    assert back["rows"][1]["difference"] == -there["rows"][1]["difference"]
    assert back["rows"][1]["p"] == there["rows"][1]["p"]
    assert back["rows"][1]["verdict"].startswith("no evidence that the quantum head helps: without it -0.4 points")
    assert compared(store, quantum, "--baseline", linear) == there


def test_runs_without_common_cells_are_compared_unpaired_and_a_warning_says_why(store: Path) -> None:
    one = store_run(store, LINEAR)
    other = store_run(store, QUANTUM[:5], cells=[cell(i, i, seed=1) for i in range(5)], plan={"seed": 1})
    row = compared(store, one, other)["rows"][1]
    parts = [np.var(values, ddof=1) * (1 / len(values) + 0.2) for values in (QUANTUM[:5], LINEAR)]
    t = (np.mean(QUANTUM[:5]) - np.mean(LINEAR)) / math.sqrt(sum(parts))
    df = sum(parts) ** 2 / (parts[0] ** 2 / 4 + parts[1] ** 2 / 5)
    assert row["test"] == "Welch's t, unpaired, Nadeau-Bengio corrected"
    assert row["p"] == pytest.approx(2 * stats.t.sf(abs(t), df))
    assert row["p"] > stats.ttest_ind(QUANTUM[:5], LINEAR, equal_var=False).pvalue  # as if cells were independent
    assert (row["mcnemar"], row["rope"], row["needed"], row["n"]) == (None, None, None, 11)
    assert row["verdict"].endswith("(unpaired, for this backbone only)")
    assert any("training data that its cells share" in words for words in row["notes"])
    assert "training data that its cells share" in qtlplat(store, "compare", one, other).err


def test_equal_folds_with_other_samples_are_no_pairs(store: Path) -> None:
    one, other = (
        store_run(store, LINEAR),
        store_run(store, QUANTUM, cells=[cell(i, i, test_hash=f"x {i}") for i in range(6)]),
    )
    assert compared(store, one, other)["rows"][1]["test"] == "Welch's t, unpaired, Nadeau-Bengio corrected"


def test_seeds_of_one_split_are_no_sample_to_hold_against_folds(store: Path) -> None:
    cells = [cell(i, 0, seed=i, test_hash="held out", train_hash="seen") for i in range(6)]
    folds = store_run(store, QUANTUM)
    holdout = store_run(store, [0.9 + i / 10000 for i in range(6)], cells=cells, evaluator="holdout")
    for one, other in ((folds, holdout), (holdout, folds)):
        row = compared(store, one, other)["rows"][1]
        assert abs(row["difference"]) == pytest.approx(np.mean(QUANTUM) - 0.90025)
        assert (row["p"], row["p_adjusted"], row["interval"], row["bootstrap"], row["test"]) == (None,) * 5
        assert row["verdict"].startswith("nothing can be concluded: ")
        assert row["verdict"].endswith("(not paired, and one side tests a single split)")
        assert any("however many seeds" in words for words in row["notes"])


def test_a_source_in_training_is_told_where_no_sample_itself_was(store: Path) -> None:
    cells = [cell(i, i, leakage=0.0, group_leakage=0.71, selection_leakage=0.2) for i in range(6)]
    run = store_run(store, QUANTUM, cells=cells)
    row = compared(store, run, run)["rows"][0]
    assert any("71 %" in words for words in row["notes"])
    assert row["selection_leakage"] == pytest.approx(0.2)


def test_parameters_stand_beside_the_scores(store: Path) -> None:
    cells = [cell(i, i % 2, variant=v) for i, v in enumerate(("head", "head", "linear", "linear", "frozen", "frozen"))]
    counts = {"kept": 1000, "model_total": 1102, "controls": {"linear": 40, "frozen": 57}, **CIRCUIT}
    store_run(store, QUANTUM, cells=cells, parameters=counts)
    rows = compared(store, "@last")["rows"]
    assert [(row["trainable"], row["model_total"]) for row in rows] == [(102, 1102), (40, 1040), (57, 1102)]
    assert "trainable" in qtlplat(store, "compare", "@last", "--csv").out.splitlines()[0]


def test_shuffled_labels_are_held_against_chance(store: Path) -> None:
    cells = [cell(i, i % 2, variant="head" if i < 2 else "shuffled") for i in range(4)]
    predicted = {
        position: [
            replace(row, sample_id=f"s{i}")
            for i, row in enumerate(
                predictions(position, [True] * 50 + [False] * 10)
                + predictions(position, [True] * 10 + [False] * 30, label=0)
            )
        ]
        for position in (2, 3)
    }
    store_run(store, (0.9, 0.91, 0.5, 0.51), cells=cells, predicted=predicted)
    head, shuffled = compared(store, "@last")["rows"]
    # 60 of 100 labels and 80 of 100 answers are class 1: 0.6 * 0.8 + 0.4 * 0.2 by chance, and 60 of 100 are right
    # both cells test the same 100 samples, which count once; the 60 among 100 labels that meet one of 80 answers are
    # hypergeometric, with a variance of 0.6 * 0.4 * 0.8 * 0.2 * 100**2 / 99, and each moves the accuracy by 2 of 100
    assert 0.04 / math.sqrt(4 * 0.6 * 0.4 * 0.8 * 0.2 / 99) == pytest.approx(1.0, abs=0.05)
    words = "accuracy on shuffled labels 0.600, chance 0.560, 1.0 standard errors away"
    assert any(note.startswith(words) and "over 100 samples, each counted once" in note for note in shuffled["notes"])
    assert not any("shuffled" in note for note in head["notes"])


def test_only_cells_with_a_partner_are_compared_and_the_rest_is_named(store: Path) -> None:
    one = store_run(store, LINEAR)
    other = store_run(store, (*QUANTUM, 0.5, 0.6), cells=[cell(i, i % 6, seed=i // 6) for i in range(8)])
    row = compared(store, one, other)["rows"][1]
    # mean and sd are those of all cells, the difference that of the pairs: each has its own number
    assert (row["cells"], row["n"]) == (8, 6)
    assert row["mean"] == pytest.approx(np.mean((*QUANTUM, 0.5, 0.6)))
    assert row["difference"] == pytest.approx(np.mean(np.subtract(QUANTUM, LINEAR)))
    assert any("2 cells have no partner" in words for words in row["notes"])


def test_seeds_of_one_split_say_nothing_about_other_data(store: Path) -> None:
    cells = [cell(i, 0, seed=i, test_hash="held out", train_hash="seen") for i in range(6)]
    one, other = store_run(store, LINEAR, cells=cells), store_run(store, QUANTUM, cells=cells)
    row = compared(store, one, other)["rows"][1]
    assert row["test"] == "paired t over the seeds of one split"
    assert row["p"] == pytest.approx(stats.ttest_rel(QUANTUM, LINEAR).pvalue)
    assert row["verdict"].endswith("(for this backbone and this split only)")
    assert (row["unit"], row["n_backbones"]) == ("seed", 1)
    assert (row["needed"]["folds"], row["needed"]["floor"]) == (1, 0)
    assert any("nothing is said about other images" in words for words in row["notes"])


def test_seeds_on_the_same_folds_are_one_value_for_each_fold(store: Path) -> None:
    cells = [cell(i, i % 3, seed=i // 3, test_hash=f"fold {i % 3}") for i in range(6)]
    one, other = store_run(store, LINEAR, cells=cells), store_run(store, QUANTUM, cells=cells)
    row = compared(store, one, other)["rows"][1]
    d = np.subtract(QUANTUM, LINEAR).reshape(2, 3).mean(axis=0)
    t = d.mean() / math.sqrt(d.var(ddof=1) * (1 / 3 + 0.2))
    assert (row["n"], row["needed"]) == (3, None)
    assert row["p"] == pytest.approx(2 * stats.t.sf(abs(t), 2))


def test_a_run_with_controls_is_compared_with_them(store: Path) -> None:
    worse = [value - 0.4 - i / 100 for i, value in enumerate(QUANTUM)]
    run = store_controls(store, identity=LINEAR, shuffled=worse)
    found = compared(store, run)
    head, identity, shuffled = found["rows"]
    assert [row["variant"] for row in found["rows"]] == ["head", "identity", "shuffled"]
    assert {row["run"] for row in found["rows"]} == {run}
    assert head["mean"] == pytest.approx(np.mean(QUANTUM))
    assert identity["verdict"].startswith("no evidence that the circuit helps: without it -0.4 points")
    assert shuffled["verdict"].startswith("worse with shuffled labels: -42.5 points")
    # shuffled labels are no model that is compared: they do not count among the family
    assert (identity["p_adjusted"], shuffled["p_adjusted"]) == (identity["p"], None)
    assert (head["leakage"], head["group_leakage"]) == pytest.approx((0.72, 0.98))
    said = qtlplat(store, "compare", run).err
    assert f"all: {leakage_line(head)}" in said


def test_only_the_control_that_takes_the_circuit_alone_away_speaks_of_the_circuit(store: Path) -> None:
    run = store_controls(store, linear=LINEAR, mlp=LINEAR, identity=LINEAR)
    words = {row["variant"]: row["verdict"] for row in compared(store, run)["rows"]}
    assert "that the circuit helps: without it" in words["identity"]
    assert "that the quantum head helps: with a linear head" in words["linear"]
    assert "that the quantum head helps: with an MLP" in words["mlp"]


def test_an_interrupted_run_compares_what_it_has(store: Path) -> None:
    names = ["head"] * 6 + ["linear"] * 6 + ["mlp"] * 6
    cells = [cell(i, i % 6, variant=name) for i, name in enumerate(names)]
    store_run(store, (*QUANTUM, *LINEAR[:4]), cells=cells, status="interrupted")
    rows = compared(store, "@last")["rows"]
    assert [(row["variant"], row["n"]) for row in rows] == [("head", 6), ("linear", 4)]
    assert "the run is interrupted: only its 4 finished cells are compared" in rows[1]["notes"]
    assert any("2 cells have no partner" in words for words in rows[1]["notes"])


def test_several_comparisons_are_one_family(store: Path) -> None:
    runs = [store_run(store, LINEAR, head="linear")]
    slightly = [value + 0.01 + (-1) ** i * 0.0055 for i, value in enumerate(LINEAR)]
    runs += [store_run(store, slightly, head=f"h{i}") for i in range(3)]
    rows = compared(store, *runs)["rows"][1:]
    assert [row["p_adjusted"] for row in rows] == pytest.approx([3 * row["p"] for row in rows])
    assert rows[0]["p"] < 0.05 < rows[0]["p_adjusted"]
    assert rows[0]["verdict"].startswith("no evidence that head h0 helps: +1.0 points")
    assert "after Holm over 3 comparisons" in rows[0]["verdict"]
    alone = compared(store, *runs[:2])["rows"][1]
    assert alone["verdict"].startswith("better with head h0: +1.0 points")


def test_a_smaller_loss_is_better(store: Path) -> None:
    better = [value + 0.02 + i / 5000 for i, value in enumerate(LINEAR)]
    one, other = store_run(store, LINEAR), store_run(store, better, head="mlp")
    row = compared(store, one, other, "--metric", "loss", "--rope", "0.001")["rows"][1]
    assert row["difference"] < 0
    assert row["verdict"].startswith("better with head mlp: -0.0205")
    assert row["rope"]["better"] > 0.99


def test_practically_equal_is_said_where_the_region_holds_the_difference(store: Path) -> None:
    near = [value + (-1) ** i * 0.0005 for i, value in enumerate(LINEAR)]
    one, other = store_run(store, LINEAR), store_run(store, near, head="mlp")
    verdict = compared(store, one, other)["rows"][1]["verdict"]
    assert verdict.startswith("practically equal (ROPE ±1 point) with head mlp: ")
    near = [value + 0.003 + (-1) ** i * 0.0005 for i, value in enumerate(LINEAR)]
    verdict = compared(store, one, store_run(store, near, head="mlp"))["rows"][1]["verdict"]
    assert verdict.startswith("better with head mlp, yet practically equal (ROPE ±1 point): +0.30 points")


def test_the_same_run_twice_differs_in_nothing(store: Path) -> None:
    run = store_run(store, QUANTUM)
    row = compared(store, run, run)["rows"][1]
    assert (row["difference"], row["p"], row["interval"]) == (0.0, 1.0, [0.0, 0.0])
    assert row["verdict"] == "the same in every cell"
    assert "the run is compared with itself" in row["notes"]
    again = store_run(store, QUANTUM)
    assert "both are the same plan: what differs is chance" in compared(store, run, again)["rows"][1]["notes"]


def test_a_single_cell_concludes_nothing(store: Path) -> None:
    one, other = store_run(store, LINEAR[:1]), store_run(store, QUANTUM[:1])
    row = compared(store, one, other)["rows"][1]
    assert (row["n"], row["std"], row["p"], row["interval"]) == (1, None, None, None)
    assert row["difference"] == pytest.approx(QUANTUM[0] - LINEAR[0])
    assert row["verdict"] == "nothing can be concluded: +0.8 points (a single cell has no spread)"


def test_equal_differences_conclude_nothing(store: Path) -> None:
    one, other = store_run(store, (0.5, 0.75)), store_run(store, (0.625, 0.875))
    row = compared(store, one, other)["rows"][1]
    assert row["p"] is None
    assert row["verdict"].startswith("nothing can be concluded: +12.5 points (the same in every cell")


def test_cells_without_a_finite_metric_are_not_left_out_silently(store: Path) -> None:
    one, other = store_run(store, LINEAR), store_run(store, (*QUANTUM[:5], math.nan))
    row = compared(store, one, other)["rows"][1]
    assert (row["mean"], row["difference"], row["test"]) == (None, None, None)
    assert row["verdict"] == "cannot be compared: 1 of the cells have no finite f1"


def test_several_causes_are_named(store: Path) -> None:
    one = store_run(store, LINEAR, plan={"seed": 0, "replace": "all"})
    other = store_run(store, QUANTUM, head="mlp", backbone="lenet3", plan={"seed": 0, "replace": 2})
    row = compared(store, one, other)["rows"][1]
    assert "backbone, head, replace differ: the difference has no single cause" in row["notes"]
    assert row["verdict"].startswith("no evidence of a difference: ")


def test_a_device_is_a_cause_where_both_heads_have_a_circuit(store: Path) -> None:
    one = store_run(store, LINEAR, plan={"seed": 0, "device": "auto"})
    other = store_run(store, QUANTUM, head="dressed4x2", plan={"seed": 0, "device": "default.qubit[shots=100]"})
    classical = store_run(store, LINEAR, head="linear", parameters=CLASSICAL, plan={"seed": 0, "device": "auto"})
    assert "head, device differ" in " ".join(compared(store, one, other)["rows"][1]["notes"])
    assert "that the quantum head helps" in compared(store, classical, other)["rows"][1]["verdict"]


def test_an_evaluator_makes_a_difference_and_does_not_help(store: Path) -> None:
    one, other = store_run(store, LINEAR), store_run(store, QUANTUM, evaluator="nested6")
    verdict = compared(store, one, other)["rows"][1]["verdict"]
    assert verdict.startswith("no evidence that evaluator nested6 makes a difference: ")


def test_mcnemar_counts_every_sample_once(store: Path) -> None:
    """Two seeds of one fold: both predictions vote, and one that is right with one that is wrong counts half."""
    cells = [cell(0, 0), cell(1, 0, seed=1)]
    mine = {0: predictions(0, [True] * 8 + [False]), 1: predictions(1, [False] * 9)}
    theirs = {0: predictions(0, [True] * 2 + [False] * 6 + [True]), 1: predictions(1, [True] * 9)}
    one = store_run(store, LINEAR[:2], cells=cells, predicted=theirs)
    other = store_run(store, QUANTUM[:2], cells=cells, predicted=mine)
    found = compared(store, one, other)["rows"][1]["mcnemar"]
    assert found.pop("p") == pytest.approx(2 / 2**3)
    counts = {"samples": 9, "sources": 9, "predictions": 18}
    assert found == {"run_only": 0, "baseline_only": 3, "form": "exact binomial", "counted": "samples", **counts}
    other = store_run(store, QUANTUM[:2], cells=cells, predicted={0: predictions(0, [True] * 9, label=0)})
    assert compared(store, one, other)["rows"][1]["mcnemar"] is None  # other labels


def test_what_it_takes_is_said(store: Path) -> None:
    one, other = store_run(store, LINEAR), store_run(store, QUANTUM)
    said = qtlplat(store, "compare", one, other, "--detect", "0.015").err
    assert "to see a difference of 1.5 points (power 0.8) takes 7 seeds × 6 folds" in said
    said = qtlplat(store, "compare", one, other, "--detect", "0.001").err
    assert "no number of seeds shows a difference of 0.1 points (power 0.8): nothing below 1.37 points" in said


def test_the_table_csv_and_markdown_hold_the_same_numbers(store: Path) -> None:
    one, other = store_run(store, LINEAR), store_run(store, QUANTUM, head="mlp")
    row = compared(store, one, other)["rows"][1]
    lines = [line.split("\t") for line in qtlplat(store, "compare", one, other).out.splitlines()]
    shown = dict(zip(lines[0], lines[2], strict=True))
    assert (shown["run"], shown["n"], shown["verdict"]) == (other, "6", row["verdict"])
    assert shown["difference"] == f"{row['difference']:+.4f}"
    table = list(csv.DictReader(io.StringIO(qtlplat(store, "compare", one, other, "--csv").out)))
    assert float(table[1]["p"]) == row["p"]
    assert json.loads(table[1]["rope"]) == row["rope"]
    assert row["verdict"] in qtlplat(store, "compare", one, other, "--md").out.replace("\\", "")
    only = json.loads(qtlplat(store, "compare", one, other, "--json", "--cols", "run,p", "-n", "1").out)
    assert only["rows"] == [{"run": one, "p": None}]


def test_only_what_differs_between_the_runs_is_told(store: Path) -> None:
    plan = {"seed": 0, "replace": "all", "training": {"epochs": 40}}
    one = store_run(store, LINEAR, plan=plan)
    other = store_run(store, QUANTUM, head="mlp", plan={**plan, "replace": 2}, environment={"python": "3.12"})
    third = store_run(store, QUANTUM, plan=plan, digest="b" * 64)
    found = compared(store, one, other, third)["differences"]
    values = {(row["kind"], row["what"]): list(row["values"].values()) for row in found}
    assert values == {
        ("data", "data digest"): ["a" * 64, "a" * 64, "b" * 64],
        ("head", "head"): ["dressed5x3", "mlp", "dressed5x3"],
        ("head", "replace"): ["all", 2, "all"],
        ("packages", "python"): ["3.11", "3.12", "3.11"],
    }
    assert list(found[0]["values"]) == [one, other, third]
    listed = json.loads(qtlplat(store, "compare", one, other, third, "--differences", "--json").out)
    assert listed == {"runs": [one, other, third], "rows": found}
    table = list(
        csv.DictReader(io.StringIO(qtlplat(store, "compare", one, other, third, "--differences", "--csv").out))
    )
    assert [row[other] for row in table] == ["a" * 64, "mlp", "2", "3.12"]


def test_runs_of_the_same_plan_differ_in_nothing(store: Path) -> None:
    one, other = store_run(store, LINEAR), store_run(store, QUANTUM)
    assert compared(store, one, other)["differences"] == []
    called = qtlplat(store, "compare", one, other, "--differences")
    assert (called.code, called.out) == (0, "")
    assert "nothing stored differs" in called.err


def test_differences_stand_first_in_blocks_that_fit_the_terminal(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [store_run(store, LINEAR, head=f"a-head-of-a-long-name-{i}") for i in range(4)]
    for width in (80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        gathered = gather(Reader(find_store(str(store))), runs)
        print_differences(differing(gathered), runs)
        out = capsys.readouterr().out
        assert out.count("what differs") == {80: 2, 120: 1}[width]
        assert max(map(len, out.splitlines())) <= width
        assert all(run[:8] in out and f"a-head-of-a-long-name-{i}" in out for i, run in enumerate(runs))


def test_ten_runs_take_no_more_queries_than_two(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [store_run(store, LINEAR) for _ in range(10)]
    counts = []
    for n in (2, 10):
        reader, count = Reader(find_store(str(store))), []
        event.listen(reader._engine, "before_cursor_execute", lambda *_, c=count: c.append(1))
        assert [one.run.id for one in gather(reader, runs[:n])] == runs[:n]
        counts.append(len(count))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "missing argument"),
        (["@last"], 2, "no controls"),
        (["@last", "@-2", "--metric", "f2"], 2, "unknown metric 'f2'"),
        (["@last", "@-2", "--level", "95"], 2, "--level"),
        (["@last", "@-2", "--rope", "nan"], 2, "practical equivalence"),
        (["@last", "@-2", "--detect", "0"], 2, "--detect"),
        (["@last", "@-2", "--sort", "size"], 2, "unknown column"),
        (["@last", "@-9"], 2, "there is no run"),
    ],
)
@pytest.mark.sampled(8)
def test_what_cannot_be_compared_ends_with_its_code(store: Path, arguments: list[str], code: int, words: str) -> None:
    store_run(store, LINEAR)
    store_run(store, QUANTUM)
    called = qtlplat(store, "compare", *arguments)
    assert (called.code, called.out) == (code, "")
    assert words in called.err
    assert "Traceback" not in called.err


def test_pretrainings_and_failed_runs_have_nothing_to_compare(store: Path) -> None:
    pretraining, run, failed = store_runs(store)
    called = qtlplat(store, "compare", run, pretraining)
    assert called.code == 2
    assert "it is a pretraining" in called.err
    assert "it is failed" in qtlplat(store, "compare", failed, run).err


@pytest.mark.sampled(2)
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"], ["--md"]])
def test_hostile_names_are_inert(store: Path, form: list[str]) -> None:
    one, other = store_run(store, LINEAR), store_run(store, QUANTUM, head=HOSTILE)
    called = qtlplat(store, "compare", one, other, *form)
    assert called.code == 0
    assert is_inert(called.out + called.err)
    assert len(called.out.splitlines()) == {"": 3, "--csv": 3, "--md": 4}.get(
        "".join(form), len(called.out.splitlines())
    )
