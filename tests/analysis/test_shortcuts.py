"""Trivial features agree with independent formulas; their scores are those of honest folds."""

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import f1_score

from qtlplat.analysis.shortcuts import FROM_PIXELS, constant_f1, shortcut_scores, trivial_features
from qtlplat.contracts import ImageSet


def image_set(images, labels, groups=None, facts=None):
    n = len(images)
    return ImageSet(
        images=images,
        labels=np.asarray(labels, np.int64),
        sample_ids=tuple(f"s{i}" for i in range(n)),
        groups=tuple(groups or (f"g{i}" for i in range(n))),
        class_names=tuple(f"class{i}" for i in range(int(np.max(labels)) + 1)),
        facts=facts or {},
    )


def noise(n, shape=(1, 12, 15), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def best(scores, *features):
    return max(score.f1 for score in scores if score.features == features)


@pytest.mark.parametrize("shape", [(1, 12, 15), (3, 16, 16), (1, 9, 8)])
def test_features_agree_with_independent_formulas(shape):
    images = noise(4, shape)
    features = trivial_features(image_set(images, [0, 1, 0, 1]))
    for i, image in enumerate(images.astype(np.float64)):
        gray = image.mean(axis=0)
        laplacian = ndimage.laplace(gray)[1:-1, 1:-1]
        power = np.abs(np.fft.fft2(gray - gray.mean())) ** 2
        period = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, gray.shape), indexing="ij"))
        share = power[period > 0.25].sum() / power.sum()
        assert features["sharpness"][i] == pytest.approx([np.log(1 + laplacian.var()), share], rel=1e-5)
        assert features["mean"][i] == pytest.approx(gray.mean(), rel=1e-6)
        assert features["spread"][i] == pytest.approx(gray.std(), rel=1e-5)


def test_facts_of_the_dataset_are_features_of_their_own():
    factor = np.linspace(1, 2, 4)
    features = trivial_features(image_set(noise(4), [0, 1, 0, 1], facts={"resize_factor": factor}))
    assert set(features) == {*FROM_PIXELS, "resize factor"}
    assert features["resize factor"][:, 0].tolist() == factor.tolist()


@pytest.mark.parametrize("counts", [(5, 5), (3, 9), (9, 3), (4, 4, 4), (2, 3, 7)])
def test_the_constant_answer_is_the_best_of_scikit_learns_constant_answers(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    average = "binary" if len(counts) == 2 else "macro"
    expected = max(
        f1_score(labels, np.full_like(labels, answer), average=average, zero_division=0)
        for answer in range(len(counts))
    )
    assert constant_f1(labels, len(counts)) == pytest.approx(expected, abs=1e-12)


def test_a_shortcut_scores_one_and_the_rest_scores_like_a_guess():
    labels = np.arange(60) % 2
    images = noise(60)
    images[labels == 1] //= 2  # less spread, darker
    factor = 1.0 + np.random.default_rng(1).permutation(60)
    scores = shortcut_scores(
        image_set(images, labels, facts={"resize_factor": factor}), [f"g{i}" for i in range(60)], most_folds=3
    )
    assert best(scores, "mean") == 1
    assert best(scores, *FROM_PIXELS) == 1
    assert best(scores, "resize factor") < 0.8
    assert scores[0].features == ()
    assert scores[0].f1 == pytest.approx(2 / 3)
    assert {s.model for s in scores} == {"constant", "logistic regression", "random forest"}


@pytest.mark.slow
def test_what_a_group_has_in_common_is_of_no_use_under_grouped_folds():
    """Each group has a brightness of its own and one class: a forest that knew the group would know the class."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(30), 8)
    labels = rng.permutation(np.arange(30) % 2)[group]
    images = np.clip(8 * group[:, None, None, None] + rng.integers(0, 4, (240, 1, 8, 8)), 0, 255).astype(np.uint8)
    data = image_set(images, labels)
    assert best(shortcut_scores(data, [f"g{i}" for i in group], most_folds=3), "mean") < 0.75
    assert best(shortcut_scores(data, data.groups, most_folds=3), "mean") > 0.95


@pytest.mark.slow
def test_the_same_seed_gives_the_same_scores():
    data = image_set(noise(24), np.arange(24) % 2)
    assert shortcut_scores(data, data.groups, 3, 2) == shortcut_scores(data, data.groups, 3, 2)


def test_a_class_with_a_single_group_leaves_nothing_but_the_constant_answer():
    data = image_set(noise(6), [0, 1, 0, 1, 0, 1])
    assert [s.model for s in shortcut_scores(data, ["a", "b", "c", "b", "d", "b"])] == ["constant"]


@pytest.mark.slow
def test_more_than_two_classes_are_scored_by_the_mean_over_the_classes():
    labels = np.arange(45) % 3
    images = (noise(45) // 4 + 60 * labels[:, None, None, None]).astype(np.uint8)
    scores = shortcut_scores(image_set(images, labels), [f"g{i}" for i in range(45)], most_folds=2)
    assert best(scores, "mean") > 0.95
    assert scores[0].f1 == pytest.approx(1 / 6)
    assert scores[0].balanced_accuracy == pytest.approx(1 / 3)


@pytest.mark.slow
def test_unequal_classes_do_not_flatter_the_balanced_accuracy():
    labels = np.repeat([0, 1], [12, 48])
    scores = shortcut_scores(image_set(noise(60), labels), [f"g{i}" for i in range(60)], most_folds=3)
    assert scores[0].f1 == pytest.approx(8 / 9)
    assert max(s.balanced_accuracy for s in scores) < 0.75
