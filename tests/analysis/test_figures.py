"""The numbers in the figures are the stored ones: artists' data, not pixels."""

import math
from dataclasses import replace

import numpy as np
import pytest
from figure_runs import cell, component, epochs, of_datasets, prediction, record, run_of
from matplotlib.collections import FillBetweenPolyCollection
from sklearn.metrics import confusion_matrix

from qtlplat.contracts import ImageSet
from qtlplat.errors import DataError, UsageError
from qtlplat.metrics import SHIPPED
from qtlplat_reports.figures import (
    KINDS,
    box,
    confusion,
    convergence,
    differences,
    draw,
    errors,
    learning,
    pareto,
)
from qtlplat_reports.figures.stored import StoredRun, notes
from qtlplat_reports.figures.style import SMALL


@pytest.fixture
def images() -> ImageSet:
    pixels = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 1, 4, 4)
    names = tuple(f"sample {i}" for i in range(6))
    return ImageSet(pixels, np.array([0, 1] * 3), names, names, ("normal", "anomalous"))


# --- convergence


@pytest.fixture
def three_folds() -> StoredRun:
    """Two folds of a head and a control with far better numbers."""
    cells = (cell(0, 0.8), cell(1, 0.9), cell(2, 1.0, fold=0, variant="linear"))
    rows = [
        *epochs(0, [0.9, 0.7, 0.5], [0.5, 0.6, 0.9]),
        *epochs(1, [1.1, 0.6, 0.6], [0.4, 0.8, 0.8]),
        *epochs(2, [0.1, 0.1, 0.1], [1.0, 1.0, 1.0]),
    ]
    return StoredRun(record("c" * 16), cells, tuple(rows))


def test_curves_are_the_stored_epochs_of_the_head_alone(three_folds: StoredRun) -> None:
    run = convergence.curves(three_folds)
    assert run.loss.tolist() == [[0.9, 0.7, 0.5], [1.1, 0.6, 0.6]]
    assert run.accuracy.tolist() == [[0.5, 0.6, 0.9], [0.4, 0.8, 0.8]]
    assert run.epochs.tolist() == [1, 2, 3]
    assert (run.best, run.best_name) == (1, "fold 1")
    assert run.loss_range == (0.5, 1.1)


def test_the_best_fold_is_the_best_by_the_metric(three_folds: StoredRun) -> None:
    head = [
        replace(c, metrics={**c.metrics, "loss": loss}) for c, loss in zip(three_folds.cells, (0.2, 0.3), strict=False)
    ]
    stored = replace(three_folds, cells=tuple(head))
    assert [convergence.curves(stored, SHIPPED[name]).best for name in ("f1", "loss")] == [1, 0]
    by_loss = convergence.draw([convergence.curves(stored, SHIPPED["loss"])])
    assert any("the fold with the best log-loss" in text.get_text() for text in by_loss.texts)


def test_the_best_fold_is_a_line_and_all_folds_a_band(three_folds: StoredRun) -> None:
    figure = convergence.draw([convergence.curves(three_folds)])
    above, below = figure.axes
    best = {line.get_label(): line for axes in (above, below) for line in axes.lines if line.get_linewidth() > 1}
    assert list(best["best: fold 1"].get_xdata()) == [1, 2, 3]
    accuracy = next(line for line in above.lines if line.get_label() == "best: fold 1")
    assert list(accuracy.get_ydata()) == [0.4, 0.8, 0.8]
    loss = next(line for line in below.lines if line.get_label() == "best: fold 1")
    np.testing.assert_allclose(loss.get_ydata(), [2.0, 2 * 0.1 / 0.6, 2 * 0.1 / 0.6], atol=1e-12)
    (band,) = (c for c in above.collections if isinstance(c, FillBetweenPolyCollection))
    assert band.get_label() == "all 2 folds"
    corners = {tuple(map(float, point)) for point in band.get_paths()[0].vertices}
    assert corners == {(1, 0.4), (1, 0.5), (2, 0.6), (2, 0.8), (3, 0.8), (3, 0.9)}


