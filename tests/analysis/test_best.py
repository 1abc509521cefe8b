import math

import numpy as np
import pandas as pd
import pytest

from qtlplat.analysis.best import best_of


@pytest.mark.parametrize("lower", [False, True])
def test_the_best_of_each_group_is_that_of_pandas(lower: bool) -> None:
    random = np.random.default_rng(3)
    rows = [
        {"run": str(i), "created": "", "head": "abc"[i % 3], "layers": int(random.integers(3)), "f1": random.random()}
        for i in range(200)
    ]
    found, left_out = best_of(rows, "f1", ["head", "layers"], lower_is_better=lower)
    groups = pd.DataFrame(rows).groupby(["head", "layers"]).f1
    expected = groups.agg(["min" if lower else "max", "size", "median"]).sort_values("min" if lower else "max")
    expected = expected if lower else expected[::-1]
    assert [(b.group["head"], b.group["layers"]) for b in found] == expected.index.tolist()
    assert [[b.value, b.runs, b.median] for b in found] == expected.to_numpy().tolist()
    assert all(b.row["f1"] == b.value for b in found)
    assert left_out == 0


def test_runs_without_a_number_are_counted_and_never_best() -> None:
    values = (None, math.nan, math.inf, 0.5, "0.9")
    rows = [{"run": str(i), "created": "", "f1": value, "head": None} for i, value in enumerate(values)]
    (best,), left_out = best_of(rows, "f1", ["head"], lower_is_better=False)
    assert (best.value, best.runs, best.group, left_out) == (0.5, 1, {"head": None}, 4)


def test_of_equally_good_runs_the_newest_wins() -> None:
    times = {"old": "2026-01-01", "new": "2026-01-03", "between": "2026-01-02"}
    rows = [{"run": name, "created": time, "f1": 0.5} for name, time in times.items()]
    assert best_of(rows, "f1", [], lower_is_better=False)[0][0].row["run"] == "new"
    assert best_of(rows, "f1", [], lower_is_better=True)[0][0].row["run"] == "new"


def test_groups_of_equal_text_and_number_are_two() -> None:
    layers = (2, "2", True, 1)
    rows = [{"run": str(i), "created": "", "layers": one, "f1": 0.5} for i, one in enumerate(layers)]
    assert len(best_of(rows, "f1", ["layers"], lower_is_better=False)[0]) == 4
