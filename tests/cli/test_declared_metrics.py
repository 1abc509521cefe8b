"""Which way a metric is better is what its evaluator declared, in every command and for every name."""

import json
from pathlib import Path
from typing import Any

import pytest
from compared_runs import LINEAR, cell, store_run
from stored_runs import qtlplat

import qtlplat as api
from qtlplat.errors import UsageError
from qtlplat.metrics import STORED, Metric, agreed, declared_metrics, metric_facts

ERROR = Metric("error_free", higher_is_better=False, bounds=(0.0, None))  # the name says the opposite
GAIN = Metric("total_loss", higher_is_better=True)
SMALL, LARGE = (0.10, 0.11, 0.12, 0.10, 0.11, 0.12), (0.50, 0.52, 0.51, 0.55, 0.52, 0.5)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


def measured(store: Path, name: str, values: Any, *declared: Metric, **further: Any) -> str:
    facts = {"python": "3.11", **metric_facts(declared)}
    return store_run(store, LINEAR, environment=facts, further={name: values}, **further)


def asked(store: Path, *arguments: str) -> Any:
    called = qtlplat(store, *arguments, "--json")
    assert called.code == 0, called.err
    return json.loads(called.out)


@pytest.mark.parametrize("metric", [ERROR, GAIN])
@pytest.mark.sampled(1)
def test_every_command_goes_by_what_was_declared(store: Path, metric: Metric, tmp_path: Path) -> None:
    name = metric.name
    small = measured(store, name, SMALL, metric, head="a")
    large = measured(store, name, LARGE, metric, head="b")
    good, bad = (large, small) if metric.higher_is_better else (small, large)
    (row,) = asked(store, "best", "--metric", name, "--by", "dataset")["rows"]
    assert row["run"] == good
    assert asked(store, "best", "--metric", name, "--by", "dataset")["lower_is_better"] is metric.lower_is_better
    (row,) = asked(store, "best", "--metric", f"min({name})", "--by", "dataset")["rows"]
    assert row["run"] == good
    found = asked(store, "pareto", name, "f1")
    assert ([row["run"] for row in found["rows"]], found["directions"][name]) == (
        [good],
        "+" if metric.higher_is_better else "-",
    )
    for baseline, other, word in ((bad, good, "better"), (good, bad, "worse")):
        compared = asked(store, "compare", baseline, other, "--metric", name)
        assert compared["lower_is_better"] is metric.lower_is_better
        assert compared["rows"][1]["verdict"].startswith(word)
        assert compared["rows"][1]["rope"][word] > 0.9
    assert asked(store, "show", f"@best:{name}")["run"] == good
    assert asked(store, "show", f"@best:-{name}")["run"] == small
    assert asked(store, "show", f"@best:+{name}")["run"] == large
    opened = api.open_store(store)
    assert opened.run(f"@best:{name}").id == good
    assert opened.best(name, by=["dataset"])[0].run == good
    assert opened.compare(bad, good, metric=name)[1].verdict.startswith("better")
    # stores travel to machines without the plugin
    other = tmp_path / "other.db"
    assert qtlplat(other, "store", "merge", str(store)).code == 0
    bundle = tmp_path / "b.zip"
    assert qtlplat(store, "export", good, bad, "-o", str(bundle)).code == 0
    third = tmp_path / "third.db"
    assert qtlplat(third, "import", str(bundle)).code == 0
    for moved in (other, third):
        assert asked(moved, "best", "--metric", name, "--by", "dataset")["rows"][0]["run"] == good
    assert f"direction of {name}" not in json.dumps(asked(store, "diff", good, bad))


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (["best", "--metric", "mae"], "--minimize or --maximize"),
        (["best", "--metric", "max(mae)"], "--minimize or --maximize"),
        (["pareto", "mae", "f1"], "mae:-"),
        (["compare", "@last", "@-2", "--metric", "mae"], "--minimize or --maximize"),
        (["show", "@best:mae"], "@best:-mae"),
        (["best", "--metric", "training.epochs"], "--minimize or --maximize"),
        (["pareto", "seed", "f1"], "seed:-"),
    ],
)
@pytest.mark.sampled(3)
def test_a_direction_that_nobody_declared_is_asked_for(store: Path, arguments: list[str], fix: str) -> None:
    plan = {"training": {"epochs": 4}}
    measured(store, "mae", SMALL, plan=plan)
    measured(store, "mae", LARGE, head="b", plan=plan)
    called = qtlplat(store, *arguments)
    assert (called.code, called.out) == (2, "")
    assert fix in called.err
    assert "better" in called.err


def test_what_is_said_stands_above_what_is_declared(store: Path) -> None:
    small, large = measured(store, "mae", SMALL), measured(store, "mae", LARGE, head="b")
    for option, run in (("--minimize", small), ("--maximize", large)):
        assert asked(store, "best", "--metric", "mae", "--by", "dataset", option)["rows"][0]["run"] == run
        row = asked(store, "compare", small, large, "--metric", "mae", option)["rows"][1]
        assert row["verdict"].startswith("worse" if option == "--minimize" else "better")
    assert [row["run"] for row in asked(store, "pareto", "mae:-", "f1")["rows"]] == [small]
    compared = api.open_store(store).compare(small, large, metric="mae", higher_is_better=False)
    assert compared[1].verdict.startswith("worse")


