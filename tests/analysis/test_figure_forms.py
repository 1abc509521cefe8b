"""The numbers of figures as plain values: what is drawn, under stable keys, each leading to its runs."""

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
from figure_runs import cell, epochs, of_datasets, prediction, record, run_of

from qtlplat.errors import DataError, UsageError
from qtlplat.metrics import Metric
from qtlplat_reports.figures import KINDS, OF_A_METRIC, box, confusion, convergence, differences, draw, pareto
from qtlplat_reports.figures.forms import form
from qtlplat_reports.figures.stored import StoredRun

ONE, TWO = "1" * 16, "2" * 16
CLASSES = ("normal", "anomalous")
# frozen: once published, a key is never renamed
KEYS = {
    "ranks": {"label", "runs", "rank", "n", "critical_difference", "not_told_apart", "ranks"},
    "convergence": {"run", "epochs", "loss_range", "best", "cells"},
    "pareto": {
        "name", "kind", "runs", "parameters", "trainable", "seconds", "mean", "std", "n", "values", "unbeaten",
    },
    "box": {
        "run", "variant", "name", "mean", "least", "first_quartile", "median", "third_quartile", "greatest", "n",
        "left_out", "cells",
    },
    "confusion": {"run", "classes", "counts", "shares", "cells", "samples", "predictions"},
    "differences": {"first", "second", "mean", "interval", "level", "test", "n", "cells"},
    "learning": {"run", "curves", "needs"},
    "errors": {"run", "classes", "samples", "predictions", "wrong"},
}  # fmt: skip


@pytest.fixture
def runs() -> list[StoredRun]:
    return [run_of([0.5, 0.6, 0.9], ONE), run_of([0.6, 0.8, 0.7], TWO, head="linear")]


