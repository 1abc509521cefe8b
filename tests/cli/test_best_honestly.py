"""`best` shows no mean of a picked run alone: its honest score, or why there is none."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compared_runs import cell, store_run
from stored_runs import called_with, qtlplat

import qtlplat as api
from qtlplat import EvaluatorSpec
from qtlplat.analysis.metrics import classification_metrics
from qtlplat.analysis.picked import Candidates
from qtlplat.metrics import SHIPPED, Metric, metric_facts
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import PredictionRow
from qtlplat.store.core.sweep_records import MemberRow, NewSweep
from qtlplat.store.read.out_of_fold import out_of_fold
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

FOLDS, EACH = 3, 20


def trained(store: Path, seed: int, *, first: int = 0, seeds: int = 1, **further: Any) -> str:
    """A run whose cells are scored by its stored predictions: FOLDS folds for each seed, EACH samples in every one."""
    random = np.random.default_rng(seed)
    predicted, scores = {}, []
    for position in range(FOLDS * seeds):
        numbers = first + np.arange(EACH) + EACH * (position % FOLDS)
        labels = numbers % 2
        chance = np.where(random.random(EACH) < 0.7, 0.3 + 0.5 * labels, 0.5)
        probabilities = np.column_stack([1 - chance, chance]) + random.normal(0, 1e-3, (EACH, 1)) * [1, -1]
        scores.append(classification_metrics(labels, probabilities))
        predicted[position] = [
            PredictionRow(position, f"s{n}", f"image {n}", int(n % 2), int(p.argmax()), p.tolist())
            for n, p in zip(numbers, probabilities, strict=True)
        ]
    cells = [cell(i, i % FOLDS, i // FOLDS, n_test=EACH) for i in range(FOLDS * seeds)]
    others = {name: [one[name] for one in scores] for name in ("roc_auc", "accuracy")}
    others["wrong"] = [1 - value for value in others["accuracy"]]
    return store_run(store, others["accuracy"], cells=cells, predicted=predicted, further=others, **further)


def asked(store: Path, *arguments: str) -> Any:
    called = qtlplat(store, "best", *arguments, "--json")
    assert (called.code, called.err) == (0, "")
    return json.loads(called.out, parse_constant=pytest.fail)


def test_groups_and_the_choice_among_all_have_honest_scores(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    heads = {
        head: [trained(store, 10 * i + j, head=head, seeds=1 + j % 2) for j in range(4)] for i, head in enumerate("ab")
    }
    alone = trained(store, 99, head="c")
    found = asked(store, "--metric", "roc_auc")
    reader = Reader(find_store(str(store)))
    for row in found["rows"]:
        runs = heads.get(row["group"]["head"], [alone])
        assert (row["picked"], row["run"] in runs) == (row["mean"], True)
        if len(runs) == 1:
            assert (row["honest"], row["method"], row["interval"]) == (row["mean"], "one run: nothing was picked", None)
            continue
        newest_first = [out_of_fold(reader, run) for run in runs[::-1]]
        expected = Candidates(newest_first, SHIPPED["roc_auc"]).honest()
        assert (row["honest"], row["interval"], row["method"]) == (expected.estimate, list(expected.interval), "BBC-CV")
        assert row["pooled"] == pytest.approx(row["mean"], abs=1e-12)  # ranks are compared within cells
        assert row["why"] is None
    best = found["rows"][0]
    by_head = {**heads, "c": [alone]}
    groups = [by_head[row["group"]["head"]] for row in found["rows"]]
    every = [out_of_fold(reader, run) for group in groups for run in group[::-1]]
    assert (found["run"], found["picked"], found["candidates"]) == (best["run"], best["mean"], 9)
    assert found["honest"] == pytest.approx(Candidates(every, SHIPPED["roc_auc"]).honest().estimate, abs=1e-12)
    assert found["interval"][0] < found["honest"] < found["interval"][1]
    assert found["honest"] < found["pooled"]

    told = qtlplat(store, "best", "--metric", "roc_auc")
    assert "roc_auc (picked)" in told.out
    assert f"{best['honest']:.4f}" in told.out
    assert f"best of 9 runs: {best['run'][:8]}, roc_auc {best['mean']:.4f} picked on these folds; honest" in told.err
    assert "(BBC-CV over 60 samples of 60 source images)" in told.err


def test_python_has_the_honest_score_too(tmp_path: Path) -> None:
    for seed in range(3):
        trained(tmp_path / "s.db", seed)
    (row,) = asked(tmp_path / "s.db")["rows"]
    table = api.open_store(tmp_path / "s.db").best().frame()
    assert table.honest.tolist() == [row["honest"]]
    assert list(map(list, table.interval)) == [row["interval"]]


def test_no_honest_score_without_a_reason_and_what_to_do(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    trained(store, 1)
    trained(store, 2, first=20)
    (row,) = asked(store)["rows"]
    assert (row["honest"], row["method"], row["interval"]) == (None, None, None)
    assert "tested on different samples" in row["why"]
    assert "--where" in row["why"]
    told = qtlplat(store, "best").err
    assert f"no honest score of {row['run'][:8]}: the runs were tested on different samples" in told
    assert "picked on these folds; no honest score" in told
    trained(store, 3, digest="b" * 64)
    found = asked(store, "--by", "head")
    assert "2 datasets" in found["rows"][0]["why"]
    assert "--honest reads them" in asked(store, "--no-honest")["rows"][0]["why"]
    (row, *_) = asked(store, "--metric", "max(f1)", "--where", "dataset_digest = '" + "a" * 64 + "'")["rows"]
    assert "not computed from predictions" in row["why"]


def test_many_candidates_are_read_only_if_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "s.db"
    for seed in range(3):
        trained(store, seed, head="a")
    for seed in range(2):
        trained(store, 10 + seed, head="b")
    monkeypatch.setattr("qtlplat.api.picking.MOST_CANDIDATES", 2)
    found = asked(store)
    assert {row["group"]["head"]: row["method"] for row in found["rows"]} == {"a": None, "b": "BBC-CV"}
    assert "the predictions of 5 runs were not read; --honest reads them" in found["why"]
    assert all(row["method"] for row in asked(store, "--honest")["rows"])
    monkeypatch.setattr("qtlplat.api.picking.MOST_CANDIDATES", 200)
    monkeypatch.setattr("qtlplat.api.picking.MOST_PREDICTIONS", 60 * 3 + 1)
    assert {row["group"]["head"]: row["method"] for row in asked(store)["rows"]} == {"a": "BBC-CV", "b": None} or {
        row["group"]["head"]: row["method"] for row in asked(store)["rows"]
    } == {"a": None, "b": "BBC-CV"}


def test_a_metric_of_an_evaluator_is_computed_by_its_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "s.db"
    wrong = Metric("wrong", higher_is_better=False)

    def wrongs(labels: Any, probabilities: Any) -> dict[str, float]:
        return {"wrong": float((probabilities.argmax(axis=1) != labels).mean())}

    class Catalog:
        spec = EvaluatorSpec(name="counting", summary="s", cells=lambda *_: [], metrics=wrongs, metric_info=[wrong])

        def component(self, kind: str, reference: str) -> Any:
            assert (kind, reference) == ("evaluator", "qtlplat:counting")
            return self

    for seed in range(3):
        trained(store, seed, environment=metric_facts([wrong]), evaluator="counting")
    (row,) = asked(store, "--metric", "wrong")["rows"]
    assert (row["honest"], "counting" in row["why"]) == (None, True)  # nobody has installed it
    monkeypatch.setattr("qtlplat.cli.components.open_components", lambda settings: (None, Catalog()))
    (row,) = asked(store, "--metric", "wrong")["rows"]
    accuracy = asked(store, "--metric", "accuracy")["rows"][0]
    assert (row["run"], row["method"]) == (accuracy["run"], "BBC-CV")
    assert row["pooled"] == pytest.approx(1 - accuracy["pooled"])
    assert row["honest"] == pytest.approx(1 - accuracy["honest"], abs=0.02)  # 200 of the 1000 resamples
    monkeypatch.setattr(Catalog, "spec", replace(Catalog.spec, metrics=None))
    assert "no longer has 'wrong'" in asked(store, "--metric", "wrong")["rows"][0]["why"]


def test_the_members_of_a_sweep_are_the_candidates(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    runs = [trained(store, seed, head=f"head{seed}") for seed in range(4)]
    reader = Reader(find_store(str(store)))
    members = tuple(
        MemberRow(i, reader.run(run).fingerprint, "", {"head": f"head{i}"}, {}) for i, run in enumerate(runs[:3])
    )
    missing = MemberRow(3, "f" * 64, "", {"head": "later"}, {})
    with Writer(find_store(str(store))) as writer:
        writer.add_sweep(NewSweep("heads", {}, (*members, missing)))
    found = asked(store, "--sweep", "heads")
    means = {run: sum(reader.run(run).metrics["f1"]) / FOLDS for run in runs[:3]}
    best = max(means, key=lambda run: means[run])
    assert (found["run"], found["picked"], found["candidates"]) == (best, pytest.approx(means[best]), 3)
    assert (found["method"], len(found["rows"])) == ("BBC-CV", 3)
    assert found["interval"][0] < found["honest"] < found["interval"][1]
    assert {row["run"] for row in asked(store, "--sweep", "heads", "--where", "head != 'head0'")["rows"]} == set(
        runs[1:3]
    )
    assert {one.run for one in api.open_store(store).best(sweep="heads")} == set(runs[:3])
    called = qtlplat(store, "best", "--sweep", "haeds")
    assert (called.code, "there is no sweep 'haeds'" in called.err) == (2, True)


def test_tuned_runs_are_not_corrected_twice(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    for seed in range(2):
        trained(store, seed, plan={"seed": 0, "tuning": {"folds": 3}})
    told = called_with("best", "--store", str(store)).err
    assert "--tune chose learning rates and epochs within the training parts, which needs no correction" in told