def test_scaled_losses_run_from_0_to_2_and_leave_out_what_is_not_finite() -> None:
    rows = [*epochs(0, [3.0, math.nan, 1.0], [0.5] * 3), *epochs(1, [2.0, math.inf, 2.0], [0.5] * 3)]
    run = convergence.curves(StoredRun(record("c" * 16), (cell(0, 0.5), cell(1, 0.5)), tuple(rows)))
    np.testing.assert_array_equal(run.scaled_loss, [[2, math.nan, 0], [1, math.nan, 1]])
    assert run.best == 0  # equal F1 and accuracy: the least last loss
    convergence.draw([run])


def test_losses_that_never_change_are_0() -> None:
    run = convergence.curves(StoredRun(record("c" * 16), (cell(0, 0.5),), tuple(epochs(0, [0.7, 0.7], [1, 1]))))
    assert run.scaled_loss.tolist() == [[0, 0]]


def test_cells_that_stopped_early_and_unfinished_runs_are_drawn_as_far_as_they_go() -> None:
    rows = [*epochs(0, [0.9, 0.7], [0.5, 0.6]), *epochs(1, [0.8], [0.55])]
    run = convergence.curves(StoredRun(record("c" * 16, status="running"), (cell(0, None), cell(1, None)), tuple(rows)))
    np.testing.assert_array_equal(run.accuracy, [[0.5, 0.6], [0.55, math.nan]])
    assert run.best_name == "fold 0"
    convergence.draw([run])


# --- F1 against parameters


def test_points_are_runs_and_their_backbones() -> None:
    models = pareto.points([run_of([0.8, 0.9, 1.0], "1" * 16), run_of([0.5], "2" * 16, head="linear")])
    assert [(p.kind, p.parameters, p.values) for p in models] == [
        ("head", 400, (0.8, 0.9, 1.0)),
        ("head", 400, (0.5,)),
        ("backbone", 1000, (0.7, 0.9)),
    ]
    assert models[0].mean == pytest.approx(0.9, abs=1e-15)
    assert models[0].sd == pytest.approx(0.1, abs=1e-15)
    assert models[1].sd is None
    assert [p.name for p in pareto.front(models)] == [models[0].name]


def test_means_cells_and_deviations_are_drawn_where_they_belong() -> None:
    models = pareto.points([run_of([0.8, 0.9, 1.0])])
    axes = pareto.draw(models).axes[0]
    drawn = {container.get_label(): container for container in axes.containers}
    mean, _, (bars,) = drawn["dressed5x3 on lenet2, last 4 (01234567), n = 3"]
    assert (list(mean.get_xdata()), list(mean.get_ydata())) == ([400], [models[0].mean])
    np.testing.assert_allclose(bars.get_segments()[0], [[400, 0.8], [400, 1.0]], atol=1e-12)
    dots = next(line for line in axes.lines if line.get_marker() == ".")
    assert list(dots.get_ydata()) == [0.8, 0.9, 1.0]


def test_the_front_is_what_no_model_beats() -> None:
    def point(name: str, parameters: int, f1: float) -> pareto.Point:
        return pareto.Point(name, "head", (name,), parameters, (f1,))

    models = [point("a", 30, 0.9), point("b", 10, 0.5), point("c", 20, 0.5), point("d", 40, 0.8), point("e", 10, 0.4)]
    assert [p.name for p in pareto.front(models)] == ["b", "a"]


def test_a_pretraining_has_no_parameter_counts_to_draw() -> None:
    stored = StoredRun(record("b" * 16, "pretraining"), (cell(0, 0.9),))
    with pytest.raises(DataError, match="no parameter counts"):
        pareto.points([stored])


# --- boxes


