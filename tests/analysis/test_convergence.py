"""What is said of a run's training follows from its stored epochs, checked by hand."""

import pytest

from qtlplat.analysis.convergence import chosen, convergence_lines, falls, grids, unconverged


def run(curves, tuning=None, candidates=(), kind="run"):
    """A run with a cell for each curve, by variant."""
    cells, epochs = [], []
    for variant, ones in curves.items():
        for curve in ones:
            position = len(cells)
            cells.append({"position": position, "variant": variant, "status": "finished"})
            epochs += [{"cell": position, "epoch": i, "train_loss": loss} for i, loss in enumerate(curve, 1)]
    return {"kind": kind, "plan": {"tuning": tuning}, "cells": cells, "epochs": epochs, "candidates": list(candidates)}


def test_the_fall_is_that_of_the_last_two_fifths():
    falling = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.40, 0.36, 0.33, 0.31]
    still = [0.5] * 10
    facts = run({"head": [falling, still], "linear": [still]})
    found = falls(facts["cells"], facts["epochs"])
    assert found["head"] == (pytest.approx((0.38 - 0.32) / 2), 2)
    assert found["linear"] == (0.0, 2)
    (line,) = convergence_lines(facts)
    assert "within the last 2 epochs (head 0.030)" in line


def test_short_or_converged_trainings_and_pretrainings_say_nothing():
    assert convergence_lines(run({"head": [[1.0, 0.1, 0.01]]})) == []
    assert convergence_lines(run({"head": [[0.5] * 20]})) == []
    assert convergence_lines(run({"head": [[i / 10 for i in range(20, 0, -1)]]}, kind="pretraining")) == []


def test_a_choice_at_the_end_of_the_grid_is_named():
    tuning = {"learning_rates": [0.001, 0.01], "epochs": 50, "folds": 3}

    def tried(cell, low, high, epochs=20):
        rates = ((0.001, low), (0.01, high))
        return [
            {"cell": cell, "number": i, "learning_rate": rate, "epochs": epochs, "options": {}, "loss": loss}
            for i, (rate, loss) in enumerate(rates)
        ]

    curves = {"head": [[1.0], [1.0]], "linear": [[1.0], [1.0]]}
    candidates = [*tried(0, 0.2, 0.3), *tried(1, 0.4, 0.3), *tried(2, 0.5, 0.3, 50), *tried(3, 0.5, None, 50)]
    lines = convergence_lines(run(curves, tuning, candidates))
    assert [line.partition(" for ")[2].partition(";")[0] for line in lines] == [
        "head, linear: the lowest learning rate, 0.001",
        "head, linear: the highest learning rate, 0.01",
        "linear: the most epochs, 50",
    ]


def test_the_end_of_a_grid_of_options_is_named():
    """Of equal candidates the first is chosen; texts have no end."""
    tuning = {"learning_rates": [0.001, 0.01], "epochs": 50, "folds": 3}

    def tried(cell, losses, options):
        return [
            {"cell": cell, "number": i, "learning_rate": None, "epochs": None, "options": one, "loss": loss}
            for i, (loss, one) in enumerate(zip(losses, options, strict=True))
        ]

    of_c = [{"C": value} for value in (0.1, 1.0, 10.0)]
    of_kind = [{"kind": "a", "trees": 10}, {"kind": "b", "trees": 10}]
    facts = run({"logistic": [[], []], "fourier": [[]], "forest": [[]]}, tuning)
    facts["candidates"] = [
        *tried(0, (0.3, 0.3, 0.4), of_c), *tried(1, (0.5, 0.3, 0.4), of_c), *tried(2, (0.3, 0.2, 0.4), of_c),
        *tried(3, (0.3, 0.2), of_kind),
    ]  # fmt: skip
    assert convergence_lines(facts) == [
        "the best of the grid is at its end for logistic: C = 0.1; a wider grid may be better"
    ]
    assert grids(facts)["forest"] == {"kind": ["a", "b"], "trees": [10]}
    assert [one["options"] for one in chosen(facts)["logistic"]] == [{"C": 0.1}, {"C": 1.0}]
    assert unconverged(facts) == {}
