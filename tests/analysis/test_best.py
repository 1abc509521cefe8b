import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qtlplat.analysis.best import Best, best_of


def ranked(rows: list[dict[str, Any]], by: list[str], lower: bool = False, newest: str = "") -> tuple[list[Best], int]:
    """newest: ids, the newest first."""
    columns = {"run": list(map(str, range(len(rows)))), "condition": ["one"] * len(rows)}
    columns |= {name: [row[name] for row in rows] for name in rows[0]}
    order = list(newest) or columns["run"]
    apart = {name: [repr(value) for value in columns[name]] for name in by}
    return best_of(columns, "f1", apart, lower_is_better=lower, newest_first=lambda ids: sorted(ids, key=order.index))


@pytest.mark.parametrize("lower", [False, True])
def test_the_best_of_each_group_is_that_of_pandas(lower: bool) -> None:
    random = np.random.default_rng(3)
    rows = [{"head": "abc"[i % 3], "layers": int(random.integers(3)), "f1": float(random.random())} for i in range(200)]
    found, left_out = ranked(rows, ["head", "layers"], lower)
    groups = pd.DataFrame(rows).groupby(["head", "layers"]).f1
    expected = groups.agg(["min" if lower else "max", "size", "median"]).sort_values("min" if lower else "max")
    expected = expected if lower else expected[::-1]
    assert [(b.group["head"], b.group["layers"]) for b in found] == expected.index.tolist()
    assert [[b.value, b.runs, b.median] for b in found] == expected.to_numpy().tolist()
    assert all(rows[int(b.run)]["f1"] == b.value for b in found)
    assert sorted(int(run) for b in found for run in b.candidates) == list(range(200))
    assert left_out == 0


def test_runs_without_a_number_are_counted_and_never_best() -> None:
    rows = [{"f1": value, "head": None} for value in (None, math.nan, math.inf, 0.5, "0.9", True)]
    (best,), left_out = ranked(rows, ["head"])
    assert (best.value, best.runs, best.group, best.run, left_out) == (0.5, 1, {"head": None}, "3", 5)


def test_of_equally_good_runs_the_newest_wins() -> None:
    rows = [{"f1": 0.5, "head": head} for head in "aabb"]
    assert ranked(rows, [], newest="2103")[0][0].run == "2"
    assert ranked(rows, [], lower=True, newest="2103")[0][0].run == "2"
    assert [best.run for best in ranked(rows, ["head"], newest="1230")[0]] == ["1", "2"]
    assert [best.run for best in ranked(rows, ["head"], newest="2103")[0]] == ["2", "1"]


def test_groups_of_equal_text_and_number_are_two() -> None:
    assert len(ranked([{"layers": one, "f1": 0.5} for one in (2, "2", True, 1, [1])], ["layers"])[0]) == 5