def test_variants_stand_beside_their_head() -> None:
    cells = (cell(0, 0.9), cell(1, 0.4, fold=0, variant="mlp"), cell(2, 0.7, fold=1), cell(3, math.nan, fold=2))
    rows = box.groups([StoredRun(record("c" * 16), cells), run_of([0.5, 0.6], "d" * 16, head="linear")])
    assert [(row.name, row.values, row.left_out) for row in rows] == [
        ("dressed5x3 on lenet2, last 4", (0.9, 0.7), 1),
        ("control: mlp", (0.4,), 0),
        ("linear on lenet2, last 4", (0.5, 0.6), 0),
    ]
    figure = box.draw(rows)
    marks = [line for line in figure.axes[0].lines if line.get_marker() in "os" and line.get_linestyle() == "None"]
    assert [tuple(line.get_xdata()) for line in marks] == [row.values for row in rows]
    means = [float(line.get_xdata()[0]) for line in figure.axes[0].lines if line.get_marker() == "|"]
    assert means == [row.mean for row in rows]


def test_boxes_are_quartiles() -> None:
    (row,) = box.groups([run_of([0.1, 0.2, 0.3, 0.4, 0.9])])
    assert row.summary == pytest.approx((0.1, 0.2, 0.3, 0.4, 0.9), abs=1e-15)
    (outline,) = box.draw([row]).axes[0].patches
    assert {round(float(x), 12) for x, _ in outline.get_path().vertices[:4]} == {0.2, 0.4}


# --- confusion


def test_confusion_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    rows = [prediction(i % 3, f"s{i}", int(rng.integers(2)), float(rng.random())) for i in range(60)]
    control = [prediction(3, "s0", 1, 0.1)]
    cells = (cell(0, 0.5), cell(1, 0.5), cell(2, 0.5), cell(3, 0.5, fold=0, variant="linear"))
    run = confusion.pooled(StoredRun(record("c" * 16), cells, (), (*rows, *control)))
    expected = confusion_matrix([row.label for row in rows], [row.predicted for row in rows])
    np.testing.assert_array_equal(run.counts, expected)
    np.testing.assert_allclose(run.shares, expected / expected.sum(axis=1, keepdims=True), atol=1e-15)
    assert (run.cells, run.samples) == (3, 60)
    axes = confusion.draw([run]).axes[0]
    assert [text.get_text().split("\n")[0] for text in axes.texts] == [str(n) for n in expected.ravel()]
    np.testing.assert_allclose(axes.images[0].get_array(), run.shares, atol=1e-15)


def test_a_sample_that_several_cells_test_counts_once() -> None:
    """Wrong in 3 of 5 cells is 0.6 of a sample, however often others are tested."""
    rows = [prediction(i, "often", 1, 0.1 if i < 3 else 0.9) for i in range(5)]
    rows += [prediction(i, "twice", 1, 0.9) for i in range(2)] + [prediction(0, "once", 0, 0.2)]
    run = confusion.pooled(StoredRun(record("c" * 16), [cell(i, 0.5, fold=0) for i in range(5)], (), rows))
    np.testing.assert_allclose(run.counts, [[1, 0], [0.6, 1.4]])
    np.testing.assert_allclose(run.shares, [[1, 0], [0.3, 0.7]])
    assert (run.samples, run.predictions, run.counts.sum()) == (3, 8, 3)
    texts = [text.get_text().split("\n")[0] for text in confusion.draw([run]).axes[0].texts]
    assert texts == ["1", "0", "0.6", "1.4"]


def test_a_label_that_never_occurs_has_no_shares() -> None:
    run = confusion.pooled(StoredRun(record("c" * 16), (cell(0, 0.5),), (), (prediction(0, "s", 1, 0.9),)))
    np.testing.assert_array_equal(run.shares, [[math.nan, math.nan], [0, 1]])
    confusion.draw([run])


# --- differences


def test_differences_are_paired_by_fold_and_seed() -> None:
    first = run_of([0.5, 0.6, 0.7, 0.8], "1" * 16)
    other = run_of([0.6, 0.8, 0.7], "2" * 16, head="linear")
    (row,) = differences.paired([first, other])
    assert (row.first, row.second) == ("linear on lenet2, last 4", "dressed5x3 on lenet2, last 4")
    assert row.values == pytest.approx((0.1, 0.2, 0.0), abs=1e-15)
    assert row.cells == ((0, 0, 0), (1, 0, 0), (2, 0, 0))
    axes = differences.draw([row]).axes[0]
    assert [tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 3] == [row.values]
    (container,) = axes.containers
    np.testing.assert_allclose(container[2][0].get_segments()[0][:, 0], row.interval, atol=1e-12)