@pytest.mark.parametrize("other", [[Metric("mae", higher_is_better=True)], []])
def test_runs_that_do_not_agree_are_not_judged_together(store: Path, other: list[Metric]) -> None:
    one = measured(store, "mae", SMALL, Metric("mae", higher_is_better=False))
    two = measured(store, "mae", LARGE, *other, head="b")
    words = "opposite directions of 'mae'" if other else "does not declare"
    for arguments in (["best", "--metric", "mae"], ["pareto", "mae", "f1"], ["compare", one, two, "--metric", "mae"]):
        called = qtlplat(store, *arguments)
        assert (called.code, called.out) == (2, "")
        assert words in called.err
    assert qtlplat(store, "show", "@best:mae").code == 2
    # runs that lack it do not matter, and a filter leaves those out that disagree
    store_run(store, LINEAR, head="c")
    alone = asked(store, "best", "--metric", "mae", "--where", "head = 'dressed5x3'")["rows"]
    assert [row["run"] for row in alone] == [one]
    if other:
        assert [row["what"] for row in asked(store, "diff", one, two)["rows"]] == ["direction of mae", "head"]


@pytest.mark.parametrize("name", ["loss", "test_loss", "lossless", "my_loss", "f1_sd", "sd(f1)", "last(test_loss)"])
@pytest.mark.sampled(7)
def test_no_direction_is_told_by_a_name(store: Path, name: str) -> None:
    metric = name if name in ("test_loss", "lossless", "my_loss") else "mae"
    measured(store, metric, SMALL)
    called = qtlplat(store, "best", "--metric", name, "--json")
    assert (called.code == 2) == (metric == name)
    if called.code == 0 and json.loads(called.out)["rows"]:
        assert json.loads(called.out)["lower_is_better"] is True


def test_intervals_of_bounded_metrics_stay_within_what_is_possible(store: Path) -> None:
    share = Metric("error_share", higher_is_better=False, bounds=(0, 1))
    one = measured(store, "error_share", SMALL, share, cells=[cell(i, i) for i in range(6)])
    values = (0.95, 0.1, *SMALL[2:])
    two = measured(store, "error_share", values, share, head="b", cells=[cell(i, i) for i in range(6)])
    two_cells = store_run(store, (0.9, 0.1), head="c"), store_run(store, (0.1, 0.95), head="d")
    for runs, metric in (((one, two), "error_share"), (two_cells, "f1")):
        row = asked(store, "compare", *runs, "--metric", metric)["rows"][1]
        low, high = row["interval"]
        assert -1 <= low <= row["difference"] <= high <= 1
    assert (low, high) == (-1, 1)
    assert any("every difference that is possible: n = 2 is too few" in words for words in row["notes"])
    free = [measured(store, "total_loss", [v * sign for v in (300, -300) * 3], GAIN) for sign in (1, -1)]
    row = asked(store, "compare", *free, "--metric", "total_loss")["rows"][1]
    assert row["interval"][0] < -600  # nothing is declared that it could not be


@pytest.mark.parametrize(
    "facts",
    [
        ("mae", 1),
        ("mae", True, 0, 0),
        ("mae", True, float("nan")),
        ("mae", True, None, "1"),
        (3, True),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused(facts: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="metric"):
        Metric(*facts)


@pytest.mark.parametrize("stored", ["", "no json", "[1]", '[{"name": "mae"}]', '{"mae": 1}', "[" * 10_000])
def test_what_is_stored_of_another_form_declares_nothing(stored: str) -> None:
    assert "mae" not in declared_metrics({STORED: stored})
    assert declared_metrics({STORED: stored})["f1"].higher_is_better


def test_bounds_that_differ_are_taken_as_the_wider_ones() -> None:
    narrow = Metric("m", higher_is_better=True, bounds=(0, 1))
    wide = Metric("m", higher_is_better=True, bounds=(-1, None))
    assert agreed("m", [("a", narrow), ("b", wide)], "") == Metric("m", higher_is_better=True, bounds=(-1, None))
    assert narrow.possible_differences == (-1, 1)
    with pytest.raises(UsageError, match="does not declare"):
        agreed("m", [("a", narrow), ("b", None)], "")


def test_a_name_with_spaces_is_quoted_alike_everywhere(store: Path) -> None:
    metric = Metric("brier score", higher_is_better=False, bounds=(0, 2))
    small, large = measured(store, metric.name, SMALL, metric), measured(store, metric.name, LARGE, metric, head="b")
    quoted = f'"{metric.name}"'
    assert asked(store, "best", "--metric", quoted, "--by", "dataset")["rows"][0]["run"] == small
    for name in (quoted, metric.name):
        assert asked(store, "compare", large, small, "--metric", name)["rows"][1]["verdict"].startswith("better")
        assert api.open_store(store).compare(large, small, metric=name)[1].verdict.startswith("better")
    opposite = measured(store, metric.name, SMALL, Metric(metric.name, higher_is_better=True))
    (row,) = [row for row in asked(store, "diff", small, opposite)["rows"] if row["kind"] == "what"]
    assert row["what"] == "direction of brier score"
    assert "a metric that goes the other way" in row["why"]
