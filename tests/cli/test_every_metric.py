"""Every metric of every cell is usable by every command, and runs of older versions, which lack some, break none."""

import json
from pathlib import Path
from typing import Any

import pytest
from compared_runs import LINEAR, QUANTUM, cell, store_run
from reported import PARAMETERS
from stored_runs import qtlplat

from qtlplat import open_store
from qtlplat.metrics import SHIPPED

NEWER = [name for name in SHIPPED if name not in ("f1", "loss")]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A run of an older version, then two with all metrics, the last of which is the better one in each."""
    path = tmp_path / "s.db"
    store_run(path, LINEAR, head="old", parameters=PARAMETERS)
    for head, f1 in (("linear", LINEAR), ("quantum", [value + 0.01 for value in QUANTUM])):
        further = {n: [v if SHIPPED[n].higher_is_better else 1 - v for v in f1] for n in NEWER}
        store_run(path, f1, head=head, parameters=PARAMETERS, further=further)
    return path


def said(store: Path, *arguments: str) -> Any:
    called = qtlplat(store, *arguments, "--json")
    assert called.code == 0, called.err
    return json.loads(called.out, parse_constant=pytest.fail)


@pytest.mark.parametrize("name", NEWER)
def test_a_metric_can_be_listed_filtered_sorted_ranked_plotted_and_asked_for(store: Path, name: str) -> None:
    better, sign = (">", "-") if SHIPPED[name].higher_is_better else ("<", "")
    row, *rest = said(
        store, "runs", "--where", f"{name} {better} 0.5", "--cols", f"run,head,{name}", f"--sort={sign}{name}"
    )
    assert (row["head"], [one["head"] for one in rest]) == ("quantum", ["linear"])
    best, both = said(store, "best", "--metric", name, "--by", "head"), said(store, "pareto", name, "trainable")
    assert [one["group"]["head"] for one in best["rows"]] == ["quantum", "linear"]
    assert [one["head"] for one in both["rows"]] == ["quantum"]
    compared = said(store, "compare", "@-2", "@last", "--metric", name)
    assert compared["lower_is_better"] is SHIPPED[name].lower_is_better
    assert compared["rows"][1]["by_metric"][0]["metric"] == name
    assert said(store, "show", f"@best:{name}")["metrics"][name]["mean"] == pytest.approx(row[name])
    assert len(said(store, "plot", "@last", "@-2", "--kind", "box", "--metric", name)["rows"]) == 2
    plotted = said(store, "plot", "@last", "--kind", "differences", "@-2", "--metric", name)["rows"][0]
    assert plotted["mean"] == pytest.approx(compared["rows"][1]["difference"] * -1)
    values = [one[name] for one in said(store, "sql", f"SELECT {name} FROM v_runs ORDER BY {name} NULLS FIRST")]
    assert (values[0], len(values)) == (None, 3)
    run = open_store(store).run("@last")
    assert run.mean(name) == pytest.approx(sum(run.values(name)) / 6)


@pytest.mark.parametrize("name", ["roc_auc", "loss", "ece"])
def test_a_report_is_by_any_metric(store: Path, name: str, tmp_path: Path) -> None:
    """Its scores are those of the store, its verdict that of `compare`, its figures name the metric."""
    called = qtlplat(store, "report", "@-2", "@last", "--metric", name)
    assert called.code == 0, called.err
    metric, mean = SHIPPED[name], open_store(store).run("@last").mean(name)
    in_points = metric.higher_is_better
    assert f"| {metric.title}{' %' if in_points else ''} |" in called.out
    assert f"| {100 * mean:.2f} |" in called.out if in_points else f"| {mean:.4g} |" in called.out
    assert f"--kind pareto --metric {name} " in called.out
    assert "F1 %" not in called.out
    controlled = [cell(3 * i + fold, fold, variant=v) for i, v in enumerate(("head", "mlp")) for fold in range(3)]
    values = [0.9, 0.8, 0.85, 0.7, 0.75, 0.6]
    run = store_run(store, values, cells=controlled, parameters=PARAMETERS, further={name: values[::-1]})
    expected = said(store, "compare", run, "--metric", name)["rows"][1]["verdict"]
    called = qtlplat(store, "report", run, "--metric", name)
    assert expected.replace("-", "").replace("\\", "") in called.out.replace("-", "").replace("\\", "")


def test_a_report_by_an_unknown_metric_is_refused(store: Path) -> None:
    called = qtlplat(store, "report", "--metric", "auc")
    assert called.code == 2
    assert "unknown metric 'auc'" in called.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "@-3"),
        ("runs",),
        ("best", "--by", "head"),
        ("compare", "@-3", "@last"),
        ("compare", "@last", "@-3", "--metric", "loss"),
        ("diff", "@-3", "@last"),
        ("plot", "@-3", "@last", "--kind", "differences"),
        ("pareto", "f1", "roc_auc"),
        ("report", "-o", "r.md"),
    ],
)
def test_a_run_of_an_older_version_is_taken_by_every_command(
    store: Path, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    called = qtlplat(store, *arguments)
    assert called.code == 0, called.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("compare", "@-3", "@last", "--metric", "roc_auc"), "has no roc_auc: it was stored by an older version"),
        (("plot", "@-3", "--kind", "box", "--metric", "ece"), "no finished cells with a finite ece"),
        (("compare", "@-2", "@last", "--metric", "log_loss"), "did you mean: loss"),
    ],
)
def test_what_such_a_run_lacks_is_named(store: Path, arguments: tuple[str, ...], words: str) -> None:
    called = qtlplat(store, *arguments)
    assert called.code in (2, 3)
    assert words in called.err