def test_the_interval_is_that_of_the_corrected_resampled_t_test() -> None:
    (row,) = differences.paired([run_of([0.5] * 6, "1" * 16), run_of([0.51, 0.53, 0.5, 0.52, 0.54, 0.52], "2" * 16)])
    # by hand: mean 0.02, variance 0.0002, n = 6, n_test / n_train = 0.2; 2.570582 is Student's t for 5 degrees, 0.975
    half = 2.570582 * math.sqrt((1 / 6 + 0.2) * 0.0002)
    assert row.interval == pytest.approx((0.02 - half, 0.02 + half), abs=1e-8)


def test_one_run_is_compared_with_its_controls_but_not_with_shuffled_labels() -> None:
    cells = [cell(i, 0.8, fold=i) for i in range(2)]
    cells += [cell(2 + i, 0.5, fold=i, variant="linear") for i in range(2)]
    cells += [cell(4 + i, 0.1, fold=i, variant="shuffled") for i in range(2)]
    (row,) = differences.paired([StoredRun(record("c" * 16), tuple(cells))])
    assert (row.first, row.second) == ("control: linear", "dressed5x3 on lenet2, last 4")
    assert row.values == pytest.approx((-0.3, -0.3), abs=1e-15)


def test_runs_that_were_not_tested_alike_are_not_compared() -> None:
    other = StoredRun(record("2" * 16, dataset_digest="b" * 64), (cell(0, 0.5, test_hash="9" * 64),))
    with pytest.raises(DataError, match="tested on different samples") as caught:
        differences.paired([run_of([0.5, 0.6]), other])
    assert "the datasets' digests" in caught.value.where
    nested = replace(other.run, dataset_digest="a" * 64)
    nested.components["evaluator"] = component("evaluator", "nested6")
    with pytest.raises(DataError, match="tested on different samples") as caught:
        differences.paired([run_of([0.5, 0.6]), replace(other, run=nested)])
    assert caught.value.where == "evaluator nested6 and evaluator kfold6"
    with pytest.raises(DataError, match="in common"):
        differences.paired([run_of([0.5, 0.6]), StoredRun(record("2" * 16), (cell(0, 0.5, seed=1),))])
    with pytest.raises(UsageError, match="no controls"):
        differences.paired([run_of([0.5, 0.6])])


# --- errors


def test_errors_are_counted_and_the_most_certain_come_first() -> None:
    rows = [
        prediction(0, "sample 0", 0, 0.6),
        prediction(0, "sample 1", 1, 0.9),
        prediction(0, "sample 2", 0, 0.9),
        prediction(1, "sample 3", 1, 0.3),
        prediction(2, "sample 3", 1, 0.8),
        prediction(3, "sample 4", 0, 1.0),
    ]
    cells = (cell(0, 0.5), cell(1, 0.5), cell(2, 0.5, fold=1, seed=1), cell(3, 0.5, fold=0, variant="linear"))
    found = errors.out_of_fold_errors(StoredRun(record("c" * 16), cells, (), tuple(rows)))
    seen = [(w.sample_id, w.label, w.predicted, w.wrong, w.tested) for w in found.wrong]
    assert seen == [("sample 2", 0, 1, 1, 1), ("sample 0", 0, 1, 1, 1), ("sample 3", 1, 0, 1, 2)]
    assert [w.certainty for w in found.wrong] == pytest.approx([0.9, 0.6, 0.7], abs=1e-15)
    assert (found.predictions, found.samples) == (5, 4)


def test_the_contact_sheet_shows_the_very_images(images: ImageSet) -> None:
    found = errors.out_of_fold_errors(run_of([0.5] * 6))
    figure = errors.draw(found, images)
    assert [w.sample_id for w in found.wrong] == ["sample 0", "sample 2", "sample 4"]
    for axes, i in zip(figure.axes, (0, 2, 4), strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), images.images[i, 0])
        assert axes.texts[0].get_text().splitlines()[:3] == [f"sample {i}", "true: normal", "given: anomalous"]


