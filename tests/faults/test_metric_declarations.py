"""What an evaluator declares of its metrics: stored with the run, checked before training and after it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from outcome import assert_fine, assert_refused, here

Faulty = Callable[..., None]
RUN = "run --dataset squares --backbone net --evaluator half --head linear --epochs 1 --pretrain-epochs 1".split()
STORE = ["--store", "s.db"]
SPEC = """

from qtlplat import Metric

def metrics(labels, probabilities):
    return {returned}

def evaluator_specs():
    return [EvaluatorSpec(name="half", summary="half is kept for testing", cells=cells, options=EvaluatorOptions,
                          metrics=metrics, metric_info={info})]
"""
ERRORS = "{'error_free': float((probabilities.argmax(1) != labels).mean())}"


def spec(returned: str, info: str) -> str:
    return SPEC.format(returned=returned, info=info)


@pytest.mark.slow
def test_a_declaration_outlives_the_plugin(faulty: Faulty, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faulty(spec(ERRORS, '[Metric("error_free", higher_is_better=False, bounds=(0, 1))]'))
    for seed in ("1", "2"):
        done = here(*RUN, *STORE, "--seed", seed)
        assert_fine(done)
        assert "does not declare" not in done.err
    monkeypatch.undo()  # the plugin is gone
    monkeypatch.chdir(tmp_path / "cwd")
    found = json.loads(here("best", "--metric", "error_free", "--json", *STORE).out)
    listed = json.loads(here("runs", "--cols", "error_free", "--json", *STORE).out)
    values = [row["error_free"] for row in listed if row["error_free"] is not None]
    assert found["lower_is_better"] is True
    assert found["rows"][0]["mean"] == min(values)


def test_a_metric_that_is_not_declared_is_named_when_the_run_starts(faulty: Faulty) -> None:
    faulty(spec(ERRORS, "()"))
    done = here(*RUN, *STORE)
    assert done.code == 0
    assert "evaluator half does not declare whether more or less of 'error_free' is better" in done.err
    assert_refused(here("best", "--metric", "error_free", *STORE), 2, "--minimize or --maximize")


def test_a_value_beyond_the_declared_bounds_is_refused_before_training(faulty: Faulty) -> None:
    faulty(spec("{'gain': 1.5}", '[Metric("gain", higher_is_better=True, bounds=(None, 1))]'))
    assert_refused(here(*RUN, *STORE), 4, "metric gain is 1.5, declared to lie in -inf to 1", "faulty-lab")
    assert not Path("s.db").exists()


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ('["gain"]', "must be a list of qtlplat.Metric"),
        ("3", "must be a list of qtlplat.Metric"),
        ('[Metric("f1", higher_is_better=True)]', "'f1', which is a metric of every run"),
        ('[Metric("gain", higher_is_better=True)] * 2', "more than once"),
        ('[Metric("gain", higher_is_better=1)]', "higher_is_better of metric 'gain' must be True"),
        ('[Metric("gain", True, (1, 0))]', "the first must be below the second"),
        ('[Metric("gain", True, (0, 1, 2))]', "bounds of metric 'gain' must be (least, greatest)"),
        ('[Metric("gain", True, 1)]', "bounds of metric 'gain' must be (least, greatest)"),
        ('[Metric("gain", True, (0, True))]', "must be finite numbers or None, not True"),
        ('[Metric("gain", True, title="a\\nb")]', "title of metric 'gain' must be one line of text"),
    ],
)
def test_declarations_that_cannot_be_meant_are_refused(info: str, words: str, faulty: Faulty) -> None:
    faulty(spec("{'gain': 1}", info))
    assert_refused(here("info", "faulty-lab:half"), 4, words, "faulty-lab")


ONE_CLASS = """

def cells(options, samples):
    part = np.arange(len(samples)) % 4
    return [Cell(fold, seed, np.flatnonzero(~np.isin(part, of)), np.flatnonzero(np.isin(part, of)))
            for seed in samples.seeds for fold, of in enumerate(([2], [0, 1]))]

def evaluator_specs():
    return [EvaluatorSpec(name="half", summary="the first fold tests one class", cells=cells, options=EvaluatorOptions)]
"""


def test_metrics_that_test_samples_do_not_allow_are_announced_and_nothing_else(faulty: Faulty) -> None:
    faulty(ONE_CLASS)
    done = here(*RUN, *STORE)
    assert_fine(done)
    assert "fold 0, seed 0 tests a single class: roc_auc is not defined there, and its mean neither" in done.err
    metrics = json.loads(here("show", "@last", "--json", *STORE).out)["metrics"]
    assert (metrics["roc_auc"]["mean"], metrics["roc_auc"]["values"][0]) == (None, None)
    assert 0 <= metrics["roc_auc"]["values"][1] <= 1
    assert metrics["brier"]["mean"] is not None
    assert json.loads(here("runs", "--where", "roc_auc is null", "--json", *STORE, "--kind", "run").out)
    compared = json.loads(here("compare", "@last", "@last", "--metric", "roc_auc", "--json", *STORE).out)
    assert compared["rows"][1]["verdict"] == "cannot be compared: 2 of the cells have no finite roc_auc"
