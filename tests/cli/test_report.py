"""`qtlplat report`: every number is the store's, every leakage and every run that did not end is told."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from compared_runs import cell, predictions, store_run
from reported import PARAMETERS, filled, page
from scipy.stats import binomtest
from stored_runs import qtlplat

from qtlplat.analysis.comparison import compare
from qtlplat.analysis.sides import variants
from qtlplat.catalog.plugin_calls import load_images
from qtlplat.catalog.request import Request
from qtlplat.catalog.resolve import resolve, resolve_component
from qtlplat.cli.components import open_components
from qtlplat.cli.settings import Settings
from qtlplat.contracts import ImageSet
from qtlplat.specs import DatasetSpec
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import ComponentRow, NewCell, NewRun
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return filled(tmp_path / "s.db")


# --- numbers are the store's


def test_every_score_is_that_of_its_run(store: Path) -> None:
    reader = Reader(find_store(str(store)))
    rows = {row["run"]: row for row in page(store).table("All models")}
    runs = {run.id[:8]: run for run in reader.runs()}
    assert rows.keys() == runs.keys()
    for short, run in runs.items():
        cells = [c for c in reader.cells(run.id) if c.variant == "head"]
        if run.kind == "pretraining":
            cells = [c for c in cells if c.position == 1]  # the initialisation that was kept
        values = [c.metrics["f1"] for c in cells]
        mean = sum(values) / len(values)
        assert rows[short]["F1 %"] == f"{100 * mean:.2f}"
        assert rows[short]["n"] == str(len(values))
        if len(values) > 1:
            sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
            assert rows[short]["± sd"] == f"{100 * sd:.2f}"
        if run.kind == "run":
            leaks = {c.leakage for c in cells}
            assert leaks == {float(rows[short]["leakage %"]) / 100}


def test_every_metric_of_a_head_is_told(store: Path) -> None:
    values = [0.9, 0.95, 0.85]
    run = store_run(store, (0.8, 0.9, 0.7), further={"roc_auc": values, "ece": [0.1, math.nan, 0.2]})
    rows = {row["run"]: row for row in page(store).table("Metrics")}
    new = rows.pop(run[:8])
    assert (new["F1"], new["ROC-AUC"]) == ("0.8000 ± 0.1000", "0.9000 ± 0.0500")
    assert (new["log-loss"], new["calibration error"]) == ("0.2000 ± 0.1000", "not defined")
    assert {row["ROC-AUC"] for row in rows.values()} == {""}  # runs of an older version
    assert "Brier score" not in new


def test_parameters_are_those_of_the_parameter_counts(store: Path) -> None:
    (row,) = page(store).table("Parameters")
    values = [
        int(row[name].replace(",", "")) for name in ("backbone", "frozen", "replaced", "trainable", "whole model")
    ]
    assert values == [534482, 262880, 271602, 8230, 271110]
    assert [row[name] for name in ("pre-net", "circuit", "post-net")] == ["8,196", "24", "10"]
    model = next(r for r in page(store).table("All models") if r["run"] == row["run"])
    assert (model["reduction, model %"], model["reduction, Eq. 7 %"]) == ("49.28", "96.97")


def test_controls_and_evaluators_have_the_differences_of_compare(store: Path) -> None:
    reader = Reader(find_store(str(store)))
    sides = {run.id: variants(run, reader.cells(run.id)) for run in reader.runs(kind="run")}
    head, *controls = next(found for found in sides.values() if len(found) > 1)
    nested = next(found for found in sides.values() if len(found) == 1)[0]
    shown = page(store)
    (caption,) = [c for c in shown.tables if c.endswith("kfold6")]
    expected = compare(head, controls)
    for row, told in zip(expected, shown.table(caption), strict=True):
        assert told["variant"] == row.variant
        assert told["verdict"] == row.verdict
        if row.test:
            assert float(told["difference"]) == pytest.approx(100 * row.test.mean, abs=0.005)
            assert [float(end) for end in told["interval"].split(" to ")] == pytest.approx(
                [100 * end for end in row.test.interval], abs=0.005
            )
    (_, other) = shown.table(next(c for c in shown.tables if "several evaluators" in c))
    expected_other = compare(head, [nested])[1]
    assert other["run"] == nested.run.id[:8]
    assert expected_other.test
    assert float(other["difference"]) == pytest.approx(100 * expected_other.test.mean, abs=0.005)
    assert other["verdict"] == expected_other.verdict


def test_controls_are_held_against_their_head_sample_by_sample(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    cells = [cell(2 * i + fold, fold, variant=v) for i, v in enumerate(("head", "linear", "mlp")) for fold in range(2)]
    right = {0: [True] * 10, 1: [True] * 9 + [False], 2: [False] * 6 + [True] * 4, 3: [False] * 2 + [True] * 8}
    # each fold tests samples of its own
    predicted = {
        position: predictions(position, samples, first=position % 2 * 10) for position, samples in right.items()
    }
    store_run(path, (0.9, 0.8, 0.7, 0.75, 0.7, 0.7), cells=cells, parameters=PARAMETERS, predicted=predicted)
    shown = page(path)
    head, linear, mlp = shown.table(next(c for c in shown.tables if c.endswith("kfold6")))
    # 8 samples only the head gets right, 1 only the linear head does; mlp has no predictions
    assert float(linear["McNemar p"]) == pytest.approx(binomtest(1, 9).pvalue, abs=0.0005)
    assert (head["McNemar p"], mlp["McNemar p"]) == ("", "")
    assert "McNemar: exact" in shown.text


def test_picking_on_the_test_part_is_told(store: Path) -> None:
    (row,) = page(store).table("Backbones")[:1]
    assert row["picked by test %"] == "77.00"
    assert row["last epochs %"] == "64.50"
    assert row["picking adds"] == "+12.50"
    assert row["epoch of initialisation"] == "2 of 2"


def test_leaks_are_told_before_any_score(store: Path) -> None:
    out = qtlplat(store, "report").out
    assert out.index("(72 %)") < out.index("(98 %)") < out.index("| run ")


def test_every_table_of_numbers_names_its_runs(store: Path) -> None:
    reader = Reader(find_store(str(store)))
    known = {run.id[:8] for run in reader.runs()}
    exempt = {"What the runs ran on"}
    for caption, (head, *rows) in page(store).tables.items():
        if caption not in exempt:
            assert head[0] in ("run", "backbone")
            assert {row[0].strip() for row in rows} <= known


# --- the same head on other data


def test_the_same_head_on_two_datasets_stands_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    ids = [store_run(path, (0.9, 0.8), dataset=name, digest=digest) for name, digest in (("a", "a"), ("b", "b"))]
    shown = page(path)
    rows = shown.table(next(c for c in shown.tables if "several datasets" in c))
    assert {(row["run"], row["dataset"]) for row in rows} == {(ids[0][:8], "a"), (ids[1][:8], "b")}
    assert {row["dataset"] for row in shown.table("Runs")} == {"a", "b"}


SMALL = "steel-synth[per_class=12,images_per_kind=4,size=48,min_side=24]"


def test_data_is_audited_where_asked_for_and_at_hand(tmp_path: Path) -> None:
    registry, catalog = open_components(Settings())
    request = Request(dataset=SMALL, backbone="lenet2", head="linear")
    plan = resolve(request, registry, catalog).plan.model_dump(mode="json")
    images = small_images()
    path = tmp_path / "s.db"
    store_run(path, (0.9, 0.8), dataset=SMALL, digest=images.digest, plan=plan)
    store_run(path, (0.9, 0.8), dataset="gone", digest="b" * 64, plan=plan)
    shown = page(path, "--audit")
    samples = {row["what"]: row["number"] for row in shown.table("Samples")}
    assert samples["images"] == str(len(images))
    assert samples["source images"] == str(len(set(images.groups)))
    trivial = shown.table("What trivial features alone reach, under grouped folds")
    assert all(0 <= float(row["F1 %"]) <= 100 for row in trivial)
    assert "the dataset has changed" in shown.text
    assert "was not audited" in page(path).text


def small_images() -> ImageSet:
    registry, catalog = open_components(Settings())
    component, options, choice = resolve_component("dataset", SMALL, registry, catalog)
    assert isinstance(component.spec, DatasetSpec)
    return load_images(component.spec, options, choice.provider)


def test_a_leak_of_many_runs_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    for leakage in (0.7, 0.8, 0.8, 0.75):
        cells = [cell(i, i, leakage=leakage, group_leakage=0.0, selection_leakage=0.25) for i in range(2)]
        store_run(path, (0.9, 0.8), cells=cells)
    out = qtlplat(path, "report").out
    assert r"every run of a head (70 to 80 %)" in out
    assert "best epoch was chosen on a part of the test samples in every run of a head (25 %)" in out


# --- runs that did not end


def test_failed_and_interrupted_runs_are_listed_with_what_stopped_them(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    good = store_run(path, (0.9, 0.8), parameters=PARAMETERS)
    cells = [cell(i, i) for i in range(3)]
    cut = store_run(path, (0.7,), cells=cells, parameters=PARAMETERS, status="interrupted")
    with Writer(find_store(str(path))) as writer:
        failed = writer.start_run(NewRun("run", "f", 0, {}, [], "a" * 64, {}))
        writer.finish_run(failed, "failed", {}, error="cannot read /home/ada/x.zip: loss is NaN")
        running = writer.start_run(NewRun("run", "g", 0, {}, [], "a" * 64, {}))
        rows = {row["run"]: row for row in page(path).table("Runs that are not finished")}
        assert rows[running[:8]]["status"] == "running"
    assert rows.keys() == {cut[:8], failed[:8], running[:8]}
    assert rows[cut[:8]]["finished cells"] == "1 of 3"
    assert rows[failed[:8]]["what stopped it"] == "cannot read …: loss is NaN"
    models = {row["run"]: row for row in page(path).table("All models")}
    assert models[good[:8]]["n"] == "2"
    assert models[cut[:8]]["n"] == "1"
    assert models[failed[:8]]["F1 %"] == ""


# --- what leaks, and what is mistaken for what


def test_the_selection_leak_stands_beside_the_others_in_every_form(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    cells = [cell(i, i, leakage=0.0, group_leakage=0.5, selection_leakage=0.125 * i) for i in range(3)]
    store_run(path, (0.9, 0.91, 0.89), cells=cells, parameters=PARAMETERS)
    shown = page(path)
    for caption in ("All models", "What was seen before it was tested"):
        (row,) = shown.table(caption)
        assert [row[f"{name}leakage %"] for name in ("", "group ", "selection ")] == ["0.0", "50.0", "12.5"]
    assert "selection leakage: share whose accuracy chose the backbone's best epoch" in shown.text
    assert "| leakage % | group leakage % | selection leakage % |" in qtlplat(path, "report").out
    out = tmp_path / "report.tex"
    assert qtlplat(path, "report", "-o", str(out)).code == 0
    assert re.search(r"leakage.*group.*selection.*0\.0 & 50\.0 & 12\.5", out.read_text(encoding="utf-8"), re.DOTALL)


def test_what_leaks_in_a_backbone_s_own_test_part_is_told_too(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Writer(find_store(str(path))) as writer:
        rows = [ComponentRow(role, role, "c", "dist", "0.1", "d" * 64, {}) for role in ("dataset", "backbone")]
        run = writer.start_run(NewRun("pretraining", "p", 0, {"seed": 0}, rows, "a" * 64, {}))
        seen = {"leakage": 0.0, "group_leakage": 0.875, "selection_leakage": 1.0}
        writer.add_cells(run, [NewCell(0, 0, 0, 100, 25, "1" * 64, "2" * 64, **seen)])  # type: ignore[arg-type]
        writer.finish_cell(run, 0, {"f1": 0.9}, 1.0)
        writer.finish_run(run, "finished", {"total": 2.0})
    shown = page(path)
    (row,) = shown.table("All models")
    assert [row[f"{name}leakage %"] for name in ("", "group ", "selection ")] == ["0.0", "87.5", "100.0"]
    assert "1 pretraining of backbones (1 finished), started 20" in shown.text
    assert "0 runs" not in shown.text


def test_an_unknown_selection_leak_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store_run(path, (0.9,), cells=[cell(0, 0, leakage=0.5, group_leakage=0.5)], parameters=PARAMETERS)
    (row,) = page(path).table("What was seen before it was tested")
    assert (row["leakage %"], row["selection leakage %"]) == ("50.0", "")


def test_mistakes_are_counted_by_class_for_the_head_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    cells = [cell(0, 0), cell(1, 1), cell(2, 0, variant="linear")]
    predicted = {
        0: predictions(0, [True, True, False]), 1: predictions(1, [True, False], label=0, first=3),
        2: predictions(2, [False] * 3),
    }  # fmt: skip
    run = store_run(path, (0.9, 0.8, 0.1), cells=cells, predicted=predicted)
    none, one = page(path).table("What was taken for what")
    assert (none["run"], none["true class"], none["taken for 0"], none["taken for 1"]) == (run[:8], "0", "1", "1")
    assert (one["true class"], one["taken for 0"], one["taken for 1"], one["right %"]) == ("1", "1", "2", "66.67")


def test_more_classes_than_a_table_holds_are_left_to_the_figure(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    row = replace(predictions(0, [True])[0], probabilities=(1 / 9,) * 9)
    run = store_run(path, (0.9,), cells=[cell(0, 0)], predicted={0: [row]})
    assert f"9 classes are too many for a table: qtlplat plot {run[:8]} --kind confusion" in page(path).text


def test_predictions_of_a_control_alone_are_no_mistakes_of_the_head(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store_run(path, (0.9, 0.8), cells=[cell(0, 0), cell(1, 0, variant="linear")], predicted={1: predictions(1, [True])})
    assert "No run of a head has stored predictions." in page(path).text