def rows(kind: str, runs: list[StoredRun]) -> list[dict[str, Any]]:
    found = form(kind, runs)
    further = [*(["metric"] if kind in OF_A_METRIC else []), *(["against"] if kind == "pareto" else [])]
    assert set(found) == {"kind", "runs", "rows", *further}
    assert found["kind"] == kind
    assert [run["run"] for run in found["runs"]] == [stored.run.id for stored in runs]
    assert all(set(row) == KEYS[kind] for row in found["rows"])
    return list(found["rows"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_fixed_keys(kind: str, runs: list[StoredRun]) -> None:
    assert rows(kind, runs[:1] if kind == "errors" else of_datasets() if kind == "ranks" else runs)


def test_runs_stand_beside_what_leaks_in_them() -> None:
    cells = (cell(0, 0.5, leakage=0.5, group_leakage=1.0, selection_leakage=0.0, n_test=30),)
    (told,) = form("box", [StoredRun(record(ONE), cells)])["runs"]
    assert told == {
        "run": ONE, "name": "dressed5x3 on lenet2, last 4", "status": "finished", "leakage": 0.5, "group_leakage": 1.0,
        "selection_leakage": 0.0,
    }  # fmt: skip


def test_convergence_has_every_curve_that_is_drawn(runs: list[StoredRun]) -> None:
    row = rows("convergence", runs)[0]
    drawn = convergence.draw([convergence.curves(runs[0])])
    best = next(one for one in row["cells"] if one["cell"] == row["best"])
    lines = [line.get_ydata().tolist() for axes in drawn.axes for line in axes.lines]
    assert best["accuracy"] in lines
    assert best["scaled_loss"] in lines
    for one in row["cells"]:
        mine = [epoch for epoch in runs[0].epochs if epoch.cell == one["cell"]]
        assert one["loss"] == [epoch.values["test_loss"] for epoch in mine]
        assert one["f1"] == runs[0].cells[one["cell"]].metrics["f1"]
    assert row["loss_range"] == [0.5, 3.0]


def test_an_epoch_that_a_cell_has_not_is_no_number() -> None:
    stored = StoredRun(record(ONE), (cell(0, 0.5), cell(1, 0.6)), (*epochs(0, [1.0, 0.5], [0.5, 0.7]),
                       *epochs(1, [1.0], [0.5])))  # fmt: skip
    (row,) = rows("convergence", [stored])
    assert math.isnan(row["cells"][1]["loss"][1])


def test_points_boxes_and_differences_are_those_of_the_drawing(runs: list[StoredRun]) -> None:
    for row, point in zip(rows("pareto", runs), pareto.points(runs), strict=True):
        assert (row["mean"], row["std"], row["values"]) == (point.mean, point.sd, list(point.values))
        assert row["runs"] == list(point.runs)
        assert row["unbeaten"] == (point in pareto.front(pareto.points(runs)))
    for row, group in zip(rows("box", runs), box.groups(runs), strict=True):
        names = ("least", "first_quartile", "median", "third_quartile", "greatest")
        assert [row[name] for name in names] == list(group.summary)
        assert [one["f1"] for one in row["cells"]] == list(group.values)
    (row,) = rows("differences", runs)
    (pair,) = differences.paired(runs)
    assert row["interval"] == list(pair.interval)
    assert [one["difference"] for one in row["cells"]] == list(pair.values)
    assert (row["first"]["run"], row["second"]["run"]) == (TWO, ONE)
    assert (row["n"], row["level"], row["test"]) == (3, 0.95, "paired t, Nadeau-Bengio corrected")


def with_loss(stored: StoredRun, losses: list[float]) -> StoredRun:
    """The run with a log-loss in each cell, and a metric that its evaluator declares to be better if lower."""
    cells = [
        replace(c, metrics={**c.metrics, "loss": x, "cost": x}) for c, x in zip(stored.finished(), losses, strict=True)
    ]
    return replace(
        stored, cells=tuple(cells), declared={"cost": Metric("cost", higher_is_better=False, title="expected cost")}
    )


@pytest.mark.parametrize(("name", "title"), [("loss", "log-loss"), ("cost", "expected cost")])
def test_any_metric_can_be_drawn_and_its_direction_counts(runs: list[StoredRun], name: str, title: str) -> None:
    mine = [with_loss(run, losses) for run, losses in zip(runs, ([0.3, 0.4, 0.5], [0.2, 0.1, 0.3]), strict=True)]
    (box_of_one, _), (one, two) = (form(kind, mine, name)["rows"] for kind in ("box", "pareto"))
    assert [cell[name] for cell in box_of_one["cells"]] == [0.3, 0.4, 0.5]
    assert (one["mean"], one["unbeaten"], two["unbeaten"]) == (pytest.approx(0.4), False, True)
    differences = form("differences", mine, name)
    assert differences["metric"] == name
    assert [cell["difference"] for cell in differences["rows"][0]["cells"]] == pytest.approx([-0.1, -0.3, -0.2])
    labels = [axes.get_xlabel() or axes.get_ylabel() for axes in draw("box", mine, metric=name).axes]
    assert labels == [f"{title} of a cell"]


def test_a_metric_that_no_cell_has_is_refused(runs: list[StoredRun]) -> None:
    with pytest.raises(UsageError, match="unknown metric 'f2'"):
        form("box", runs, "f2")
    with pytest.raises(DataError, match="no finished cells with a finite roc_auc"):
        form("box", runs, "roc_auc")
    undeclared = replace(with_loss(runs[0], [0.1, 0.2, 0.3]), declared={})
    with pytest.raises(UsageError, match="does not declare whether more or less of 'cost'"):
        form("pareto", [undeclared], "cost")


def test_seeds_of_a_split_are_cells_but_no_further_values_of_the_test() -> None:
    def seeds(run_id: str, f1: list[float]) -> StoredRun:
        cells = tuple(cell(i, value, fold=i % 2, seed=i // 2) for i, value in enumerate(f1))
        return StoredRun(record(run_id), cells)

    pair = [seeds(ONE, [0.5, 0.6, 0.55, 0.7]), seeds(TWO, [0.6, 0.8, 0.7, 0.75])]
    (row,) = rows("differences", pair)
    assert (row["n"], len(row["cells"])) == (2, 4)
    label = draw("differences", pair).axes[0].get_yticklabels()[0].get_text()
    assert label.endswith("4 cells, n = 2")


def test_confusion_counts_under_the_names_of_the_classes(runs: list[StoredRun]) -> None:
    named = StoredRun(runs[0].run, runs[0].cells, (), runs[0].predictions, (), CLASSES)
    (row,) = rows("confusion", [named])
    assert row["classes"] == list(CLASSES)
    assert row["counts"] == [[0, 2], [0, 1]]
    assert (row["cells"], row["samples"], row["predictions"]) == (3, 3, 3)
    axes = confusion.draw([confusion.pooled(named)]).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == list(CLASSES)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["normal\nn = 2", "anomalous\nn = 1"]


@pytest.mark.parametrize("classes", [(), ("only one",), ("a", "b", "c")])
def test_classes_are_numbers_where_no_names_are_stored_or_others(
    runs: list[StoredRun], classes: tuple[str, ...]
) -> None:
    stored = StoredRun(runs[0].run, runs[0].cells, (), runs[0].predictions, (), classes)
    assert rows("confusion", [stored])[0]["classes"] == rows("errors", [stored])[0]["classes"] == ["0", "1"]


def test_long_and_many_class_names_leave_room_for_each_other() -> None:
    names = tuple(f"a class with a rather long name, number {i}\x1b[31m" for i in range(6))
    spread = [tuple(float(k == i) for k in range(6)) for i in range(6)]
    rows_ = [prediction(0, f"s{i}", i, 1.0) for i in range(6)]
    rows_ = [type(row)(row.cell, row.sample_id, row.group, i, i, spread[i]) for i, row in enumerate(rows_)]
    stored = StoredRun(record(ONE), (cell(0, 1.0),), (), tuple(rows_), (), names)
    figure = draw("confusion", [stored])
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert all(a.x1 <= b.x0 for a, b in itertools.pairwise(boxes))
    assert all("\x1b" not in label.get_text() for label in figure.axes[0].get_xticklabels())


def test_errors_are_the_samples_of_the_contact_sheet(runs: list[StoredRun]) -> None:
    (row,) = rows("errors", runs[:1])
    assert row["wrong"] == [
        {"sample_id": f"sample {i}", "group": f"source of sample {i}", "label": 0, "predicted": 1, "wrong": 1,
         "tested": 1, "certainty": 0.9, "wrong_backbones": 1, "backbones": 1}
        for i in (0, 2)
    ]  # fmt: skip
    assert (row["samples"], row["predictions"]) == (3, 3)


def test_what_cannot_be_drawn_has_no_numbers_either(runs: list[StoredRun]) -> None:
    with pytest.raises(UsageError, match="shows one run"):
        form("errors", runs)
    with pytest.raises(DataError, match="no epochs"):
        form("convergence", [StoredRun(record(ONE), ())])