def test_a_dataset_without_the_samples_is_an_error(images: ImageSet) -> None:
    wrong = StoredRun(record("c" * 16), (cell(0, 0.5),), (), (prediction(0, "\x1b[31m", 0, 0.9),))
    with pytest.raises(DataError, match=r"no sample '\\x1b\[31m'"):
        errors.draw(errors.out_of_fold_errors(wrong), images)


def test_a_run_without_errors_has_a_figure_that_says_so(images: ImageSet) -> None:
    right = StoredRun(record("c" * 16), (cell(0, 1.0),), (), (prediction(0, "sample 1", 1, 0.9),))
    figure = errors.draw(errors.out_of_fold_errors(right), images)
    assert "no errors" in [text.get_text() for text in figure.texts]


# --- learning curves


def test_a_learning_curve_is_drawn_at_its_means_with_what_the_head_needs() -> None:
    cells = [cell(i, f1, fold=i % 2, variant=v, n_train=n) for i, (v, n, f1) in enumerate(
        (v, n, f1 + d)
        for v, n, f1 in (("head", 100, 0.8), ("linear", 100, 0.9), ("head/0.5", 50, 0.7), ("linear/0.5", 50, 0.8))
        for d in (-0.05, 0.05)
    )]  # fmt: skip
    found = learning.learning(StoredRun(record("1" * 16), tuple(cells)))
    assert [(one.variant, one.sizes) for one in found.curves] == [("head", (50, 100)), ("linear", (50, 100))]
    assert [mean for mean, _ in found.curves[0].spreads] == pytest.approx([0.7, 0.8])
    figure = learning.draw([found])
    (axes,) = figure.axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [
        [mean for mean, _ in one.spreads] for one in found.curves
    ]
    assert axes.get_xscale() == "log"
    words = "\n".join(text.get_text() for text in figure.texts)
    assert "To reach F1 0.8000, head needs at least 2.0 times" in words.replace("\n", " ")


# --- all kinds


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_named(kind: str, images: ImageSet) -> None:
    empty = StoredRun(record("e" * 16, status="failed"), ())
    with pytest.raises(DataError, match="run eeeeeeee has no") as caught:
        draw(kind, [empty] if kind == "errors" else [empty, empty], images)
    assert "qtlplat show eeeeeeee" in caught.value.fix


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_legible_in_a_column_and_name_their_runs(kind: str, images: ImageSet) -> None:
    runs = [run_of([0.5, 0.6], "1" * 16), run_of([0.6, 0.8], "2" * 16)]
    runs = runs[:1] if kind == "errors" else of_datasets() if kind == "ranks" else runs
    figure = draw(kind, runs, images)
    texts = figure.findobj(lambda artist: hasattr(artist, "get_fontsize"))
    words = "\n".join(text.get_text() for text in texts)
    assert min(text.get_fontsize() for text in texts if text.get_text()) >= SMALL
    assert figure.get_figwidth() in (3.4, 7.0)
    for stored in runs:
        assert stored.id in words
    assert "n = " in words or "samples" in words


def test_what_the_backbone_had_seen_stands_in_the_caption() -> None:
    cells = (
        cell(0, 0.5, leakage=0.5, group_leakage=1.0, n_test=30),
        cell(1, 0.5, leakage=1.0, group_leakage=1.0, n_test=10),
    )
    leaky = StoredRun(record("c" * 16), cells)
    assert notes([leaky, run_of([0.5])]) == [
        "Tested by kfold6: cccccccc, 01234567.",
        "Leakage in cccccccc: the backbone was trained on 62 % of the test samples; the source image of 100 % of the "
        "test samples is in a training set.",
    ]
    (caption,) = (text.get_text() for text in draw("box", [leaky]).texts)
    assert "Tested by kfold6: cccccccc." in caption
    assert "Leakage in cccccccc" in caption
