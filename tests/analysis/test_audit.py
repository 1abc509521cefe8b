"""The audit's counts are those that can be counted by hand; its findings say what they mean."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from qtlplat.analysis.audit import audit
from qtlplat.analysis.shortcuts import FROM_PIXELS, Score
from qtlplat.contracts import Cell, ImageSet
from qtlplat.errors import ConfigError


def made(n, *, copies=(), labels=None, groups=None, facts=None, darker=1.0):
    """Textures of 40 x 40 pixels; copies: (target, source); darker: factor on those of class 1."""
    rng = np.random.default_rng(0)
    images = np.stack([gaussian_filter(rng.normal(size=(40, 40)), 1) for _ in range(n)])[:, None]
    images = np.clip(128 + 30 * images / images.std(), 0, 255).astype(np.uint8)
    labels = np.arange(n) % 2 if labels is None else np.asarray(labels)
    images[labels == 1] = (images[labels == 1] * darker).astype(np.uint8)
    for target, source in copies:
        images[target] = images[source]
    return ImageSet(
        images=images,
        labels=labels.astype(np.int64),
        sample_ids=tuple(f"s{i}" for i in range(n)),
        groups=tuple(groups or (f"g{i}" for i in range(n))),
        class_names=("normal", "anomalous"),
        facts=facts or {},
    )


def halves(groups):
    """Two cells: even samples against odd ones, and the other way round."""
    even, odd = np.arange(0, len(groups), 2), np.arange(1, len(groups), 2)
    return [Cell(0, 0, even, odd), Cell(1, 0, odd, even)]


def findings(facts, word):
    return [line for line in facts["findings"] if word in line]


def test_everything_is_counted_and_listed():
    groups = ["a", "a", "b", "c", "d", "e", "f", "g", "h", "i"]
    facts = audit(made(10, copies=[(5, 2)], groups=groups), "halves", halves)
    assert facts["images"] == 10
    assert facts["class_counts"] == {"normal": 5, "anomalous": 5}
    assert (facts["groups"], facts["joined_groups"]) == (9, 8)
    assert facts["duplicates"] == {"exact": [["s2", "s5"]], "near": []}
    # a, and b joined with e, stand on both sides: 2 of 5 test samples in either cell
    assert facts["folds"] == {"evaluator": "halves", "cells": 2, "shared_groups": 2, "shared_samples": 0.4}
    assert findings(facts, "1 set of identical pictures, 2 samples")
    assert findings(facts, "1 set with identical pictures of different classes: at least one label is wrong, unless")
    assert findings(facts, "8 groups instead of 9")
    assert findings(facts, "under halves 40 % of the test samples")


@pytest.mark.slow
def test_notes_and_remarks_of_the_dataset_are_told():
    data = made(10)
    images = np.repeat(data.images, 5, axis=1) // 200
    notes = {"difficult boxes": "1 of 10, kept"}
    odd = ImageSet(images, data.labels, data.sample_ids, data.groups, data.class_names, notes)
    facts = audit(odd, "halves", halves)
    assert facts["notes"] == notes
    assert findings(facts, "images have 5 channels of 40 x 40 pixels")
    assert findings(facts, "pixels have no values but 0 and 1")


def test_near_duplicates_are_listed_with_what_is_known_about_them():
    data = made(8)
    images = data.images.copy()
    images[6] = (images[0][:, :, ::-1] * 0.8).astype(np.uint8)
    facts = audit(ImageSet(images, data.labels, data.sample_ids, data.groups, data.class_names), "halves", halves)
    assert facts["duplicates"]["near"] == [["s0", "s6"]]
    (pair,) = facts["near_duplicates"]
    assert pair["similarity"] > 0.9
    assert (pair["turn"], pair["same_class"], pair["same_group"]) == ("mirrored left to right", True, False)
    assert (pair["grade"], facts["duplicate_sets"][0]["grade"]) == ("copy", "copy")
    assert findings(facts, "1 set of copies, 2 samples")
    assert not findings(facts, "label")


def test_likenesses_of_other_classes_do_not_make_a_label_wrong():
    """Copies with strong noise: three of one picture, two of another, each set counted once."""
    data = made(10)
    images, rng = data.images.copy(), np.random.default_rng(1)
    for target, source in ((5, 0), (6, 0), (7, 1)):
        images[target] = np.clip(images[source] + rng.normal(0, 8, images[source].shape), 0, 255).astype(np.uint8)
    again = ImageSet(images, data.labels, data.sample_ids, data.groups, data.class_names)
    facts = audit(again, "halves", halves)
    assert [(row["samples"], row["grade"], row["contradiction"]) for row in facts["duplicate_sets"]] == [
        (["s0", "s5", "s6"], "near", "near"),
        (["s1", "s7"], "near", None),
    ]
    assert findings(facts, "2 sets of near duplicates, 5 samples")
    assert findings(facts, "1 set with near duplicates of different classes: this does not show that a label is wrong")
    assert not findings(facts, "at least one label")
    strict = audit(again, "halves", halves, least=0.95)
    assert strict["duplicate_sets"] == strict["near_duplicates"] == []
    assert strict["joined_groups"] == facts["joined_groups"] == 7  # of runs, whatever is listed


@pytest.mark.slow
def test_a_shortcut_is_named_with_its_score():
    facts = audit(made(30, darker=0.5), "halves", halves)
    rows = {(row["features"], row["model"]): row for row in facts["shortcuts"]}
    assert rows["mean", "random forest"]["f1"] == 1
    assert rows["mean", "random forest"]["f1_sd"] == 0
    assert rows["none", "constant"]["f1"] == pytest.approx(2 / 3)
    assert findings(facts, "alone reaches F1 1.000 under grouped folds")
    assert findings(facts, "a shortcut explains most of what a model can score here")


@pytest.mark.slow
def test_without_a_shortcut_little_is_explained():
    facts = audit(made(60), "halves", halves)
    assert findings(facts, "a shortcut explains little of what a model can score here")
    assert len(facts["findings"]) == 1


def test_the_score_that_is_judged_is_picked_by_what_it_is_judged_by(monkeypatch):
    """A logistic regression that says "anomalous" nearly always has the larger F1 and knows the least."""
    constant = Score((), "constant", 2 / 3, 0.0, 0.5)
    pairs = [
        (Score(names, "logistic regression", 0.70, 0.0, 0.55), Score(names, "random forest", 0.69, 0.0, 0.76))
        for names in (*((name,) for name in FROM_PIXELS), FROM_PIXELS)
    ]
    scores = [constant, *(score for pair in pairs for score in pair)]
    monkeypatch.setattr("qtlplat.analysis.audit.shortcut_scores", lambda *_: scores)
    (line,) = audit(made(8), "halves", halves)["findings"]
    assert "random forest, balanced accuracy 0.760" in line
    assert "explains most of" in line


@pytest.mark.slow
def test_a_fact_that_tells_the_class_is_called_what_it_is():
    factor = np.where(np.arange(30) % 2 == 1, 1.0, np.linspace(2, 3, 30))
    facts = audit(made(30, facts={"resize_factor": factor}), "halves", halves)
    assert facts["facts"]["resize_factor"]["anomalous"] == {"min": 1.0, "median": 1.0, "max": 1.0}
    assert findings(facts, "resize factor alone reaches F1 1.000")[0].endswith(
        "how samples were made tells their class"
    )


@pytest.mark.slow
def test_unequal_classes_are_told():
    facts = audit(made(30, labels=[0] * 22 + [1] * 8), "halves", halves)
    assert "the classes are not balanced: 22 of normal, 8 of anomalous" in facts["findings"]


@pytest.mark.slow
def test_an_evaluator_that_cannot_divide_the_dataset_is_a_finding():
    def refuse(groups):
        raise ConfigError("9 folds need at least 9 samples of every class\n  label 0: 4 samples")

    facts = audit(made(8), "kfold9", refuse)
    assert facts["folds"] is None
    assert "kfold9 cannot divide this dataset: 9 folds need at least 9 samples of every class" in facts["findings"]


def test_samples_of_a_single_group_are_not_tried():
    facts = audit(made(6, groups=["one"] * 6), "halves", halves)
    assert findings(facts, "could not be tried")
    assert [row["model"] for row in facts["shortcuts"]] == ["constant"]
